//! A forecast in words. "About" stands in every sentence that says when.

use crate::tokens::Tokens;
use crate::ui::amount::{TokenAmount, amount_html};
use crate::ui::utc_time::day;
use crate::wallet::types::{Forecast, GrantEnd, Pace};
use crate::{t, tv};
use leptos::prelude::*;

/// Until when the Tokens last, and how sure that is.
#[component]
pub fn ForecastNote(forecast: Forecast) -> impl IntoView {
    view! {
        <p class="forecast">
            <strong>{lasts(&forecast)}</strong>
            " "
            <span class="muted">{pace_words(forecast.pace)}</span>
        </p>
    }
}

fn lasts(forecast: &Forecast) -> String {
    match (forecast.early, forecast.dry, forecast.late) {
        (None, ..) => t!("Lasts more than a year at this pace.").into(),
        (Some(early), None, _) => t!("Lasts until about {early} at least, likely more than a year.", early = day(early)),
        (Some(early), Some(dry), None) => {
            t!("Lasts until about {day} at this pace, until {early} at least.", day = day(dry), early = day(early))
        }
        (Some(early), Some(dry), Some(late)) => match (day(early), day(dry), day(late)) {
            (early, _, late) if early == late => t!("Lasts until about {day} at this pace.", day = late),
            (early, dry, late) => t!("Lasts until about {day} at this pace ({early} to {late}).", day = dry, early = early, late = late),
        },
    }
}

fn pace_words(pace: Pace) -> Vec<AnyView> {
    let Pace { likely, slow, fast } = pace;
    let short = |tokens: Tokens| view! { <TokenAmount tokens /> };
    if slow == fast {
        tv!("{tokens} a day in the last 4 weeks.", tokens = short(likely))
    } else {
        tv!(
            "{tokens} a day in the last 4 weeks, give or take: {slow} to {fast}.",
            tokens = short(likely),
            slow = short(slow),
            fast = short(fast)
        )
    }
}

/// What comes of a grant, as HTML, where that can be said.
pub fn grant_end(end: GrantEnd) -> Option<String> {
    match end {
        GrantEnd::UsedUp(at) => Some(t!("used up about {day}", day = day(at))),
        GrantEnd::Unused(tokens) => Some(t!("about {tokens} not used by then", tokens = amount_html(tokens))),
        GrantEnd::Later => None,
    }
}
