//! For how long a key is to work, in the forms that make and edit it.

use crate::error::{ConsoleError, Field};
use crate::t;
use crate::ui::error_text::sentence;
use crate::ui::form::invalid;
use crate::ui::last_form::typed;
use crate::ui::utc_time::minute;
use crate::utc::UtcTime;
use leptos::prelude::*;

/// As the form posts that an expiration stays.
const KEEP: &str = "keep";

/// A few usual spans, a day of one's own, or for ever; and the expiration that the key has, if it has one. `ends`: when a key ends that
/// lasts so many days from now on.
#[component]
pub fn Lasting(
    /// Of the form's server function.
    path: &'static str,
    error: Option<ConsoleError>,
    ends: Vec<(u64, UtcTime)>,
    #[prop(optional_no_strip)] current: Option<UtcTime>,
) -> impl IntoView {
    let chosen = typed(path, "expires", if current.is_some() { KEEP } else { "never" });
    let choice = |class: &'static str, value: String, label: String, line: String| {
        let checked = value == chosen;
        view! {
            <label class=class>
                <input type="radio" name="expires" value=value checked=checked />
                <span>
                    <strong>{label}</strong>
                    <span class="choice-line muted">{line}</span>
                </span>
            </label>
        }
    };
    let until = |end| t!("Until {time}", time = minute(end));
    let present = current.map(|end| choice("choice choice-wide", KEEP.into(), t!("As it is").into(), until(end)));
    let presets = ends.into_iter().map(|(days, end)| choice("choice", days.to_string(), t!("In {days} days", days = days), until(end)));
    let presets = presets.collect_view();
    let own_day = t!("It works until that day is over in your time zone.");
    let wrong = invalid(error, Field::Expiration);
    let problem = error.filter(|error| error.field() == Some(Field::Expiration)).map(sentence);
    let class = if problem.is_some() { "field choices choices-grid field-invalid" } else { "field choices choices-grid" };
    view! {
        <fieldset class=class>
            <legend>{t!("Expires")}</legend>
            {present}
            {choice("choice", "never".into(), t!("Never").into(), t!("Until you disable or delete it.").into())}
            {presets}
            // Its day stands beside it, and only while it is chosen: a day that was typed for nothing would be lost in silence.
            <div class="choice choice-wide choice-day">
                {choice("choice-label", "custom".into(), t!("On a day of your choice").into(), own_day.into())}
                <div class="field">
                    <label for="expires_at">{t!("Last day")}</label>
                    <input
                        id="expires_at"
                        name="expires_at"
                        type="date"
                        value=typed(path, "expires_at", "")
                        aria-invalid=wrong
                        aria-describedby="expires_at-error"
                    />
                    {problem.map(|problem| view! { <p class="field-error" id="expires_at-error">{problem}</p> })}
                </div>
            </div>
        </fieldset>
    }
}
