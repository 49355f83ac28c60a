//! How long the Tokens last: the pace of the last weeks, and what comes of each grant if it goes on. A guess, and said as one: with how far
//! it may be off, and not at all where there is too little to guess from.

mod course;

use crate::ids::{AccountId, GrantId};
use crate::tokens::Tokens;
use crate::wallet::store::{GrantRow, WalletError, balance_in, grants_and_charges};
use crate::wallet::types::{Forecast, GrantCourse, GrantEnd, GrantView, Pace};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgExecutor;
use std::collections::BTreeMap;

/// Full days that are looked back at.
pub const LOOK_BACK: i32 = 28;
/// Fewer days since the first call, or fewer days with one, are no pace.
const LEAST_DAYS: usize = 5;
const LEAST_DAYS_OF_USE: usize = 3;
/// Nobody knows what comes after.
const HORIZON: TimeDelta = TimeDelta::days(366);
const DAY_S: i128 = 86_400;

/// What is left of a grant, in burn order among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stock {
    grant_id: GrantId,
    left: Tokens,
    starts_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

/// A wallet at a glance.
pub struct Outlook {
    pub balance: Tokens,
    pub forecast: Option<Forecast>,
    /// When parts of the balance end, the first first, and how much then does.
    pub ends: BTreeMap<DateTime<Utc>, Tokens>,
    /// What the forecast was made from, in burn order.
    stocks: Vec<Stock>,
}

pub async fn outlook_of(db: impl PgExecutor<'_>, account_id: AccountId) -> Result<Outlook, WalletError> {
    let (grants, charges) = grants_and_charges(db, account_id, LOOK_BACK).await?;
    let (forecast, stocks) = (forecast_of(&charges, &grants), stocks_in(&grants));
    Ok(Outlook { balance: balance_in(&grants), forecast, ends: ends_in(&grants), stocks })
}

fn ends_in(grants: &[GrantRow]) -> BTreeMap<DateTime<Utc>, Tokens> {
    let mut ends = BTreeMap::<_, Tokens>::new();
    for grant in grants.iter().filter(|grant| grant.current && grant.left.0 > 0) {
        let tokens = ends.entry(grant.expires_at).or_default();
        tokens.0 = tokens.0.saturating_add(grant.left.0);
    }
    ends
}

/// How long what is left of these grants lasts; none when there is too little to go by. `charges`: of the last [`LOOK_BACK`] days.
pub fn forecast_of(charges: &[Tokens], grants: &[GrantRow]) -> Option<Forecast> {
    forecast(charges, &stocks_in(grants), Utc::now())
}

fn stocks_in(grants: &[GrantRow]) -> Vec<Stock> {
    grants.iter().filter_map(Stock::of).collect()
}

impl Stock {
    /// None when nothing of the grant can be spent any more.
    fn of(grant: &GrantRow) -> Option<Stock> {
        let GrantRow { grant_id, left, starts_at, expires_at, .. } = *grant;
        (grant.live && !grant.frozen && left.0 > 0).then_some(Stock { grant_id, left, starts_at, expires_at })
    }
}

/// `days`: what was charged on each full day, the oldest first. `stocks`: in burn order.
fn forecast(days: &[Tokens], stocks: &[Stock], now: DateTime<Utc>) -> Option<Forecast> {
    let pace = pace_of(days)?;
    let [likely, slow, fast] = [pace.likely, pace.slow, pace.fast].map(|a_day| run(stocks, a_day, now));
    let time = |at: Option<DateTime<Utc>>| at.map(Into::into);
    let (dry, early, late) = (time(likely.dry), time(fast.dry), time(slow.dry));
    let ends = likely.ends.into_iter().zip(slow.ends).zip(fast.ends);
    let course = |(stock, ((likely, slow), fast)): (&Stock, _)| GrantCourse { grant_id: stock.grant_id, likely, slow, fast };
    let grants = stocks.iter().zip(ends).map(course).collect();
    Some(Forecast { pace, dry, lapses: likely.lapses, more_later: likely.more_later, early, late, grants })
}

/// The mean of the days since the first with a call, and twice its standard error around it.
fn pace_of(days: &[Tokens]) -> Option<Pace> {
    let days: Vec<i128> = days.iter().map(|day| i128::from(day.0)).skip_while(|day| *day == 0).collect();
    if days.len() < LEAST_DAYS || days.iter().filter(|day| **day > 0).count() < LEAST_DAYS_OF_USE {
        return None;
    }
    let count = i128::try_from(days.len()).ok()?;
    let mean = days.iter().sum::<i128>() / count;
    let squares: u128 = days.iter().map(|day| (day - mean).unsigned_abs()).map(|off| off.saturating_mul(off)).fold(0, u128::saturating_add);
    let error = (squares / (count * (count - 1)).unsigned_abs()).isqrt();
    let spread = i128::try_from(error).unwrap_or(i128::MAX / 4).saturating_mul(2);
    let tokens = |amount: i128| Tokens(i64::try_from(amount).unwrap_or(i64::MAX));
    (mean > 0).then(|| Pace {
        likely: tokens(mean),
        slow: tokens((mean - spread).max(mean / 4).max(1)),
        fast: tokens(mean.saturating_add(spread)),
    })
}

/// What comes of everything at one pace.
struct Run {
    /// When nothing is left to pay with, if within the horizon.
    dry: Option<DateTime<Utc>>,
    /// Whether the last of it expires then.
    lapses: bool,
    /// Whether another grant begins after that.
    more_later: bool,
    /// Of each grant.
    ends: Vec<GrantEnd>,
}

fn run(stocks: &[Stock], a_day: Tokens, now: DateTime<Utc>) -> Run {
    let mut left: Vec<i128> = stocks.iter().map(|stock| i128::from(stock.left.0)).collect();
    let mut ends: Vec<GrantEnd> = vec![GrantEnd::Later; stocks.len()];
    let a_day = i128::from(a_day.0.max(1));
    let (mut time, horizon) = (now, now + HORIZON);
    while time < horizon {
        let mut lapses = false;
        for ((stock, left), end) in stocks.iter().zip(&mut left).zip(&mut ends) {
            if stock.expires_at <= time && *left > 0 {
                *end = GrantEnd::Unused(Tokens(i64::try_from(*left).unwrap_or(i64::MAX)));
                *left = 0;
                lapses = true;
            }
        }
        let pays = stocks.iter().zip(&left).position(|(stock, left)| *left > 0 && stock.starts_at <= time);
        let Some((place, stock)) = pays.and_then(|place| stocks.get(place).map(|stock| (place, stock))) else {
            // What is left has not begun.
            let more_later = left.iter().any(|left| *left > 0);
            return Run { dry: Some(time), lapses, more_later, ends };
        };
        let rest = left.get(place).copied().unwrap_or_default();
        let seconds = i64::try_from(((rest * DAY_S + a_day - 1) / a_day).min(DAY_S * 1_000)).unwrap_or(i64::MAX);
        let used_up = time + TimeDelta::seconds(seconds);
        // Until it is used up or over, or one before it in the order begins.
        let begins = stocks.iter().take(place).map(|before| before.starts_at).filter(|starts_at| *starts_at > time);
        let next = begins.chain([used_up, stock.expires_at]).min().unwrap_or(used_up);
        if next >= horizon {
            break;
        }
        let taken = (i128::from((next - time).num_seconds()) * a_day / DAY_S).min(rest);
        let rest = if next == used_up { 0 } else { rest - taken };
        if rest == 0
            && let Some(end) = ends.get_mut(place)
        {
            *end = GrantEnd::UsedUp(next.into());
        }
        if let Some(left) = left.get_mut(place) {
            *left = rest;
        }
        time = next.max(time + TimeDelta::seconds(1));
    }
    Run { dry: None, lapses: false, more_later: false, ends }
}

impl Forecast {
    pub fn of_grant(&self, grant: &GrantView) -> Option<GrantCourse> {
        self.grants.iter().find(|course| course.grant_id == grant.grant_id).copied()
    }

    /// What likely expires, of all grants.
    pub fn unused(&self) -> Tokens {
        let unused = self.grants.iter().filter_map(|course| match course.likely {
            GrantEnd::Unused(tokens) => Some(tokens.0),
            GrantEnd::UsedUp(_) | GrantEnd::Later => None,
        });
        Tokens(unused.fold(0, i64::saturating_add))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-12-01T00:00:00Z".parse().expect("a moment")
    }

    fn days(amounts: &[i64]) -> Vec<Tokens> {
        amounts.iter().copied().map(Tokens).collect()
    }

    fn stock(left: i64, starts: i64, expires: i64) -> Stock {
        let at = |days| now() + TimeDelta::days(days);
        Stock { grant_id: GrantId::generate(), left: Tokens(left), starts_at: at(starts), expires_at: at(expires) }
    }

    fn day(n: i64) -> crate::utc::UtcTime {
        (now() + TimeDelta::days(n)).into()
    }

    fn ends(forecast: &Forecast) -> Vec<GrantEnd> {
        forecast.grants.iter().map(|course| course.likely).collect()
    }

    #[test]
    fn too_little_is_no_pace() {
        for too_little in [&[][..], &[0; 28], &[5, 5, 5, 5], &[5, 0, 0, 0, 0, 0, 5], &[0, 0, 0, 0, 0, 9, 9, 9]] {
            assert_eq!(forecast(&days(too_little), &[stock(100, -1, 10)], now()), None, "{too_little:?}");
        }
        // Days before the first call are no days of use.
        let pace = forecast(&days(&[0, 0, 0, 10, 10, 10, 10, 10]), &[], now()).expect("a forecast").pace;
        assert_eq!(pace, Pace { likely: Tokens(10), slow: Tokens(10), fast: Tokens(10) });
    }

    #[test]
    fn a_steady_pace_has_one_day_and_an_unsteady_one_a_span() {
        let steady = forecast(&days(&[10; 7]), &[stock(100, -1, 90)], now()).expect("a forecast");
        assert_eq!((steady.dry, steady.early, steady.late), (Some(day(10)), Some(day(10)), Some(day(10))));
        assert_eq!(ends(&steady), [GrantEnd::UsedUp(day(10))]);
        let unsteady = forecast(&days(&[0, 30, 0, 30, 0, 30, 0, 30, 0, 30]), &[stock(150, -1, 90)], now()).expect("a forecast");
        assert!(unsteady.early < unsteady.dry && unsteady.dry < unsteady.late, "{unsteady:?}");
        assert!(unsteady.pace.slow < unsteady.pace.likely && unsteady.pace.likely < unsteady.pace.fast);
    }

    #[test]
    fn grants_pay_in_their_order_and_what_is_not_used_in_time_is_lost() {
        // 30 of the first are left when it is over; the second lasts 5 days more.
        let stocks = [stock(80, -1, 5), stock(50, -1, 60)];
        let course = forecast(&days(&[10; 7]), &stocks, now()).expect("a forecast");
        assert_eq!(ends(&course), [GrantEnd::Unused(Tokens(30)), GrantEnd::UsedUp(day(10))]);
        assert_eq!((course.dry, course.lapses, course.unused()), (Some(day(10)), false, Tokens(30)));
        // One that starts later and comes first in the order is used from then on.
        let stocks = [stock(20, 3, 10), stock(50, -1, 60)];
        let course = forecast(&days(&[10; 7]), &stocks, now()).expect("a forecast");
        assert_eq!(ends(&course), [GrantEnd::UsedUp(day(5)), GrantEnd::UsedUp(day(7))]);
        // Until one starts there is nothing to pay with.
        let course = forecast(&days(&[10; 7]), &[stock(20, -1, 30), stock(50, 9, 60)], now()).expect("a forecast");
        assert_eq!((course.dry, course.lapses, course.more_later, course.unused()), (Some(day(2)), false, true, Tokens(0)));
    }

    #[test]
    fn tokens_that_outlast_the_pace_end_when_they_expire() {
        let course = forecast(&days(&[10; 7]), &[stock(20, -1, 5), stock(500, -1, 30)], now()).expect("a forecast");
        assert_eq!((course.early, course.dry, course.late), (Some(day(30)), Some(day(30)), Some(day(30))));
        assert!(course.lapses && !course.more_later);
        assert_eq!(course.unused(), Tokens(220));
        // Another grant begins after it: it is still no pace that ends them.
        let course = forecast(&days(&[10; 7]), &[stock(80, -1, 5), stock(50, 9, 60)], now()).expect("a forecast");
        assert_eq!((course.dry, course.lapses, course.more_later, course.unused()), (Some(day(5)), true, true, Tokens(30)));
        // What is used up to the last Token does not expire.
        assert!(!forecast(&days(&[10; 7]), &[stock(50, -1, 5)], now()).expect("a forecast").lapses);
        let most = forecast(&days(&[1; 7]), &[stock(i64::MAX, -1, 5), stock(i64::MAX, -1, 9)], now()).expect("a forecast");
        assert_eq!((most.lapses, most.unused()), (true, Tokens(i64::MAX)));
    }

    #[test]
    fn each_grant_has_what_comes_of_it_at_every_pace() {
        let unsteady = forecast(&days(&[0, 30, 0, 30, 0, 30, 0, 30, 0, 30]), &[stock(150, -1, 11)], now()).expect("a forecast");
        let [GrantCourse { likely, slow, fast, .. }] = unsteady.grants[..] else { panic!("one grant: {unsteady:?}") };
        let (GrantEnd::UsedUp(at), GrantEnd::UsedUp(early)) = (likely, fast) else { panic!("used up: {unsteady:?}") };
        assert!(early < at && at < day(11), "{unsteady:?}");
        assert_eq!(slow, GrantEnd::Unused(Tokens(150 - 11 * unsteady.pace.slow.0)));
        let steady = forecast(&days(&[10; 7]), &[stock(80, -1, 5)], now()).expect("a forecast");
        let [GrantCourse { likely, slow, fast, .. }] = steady.grants[..] else { panic!("one grant: {steady:?}") };
        assert_eq!([likely, slow, fast], [GrantEnd::Unused(Tokens(30)); 3]);
    }

    #[test]
    fn what_lasts_a_year_lasts_and_no_number_is_too_large() {
        let course = forecast(&days(&[1; 7]), &[stock(i64::MAX, -1, 10_000)], now()).expect("a forecast");
        assert_eq!((course.dry, course.early, ends(&course)), (None, None, vec![GrantEnd::Later]));
        let course = forecast(&days(&[i64::MAX; 7]), &[stock(i64::MAX, -1, 10_000)], now()).expect("a forecast");
        assert_eq!(course.dry, Some(day(1)));
        let wild = forecast(&days(&[0, i64::MAX, 0, i64::MAX, 1, 0, i64::MAX]), &[stock(5, -1, 9)], now()).expect("a forecast");
        assert!(wild.pace.likely < wild.pace.fast && wild.pace.slow < wild.pace.likely);
        assert!(forecast(&days(&[10; 7]), &[], now()).expect("a forecast").dry.is_some());
    }
}
