//! Moments, as the server said them: the same text on both sides of hydration.

use crate::utc;
use leptos::prelude::*;

#[component]
pub fn UtcTime(time: utc::UtcTime) -> impl IntoView {
    view! {
        <time datetime=time.rfc3339().to_string() title=time.second()>
            {time.minute()}
        </time>
    }
}
