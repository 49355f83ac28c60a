//! Quotas of a day, a week or a month (UTC). What a call holds or is charged counts in the period that runs when it comes, and what it
//! held and did not spend goes back to the period that it was taken from, if that still runs. A period never goes back: where the clock
//! was set back behind its beginning, it runs on, and nothing begins anew.

use super::{Key, KeyState, Model};
use crate::clock::MOST_REAL;
use toki::ids::KeyId;
use toki::keys::types_limits::Period;

pub const DAY: i64 = 24 * 60;
/// Days from the first of May to those of the months after it, from the beginning of the model; no run lasts longer.
const MONTHS: [i64; 8] = [-31, 0, 30, 61, 92, 122, 153, 183];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeriodQuota {
    pub period: Period,
    pub tokens: i64,
}

/// When the period began that this minute is in.
fn start(period: Period, minute: i64) -> i64 {
    match period {
        Period::Day => minute.div_euclid(DAY) * DAY,
        Period::Week => minute.div_euclid(7 * DAY) * 7 * DAY,
        Period::Month => {
            let begun = MONTHS.iter().rev().map(|day| day * DAY).find(|first| *first <= minute);
            begun.expect("a month of the model")
        }
    }
}

/// The beginning of the month that this minute is in, and its end.
pub fn month_of(minute: i64) -> (i64, i64) {
    let end = MONTHS.iter().map(|day| day * DAY).find(|first| *first > minute);
    (start(Period::Month, minute), end.expect("a month of the model"))
}

impl Key {
    /// What is used of its period now.
    fn used_now(&self, now: i64) -> i64 {
        match (self.period, self.began) {
            (Some(quota), Some(began)) if began >= start(quota.period, now) => self.used,
            _ => 0,
        }
    }

    pub fn period_left(&self, now: i64) -> Option<i64> {
        self.period.map(|quota| quota.tokens - self.used_now(now))
    }

    /// Whether the clock was set back behind the beginning of its period.
    pub fn is_behind(&self, now: i64) -> bool {
        self.period.zip(self.began).is_some_and(|(quota, began)| began > start(quota.period, now))
    }

    /// A hold that is placed now lies in the period that it counts in.
    pub fn placed_at(&self, now: i64) -> i64 {
        self.began.map_or(now, |began| began.max(now))
    }

    /// These Tokens, or none, count in the period that runs.
    pub fn use_in_period(&mut self, now: i64, tokens: i64) {
        let Some(quota) = self.period else { return };
        self.blur(now);
        self.used = self.used_now(now) + tokens;
        self.began = Some(self.placed_at(start(quota.period, now)));
    }

    fn blur(&mut self, now: i64) {
        if let Some(began) = self.began.filter(|_| self.is_behind(now)) {
            self.blurred = self.blurred.max(began);
        }
    }

    /// Whether no record tells what was used of its period.
    pub fn is_blurred(&self) -> bool {
        self.began.is_some_and(|began| began <= self.blurred)
    }

    /// Whether a hold of this minute, that is put back now, counts in the period that runs.
    pub fn counts_now(&self, now: i64, placed: i64) -> bool {
        self.period.is_some_and(|quota| start(quota.period, placed) >= start(quota.period, now))
    }

    /// What of a hold of this minute was not spent.
    pub fn give_back_to_period(&mut self, now: i64, placed: i64, tokens: i64) {
        let Some((quota, began)) = self.period.zip(self.began) else { return };
        self.blur(now);
        if start(quota.period, placed) >= began {
            self.used = (self.used - tokens).max(0);
        }
    }
}

impl Model {
    /// Keys of which no record tells what was used of their period.
    pub fn blurred_keys(&self) -> impl Iterator<Item = KeyId> {
        let keys = self.accounts.iter().flat_map(|account| &account.keys).filter(|key| key.is_blurred());
        keys.map(|key| key.key_id).chain(self.left_blurred.iter().copied())
    }

    /// Of a period that is new, what was charged and is held in it already counts.
    pub fn limit_key(&mut self, key_id: KeyId, limit: Option<PeriodQuota>) -> &'static str {
        self.volatile.clear();
        let now = self.now;
        let Some((account, key)) = self.key(key_id).filter(|(_, key)| key.state != KeyState::Deleted) else { return "NotFound" };
        let account_id = account.account_id;
        let same = limit.zip(key.period).is_some_and(|(new, old)| new.period == old.period);
        let begun = limit.map(|new| start(new.period, now));
        let (mut used, mut blurred) = (0, key.blurred);
        for record in self.records.values().filter(|record| record.key_id == key_id && begun.is_some_and(|begun| record.started >= begun)) {
            used += record.charge;
            if record.started > now + MOST_REAL || begun.is_some_and(|begun| record.recorded < begun) {
                blurred = blurred.max(record.started);
            }
        }
        for hold in self.holds.iter().filter(|hold| hold.key_id == key_id && begun.is_some_and(|begun| hold.placed >= begun)) {
            used += hold.tokens;
            if hold.placed > now + MOST_REAL {
                blurred = blurred.max(hold.placed);
            }
        }
        let key = self.key_mut(account_id, key_id);
        if same {
            key.period = limit;
            key.use_in_period(now, 0);
        } else {
            (key.period, key.began, key.used, key.blurred) = (limit, begun, used, blurred);
        }
        "edited"
    }
}
