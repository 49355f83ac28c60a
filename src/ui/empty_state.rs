//! What a page shows while it has nothing to show: why, and the next step.

use leptos::prelude::*;

#[component]
pub fn EmptyState(title: &'static str, text: &'static str, action_href: &'static str, action_label: &'static str) -> impl IntoView {
    view! {
        <section class="empty">
            <h2>{title}</h2>
            <p>{text}</p>
            <a class="button" href=action_href>
                {action_label}
            </a>
        </section>
    }
}
