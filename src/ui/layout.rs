//! The frame around every page: navigation, the wallet's balance, sign-out.

use leptos::prelude::*;
use leptos_router::components::Outlet;

#[component]
pub fn Frame() -> impl IntoView {
    view! {
        <main id="main">
            <Outlet />
        </main>
    }
}

#[component]
pub fn NotFoundPage() -> impl IntoView {
    view! {
        <main id="main">
            <h1>"Page not found"</h1>
            <p>"The address may be mistyped, or the page was moved. " <a href="/">"Go to the start page"</a></p>
        </main>
    }
}
