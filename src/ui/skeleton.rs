//! What stands where something is on its way, in the room that it will take. Pages come whole; only what a script fetches is waited for.

use leptos::prelude::*;

/// As many lines as what is waited for may have. That it is waited for is said by `aria-busy` on what it is put into: to assistive
/// technology the lines are nothing.
#[component]
pub fn Skeleton(lines: usize) -> impl IntoView {
    // As text: the palette of every page has one.
    let spans = "<span></span>".repeat(lines);
    view! { <div class="skeleton" aria-hidden="true" inner_html=spans></div> }
}
