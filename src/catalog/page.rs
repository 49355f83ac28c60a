//! The Product Center's page.

use leptos::prelude::*;

#[component]
pub fn ProductsPage() -> impl IntoView {
    view! { <h1>"ProductsPage"</h1> }
}
