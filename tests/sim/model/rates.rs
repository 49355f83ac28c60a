//! What limits the calls of a key and of an account: requests and Tokens of a minute, and calls at once. By the arithmetic of the database,
//! in its microseconds: a rate is one moment, when nothing of its minute is used any more. The clock of calls stands still in an hour, so
//! a minute that is used up stays so until the clock is moved on.

use super::{Account, Decision, Key, KeyState, Model};
use crate::clock;
use crate::op::Subject;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use toki::ids::{AccountId, KeyId, RequestId};

const MINUTE: i64 = 60_000_000;
/// A use may end so late after now.
const LATEST: i64 = MINUTE + 1_000;

/// None = no limit. The numbers are such that what a call takes of its minute is a whole number of microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallLimits {
    pub requests: Option<i64>,
    pub tokens: Option<i64>,
    pub calls: Option<i64>,
}

/// When nothing of the minute is used any more; none = nothing was, or there was no limit at the last call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Full {
    pub requests: Option<i64>,
    pub tokens: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    pub limits: CallLimits,
    pub full: Full,
}

/// Of a minute, what these Tokens are.
fn share(tokens: i64, per_minute: i64) -> i64 {
    tokens * MINUTE / per_minute
}

fn retry(why: &str, after: i64) -> String {
    format!("{why} retry {} ms", (after + 999).div_euclid(1_000))
}

impl Rates {
    pub fn is_limited(&self) -> bool {
        self.limits != CallLimits::default()
    }

    /// The moments as an admission reads them, never in the past. Requests of a minute are not waited for longer than a minute: that they
    /// would be means that the clock was set back.
    fn read(&self, now: i64) -> (i64, i64) {
        let requests = match self.full.requests {
            Some(full) if full > now + LATEST => self.limits.requests.map(|limit| now + LATEST - MINUTE / limit),
            full => full,
        };
        (requests.unwrap_or(now).max(now), self.full.tokens.unwrap_or(now).max(now))
    }

    /// After a call that holds so many Tokens.
    fn after(&self, now: i64, held: i64) -> Full {
        let (requests, tokens) = self.read(now);
        Full {
            requests: self.limits.requests.map(|limit| requests + MINUTE / limit),
            tokens: self.limits.tokens.map(|limit| tokens + share(held, limit)),
        }
    }

    fn refuses(&self, now: i64, held: i64, running: i64, exact: bool) -> Option<String> {
        let (next, tokens) = (self.after(now, held), self.read(now).1);
        if self.limits.calls.is_some_and(|most| running >= most) {
            return Some(retry("ConcurrentCalls", 1_000_000));
        }
        if let Some(next) = next.requests.filter(|next| *next > now + LATEST) {
            return Some(retry("RequestsPerMinute", next - now - MINUTE));
        }
        // A call that is larger than its whole minute may run when nothing of the minute is used.
        let next = next.tokens.filter(|next| *next > now + LATEST && tokens > now)?;
        let after = (tokens - now).min(next - now - MINUTE);
        Some(if exact { retry("TokensPerMinute", after) } else { "CountInput".into() })
    }

    fn take(&mut self, now: i64, held: i64) {
        if self.is_limited() {
            self.full = self.after(now, held);
        }
    }

    /// What of the minute goes back of a call that began so long ago: no more than has not passed anyway.
    fn give_back(&mut self, held: i64, unused: i64, since: i64) {
        let Some(limit) = self.limits.tokens else { return };
        let unused = share(unused, limit).min(share(held, limit) - since).max(0);
        self.full.tokens = self.full.tokens.map(|full| full - unused);
    }

    pub fn line(&self, subject: impl Display, running: i64) -> String {
        let number = |number: Option<i64>| number.map_or(String::new(), |number| number.to_string());
        let Rates { limits, full } = self;
        let [requests, tokens, calls] = [limits.requests, limits.tokens, limits.calls].map(number);
        let [requests_full, tokens_full] = [full.requests, full.tokens].map(number);
        format!("limits of {subject}: {requests} full {requests_full}, Tokens {tokens} full {tokens_full}, at once {running} of {calls}")
    }
}

impl Model {
    /// Of the key first, then of the account. Where the account refuses, its row was looked at.
    pub fn over_rate(&self, account: &Account, key: &Key, held: i64, exact: bool) -> Option<Decision> {
        let now = clock::micros(self.now);
        let of_key = self.running_of(|key_id, _| key_id == key.key_id);
        if let Some(why) = key.rates.refuses(now, held, of_key, exact) {
            return Some(Decision::Limited { why, by: None });
        }
        let of_account = self.running_of(|_, account_id| account_id == account.account_id);
        let why = account.rates.refuses(now, held, of_account, exact)?;
        Some(Decision::Limited { why, by: Some(account.account_id) })
    }

    pub fn running_of(&self, is_of: impl Fn(KeyId, AccountId) -> bool) -> i64 {
        self.holds.iter().map(|hold| i64::from(is_of(hold.key_id, hold.account_id))).sum()
    }

    /// How both stand before a call is placed.
    pub fn full_of(&self, key_id: KeyId) -> (Full, Full) {
        let (account, key) = self.key(key_id).expect("a key of the model");
        (key.rates.full, account.rates.full)
    }

    pub fn take_rates(&mut self, account_id: AccountId, key_id: KeyId, held: i64) {
        let now = clock::micros(self.now);
        self.key_mut(account_id, key_id).rates.take(now, held);
        self.account_mut(account_id).rates.take(now, held);
    }

    pub fn give_back_rates(&mut self, account_id: AccountId, key_id: KeyId, (held, unused): (i64, i64), created: i64) {
        let since = clock::micros(self.now) - created;
        self.key_mut(account_id, key_id).rates.give_back(held, unused, since);
        self.account_mut(account_id).rates.give_back(held, unused, since);
    }

    /// A batch that places anything writes all accounts whose limits it looked at: these as they were read.
    pub fn write_rates(&mut self, accounts: BTreeSet<AccountId>) {
        let now = clock::micros(self.now);
        for account_id in accounts {
            let rates = &mut self.account_mut(account_id).rates;
            let (requests, tokens) = rates.read(now);
            rates.full = Full { requests: Some(requests), tokens: Some(tokens) };
        }
    }

    /// What was asked for again took its calls back in between. A key without a limit then forgets what was used while it had one.
    pub fn take_back_rates(&mut self, placed: &[RequestId]) {
        let of_keys: Vec<_> =
            self.holds.iter().filter(|hold| placed.contains(&hold.request_id)).map(|hold| (hold.account_id, hold.key_id)).collect();
        for (account_id, key_id) in of_keys {
            let rates = &mut self.key_mut(account_id, key_id).rates;
            rates.full.requests = rates.full.requests.filter(|_| rates.limits.requests.is_some());
            rates.full.tokens = rates.full.tokens.filter(|_| rates.limits.tokens.is_some());
        }
    }

    /// By an operator.
    pub fn limit_calls(&mut self, subject: Subject, limits: CallLimits) -> &'static str {
        self.volatile.clear();
        let now = self.now;
        match subject {
            Subject::Account(account_id) => self.account_mut(account_id).rates.limits = limits,
            Subject::Key(key_id) => {
                let Some((account, _)) = self.key(key_id).filter(|(_, key)| key.state != KeyState::Deleted) else { return "NotFound" };
                let account_id = account.account_id;
                let key = self.key_mut(account_id, key_id);
                key.rates.limits = limits;
                key.use_in_period(now, 0);
            }
        }
        "edited"
    }

    /// How the rates of keys and accounts stood before the first of these calls was admitted.
    pub fn rates_before(&self, request_ids: &[RequestId]) -> (BTreeMap<KeyId, Full>, BTreeMap<AccountId, Full>) {
        let (mut keys, mut accounts) = (BTreeMap::new(), BTreeMap::new());
        for hold in self.holds.iter().filter(|hold| request_ids.contains(&hold.request_id)) {
            keys.entry(hold.key_id).or_insert(hold.full_before.0);
            accounts.entry(hold.account_id).or_insert(hold.full_before.1);
        }
        (keys, accounts)
    }

    pub fn forget_rates(&mut self, request_ids: &[RequestId]) {
        let (keys, accounts) = self.rates_before(request_ids);
        for (key_id, full) in keys {
            let account_id = self.key(key_id).expect("a key of the model").0.account_id;
            self.key_mut(account_id, key_id).rates.full = full;
        }
        for (account_id, full) in accounts {
            self.account_mut(account_id).rates.full = full;
        }
    }
}
