//! How much of a call is read, and how long its supplier may take.

use super::{ConfigError, invalid, number};
use crate::gateway::{Limits, Timeouts};
use std::ops::RangeInclusive;
use std::time::Duration;

const MEGABYTE: u64 = 1 << 20;

/// `body_memory`: for the bodies of all calls, in bytes. A body is in it twice, as it came and as it goes to the supplier.
pub fn limits<'a>(get: impl Fn(&str) -> Option<&'a str>, body_memory: usize) -> Result<Limits, ConfigError> {
    let limit = |name: &'static str, of, default: u64, range| number(name, of, get(name), default, range).map(|number| number as usize);
    let default = Limits::default();
    let limits = Limits {
        body_bytes: limit("TOKI_MAX_BODY_MB", "megabytes", default.body_bytes as u64 / MEGABYTE, 1..=256)? * MEGABYTE as usize,
        // More than the default would be more than is read (`Limits::json_depth`).
        json_depth: limit("TOKI_MAX_JSON_DEPTH", "levels", default.json_depth as u64, 16..=default.json_depth as u64)?,
        messages: limit("TOKI_MAX_MESSAGES", "messages", default.messages as u64, 1..=100_000)?,
    };
    if limits.body_bytes * 2 > body_memory {
        return Err(invalid("TOKI_MAX_BODY_MB", "must be at most half of TOKI_BODY_MEMORY_MB: no larger body could ever be read"));
    }
    Ok(limits)
}

pub fn timeouts<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Timeouts, ConfigError> {
    let seconds = |name: &'static str, default, range: RangeInclusive<u64>| {
        number(name, "seconds", get(name), default, range).map(Duration::from_secs)
    };
    Ok(Timeouts {
        connect: seconds("TOKI_SUPPLIER_CONNECT_SECONDS", 5, 1..=60)?,
        first_byte: seconds("TOKI_SUPPLIER_FIRST_BYTE_SECONDS", 120, 1..=3_600)?,
        idle: seconds("TOKI_SUPPLIER_IDLE_SECONDS", 60, 1..=3_600)?,
        total: seconds("TOKI_SUPPLIER_TOTAL_SECONDS", 900, 1..=86_400)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: usize = 1 << 30;

    fn of<'a>(vars: &'a [(&str, &'a str)]) -> impl Fn(&str) -> Option<&'a str> {
        move |wanted| vars.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
    }

    #[test]
    fn whoever_sets_none_has_the_defaults() {
        assert_eq!(limits(of(&[]), MEMORY).ok(), Some(Limits::default()));
        let timeouts = timeouts(of(&[("TOKI_SUPPLIER_IDLE_SECONDS", "")])).expect("defaults");
        let seconds = [timeouts.connect, timeouts.first_byte, timeouts.idle, timeouts.total].map(|time| time.as_secs());
        assert_eq!(seconds, [5, 120, 60, 900]);
    }

    #[test]
    fn what_is_set_is_meant_in_its_unit() {
        let vars = [("TOKI_MAX_BODY_MB", "32"), ("TOKI_MAX_JSON_DEPTH", "20"), ("TOKI_MAX_MESSAGES", "50")];
        assert_eq!(limits(of(&vars), MEMORY).ok(), Some(Limits { body_bytes: 32 << 20, json_depth: 20, messages: 50 }));
        let timeouts = timeouts(of(&[("TOKI_SUPPLIER_CONNECT_SECONDS", "2"), ("TOKI_SUPPLIER_TOTAL_SECONDS", "1800")])).expect("both");
        assert_eq!((timeouts.connect, timeouts.total), (Duration::from_secs(2), Duration::from_secs(1_800)));
    }

    #[test]
    fn a_body_that_no_memory_could_hold_is_no_limit() {
        assert!(limits(of(&[("TOKI_MAX_BODY_MB", "32")]), 64 << 20).is_ok());
        let refused = limits(of(&[("TOKI_MAX_BODY_MB", "33")]), 64 << 20).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains("TOKI_MAX_BODY_MB") && refused.contains("TOKI_BODY_MEMORY_MB"), "{refused}");
    }
}
