//! What of the account log somebody wants to see, as they typed it.

use crate::error::{ConsoleError, Field, Problem};
use crate::journal::types::Group;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};

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
    /// `since` and `until` are days in UTC, both included.
    pub fn parse(group: &str, since: &str, until: &str, search: &str) -> Result<Filter, ConsoleError> {
        let group = match group {
            "" => None,
            word => Some(Group::parse(word).ok_or(ConsoleError::NotFound)?),
        };
        let search = search.trim().to_lowercase();
        if search.chars().count() > LONGEST_SEARCH {
            return Err(ConsoleError::invalid(Field::Search, Problem::TooLong));
        }
        let until = day(until)?.map(|day| day.checked_add_days(Days::new(1)).unwrap_or(day));
        Ok(Filter { group, since: day(since)?.map(midnight), until: until.map(midnight), search })
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

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_what_is_empty_narrows_nothing() {
        assert_eq!(Filter::parse("", "", " ", " "), Ok(Filter::default()));
        let filter = Filter::parse("key", "2026-11-01", "2026-11-02", " Bot ").expect("a filter");
        assert_eq!((filter.group, filter.search.as_str()), (Some(Group::Keys), "bot"));
        let days = filter.until.expect("until") - filter.since.expect("since");
        assert_eq!(days.num_hours(), 48);
        assert_eq!(Filter::parse("keys", "", "", ""), Err(ConsoleError::NotFound));
        for wrong in ["yesterday", "2026-13-01", "+99999-01-01", "0000-01-01"] {
            assert_eq!(Filter::parse("", wrong, "", ""), Err(ConsoleError::invalid(Field::Day, Problem::Malformed)), "{wrong}");
        }
        assert!(Filter::parse("", "", "9999-12-31", "").is_ok());
        assert!(Filter::parse("", "", "", &"x".repeat(255)).is_err());
    }
}
