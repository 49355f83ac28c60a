//! Expirations as a person types them. Apart from `types`, since it needs a clock and a calendar, which the browser does not load.

use crate::error::{ConsoleError, Field, Problem};
use chrono::{DateTime, Datelike, NaiveDateTime, Utc};

/// Reads `2026-12-24T15:00` (a browser's date field, taken as UTC) or RFC 3339. Empty = never; the past is refused.
pub fn parse_expiration(text: &str) -> Result<Option<DateTime<Utc>>, ConsoleError> {
    parse_expiration_at(text, Utc::now())
}

fn parse_expiration_at(text: &str, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, ConsoleError> {
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
pub fn parse_expiration_edit(text: &str, current: Option<DateTime<Utc>>) -> Result<Option<Option<DateTime<Utc>>>, ConsoleError> {
    if text.trim() == current.map(field_text).unwrap_or_default() { Ok(None) } else { parse_expiration(text).map(Some) }
}

/// The value a date field is filled with: to the minute.
pub fn field_text(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M").to_string()
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
            assert_eq!(parse_expiration_at(text, now), Ok(Some(at(time))), "{text:?}");
        }
        assert_eq!(parse_expiration_at("  ", now), Ok(None));
    }

    #[test]
    fn parse_refuses_the_past_and_what_is_no_time() {
        let now = at("2026-12-01T00:00:00Z");
        for text in ["2026-11-30T23:59", "2026-12-01T00:00", "1970-01-01T00:00:00Z"] {
            let error = parse_expiration_at(text, now);
            assert_eq!(error, Err(ConsoleError::invalid(Field::Expiration, Problem::InThePast)), "{text:?}");
        }
        for text in ["tomorrow", "2026-13-01T00:00", "2026-12-24", "24/12/2026", "+300000-01-01T00:00"] {
            let error = parse_expiration_at(text, now);
            assert_eq!(error, Err(ConsoleError::invalid(Field::Expiration, Problem::Malformed)), "{text:?}");
        }
    }

    #[test]
    fn an_edit_posted_as_shown_changes_nothing() {
        let past = at("2020-01-01T10:00:30Z");
        assert_eq!(parse_expiration_edit("2020-01-01T10:00", Some(past)), Ok(None));
        assert_eq!(parse_expiration_edit("", None), Ok(None));
        assert_eq!(parse_expiration_edit("", Some(past)), Ok(Some(None)));
        assert!(parse_expiration_edit("2020-01-01T10:01", Some(past)).is_err());
    }
}
