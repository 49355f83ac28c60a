//! Parts of pages for those alone who may do what they offer.

/// For pages that ask for it together with what is theirs.
pub use crate::accounts::server_fns::read_role;

use crate::accounts::types_members::Role;
use crate::error::ConsoleError;
use crate::ui::page_data::with_data;
use leptos::prelude::*;

/// Visitors, who sign in first, and owners and admins.
pub fn may_buy(role: Result<Option<Role>, ConsoleError>) -> bool {
    role.is_ok_and(|role| role.is_none_or(|role| role >= Role::Admin))
}

/// For those who may buy.
#[component]
pub fn ForBuyers(children: Children) -> impl IntoView {
    with_data(read_role(), |role| if may_buy(role) { children() } else { ().into_any() })
}
