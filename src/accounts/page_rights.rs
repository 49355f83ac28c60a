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
