//! What stands where something is on its way, in the room that it will take. Pages come whole; only what a script fetches is waited for.

use leptos::prelude::*;

/// As many lines as what is waited for may have. That it is waited for is said by `aria-busy` on what it is put into: to assistive
/// technology the lines are nothing.
#[component]
pub fn Skeleton(lines: usize) -> impl IntoView {
    view! {
        <div class="skeleton" aria-hidden="true">
            {(0..lines).map(|_| view! { <span></span> }).collect_view()}
        </div>
    }
}
