//! What customers, operators and the sweep do to the books.

use super::{Account, Grant, HALF_PAST, Key, KeyState, MEMBERS, MemberQuota, Model, Rates, Shares};
use crate::op::{KeyChange, Like, Payment};
use toki::ids::{AccountId, GrantId, KeyId, SupplierId};
use toki::wallet::ledger::{AdmissionRequest, Price, Scope};

impl Grant {
    /// Whether the sweep has anything to do with it.
    fn is_due(&self, now: i64) -> bool {
        !self.is_alive(now) && !self.swept && (self.left > 0 || self.held == 0)
    }
}

impl Model {
    pub fn sign_up(&mut self, account_id: AccountId, since: u64) {
        self.volatile.clear();
        self.touched.insert(account_id);
        self.accounts.push(Account {
            account_id,
            since,
            suspended: false,
            members: [MemberQuota::default(); MEMBERS],
            rates: Rates::default(),
            keys: Vec::new(),
            grants: Vec::new(),
            bought: Vec::new(),
        });
    }

    /// The account leaves the simulation; its rows stay for the audit.
    pub fn retire(&mut self, account_id: AccountId) {
        self.volatile.clear();
        let keys = self.account(account_id).into_iter().flat_map(|account| &account.keys);
        let blurred: Vec<KeyId> = keys.filter(|key| key.is_blurred()).map(|key| key.key_id).collect();
        self.left_blurred.extend(blurred);
        self.accounts.retain(|account| account.account_id != account_id);
        self.records.retain(|_, record| record.account_id != account_id);
        self.sent.retain(|sent| sent.account_id != account_id);
        self.touched.remove(&account_id);
    }

    pub fn issue(&mut self, account_id: AccountId, grant_id: GrantId, tokens: i64, valid_for: i64, scope: Scope, like: Option<Like>) {
        self.volatile.clear();
        self.births += 1;
        let (mut born, mut given, mut expires) = ((self.now, self.births), self.births, self.now + valid_for);
        let issued = self.now;
        let account = self.account_mut(account_id);
        let other = account.grants.iter().find(|grant| like.is_some_and(|like| like.grant == grant.grant_id));
        if let Some((like, other)) = like.zip(other) {
            (expires, given) = (other.expires, other.given);
            born = if like.same_age { other.born } else { born };
        }
        let (held, spent, expired, refunded) = (0, 0, 0, 0);
        let (left, swept, frozen, package, rolls_over, begins) = (tokens, false, false, None, false, None);
        account.grants.push(Grant {
            grant_id,
            tokens,
            left,
            held,
            spent,
            expired,
            refunded,
            scope,
            expires,
            given,
            born,
            issued,
            swept,
            package,
            frozen,
            froze: 0,
            shares: Shares::new(),
            frozen_at: 0,
            rolls_over,
            begins,
        });
    }

    pub fn bought_as(&mut self, account_id: AccountId, grant_id: GrantId, package: usize, rolls_over: bool) {
        let grant = self.grant_mut(account_id, grant_id);
        (grant.package, grant.rolls_over) = (Some(package), rolls_over);
    }

    /// When the last grant of a package ends that can be spent, now or later.
    pub fn last_end(&self, account_id: AccountId, package: usize) -> Option<(i64, i64)> {
        let grants = &self.account(account_id)?.grants;
        let running = grants
            .iter()
            .filter(|grant| grant.package == Some(package) && grant.is_alive(self.now) && !grant.frozen && grant.left + grant.held > 0);
        running.map(Grant::ends).max()
    }

    /// A purchase that begins at the end of another.
    pub fn queue(&mut self, account_id: AccountId, grant_id: GrantId, end: (i64, i64), valid_for: i64) {
        let grant = self.grant_mut(account_id, grant_id);
        grant.begins = Some(end);
        (grant.expires, grant.given) = (end.0 + valid_for + HALF_PAST, end.1);
    }

    /// A purchase of a package that rolls over takes along what is left of the running ones before.
    pub fn roll_over(&mut self, account_id: AccountId, package: usize, into: GrantId) {
        let now = self.now;
        let mut rolled = Vec::new();
        let account = self.account_mut(account_id);
        let running =
            |grant: &&mut Grant| grant.package == Some(package) && grant.rolls_over && grant.grant_id != into && grant.can_pay(now);
        for grant in account.grants.iter_mut().filter(running) {
            let left = std::mem::take(&mut grant.left);
            grant.tokens -= left;
            rolled.push((left, grant.leaving(left)));
        }
        let into = self.grant_mut(account_id, into);
        rolled.iter().for_each(|(tokens, shares)| into.receive(*tokens, shares));
    }

    /// What is refused is undone, with what had rolled over for it.
    pub fn or_undone(&mut self, write: impl FnOnce(&mut Model) -> &'static str) -> &'static str {
        let before = self.accounts.clone();
        let answer = write(self);
        if matches!(answer, "NotEnoughLeft" | "NotRefundable" | "RefundOutOfRange") {
            self.accounts = before;
        }
        answer
    }

    pub fn take_back(&mut self, account_id: AccountId, grant_id: GrantId, tokens: i64) -> &'static str {
        self.volatile.clear();
        self.roll_over_ended(account_id);
        let (now, at) = (self.now, self.place_of(account_id, grant_id));
        let grant = self.grant_mut(account_id, grant_id);
        if !grant.is_alive(now) || grant.left < tokens {
            return "NotEnoughLeft";
        }
        grant.refund(at, tokens);
        "taken back"
    }

    /// Out of the giver's grants in burn order, each into one of `made`; all or nothing.
    pub fn transfer(&mut self, from: AccountId, to: AccountId, tokens: i64, made: &[GrantId]) -> &'static str {
        self.volatile.clear();
        self.roll_over_ended(from);
        self.roll_over_ended(to);
        let now = self.now;
        let giver = self.account(from).expect("an account of the model");
        let mut grants: Vec<Grant> = giver.grants.iter().filter(|grant| grant.can_pay(now) && grant.left > 0).cloned().collect();
        if grants.iter().map(|grant| grant.left).sum::<i64>() < tokens {
            return "NotEnoughLeft";
        }
        grants.sort_by_key(|grant| grant.burns_at());
        let mut rest = tokens;
        let mut made = made.iter();
        let born = (now, self.births + 1);
        for given in grants {
            let part = given.left.min(rest);
            if part == 0 {
                break;
            }
            rest -= part;
            let source = self.grant_mut(from, given.grant_id);
            source.left -= part;
            source.tokens -= part;
            let like = Like { grant: given.grant_id, same_age: false };
            self.issue(to, *made.next().expect("a grant for each part"), part, 0, given.scope.clone(), Some(like));
            let received = self.account_mut(to).grants.last_mut().expect("issued");
            (received.expires, received.given) = (given.expires, given.given);
            // Made in one transaction, they are of one age.
            received.born = born;
        }
        "transferred"
    }

    /// What the events of a payment come to; the grant is issued by whoever learnt its id.
    pub fn purchase(&mut self, account_id: AccountId, payment: Payment) -> &'static [&'static str] {
        self.volatile.clear();
        if self.account(account_id).is_some_and(|account| account.suspended) {
            return &["AccountSuspended"];
        }
        match payment {
            Payment::Once => &["fulfilled"],
            Payment::SameEventTwice => &["fulfilled", "fulfilled"],
            Payment::TwoEvents => &["fulfilled", "already_fulfilled"],
            Payment::WrongAmount => &["quarantined"],
            Payment::AfterExpiry => &["closed", "fulfilled"],
        }
    }

    pub fn insert_key(&mut self, account_id: AccountId, key: Option<Key>, supplier_id: Option<SupplierId>) -> Vec<String> {
        self.volatile.clear();
        if supplier_id.is_some_and(|supplier_id| !self.supplier(supplier_id).enabled) {
            return vec!["UnknownSupplier".into()];
        }
        if let Some(key) = key {
            self.account_mut(account_id).keys.push(key);
        }
        vec!["inserted".into()]
    }

    /// `by` = the account whose member asks; none = an operator.
    pub fn edit_key(&mut self, by: Option<AccountId>, key_id: KeyId, change: KeyChange) -> &'static str {
        self.volatile.clear();
        let now = self.now;
        let found =
            self.key(key_id).filter(|(account, key)| key.state != KeyState::Deleted && by.is_none_or(|by| by == account.account_id));
        let Some((account, key)) = found else { return "NotFound" };
        let account_id = account.account_id;
        match change {
            KeyChange::Quota(Some(quota)) if quota < key.spent + key.held => return "QuotaBelowUse",
            KeyChange::Supplier(Some(id)) if key.supplier_id != Some(id) && !self.supplier(id).enabled => return "UnknownSupplier",
            _ => {}
        }
        let key = self.key_mut(account_id, key_id);
        match change {
            KeyChange::Quota(quota) => key.quota = quota,
            KeyChange::Supplier(supplier_id) => key.supplier_id = supplier_id,
            KeyChange::Enabled(enabled) => key.state = if enabled { KeyState::Enabled } else { KeyState::Disabled },
            KeyChange::Expires(minutes) => key.expires = minutes.map(|minutes| now + minutes),
            KeyChange::Deleted => key.state = KeyState::Deleted,
        }
        "edited"
    }

    pub fn set_suspended(&mut self, account_id: AccountId, suspended: bool) {
        self.volatile.clear();
        self.account_mut(account_id).suspended = suspended;
    }

    pub fn set_supplier(&mut self, at: usize, enabled: bool) {
        self.volatile.clear();
        self.suppliers[at].enabled = enabled;
    }

    pub fn set_offer(&mut self, at: usize, enabled: bool) {
        self.volatile.clear();
        self.offers[at].enabled = enabled;
    }

    /// A price that is another is a new version.
    pub fn set_price(&mut self, at: usize, price: Price) {
        self.volatile.clear();
        let offer = &mut self.offers[at];
        if offer.price != price {
            offer.price = price;
            offer.version += 1;
        }
    }

    /// Moves what is left of an account's grants whose time is over to the purchases that were queued after them, where the package rolls
    /// over. Answers how many grants that was.
    pub fn roll_over_ended(&mut self, account_id: AccountId) -> usize {
        let (now, mut moved) = (self.now, 0);
        let grants = &mut self.account_mut(account_id).grants;
        for at in 0..grants.len() {
            let grant = &grants[at];
            if grant.is_alive(now) || grant.swept || grant.left == 0 {
                continue;
            }
            let Some(next) = successor(grants, grant, now) else { continue };
            let ended = &mut grants[at];
            let left = std::mem::take(&mut ended.left);
            ended.tokens -= left;
            ended.swept = ended.held == 0;
            let shares = ended.leaving(left);
            grants[next].receive(left, &shares);
            moved += 1;
        }
        moved
    }

    /// What rolls over does; all else that is left of grants whose time is over expires. Answers how many it visited: those with something
    /// left, and those that nothing holds any more.
    pub fn sweep(&mut self) -> usize {
        self.volatile.clear();
        let now = self.now;
        let due = self.accounts.iter().filter(|account| account.grants.iter().any(|grant| grant.is_due(now)));
        let due: Vec<AccountId> = due.map(|account| account.account_id).collect();
        let mut visited = 0;
        for account_id in due {
            visited += self.roll_over_ended(account_id);
            for grant in self.account_mut(account_id).grants.iter_mut().filter(|grant| grant.is_due(now)) {
                grant.expired += std::mem::take(&mut grant.left);
                grant.swept = grant.held == 0;
                visited += 1;
            }
        }
        visited
    }

    /// Whether Tokens may come from one grant of an account into another in these moments: with the next sweep, with a call that the wallet
    /// cannot pay for without, or with either once a call has given back what it holds. Of all else that runs at once only reports that come
    /// late move them, and those have a row that says when.
    fn rolls_over_soon(&self, account: &Account) -> bool {
        let mut ended = account.grants.iter().filter(|grant| !grant.is_alive(self.now) && !grant.swept);
        ended.any(|grant| successor(&account.grants, grant, self.now).is_some())
    }

    /// Whether that may be so of any account.
    pub fn will_roll_over(&self) -> bool {
        self.accounts.iter().any(|account| self.rolls_over_soon(account))
    }

    /// Whether that may be so of an account of one of these calls.
    pub fn will_roll_over_for(&self, requests: &[AdmissionRequest]) -> bool {
        let calls = |key: &Key| requests.iter().any(|request| request.secret_hash == key.secret_hash);
        self.accounts.iter().any(|account| account.keys.iter().any(calls) && self.rolls_over_soon(account))
    }
}

/// The queued purchase that takes over what is left of a grant: the first of those that were queued before it ended, and end later.
fn successor(grants: &[Grant], ended: &Grant, now: i64) -> Option<usize> {
    let takes = |grant: &Grant| {
        let follows = grant.package == ended.package && grant.begins.is_some() && grant.ends() > ended.ends();
        follows && grant.issued < ended.expires && grant.rolls_over && grant.is_alive(now) && !grant.swept
    };
    let found = grants.iter().enumerate().filter(|(_, grant)| ended.rolls_over && takes(grant));
    found.min_by_key(|(_, grant)| (grant.begins, grant.grant_id)).map(|(at, _)| at)
}
