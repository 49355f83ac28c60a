//! What happens to orders after they were paid, and to codes: refunds and disputes as rows, and what follows from all rows of an order.

use super::{Account, Bought, Code, Dispute, Model, Refund, RefundState, Shares};
use crate::op::{Part, Told};
use toki::ids::{AccountId, GrantId, OrderId, RefundId};

/// In minor units, of every package here.
pub const PRICE: i64 = 500;

impl Bought {
    fn refunded(&self, counts: fn(RefundState) -> bool) -> i64 {
        self.refunds.iter().filter(|refund| counts(refund.state)).map(|refund| refund.amount).sum()
    }

    /// What refunds leave of the price; a bank can only have taken what they leave.
    pub fn not_refunded(&self) -> i64 {
        let counts = |refund: &&Refund| refund.state != RefundState::Failed && refund.of_dispute.is_none();
        PRICE - self.refunds.iter().filter(counts).map(|refund| refund.amount).sum::<i64>()
    }

    /// A lost dispute is about all of the price here.
    fn record_losses(&mut self) {
        for at in 0..self.disputes.len() {
            let rest = PRICE - self.refunded(|state| state != RefundState::Failed);
            if self.disputes[at] == Dispute::Lost && rest > 0 {
                self.refunds.push(Refund {
                    refund_id: None,
                    amount: rest,
                    tokens: 0,
                    state: RefundState::Succeeded,
                    returned: false,
                    taken: false,
                    of_dispute: Some(at),
                });
            }
        }
    }

    /// Where the order stands, in the database's word.
    pub fn status(&self) -> &'static str {
        let back = self.refunded(|state| matches!(state, RefundState::Pending | RefundState::Succeeded));
        match () {
            () if self.disputes.contains(&Dispute::Open) => "disputed",
            () if back >= PRICE => "refunded",
            () if back == 0 => "fulfilled",
            () => "partly_refunded",
        }
    }
}

impl Model {
    pub fn bought(&self, order_id: OrderId) -> (&Account, &Bought) {
        let found =
            self.accounts.iter().find_map(|account| Some((account, account.bought.iter().find(|order| order.order_id == order_id)?)));
        found.expect("an order of the model")
    }

    fn bought_mut(&mut self, account_id: AccountId, order_id: OrderId) -> &mut Bought {
        self.account_mut(account_id).bought.iter_mut().find(|order| order.order_id == order_id).expect("an order of the model")
    }

    pub fn buy(&mut self, account_id: AccountId, order_id: OrderId, grant_id: GrantId, tokens: i64) {
        self.account_mut(account_id).bought.push(Bought { order_id, grant_id, tokens, refunds: Vec::new(), disputes: Vec::new() });
        let at = self.place_of(account_id, grant_id);
        self.grant_mut(account_id, grant_id).shares = Shares::from([(at, tokens)]);
    }

    /// An operator's refund, and what the provider answered; `refund_id` is the product's, if it wrote one down.
    pub fn refund(&mut self, order_id: OrderId, part: Part, told: Option<Told>, refund_id: Option<RefundId>) -> &'static str {
        self.volatile.clear();
        let (account, order) = self.bought(order_id);
        let (account_id, grant_id, bought) = (account.account_id, order.grant_id, order.tokens);
        if !matches!(order.status(), "fulfilled" | "partly_refunded") {
            return "NotRefundable";
        }
        let rest = PRICE - order.refunded(|state| state != RefundState::Failed);
        self.roll_over_ended(account_id);
        let at = self.place_of(account_id, grant_id);
        let left = self.left_of(account_id, at);
        let whole = bought.max(left);
        let worth = |tokens: i64| PRICE * tokens / whole;
        let (amount, tokens) = match part {
            Part::Unused => (worth(left).min(rest), left),
            Part::Tokens(tokens) if tokens > left => return "NotEnoughLeft",
            Part::Tokens(tokens) => (worth(tokens).min(rest), tokens),
            Part::Amount(amount) => (amount, stands_for(amount, whole).min(left)),
            Part::All => (rest, left),
        };
        if amount < 1 || amount > rest {
            return "RefundOutOfRange";
        }
        assert_eq!(self.take_refunded(account_id, at, tokens), tokens, "what is left can be taken");
        let state = told.map_or(RefundState::Requested, Told::state);
        let refund = Refund { refund_id, amount, tokens, state, returned: false, taken: true, of_dispute: None };
        self.bought_mut(account_id, order_id).refunds.push(refund);
        if told.is_some() {
            self.restate(account_id, order_id);
        }
        self.bought(order_id).1.status()
    }

    /// A refund that somebody made at the provider takes the Tokens it stands for, as far as they are left.
    pub fn refund_elsewhere(&mut self, order_id: OrderId, amount: i64) -> &'static str {
        self.volatile.clear();
        let account_id = self.bought(order_id).0.account_id;
        let state = RefundState::Succeeded;
        let refund = Refund { refund_id: None, amount, tokens: 0, state, returned: false, taken: false, of_dispute: None };
        self.bought_mut(account_id, order_id).refunds.push(refund);
        self.restate(account_id, order_id);
        self.bought(order_id).1.status()
    }

    /// Takes so many Tokens of a purchase, as far as they are left, out of its grant, into which they come back for it.
    fn take_refunded(&mut self, account_id: AccountId, at: usize, most: i64) -> i64 {
        let now = self.now;
        let there = self.gather(account_id, at, most);
        let grant = &mut self.account_mut(account_id).grants[at];
        let taken = if grant.has_time(now) { there.min(most) } else { 0 };
        grant.refund(at, taken);
        taken
    }

    /// The provider tells of a refund; what it said before only goes forward, and one that failed does not succeed.
    pub fn refund_told(&mut self, order_id: OrderId, at: usize, told: Told) -> &'static str {
        self.volatile.clear();
        let account_id = self.bought(order_id).0.account_id;
        let refund = &mut self.bought_mut(account_id, order_id).refunds[at];
        if (refund.state, told.state()) == (RefundState::Failed, RefundState::Succeeded) {
            return "quarantined";
        }
        refund.state = refund.state.max(told.state());
        self.restate(account_id, order_id);
        self.bought(order_id).1.status()
    }

    /// One that is closed is not opened again, nor closed otherwise.
    pub fn dispute_told(&mut self, order_id: OrderId, at: usize, dispute: Dispute) -> &'static str {
        self.volatile.clear();
        let account_id = self.bought(order_id).0.account_id;
        let disputes = &mut self.bought_mut(account_id, order_id).disputes;
        match disputes.get_mut(at) {
            Some(known) if *known == Dispute::Open => *known = dispute,
            Some(known) if dispute != Dispute::Open && *known != dispute => return "quarantined",
            Some(_) => {}
            None => disputes.push(dispute),
        }
        self.restate(account_id, order_id);
        self.bought(order_id).1.status()
    }

    /// Takes what running calls have given back since to grants whose money went back in full, and gathers what they gave back to others
    /// of the Tokens of an order that was frozen within a day.
    pub fn take_leftovers(&mut self) {
        self.volatile.clear();
        let mut frozen = Vec::new();
        for account in &self.accounts {
            for order in &account.bought {
                let at = self.place_of(account.account_id, order.grant_id);
                let grant = &account.grants[at];
                if grant.frozen {
                    let empty = grant.left == 0 || order.status() != "refunded";
                    frozen.push((empty, (grant.frozen_at, grant.froze), account.account_id, order.order_id, at));
                }
            }
        }
        frozen.sort_by_key(|(empty, froze, ..)| (*empty, *froze));
        for (empty, (frozen_at, _), account_id, order_id, at) in frozen {
            if !empty || (frozen_at > self.now - 24 * 60 && !self.is_separate(account_id, at)) {
                self.restate(account_id, order_id);
            }
        }
    }

    fn restate(&mut self, account_id: AccountId, order_id: OrderId) {
        let now = self.now;
        self.roll_over_ended(account_id);
        let order = self.bought_mut(account_id, order_id);
        // A refund that was told of since leaves less for the bank.
        if order.refunded(|state| state != RefundState::Failed) > PRICE {
            for refund in order.refunds.iter_mut().filter(|refund| refund.of_dispute.is_some()) {
                refund.state = RefundState::Failed;
            }
        }
        let grant_id = order.grant_id;
        let mut back = 0;
        for refund in order.refunds.iter_mut().filter(|refund| refund.state == RefundState::Failed && !refund.returned) {
            refund.returned = true;
            back += refund.tokens;
        }
        let at = self.place_of(account_id, grant_id);
        let grant = self.grant_mut(account_id, grant_id);
        grant.refund(at, -back);
        if back > 0 && !grant.frozen {
            grant.swept = false;
        }
        self.take_for_refunds(account_id, order_id);
        self.bought_mut(account_id, order_id).record_losses();
        self.take_for_refunds(account_id, order_id);

        let status = self.bought(order_id).1.status();
        let freezes = matches!(status, "disputed" | "refunded");
        if freezes {
            self.separate(account_id, at);
        }
        self.freezes += 1;
        let froze = self.freezes;
        let grant = self.grant_mut(account_id, grant_id);
        match (grant.frozen, freezes) {
            (false, true) => grant.freeze(now, froze),
            (true, false) => grant.thaw(now),
            _ => {}
        }
        if status == "refunded" {
            let rest = self.take_refunded(account_id, at, i64::MAX);
            let grant = self.grant_mut(account_id, grant_id);
            if !grant.has_time(now) {
                grant.expired += std::mem::take(&mut grant.left);
            }
            if rest == 0 {
                return;
            }
            let order = self.bought_mut(account_id, order_id);
            let counts = |refund: &&mut Refund| matches!(refund.state, RefundState::Pending | RefundState::Succeeded);
            if let Some(last) = order.refunds.iter_mut().rev().find(counts) {
                last.tokens += rest;
            }
        }
    }

    /// What nobody has taken yet for refunds that were made elsewhere, and for what banks took.
    fn take_for_refunds(&mut self, account_id: AccountId, order_id: OrderId) {
        let order = self.bought(order_id).1;
        let (home, bought) = (self.place_of(account_id, order.grant_id), order.tokens);
        for at in 0..order.refunds.len() {
            let Refund { amount, taken, .. } = self.bought(order_id).1.refunds[at];
            if taken {
                continue;
            }
            let whole = bought.max(self.left_of(account_id, home));
            let tokens = self.take_refunded(account_id, home, stands_for(amount, whole));
            let refund = &mut self.bought_mut(account_id, order_id).refunds[at];
            (refund.tokens, refund.taken) = (tokens, true);
        }
    }

    /// What redeeming a code must come to; the grant is issued by whoever learnt its id.
    pub fn redeem(&mut self, account_id: AccountId, at: usize) -> &'static str {
        self.volatile.clear();
        let suspended = self.account(account_id).is_some_and(|account| account.suspended);
        let Code { uses, disabled, by, .. } = &mut self.codes[at];
        match () {
            () if suspended => "AccountSuspended",
            () if *disabled => "Disabled",
            () if by.contains(&account_id) => "AlreadyUsed",
            () if by.len() >= *uses => "UsedUp",
            () => {
                by.push(account_id);
                "redeemed"
            }
        }
    }
}

/// The Tokens that an amount of the price stands for, rounded up.
fn stands_for(amount: i64, whole: i64) -> i64 {
    (amount.min(PRICE) * whole + PRICE - 1) / PRICE
}
