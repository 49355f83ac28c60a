//! What callers may take of us.

use super::{ConfigError, milliseconds, networks, number};
use crate::server::edge::{MOST_HEAD_BYTES, Refusals, Settings, most_by_default};
use std::ops::RangeInclusive;
use std::time::Duration;

const PATIENCE_MS: RangeInclusive<u64> = 100..=3_600_000;
/// A caller who reads nothing of an answer for so long is gone, or might as well be.
const WRITE: Duration = Duration::from_secs(60);
const KILOBYTE: usize = 1 << 10;

pub fn settings<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Settings, ConfigError> {
    let patience = |name: &'static str, default_ms| milliseconds(name, get(name), default_ms, PATIENCE_MS);
    let connections = get("TOKI_MAX_CONNECTIONS");
    let connections = number("TOKI_MAX_CONNECTIONS", "connections", connections, most_by_default() as u64, 1..=1_000_000)?;
    let kilobytes = get("TOKI_MAX_HEADER_KB");
    let kilobytes = number("TOKI_MAX_HEADER_KB", "kilobytes", kilobytes, (MOST_HEAD_BYTES / KILOBYTE) as u64, 8..=128)?;
    Ok(Settings {
        header: patience("TOKI_HEADER_TIMEOUT_MS", 10_000)?,
        body: patience("TOKI_BODY_TIMEOUT_MS", 30_000)?,
        idle: patience("TOKI_IDLE_TIMEOUT_MS", 75_000)?,
        write: WRITE,
        most_connections: connections as usize,
        head_bytes: kilobytes as usize * KILOBYTE,
        trusted_proxies: networks("TOKI_TRUSTED_PROXIES", get("TOKI_TRUSTED_PROXIES"))?,
        refusals: Refusals::default(),
    })
}

/// In bytes.
pub fn body_memory<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<usize, ConfigError> {
    let megabytes = number("TOKI_BODY_MEMORY_MB", "megabytes", get("TOKI_BODY_MEMORY_MB"), 1_024, 64..=1_000_000)?;
    Ok((megabytes as usize) << 20)
}
