//! What stands where something is on its way, in the room that it will take. Pages come whole; only what a script fetches is waited for.

use leptos::prelude::*;
use leptos::tachys::html::InertElement;

/// As many lines as what is waited for may have. That it is waited for is said by `aria-busy` on what it is put into: to assistive
/// technology the lines are nothing.
#[component]
pub fn Skeleton(lines: usize) -> impl IntoView {
    InertElement::new(skeleton_html(lines))
}

/// [`Skeleton`] as text: the palette of every page has one.
pub fn skeleton_html(lines: usize) -> String {
    format!(r#"<div class="skeleton" aria-hidden="true">{}</div>"#, "<span></span>".repeat(lines))
}
