//! What the balance comes to, moment by moment, if the pace goes on: grants pay in their order, and what is not used in time is lost.

use crate::tokens::Tokens;
use crate::wallet::forecast::{DAY_S, Outlook, Stock};
use crate::wallet::types::Expected;
use chrono::{DateTime, Utc};

impl Outlook {
    /// The balance at each of these moments to come, which are in order; empty when there is too little to go by.
    pub fn course(&self, now: DateTime<Utc>, moments: &[DateTime<Utc>]) -> Vec<Expected> {
        let Some(pace) = self.forecast.as_ref().map(|forecast| forecast.pace) else { return Vec::new() };
        let [likely, slow, fast] = [pace.likely, pace.slow, pace.fast].map(|a_day| left_at(&self.stocks, a_day, now, moments));
        let all = likely.into_iter().zip(slow).zip(fast);
        all.map(|((likely, slow), fast)| Expected { likely, low: fast.min(likely), high: slow.max(likely) }).collect()
    }
}

/// What can be spent at each moment. Counted in Tokens times the seconds of a day, so that no rounding adds up.
fn left_at(stocks: &[Stock], a_day: Tokens, now: DateTime<Utc>, moments: &[DateTime<Utc>]) -> Vec<Tokens> {
    let a_day = i128::from(a_day.0.max(1));
    let mut left: Vec<i128> = stocks.iter().map(|stock| i128::from(stock.left.0) * DAY_S).collect();
    let mut time = now;
    let at = |moment: &DateTime<Utc>| {
        while time < *moment {
            time = spend(stocks, &mut left, a_day, time, *moment);
        }
        let spendable = stocks.iter().zip(&left).filter(|(stock, _)| stock.pays_at(*moment)).map(|(_, left)| left / DAY_S);
        Tokens(i64::try_from(spendable.sum::<i128>()).unwrap_or(i64::MAX))
    };
    moments.iter().map(at).collect()
}

/// Spends until another grant may pay, or one may no more, and not beyond `until`; says when that is.
fn spend(stocks: &[Stock], left: &mut [i128], a_day: i128, time: DateTime<Utc>, until: DateTime<Utc>) -> DateTime<Utc> {
    let turns = stocks.iter().flat_map(|stock| [stock.starts_at, stock.expires_at]).filter(|at| *at > time);
    let next = turns.chain([until]).min().unwrap_or(until);
    let mut due = i128::from((next - time).num_seconds()) * a_day;
    for (_, left) in stocks.iter().zip(left).filter(|(stock, _)| stock.pays_at(time)) {
        let paid = due.min(*left);
        *left -= paid;
        due -= paid;
    }
    next
}

impl Stock {
    fn pays_at(&self, time: DateTime<Utc>) -> bool {
        self.starts_at <= time && self.expires_at > time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::GrantId;
    use crate::wallet::types::{Forecast, Pace};
    use chrono::TimeDelta;
    use std::collections::BTreeMap;

    fn day(n: i64) -> DateTime<Utc> {
        "2026-12-01T00:00:00Z".parse::<DateTime<Utc>>().expect("a moment") + TimeDelta::days(n)
    }

    fn stock(left: i64, starts: i64, expires: i64) -> Stock {
        Stock { grant_id: GrantId::generate(), left: Tokens(left), starts_at: day(starts), expires_at: day(expires) }
    }

    /// After each of the first days.
    fn left(stocks: &[Stock], a_day: i64, days: i64) -> Vec<i64> {
        let moments: Vec<_> = (1..=days).map(day).collect();
        left_at(stocks, Tokens(a_day), day(0), &moments).into_iter().map(|tokens| tokens.0).collect()
    }

    #[test]
    fn grants_pay_in_their_order_and_what_is_not_used_in_time_is_lost() {
        // 30 of the first are left when it is over.
        assert_eq!(left(&[stock(80, -1, 5), stock(50, -1, 60)], 10, 11), [120, 110, 100, 90, 50, 40, 30, 20, 10, 0, 0]);
        // One that starts later and comes first in the order is used from then on.
        assert_eq!(left(&[stock(20, 3, 10), stock(50, -1, 60)], 10, 7), [40, 30, 40, 30, 20, 10, 0]);
        // Until one starts there is nothing to pay with.
        assert_eq!(left(&[stock(20, -1, 30), stock(50, 4, 60)], 10, 5), [10, 0, 0, 50, 40]);
    }

    #[test]
    fn no_number_is_too_large_and_no_rounding_adds_up() {
        assert_eq!(left(&[stock(i64::MAX, -1, 90), stock(i64::MAX, -1, 90)], 1, 1), [i64::MAX]);
        assert_eq!(left(&[stock(i64::MAX, -1, 90)], i64::MAX, 2), [0, 0]);
        let hours: Vec<_> = (1..=48).map(|hour| day(0) + TimeDelta::hours(hour)).collect();
        assert_eq!(left_at(&[stock(10, -1, 90)], Tokens(1), day(0), &hours).last(), Some(&Tokens(8)));
    }

    #[test]
    fn the_pace_may_be_slower_or_faster_and_without_one_nothing_is_said() {
        let pace = Pace { likely: Tokens(10), slow: Tokens(5), fast: Tokens(20) };
        let forecast = Forecast { pace, dry: None, lapses: false, more_later: false, early: None, late: None, grants: Vec::new() };
        let mut outlook =
            Outlook { balance: Tokens(150), forecast: Some(forecast), ends: BTreeMap::new(), stocks: vec![stock(150, -1, 90)] };
        let expected = |likely, low, high| Expected { likely: Tokens(likely), low: Tokens(low), high: Tokens(high) };
        assert_eq!(outlook.course(day(0), &[day(1), day(2)]), [expected(140, 130, 145), expected(130, 110, 140)]);
        outlook.forecast = None;
        assert!(outlook.course(day(0), &[day(1), day(2)]).is_empty());
    }
}
