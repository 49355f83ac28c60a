//! What crosses the wire of `home`.

use crate::accounts::types_members::Role;
use crate::ids::{KeyId, RequestId};
use crate::money::Money;
use crate::tokens::Tokens;
use crate::usage::range::Range;
use crate::utc::UtcTime;
use crate::wallet::types::{Expected, Forecast};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// None when there is too little to go by.
    pub forecast: Option<Forecast>,
    pub burn_down: Option<BurnDown>,
    /// Of the balance, what ends first.
    pub expiries: Vec<Expiry>,
    pub steps: FirstSteps,
    /// The last 30 days of the reader, today included.
    pub range: Range,
    /// What each of them came to, oldest first.
    pub days: Vec<DayUsage>,
    /// Every model there is, oldest first: in this order models get their colours, so that a new one takes nobody's.
    pub models: Vec<String>,
    /// Latest first.
    pub calls: Vec<RecentCall>,
}

/// The balance day by day: how it went, and where it goes at this pace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BurnDown {
    /// A moment of each day: those that were, the last of which is today, then those to come.
    pub days: Vec<UtcTime>,
    /// At the end of each day that was, and now.
    pub balances: Vec<Tokens>,
    /// At the end of each day to come.
    pub course: Vec<Expected>,
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
    /// The newest key that is enabled.
    pub key_id: Option<KeyId>,
    /// Of whoever is to take them.
    pub role: Role,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Buy,
    Key,
    Call,
}

impl FirstSteps {
    /// All of them in order, and which are done.
    pub fn all(self) -> [(Step, bool); 3] {
        [(Step::Buy, self.has_tokens), (Step::Key, self.has_key), (Step::Call, self.has_called)]
    }

    /// The first that is not done: one thing to do at a time.
    pub fn next(self) -> Option<Step> {
        self.all().into_iter().find_map(|(step, done)| (!done).then_some(step))
    }

    /// The same, if it is theirs to do.
    pub fn offered(self) -> Option<Step> {
        self.next().filter(|step| {
            self.role
                >= match step {
                    Step::Buy => Role::Admin,
                    Step::Key | Step::Call => Role::Member,
                }
        })
    }
}

/// One day of the reader: the calls that started on it, and what the wallet gained besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayUsage {
    pub day: UtcTime,
    pub calls: i64,
    pub failed: i64,
    pub charge: Tokens,
    /// What of the charge was for which model, each once.
    pub models: Vec<ModelCharge>,
    /// What came into the wallet less what left it, calls excepted.
    pub others: Tokens,
}

impl DayUsage {
    /// One on which nothing happened.
    pub fn empty(day: UtcTime) -> DayUsage {
        DayUsage { day, calls: 0, failed: 0, charge: Tokens(0), models: Vec::new(), others: Tokens(0) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCharge {
    pub model_id: String,
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

    /// What was charged in seven full days: the last seven, or those `weeks` before them. Today is in none.
    pub fn charged_in_week(&self, weeks: usize) -> Tokens {
        Tokens(i64::try_from(self.week(weeks)).unwrap_or(i64::MAX))
    }

    fn week(&self, weeks: usize) -> i128 {
        self.days.iter().rev().skip(1 + 7 * weeks).take(7).map(|day| i128::from(day.charge.0)).sum()
    }

    /// What was charged for each model on each of the days, models by name.
    pub fn charges_by_model(&self) -> BTreeMap<&str, Vec<Tokens>> {
        let mut charges: BTreeMap<&str, Vec<Tokens>> = BTreeMap::new();
        for (place, day) in self.days.iter().enumerate() {
            for ModelCharge { model_id, charge } in &day.models {
                let of_model = charges.entry(model_id).or_insert_with(|| vec![Tokens(0); self.days.len()]);
                if let Some(of_day) = of_model.get_mut(place) {
                    *of_day = *charge;
                }
            }
        }
        charges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::range::Preset;

    fn dashboard(balance: i64, charges: &[i64]) -> Dashboard {
        let day: UtcTime = serde_json::from_str(r#""2026-02-04T00:00:00Z""#).expect("a time");
        let range = Range::of(Preset::Month, chrono_tz::Tz::UTC, chrono::DateTime::UNIX_EPOCH);
        let of_day = |charge: i64| DayUsage { calls: 1, charge: Tokens(charge), ..DayUsage::empty(day) };
        let days = charges.iter().copied().map(of_day).collect();
        Dashboard {
            balance: Tokens(balance),
            forecast: None,
            burn_down: None,
            expiries: Vec::new(),
            steps: FirstSteps { has_tokens: true, has_key: true, has_called: true, key_id: None, role: Role::Owner },
            range,
            days,
            models: Vec::new(),
            calls: Vec::new(),
        }
    }

    #[test]
    fn weeks_are_full_and_follow_one_another() {
        let of_two_weeks = dashboard(0, &[1, 10, 10, 10, 10, 10, 10, 10, 2, 2, 2, 2, 2, 2, 2, 900]);
        assert_eq!([0, 1, 2, 3].map(|weeks| of_two_weeks.charged_in_week(weeks).0), [14, 70, 1, 0]);
    }

    #[test]
    fn one_step_comes_next_until_all_are_done() {
        let next = |[has_tokens, has_key, has_called]: [bool; 3]| {
            FirstSteps { has_tokens, has_key, has_called, key_id: None, role: Role::Owner }.next()
        };
        assert_eq!(next([false; 3]), Some(Step::Buy));
        assert_eq!(next([false, true, true]), Some(Step::Buy));
        assert_eq!(next([true, false, false]), Some(Step::Key));
        assert_eq!(next([true, true, false]), Some(Step::Call));
        assert_eq!(next([true; 3]), None);
    }

    #[test]
    fn every_model_has_a_charge_a_day() {
        let charge = |model_id: &str, tokens| ModelCharge { model_id: model_id.into(), charge: Tokens(tokens) };
        let mut seen = dashboard(0, &[3, 0, 12]);
        seen.days[0].models = vec![charge("alpha/one", 3)];
        seen.days[2].models = vec![charge("alpha/one", 4), charge("beta/two", 8)];
        let charges: Vec<_> = seen.charges_by_model().into_iter().collect();
        assert_eq!(charges, [("alpha/one", [3, 0, 4].map(Tokens).to_vec()), ("beta/two", [0, 0, 8].map(Tokens).to_vec())]);
    }
}
