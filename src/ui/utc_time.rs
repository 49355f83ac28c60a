//! Moments, as the server said them: the same text on both sides of hydration.

use crate::utc;
use leptos::prelude::*;

/// `24 Dec 2026, 15:00 UTC`; where room is short it breaks after the day and nowhere else.
#[component]
pub fn UtcTime(time: utc::UtcTime) -> impl IntoView {
    view! {
        <time datetime=time.rfc3339().to_string() title=time.second()>
            <span>{format!("{},", time.day())}</span>
            " "
            <span>{time.clock()}</span>
        </time>
    }
}
