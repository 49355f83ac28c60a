//! Controls of forms that are more than an input: a choice of a few, a thing that is on or off.

use crate::error::{ConsoleError, Field};
use crate::html::{Escaped, escaped};
use crate::ui::form::Labelled;
use crate::{push, t};
use leptos::prelude::*;

/// One of the things to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub value: String,
    pub name: String,
}

/// The browser's own list, with its label in a `Labelled` around it, or above it: `id` is the label's `for`.
#[component]
pub fn Select(
    #[prop(into)] id: String,
    name: &'static str,
    choices: Vec<Choice>,
    #[prop(into)] chosen: String,
    #[prop(optional)] disabled: bool,
    /// The id of what says more: a hint, an error.
    #[prop(optional, into)]
    described_by: Option<String>,
) -> impl IntoView {
    // As text: there may be as many as there are models.
    let mut options = String::new();
    for Choice { value, name } in &choices {
        let selected = if *value == chosen { " selected" } else { "" };
        push!(options, r#"<option value="{}"{selected}>{}</option>"#, Escaped(value), Escaped(name));
    }
    view! { <select id=id name=name disabled=disabled aria-describedby=described_by inner_html=options></select> }
}

/// Two fields of a filter: a stretch of days, from its first to its last. `id` begins their ids. What is wrong with them is said once,
/// beside the first, and belongs to both.
#[component]
pub fn DayFields(id: &'static str, from: String, to: String, error: Option<ConsoleError>) -> impl IntoView {
    let wrong = error.is_some_and(|error| error.field() == Some(Field::Day));
    let described_by = wrong.then(|| format!("{id}-from-error"));
    let (from_id, to_id) = (format!("{id}-from"), format!("{id}-to"));
    let first = view! { <input id=from_id.clone() name="from" type="date" value=from aria-describedby=described_by.clone() /> };
    view! {
        <Labelled id=from_id label=t!("First day") field=Field::Day error>
            {first}
        </Labelled>
        <div class=if wrong { "field field-invalid" } else { "field" }>
            <label for=to_id.clone()>{t!("Last day")}</label>
            <input
                id=to_id
                name="to"
                type="date"
                value=to
                aria-invalid=wrong.then_some("true")
                aria-describedby=described_by
            />
        </div>
    }
}

/// A field of several lines. Leptos writes the children of a `<textarea>` as they are, so that what somebody typed could end it and go on
/// as markup: here it is escaped, and nowhere else is such a field made (`tests/tidy`).
#[component]
pub fn TextArea(
    #[prop(into)] id: String,
    #[prop(into)] name: String,
    text: String,
    #[prop(default = 3)] rows: u8,
    #[prop(optional)] required: bool,
    #[prop(optional, into)] maxlength: Option<String>,
    #[prop(default = "off")] autocomplete: &'static str,
    /// The id of what says more: a hint, an error.
    #[prop(optional, into)]
    described_by: Option<String>,
) -> impl IntoView {
    view! {
        <textarea
            id=id
            name=name
            rows=rows.to_string()
            required=required
            maxlength=maxlength
            autocomplete=autocomplete
            spellcheck="false"
            aria-describedby=described_by
            inner_html=escaped(&text)
        ></textarea>
    }
}

/// A form that is one switch: pressing it sends the other of two values. With a script it turns at once (`islands::switches`). `values` and
/// `words` are those of off and on; what else is sent are the children.
#[component]
pub fn SwitchForm(
    action: &'static str,
    name: &'static str,
    values: [&'static str; 2],
    words: [&'static str; 2],
    on: bool,
    /// What is on when it is on.
    #[prop(into)]
    label: String,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let [now, next] = if on { [values[1], values[0]] } else { values };
    view! {
        <form method="post" action=action class="switch-form" data-switch="">
            {children.map(|children| children())}
            <input type="hidden" name=name value=next data-other=now autocomplete="off" />
            <button type="submit" role="switch" aria-checked=if on { "true" } else { "false" } aria-label=label></button>
            <span class="when-off">{words[0]}</span>
            <span class="when-on">{words[1]}</span>
        </form>
    }
}

/// A setting that is on or off, as its form says when it is sent: `name=true`, or nothing. `note` says what being on means.
#[component]
pub fn Switch(
    name: &'static str,
    #[prop(into)] label: String,
    on: bool,
    #[prop(optional)] disabled: bool,
    #[prop(optional, into)] note: Option<String>,
) -> impl IntoView {
    view! {
        <label class="switch">
            <input type="checkbox" role="switch" name=name value="true" checked=on disabled=disabled />
            <span>{label} {note.map(|note| view! { <span class="field-hint switch-note">{note}</span> })}</span>
        </label>
    }
}
