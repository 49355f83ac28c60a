//! What the books must say, in plain memory: accounts, keys, grants, holds and usage records, and the rules about them as
//! ARCHITECTURE.md states them. It shares no code with the product and has no SQL; whatever differs from it is a find.
//!
//! Time is whole minutes, and may go back. "Now" is always a full hour, every expiry a half hour and every deadline about one, so the real
//! minutes that a run takes never decide anything.

mod calls;
mod console;
mod crashes;
mod idempotency;
mod members;
mod money;
mod periods;
mod rates;
mod rolled;
mod state;

pub use calls::{Decision, price_of};
pub use idempotency::Sent;
pub use members::{MEMBERS, MemberQuota};
pub use money::PRICE;
pub use periods::PeriodQuota;
pub use rates::{CallLimits, Full, Rates};
use rolled::Shares;
use std::collections::{BTreeMap, BTreeSet};
use toki::ids::{AccountId, GrantId, KeyId, OrderId, RefundId, ReplicaId, RequestId, SupplierId};
use toki::wallet::ledger::{Price, RunningCall, Scope};

/// How long a replica may be silent, in model minutes.
pub const HOLD_FOR: i64 = 90;

/// What is valid from a full hour ends at half past; what is valid as long from half past is given this much more.
pub const HALF_PAST: i64 = 30;

#[derive(Clone, Default)]
pub struct Model {
    pub now: i64,
    pub suppliers: Vec<Supplier>,
    pub offers: Vec<Offer>,
    pub packages: Vec<Package>,
    pub codes: Vec<Code>,
    pub accounts: Vec<Account>,
    /// In the order of admission.
    pub holds: Vec<Hold>,
    pub records: BTreeMap<RequestId, Record>,
    pub sent: Vec<Sent>,
    /// Replicas that have put their holds back since the database crashed, if it did.
    pub known: BTreeSet<ReplicaId>,
    /// Admissions that no durable commit has followed yet: what a crash of the database can forget, oldest first.
    pub volatile: Vec<Vec<RequestId>>,
    /// What changed, or was asked about, since the last comparison.
    pub touched: BTreeSet<AccountId>,
    pub touched_calls: BTreeSet<RequestId>,
    /// Keys of accounts that left whose periods no record tells.
    left_blurred: BTreeSet<KeyId>,
    births: i64,
    /// Counts up, so that what was frozen first is known.
    freezes: i64,
}

#[derive(Clone)]
pub struct Supplier {
    pub supplier_id: SupplierId,
    pub slug: String,
    pub enabled: bool,
}

/// A model of a supplier. Not called Model, because that is this file's.
#[derive(Clone)]
pub struct Offer {
    pub model_id: String,
    pub supplier_id: SupplierId,
    pub enabled: bool,
    pub max_output: i64,
    pub version: i32,
    pub price: Price,
}

#[derive(Clone)]
pub struct Package {
    pub rolls_over: bool,
    pub tokens: i64,
    pub valid_for: i64,
    pub scope: Scope,
}

#[derive(Clone)]
pub struct Account {
    pub account_id: AccountId,
    /// The step at which it signed up.
    pub since: u64,
    pub suspended: bool,
    /// What they may spend.
    pub members: [MemberQuota; MEMBERS],
    pub rates: Rates,
    pub keys: Vec<Key>,
    pub grants: Vec<Grant>,
    pub bought: Vec<Bought>,
}

/// An order that was paid.
#[derive(Clone, Debug)]
pub struct Bought {
    pub order_id: OrderId,
    pub grant_id: GrantId,
    pub tokens: i64,
    /// Oldest first.
    pub refunds: Vec<Refund>,
    pub disputes: Vec<Dispute>,
}

#[derive(Clone, Debug)]
pub struct Refund {
    /// None = somebody made it at the provider.
    pub refund_id: Option<RefundId>,
    pub amount: i64,
    /// What left the grant for it.
    pub tokens: i64,
    pub state: RefundState,
    pub returned: bool,
    /// Whether its Tokens have left the grant, as far as they were there.
    pub taken: bool,
    /// The lost dispute by which a bank took it.
    pub of_dispute: Option<usize>,
}

/// In the order in which they go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefundState {
    Requested,
    Pending,
    Succeeded,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dispute {
    Open,
    Won,
    Lost,
}

/// A code that is worth Tokens.
#[derive(Clone, Debug)]
pub struct Code {
    pub tokens: i64,
    pub valid_for: i64,
    pub scope: Scope,
    pub uses: usize,
    pub disabled: bool,
    /// Who has used it.
    pub by: Vec<AccountId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    Enabled,
    Disabled,
    Deleted,
}

#[derive(Clone)]
pub struct Key {
    pub key_id: KeyId,
    /// Who made it.
    pub member: usize,
    pub secret_hash: [u8; 32],
    pub supplier_id: Option<SupplierId>,
    pub quota: Option<i64>,
    pub spent: i64,
    pub held: i64,
    pub state: KeyState,
    pub expires: Option<i64>,
    pub period: Option<PeriodQuota>,
    /// The beginning of the period that `used` is of.
    pub began: Option<i64>,
    pub used: i64,
    pub rates: Rates,
    /// In periods that began by then, something was counted while the clock was set back: no record tells in which.
    pub blurred: i64,
}

impl Key {
    pub fn quota_left(&self) -> Option<i64> {
        self.quota.map(|quota| quota - self.spent - self.held)
    }
}

#[derive(Clone)]
pub struct Grant {
    pub grant_id: GrantId,
    pub tokens: i64,
    pub left: i64,
    pub held: i64,
    pub spent: i64,
    pub expired: i64,
    pub refunded: i64,
    pub scope: Scope,
    pub expires: i64,
    /// Expiries of one minute differ by when they were given, unless one was copied from the other.
    pub given: i64,
    /// Age by the clock, then in the order of creation; grants of the same age share one.
    pub born: (i64, i64),
    /// When it was given.
    pub issued: i64,
    /// Out of the burn order: its time is over and nothing is left to move, or it is frozen.
    pub swept: bool,
    /// Its money went back, or may.
    pub frozen: bool,
    /// Since which step of the count it is frozen.
    froze: i64,
    /// How many Tokens of each purchase came into it and did not leave it again but by being used.
    shares: Shares,
    /// Since when.
    pub frozen_at: i64,
    /// The package it was bought as.
    pub package: Option<usize>,
    /// Whether what is left rolls over to the next purchase of it.
    pub rolls_over: bool,
    /// The end, of which grant, at which it begins; none = it began when it was given.
    pub begins: Option<(i64, i64)>,
}

impl Grant {
    fn is_scoped(&self) -> bool {
        !self.scope.supplier_ids.is_empty() || !self.scope.model_ids.is_empty()
    }

    pub fn is_alive(&self, now: i64) -> bool {
        now < self.expires
    }

    /// While it is frozen, its time stands still.
    fn has_time(&self, now: i64) -> bool {
        self.is_alive(if self.frozen { self.frozen_at.min(now) } else { now })
    }

    pub fn starts(&self) -> i64 {
        self.begins.map_or(self.issued, |(minute, _)| minute)
    }

    fn freeze(&mut self, now: i64, froze: i64) {
        (self.frozen, self.swept, self.frozen_at, self.froze) = (true, true, now, froze);
    }

    /// It gets back the time that it could not be spent, in hours that have begun.
    fn thaw(&mut self, now: i64) {
        let from = self.starts().max(self.frozen_at);
        if self.has_time(now) && from <= now {
            self.expires += ((now - from) / 60 + 1) * 60;
        }
        (self.frozen, self.swept) = (false, false);
    }

    fn can_pay(&self, now: i64) -> bool {
        self.is_alive(now) && !self.frozen && self.starts() <= now
    }

    fn ends(&self) -> (i64, i64) {
        (self.expires, self.given)
    }

    fn pays_for(&self, supplier_id: SupplierId, model_id: &str) -> bool {
        let Scope { supplier_ids, model_ids } = &self.scope;
        (supplier_ids.is_empty() || supplier_ids.contains(&supplier_id.0))
            && (model_ids.is_empty() || model_ids.iter().any(|id| id == model_id))
    }

    /// Restricted first, then soonest expiry, then oldest, then by id.
    fn burns_at(&self) -> (bool, i64, i64, (i64, i64), GrantId) {
        (!self.is_scoped(), self.expires, self.given, self.born, self.grant_id)
    }
}

#[derive(Clone, Debug)]
pub struct Hold {
    pub request_id: RequestId,
    pub account_id: AccountId,
    pub key_id: KeyId,
    pub model_id: String,
    pub supplier_id: SupplierId,
    pub version: i32,
    pub tokens: i64,
    /// What was held at first. A hold that was put back may have less.
    pub wanted: i64,
    pub output_limit: i64,
    pub lines: Vec<(GrantId, i64)>,
    pub owner: ReplicaId,
    pub deadline: i64,
    /// In which period it counts.
    pub placed: i64,
    /// The beginning of its key's period, and what was used of it, before it was placed.
    pub before: (Option<i64>, i64),
    /// Since when it counts in the minutes of its key and its account, in microseconds.
    pub created: i64,
    /// How both stood before it was placed.
    pub full_before: (Full, Full),
}

impl Hold {
    pub fn call(&self) -> RunningCall {
        let Hold { request_id, account_id, key_id, supplier_id, .. } = *self;
        RunningCall { request_id, account_id, key_id, supplier_id }
    }
}

#[derive(Clone, Debug)]
pub struct Record {
    pub account_id: AccountId,
    pub key_id: KeyId,
    pub outcome: String,
    pub basis: String,
    pub held: i64,
    pub charge: i64,
    pub written_off: i64,
    /// When it began, by its replica's clock, and when it was settled.
    pub started: i64,
    pub recorded: i64,
}

impl Record {
    /// The reaper's record of a call whose owner was silent. Any other record stands.
    pub fn is_completed_by_a_late_report(&self) -> bool {
        self.outcome == "interrupted"
    }
}

impl Model {
    pub fn account(&self, account_id: AccountId) -> Option<&Account> {
        self.accounts.iter().find(|account| account.account_id == account_id)
    }

    fn account_mut(&mut self, account_id: AccountId) -> &mut Account {
        self.touched.insert(account_id);
        self.accounts.iter_mut().find(|account| account.account_id == account_id).expect("an account of the model")
    }

    pub fn key(&self, key_id: KeyId) -> Option<(&Account, &Key)> {
        self.accounts.iter().find_map(|account| Some((account, account.keys.iter().find(|key| key.key_id == key_id)?)))
    }

    fn key_mut(&mut self, account_id: AccountId, key_id: KeyId) -> &mut Key {
        self.account_mut(account_id).keys.iter_mut().find(|key| key.key_id == key_id).expect("a key of the model")
    }

    fn grant_mut(&mut self, account_id: AccountId, grant_id: GrantId) -> &mut Grant {
        self.account_mut(account_id).grants.iter_mut().find(|grant| grant.grant_id == grant_id).expect("a grant of the model")
    }

    pub fn supplier(&self, supplier_id: SupplierId) -> &Supplier {
        self.suppliers.iter().find(|supplier| supplier.supplier_id == supplier_id).expect("a supplier of the model")
    }

    pub fn offer(&self, model_id: &str) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.model_id == model_id)
    }

    /// What the account could spend now, on anything: grants that have begun, not expired and are not frozen, without what running
    /// calls hold.
    fn balance(&self, account_id: AccountId) -> i64 {
        let grants = self.account(account_id).map_or(&[][..], |account| &account.grants);
        grants.iter().filter(|grant| grant.can_pay(self.now)).map(|grant| grant.left).sum()
    }
}
