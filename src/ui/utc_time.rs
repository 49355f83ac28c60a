//! Moments and spans, in the reader's language and time zone.

use crate::i18n::language;
use crate::preferences::time_zone;
use crate::t;
use crate::utc::{self, Written};
use chrono_tz::Tz;
use leptos::prelude::*;
use leptos::tachys::html::InertElement;
use std::fmt::{self, Display};

/// `24 Dec 2026, 15:00 UTC`; where room is short it breaks after the day and nowhere else.
#[component]
pub fn UtcTime(time: utc::UtcTime) -> impl IntoView {
    InertElement::new(time_html(time).to_string())
}

/// [`UtcTime`], in UTC whoever reads it: a document has one date, and its number has the year of that.
#[component]
pub fn DocumentTime(time: utc::UtcTime) -> impl IntoView {
    InertElement::new(html_in(Tz::UTC, time).to_string())
}

/// [`UtcTime`] as text: a table has one in every row.
pub fn time_html(time: utc::UtcTime) -> impl Display {
    html_in(time_zone(), time)
}

fn html_in(zone: Tz, time: utc::UtcTime) -> impl Display {
    let language = language();
    fmt::from_fn(move |out| {
        let (moment, written, comma) = (time.rfc3339(), time.written(zone, language), language.choose(",", ""));
        let (second, day, clock) = (written.second(), written.day(), written.clock());
        write!(out, r#"<time datetime="{moment}" title="{second}"><span>{day}{comma}</span> <span>{clock}</span></time>"#)
    })
}

/// `24 Dec 2026, 15:00 UTC`, inside of a sentence.
pub fn minute(time: utc::UtcTime) -> String {
    written(time).minute().to_string()
}

/// `24 Dec 2026`
pub fn day(time: utc::UtcTime) -> String {
    written(time).day().to_string()
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
    use crate::i18n::{Language, speaking};

    #[test]
    fn a_moment_may_break_after_its_day() {
        let moment: utc::UtcTime = serde_json::from_str("\"2026-02-04T05:06:07Z\"").expect("a moment");
        let html = |language, zone| speaking(language, || html_in(zone, moment).to_string());
        let time = |title, day, clock| {
            format!(r#"<time datetime="2026-02-04T05:06:07Z" title="{title}"><span>{day}</span> <span>{clock}</span></time>"#)
        };
        assert_eq!(html(Language::English, Tz::UTC), time("4 Feb 2026, 05:06:07 UTC", "4 Feb 2026,", "05:06 UTC"));
        assert_eq!(html(Language::Chinese, Tz::Asia__Shanghai), time("2026年2月4日 13:06:07 CST", "2026年2月4日", "13:06 CST"));
    }

    #[test]
    fn validity_picks_the_largest_whole_unit() {
        for (seconds, words) in
            [(86_400, "1 day"), (2_592_000, "30 days"), (3_600, "1 hour"), (43_200, "12 hours"), (5_400, "90 minutes"), (60, "1 minute")]
        {
            assert_eq!(validity(seconds), words);
        }
    }
}
