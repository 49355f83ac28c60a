//! `UtcTime`: a moment, to the second, and how people write it.

use crate::i18n::Language;
use chrono::{DateTime, Datelike, SecondsFormat, SubsecRound, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// A moment. Travels as RFC 3339 in UTC: `2026-12-24T15:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UtcTime(DateTime<Utc>);

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment as it is written somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// `24 Dec 2026`, `2026年12月24日`
    pub day: String,
    /// `15:00 UTC`
    pub clock: String,
    /// `24 Dec 2026, 15:00:07 UTC`
    pub second: String,
    /// `24 Dec`, `12月24日`
    pub short_day: String,
    /// `15:00`
    pub hour: String,
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
        let written = self.written(Tz::UTC, language);
        format!("{}{}{}", written.day, language.choose(", ", " "), written.clock)
    }

    pub fn written(self, zone: Tz, language: Language) -> Written {
        let local = self.0.with_timezone(&zone);
        let (year, month, number) = (local.year(), local.month(), local.day());
        let name = MONTHS[local.month0() as usize];
        let short_day = match language {
            Language::English => format!("{number} {name}"),
            Language::Chinese => format!("{month}月{number}日"),
        };
        let day = match language {
            Language::English => format!("{short_day} {year}"),
            Language::Chinese => format!("{year}年{short_day}"),
        };
        let hour = format!("{:02}:{:02}", local.hour(), local.minute());
        let clock = format!("{hour} {}", local.offset());
        let second = format!("{day}{}{hour}:{:02} {}", language.choose(", ", " "), local.second(), local.offset());
        Written { day, clock, second, short_day, hour }
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
            let Written { day, clock, second, short_day, hour } = moment().written(zone, language);
            [day, clock, second, short_day, hour]
        };
        assert_eq!(written(Tz::UTC, Language::English), ["4 Feb 2026", "05:06 UTC", "4 Feb 2026, 05:06:07 UTC", "4 Feb", "05:06"]);
        assert_eq!(
            written(Tz::Asia__Shanghai, Language::Chinese),
            ["2026年2月4日", "13:06 CST", "2026年2月4日 13:06:07 CST", "2月4日", "13:06"]
        );
        assert_eq!(written(Tz::America__Los_Angeles, Language::English)[0], "3 Feb 2026");
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
