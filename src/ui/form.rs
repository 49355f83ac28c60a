//! What every form is made of: labelled fields with their errors, the summary above them, the button below. Forms are plain posts that
//! come back to their page, with the error in its address or with what was done in the session (`ui::last_form`).

use crate::error::{ConsoleError, Field};
use crate::html::Escaped;
use crate::push;
use crate::ui::error_text::sentence;
use crate::ui::last_form::done;
use leptos::prelude::*;
use leptos::server::ServerActionError;
use leptos::server_fn::error::ServerFnUrlError;
use leptos::tachys::html::InertElement;

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
    // An attribute from outside is boxed and handed to each element, and hardly any field needs it.
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

/// A [`Labelled`] field of one line with a hint, as text: a key's page has seven, each of four elements.
#[component]
pub fn LineField(
    id: &'static str,
    /// As the form sends it, where that is not its id.
    #[prop(optional, into)]
    name: Option<String>,
    label: &'static str,
    field: Field,
    error: Option<ConsoleError>,
    #[prop(optional)] hint: &'static str,
    value: String,
    /// What else the browser is told of the field, as HTML with a space before it.
    #[prop(optional, into)]
    attributes: String,
) -> impl IntoView {
    let problem = error.filter(|error| error.field() == Some(field)).map(sentence);
    let (class, mark) = if problem.is_some() { ("field field-invalid", r#" aria-invalid="true""#) } else { ("field", "") };
    let (name, label, value) = (Escaped(name.as_deref().unwrap_or(id)), Escaped(label), Escaped(&value));
    let mut html = String::with_capacity(512);
    push!(html, r#"<div class="{class}"><label for="{id}">{label}</label>"#);
    push!(html, r#"<input id="{id}" name="{name}" type="text"{attributes} autocomplete="off" value="{value}""#);
    push!(html, r#" aria-describedby="{id}-hint {id}-error"{mark}>"#);
    if !hint.is_empty() {
        push!(html, r#"<p class="field-hint" id="{id}-hint">{}</p>"#, Escaped(hint));
    }
    if let Some(problem) = problem {
        push!(html, r#"<p class="field-error" id="{id}-error">{}</p>"#, Escaped(&problem));
    }
    html.push_str("</div>");
    InertElement::new(html)
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

    #[test]
    fn a_field_that_is_written_as_text_says_what_a_labelled_one_says() {
        let html = |error: Option<ConsoleError>| {
            let value = "\"a\" & <b>".to_string();
            let field = || {
                view! {
                    <LineField
                        id="quota"
                        name="limits[quota]"
                        label="Quota"
                        field=Field::Quota
                        error
                        hint="None: no limit."
                        value
                        attributes=" required"
                    />
                }
            };
            Owner::new().with(|| field().to_html())
        };
        let problem = Problem::TooLarge;
        let other = html(Some(ConsoleError::Invalid { field: Field::Name, problem }));
        assert_eq!(html(None), other);
        let input = r#"<input id="quota" name="limits[quota]" type="text" required autocomplete="off""#;
        let rest = r#" value="&quot;a&quot; &amp; &lt;b&gt;" aria-describedby="quota-hint quota-error">"#;
        assert!(other.contains(&format!(r#"<label for="quota">Quota</label>{input}{rest}"#)), "{other}");
        assert!(other.contains(r#"<p class="field-hint" id="quota-hint">None: no limit.</p></div>"#), "{other}");
        let wrong = html(Some(ConsoleError::Invalid { field: Field::Quota, problem }));
        assert_eq!(wrong.matches(r#" aria-invalid="true">"#).count(), 1, "{wrong}");
        assert!(wrong.contains("field-invalid") && wrong.contains(r#"<p class="field-error" id="quota-error">"#), "{wrong}");
    }
}
