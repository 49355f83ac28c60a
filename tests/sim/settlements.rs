//! How a call ends: what its replica would settle.

use crate::clock;
use crate::dice::Dice;
use crate::model::price_of;
use crate::traffic::Flight;
use toki::tokens::Tokens;
use toki::wallet::ledger::{Basis, Outcome, Settlement};

pub fn settlement_of(dice: &mut Dice, flight: &Flight) -> Settlement {
    let call = &flight.admission;
    let delivered = call.output_limit * flight.choices;
    let (outcome, basis, input, output) = match dice.below(100) {
        0..=49 => (Outcome::Ok, Basis::Measured, dice.between(0, flight.input), dice.between(0, delivered)),
        // All that was held.
        50..=59 => (Outcome::Ok, Basis::Measured, flight.input, delivered),
        // More than was held: the excess is written off.
        60..=69 => (Outcome::Ok, Basis::Measured, flight.input + dice.between(0, 200), delivered + dice.between(1, 200)),
        70..=73 => (Outcome::Ok, Basis::Measured, 0, 0),
        74..=81 => (Outcome::ClientLeft, Basis::Counted, flight.input, dice.between(0, delivered)),
        82..=86 => (Outcome::KeyEnded, Basis::Counted, flight.input, dice.between(0, delivered)),
        87..=91 => (Outcome::UpstreamCut, Basis::Counted, flight.input, dice.between(0, delivered)),
        92..=95 => (Outcome::UpstreamTimeout, Basis::Waived, 0, 0),
        _ => (Outcome::UpstreamError, Basis::Waived, 0, 0),
    };
    let cached = if dice.percent(30) { dice.between(0, input) } else { 0 };
    Settlement {
        request_id: call.request_id,
        account_id: call.account_id,
        key_id: call.key_id,
        model_id: call.model_id.clone(),
        supplier_id: call.supplier_id,
        channel_id: call.channels.first().map(|channel| channel.channel_id),
        price_version: call.price_version,
        endpoint: "chat/completions".into(),
        streamed: false,
        outcome,
        basis,
        http_status: 200,
        input_tokens: input,
        cached_tokens: cached,
        output_tokens: output,
        // Replicas of before did not say.
        held: dice.percent(80).then_some(call.held),
        charge: Tokens(price_of(call.price, input, cached, output)),
        upstream_usage: None,
        started_at: clock::of_replica(flight.began),
        first_byte_ms: Some(20),
        latency_ms: 100,
    }
}
