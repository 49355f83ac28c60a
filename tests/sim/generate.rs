//! Draws the next operation from what is there. Weights are such that wallets and quotas are nearly empty most of the time.

mod calls;
mod idempotency;
mod limits;

use crate::dice::Dice;
use crate::model::{Account, Bought, Code, Dispute, KeyState, MEMBERS, MemberQuota, Model, PRICE, PeriodQuota};
use crate::op::{KeyChange, Like, Op, Part, Payment, Told};
use crate::traffic::Traffic;
use calls::{admit, again, forget, put_back, settle, to_put_back, together};
use idempotency::kept;
use limits::limit_calls;
use toki::checkout::types::Start;
use toki::ids::{AccountId, KeyId, SupplierId};
use toki::keys::types_limits::Period;
use toki::wallet::ledger::{Price, Scope};

const ACCOUNTS: usize = 6;
const KEYS: usize = 6;
const GRANTS: usize = 24;
/// An account older than this starts no more calls, and leaves when none of its calls is held.
const LIFETIME: u64 = 400;
const FLIGHTS: usize = 40;

pub fn next(dice: &mut Dice, model: &Model, traffic: &Traffic, step: u64) -> Op {
    if model.accounts.len() < ACCOUNTS / 2 || (model.accounts.len() < ACCOUNTS && dice.percent(2)) {
        return Op::SignUp;
    }
    let held = |account: AccountId| {
        model.holds.iter().any(|hold| hold.account_id == account)
            || traffic.flights.iter().any(|flight| flight.admission.account_id == account)
    };
    let gone = |account: &&Account| step - account.since > LIFETIME && !held(account.account_id);
    if let Some(account) = model.accounts.iter().find(gone) {
        return Op::Retire(account.account_id);
    }
    if !model.volatile.is_empty() && dice.percent(12) {
        return forget(dice, model);
    }
    // What a crash forgot is put back with the next admission else.
    if dice.percent(10)
        && let Some(op) = put_back(model, traffic)
    {
        return op;
    }
    // Not every operation has something to work on: then another is drawn.
    loop {
        if let Some(op) = draw(dice, model, traffic, step) {
            return op;
        }
    }
}

fn draw(dice: &mut Dice, model: &Model, traffic: &Traffic, step: u64) -> Option<Op> {
    let crowded = if traffic.flights.len() > FLIGHTS { 25 } else { 0 };
    match dice.below(100 + crowded) {
        0..=30 => admit(dice, model, traffic, step),
        31..=33 => money(dice, model),
        34..=35 => redeem(dice, model),
        36..=39 => together(dice, model, traffic, step),
        40 => take_back(dice, model),
        41..=44 => credit(dice, model),
        45..=46 => purchase(dice, model),
        67 if dice.percent(60) => transfer(dice, model),
        47..=48 => insert_key(dice, model),
        49..=51 => edit_key(dice, model),
        52 | 75 => limit_key(dice, model),
        54 | 70 => limit_member(dice, model),
        55..=56 => {
            dice.pick(&model.accounts).map(|account| account.account_id).map(|account| Op::Suspend { account, suspended: dice.percent(30) })
        }
        57 => Some(Op::Supplier { at: dice.below(model.suppliers.len()), enabled: dice.percent(75) }),
        58 => Some(Op::Offer { at: dice.below(model.offers.len()), enabled: dice.percent(75) }),
        59 => Some(Op::Reprice { at: dice.below(model.offers.len()), price: price(dice) }),
        60..=61 => Some(Op::Sweep(if dice.percent(30) { 2 } else { 500 })),
        62 => Some(Op::Reap { most: if dice.percent(30) { 2 } else { 500 }, waits: dice.percent(50) }),
        63..=64 => {
            let owner = *dice.pick(&traffic.replicas)?;
            let running = to_put_back(model, traffic, owner);
            Some(if running.is_empty() { Op::Extend(owner) } else { Op::Restore { owner, running } })
        }
        65 if dice.percent(40) => dice.pick(&traffic.replicas).map(|owner| Op::CrashReplica(*owner)),
        65..=66 => Some(clock(dice, model, traffic)),
        67..=69 => again(dice, traffic),
        71..=73 => kept(dice, model),
        53 | 74 => limit_calls(dice, model),
        _ => settle(dice, traffic),
    }
}

/// On, mostly; back by a few hours, or by more than a day's half. A replica notices within a second that the database crashed, so none
/// waits with its holds for the clock to move.
fn clock(dice: &mut Dice, model: &Model, traffic: &Traffic) -> Op {
    if let Some(op) = put_back(model, traffic) {
        return op;
    }
    let hours = match dice.below(20) {
        0..=1 => dice.between(10, 60),
        2..=4 => -dice.between(1, 3),
        5 => -dice.between(10, 30),
        _ => dice.between(1, 2),
    };
    Op::Clock { hours }
}

/// Some full hours, and a half.
fn half_hours(dice: &mut Dice, most: i64) -> i64 {
    dice.between(0, most) * 60 + 30
}

pub fn price(dice: &mut Dice) -> Price {
    let ppm = |dice: &mut Dice| match dice.below(6) {
        0 => 0,
        1 => 1,
        2 => 1_000_000,
        _ => dice.between(0, 3_000_000),
    };
    let input_ppm = ppm(dice);
    Price { input_ppm, cached_ppm: dice.between(0, input_ppm), output_ppm: ppm(dice) }
}

fn scope(dice: &mut Dice, model: &Model) -> Scope {
    let mut scope = Scope::default();
    if dice.percent(25) {
        scope.supplier_ids = dice.pick(&model.suppliers).map(|supplier| supplier.supplier_id.0).into_iter().collect();
    }
    if dice.percent(15) {
        scope.model_ids = (0..2).filter_map(|_| dice.pick(&model.offers).map(|offer| offer.model_id.clone())).collect();
    }
    scope
}

fn credit(dice: &mut Dice, model: &Model) -> Option<Op> {
    let account = dice.pick(&model.accounts)?;
    let living = account.grants.iter().filter(|grant| !grant.swept).count();
    if living > GRANTS {
        return None;
    }
    let tokens = if dice.percent(1) { dice.between(1_000_000_000_000, 1_000_000_000_000_000) } else { dice.between(1, 900) };
    // Only a grant of now has the age and the expiry that one of now may have.
    let young = account.grants.iter().filter(|grant| !grant.swept && grant.expires > model.now).collect::<Vec<_>>();
    let like = if dice.percent(20) { dice.pick(&young) } else { None };
    let like = like.map(|grant| Like { grant: grant.grant_id, same_age: dice.percent(50) });
    Some(Op::Credit { account: account.account_id, tokens, valid_for: half_hours(dice, 40), scope: scope(dice, model), like })
}

fn take_back(dice: &mut Dice, model: &Model) -> Option<Op> {
    let account = dice.pick(&model.accounts)?;
    let full = account.grants.iter().filter(|grant| grant.left > 0).collect::<Vec<_>>();
    let grant = if dice.percent(80) { dice.pick(&full).copied() } else { dice.pick(&account.grants) }?;
    Some(Op::TakeBack { account: account.account_id, grant: grant.grant_id, tokens: dice.between(1, grant.left.clamp(1, 1_000) + 1) })
}

fn transfer(dice: &mut Dice, model: &Model) -> Option<Op> {
    let (from, to) = (dice.pick(&model.accounts)?, dice.pick(&model.accounts)?);
    let crowded = to.grants.iter().filter(|grant| !grant.swept).count() > GRANTS;
    let left: i64 = from.grants.iter().map(|grant| grant.left).sum();
    let tokens = dice.between(1, left.clamp(1, 2_000) + 1);
    (from.account_id != to.account_id && !crowded).then_some(Op::Transfer { from: from.account_id, to: to.account_id, tokens })
}

fn purchase(dice: &mut Dice, model: &Model) -> Option<Op> {
    let account = dice.pick(&model.accounts)?.account_id;
    let payments = [Payment::Once, Payment::Once, Payment::SameEventTwice, Payment::TwoEvents, Payment::WrongAmount, Payment::AfterExpiry];
    let starts = if dice.percent(30) { Start::AfterCurrent } else { Start::Now };
    Some(Op::Purchase { account, package: dice.below(model.packages.len()), starts, payment: *dice.pick(&payments)? })
}

/// Something that happens to an order after it was paid.
fn money(dice: &mut Dice, model: &Model) -> Option<Op> {
    let orders: Vec<_> = model.accounts.iter().flat_map(|account| account.bought.iter().map(|order| (account.account_id, order))).collect();
    let (account, order) = *dice.pick(&orders)?;
    match dice.below(20) {
        0..=8 => refund(dice, model, account, order),
        9 => {
            let amount = dice.between(1, PRICE);
            // The provider refunds no more than the price.
            let fits = amount <= order.not_refunded();
            fits.then_some(Op::RefundElsewhere { order: order.order_id, at: order.refunds.len(), amount })
        }
        10..=13 => {
            let at = dice.below(order.refunds.len());
            let refund = order.refunds.get(at).filter(|refund| refund.of_dispute.is_none())?;
            let told = *dice.pick(&[Told::Pending, Told::Succeeded, Told::Failed])?;
            Some(Op::RefundTold { order: order.order_id, at, ours: refund.refund_id, amount: refund.amount, told })
        }
        14..=15 => Some(Op::DisputeTold { order: order.order_id, at: order.disputes.len(), dispute: Dispute::Open }),
        16..=18 => {
            let at = dice.below(order.disputes.len());
            order.disputes.get(at)?;
            Some(Op::DisputeTold {
                order: order.order_id,
                at,
                dispute: *dice.pick(&[Dispute::Open, Dispute::Won, Dispute::Won, Dispute::Lost])?,
            })
        }
        _ => Some(Op::TakeLeftovers),
    }
}

fn refund(dice: &mut Dice, model: &Model, account: AccountId, order: &Bought) -> Option<Op> {
    let grant = model.account(account)?.grants.iter().find(|grant| grant.grant_id == order.grant_id)?;
    let part = match dice.below(6) {
        0 => Part::Unused,
        1..=2 => Part::Tokens(dice.between(1, grant.left.clamp(1, 2_000) + 1)),
        3..=4 => Part::Amount(dice.between(1, PRICE / 2)),
        _ => Part::All,
    };
    let told = *dice.pick(&[None, Some(Told::Pending), Some(Told::Succeeded), Some(Told::Succeeded), Some(Told::Failed)])?;
    Some(Op::Refund { account, order: order.order_id, part, told })
}

fn redeem(dice: &mut Dice, model: &Model) -> Option<Op> {
    let account = dice.pick(&model.accounts)?.account_id;
    let last = model.codes.len().saturating_sub(4);
    if model.codes[last..].iter().all(|code| code.by.len() >= code.uses) || dice.percent(10) {
        let (tokens, valid_for, uses) = (dice.between(1, 900), half_hours(dice, 40), dice.below(3) + 1);
        return Some(Op::MakeCode(Code { tokens, valid_for, scope: scope(dice, model), uses, disabled: dice.percent(5), by: Vec::new() }));
    }
    Some(Op::Redeem { account, code: last + dice.below(model.codes.len() - last) })
}

fn some_supplier(dice: &mut Dice, model: &Model) -> Option<SupplierId> {
    if dice.percent(70) { None } else { dice.pick(&model.suppliers).map(|supplier| supplier.supplier_id) }
}

fn insert_key(dice: &mut Dice, model: &Model) -> Option<Op> {
    let account = dice.pick(&model.accounts)?;
    if account.keys.iter().filter(|key| key.state != KeyState::Deleted).count() >= KEYS {
        return None;
    }
    let quota = if dice.percent(60) { Some(dice.skewed(1_500)) } else { None };
    let expires = if dice.percent(20) { Some(half_hours(dice, 30)) } else { None };
    let (member, supplier_id) = (dice.below(MEMBERS), some_supplier(dice, model));
    Some(Op::InsertKey { account: account.account_id, member, supplier_id, quota, expires, enabled: dice.percent(95) })
}

fn any_key(dice: &mut Dice, model: &Model) -> Option<(AccountId, KeyId)> {
    let keys: Vec<_> = model.accounts.iter().flat_map(|account| account.keys.iter().map(|key| (account.account_id, key.key_id))).collect();
    dice.pick(&keys).copied()
}

fn edit_key(dice: &mut Dice, model: &Model) -> Option<Op> {
    let (account, key) = any_key(dice, model)?;
    let change = match dice.below(100) {
        0..=29 => KeyChange::Enabled(dice.percent(75)),
        30..=35 => KeyChange::Quota(None),
        36..=69 => {
            let used = model.key(key).map_or(0, |(_, key)| key.spent + key.held);
            KeyChange::Quota(Some((used + dice.between(-50, 300)).max(0)))
        }
        70..=79 => KeyChange::Supplier(some_supplier(dice, model)),
        80..=84 => KeyChange::Expires(Some(half_hours(dice, 20) - 240)),
        85..=92 => KeyChange::Expires(None),
        _ => KeyChange::Deleted,
    };
    let by = match dice.below(10) {
        0 => dice.pick(&model.accounts).map(|account| account.account_id),
        1..=3 => None,
        _ => Some(account),
    };
    Some(Op::EditKey { by, key, change })
}

/// Small enough to be used up in a period.
fn limit_key(dice: &mut Dice, model: &Model) -> Option<Op> {
    let (_, key) = any_key(dice, model)?;
    let period = *dice.pick(&[Period::Day, Period::Day, Period::Week, Period::Month])?;
    let quota = PeriodQuota { period, tokens: dice.skewed(600) };
    let limit = match model.key(key).and_then(|(_, key)| key.period) {
        Some(_) if dice.percent(15) => None,
        Some(old) if dice.percent(70) => Some(PeriodQuota { period: old.period, ..quota }),
        _ => Some(quota),
    };
    Some(Op::LimitKey { key, limit })
}

fn limit_member(dice: &mut Dice, model: &Model) -> Option<Op> {
    let account = dice.pick(&model.accounts)?;
    let member = dice.below(MEMBERS);
    let (ever, month) = model.used_by(account, member);
    let mut quota = |used: i64| if dice.percent(50) { Some((used + dice.between(-50, 300)).max(0)) } else { None };
    let quota = MemberQuota { ever: quota(ever), month: quota(month) };
    Some(Op::LimitMember { account: account.account_id, member, quota })
}

fn suspend(dice: &mut Dice, model: &Model) -> Option<Op> {
    let account = dice.pick(&model.accounts)?.account_id;
    Some(Op::Suspend { account, suspended: dice.percent(30) })
}
