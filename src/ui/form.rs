//! What every form is made of: labelled fields with their errors, the summary above them, the button below.

use crate::error::{ConsoleError, Field};
use crate::ui::error_text::sentence;
use leptos::prelude::*;

/// The failure of a form, above it; takes the focus when it appears after hydration.
#[component]
pub fn FormError(#[prop(into)] error: Signal<Option<ConsoleError>>) -> impl IntoView {
    view! {
        {move || error.get().map(|error| view! { <p class="notice notice-error" role="alert">{sentence(error)}</p> })}
    }
}

/// A labelled control with its hint and, when `error` is about `field`, the error beside it. The control is the child; give it
/// `id` and, for the error to be read out, `aria-describedby=format!("{id}-error")`.
#[component]
pub fn Labelled(
    id: &'static str,
    label: &'static str,
    field: Field,
    #[prop(into)] error: Signal<Option<ConsoleError>>,
    #[prop(optional)] hint: &'static str,
    children: Children,
) -> impl IntoView {
    let problem = move || error.get().filter(|error| error.field() == Some(field)).map(sentence);
    view! {
        <div class="field" class:field-invalid=move || problem().is_some()>
            <label for=id>{label}</label>
            {children()}
            {(!hint.is_empty()).then(|| view! { <p class="field-hint">{hint}</p> })}
            <p class="field-error" id=format!("{id}-error") hidden=move || problem().is_none()>
                {move || problem().unwrap_or_default()}
            </p>
        </div>
    }
}

/// The form's one primary action. Disabled while it runs: cosmetics, since the server takes a double submit for one.
#[component]
pub fn Submit(#[prop(into)] pending: Signal<bool>, children: Children) -> impl IntoView {
    view! {
        <button class="button button-primary" type="submit" disabled=pending>
            {children()}
        </button>
    }
}

/// The error of an action, from JavaScript or from the address after a plain form post.
pub fn error_of<T: Send + Sync + Clone + 'static>(value: MappedSignal<Option<Result<T, ConsoleError>>>) -> Signal<Option<ConsoleError>> {
    Signal::derive(move || value.get().and_then(Result::err))
}
