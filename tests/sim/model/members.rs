//! What the members of an account may spend with their keys: ever, and in a calendar month (UTC). Nothing is counted for it: it is what
//! their keys spent and hold. A call counts in the month in which it began, by its replica's clock, and a running one in the one that runs.

use super::periods::{DAY, month_of};
use super::{Account, Key, Model};
use toki::ids::{AccountId, KeyId};

/// Its owner, who is the first, and somebody who makes keys.
pub const MEMBERS: usize = 2;

/// None = as much as the wallet has. Also what is used of it, or left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberQuota {
    pub ever: Option<i64>,
    pub month: Option<i64>,
}

impl MemberQuota {
    pub fn least(self) -> Option<i64> {
        [self.ever, self.month].into_iter().flatten().min()
    }
}

impl Model {
    pub fn limit_member(&mut self, account_id: AccountId, member: usize, quota: MemberQuota) {
        self.volatile.clear();
        self.account_mut(account_id).members[member] = quota;
    }

    /// What the keys of a member spent and hold, deleted ones too: ever, and this month.
    pub fn used_by(&self, account: &Account, member: usize) -> (i64, i64) {
        let theirs = || account.keys.iter().filter(move |key| key.member == member);
        let held: i64 = theirs().map(|key| key.held).sum();
        let spent: i64 = theirs().map(|key| key.spent).sum();
        let (from, until) = month_of(self.now);
        // Days that have begun, and one more: a replica's clock may be ahead, and the database's may have been set back.
        let counts = |started: i64| from <= started && started < until && started.div_euclid(DAY) * DAY <= self.now + DAY;
        let records = self.records.values().filter(|record| counts(record.started) && theirs().any(|key| key.key_id == record.key_id));
        let this_month: i64 = records.map(|record| record.charge).sum();
        (spent + held, this_month + held)
    }

    /// What whoever made a key may still spend.
    pub fn member_left(&self, account: &Account, key: &Key) -> MemberQuota {
        let quota = account.members[key.member];
        if quota == MemberQuota::default() {
            return quota;
        }
        let (ever, month) = self.used_by(account, key.member);
        MemberQuota { ever: quota.ever.map(|quota| quota - ever), month: quota.month.map(|quota| quota - month) }
    }

    /// The least of what a key's quota, its period and its member leave it; none = nothing limits it but the wallet.
    pub fn allowance(&self, key_id: KeyId) -> Option<i64> {
        let (account, key) = self.key(key_id).expect("a key of the model");
        let limits = [key.quota_left(), key.period_left(self.now), self.member_left(account, key).least()];
        limits.into_iter().flatten().min()
    }
}
