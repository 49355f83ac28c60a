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

/// [`Fact`] as text, what is so being HTML.
pub fn fact_html(label: &'static str, html: &str) -> String {
    format!("<div><dt>{label}</dt><dd>{html}</dd></div>")
}
