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

/// The time zone that whoever asks wants times in.
pub fn time_zone() -> Tz {
    use_context::<Preferences>().unwrap_or_default().time_zone
}
