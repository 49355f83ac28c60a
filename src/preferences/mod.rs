//! How a browser wants its pages: language, theme, time zone. Kept in cookies and read with each request, so that a page is right from
//! its first byte, for visitors too.

pub mod page;
pub mod page_settings;
pub mod server_fns;
pub mod types;
pub mod zones;

use crate::preferences::types::Preferences;
use chrono_tz::Tz;
use leptos::prelude::use_context;

tokio::task_local! {
    static ZONE: Tz;
}

/// Has the times that `work` writes be in this zone. There it is found at once, and not looked for from owner to owner with each of them.
pub fn in_zone<T>(zone: Tz, work: impl FnOnce() -> T) -> T {
    ZONE.sync_scope(zone, work)
}

/// The time zone that whoever asks wants times in.
pub fn time_zone() -> Tz {
    ZONE.try_with(|zone| *zone).unwrap_or_else(|_| use_context::<Preferences>().unwrap_or_default().time_zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_the_zone_that_was_said_and_else_in_utc() {
        assert_eq!((in_zone(Tz::Asia__Shanghai, time_zone), time_zone()), (Tz::Asia__Shanghai, Tz::UTC));
    }
}
