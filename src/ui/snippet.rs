//! Code to copy. It scrolls on its own where it is wider than its place.

use crate::ui::copy::CopyButton;
use leptos::prelude::*;

/// `label` says what it is: `curl`, `Python`.
#[component]
pub fn Snippet(#[prop(into)] label: String, #[prop(into)] code: String) -> impl IntoView {
    view! {
        <div class="snippet">
            <div class="row">
                <h3>{label.clone()}</h3>
                <CopyButton text=code.clone() />
            </div>
            <pre class="code-block" tabindex="0" role="region" aria-label=label><code>{code}</code></pre>
        </div>
    }
}
