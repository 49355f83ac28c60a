//! Parts of pages for those alone who may do what they offer.

use crate::accounts::server_fns::read_role;
use crate::accounts::types_members::Role;
use crate::t;
use crate::ui::page_data::with_data;
use leptos::prelude::*;

/// For those who may buy: visitors, who sign in first, and owners and admins.
#[component]
pub fn ForBuyers(children: Children) -> impl IntoView {
    with_data(read_role(), |role| {
        let may_buy = role.is_ok_and(|role| role.is_none_or(|role| role >= Role::Admin));
        if may_buy { children() } else { ().into_any() }
    })
}

/// The head of a page about what was bought: its main action is to buy more.
#[component]
pub fn HeadForBuyers(title: &'static str) -> impl IntoView {
    view! {
        <div class="page-head">
            <h1>{title}</h1>
            <ForBuyers>
                <a class="button button-primary" href="/products">
                    {t!("Buy Tokens")}
                </a>
            </ForBuyers>
        </div>
    }
}

/// One thing for visitors, another for whoever is signed in.
pub fn for_visitors_or(
    visitors: impl FnOnce() -> AnyView + Send + 'static,
    members: impl FnOnce() -> AnyView + Send + 'static,
) -> impl IntoView {
    with_data(read_role(), |role| if role == Ok(None) { visitors() } else { members() })
}
