//! The script that wakes the islands of a page.

use leptos::prelude::*;
use leptos::tachys::html::InertElement;

/// Leptos's own script, which loads the browser's part once the browser has nothing else to do; without the links that would have it loaded
/// before that. Pages are whole without it, so what a reader waits for is the page, and not 100 kB of WebAssembly beside it.
#[component]
pub fn WakeIslands(options: LeptosOptions) -> impl IntoView {
    let scripts = view! { <HydrationScripts options islands=true /> }.to_html();
    let script = scripts.find("<script").map_or("", |start| &scripts[start..]);
    InertElement::new(script.to_string())
}
