//! The stretch of time a page of usage is about, as its address says it, and the buckets it is shown in. Days are those of the reader's
//! time zone; totals are kept by the hour in UTC, so where a zone is no whole hours from it, a day begins with the hour it begins in.

use crate::error::{ConsoleError, Field, Problem};
use crate::utc::UtcTime;
use chrono::{DateTime, Datelike, Days, DurationRound, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Longer stretches are a table of figures too small to see.
const MOST_DAYS: u64 = 366;
/// What calendars and Postgres agree about.
const YEARS: std::ops::RangeInclusive<i32> = 2000..=9999;
/// Up to so many hours are shown by the hour.
const MOST_HOURS: i64 = 48;

/// The stretches that pages offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preset {
    Today,
    Week,
    Month,
}

impl Preset {
    pub const ALL: [Preset; 3] = [Preset::Today, Preset::Week, Preset::Month];

    pub fn as_str(self) -> &'static str {
        match self {
            Preset::Today => "today",
            Preset::Week => "7d",
            Preset::Month => "30d",
        }
    }

    /// Days, today included.
    fn days(self) -> u64 {
        match self {
            Preset::Today => 1,
            Preset::Week => 7,
            Preset::Month => 30,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    Hour,
    Day,
}

/// From one moment to another, the second not included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// None when the address names moments of its own.
    pub preset: Option<Preset>,
    pub unit: Unit,
    /// When each bucket begins; never none.
    pub starts: Vec<DateTime<Utc>>,
    pub end: DateTime<Utc>,
}

impl Range {
    /// `name` is a preset, or nothing for the longest. `from` and `to` go before it: days (`2026-12-24`, the last one included) or moments
    /// (RFC 3339, the last one not included), which are cut to the hour.
    pub fn parse(name: &str, from: &str, to: &str, zone: Tz, now: DateTime<Utc>) -> Result<Range, ConsoleError> {
        let today = today(zone, now);
        if from.is_empty() && to.is_empty() {
            let preset = match name {
                "" => Preset::Month,
                name => Preset::ALL.into_iter().find(|preset| preset.as_str() == name).ok_or(ConsoleError::NotFound)?,
            };
            return Ok(Range::of(preset, zone, now));
        }
        let start = match (from, to) {
            // As long as the longest preset, up to the day that was named.
            ("", to) => beginning(day_of(moment(to, zone, true)?, zone) - Days::new(Preset::Month.days()), zone),
            (from, _) => moment(from, zone, false)?,
        };
        let end = if to.is_empty() { beginning(today + Days::new(1), zone) } else { moment(to, zone, true)? };
        if end <= start {
            return Err(ConsoleError::invalid(Field::Day, Problem::Reversed));
        }
        if end - start > TimeDelta::days(MOST_DAYS as i64 + 1) {
            return Err(ConsoleError::invalid(Field::Day, Problem::TooLong));
        }
        Ok(Range::between(None, start, end, zone))
    }

    /// Whether this is a range now.
    pub fn is_one(name: &str, from: &str, to: &str, zone: Tz) -> bool {
        Range::parse(name, from, to, zone, Utc::now()).is_ok()
    }

    pub fn of(preset: Preset, zone: Tz, now: DateTime<Utc>) -> Range {
        let today = today(zone, now);
        let start = beginning(today - Days::new(preset.days() - 1), zone);
        Range::between(Some(preset), start, beginning(today + Days::new(1), zone), zone)
    }

    fn between(preset: Option<Preset>, start: DateTime<Utc>, end: DateTime<Utc>, zone: Tz) -> Range {
        let unit = if end - start <= TimeDelta::hours(MOST_HOURS) { Unit::Hour } else { Unit::Day };
        let mut starts = vec![start];
        let mut last = start;
        loop {
            last = match unit {
                Unit::Hour => last + TimeDelta::hours(1),
                Unit::Day => beginning(day_of(last, zone) + Days::new(1), zone).max(last + TimeDelta::hours(1)),
            };
            if last >= end {
                return Range { preset, unit, starts, end };
            }
            starts.push(last);
        }
    }

    pub fn start(&self) -> DateTime<Utc> {
        self.starts.first().copied().unwrap_or(self.end)
    }

    /// When the bucket at `place` ends.
    pub fn end_of(&self, place: usize) -> DateTime<Utc> {
        self.starts.get(place + 1).copied().unwrap_or(self.end)
    }

    /// The days of the reader that it begins and ends with, as fields take them.
    pub fn days(&self, zone: Tz) -> (String, String) {
        (field_value(day_of(self.start(), zone)), field_value(day_of(self.end - TimeDelta::hours(1), zone)))
    }

    /// `from` and `to` of an address for the bucket at `place` alone: moments of an hour, the day of a day.
    pub fn bucket(&self, place: usize, zone: Tz) -> (String, String) {
        let (start, end) = (self.starts.get(place).copied().unwrap_or(self.end), self.end_of(place));
        match self.unit {
            Unit::Hour => {
                let moment = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
                (moment(start), moment(end))
            }
            Unit::Day => {
                let day = field_value(day_of(start, zone));
                (day.clone(), day)
            }
        }
    }

    /// The last second that belongs to it.
    pub fn last(&self) -> UtcTime {
        (self.end - TimeDelta::seconds(1)).into()
    }

    /// Which totals it takes (`usage_totals.unit`): those of days are by UTC.
    pub fn totals_unit(&self) -> &'static str {
        if self.is_of_whole_utc_days() { "day" } else { "hour" }
    }

    fn is_of_whole_utc_days(&self) -> bool {
        let midnight = |moment: &DateTime<Utc>| moment.time() == NaiveTime::MIN;
        midnight(&self.end) && self.starts.iter().all(midnight)
    }
}

/// `from` and `to` of an address as a form of days sends them, beside the moments that the days were filled in for (`since`, `until`):
/// those yet, while the days are theirs.
pub fn kept_moments(days: (String, String), moments: (String, String), zone: Tz) -> (String, String) {
    kept_at(days, moments, zone, Utc::now())
}

fn kept_at(days: (String, String), moments: (String, String), zone: Tz, now: DateTime<Utc>) -> (String, String) {
    let are_theirs = moments != <(String, String)>::default()
        && Range::parse("", &moments.0, &moments.1, zone, now).is_ok_and(|range| range.days(zone) == days);
    if are_theirs { moments } else { days }
}

/// Whether this `from` or `to` of an address is a moment, of which a field of a day shows no more than the day.
pub fn is_moment(text: &str) -> bool {
    text.contains('T')
}

/// What a field of a day shows of a `from` or `to` that is refused, or is beside one: the day of a moment, and else what was typed.
pub fn typed_day(text: &str, zone: Tz, over: bool) -> String {
    match moment(text, zone, over) {
        Ok(at) if is_moment(text) => field_value(day_of(if over { at - TimeDelta::hours(1) } else { at }, zone)),
        _ => text.to_string(),
    }
}

/// A day or a moment of an address. `over` asks for when it is over: for a day, when the next one begins.
fn moment(text: &str, zone: Tz, over: bool) -> Result<DateTime<Utc>, ConsoleError> {
    let moment = match text.trim().parse::<NaiveDate>() {
        Ok(day) if YEARS.contains(&day.year()) => Some(beginning(if over { day + Days::new(1) } else { day }, zone)),
        Ok(_) => None,
        Err(_) => {
            DateTime::parse_from_rfc3339(text).ok().filter(|moment| YEARS.contains(&moment.year())).map(|moment| hour_of(moment.to_utc()))
        }
    };
    moment.ok_or(ConsoleError::invalid(Field::Day, Problem::Malformed))
}

/// When a day begins, cut to the hour. Where clocks leave midnight out, it begins with the first hour that they show.
fn beginning(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let hours = (0..24).filter_map(|hour| day.and_hms_opt(hour, 0, 0)?.and_local_timezone(zone).earliest());
    let first = hours.map(|moment| moment.to_utc()).next().unwrap_or_else(|| day.and_time(NaiveTime::MIN).and_utc());
    hour_of(first)
}

fn field_value(day: NaiveDate) -> String {
    // Not by a pattern, which chrono would read anew for each day of a chart.
    day.to_string()
}

/// The day that this hour is counted for: in the last minutes before it begins, calls are already its own.
fn today(zone: Tz, now: DateTime<Utc>) -> NaiveDate {
    day_of(hour_of(now), zone)
}

/// The day that begins with this hour, or that it lies in.
fn day_of(hour: DateTime<Utc>, zone: Tz) -> NaiveDate {
    (hour + TimeDelta::minutes(59)).with_timezone(&zone).date_naive()
}

fn hour_of(moment: DateTime<Utc>) -> DateTime<Utc> {
    moment.duration_trunc(TimeDelta::hours(1)).unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a moment")
    }

    #[test]
    fn what_is_called_now_is_always_of_today() {
        for zone in [Tz::UTC, Tz::Asia__Kolkata, Tz::Asia__Kathmandu, Tz::America__Los_Angeles, Tz::Australia__Lord_Howe] {
            for minutes in (0..1_440).step_by(5) {
                let now = at("2026-11-29T00:00:00Z") + TimeDelta::minutes(minutes);
                for range in [Range::of(Preset::Today, zone, now), Range::parse("", "2026-11-20", "", zone, now).expect("a range")] {
                    assert!(range.start() <= now && now < range.end, "{zone} {now} {range:?}");
                }
            }
        }
    }

    #[test]
    fn an_hour_stays_while_its_day_is_untouched() {
        let pair = |from: &str, to: &str| (from.to_string(), to.to_string());
        let (day, other) = (pair("2026-11-20", "2026-11-20"), pair("2026-11-19", "2026-11-20"));
        let hour = pair("2026-11-20T13:00:00Z", "2026-11-20T14:00:00Z");
        let kept = |days: &(String, String), moments: &(String, String), zone| {
            kept_at(days.clone(), moments.clone(), zone, at("2026-11-28T23:30:00Z"))
        };
        assert_eq!(kept(&day, &hour, Tz::UTC), hour);
        assert_eq!(kept(&other, &hour, Tz::UTC), other);
        assert_eq!(kept(&pair("", ""), &hour, Tz::UTC), pair("", ""), "cleared");
        // The hour is of the next day there.
        assert_eq!(kept(&day, &hour, Tz::Pacific__Auckland), day);
        assert_eq!(kept(&pair("2026-11-21", "2026-11-21"), &hour, Tz::Pacific__Auckland), hour);
        // Up to now, and what is no range.
        let open = pair("2026-11-20T13:00:00Z", "");
        assert_eq!(kept(&pair("2026-11-20", "2026-11-28"), &open, Tz::UTC), open);
        for nothing in [pair("", ""), pair("x", "yT"), pair(&hour.1, &hour.0)] {
            assert_eq!(kept(&day, &nothing, Tz::UTC), day);
        }
        assert_eq!(typed_day(&hour.0, Tz::UTC, false), "2026-11-20");
        assert_eq!(typed_day("2026-11-21T00:00:00Z", Tz::UTC, true), "2026-11-20");
        assert_eq!((typed_day("2026-11-21", Tz::UTC, true), typed_day("xT", Tz::UTC, false)), pair("2026-11-21", "xT"));
    }

    fn range(name: &str, from: &str, to: &str, zone: Tz) -> Result<Range, ConsoleError> {
        Range::parse(name, from, to, zone, at("2026-11-28T23:30:00Z"))
    }

    #[test]
    fn presets_end_with_the_readers_today() {
        let today = range("today", "", "", Tz::UTC).expect("a range");
        assert_eq!((today.start(), today.end, today.unit), (at("2026-11-28T00:00:00Z"), at("2026-11-29T00:00:00Z"), Unit::Hour));
        assert_eq!(today.starts.len(), 24);
        let there = range("7d", "", "", Tz::Asia__Shanghai).expect("a range");
        assert_eq!((there.start(), there.end), (at("2026-11-22T16:00:00Z"), at("2026-11-29T16:00:00Z")));
        assert_eq!((there.unit, there.starts.len(), there.is_of_whole_utc_days()), (Unit::Day, 7, false));
        let month = range("", "", "", Tz::UTC).expect("a range");
        assert_eq!((month.preset, month.starts.len(), month.is_of_whole_utc_days()), (Some(Preset::Month), 30, true));
        assert_eq!(range("year", "", "", Tz::UTC), Err(ConsoleError::NotFound));
    }

    #[test]
    fn days_are_as_long_as_clocks_make_them() {
        let autumn = range("", "2026-10-25", "2026-10-25", Tz::Europe__Zurich).expect("a range");
        assert_eq!((autumn.starts.len(), autumn.unit), (25, Unit::Hour));
        let spring = range("", "2026-03-28", "2026-03-30", Tz::Europe__Zurich).expect("a range");
        let hours: Vec<_> = (0..3).map(|day| (spring.end_of(day) - spring.starts[day]).num_hours()).collect();
        assert_eq!(hours, [24, 23, 24]);
        // Midnight is left out there on that day.
        let beirut = range("", "2026-03-29", "2026-03-29", Tz::Asia__Beirut).expect("a range");
        assert_eq!((beirut.start(), beirut.starts.len()), (at("2026-03-28T22:00:00Z"), 23));
    }

    #[test]
    fn zones_of_half_an_hour_begin_their_days_with_an_hour() {
        let kolkata = range("", "2026-11-20", "2026-11-23", Tz::Asia__Kolkata).expect("a range");
        assert_eq!((kolkata.start(), kolkata.end, kolkata.starts.len()), (at("2026-11-19T18:00:00Z"), at("2026-11-23T18:00:00Z"), 4));
        assert_eq!(kolkata.days(Tz::Asia__Kolkata), ("2026-11-20".into(), "2026-11-23".into()));
        assert_eq!(kolkata.bucket(1, Tz::Asia__Kolkata), ("2026-11-21".into(), "2026-11-21".into()));
        assert_eq!(range("", "", "2026-11-23", Tz::Asia__Kolkata).expect("a range").starts.len(), 30);
    }

    #[test]
    fn moments_are_cut_to_the_hour_and_errors_say_what_is_wrong() {
        let hour = range("7d", "2026-11-20T13:20:00Z", "2026-11-20T14:59:59Z", Tz::UTC).expect("a range");
        assert_eq!((hour.start(), hour.end, hour.starts.len()), (at("2026-11-20T13:00:00Z"), at("2026-11-20T14:00:00Z"), 1));
        assert_eq!(hour.bucket(0, Tz::UTC), ("2026-11-20T13:00:00Z".into(), "2026-11-20T14:00:00Z".into()));
        assert_eq!(hour.days(Tz::UTC), ("2026-11-20".into(), "2026-11-20".into()));
        let since = range("", "2026-11-01", "", Tz::UTC).expect("a range");
        assert_eq!((since.starts.len(), since.end), (28, at("2026-11-29T00:00:00Z")));
        assert_eq!(range("", "", "2026-11-20", Tz::UTC).expect("a range").starts.len(), 30);
        let refused = |problem| Err(ConsoleError::invalid(Field::Day, problem));
        for wrong in ["yesterday", "1999-12-31", "+12345-01-01", "2026-02-30", "0001-01-01T00:00:00Z", "2026-11-20T13:00"] {
            assert_eq!(range("", wrong, "", Tz::UTC), refused(Problem::Malformed), "{wrong}");
            assert_eq!(range("", "", wrong, Tz::UTC), refused(Problem::Malformed), "{wrong}");
        }
        assert_eq!(range("", "2026-11-02", "2026-11-01", Tz::UTC), refused(Problem::Reversed));
        assert_eq!(range("", "2020-01-01", "2026-11-01", Tz::UTC), refused(Problem::TooLong));
    }
}
