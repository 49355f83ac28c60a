//! A button that opens the browser's own dialog for printing. Every browser has one, so without JavaScript nothing is missing.

use leptos::prelude::*;

#[island]
pub fn PrintButton(label: String) -> impl IntoView {
    let available = RwSignal::new(false);
    Effect::new(move |_| available.set(true));
    let print = move |_| {
        // A browser that refuses has said so itself.
        let _ = window().print();
    };
    view! {
        <button class="button no-print" type="button" hidden=move || !available.get() on:click=print>
            {label}
        </button>
    }
}
