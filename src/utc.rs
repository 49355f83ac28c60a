//! `UtcTime`: a moment as it crosses the wire. Made on the server, read by pages without a clock or a time zone of their own.

use serde::{Deserialize, Serialize};

/// RFC 3339 in UTC, to the second: `2026-12-24T15:00:00Z`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UtcTime(String);

impl UtcTime {
    pub fn rfc3339(&self) -> &str {
        &self.0
    }

    /// `24 Dec 2026`
    pub fn day(&self) -> String {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let part = |range: std::ops::Range<usize>| self.0.get(range).unwrap_or_default();
        let month = part(5..7).parse::<usize>().ok().and_then(|m| MONTHS.get(m.wrapping_sub(1))).copied().unwrap_or_default();
        format!("{} {month} {}", part(8..10).trim_start_matches('0'), part(0..4))
    }

    /// `24 Dec 2026, 15:00 UTC`
    pub fn minute(&self) -> String {
        format!("{}, {}", self.day(), self.clock())
    }

    /// `15:00 UTC`
    pub fn clock(&self) -> String {
        format!("{} UTC", self.0.get(11..16).unwrap_or_default())
    }

    /// `24 Dec 2026, 15:00:07 UTC`
    pub fn second(&self) -> String {
        format!("{}, {} UTC", self.day(), self.0.get(11..19).unwrap_or_default())
    }
}

impl From<chrono::DateTime<chrono::Utc>> for UtcTime {
    fn from(time: chrono::DateTime<chrono::Utc>) -> UtcTime {
        UtcTime(time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
    }
}

/// How long a package is valid, in words: whole days, else hours, else minutes.
pub fn validity(seconds: i64) -> String {
    let (count, unit) = match seconds {
        s if s % 86_400 == 0 => (s / 86_400, "day"),
        s if s % 3_600 == 0 => (s / 3_600, "hour"),
        s => (s / 60, "minute"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_say_day_minute_and_second() {
        let time = UtcTime("2026-02-04T05:06:07Z".into());
        assert_eq!(time.day(), "4 Feb 2026");
        assert_eq!(time.minute(), "4 Feb 2026, 05:06 UTC");
        assert_eq!(time.second(), "4 Feb 2026, 05:06:07 UTC");
    }

    #[test]
    fn validity_picks_the_largest_whole_unit() {
        for (seconds, words) in [(86_400, "1 day"), (2_592_000, "30 days"), (43_200, "12 hours"), (5_400, "90 minutes")] {
            assert_eq!(validity(seconds), words);
        }
    }
}
