//! What crosses the wire of `home`.

use crate::ids::RequestId;
use crate::money::Money;
use crate::tokens::Tokens;
use crate::utc::UtcTime;
use serde::{Deserialize, Serialize};

/// The landing page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Front {
    /// What an OpenAI client takes as its base URL.
    pub base_url: String,
    /// A model that can be called, for the snippet.
    pub model_id: Option<String>,
    pub packages: Vec<Teaser>,
}

/// A package on sale, in short. The Product Center has the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Teaser {
    pub name: String,
    pub tokens: Tokens,
    pub price: Money,
    pub valid_for_s: i64,
}

/// The dashboard of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dashboard {
    pub balance: Tokens,
    /// Of the balance, what ends first.
    pub expiries: Vec<Expiry>,
    pub steps: FirstSteps,
    /// Days in UTC without a gap, oldest first; the last one is today.
    pub days: Vec<DayUsage>,
    /// Latest first.
    pub calls: Vec<RecentCall>,
}

/// Tokens that end at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    pub tokens: Tokens,
    pub at: UtcTime,
}

/// What a new account has done already. Never ticked by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstSteps {
    pub has_tokens: bool,
    pub has_key: bool,
    pub has_called: bool,
}

impl FirstSteps {
    pub fn done(self) -> bool {
        self.has_tokens && self.has_key && self.has_called
    }
}

/// The calls that started on one day, UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayUsage {
    pub day: UtcTime,
    pub calls: i64,
    pub failed: i64,
    pub charge: Tokens,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentCall {
    pub request_id: RequestId,
    pub started_at: UtcTime,
    pub key_name: String,
    pub model_id: String,
    pub charge: Tokens,
    pub outcome: CallOutcome,
}

/// How a call ended, as coarse as a glance needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallOutcome {
    Completed,
    /// The client left, or the key was switched off.
    Stopped,
    Failed,
}

impl Dashboard {
    pub fn today(&self) -> Option<&DayUsage> {
        self.days.last()
    }

    pub fn yesterday(&self) -> Option<&DayUsage> {
        self.days.iter().rev().nth(1)
    }

    /// How many whole days the balance lasts at the pace of the last seven full days. None when nothing was spent in them.
    pub fn days_left(&self) -> Option<i64> {
        let pace: i128 = self.days.iter().rev().skip(1).take(7).map(|day| i128::from(day.charge.0)).sum();
        if pace <= 0 {
            return None;
        }
        i64::try_from(i128::from(self.balance.0) * 7 / pace).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dashboard(balance: i64, charges: &[i64]) -> Dashboard {
        let day: UtcTime = serde_json::from_str(r#""2026-02-04T00:00:00Z""#).expect("a time");
        let days = charges.iter().map(|charge| DayUsage { day, calls: 1, failed: 0, charge: Tokens(*charge) }).collect();
        Dashboard {
            balance: Tokens(balance),
            expiries: Vec::new(),
            steps: FirstSteps { has_tokens: true, has_key: true, has_called: true },
            days,
            calls: Vec::new(),
        }
    }

    #[test]
    fn days_left_follows_seven_full_days_and_not_today() {
        assert_eq!(dashboard(1_000, &[900, 10, 10, 10, 10, 10, 10, 10, 5_000]).days_left(), Some(100));
        assert_eq!(dashboard(99, &[70, 0]).days_left(), Some(9));
        assert_eq!(dashboard(0, &[70, 0]).days_left(), Some(0));
        assert_eq!(dashboard(i64::MAX, &[i64::MAX, i64::MAX, 0]).days_left(), Some(3));
    }

    #[test]
    fn days_left_promises_nothing_without_a_pace() {
        assert_eq!(dashboard(1_000, &[0, 0, 0]).days_left(), None);
        assert_eq!(dashboard(1_000, &[70]).days_left(), None);
        assert_eq!(dashboard(1_000, &[]).days_left(), None);
    }
}
