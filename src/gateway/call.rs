//! One admitted call, from its hold to its settlement. Whoever has a `Call` owes it a settlement.

use crate::gateway::Gateway;
use crate::gateway::bodies::Bodies;
use crate::gateway::count::{SWITCHED_OFF, count_call};
use crate::gateway::idempotency::Memory;
use crate::gateway::meter::Usage;
use crate::gateway::metrics::Ended;
use crate::gateway::wire::{Delivered, Endpoint, Request};
use crate::ids::ChannelId;
use crate::tokens::Tokens;
use crate::wallet::ledger::{Admission, Basis, Outcome, RunningHold, Settled, Settlement};
use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Instant;
use tokio_util::task::TaskTracker;

pub struct Call {
    gateway: Arc<Gateway>,
    pub admission: Admission,
    pub channel_id: Option<ChannelId>,
    /// A supplier may have worked on it: should it fail, it is not sent again under its Idempotency-Key.
    pub sent: bool,
    endpoint: &'static Endpoint,
    streamed: bool,
    idempotent: bool,
    started_at: DateTime<Utc>,
    started: Instant,
    first_byte_ms: Option<i64>,
}

impl Call {
    /// `idempotent`: it was sent under an Idempotency-Key.
    pub fn new(gateway: Arc<Gateway>, admission: Admission, request: &Request<'_>, idempotent: bool, started: Instant) -> Call {
        Call {
            gateway,
            admission,
            channel_id: None,
            sent: false,
            endpoint: request.endpoint,
            streamed: request.stream,
            idempotent,
            // When it was admitted, and not when its body began to come: that may have taken past the end of a quota's day or month.
            started_at: Utc::now(),
            started,
            first_byte_ms: None,
        }
    }

    /// What is to be remembered of it when it is settled; none unless it was sent under an Idempotency-Key.
    pub fn memory(&self) -> Option<Memory> {
        self.idempotent.then(|| Memory::new(self.gateway.clone(), self.admission.request_id))
    }

    pub fn tasks(&self) -> &TaskTracker {
        &self.gateway.tasks
    }

    /// Where its answer finds room, if it comes in one piece.
    pub fn answer_memory(&self) -> &Bodies {
        &self.gateway.answer_memory
    }

    /// Where the text of its answer finds room, if that is a stream.
    pub fn text_memory(&self) -> &Bodies {
        &self.gateway.text_memory
    }

    /// What must be held again should the database forget it.
    pub fn hold(&self) -> RunningHold {
        self.admission.hold(self.endpoint.path, self.streamed, self.started_at)
    }

    pub fn mark_first_byte(&mut self) {
        self.first_byte_ms.get_or_insert(self.started.elapsed().as_millis() as i64);
    }

    /// Releases the hold in full: nothing was delivered.
    pub async fn waive(self, outcome: Outcome, http_status: u16) -> Option<Settled> {
        let settlement = self.settlement(outcome, Basis::Waived, http_status, Usage::default(), None);
        self.settle(settlement).await
    }

    /// Charges what was delivered: as the supplier measured it, else as we count it.
    pub async fn charge(self, request: &Request<'_>, mut delivered: Delivered, outcome: Outcome, http_status: u16) -> Option<Settled> {
        let (basis, usage) = match delivered.usage {
            _ if delivered.is_nothing() => (Basis::Waived, Usage::default()),
            Some(usage) => (Basis::Measured, usage),
            None => {
                let most = self.admission.output_limit.saturating_mul(request.choices);
                let within = (outcome == Outcome::KeyEnded).then_some(SWITCHED_OFF);
                (Basis::Counted, count_call(request, self.admission.prompt_overhead, &mut delivered, most, within).await)
            }
        };
        let settlement = self.settlement(outcome, basis, http_status, usage, delivered.raw_usage);
        self.settle(settlement).await
    }

    fn settlement(&self, outcome: Outcome, basis: Basis, http_status: u16, usage: Usage, raw: Option<Box<RawValue>>) -> Settlement {
        let admission = &self.admission;
        Settlement {
            request_id: admission.request_id,
            account_id: admission.account_id,
            key_id: admission.key_id,
            model_id: admission.model_id.clone(),
            supplier_id: admission.supplier_id,
            channel_id: self.channel_id,
            price_version: admission.price_version,
            endpoint: self.endpoint.path.into(),
            streamed: self.streamed,
            outcome,
            basis,
            http_status: i32::from(http_status),
            input_tokens: usage.input,
            cached_tokens: usage.cached,
            output_tokens: usage.output,
            held: Some(admission.held),
            charge: if basis == Basis::Waived { Tokens(0) } else { usage.charge(admission.price) },
            upstream_usage: raw,
            started_at: self.started_at,
            first_byte_ms: self.first_byte_ms,
            latency_ms: self.started.elapsed().as_millis() as i64,
        }
    }

    async fn settle(self, settlement: Settlement) -> Option<Settled> {
        let account_id = settlement.account_id;
        let ended = Ended::of(self.endpoint.path, &settlement);
        let settled = self.gateway.settlements.settle(settlement, self.hold()).await;
        self.gateway.metrics.ended(&ended, settled.as_ref());
        self.gateway.changes.settled(account_id);
        settled
    }
}
