//! Confirm, orders and sandbox payment pages.

use leptos::prelude::*;

#[component]
pub fn ConfirmPage() -> impl IntoView {
    view! { <h1>"ConfirmPage"</h1> }
}

#[component]
pub fn OrdersPage() -> impl IntoView {
    view! { <h1>"OrdersPage"</h1> }
}

#[component]
pub fn OrderPage() -> impl IntoView {
    view! { <h1>"OrderPage"</h1> }
}

#[component]
pub fn SandboxPaymentPage() -> impl IntoView {
    view! { <h1>"SandboxPaymentPage"</h1> }
}
