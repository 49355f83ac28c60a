//! Expirations as a person types them. Apart from `types`, since it needs a clock and a calendar, which the browser does not load.

use crate::error::{ConsoleError, Field, Problem};
use crate::utc::UtcTime;
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;

/// For how many days the form offers to make a key.
const PRESET_DAYS: [u64; 3] = [7, 30, 90];

/// For how long a new key is to work: `never` ends, `7`, `30` or `90` days, or until a day of its own, `custom`. Days end where the reader is.
/// Without a choice the text alone is read: a moment, or nothing for never.
pub fn parse_lasting(choice: &str, text: &str, zone: Tz, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, ConsoleError> {
    let invalid = |problem| ConsoleError::invalid(Field::Expiration, problem);
    match choice {
        "" => parse_expiration(text, now),
        "never" => Ok(None),
        "custom" if text.trim().is_empty() => Err(invalid(Problem::Empty)),
        "custom" => {
            let day = text.trim().parse::<NaiveDate>().ok().filter(|day| (2000..=9999).contains(&day.year()));
            let end = end_of(day.ok_or(invalid(Problem::Unknown))?, zone);
            if end <= now { Err(invalid(Problem::InThePast)) } else { Ok(Some(end)) }
        }
        days => {
            let days = PRESET_DAYS.into_iter().find(|preset| preset.to_string() == days);
            days.map(|days| Some(end_after(days, zone, now))).ok_or(invalid(Problem::Unknown))
        }
    }
}

/// What an edit form changes of a key's expiration, as [`parse_lasting`] reads it, or nothing: `keep`. Without a choice the text alone is
/// read, and posted as it was it changes nothing.
pub fn parse_lasting_edit(
    choice: &str,
    text: &str,
    current: Option<DateTime<Utc>>,
    zone: Tz,
    now: DateTime<Utc>,
) -> Result<Option<Option<DateTime<Utc>>>, ConsoleError> {
    match choice {
        "keep" => Ok(None),
        "" => parse_expiration_edit(text, current, now),
        choice => parse_lasting(choice, text, zone, now).map(Some),
    }
}

/// The presets, and when a key ends that begins now to last so long.
pub fn preset_ends(zone: Tz, now: DateTime<Utc>) -> Vec<(u64, UtcTime)> {
    PRESET_DAYS.map(|days| (days, end_after(days, zone, now).into())).to_vec()
}

/// When a key ends that is made now and lasts so many days: with the last of them.
fn end_after(days: u64, zone: Tz, now: DateTime<Utc>) -> DateTime<Utc> {
    end_of(now.with_timezone(&zone).date_naive() + Days::new(days), zone)
}

/// The last second of a day, which every clock shows; where a calendar leaves the day out, that of UTC.
fn end_of(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let last = day.and_hms_opt(23, 59, 59).unwrap_or_else(|| day.and_time(chrono::NaiveTime::MIN));
    last.and_local_timezone(zone).latest().map_or_else(|| last.and_utc(), |last| last.to_utc())
}

/// Reads `2026-12-24T15:00` (a browser's date field, taken as UTC) or RFC 3339. Empty = never; the past is refused.
fn parse_expiration(text: &str, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, ConsoleError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let time = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|time| time.and_utc())
        .or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()))
        .ok_or(ConsoleError::invalid(Field::Expiration, Problem::Malformed))?;
    if time <= now {
        return Err(ConsoleError::invalid(Field::Expiration, Problem::InThePast));
    }
    // A date field writes years of more than four digits too; nobody means them.
    if time.year() > 9999 {
        return Err(ConsoleError::invalid(Field::Expiration, Problem::Malformed));
    }
    Ok(Some(time))
}

/// What an edit form's field changes. Posted as it was shown, it changes nothing: a key that has expired can still be renamed, and
/// seconds that the field cannot show are kept.
fn parse_expiration_edit(
    text: &str,
    current: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<Option<Option<DateTime<Utc>>>, ConsoleError> {
    let shown = current.map(|time| UtcTime::from(time).field_value()).unwrap_or_default();
    if text.trim() == shown { Ok(None) } else { parse_expiration(text, now).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).expect("a time").to_utc()
    }

    #[test]
    fn parse_reads_date_fields_as_utc_and_rfc_3339() {
        let now = at("2026-12-01T00:00:00Z");
        for (text, time) in [
            ("2026-12-24T15:00", "2026-12-24T15:00:00Z"),
            ("2026-12-24T15:00:07", "2026-12-24T15:00:07Z"),
            (" 2026-12-24T15:00:00+02:00 ", "2026-12-24T13:00:00Z"),
        ] {
            assert_eq!(parse_expiration(text, now), Ok(Some(at(time))), "{text:?}");
        }
        assert_eq!(parse_expiration("  ", now), Ok(None));
    }

    #[test]
    fn parse_refuses_the_past_and_what_is_no_time() {
        let now = at("2026-12-01T00:00:00Z");
        for text in ["2026-11-30T23:59", "2026-12-01T00:00", "1970-01-01T00:00:00Z"] {
            let error = parse_expiration(text, now);
            assert_eq!(error, Err(ConsoleError::invalid(Field::Expiration, Problem::InThePast)), "{text:?}");
        }
        for text in ["tomorrow", "2026-13-01T00:00", "2026-12-24", "24/12/2026", "+300000-01-01T00:00"] {
            let error = parse_expiration(text, now);
            assert_eq!(error, Err(ConsoleError::invalid(Field::Expiration, Problem::Malformed)), "{text:?}");
        }
    }

    #[test]
    fn a_new_key_lasts_until_a_day_ends_where_its_maker_is() {
        let now = at("2026-11-28T23:30:00Z");
        let lasting = |choice, text, zone| parse_lasting(choice, text, zone, now);
        assert_eq!(lasting("7", "", Tz::UTC), Ok(Some(at("2026-12-05T23:59:59Z"))));
        assert_eq!(lasting("90", "ignored", Tz::Asia__Shanghai), Ok(Some(at("2027-02-27T15:59:59Z"))));
        assert_eq!(lasting("30", "", Tz::America__New_York), Ok(Some(at("2026-12-29T04:59:59Z"))));
        assert_eq!(lasting("never", "2026-12-24", Tz::UTC), Ok(None));
        assert_eq!(lasting("custom", " 2026-12-24 ", Tz::Europe__Zurich), Ok(Some(at("2026-12-24T22:59:59Z"))));
        assert_eq!(lasting("custom", "2026-11-28", Tz::UTC), Ok(Some(at("2026-11-28T23:59:59Z"))), "today is not over");
        assert_eq!(lasting("", "", Tz::UTC), Ok(None));
    }

    #[test]
    fn a_choice_that_is_none_says_so() {
        let now = at("2026-11-28T23:30:00Z");
        for (choice, text, problem) in [
            ("custom", "", Problem::Empty),
            ("custom", "2026-11-27", Problem::InThePast),
            ("custom", "tomorrow", Problem::Unknown),
            ("custom", "+12026-01-01", Problem::Unknown),
            ("8", "", Problem::Unknown),
        ] {
            let refused = Err(ConsoleError::invalid(Field::Expiration, problem));
            assert_eq!(parse_lasting(choice, text, Tz::UTC, now), refused, "{choice} {text}");
        }
    }

    #[test]
    fn an_edit_posted_as_shown_changes_nothing() {
        let (past, now) = (at("2020-01-01T10:00:30Z"), at("2026-11-28T23:30:00Z"));
        assert_eq!(parse_expiration_edit("2020-01-01T10:00", Some(past), now), Ok(None));
        assert_eq!(parse_expiration_edit("", None, now), Ok(None));
        assert_eq!(parse_expiration_edit("", Some(past), now), Ok(Some(None)));
        assert!(parse_expiration_edit("2020-01-01T10:01", Some(past), now).is_err());
    }

    #[test]
    fn an_edit_keeps_what_is_or_chooses_as_a_new_key_does() {
        let (now, past) = (at("2026-11-28T23:30:00Z"), Some(at("2020-01-01T10:00:30Z")));
        let edit = |choice, text| parse_lasting_edit(choice, text, past, Tz::Asia__Shanghai, now);
        assert_eq!(edit("keep", "2026-12-24"), Ok(None));
        assert_eq!(edit("", "2020-01-01T10:00"), Ok(None));
        assert_eq!(edit("never", ""), Ok(Some(None)));
        assert_eq!(edit("7", ""), Ok(Some(Some(at("2026-12-06T15:59:59Z")))));
        assert_eq!(edit("custom", "2026-12-24"), Ok(Some(Some(at("2026-12-24T15:59:59Z")))));
        assert_eq!(edit("custom", "2020-01-01"), Err(ConsoleError::invalid(Field::Expiration, Problem::InThePast)));
        assert_eq!(edit("for ever", ""), Err(ConsoleError::invalid(Field::Expiration, Problem::Unknown)));
    }
}
