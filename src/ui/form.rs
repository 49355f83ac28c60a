//! What every form is made of: labelled fields with their errors, the summary above them, the button below. Forms are plain posts that
//! come back to their page, with the error in its address or with what was done in the session (`ui::last_form`).

use crate::error::{ConsoleError, Field};
use crate::ui::error_text::sentence;
use crate::ui::last_form::done;
use leptos::prelude::*;
use leptos::server::ServerActionError;
use leptos::server_fn::error::ServerFnUrlError;

/// The error that the form of `path` came back with.
pub fn error_of(path: &str) -> Option<ConsoleError> {
    let error = use_context::<ServerActionError>().filter(|error| error.path() == path)?;
    Some(ServerFnUrlError::<ConsoleError>::decode_err(error.err()))
}

/// The failure of a form, above it; has the focus when the page opens.
#[component]
pub fn FormError(error: Option<ConsoleError>) -> impl IntoView {
    error.map(|error| {
        view! {
            <p class="notice notice-error" role="alert" tabindex="-1" autofocus>
                {sentence(error)}
            </p>
        }
    })
}

/// Said above the form of `path` when it has just been taken.
#[component]
pub fn FormDone(path: &'static str, children: Children) -> impl IntoView {
    done(path).then(|| {
        view! {
            <p class="notice notice-ok" role="status">
                {children()}
            </p>
        }
    })
}

/// What marks the control of `field` as invalid, when `error` is about it: the value of `aria-invalid`.
pub fn invalid(error: Option<ConsoleError>, field: Field) -> Option<&'static str> {
    error.is_some_and(|error| error.field() == Some(field)).then_some("true")
}

/// A labelled control with its hint and, when `error` is about `field`, the error beside it. The control is the child, and is marked
/// invalid then; give it `id` and, for both to be read out, `aria-describedby=format!("{id}-hint {id}-error")`.
#[component]
pub fn Labelled(
    #[prop(into)] id: String,
    label: &'static str,
    field: Field,
    error: Option<ConsoleError>,
    #[prop(optional, into)] hint: String,
    /// The control stands inside of the child, and is marked there ([`invalid`]): what is around it cannot be invalid.
    #[prop(optional)]
    marked_inside: bool,
    children: Children,
) -> impl IntoView {
    let mark = invalid(error, field).filter(|_| !marked_inside);
    let problem = error.filter(|error| error.field() == Some(field)).map(sentence);
    let class = if problem.is_some() { "field field-invalid" } else { "field" };
    let control = children();
    // An attribute from outside is dear, and hardly any field needs it.
    let control = if mark.is_some() { control.add_any_attr(leptos::attr::aria_invalid(mark)).into_any() } else { control };
    view! {
        <div class=class>
            <label for=id.clone()>{label}</label>
            {control}
            {(!hint.is_empty()).then(|| view! { <p class="field-hint" id=format!("{id}-hint")>{hint}</p> })}
            {problem.map(|problem| view! { <p class="field-error" id=format!("{id}-error")>{problem}</p> })}
        </div>
    }
}

/// The form's one primary action.
#[component]
pub fn Submit(children: Children) -> impl IntoView {
    view! {
        <button class="button button-primary" type="submit">
            {children()}
        </button>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Problem;

    fn name_field(error: Option<ConsoleError>) -> String {
        let field = || {
            view! {
                <Labelled id="name" label="Name" field=Field::Name error>
                    <input id="name" name="name" aria-describedby="name-error" />
                </Labelled>
            }
        };
        Owner::new().with(|| field().to_html())
    }

    #[test]
    fn what_stands_around_a_control_is_not_marked() {
        let error = Some(ConsoleError::Invalid { field: Field::Name, problem: Problem::Empty });
        let field = || {
            view! {
                <Labelled id="name" label="Name" field=Field::Name error marked_inside=true>
                    <div>
                        <input id="name" name="name" aria-invalid=invalid(error, Field::Name) />
                    </div>
                </Labelled>
            }
        };
        let wrong = Owner::new().with(|| field().to_html());
        assert_eq!(wrong.matches(r#"aria-invalid="true""#).count(), 1, "{wrong}");
        assert!(wrong.find("<input") < wrong.find("aria-invalid") && wrong.contains(r#"id="name-error""#), "{wrong}");
        assert_eq!((invalid(error, Field::Quota), invalid(None, Field::Name)), (None, None));
    }

    #[test]
    fn the_control_that_an_error_is_about_is_marked_invalid() {
        let about = |field| Some(ConsoleError::Invalid { field, problem: Problem::Empty });
        let wrong = name_field(about(Field::Name));
        assert_eq!(wrong.matches(r#"aria-invalid="true""#).count(), 1, "{wrong}");
        assert!(wrong.find("<input") < wrong.find("aria-invalid") && wrong.contains(r#"id="name-error""#), "{wrong}");
        for fine in [name_field(None), name_field(about(Field::Quota))] {
            assert!(!fine.contains("aria-invalid") && !fine.contains("field-error"), "{fine}");
        }
    }
}
