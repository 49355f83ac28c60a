//! API keys: list, create, edit.

use leptos::prelude::*;

#[component]
pub fn KeysPage() -> impl IntoView {
    view! { <h1>"KeysPage"</h1> }
}

#[component]
pub fn KeyPage() -> impl IntoView {
    view! { <h1>"KeyPage"</h1> }
}
