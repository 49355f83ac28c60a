//! Draws Idempotency-Keys, often ones that were used before, and what replicas do with what is kept of their calls.

use crate::dice::Dice;
use crate::idempotency::Kept;
use crate::model::{Key, Model, Sent};
use crate::op::Op;
use toki::wallet::ledger::Idempotency;

/// What a call with this API key, in a batch where some are sent under an Idempotency-Key, is sent under.
pub fn idempotency(dice: &mut Dice, model: &Model, key: &Key) -> Option<Idempotency> {
    if dice.percent(20) {
        return None;
    }
    let kind = dice.below(5);
    let is_of_kind = |sent: &&Sent| match kind {
        0..=1 => model.is_held(sent.request_id),
        2..=3 => sent.answered,
        _ => true,
    };
    let before: Vec<_> = model.sent.iter().filter(|sent| sent.key_id == key.key_id).filter(is_of_kind).collect();
    let fresh = [u8::try_from(dice.below(256)).expect("a byte"); 32];
    let known = if dice.percent(80) { dice.pick(&before) } else { None };
    Some(Idempotency { key_hash: known.map_or(fresh, |sent| sent.hash), fingerprint: [u8::from(dice.percent(20)); 32] })
}

/// Most answers are kept while their call runs, and most that are asked for are there.
pub fn kept(dice: &mut Dice, model: &Model) -> Option<Op> {
    let kind = dice.below(10);
    let fits: Vec<_> = match kind {
        0..=4 => model.sent.iter().filter(|sent| model.is_held(sent.request_id)).collect(),
        5..=7 => model.sent.iter().filter(|sent| sent.answered).collect(),
        _ => Vec::new(),
    };
    let call = if dice.percent(80) { dice.pick(&fits).copied() } else { dice.pick(&model.sent) }.map(|sent| sent.request_id);
    Some(Op::Kept(match kind {
        0..=4 => Kept::Answer(call?),
        5..=7 => Kept::Give(call?),
        8 => Kept::Free(dice.pick(&model.sent)?.request_id),
        _ => Kept::Old,
    }))
}
