//! `UtcTime`: a moment, to the second, and how people write it.

use crate::i18n::Language;
use chrono::{DateTime, Datelike, SecondsFormat, SubsecRound, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};

/// A moment. Travels as RFC 3339 in UTC: `2026-12-24T15:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UtcTime(DateTime<Utc>);

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment as it is written somewhere: each part when it is asked for, straight to where it is to stand.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    local: DateTime<Tz>,
    language: Language,
}

impl Written {
    /// `24 Dec 2026`, `2026年12月24日`
    pub fn day(self) -> impl Display {
        fmt::from_fn(move |out| match self.language {
            Language::English => write!(out, "{} {}", self.short_day(), self.local.year()),
            Language::Chinese => write!(out, "{}年{}", self.local.year(), self.short_day()),
        })
    }

    /// `24 Dec`, `12月24日`
    pub fn short_day(self) -> impl Display {
        fmt::from_fn(move |out| match self.language {
            Language::English => write!(out, "{} {}", self.local.day(), MONTHS[self.local.month0() as usize]),
            Language::Chinese => write!(out, "{}月{}日", self.local.month(), self.local.day()),
        })
    }

    /// `15:00`
    pub fn hour(self) -> impl Display {
        fmt::from_fn(move |out| write!(out, "{:02}:{:02}", self.local.hour(), self.local.minute()))
    }

    /// `15:00 UTC`
    pub fn clock(self) -> impl Display {
        fmt::from_fn(move |out| write!(out, "{} {}", self.hour(), self.local.offset()))
    }

    /// `24 Dec 2026, 15:00 UTC`
    pub fn minute(self) -> impl Display {
        fmt::from_fn(move |out| write!(out, "{}{}{}", self.day(), self.comma(), self.clock()))
    }

    /// `24 Dec 2026, 15:00:07 UTC`
    pub fn second(self) -> impl Display {
        let second = self.local.second();
        fmt::from_fn(move |out| write!(out, "{}{}{}:{second:02} {}", self.day(), self.comma(), self.hour(), self.local.offset()))
    }

    /// Between day and time.
    fn comma(self) -> &'static str {
        self.language.choose(", ", " ")
    }
}

impl UtcTime {
    pub fn rfc3339(self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// What a field for date and time takes, which knows no zone: `2026-12-24T15:00`.
    pub fn field_value(self) -> String {
        self.0.format("%Y-%m-%dT%H:%M").to_string()
    }

    /// `24 Dec 2026, 15:00 UTC`, for letters and terminals.
    pub fn minute(self, language: Language) -> String {
        self.written(Tz::UTC, language).minute().to_string()
    }

    pub fn written(self, zone: Tz, language: Language) -> Written {
        Written { local: self.0.with_timezone(&zone), language }
    }
}

impl From<DateTime<Utc>> for UtcTime {
    fn from(time: DateTime<Utc>) -> UtcTime {
        UtcTime(time.trunc_subsecs(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment() -> UtcTime {
        serde_json::from_str("\"2026-02-04T05:06:07Z\"").unwrap()
    }

    #[test]
    fn moments_are_written_where_and_how_people_read_them() {
        let written = |zone, language| {
            let written = moment().written(zone, language);
            let (day, clock, second) = (written.day().to_string(), written.clock().to_string(), written.second().to_string());
            [day, clock, second, written.short_day().to_string(), written.hour().to_string()]
        };
        assert_eq!(written(Tz::UTC, Language::English), ["4 Feb 2026", "05:06 UTC", "4 Feb 2026, 05:06:07 UTC", "4 Feb", "05:06"]);
        assert_eq!(
            written(Tz::Asia__Shanghai, Language::Chinese),
            ["2026年2月4日", "13:06 CST", "2026年2月4日 13:06:07 CST", "2月4日", "13:06"]
        );
        assert_eq!(
            written(Tz::America__Los_Angeles, Language::English),
            ["3 Feb 2026", "21:06 PST", "3 Feb 2026, 21:06:07 PST", "3 Feb", "21:06"]
        );
        assert_eq!(moment().minute(Language::English), "4 Feb 2026, 05:06 UTC");
        assert_eq!(moment().minute(Language::Chinese), "2026年2月4日 05:06 UTC");
    }

    #[test]
    fn moments_travel_as_rfc_3339() {
        assert_eq!(serde_json::to_string(&moment()).unwrap(), "\"2026-02-04T05:06:07Z\"");
        assert_eq!(moment().rfc3339(), "2026-02-04T05:06:07Z");
        assert_eq!(moment().field_value(), "2026-02-04T05:06");
    }
}
