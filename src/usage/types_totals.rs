//! What calls add up to: over a stretch of time, and by what they have in common.

use crate::tokens::Tokens;
use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

/// Calls, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    pub calls: i64,
    /// Calls that brought their caller no whole answer, by no doing of the caller.
    pub failed: i64,
    pub input: Tokens,
    /// Part of `input`.
    pub cached: Tokens,
    pub output: Tokens,
    pub charged: Tokens,
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Sums) {
        self.calls = self.calls.saturating_add(other.calls);
        self.failed = self.failed.saturating_add(other.failed);
        for (sum, more) in [
            (&mut self.input, other.input),
            (&mut self.cached, other.cached),
            (&mut self.output, other.output),
            (&mut self.charged, other.charged),
        ] {
            sum.0 = sum.0.saturating_add(more.0);
        }
    }
}

impl std::iter::Sum for Sums {
    fn sum<I: Iterator<Item = Sums>>(all: I) -> Sums {
        all.fold(Sums::default(), |mut sum, each| {
            sum += each;
            sum
        })
    }
}

/// The periods that a key's page shows: the reader's today, and the days that end with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageTotals {
    pub today: Sums,
    pub last_7_days: Sums,
    pub last_30_days: Sums,
}

impl UsageTotals {
    /// Of days, the last of which is today.
    pub fn of_days(days: &[Sums]) -> UsageTotals {
        let last = |n: usize| days.iter().rev().take(n).copied().sum();
        UsageTotals { today: last(1), last_7_days: last(7), last_30_days: last(30) }
    }
}

/// What the calls of one part have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Group {
    #[default]
    Model,
    Key,
    Supplier,
    Member,
}

impl Group {
    pub const ALL: [Group; 4] = [Group::Model, Group::Key, Group::Supplier, Group::Member];

    pub fn as_str(self) -> &'static str {
        match self {
            Group::Model => "model",
            Group::Key => "key",
            Group::Supplier => "supplier",
            Group::Member => "member",
        }
    }

    pub fn parse(text: &str) -> Option<Group> {
        Group::ALL.into_iter().find(|group| group.as_str() == text)
    }
}

/// The usage of one model, key, supplier or member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// As a filter of an address takes it, where there is one for it.
    pub id: String,
    pub name: String,
    /// What was charged in each bucket of the range.
    pub charged: Vec<Tokens>,
    pub sums: Sums,
}

impl Part {
    /// Among members: what was called with keys before they were handed over, by whoever had them. It has no id and no name.
    pub fn before_handover(&self) -> bool {
        self.id.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_end_with_today_and_may_be_longer_than_the_history() {
        let day = |calls| Sums { calls, charged: Tokens(calls * 10), ..Sums::default() };
        let totals = UsageTotals::of_days(&(1..=10).map(day).collect::<Vec<_>>());
        assert_eq!((totals.today, totals.last_7_days.calls), (day(10), 4 + 5 + 6 + 7 + 8 + 9 + 10));
        assert_eq!(totals.last_30_days, day(55));
        assert_eq!(UsageTotals::of_days(&[]), UsageTotals::default());
    }
}
