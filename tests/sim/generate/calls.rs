//! Draws what concerns calls: admissions, settlements, crashes of the database, and what happens at once.

use super::idempotency::idempotency;
use super::{LIFETIME, edit_key, suspend};
use crate::clock;
use crate::dice::Dice;
use crate::model::{Key, KeyState, Model, Offer};
use crate::op::{CrashPoint, Op};
use crate::settlements::settlement_of;
use crate::traffic::Traffic;
use std::net::Ipv4Addr;
use toki::ids::ReplicaId;
use toki::wallet::ledger::{AdmissionRequest, RunningHold, Settlement};

/// What this replica puts back before anything of its is admitted: nothing, if the database knows it.
pub fn to_put_back(model: &Model, traffic: &Traffic, owner: ReplicaId) -> Vec<RunningHold> {
    if model.known.contains(&owner) { Vec::new() } else { traffic.running(owner) }
}

/// By the first replica that has something to put back.
pub fn put_back(model: &Model, traffic: &Traffic) -> Option<Op> {
    let mut running = traffic.replicas.iter().map(|owner| (*owner, to_put_back(model, traffic, *owner)));
    let (owner, running) = running.find(|(_, running)| !running.is_empty())?;
    Some(Op::Restore { owner, running })
}

/// Most requests are such that nothing but the Tokens decides: a key that works, and a model that it may call.
fn request(dice: &mut Dice, model: &Model, step: u64, idempotent: bool) -> Option<AdmissionRequest> {
    let careless = dice.percent(15);
    // Rare among keys that work, and an answer that must not go unseen.
    let ended = dice.percent(3);
    let young = model.accounts.iter().filter(|account| step - account.since <= LIFETIME);
    let works = |key: &&Key| key.state == KeyState::Enabled && key.expires.is_none_or(|expires| expires > model.now);
    let keys: Vec<_> = young
        .filter(|account| careless || !account.suspended)
        .flat_map(|account| &account.keys)
        .filter(|key| if ended { !works(key) } else { careless || works(key) })
        .collect();
    let senders: Vec<_> = keys.iter().filter(|key| model.sent.iter().any(|sent| sent.key_id == key.key_id)).collect();
    let key = if idempotent && !senders.is_empty() && dice.percent(70) { *dice.pick(&senders)? } else { dice.pick(&keys)? };
    let serves = |offer: &&Offer| {
        let may_call = key.supplier_id.is_none_or(|supplier_id| supplier_id == offer.supplier_id);
        may_call && offer.enabled && model.supplier(offer.supplier_id).enabled
    };
    let offers: Vec<_> = model.offers.iter().filter(|offer| careless || serves(offer)).collect();
    let offer = dice.pick(&offers)?;
    Some(AdmissionRequest {
        request_id: dice.request_id(clock::at(model.now)),
        secret_hash: if dice.percent(1) { [9; 32] } else { key.secret_hash },
        model_id: if dice.percent(1) { "nobody/nothing".into() } else { offer.model_id.clone() },
        protocol: if dice.percent(1) { "anthropic" } else { "openai" },
        input_tokens: if dice.percent(1) { dice.between(0, 1_000_000_000) } else { dice.skewed(400) },
        output_limit: if dice.percent(15) { None } else { Some(dice.skewed(500)) },
        choices: if dice.percent(90) { 1 } else { dice.between(0, 4) },
        exact: dice.percent(75),
        endpoint: "chat/completions",
        streamed: dice.percent(50),
        address: Ipv4Addr::LOCALHOST.into(),
        idempotency: if idempotent { idempotency(dice, model, key) } else { None },
    })
}

/// A batch. Few have Idempotency-Keys, since one that has is durable: then a crash forgets nothing of it, nor of what came before it.
fn requests(dice: &mut Dice, model: &Model, step: u64) -> Option<Vec<AdmissionRequest>> {
    let size = if dice.percent(75) { 1 } else { dice.between(2, 12) };
    let idempotent = dice.percent(18);
    (0..size).map(|_| request(dice, model, step, idempotent)).collect()
}

pub fn admit(dice: &mut Dice, model: &Model, traffic: &Traffic, step: u64) -> Option<Op> {
    let requests = requests(dice, model, step)?;
    let crash = if dice.percent(2) { Some(*dice.pick(&[CrashPoint::BeforeHold, CrashPoint::AfterHold])?) } else { None };
    let owner = *dice.pick(&traffic.replicas)?;
    // Asked for again after Tokens rolled over for one of them, the others could take these as well.
    let lost = dice.percent(12) && !(requests.len() > 1 && model.will_roll_over_for(&requests));
    Some(Op::Admit { requests, owner, crash, lost, running: to_put_back(model, traffic, owner) })
}

/// By a replica that has nothing to put back: when it did that among others, no row would say.
fn admit_at_once(dice: &mut Dice, model: &Model, traffic: &Traffic, step: u64) -> Option<Op> {
    let requests = requests(dice, model, step)?;
    let owners: Vec<_> = traffic.replicas.iter().filter(|owner| to_put_back(model, traffic, **owner).is_empty()).collect();
    Some(Op::Admit { requests, owner: **dice.pick(&owners)?, crash: None, lost: false, running: Vec::new() })
}

pub fn settle(dice: &mut Dice, traffic: &Traffic) -> Option<Op> {
    let owner = dice.pick(&traffic.flights)?.owner;
    let theirs: Vec<_> = traffic.flights.iter().filter(|flight| flight.owner == owner && !flight.spooled).collect();
    let spooled: Vec<_> = traffic.flights.iter().filter(|flight| flight.spooled).collect();
    let most = if dice.percent(70) { 1 } else { dice.between(2, 12) };
    let mut settlements: Vec<Settlement> = Vec::new();
    for _ in 0..most {
        let from = if dice.percent(15) && !spooled.is_empty() { &spooled } else { &theirs };
        let Some(flight) = dice.pick(from) else { continue };
        if dice.percent(3) || settlements.iter().all(|other| other.request_id != flight.admission.request_id) {
            settlements.push(settlement_of(dice, flight));
        }
    }
    let crash = if dice.percent(3) { Some(*dice.pick(&[CrashPoint::BeforeSettlement, CrashPoint::AfterSettlement])?) } else { None };
    if settlements.is_empty() { None } else { Some(Op::Settle { settlements, owner: Some(owner), crash }) }
}

/// A settlement that was sent before, word for word or with other numbers.
pub fn again(dice: &mut Dice, traffic: &Traffic) -> Option<Op> {
    let from = if dice.percent(50) && !traffic.unheard.is_empty() { &traffic.unheard } else { &traffic.sent };
    let mut settlement = dice.pick(from)?.clone();
    if dice.percent(40) && settlement.charge.0 > 0 {
        settlement.charge.0 = dice.between(0, 400);
    }
    Some(Op::Settle { settlements: vec![settlement], owner: None, crash: None })
}

/// The last admissions before the crash; what came before a durable commit cannot be lost.
pub fn forget(dice: &mut Dice, model: &Model) -> Op {
    let kept = dice.below(model.volatile.len());
    Op::Forget(model.volatile[kept..].concat())
}

pub fn together(dice: &mut Dice, model: &Model, traffic: &Traffic, step: u64) -> Option<Op> {
    let mut parts = Vec::new();
    for _ in 0..dice.between(2, 6) {
        let part = match dice.below(10) {
            0..=4 => admit_at_once(dice, model, traffic, step),
            5..=6 => settle(dice, traffic),
            7 => again(dice, traffic),
            8 => Some(Op::Reap { most: 500, waits: dice.percent(50) }),
            _ => Some(Op::Sweep(500)),
        };
        match part {
            Some(Op::Settle { settlements, owner, .. }) => {
                parts.push(Op::Settle { settlements, owner, crash: None });
            }
            Some(other) => parts.push(other),
            None => {}
        }
    }
    // A record that a late report completed does not say whether the reaper had been there before.
    if parts.iter().any(|part| matches!(part, Op::Reap { .. })) {
        let overdue = model.overdue();
        let late = |part: &Op| match part {
            Op::Settle { settlements, .. } => settlements.iter().any(|settlement| overdue.contains(&settlement.request_id)),
            _ => false,
        };
        parts.retain(|part| !late(part));
    }
    // When a sweep or a refused call brought Tokens into another grant, no row says, and who pays for a call depends on it.
    let brings = |part: &Op| match part {
        Op::Sweep(_) => model.will_roll_over(),
        Op::Admit { requests, .. } => model.will_roll_over_for(requests),
        _ => false,
    };
    parts.retain(|part| !brings(part));
    // One edit among them: where in the order it came, no row says, so more could be explained by anything.
    let edit = match dice.below(10) {
        0..=1 => edit_key(dice, model),
        2 => suspend(dice, model),
        _ => None,
    };
    parts.extend(edit);
    // The same settlement twice at once, sometimes: only one may win.
    let race = parts.iter().find(|part| matches!(part, Op::Settle { .. })).cloned();
    parts.extend(race.filter(|_| dice.percent(30)));
    if parts.len() > 1 { Some(Op::Together(parts)) } else { None }
}
