//! A button that copies text. It shows only where it can work: without JavaScript, or over plain http on another machine, the text
//! beside it can still be selected.

use leptos::prelude::*;
use leptos::task::spawn_local;
use std::time::Duration;

/// How the last click went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copied {
    NotYet,
    Yes,
    Refused,
}

/// `copied` and `refused`: what it says instead of `label` after a click. Its words come from `ui::copy`.
#[island]
pub fn CopyIsland(text: String, label: String, copied: String, refused: String) -> impl IntoView {
    let last = RwSignal::new(Copied::NotYet);
    let available = RwSignal::new(false);
    Effect::new(move |_| available.set(window().is_secure_context()));
    let on_click = move |_| {
        let written = window().navigator().clipboard().write_text(&text);
        spawn_local(async move {
            // A browser may refuse, and a secret that is shown once must not be believed copied.
            last.set(if written.await.is_ok() { Copied::Yes } else { Copied::Refused });
            set_timeout(move || last.set(Copied::NotYet), Duration::from_secs(2));
        });
    };
    view! {
        <button class="button button-quiet needs-js" type="button" hidden=move || !available.get() on:click=on_click>
            <span aria-live="polite">
                {move || match last.get() {
                    Copied::NotYet => label.clone(),
                    Copied::Yes => copied.clone(),
                    Copied::Refused => refused.clone(),
                }}
            </span>
        </button>
    }
}
