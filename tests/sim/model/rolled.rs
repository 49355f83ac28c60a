//! Whose the Tokens of a grant are when purchases rolled over into one another: those of earlier ones are spent first, and running calls
//! hold the latest. The product finds it in its ledger; here each grant says it all the time.

use super::{Grant, Model};
use std::collections::BTreeMap;
use toki::ids::{AccountId, GrantId};

/// How many Tokens of each purchase: by the place of its grant in the account's list, which is in the order of time.
pub type Shares = BTreeMap<usize, i64>;

/// Takes Tokens of this purchase, then of the latest, then of the one before; answers how many of each.
fn take(shares: &mut Shares, first: Option<usize>, tokens: i64) -> Shares {
    let mut rest = tokens;
    let mut taken = Shares::new();
    let order: Vec<usize> = first.into_iter().chain(shares.keys().rev().copied()).collect();
    for at in order {
        let share = shares.entry(at).or_default();
        let part = rest.min(*share);
        *share -= part;
        rest -= part;
        *taken.entry(at).or_default() += part;
    }
    taken
}

impl Grant {
    fn add(&mut self, shares: &Shares) {
        for (at, tokens) in shares {
            *self.shares.entry(*at).or_default() += tokens;
        }
    }

    /// Whose the Tokens are that leave it for another grant.
    pub fn leaving(&mut self, tokens: i64) -> Shares {
        take(&mut self.shares, None, tokens)
    }

    pub fn receive(&mut self, tokens: i64, shares: &Shares) {
        self.tokens += tokens;
        self.left += tokens;
        self.add(shares);
    }

    /// So many Tokens of the purchase that brought it, the one at this place, are refunded; less than none = they come back.
    pub fn refund(&mut self, at: usize, tokens: i64) {
        self.left -= tokens;
        self.refunded += tokens;
        if tokens < 0 {
            *self.shares.entry(at).or_default() -= tokens;
        } else {
            take(&mut self.shares, Some(at), tokens);
        }
    }

    /// Whose the Tokens are that are left in it.
    fn whose(&self, now: i64) -> Shares {
        let left = if self.has_time(now) { self.left } else { 0 };
        let mut there = take(&mut self.shares.clone(), None, left + self.held);
        take(&mut there, None, self.held);
        there
    }

    fn has_of(&self, now: i64, at: usize) -> i64 {
        self.whose(now).get(&at).copied().unwrap_or_default()
    }
}

impl Model {
    /// The place of a grant in its account's list.
    pub fn place_of(&self, account_id: AccountId, grant_id: GrantId) -> usize {
        let account = self.account(account_id).expect("an account of the model");
        account.grants.iter().position(|grant| grant.grant_id == grant_id).expect("a grant of the model")
    }

    /// What of a purchase can go back, wherever it lies.
    pub fn left_of(&self, account_id: AccountId, home: usize) -> i64 {
        let account = self.account(account_id).expect("an account of the model");
        account.grants.iter().map(|grant| grant.has_of(self.now, home)).sum()
    }

    /// Brings so many Tokens of a purchase into its grant, as far as they are left; answers how many are there then.
    pub fn gather(&mut self, account_id: AccountId, home: usize, most: i64) -> i64 {
        let now = self.now;
        let grants = &self.account(account_id).expect("an account of the model").grants;
        let mut there = grants[home].has_of(now, home);
        for from in (0..grants.len()).filter(|from| *from != home) {
            let grants = &self.account(account_id).expect("an account of the model").grants;
            let part = grants[from].has_of(now, home).min(most - there);
            if part > 0 {
                self.give_back(account_id, from, home, part);
                there += part;
            }
        }
        there
    }

    /// Brings all Tokens of a purchase into its grant, and those of others into theirs.
    pub fn separate(&mut self, account_id: AccountId, home: usize) {
        let now = self.now;
        let guests = self.account(account_id).expect("an account of the model").grants[home].whose(now);
        self.gather(account_id, home, i64::MAX);
        for (guest, tokens) in guests.into_iter().filter(|(guest, tokens)| *guest != home && *tokens > 0) {
            self.give_back(account_id, home, guest, tokens);
        }
    }

    pub fn is_separate(&self, account_id: AccountId, home: usize) -> bool {
        let now = self.now;
        let grants = &self.account(account_id).expect("an account of the model").grants;
        let has_others = grants[home].whose(now).iter().any(|(at, tokens)| *at != home && *tokens > 0);
        let is_elsewhere = grants.iter().enumerate().any(|(at, grant)| at != home && grant.has_of(now, home) > 0);
        !has_others && !is_elsewhere
    }

    /// To the grant of the purchase at `to`, which then ends no earlier than the one they were in.
    fn give_back(&mut self, account_id: AccountId, from: usize, to: usize, tokens: i64) {
        let now = self.now;
        let grants = &mut self.account_mut(account_id).grants;
        let giver = &mut grants[from];
        giver.tokens -= tokens;
        giver.left -= tokens;
        let (ends, shares) = (giver.ends(), take(&mut giver.shares, Some(to), tokens));
        let receiver = &mut grants[to];
        if !receiver.has_time(now) {
            receiver.expired += std::mem::take(&mut receiver.left);
        }
        (receiver.expires, receiver.given) = receiver.ends().max(ends);
        receiver.swept &= receiver.frozen;
        receiver.receive(tokens, &shares);
    }
}
