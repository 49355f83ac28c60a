//! Durations as the command line takes them: `30d`, `12h`, `90m`. One unit, no signs, no fractions.

use chrono::TimeDelta;

/// Ten years: the longest that a package or credit may be valid.
const LONGEST: TimeDelta = TimeDelta::days(3650);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("not a duration like 30d, 12h or 90m")]
    Malformed,
    #[error("must be 1 minute to 3650 days")]
    OutOfRange,
}

pub fn parse(text: &str) -> Result<TimeDelta, DurationError> {
    let unit = text.chars().last().ok_or(DurationError::Malformed)?;
    let seconds = match unit {
        'd' => 86_400,
        'h' => 3_600,
        'm' => 60,
        _ => return Err(DurationError::Malformed),
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(DurationError::Malformed);
    }
    let total = digits.parse::<i64>().ok().and_then(|count| count.checked_mul(seconds));
    let span = total.and_then(TimeDelta::try_seconds).ok_or(DurationError::OutOfRange)?;
    if span > TimeDelta::zero() && span <= LONGEST { Ok(span) } else { Err(DurationError::OutOfRange) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_accepts_days_hours_and_minutes() {
        for (text, span) in [
            ("30d", TimeDelta::days(30)),
            ("12h", TimeDelta::hours(12)),
            ("90m", TimeDelta::minutes(90)),
            ("1m", TimeDelta::minutes(1)),
            ("007d", TimeDelta::days(7)),
            ("3650d", LONGEST),
        ] {
            assert_eq!(parse(text), Ok(span), "{text}");
        }
    }

    #[test]
    fn parse_refuses_everything_else() {
        for text in ["", "d", "30", "30s", "30D", "1.5h", "-1d", "+1d", "1 d", " 1d", "1d ", "1d12h", "1w", "٣d", "30dé", "é", "0x1d"] {
            assert_eq!(parse(text), Err(DurationError::Malformed), "{text:?}");
        }
        for text in ["0m", "0d", "3651d", "9223372036854775807d", "99999999999999999999m"] {
            assert_eq!(parse(text), Err(DurationError::OutOfRange), "{text:?}");
        }
    }
}
