//! Balance, grants, ledger.

use leptos::prelude::*;

#[component]
pub fn WalletPage() -> impl IntoView {
    view! { <h1>"WalletPage"</h1> }
}
