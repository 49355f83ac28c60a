//! A forecast in words. "About" stands in every sentence that says when, but for the day on which Tokens expire: that is known.

use crate::tokens::Tokens;
use crate::ui::amount::{TokenAmount, amount_html};
use crate::ui::utc_time::day;
use crate::utc::UtcTime;
use crate::wallet::types::{Forecast, GrantCourse, GrantEnd, Pace};
use crate::{t, tv};
use leptos::prelude::*;

/// Until when the Tokens last, how sure that is, and what of them is lost by then.
#[component]
pub fn ForecastNote(forecast: Forecast) -> impl IntoView {
    view! {
        <p class="forecast">
            <strong>{lasts(&forecast)}</strong>
            " "
            {unused(&forecast).map(|words| view! { {words} " " })}
            <span class="muted">{pace_words(forecast.pace)}</span>
        </p>
    }
}

fn lasts(forecast: &Forecast) -> String {
    if let Some(words) = outlasts(forecast) {
        return words;
    }
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

/// Of Tokens that expire before they are used, whatever the pace within its span: it has nothing to do with the last day.
fn outlasts(forecast: &Forecast) -> Option<String> {
    let (early, dry, late) = (day(forecast.early?), day(forecast.dry?), day(forecast.late?));
    if !forecast.lapses || dry != late {
        return None;
    }
    Some(match (early == late, forecast.more_later) {
        (true, false) => t!("The Tokens outlast this pace: the last of them expire on {day}.", day = late),
        (true, true) => t!("The Tokens outlast this pace: those that pay now expire on {day}.", day = late),
        (false, false) => {
            t!("Lasts until the last Tokens expire on {day}, or until about {early} at the fastest.", day = late, early = early)
        }
        (false, true) => {
            t!("Lasts until those that pay now expire on {day}, or until about {early} at the fastest.", day = late, early = early)
        }
    })
}

fn unused(forecast: &Forecast) -> Option<Vec<AnyView>> {
    let tokens = forecast.unused();
    let amount = (tokens.0 > 0).then(|| view! { <TokenAmount tokens /> })?;
    Some(match forecast.dry {
        Some(_) => tv!("About {tokens} expire unused by then.", tokens = amount),
        None => tv!("About {tokens} expire unused within a year.", tokens = amount),
    })
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

/// What comes of a grant, as HTML, where that can be said; with its span, where the pace makes a difference.
pub fn grant_end(course: GrantCourse) -> Option<String> {
    match course.likely {
        GrantEnd::UsedUp(at) => Some(used_up(at, course)),
        GrantEnd::Unused(tokens) => Some(not_used(tokens, course)),
        GrantEnd::Later => match course.fast {
            GrantEnd::UsedUp(at) => Some(t!("not used up before about {early}", early = day(at))),
            GrantEnd::Unused(_) | GrantEnd::Later => None,
        },
    }
}

fn used_up(at: UtcTime, course: GrantCourse) -> String {
    let at = day(at);
    let GrantEnd::UsedUp(early) = course.fast else { return t!("used up about {day}", day = at) };
    let early = day(early);
    match course.slow {
        GrantEnd::UsedUp(late) => match day(late) {
            late if late == early => t!("used up about {day}", day = at),
            late => t!("used up about {day} ({early} to {late})", day = at, early = early, late = late),
        },
        GrantEnd::Unused(most) => t!(
            "used up about {day} ({early} at the earliest), or up to {tokens} not used in time",
            day = at,
            early = early,
            tokens = amount_html(most)
        ),
        GrantEnd::Later => t!("used up about {day} ({early} at the earliest)", day = at, early = early),
    }
}

fn not_used(tokens: Tokens, course: GrantCourse) -> String {
    // What is used up in time leaves nothing.
    let least = match course.fast {
        GrantEnd::Unused(least) => least,
        GrantEnd::UsedUp(_) => Tokens(0),
        GrantEnd::Later => tokens,
    };
    match course.slow {
        GrantEnd::Unused(most) if most != least => t!(
            "about {tokens} not used by then ({least} to {most})",
            tokens = amount_html(tokens),
            least = amount_html(least),
            most = amount_html(most)
        ),
        _ => t!("about {tokens} not used by then", tokens = amount_html(tokens)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::{Language, speaking};
    use crate::ids::GrantId;
    use chrono::{DateTime, TimeDelta, Utc};

    fn at(n: i64) -> UtcTime {
        ("2026-12-01T12:00:00Z".parse::<DateTime<Utc>>().expect("a moment") + TimeDelta::days(n)).into()
    }

    fn grant(likely: GrantEnd, slow: GrantEnd, fast: GrantEnd) -> GrantCourse {
        GrantCourse { grant_id: GrantId::generate(), likely, slow, fast }
    }

    /// Days from now, of a wallet whose last Tokens are used up.
    fn forecast(early: Option<i64>, dry: Option<i64>, late: Option<i64>) -> Forecast {
        let pace = Pace { likely: Tokens(10), slow: Tokens(10), fast: Tokens(10) };
        let [dry, early, late] = [dry, early, late].map(|days| days.map(at));
        Forecast { pace, dry, lapses: false, more_later: false, early, late, grants: Vec::new() }
    }

    #[test]
    fn only_what_is_used_up_lasts_as_long_as_the_pace_says() {
        let (soon, then, late) = (day(at(5)), day(at(9)), day(at(14)));
        let lapses = |forecast| Forecast { lapses: true, ..forecast };
        let goes_on = |forecast| Forecast { more_later: true, ..forecast };
        for (forecast, words) in [
            (forecast(Some(9), Some(9), Some(9)), format!("Lasts until about {then} at this pace.")),
            (forecast(Some(5), Some(9), Some(14)), format!("Lasts until about {then} at this pace ({soon} to {late}).")),
            (forecast(None, None, None), "Lasts more than a year at this pace.".into()),
            (lapses(forecast(Some(9), Some(9), Some(9))), format!("The Tokens outlast this pace: the last of them expire on {then}.")),
            (
                lapses(forecast(Some(5), Some(9), Some(9))),
                format!("Lasts until the last Tokens expire on {then}, or until about {soon} at the fastest."),
            ),
            // Others begin later.
            (
                goes_on(lapses(forecast(Some(9), Some(9), Some(9)))),
                format!("The Tokens outlast this pace: those that pay now expire on {then}."),
            ),
            (
                goes_on(lapses(forecast(Some(5), Some(9), Some(9)))),
                format!("Lasts until those that pay now expire on {then}, or until about {soon} at the fastest."),
            ),
            (goes_on(forecast(Some(9), Some(9), Some(9))), format!("Lasts until about {then} at this pace.")),
            // Grants pay in another order than they end: at the slow pace it goes on longer.
            (lapses(forecast(Some(5), Some(9), Some(14))), format!("Lasts until about {then} at this pace ({soon} to {late}).")),
        ] {
            assert_eq!(lasts(&forecast), words, "{forecast:?}");
        }
        let chinese = speaking(Language::Chinese, || {
            let then = day(at(9));
            assert!(!lasts(&lapses(forecast(Some(9), Some(9), Some(9)))).contains("用量预计可用到"));
            assert!(lasts(&goes_on(lapses(forecast(Some(9), Some(9), Some(9))))).contains(&format!("目前可用的 Token 于 {then} 到期")));
            lasts(&lapses(forecast(Some(9), Some(9), Some(9)))).contains(&then)
        });
        assert!(chinese);
    }

    #[test]
    fn what_expires_unused_is_said_with_every_digit_and_only_where_something_does() {
        let unused = |tokens| grant(GrantEnd::Unused(Tokens(tokens)), GrantEnd::Unused(Tokens(tokens)), GrantEnd::Later);
        let grants = vec![unused(1_200), grant(GrantEnd::Later, GrantEnd::Later, GrantEnd::Later), unused(300)];
        let note = |forecast: Forecast| {
            let html = Owner::new().with(|| view! { <ForecastNote forecast /> }.to_html());
            html.replace("<!>", "")
        };
        let said = note(Forecast { grants: grants.clone(), ..forecast(Some(9), Some(9), Some(9)) });
        assert!(said.contains(&format!("About {} expire unused by then.", amount_html(Tokens(1_500)))), "{said}");
        let said = note(Forecast { grants, ..forecast(None, None, None) });
        assert!(said.contains("expire unused within a year."), "{said}");
        assert!(!note(forecast(Some(9), Some(9), Some(9))).contains("unused"));
    }

    #[test]
    fn what_comes_of_a_grant_has_its_span_where_the_pace_makes_a_difference() {
        let (used, unused) = (|n| GrantEnd::UsedUp(at(n)), |n| GrantEnd::Unused(Tokens(n)));
        let (soon, then, late) = (day(at(5)), day(at(9)), day(at(14)));
        let html = |n| amount_html(Tokens(n)).to_string();
        for (likely, slow, fast, words) in [
            (used(9), used(9), used(9), format!("used up about {then}")),
            (used(9), used(14), used(5), format!("used up about {then} ({soon} to {late})")),
            (
                used(9),
                unused(2_000),
                used(5),
                format!("used up about {then} ({soon} at the earliest), or up to {} not used in time", html(2_000)),
            ),
            (used(9), GrantEnd::Later, used(5), format!("used up about {then} ({soon} at the earliest)")),
            (unused(7), unused(7), unused(7), format!("about {} not used by then", html(7))),
            (unused(70), unused(1_000), unused(3), format!("about {} not used by then ({} to {})", html(70), html(3), html(1_000))),
            (unused(70), unused(90), used(5), format!("about {} not used by then ({} to {})", html(70), html(0), html(90))),
            (GrantEnd::Later, GrantEnd::Later, used(5), format!("not used up before about {soon}")),
        ] {
            assert_eq!(grant_end(grant(likely, slow, fast)), Some(words), "{likely:?}, {slow:?}, {fast:?}");
        }
        assert_eq!(grant_end(grant(GrantEnd::Later, GrantEnd::Later, GrantEnd::Later)), None);
    }
}
