//! A button that shows the password in the field beside it. It shows only where there is JavaScript to do it.

use leptos::prelude::*;
use leptos::wasm_bindgen::JsCast;
use leptos::web_sys::HtmlInputElement;

/// `input`: the id of the field. `show` and `hide` are what the button says, the labels what it is called in full.
#[island]
pub fn RevealButton(input: String, show: String, hide: String, show_label: String, hide_label: String) -> impl IntoView {
    let available = RwSignal::new(false);
    let shown = RwSignal::new(false);
    Effect::new(move |_| available.set(true));
    Effect::new(move |_| {
        let shown = shown.get();
        let field = document().get_element_by_id(&input).and_then(|field| field.dyn_into::<HtmlInputElement>().ok());
        if let Some(field) = field {
            field.set_type(if shown { "text" } else { "password" });
        }
    });
    view! {
        <button
            class="button button-quiet"
            type="button"
            hidden=move || !available.get()
            aria-label=move || if shown.get() { hide_label.clone() } else { show_label.clone() }
            on:click=move |_| shown.update(|shown| *shown = !*shown)
        >
            {move || if shown.get() { hide.clone() } else { show.clone() }}
        </button>
    }
}
