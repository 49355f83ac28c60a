//! For how long a key is to work, in the forms that make and edit it.

use crate::error::{ConsoleError, Field};
use crate::html::Escaped;
use crate::t;
use crate::ui::error_text::sentence;
use crate::ui::form::invalid;
use crate::ui::last_form::typed;
use crate::ui::utc_time::minute;
use crate::utc::UtcTime;
use leptos::prelude::*;
use leptos::tachys::html::InertElement;

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
    // As text: there are half a dozen, each of five elements.
    let choice = |class: &str, value: &str, label: &str, line: &str| {
        let (checked, label, line) = (if value == chosen { " checked" } else { "" }, Escaped(label), Escaped(line));
        format!(
            "<label class=\"{class}\"><input type=\"radio\" name=\"expires\" value=\"{value}\"{checked}>\
             <span><strong>{label}</strong><span class=\"choice-line muted\">{line}</span></span></label>"
        )
    };
    let until = |end| t!("Until {time}", time = minute(end));
    let mut choices = current.map(|end| choice("choice choice-wide", KEEP, t!("As it is"), &until(end))).unwrap_or_default();
    choices.push_str(&choice("choice", "never", t!("Never"), t!("Until you disable or delete it.")));
    for (days, end) in ends {
        choices.push_str(&choice("choice", &days.to_string(), &t!("In {days} days", days = days), &until(end)));
    }
    let own_day = t!("It works until that day is over in your time zone.");
    let custom = choice("choice-label", "custom", t!("On a day of your choice"), own_day);
    let wrong = invalid(error, Field::Expiration);
    let problem = error.filter(|error| error.field() == Some(Field::Expiration)).map(sentence);
    let class = if problem.is_some() { "field choices choices-grid field-invalid" } else { "field choices choices-grid" };
    view! {
        <fieldset class=class>
            <legend>{t!("Expires")}</legend>
            {InertElement::new(choices)}
            // Its day stands beside it, and only while it is chosen: a day that was typed for nothing would be lost in silence.
            <div class="choice choice-wide choice-day">
                {InertElement::new(custom)}
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
