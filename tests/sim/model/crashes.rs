//! What a crash of the database forgets, and what comes back of it.

use super::{Full, HOLD_FOR, Hold, Model};
use crate::clock::{self, minute_of};
use std::collections::BTreeMap;
use toki::ids::{KeyId, ReplicaId, RequestId};
use toki::wallet::ledger::RunningHold;

impl Model {
    /// These admissions, the last before the crash, never happened: neither their holds nor what they did to a period. Their calls run on,
    /// and no replica is known any more.
    pub fn forget(&mut self, request_ids: &[RequestId]) {
        self.volatile.clear();
        self.known.clear();
        self.forget_rates(request_ids);
        for (key_id, (began, used)) in self.periods_before(request_ids) {
            let account_id = self.key(key_id).expect("a key of the model").0.account_id;
            let key = self.key_mut(account_id, key_id);
            (key.began, key.used) = (began, used);
        }
        for request_id in request_ids {
            let hold = self.remove_hold(*request_id).expect("a hold to forget");
            for (grant_id, line) in &hold.lines {
                let grant = self.grant_mut(hold.account_id, *grant_id);
                grant.held -= line;
                grant.left += line;
            }
            self.key_mut(hold.account_id, hold.key_id).held -= hold.tokens;
        }
    }

    /// How the periods of the keys of these calls stood before the first of them was admitted.
    pub fn periods_before(&self, request_ids: &[RequestId]) -> BTreeMap<KeyId, (Option<i64>, i64)> {
        let mut periods = BTreeMap::new();
        for hold in self.holds.iter().filter(|hold| request_ids.contains(&hold.request_id)) {
            periods.entry(hold.key_id).or_insert(hold.before);
        }
        periods
    }

    /// A replica makes itself known, and puts back what it holds for these calls as far as it is there: one after the other. Answers how
    /// many.
    pub fn restore(&mut self, owner: ReplicaId, running: &[RunningHold]) -> usize {
        self.known.insert(owner);
        let mut restored = 0;
        for call in running {
            let is_held = self.holds.iter().any(|hold| hold.request_id == call.request_id);
            if is_held || self.records.contains_key(&call.request_id) {
                continue;
            }
            self.volatile.clear();
            let mut hold = Hold {
                request_id: call.request_id,
                account_id: call.account_id,
                key_id: call.key_id,
                model_id: call.model_id.clone(),
                supplier_id: call.supplier_id,
                version: call.price_version,
                tokens: 0,
                wanted: call.tokens.0,
                output_limit: 0,
                lines: Vec::new(),
                owner,
                deadline: self.now + HOLD_FOR,
                placed: minute_of(call.created_at),
                before: (None, 0),
                created: clock::micros_of(call.created_at),
                full_before: (Full::default(), Full::default()),
            };
            self.fill(&mut hold, call.tokens.0);
            let now = self.now;
            let key = self.key_mut(hold.account_id, hold.key_id);
            key.held += hold.tokens;
            let counts = key.counts_now(now, hold.placed);
            key.use_in_period(now, if counts { hold.tokens } else { 0 });
            if counts {
                hold.placed = key.placed_at(hold.placed);
                hold.created = hold.created.max(key.began.map_or(i64::MIN, clock::start_of));
            }
            self.holds.push(hold);
            restored += 1;
        }
        restored
    }
}
