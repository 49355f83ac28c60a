//! The life of a call: decided, held, settled, or reaped. What a database that crashed forgets of it: `crashes`.

use super::periods::month_of;
use super::{Account, HOLD_FOR, Hold, Key, KeyState, Model, Offer, Record};
use crate::clock::{self, minute_of};
use std::collections::BTreeSet;
use std::mem;
use toki::ids::{AccountId, GrantId, ReplicaId, RequestId, SupplierId};
use toki::wallet::ledger::{AdmissionRequest, Price, RunningHold, Settlement};

pub enum Decision {
    Refused(String),
    /// By a rate, or by calls that run: of the key, or of this account.
    Limited {
        why: String,
        by: Option<AccountId>,
    },
    Hold(Box<Hold>),
}

/// Rounded up once.
pub fn price_of(price: Price, input: i64, cached: i64, output: i64) -> i64 {
    let parts = [(input - cached, price.input_ppm), (cached, price.cached_ppm), (output, price.output_ppm)];
    let micro: i128 = parts.into_iter().map(|(tokens, ppm)| i128::from(tokens) * i128::from(ppm)).sum();
    i64::try_from(micro.div_euclid(1_000_000) + i128::from(micro.rem_euclid(1_000_000) > 0)).expect("a charge in range")
}

impl Model {
    /// Whose call this is, and of what, where nothing but Tokens and rates can refuse it; else why it is refused.
    fn call_of(&self, request: &AdmissionRequest) -> Result<(&Account, &Key, &Offer), String> {
        let refused = |why: &str| Err(why.to_string());
        let owned = self.accounts.iter().find_map(|account| {
            let key = account.keys.iter().find(|key| key.secret_hash == request.secret_hash && key.state != KeyState::Deleted)?;
            Some((account, key))
        });
        let Some((account, key)) = owned else { return refused("UnknownKey") };
        if key.state != KeyState::Enabled {
            return refused("KeyDisabled");
        }
        if key.expires.is_some_and(|expires| expires <= self.now) {
            return refused("KeyExpired");
        }
        if account.suspended {
            return refused("AccountSuspended");
        }
        if let Some(why) = self.sent_before(key.key_id, request) {
            return Err(why);
        }
        let callable = |offer: &&Offer| {
            offer.enabled
                && self.supplier(offer.supplier_id).enabled
                && key.supplier_id.is_none_or(|supplier_id| supplier_id == offer.supplier_id)
        };
        let Some(offer) = self.offer(&request.model_id).filter(callable) else { return refused("ModelNotFound") };
        if request.protocol != "openai" {
            return refused("NoChannel");
        }
        Ok((account, key, offer))
    }

    /// Whose wallet, as it stands, cannot pay for this call as it was asked.
    fn who_cannot_pay(&self, request: &AdmissionRequest) -> Option<AccountId> {
        let (account, _, offer) = self.call_of(request).ok()?;
        let grants = self.burn_order(account.account_id, offer.supplier_id, &offer.model_id);
        let available: i64 = grants.iter().map(|(_, left)| left).sum();
        let wanted = request.output_limit.map_or(offer.max_output, |limit| limit.min(offer.max_output));
        let cost = price_of(offer.price, request.input_tokens, 0, wanted * request.choices);
        (cost > available).then_some(account.account_id)
    }

    /// What must be answered to this request now, and what held. Changes nothing.
    pub fn decide(&self, request: &AdmissionRequest, owner: ReplicaId) -> Decision {
        let refused = |why: &str| Decision::Refused(why.into());
        let (account, key, offer) = match self.call_of(request) {
            Ok(call) => call,
            Err(why) => return Decision::Refused(why),
        };
        let grants = self.burn_order(account.account_id, offer.supplier_id, &offer.model_id);
        let available: i64 = grants.iter().map(|(_, left)| left).sum();
        let (quota_left, period_left) = (key.quota_left(), key.period_left(self.now));
        let own = [quota_left, period_left].into_iter().flatten().fold(available, i64::min);
        let member = self.member_left(account, key);
        let room = member.least().map_or(own, |left| left.min(own));
        let cost = |output: i64| price_of(offer.price, request.input_tokens, 0, output * request.choices);
        let wanted = request.output_limit.map_or(offer.max_output, |limit| limit.min(offer.max_output));
        let mut output_limit = wanted;
        if cost(wanted) > room {
            if !request.exact {
                return refused("CountInput");
            }
            // Found by looking, not by a formula: limits are small here.
            match (1..wanted).rev().find(|output| cost(*output) <= room) {
                Some(output) => output_limit = output,
                None if room < own && member.month.is_some_and(|left| left < member.ever.unwrap_or(available)) => {
                    return Decision::Refused(format!("MemberMonthExhausted until {}", month_of(self.now).1));
                }
                None if room < own => return refused("MemberExhausted"),
                None if room < available && period_left.is_some_and(|left| left < quota_left.unwrap_or(available)) => {
                    return refused("PeriodExhausted");
                }
                None if room < available => return refused("QuotaExhausted"),
                None => return refused("BalanceExhausted"),
            }
        }
        let tokens = cost(output_limit);
        if let Some(limited) = self.over_rate(account, key, tokens, request.exact) {
            return limited;
        }
        let mut rest = tokens;
        let lines = grants.into_iter().map(|(grant_id, left)| {
            let taken = left.min(rest);
            rest -= taken;
            (grant_id, taken)
        });
        Decision::Hold(Box::new(Hold {
            request_id: request.request_id,
            account_id: account.account_id,
            key_id: key.key_id,
            model_id: offer.model_id.clone(),
            supplier_id: offer.supplier_id,
            version: offer.version,
            tokens,
            wanted: tokens,
            output_limit,
            lines: lines.filter(|(_, taken)| *taken > 0).collect(),
            owner,
            deadline: self.now + HOLD_FOR,
            placed: key.placed_at(self.now),
            before: (key.began, key.used),
            created: clock::micros(self.now).max(key.began.map_or(i64::MIN, clock::start_of)),
            full_before: self.full_of(key.key_id),
        }))
    }

    /// Grants that may pay for this call, and what is left of each.
    pub fn burn_order(&self, account_id: AccountId, supplier_id: SupplierId, model_id: &str) -> Vec<(GrantId, i64)> {
        let account = self.account(account_id).expect("an account of the model");
        let mut grants: Vec<_> = account
            .grants
            .iter()
            .filter(|grant| grant.can_pay(self.now) && grant.left > 0 && grant.pays_for(supplier_id, model_id))
            .collect();
        grants.sort_by_key(|grant| grant.burns_at());
        grants.into_iter().map(|grant| (grant.grant_id, grant.left)).collect()
    }

    /// The same after what rolls over to the account came there, if they are less than these Tokens without.
    fn burn_order_for(&mut self, tokens: i64, account_id: AccountId, supplier_id: SupplierId, model_id: &str) -> Vec<(GrantId, i64)> {
        let grants = self.burn_order(account_id, supplier_id, model_id);
        if grants.iter().map(|(_, left)| left).sum::<i64>() >= tokens {
            return grants;
        }
        self.roll_over_ended(account_id);
        self.burn_order(account_id, supplier_id, model_id)
    }

    /// Admits a batch, each call on its own merits, and says what must be answered. A replica that the database does not know puts the
    /// holds of its running calls back first. What rolls over to a wallet that has too little for a call comes before that is decided. That
    /// calls were sent under an Idempotency-Key waits for the disk, with all before it.
    pub fn admit(&mut self, requests: &[AdmissionRequest], owner: ReplicaId, running: &[RunningHold], lost: bool) -> Vec<String> {
        if !self.known.contains(&owner) {
            self.restore(owner, running);
        }
        let (mut placed, mut accounts, mut limited) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let answers = requests
            .iter()
            .map(|request| {
                if let Some(account_id) = self.who_cannot_pay(request) {
                    self.roll_over_ended(account_id);
                }
                let decision = self.decide(request, owner);
                let answer = decision.to_string();
                match decision {
                    Decision::Hold(hold) => {
                        placed.push(hold.request_id);
                        accounts.insert(hold.account_id);
                        self.note_sent(request, hold.account_id, hold.key_id);
                        self.place(*hold);
                    }
                    Decision::Limited { by, .. } => limited.extend(by),
                    Decision::Refused(_) => {}
                }
                answer
            })
            .collect();
        if !placed.is_empty() {
            self.write_rates(&limited - &accounts);
        }
        if lost {
            self.take_back_rates(&placed);
        }
        if requests.iter().any(|request| request.idempotency.is_some()) {
            self.volatile.clear();
        } else if !placed.is_empty() {
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
        let now = self.now;
        let key = self.key_mut(hold.account_id, hold.key_id);
        key.held += hold.tokens;
        key.use_in_period(now, hold.tokens);
        self.take_rates(hold.account_id, hold.key_id, hold.tokens);
        self.holds.push(hold);
    }

    pub fn remove_hold(&mut self, request_id: RequestId) -> Option<Hold> {
        let at = self.holds.iter().position(|hold| hold.request_id == request_id)?;
        Some(self.holds.remove(at))
    }

    /// Has a hold take so many Tokens more, as far as account, key and member have them. Whoever asks counts them for the key.
    pub fn fill(&mut self, hold: &mut Hold, tokens: i64) {
        let mut rest = self.allowance(hold.key_id).map_or(tokens, |left| left.min(tokens)).max(0);
        for (grant_id, left) in self.burn_order_for(rest, hold.account_id, hold.supplier_id, &hold.model_id) {
            let taken = left.min(rest);
            if taken == 0 {
                break;
            }
            rest -= taken;
            let grant = self.grant_mut(hold.account_id, grant_id);
            grant.left -= taken;
            grant.held += taken;
            hold.tokens += taken;
            match hold.lines.iter_mut().find(|(id, _)| *id == grant_id) {
                Some((_, line)) => *line += taken,
                None => hold.lines.push((grant_id, taken)),
            }
        }
    }

    /// Pays so much of what a hold has; the rest goes back to where it came from.
    pub fn draw(&mut self, hold: &Hold, charge: i64) {
        let mut rest = charge;
        for (grant_id, line) in &hold.lines {
            let spent = rest.min(*line);
            rest -= spent;
            let grant = self.grant_mut(hold.account_id, *grant_id);
            grant.held -= line;
            grant.spent += spent;
            grant.left += line - spent;
        }
        let now = self.now;
        let key = self.key_mut(hold.account_id, hold.key_id);
        key.held -= hold.tokens;
        key.give_back_to_period(now, hold.placed, hold.tokens - charge);
        self.give_back_rates(hold.account_id, hold.key_id, (hold.tokens, hold.tokens - charge), hold.created);
    }

    /// Calls with a whole hold first, all at once; then those with a part of one, then those without, one after the other by their ids.
    /// What is answered is as it stands when all are done.
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
        // Whole, a part, none.
        let rank = |settlement: &Settlement| {
            let hold = self.holds.iter().find(|hold| hold.request_id == settlement.request_id);
            hold.map_or(2, |hold| i32::from(hold.tokens < hold.wanted))
        };
        let mut ranked: Vec<_> = first.iter().map(|&settlement| (rank(settlement), settlement.request_id, settlement)).collect();
        ranked.sort_by_key(|(rank, request_id, _)| (*rank, *request_id));
        for (_, request_id, settlement) in ranked {
            match self.remove_hold(request_id) {
                Some(hold) => self.settle_held(settlement, hold),
                None => self.settle_unheld(settlement),
            }
        }
        settlements
            .iter()
            .map(|settlement| {
                let request_id = settlement.request_id;
                let first = first.iter().any(|other| other.request_id == request_id);
                let charge = self.records[&request_id].charge;
                let balance = self.balance(settlement.account_id);
                let quota = self.allowance(settlement.key_id).map(|left| left.max(0));
                format!("settled {request_id} first {first} charge {charge} balance {balance} quota {quota:?}")
            })
            .collect()
    }

    /// Never more than was held at first. What a crash took of that is held now, as far as it is needed, and counts in the period that
    /// runs now.
    fn settle_held(&mut self, settlement: &Settlement, mut hold: Hold) {
        let (had, now) = (hold.tokens, self.now);
        let owed = settlement.charge.0.min(hold.wanted);
        if owed > had {
            self.fill(&mut hold, owed - had);
            let key = self.key_mut(hold.account_id, hold.key_id);
            key.held += hold.tokens - had;
            key.use_in_period(now, hold.tokens - had);
        }
        let charge = settlement.charge.0.min(hold.tokens);
        self.draw(&hold, charge);
        self.record(settlement, hold.tokens, charge);
    }

    /// What account, key and member can still pay, in the period in which the report comes; never more than had been held, where that is
    /// known: the report says it, or the record that the reaper wrote, which is completed.
    fn settle_unheld(&mut self, settlement: &Settlement) {
        let (account_id, now) = (settlement.account_id, self.now);
        let reaped = self.records.get(&settlement.request_id).map(|record| record.held).filter(|held| *held > 0);
        let held = settlement.held.map(|held| held.0).or(reaped);
        let owed = held.map_or(settlement.charge.0, |held| settlement.charge.0.min(held));
        let most = self.allowance(settlement.key_id).map_or(owed, |left| left.min(owed)).max(0);
        let mut rest = most;
        for (grant_id, left) in self.burn_order_for(rest, account_id, settlement.supplier_id, &settlement.model_id) {
            let spent = left.min(rest);
            rest -= spent;
            let grant = self.grant_mut(account_id, grant_id);
            grant.left -= spent;
            grant.spent += spent;
        }
        self.key_mut(account_id, settlement.key_id).use_in_period(now, most - rest);
        self.record(settlement, held.unwrap_or(0), most - rest);
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
            started: minute_of(settlement.started_at),
            recorded: self.now,
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
            let hold = self.remove_hold(*request_id).expect("a hold to reap");
            self.draw(&hold, 0);
            let (outcome, basis) = ("interrupted".into(), "waived".into());
            let Hold { account_id, key_id, tokens: held, placed, .. } = hold;
            let (started, recorded) = (placed.min(self.now), self.now);
            let record = Record { account_id, key_id, outcome, basis, held, charge: 0, written_off: 0, started, recorded };
            self.records.insert(*request_id, record);
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
}
