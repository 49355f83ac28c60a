//! What every form is made of: labelled fields with their errors, the summary above them, the button below.

use crate::error::{ConsoleError, Field};
use crate::ui::error_text::sentence;
use leptos::prelude::*;
use leptos::server::ServerActionError;
use leptos::server_fn::ServerFn;
use leptos::server_fn::error::ServerFnUrlError;

/// The failure of a form, above it; has the focus when the page opens.
#[component]
pub fn FormError(#[prop(into)] error: Signal<Option<ConsoleError>>) -> impl IntoView {
    view! {
        {move || {
            error
                .get()
                .map(|error| {
                    view! {
                        <p class="notice notice-error" role="alert" tabindex="-1" autofocus>
                            {sentence(error)}
                        </p>
                    }
                })
        }}
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
            {(!hint.is_empty()).then(|| view! { <p class="field-hint" id=format!("{id}-hint")>{hint}</p> })}
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
        <button class="button button-primary" type="submit" disabled=pending aria-busy=move || pending.get().then_some("true")>
            {children()}
        </button>
    }
}

/// The error of an action, from JavaScript or from the address after a plain form post.
pub fn error_of<T: 'static>(
    value: impl Get<Value = Option<Result<T, ConsoleError>>> + Send + Sync + 'static,
) -> Signal<Option<ConsoleError>> {
    Signal::derive(move || value.get().and_then(Result::err))
}

/// The error that a plain form post to `path` came back with, in the address of its page. For forms that need no script at all.
pub fn error_of_post(path: &str) -> Signal<Option<ConsoleError>> {
    let error = use_context::<ServerActionError>().filter(|error| error.path() == path);
    Signal::stored(error.map(|error| ServerFnUrlError::<ConsoleError>::decode_err(error.err())))
}

/// How often an action has succeeded. Pages load again on this and not on every attempt: what was typed into a form that is refused
/// must stay there.
pub fn successes<S>(action: ServerAction<S>) -> Memo<usize>
where
    S: ServerFn<Output = (), Error = ConsoleError> + Clone + Send + Sync + 'static,
{
    let value = action.value();
    Memo::new(move |before: Option<&usize>| {
        let succeeded = value.with(|value| matches!(value, Some(Ok(()))));
        before.copied().unwrap_or_default() + usize::from(succeeded)
    })
}
