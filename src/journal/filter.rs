//! What of the account log somebody wants to see, as they typed it.

use crate::error::{ConsoleError, Field, Problem};
use crate::journal::types::Group;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;

/// Longer than any address, name or id that could be found.
const LONGEST_SEARCH: usize = 254;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub group: Option<Group>,
    pub since: Option<DateTime<Utc>>,
    /// Not included.
    pub until: Option<DateTime<Utc>>,
    /// Lower-cased; empty = everything.
    pub search: String,
}

impl Filter {
    /// `since` and `until` are days of this time zone, both included.
    pub fn parse(group: &str, since: &str, until: &str, search: &str, zone: Tz) -> Result<Filter, ConsoleError> {
        let group = match group {
            "" => None,
            word => Some(Group::parse(word).ok_or(ConsoleError::NotFound)?),
        };
        let search = search.trim().to_lowercase();
        if search.chars().count() > LONGEST_SEARCH {
            return Err(ConsoleError::invalid(Field::Search, Problem::TooLong));
        }
        let until = day(until)?.map(|day| day.checked_add_days(Days::new(1)).unwrap_or(day));
        let begins = |day| beginning(day, zone);
        Ok(Filter { group, since: day(since)?.map(begins), until: until.map(begins), search })
    }
}

fn day(text: &str) -> Result<Option<NaiveDate>, ConsoleError> {
    match text.trim() {
        "" => Ok(None),
        text => {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
            // What Postgres has no time for has nothing in it either.
            day.filter(|day| (1..=9999).contains(&chrono::Datelike::year(day)))
                .map(Some)
                .ok_or(ConsoleError::invalid(Field::Day, Problem::Malformed))
        }
    }
}

/// When a day begins: where clocks leave midnight out, with the first hour that they show.
fn beginning(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let mut hours = (0..24).filter_map(|hour| day.and_hms_opt(hour, 0, 0)?.and_local_timezone(zone).earliest());
    hours.next().map_or_else(|| day.and_time(NaiveTime::MIN).and_utc(), |moment| moment.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_what_is_empty_narrows_nothing() {
        assert_eq!(Filter::parse("", "", " ", " ", Tz::UTC), Ok(Filter::default()));
        let filter = Filter::parse("key", "2026-11-01", "2026-11-02", " Bot ", Tz::UTC).expect("a filter");
        assert_eq!((filter.group, filter.search.as_str()), (Some(Group::Keys), "bot"));
        let days = filter.until.expect("until") - filter.since.expect("since");
        assert_eq!(days.num_hours(), 48);
        assert_eq!(Filter::parse("keys", "", "", "", Tz::UTC), Err(ConsoleError::NotFound));
        for wrong in ["yesterday", "2026-13-01", "+99999-01-01", "0000-01-01"] {
            assert_eq!(Filter::parse("", wrong, "", "", Tz::UTC), Err(ConsoleError::invalid(Field::Day, Problem::Malformed)), "{wrong}");
        }
        assert!(Filter::parse("", "", "9999-12-31", "", Tz::UTC).is_ok());
        assert!(Filter::parse("", "", "", &"x".repeat(255), Tz::UTC).is_err());
    }

    #[test]
    fn days_are_those_of_the_reader() {
        let of = |day, zone| {
            let filter = Filter::parse("", day, day, "", zone).expect("a filter");
            [filter.since, filter.until].map(|moment| moment.expect("a day").to_rfc3339())
        };
        assert_eq!(of("2026-11-01", Tz::Asia__Shanghai), ["2026-10-31T16:00:00+00:00", "2026-11-01T16:00:00+00:00"]);
        assert_eq!(of("2026-10-25", Tz::Europe__Zurich), ["2026-10-24T22:00:00+00:00", "2026-10-25T23:00:00+00:00"]);
        // Midnight is left out there on that day.
        assert_eq!(of("2026-03-29", Tz::Asia__Beirut)[0], "2026-03-28T22:00:00+00:00");
    }
}
