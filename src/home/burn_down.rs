//! The balance day by day: how it went, and where it goes at this pace.

use crate::home::types::{BurnDown, DayUsage};
use crate::tokens::Tokens;
use crate::usage::range::Range;
use crate::utc::UtcTime;
use crate::wallet::forecast::Outlook;
use chrono::{DateTime, TimeDelta, Utc};

/// Days that were, today included, and days to come, at most: with more, a day is too narrow to point at.
const BACK: usize = 14;
const AHEAD: i64 = 30;

/// None where there is nothing to foretell, or too little to do it from. `days` are those of the range, which ends with today.
pub fn burn_down(outlook: &Outlook, range: &Range, days: &[DayUsage], now: DateTime<Utc>) -> Option<BurnDown> {
    if outlook.balance <= Tokens(0) {
        return None;
    }
    let to_come: Vec<DateTime<Utc>> = (0..AHEAD).map(|day| range.end + TimeDelta::days(day)).collect();
    let ends: Vec<DateTime<Utc>> = to_come.iter().map(|day| *day + TimeDelta::days(1)).collect();
    let mut course = outlook.course(now, &ends);
    // Until nothing is left even at the slow pace; what comes after says no more.
    let last = course.iter().rposition(|day| day.high > Tokens(0)).map_or(0, |last| last + 1);
    course.truncate(last + 1);
    let balances = balances(outlook.balance, days);
    let were = range.starts.iter().skip(range.starts.len().saturating_sub(balances.len()));
    let days = were.chain(to_come.iter().take(course.len())).map(|day| middle_of(*day)).collect();
    (!course.is_empty()).then_some(BurnDown { days, balances, course })
}

/// What a day is named by. Its beginning may lie in the one before: where clocks change, or a zone is no whole hours from UTC.
fn middle_of(day: DateTime<Utc>) -> UtcTime {
    (day + TimeDelta::hours(12)).into()
}

/// The balance at the end of each of the last days, of today as it is now: less what came since, and with what went.
fn balances(now: Tokens, days: &[DayUsage]) -> Vec<Tokens> {
    let mut balance = i128::from(now.0);
    let mut balances = Vec::with_capacity(BACK);
    for day in days.iter().rev().take(BACK) {
        // What running calls hold is in neither: a day may seem to have ended a little below nothing.
        balances.push(Tokens(i64::try_from(balance.max(0)).unwrap_or(i64::MAX)));
        balance += i128::from(day.charge.0) - i128::from(day.others.0);
    }
    balances.reverse();
    balances
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::Language;
    use crate::usage::range::Preset;
    use chrono_tz::Tz;

    fn day(charge: i64, others: i64) -> DayUsage {
        DayUsage { charge: Tokens(charge), others: Tokens(others), ..DayUsage::empty(DateTime::UNIX_EPOCH.into()) }
    }

    #[test]
    fn a_balance_is_what_it_is_now_less_what_came_since_and_with_what_went() {
        // Bought on the second day, a part of it lost on the third.
        let days = [(5, 0), (10, 1_000), (20, -100), (30, 0)].map(|(charge, others)| day(charge, others));
        let went = |now| balances(Tokens(now), &days).into_iter().map(|tokens| tokens.0).collect::<Vec<_>>();
        assert_eq!(went(850), [10, 1_000, 880, 850]);
        assert_eq!(went(830), [0, 980, 860, 830], "never below nothing");
        let many: Vec<DayUsage> = (0..30).map(|charge| day(charge, 0)).collect();
        assert_eq!(balances(Tokens(1), &many).len(), BACK);
    }

    #[test]
    fn a_day_is_the_one_that_the_reader_is_in() {
        let now: DateTime<Utc> = "2026-11-28T12:00:00Z".parse().expect("a moment");
        // In Kolkata the totals of a day begin half an hour before it.
        for zone in [Tz::UTC, Tz::Asia__Shanghai, Tz::Asia__Kolkata, Tz::America__Los_Angeles] {
            let range = Range::of(Preset::Month, zone, now);
            let [.., today] = range.starts.as_slice() else { panic!("30 days") };
            let named = [*today, range.end].map(|day| middle_of(day).written(zone, Language::English).day().to_string());
            assert_eq!(named, ["28 Nov 2026", "29 Nov 2026"], "{zone}");
        }
    }
}
