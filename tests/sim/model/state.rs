//! The model as lines of text: the same that `compare` reads from the database, so that a difference is a diff.

use super::calls::Decision;
use super::{Account, Grant, KeyState, Model};
use std::fmt;
use toki::ids::{AccountId, RequestId};

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Refused(why) | Decision::Limited { why, .. } => f.write_str(why),
            Decision::Hold(hold) => write!(
                f,
                "admitted {} account {} key {} supplier {} version {} held {} limit {}",
                hold.request_id, hold.account_id, hold.key_id, hold.supplier_id, hold.version, hold.tokens, hold.output_limit
            ),
        }
    }
}

/// From now; every time that decides is a whole number of them away.
fn half_hours(minutes: i64) -> String {
    minutes.div_euclid(30).to_string()
}

impl Model {
    /// Everything of these accounts, and these calls' records, sorted.
    pub fn lines(&self, accounts: &[AccountId], calls: &[RequestId]) -> Vec<String> {
        let mut lines = Vec::new();
        for account in self.accounts.iter().filter(|account| accounts.contains(&account.account_id)) {
            self.account_lines(account, &mut lines);
        }
        for call in calls {
            if let Some(record) = self.records.get(call) {
                lines.push(format!(
                    "call {call} key {} outcome {} basis {} held {} charge {} written off {}",
                    record.key_id, record.outcome, record.basis, record.held, record.charge, record.written_off
                ));
            }
        }
        lines.sort();
        lines
    }

    /// What the wallet's page must show of an account: what is left when its time is over counts as expired, swept or not; while
    /// it is frozen, its time stands still.
    pub fn shown(&self, account_id: AccountId) -> String {
        let grants = self.account(account_id).map_or(&[][..], |account| &account.grants);
        let sum = |of: fn(&Grant) -> i64| grants.iter().map(of).sum::<i64>();
        let late: i64 = grants.iter().filter(|grant| !grant.has_time(self.now)).map(|grant| grant.left).sum();
        let mut live: Vec<_> = grants.iter().filter(|grant| grant.has_time(self.now) && grant.left + grant.held > 0).collect();
        live.sort_by_key(|grant| grant.burns_at());
        let live: Vec<String> = live.into_iter().map(|grant| grant.grant_id.to_string()).collect();
        format!(
            "shown {}: {} = {} + {} + {} + {} + {}, burning {}",
            self.balance(account_id),
            sum(|grant| grant.tokens),
            sum(|grant| grant.spent),
            sum(|grant| grant.held),
            sum(|grant| grant.left) - late,
            sum(|grant| grant.expired) + late,
            sum(|grant| grant.refunded),
            live.join(", ")
        )
    }

    fn account_lines(&self, account: &Account, lines: &mut Vec<String>) {
        lines.push(format!("account {} suspended {}", account.account_id, account.suspended));
        for grant in &account.grants {
            lines.push(format!(
                "grant {} tokens {} left {} held {} spent {} expired {} refunded {} swept {} from {} to {} ledger {} {} {} {}",
                grant.grant_id,
                grant.tokens,
                grant.left,
                grant.held,
                grant.spent,
                grant.expired,
                grant.refunded,
                grant.swept,
                if grant.swept { String::new() } else { half_hours(grant.starts() - self.now) },
                if grant.swept { String::new() } else { half_hours(grant.expires - self.now) },
                grant.tokens,
                grant.spent,
                grant.expired,
                grant.refunded
            ));
        }
        if account.rates.is_limited() {
            let running = self.running_of(|_, account_id| account_id == account.account_id);
            lines.push(account.rates.line(account.account_id, running));
        }
        for key in account.keys.iter().filter(|key| key.rates.is_limited()) {
            lines.push(key.rates.line(key.key_id, self.running_of(|key_id, _| key_id == key.key_id)));
        }
        for key in &account.keys {
            let quota = key.quota.map_or("none".into(), |quota| quota.to_string());
            let state = format!("{:?}", key.state).to_lowercase();
            let ends =
                key.expires.filter(|_| key.state != KeyState::Deleted).map_or(String::new(), |expires| half_hours(expires - self.now));
            let period = key.period.map_or("none".into(), |quota| {
                let began = key.began.map_or(String::new(), |minute| minute.to_string());
                format!("{} {} used {} since {began}", quota.period.as_str(), quota.tokens, key.used)
            });
            let (key_id, spent, held) = (key.key_id, key.spent, key.held);
            lines.push(format!("key {key_id} quota {quota} spent {spent} held {held} {state} ends {ends} period {period}"));
        }
        for sent in self.sent.iter().filter(|sent| sent.account_id == account.account_id) {
            lines.push(format!("sent {} key {} hour {} answered {}", sent.request_id, sent.key_id, sent.at / 60, sent.answered));
        }
        for hold in self.holds.iter().filter(|hold| hold.account_id == account.account_id) {
            let parts: Vec<String> = hold.lines.iter().map(|(grant_id, tokens)| format!("{grant_id}:{tokens}")).collect();
            lines.push(format!(
                "hold {} key {} model {} version {} tokens {} half hours {} of {} from {}",
                hold.request_id,
                hold.key_id,
                hold.model_id,
                hold.version,
                hold.tokens,
                half_hours(hold.deadline - self.now),
                hold.owner,
                parts.join(",")
            ));
        }
    }
}
