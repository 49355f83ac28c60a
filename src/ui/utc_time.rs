//! Moments and spans, in the reader's language and time zone.

use crate::i18n::language;
use crate::preferences::time_zone;
use crate::t;
use crate::utc::{self, Written};
use chrono_tz::Tz;
use leptos::prelude::*;
use leptos::tachys::html::InertElement;

/// `24 Dec 2026, 15:00 UTC`; where room is short it breaks after the day and nowhere else.
#[component]
pub fn UtcTime(time: utc::UtcTime) -> impl IntoView {
    InertElement::new(time_html(time))
}

/// [`UtcTime`], in UTC whoever reads it: a document has one date, and its number has the year of that.
#[component]
pub fn DocumentTime(time: utc::UtcTime) -> impl IntoView {
    InertElement::new(html_as(time, time.written(Tz::UTC, language())))
}

/// [`UtcTime`] as text: a table has one in every row.
pub fn time_html(time: utc::UtcTime) -> String {
    html_as(time, written(time))
}

fn html_as(time: utc::UtcTime, written: Written) -> String {
    let Written { day, clock, second, .. } = written;
    let (moment, comma) = (time.rfc3339(), language().choose(",", ""));
    format!(r#"<time datetime="{moment}" title="{second}"><span>{day}{comma}</span> <span>{clock}</span></time>"#)
}

/// `24 Dec 2026, 15:00 UTC`, inside of a sentence.
pub fn minute(time: utc::UtcTime) -> String {
    let Written { day, clock, .. } = written(time);
    format!("{day}{}{clock}", language().choose(", ", " "))
}

/// `24 Dec 2026`
pub fn day(time: utc::UtcTime) -> String {
    written(time).day
}

/// In the reader's language and time zone.
pub fn written(time: utc::UtcTime) -> Written {
    time.written(time_zone(), language())
}

/// How long a package is valid: whole days, else hours, else minutes.
pub fn validity(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600, seconds / 60);
    match seconds {
        86_400 => t!("1 day").into(),
        3_600 => t!("1 hour").into(),
        s if s % 86_400 == 0 => t!("{days} days", days = days),
        s if s % 3_600 == 0 => t!("{hours} hours", hours = hours),
        60..120 => t!("1 minute").into(),
        _ => t!("{minutes} minutes", minutes = minutes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_picks_the_largest_whole_unit() {
        for (seconds, words) in
            [(86_400, "1 day"), (2_592_000, "30 days"), (3_600, "1 hour"), (43_200, "12 hours"), (5_400, "90 minutes"), (60, "1 minute")]
        {
            assert_eq!(validity(seconds), words);
        }
    }
}
