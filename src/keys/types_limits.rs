//! What limits the calls of a key beside its quota: as it crosses the wire, and the parsers of what a person types about it.

use crate::error::{ConsoleError, Field, Problem};
use crate::tokens::{Tokens, TokensError};
use crate::utc::UtcTime;
use serde::{Deserialize, Serialize};

/// None, and an empty list, mean no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLimits {
    pub requests_per_minute: Option<i32>,
    pub tokens_per_minute: Option<Tokens>,
    pub concurrent_calls: Option<i32>,
    /// The only models it may call.
    pub models: Vec<String>,
    /// The only networks it may be used from.
    pub networks: Vec<String>,
    pub period: Option<PeriodQuota>,
}

/// A quota that begins anew each day, week (on Monday) or month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodQuota {
    pub period: Period,
    /// IANA's name of the zone in which a day begins.
    pub time_zone: String,
    pub quota: Tokens,
    /// Spent and held in the period that runs.
    pub used: Tokens,
    pub ends_at: UtcTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Day,
    Week,
    Month,
}

impl Period {
    pub const ALL: [Period; 3] = [Period::Day, Period::Week, Period::Month];

    pub fn as_str(self) -> &'static str {
        match self {
            Period::Day => "day",
            Period::Week => "week",
            Period::Month => "month",
        }
    }

    pub fn parse(text: &str) -> Option<Period> {
        Period::ALL.into_iter().find(|period| period.as_str() == text)
    }
}

/// What a person typed into the form of limits.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TypedLimits {
    pub requests_per_minute: String,
    pub tokens_per_minute: String,
    pub concurrent_calls: String,
    pub period: String,
    pub period_quota: String,
    pub time_zone: String,
    pub models: String,
    pub networks: String,
}

/// A count of calls: empty for no limit, or at least 1 and at most `most`.
pub fn parse_calls(text: &str, field: Field, most: i32) -> Result<Option<i32>, ConsoleError> {
    let problem = match parse_tokens(text, field)? {
        None => return Ok(None),
        Some(Tokens(0)) => Problem::Malformed,
        Some(Tokens(number)) => match i32::try_from(number) {
            Ok(number) if number <= most => return Ok(Some(number)),
            _ => Problem::TooLarge,
        },
    };
    Err(ConsoleError::invalid(field, problem))
}

/// Tokens a minute: empty for no limit, or at least 1.
pub fn parse_tokens_per_minute(text: &str) -> Result<Option<Tokens>, ConsoleError> {
    const MOST: Tokens = Tokens(1_000_000_000_000);
    let field = Field::TokensPerMinute;
    match parse_tokens(text, field)? {
        Some(Tokens(0)) => Err(ConsoleError::invalid(field, Problem::Malformed)),
        Some(tokens) if tokens > MOST => Err(ConsoleError::invalid(field, Problem::TooLarge)),
        tokens => Ok(tokens),
    }
}

/// The quota of a period: both are empty, or none is.
pub fn parse_period(period: &str, quota: &str) -> Result<Option<(Period, Tokens)>, ConsoleError> {
    let invalid = |problem| ConsoleError::invalid(Field::PeriodQuota, problem);
    match (period, parse_tokens(quota, Field::PeriodQuota)?) {
        ("", None) => Ok(None),
        ("", Some(_)) => Err(invalid(Problem::Unknown)),
        (_, None) => Err(invalid(Problem::Empty)),
        (period, Some(quota)) => Ok(Some((Period::parse(period).ok_or(invalid(Problem::Unknown))?, quota))),
    }
}

/// What stands on lines, or between commas or spaces.
pub fn parse_list(text: &str) -> Vec<String> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty()).map(str::to_string).collect()
}

/// Whole Tokens; empty = none.
pub fn parse_tokens(text: &str, field: Field) -> Result<Option<Tokens>, ConsoleError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    Tokens::parse(text).map(Some).map_err(|error| {
        let problem = match error {
            TokensError::NotANumber => Problem::Malformed,
            TokensError::TooLarge => Problem::TooLarge,
        };
        ConsoleError::invalid(field, problem)
    })
}

/// The most Tokens a key may ever spend. Empty = no limit of its own.
pub fn parse_quota(text: &str) -> Result<Option<Tokens>, ConsoleError> {
    parse_tokens(text, Field::Quota)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_is_tokens_or_none() {
        assert_eq!(parse_quota(" "), Ok(None));
        assert_eq!(parse_quota("0"), Ok(Some(Tokens(0))));
        assert_eq!(parse_quota("50,000"), Ok(Some(Tokens(50_000))));
        assert_eq!(parse_quota("-1"), Err(ConsoleError::invalid(Field::Quota, Problem::Malformed)));
        assert_eq!(parse_quota("1000000000000001"), Err(ConsoleError::invalid(Field::Quota, Problem::TooLarge)));
    }

    #[test]
    fn calls_are_counted_from_one() {
        let parse = |text| parse_calls(text, Field::ConcurrentCalls, 100_000);
        assert_eq!((parse(""), parse("1"), parse("100,000")), (Ok(None), Ok(Some(1)), Ok(Some(100_000))));
        for (text, problem) in [("0", Problem::Malformed), ("100001", Problem::TooLarge), ("9999999999", Problem::TooLarge)] {
            assert_eq!(parse(text), Err(ConsoleError::invalid(Field::ConcurrentCalls, problem)), "{text}");
        }
        assert_eq!(parse_tokens_per_minute("1"), Ok(Some(Tokens(1))));
        assert!(parse_tokens_per_minute("0").is_err() && parse_tokens_per_minute("1000000000001").is_err());
    }

    #[test]
    fn a_period_and_its_quota_come_together() {
        assert_eq!(parse_period("", " "), Ok(None));
        assert_eq!(parse_period("week", "0"), Ok(Some((Period::Week, Tokens(0)))));
        for (period, quota, problem) in [("", "5", Problem::Unknown), ("day", "", Problem::Empty), ("year", "5", Problem::Unknown)] {
            assert_eq!(parse_period(period, quota), Err(ConsoleError::invalid(Field::PeriodQuota, problem)), "{period} {quota}");
        }
    }

    #[test]
    fn a_list_is_cut_at_lines_commas_and_spaces() {
        assert_eq!(parse_list(" a/b,\r\nc/d  e/f\n,"), ["a/b", "c/d", "e/f"]);
        assert!(parse_list(" \n").is_empty());
    }
}
