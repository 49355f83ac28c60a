//! Which entries of the ledger somebody wants to see, as an address says it.

use crate::error::{ConsoleError, Field, Problem};
use crate::usage::range::Range;
use crate::wallet::types::Which;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;

/// Entries to show; by default all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryFilter {
    pub which: Which,
    pub since: Option<DateTime<Utc>>,
    /// Not included.
    pub until: Option<DateTime<Utc>>,
    /// Only entries older than this one.
    pub before: Option<i64>,
}

impl EntryFilter {
    /// `from` and `to` are days of the reader (`2026-12-24`), both included; nothing is since ever, and until now.
    pub fn parse(entries: &str, from: &str, to: &str, before: &str, zone: Tz, now: DateTime<Utc>) -> Result<EntryFilter, ConsoleError> {
        let which = Which::parse(entries).ok_or(ConsoleError::NotFound)?;
        let since = day(from, zone, now)?.map(|day| day.start());
        let until = day(to, zone, now)?.map(|day| day.end);
        if since.zip(until).is_some_and(|(since, until)| until <= since) {
            return Err(ConsoleError::invalid(Field::Day, Problem::Reversed));
        }
        Ok(EntryFilter { which, since, until, before: before.parse().ok() })
    }
}

/// A day as usage has it, so that both pages mean the same by it. Each end is read for itself: there is no longest stretch of a ledger.
fn day(text: &str, zone: Tz, now: DateTime<Utc>) -> Result<Option<Range>, ConsoleError> {
    match text.trim() {
        "" => Ok(None),
        day => Range::parse("", day, day, zone, now).map(Some).map_err(|_| ConsoleError::invalid(Field::Day, Problem::Malformed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a moment")
    }

    fn filter(entries: &str, from: &str, to: &str, before: &str, zone: Tz) -> Result<EntryFilter, ConsoleError> {
        EntryFilter::parse(entries, from, to, before, zone, at("2026-11-28T23:30:00Z"))
    }

    #[test]
    fn an_address_names_kind_days_and_place() {
        assert_eq!(filter("", "", " ", "", Tz::UTC), Ok(EntryFilter::default()));
        let asked = filter("calls", "2020-03-01", "2026-11-20", "7", Tz::UTC);
        let (since, until) = (Some(at("2020-03-01T00:00:00Z")), Some(at("2026-11-21T00:00:00Z")));
        assert_eq!(asked, Ok(EntryFilter { which: Which::Calls, since, until, before: Some(7) }));
        let there = filter("", "2026-11-20", "2026-11-20", "x", Tz::Asia__Shanghai);
        let (since, until) = (Some(at("2026-11-19T16:00:00Z")), Some(at("2026-11-20T16:00:00Z")));
        assert_eq!(there, Ok(EntryFilter { since, until, ..EntryFilter::default() }));
        assert_eq!(filter("", "", "2026-11-20", "", Tz::UTC).map(|asked| asked.since), Ok(None));
    }

    #[test]
    fn what_is_no_day_is_said_to_be_none() {
        let refused = |problem| Err(ConsoleError::invalid(Field::Day, problem));
        for wrong in ["yesterday", "1999-12-31", "2026-02-30", "2026-11-20T13:00:00Z", "20.11.2026"] {
            assert_eq!(filter("", wrong, "", "", Tz::UTC), refused(Problem::Malformed), "{wrong}");
            assert_eq!(filter("", "", wrong, "", Tz::UTC), refused(Problem::Malformed), "{wrong}");
        }
        assert_eq!(filter("", "2026-11-02", "2026-11-01", "", Tz::UTC), refused(Problem::Reversed));
        assert_eq!(filter("most", "", "", "", Tz::UTC), Err(ConsoleError::NotFound));
    }
}
