//! A row of `<dl class="facts">`: what it is about, and, as the child, what is so.

use leptos::prelude::*;
use leptos::tachys::html::InertElement;

#[component]
pub fn Fact(label: &'static str, children: Children) -> impl IntoView {
    InertElement::new(fact_html(label, &children().to_html()))
}

/// [`Fact`] as text, what is so being HTML.
pub fn fact_html(label: &'static str, html: &str) -> String {
    format!("<div><dt>{label}</dt><dd>{html}</dd></div>")
}
