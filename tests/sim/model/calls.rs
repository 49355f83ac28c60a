//! The life of a call: decided, held, settled, reaped, or forgotten by a database that crashed.

use super::{HOLD_FOR, Hold, KeyState, Model, Offer, Record};
use std::mem;
use toki::ids::{AccountId, ReplicaId, RequestId, SupplierId};
use toki::wallet::ledger::{AdmissionRequest, Price, Settlement};

pub enum Decision {
    Refused(&'static str),
    Hold(Hold),
}

/// Rounded up once.
pub fn price_of(price: Price, input: i64, cached: i64, output: i64) -> i64 {
    let parts = [(input - cached, price.input_ppm), (cached, price.cached_ppm), (output, price.output_ppm)];
    let micro: i128 = parts.into_iter().map(|(tokens, ppm)| i128::from(tokens) * i128::from(ppm)).sum();
    i64::try_from(micro.div_euclid(1_000_000) + i128::from(micro.rem_euclid(1_000_000) > 0)).expect("a charge in range")
}

impl Model {
    /// What must be answered to this request now, and what held. Changes nothing.
    pub fn decide(&self, request: &AdmissionRequest, owner: ReplicaId) -> Decision {
        let owned = self.accounts.iter().find_map(|account| {
            let key = account.keys.iter().find(|key| key.secret_hash == request.secret_hash && key.state != KeyState::Deleted)?;
            Some((account, key))
        });
        let Some((account, key)) = owned else { return Decision::Refused("UnknownKey") };
        if key.state != KeyState::Enabled {
            return Decision::Refused("KeyDisabled");
        }
        if key.expires.is_some_and(|expires| expires <= self.now) {
            return Decision::Refused("KeyExpired");
        }
        if account.suspended {
            return Decision::Refused("AccountSuspended");
        }
        let callable = |offer: &&Offer| {
            offer.enabled
                && self.supplier(offer.supplier_id).enabled
                && key.supplier_id.is_none_or(|supplier_id| supplier_id == offer.supplier_id)
        };
        let Some(offer) = self.offer(&request.model_id).filter(callable) else { return Decision::Refused("ModelNotFound") };
        if request.protocol != "openai" {
            return Decision::Refused("NoChannel");
        }
        let grants = self.burn_order(account.account_id, offer.supplier_id, &offer.model_id);
        let available: i64 = grants.iter().map(|(_, left)| left).sum();
        let own = key.quota_left().map_or(available, |left| left.min(available));
        let room = account.member_left().map_or(own, |left| left.min(own));
        let cost = |output: i64| price_of(offer.price, request.input_tokens, 0, output * request.choices);
        let wanted = request.output_limit.map_or(offer.max_output, |limit| limit.min(offer.max_output));
        let mut output_limit = wanted;
        if cost(wanted) > room {
            if !request.exact {
                return Decision::Refused("CountInput");
            }
            // Found by looking, not by a formula: limits are small here.
            match (1..wanted).rev().find(|output| cost(*output) <= room) {
                Some(output) => output_limit = output,
                None if room < own => return Decision::Refused("MemberExhausted"),
                None if room < available => return Decision::Refused("QuotaExhausted"),
                None => return Decision::Refused("BalanceExhausted"),
            }
        }
        let tokens = cost(output_limit);
        let mut rest = tokens;
        let lines = grants.into_iter().map(|(grant_id, left)| {
            let taken = left.min(rest);
            rest -= taken;
            (grant_id, taken)
        });
        Decision::Hold(Hold {
            request_id: request.request_id,
            account_id: account.account_id,
            key_id: key.key_id,
            model_id: offer.model_id.clone(),
            supplier_id: offer.supplier_id,
            version: offer.version,
            tokens,
            output_limit,
            lines: lines.filter(|(_, taken)| *taken > 0).collect(),
            owner,
            deadline: self.now + HOLD_FOR,
        })
    }

    /// Grants that may pay for this call, and what is left of each.
    fn burn_order(&self, account_id: AccountId, supplier_id: SupplierId, model_id: &str) -> Vec<(toki::ids::GrantId, i64)> {
        let account = self.account(account_id).expect("an account of the model");
        let mut grants: Vec<_> = account
            .grants
            .iter()
            .filter(|grant| grant.can_pay(self.now) && grant.left > 0 && grant.pays_for(supplier_id, model_id))
            .collect();
        grants.sort_by_key(|grant| grant.burns_at());
        grants.into_iter().map(|grant| (grant.grant_id, grant.left)).collect()
    }

    /// Admits a batch, each call on its own merits, and says what must be answered.
    pub fn admit(&mut self, requests: &[AdmissionRequest], owner: ReplicaId) -> Vec<String> {
        let mut placed = Vec::new();
        let answers = requests
            .iter()
            .map(|request| {
                let decision = self.decide(request, owner);
                let answer = decision.to_string();
                if let Decision::Hold(hold) = decision {
                    placed.push(hold.request_id);
                    self.place(hold);
                }
                answer
            })
            .collect();
        if !placed.is_empty() {
            self.volatile.push(placed);
        }
        answers
    }

    fn place(&mut self, hold: Hold) {
        for (grant_id, tokens) in &hold.lines {
            let grant = self.grant_mut(hold.account_id, *grant_id);
            grant.left -= tokens;
            grant.held += tokens;
        }
        self.key_mut(hold.account_id, hold.key_id).held += hold.tokens;
        self.holds.push(hold);
    }

    fn take_hold(&mut self, request_id: RequestId) -> Option<Hold> {
        let at = self.holds.iter().position(|hold| hold.request_id == request_id)?;
        let hold = self.holds.remove(at);
        self.key_mut(hold.account_id, hold.key_id).held -= hold.tokens;
        Some(hold)
    }

    /// Calls with a hold first, all at once; then those without, one after the other by their ids. What is answered is as it stands
    /// when all are done.
    pub fn settle(&mut self, settlements: &[Settlement]) -> Vec<String> {
        self.volatile.clear();
        let mut first: Vec<&Settlement> = Vec::new();
        for settlement in settlements {
            self.touched.insert(settlement.account_id);
            self.touched_calls.insert(settlement.request_id);
            let known = first.iter().any(|other| other.request_id == settlement.request_id);
            if !known && self.records.get(&settlement.request_id).is_none_or(|record| record.is_completed_by_a_late_report()) {
                first.push(settlement);
            }
        }
        let (held, mut unheld): (Vec<&Settlement>, Vec<&Settlement>) =
            first.iter().partition(|settlement| self.holds.iter().any(|hold| hold.request_id == settlement.request_id));
        held.into_iter().for_each(|settlement| self.settle_held(settlement));
        unheld.sort_by_key(|settlement| settlement.request_id);
        unheld.into_iter().for_each(|settlement| self.settle_unheld(settlement));
        settlements
            .iter()
            .map(|settlement| {
                let request_id = settlement.request_id;
                let first = first.iter().any(|other| other.request_id == request_id);
                let charge = self.records[&request_id].charge;
                let balance = self.balance(settlement.account_id);
                let (account, key) = self.key(settlement.key_id).expect("a key of the model");
                let quota = [key.quota_left(), account.member_left()].into_iter().flatten().min().map(|left| left.max(0));
                format!("settled {request_id} first {first} charge {charge} balance {balance} quota {quota:?}")
            })
            .collect()
    }

    /// Never more than was held; the rest goes back to where it came from.
    fn settle_held(&mut self, settlement: &Settlement) {
        let hold = self.take_hold(settlement.request_id).expect("a hold");
        let charge = settlement.charge.0.min(hold.tokens);
        let mut rest = charge;
        for (grant_id, line) in hold.lines {
            let spent = line.min(rest);
            rest -= spent;
            let grant = self.grant_mut(settlement.account_id, grant_id);
            grant.held -= line;
            grant.spent += spent;
            grant.left += line - spent;
        }
        self.record(settlement, hold.tokens, charge);
    }

    /// What account and key can still pay. A record that the reaper wrote is completed, and keeps what had been held.
    fn settle_unheld(&mut self, settlement: &Settlement) {
        let owed = settlement.charge.0;
        let account_id = settlement.account_id;
        let (account, key) = self.key(settlement.key_id).expect("a key of the model");
        let most = [key.quota_left(), account.member_left()].into_iter().flatten().fold(owed, i64::min).max(0);
        let mut rest = most;
        for (grant_id, left) in self.burn_order(account_id, settlement.supplier_id, &settlement.model_id) {
            let spent = left.min(rest);
            rest -= spent;
            let grant = self.grant_mut(account_id, grant_id);
            grant.left -= spent;
            grant.spent += spent;
        }
        let held = self.records.get(&settlement.request_id).map_or(0, |record| record.held);
        self.record(settlement, held, most - rest);
    }

    fn record(&mut self, settlement: &Settlement, held: i64, charge: i64) {
        let account_id = settlement.account_id;
        self.key_mut(account_id, settlement.key_id).spent += charge;
        let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_string();
        let record = Record {
            account_id,
            key_id: settlement.key_id,
            outcome: word(serde_json::json!(settlement.outcome)),
            basis: word(serde_json::json!(settlement.basis)),
            held,
            charge,
            written_off: settlement.charge.0 - charge,
        };
        self.records.insert(settlement.request_id, record);
    }

    pub fn overdue(&self) -> Vec<RequestId> {
        self.holds.iter().filter(|hold| hold.deadline < self.now).map(|hold| hold.request_id).collect()
    }

    /// Calls whose owner fell silent: interrupted, free of charge, everything held goes back to where it came from.
    pub fn reap(&mut self, request_ids: &[RequestId]) {
        self.volatile.clear();
        for request_id in request_ids {
            let hold = self.take_hold(*request_id).expect("a hold to reap");
            for (grant_id, line) in &hold.lines {
                let grant = self.grant_mut(hold.account_id, *grant_id);
                grant.held -= line;
                grant.left += line;
            }
            let (outcome, basis) = ("interrupted".into(), "waived".into());
            let Hold { account_id, key_id, tokens: held, .. } = hold;
            self.records.insert(*request_id, Record { account_id, key_id, outcome, basis, held, charge: 0, written_off: 0 });
            self.touched_calls.insert(*request_id);
        }
    }

    /// A replica extends its holds; answered are those of its calls that must end now.
    pub fn extend(&mut self, owner: ReplicaId) -> Vec<String> {
        self.volatile.clear();
        let mut ended = Vec::new();
        let holds = mem::take(&mut self.holds);
        for hold in holds.iter().filter(|hold| hold.owner == owner) {
            let (account, key) = self.key(hold.key_id).expect("a key of the model");
            let expired = key.expires.is_some_and(|expires| expires <= self.now);
            if key.state != KeyState::Enabled || expired || account.suspended || !self.supplier(hold.supplier_id).enabled {
                ended.push(format!("ended {}", hold.request_id));
            }
        }
        self.holds = holds;
        let now = self.now;
        for hold in self.holds.iter_mut().filter(|hold| hold.owner == owner && hold.deadline < now + HOLD_FOR / 2) {
            hold.deadline = now + HOLD_FOR;
            self.touched.insert(hold.account_id);
        }
        ended.sort();
        ended
    }

    /// A crash of the database: these admissions, the last before it, never happened. Their calls run on.
    pub fn forget(&mut self, request_ids: &[RequestId]) {
        self.volatile.clear();
        for request_id in request_ids {
            let hold = self.take_hold(*request_id).expect("a hold to forget");
            for (grant_id, line) in &hold.lines {
                let grant = self.grant_mut(hold.account_id, *grant_id);
                grant.held -= line;
                grant.left += line;
            }
        }
    }
}
