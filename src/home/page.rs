//! Landing page and dashboard.

use leptos::prelude::*;

#[component]
pub fn HomePage() -> impl IntoView {
    view! { <h1>"HomePage"</h1> }
}

#[component]
pub fn DashboardPage() -> impl IntoView {
    view! { <h1>"DashboardPage"</h1> }
}
