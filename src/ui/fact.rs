//! A row of `<dl class="facts">`: what it is about, and, as the child, what is so.

use leptos::prelude::*;

#[component]
pub fn Fact(label: &'static str, children: Children) -> impl IntoView {
    view! {
        <div>
            <dt>{label}</dt>
            <dd>{children()}</dd>
        </div>
    }
}
