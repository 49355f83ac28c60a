//! The form that makes a key.

use crate::error::{ConsoleError, Field};
use crate::ids::KeyId;
use crate::keys::page_forms::{NameField, QuotaField, SupplierField};
use crate::keys::server_fns::CreateKey;
use crate::suppliers::types::SupplierChoice;
use crate::t;
use crate::ui::error_text::sentence;
use crate::ui::form::{FormError, Labelled, Submit, error_of};
use crate::ui::last_form::typed;
use crate::ui::utc_time::minute;
use crate::utc::UtcTime;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

/// `ends`: when a key ends that lasts so many days.
#[component]
pub fn CreateForm(form_key: KeyId, suppliers: Vec<SupplierChoice>, ends: Vec<(u64, UtcTime)>) -> impl IntoView {
    let error = error_of(CreateKey::PATH);
    let typed = |name| typed(CreateKey::PATH, name, "");
    let disabled = typed("status") == "disabled";
    view! {
        <section class="card stack key-form" id="create">
            <h2>{t!("Create a key")}</h2>
            <FormError error />
            <form method="post" action=CreateKey::PATH>
                <input type="hidden" name="form_key" value=form_key.to_string() />
                <NameField error value=typed("name") />
                <SupplierField error suppliers chosen=typed("supplier") />
                <QuotaField error value=typed("quota") />
                <Lasting error ends />
                <Labelled id="status" label=t!("Status") field=Field::Status error>
                    <select id="status" name="status">
                        <option value="enabled" selected={!disabled}>{t!("Enabled: works at once")}</option>
                        <option value="disabled" selected=disabled>{t!("Disabled: enable it later")}</option>
                    </select>
                </Labelled>
                <Submit>{t!("Create the key")}</Submit>
            </form>
        </section>
    }
}

/// For how long it is to work: a few usual spans, a day of one's own, or for ever.
#[component]
fn Lasting(error: Option<ConsoleError>, ends: Vec<(u64, UtcTime)>) -> impl IntoView {
    let chosen = typed(CreateKey::PATH, "expires", "never");
    let choice = |value: String, label: String, line: String| {
        let checked = value == chosen;
        view! {
            <label class="choice">
                <input type="radio" name="expires" value=value checked=checked />
                <span>
                    <strong>{label}</strong>
                    <span class="choice-line muted">{line}</span>
                </span>
            </label>
        }
    };
    let presets = ends.into_iter().map(|(days, end)| {
        choice(days.to_string(), t!("In {days} days", days = days), t!("The last moment is {time}.", time = minute(end)))
    });
    let presets = presets.collect_view();
    let problem = error.filter(|error| error.field() == Some(Field::Expiration)).map(sentence);
    let class = if problem.is_some() { "field choices field-invalid" } else { "field choices" };
    view! {
        <fieldset class=class>
            <legend>{t!("Expires")}</legend>
            {choice("never".into(), t!("Never").into(), t!("Until you disable or delete it.").into())}
            {presets}
            {choice("custom".into(), t!("On a day of your choice").into(), t!("It works until that day is over in your time zone.").into())}
            <div class="field">
                <label for="expires_at">{t!("Last day")}</label>
                <input
                    id="expires_at"
                    name="expires_at"
                    type="date"
                    value=typed(CreateKey::PATH, "expires_at", "")
                    aria-describedby="expires_at-error"
                />
                {problem.map(|problem| view! { <p class="field-error" id="expires_at-error">{problem}</p> })}
            </div>
        </fieldset>
    }
}
