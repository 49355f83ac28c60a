//! Parts of pages for those alone who may do what they offer.

/// For pages that ask for it together with what is theirs.
pub use crate::accounts::server_fns::read_role;

use crate::accounts::types_members::Role;
use crate::error::ConsoleError;
use crate::t;
use crate::ui::page_data::with_data;
use leptos::prelude::*;

/// Visitors, who sign in first, and owners and admins.
pub fn may_buy(role: Result<Option<Role>, ConsoleError>) -> bool {
    role.is_ok_and(|role| role.is_none_or(|role| role >= Role::Admin))
}

/// What stands where others are offered to buy.
pub fn who_buys() -> &'static str {
    t!("Owners and admins of this account can buy Tokens.")
}

/// What stands where others are offered to make a key.
pub fn who_makes_keys() -> &'static str {
    t!("Your role here is to look. An owner or admin of the account can make a key, or give you a role that makes its own.")
}

/// The head of a page about what was bought: its main action is to buy more.
#[component]
pub fn HeadForBuyers(title: &'static str) -> impl IntoView {
    let buy = |role| {
        let link = may_buy(role).then(|| {
            view! {
                <a class="button button-primary" href="/products">
                    {t!("Buy Tokens")}
                </a>
            }
        });
        link.into_any()
    };
    view! {
        <div class="page-head">
            <h1>{title}</h1>
            {with_data(read_role(), buy)}
        </div>
    }
}
