//! Arguments that are more than text: parsed here, so that a wrong one is wrong usage (exit 2) and names itself.

use crate::accounts::types::Email;
use crate::checkout::types_events::parse_reason;
use crate::cli::durations;
use crate::error::ConsoleError;
use crate::keys::store::parse_network;
use crate::keys::types::KeyName;
use crate::keys::types_limits::Period;
use crate::money::Currency;
use crate::suppliers::store::{OnLeave, Protocol};
use crate::tokens::Tokens;
use crate::ui::error_text::sentence;
use crate::utc::UtcTime;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use ipnet::IpNet;
use serde::Serialize;

/// What limits the calls of a key or an account.
#[derive(Args)]
pub struct RateLimits {
    /// A number, or `none`
    #[arg(long, value_parser = number_or_none)]
    pub requests_per_minute: Option<OrNone<i32>>,
    /// Tokens, or `none`; what a call holds counts until it has ended, then what it spent
    #[arg(long, value_parser = tokens_or_none)]
    pub tokens_per_minute: Option<OrNone<Tokens>>,
    /// Calls at once, or `none`
    #[arg(long, value_parser = number_or_none)]
    pub concurrent_calls: Option<OrNone<i32>>,
}

/// A value, or `none` to take it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrNone<T>(pub Option<T>);

pub fn email(text: &str) -> Result<Email, String> {
    Email::parse(text).map_err(said)
}

pub fn key_name(text: &str) -> Result<KeyName, String> {
    KeyName::parse(text).map_err(said)
}

/// Why something is done to an order, or decided about a payment event.
pub fn reason(text: &str) -> Result<String, String> {
    parse_reason(text).map(str::to_string).map_err(said)
}

fn said(error: ConsoleError) -> String {
    sentence(error)
}

pub fn tokens(text: &str) -> Result<Tokens, String> {
    Tokens::parse(text).map_err(|error| error.to_string())
}

pub fn tokens_or_none(text: &str) -> Result<OrNone<Tokens>, String> {
    or_none(text, tokens)
}

pub fn number_or_none(text: &str) -> Result<OrNone<i32>, String> {
    or_none(text, |text| text.parse::<i32>().ok().filter(|number| *number > 0).ok_or_else(|| "not a positive whole number".to_string()))
}

pub fn network_or_none(text: &str) -> Result<OrNone<IpNet>, String> {
    or_none(text, |text| parse_network(text).ok_or_else(|| "not a network like 203.0.113.0/24".to_string()))
}

/// `day:50,000`
pub fn period_quota_or_none(text: &str) -> Result<OrNone<(Period, Tokens)>, String> {
    or_none(text, |text| {
        let (period, quota) = text.split_once(':').ok_or("not a period and its Tokens, like day:50000")?;
        let period = Period::parse(period).ok_or("a period is day, week or month")?;
        Ok((period, tokens(quota)?))
    })
}

/// RFC 3339 with its offset: `2026-12-31T00:00:00Z`.
pub fn time(text: &str) -> Result<DateTime<Utc>, String> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Ok(time.to_utc()),
        Err(_) => Err("not a time like 2026-12-31T00:00:00Z".into()),
    }
}

pub fn time_or_none(text: &str) -> Result<OrNone<DateTime<Utc>>, String> {
    or_none(text, time)
}

pub fn duration_or_none(text: &str) -> Result<OrNone<TimeDelta>, String> {
    or_none(text, |text| durations::parse(text).map_err(|error| error.to_string()))
}

fn or_none<T>(text: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<OrNone<T>, String> {
    if text == "none" { Ok(OrNone(None)) } else { parse(text).map(|value| OrNone(Some(value))) }
}

pub fn currency(text: &str) -> Result<Currency, String> {
    Currency::parse(text).map_err(|error| error.to_string())
}

pub fn protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "openai" => Ok(Protocol::Openai),
        "anthropic" => Ok(Protocol::Anthropic),
        _ => Err("must be openai or anthropic".into()),
    }
}

pub fn on_leave(text: &str) -> Result<OnLeave, String> {
    match text {
        "cancel" => Ok(OnLeave::Cancel),
        "drain" => Ok(OnLeave::Drain),
        _ => Err("must be cancel or drain".into()),
    }
}

/// A time for people.
pub fn shown(time: DateTime<Utc>) -> String {
    UtcTime::from(time).rfc3339().to_string()
}

/// One of a closed set of words, as JSON writes it.
pub fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_string)).unwrap_or_default()
}

/// A limit for people.
pub fn limit_shown<T>(limit: Option<T>, show: impl FnOnce(T) -> String) -> String {
    limit.map_or_else(|| "none".into(), show)
}

/// A value for people; `-` where there is none.
pub fn or_dash<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map(show).unwrap_or_else(|| "-".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_takes_away_and_nothing_else_does() {
        assert_eq!(tokens_or_none("none"), Ok(OrNone(None)));
        assert_eq!(tokens_or_none("1,000"), Ok(OrNone(Some(Tokens(1000)))));
        assert!(tokens_or_none("None").is_err() && tokens_or_none("").is_err());
    }

    #[test]
    fn time_needs_its_offset() {
        assert_eq!(time("2026-12-31T01:00:00+01:00").map(shown), Ok("2026-12-31T00:00:00Z".into()));
        for text in ["2026-12-31", "2026-12-31T00:00:00", "tomorrow", ""] {
            assert!(time(text).is_err(), "{text:?}");
        }
    }
}
