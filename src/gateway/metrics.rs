//! What an operator watches: how many calls, with which end, what they are charged, how long they take, what waits. Labels have a few
//! values each: no key, account, model or address is ever one. `server::metrics` shows it.

use crate::connections::Count;
use crate::gateway::Gateway;
use crate::gateway::error::GatewayError;
use crate::gateway::wire::ENDPOINTS;
use crate::tokens::Tokens;
use crate::wallet::ledger::{Basis, Outcome, Settled, Settlement};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::time::Duration;

/// Names and values.
pub type Labels<const N: usize> = [(&'static str, &'static str); N];

/// In seconds, from a refusal to the longest that a supplier may take.
const CALL_SECONDS: [f64; 15] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0];
/// In seconds, of a round trip to the database, the waits for locks included.
const BATCH_SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// Up to the most of one batch (`gateway::batch`).
const BATCH_CALLS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// What one replica has counted since it started.
pub struct Metrics {
    requests: Family<Labels<3>, Counter>,
    calls: Family<Labels<3>, Counter>,
    charged_tokens: Family<Labels<2>, Counter>,
    durations: Family<Labels<1>, Histogram>,
    first_bytes: Family<Labels<1>, Histogram>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            requests: Family::default(),
            calls: Family::default(),
            charged_tokens: Family::default(),
            durations: Family::<Labels<1>, Histogram>::new_with_constructor(call_seconds),
            first_bytes: Family::<Labels<1>, Histogram>::new_with_constructor(call_seconds),
        }
    }
}

fn call_seconds() -> Histogram {
    Histogram::new(CALL_SECONDS)
}

/// What is counted of a call once it is settled.
pub struct Ended {
    endpoint: &'static str,
    outcome: Outcome,
    basis: Basis,
    status: i32,
    charge: Tokens,
    latency_ms: i64,
    first_byte_ms: Option<i64>,
}

impl Ended {
    pub fn of(endpoint: &'static str, settlement: &Settlement) -> Ended {
        Ended {
            endpoint,
            outcome: settlement.outcome,
            basis: settlement.basis,
            status: settlement.http_status,
            charge: settlement.charge,
            latency_ms: settlement.latency_ms,
            first_byte_ms: settlement.first_byte_ms,
        }
    }
}

impl Metrics {
    /// Counts a call. `settled`: what the settlement came to; none where it waits in the spool, and is counted as what the call cost.
    pub fn ended(&self, call: &Ended, settled: Option<&Settled>) {
        let (endpoint, outcome) = (("endpoint", call.endpoint), ("outcome", outcome_of(call.outcome)));
        let status = ("status", class_of(u16::try_from(call.status).unwrap_or_default()));
        self.calls.get_or_create(&[endpoint, outcome, status]).inc();
        let charge = settled.map_or(call.charge, |settled| settled.charge);
        if let Ok(tokens @ 1..) = u64::try_from(charge.0) {
            self.charged_tokens.get_or_create(&[endpoint, ("basis", basis_of(call.basis))]).inc_by(tokens);
        }
        self.durations.get_or_create(&[endpoint]).observe(seconds_of(call.latency_ms));
        if let Some(first_byte_ms) = call.first_byte_ms {
            self.first_bytes.get_or_create(&[endpoint]).observe(seconds_of(first_byte_ms));
        }
    }
}

fn seconds_of(milliseconds: i64) -> f64 {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default()).as_secs_f64()
}

/// Counts an answer of `/v1` as it begins, refusals included. Inside of `handler::finish`, which turns the error into words.
pub async fn count(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let endpoint = endpoint_of(request.uri().path());
    let response = next.run(request).await;
    let code = response.extensions().get::<GatewayError>().and_then(GatewayError::own_code).unwrap_or_default();
    let status = class_of(response.status().as_u16());
    gateway.metrics.requests.get_or_create(&[("endpoint", endpoint), ("status", status), ("code", code)]).inc();
    response
}

/// The endpoint's name: that of records, the first word of what spends nothing, or `other`.
fn endpoint_of(path: &str) -> &'static str {
    let path = path.strip_prefix("/v1/").unwrap_or_default();
    let spends = ENDPOINTS.iter().map(|endpoint| endpoint.path).find(|name| *name == path);
    let first = path.split('/').next().unwrap_or_default();
    spends.or_else(|| ["key", "models", "receipts"].into_iter().find(|name| *name == first)).unwrap_or("other")
}

fn class_of(status: u16) -> &'static str {
    match status / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "other",
    }
}

/// As on records.
fn outcome_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::UpstreamError => "upstream_error",
        Outcome::UpstreamTimeout => "upstream_timeout",
        Outcome::UpstreamCut => "upstream_cut",
        Outcome::ClientLeft => "client_left",
        Outcome::KeyEnded => "key_ended",
        Outcome::Interrupted => "interrupted",
    }
}

fn basis_of(basis: Basis) -> &'static str {
    match basis {
        Basis::Measured => "measured",
        Basis::Counted => "counted",
        Basis::Waived => "waived",
    }
}

/// How many calls share a round trip to the database, and how long it takes.
#[derive(Clone)]
pub struct BatchMeter {
    calls: Histogram,
    seconds: Histogram,
}

impl Default for BatchMeter {
    fn default() -> BatchMeter {
        BatchMeter { calls: Histogram::new(BATCH_CALLS), seconds: Histogram::new(BATCH_SECONDS) }
    }
}

impl BatchMeter {
    pub fn observe(&self, calls: usize, took: Duration) {
        self.calls.observe(calls as f64);
        self.seconds.observe(took.as_secs_f64());
    }

    /// `of`: `admission` or `settlement`.
    fn register(&self, registry: &mut Registry, of: &str) {
        let name = |what: &str| format!("{of}_batch_{what}");
        registry.register(name("calls"), format!("Calls that shared a round trip for their {of}"), self.calls.clone());
        let help = format!("How long a round trip for {of} took, waits for locks included");
        registry.register_with_unit(name("duration"), help, Unit::Seconds, self.seconds.clone());
    }
}

impl Gateway {
    /// Puts what was counted, and what there is now, into a registry that is shown once.
    pub fn report(&self, registry: &mut Registry) {
        let metrics = &self.metrics;
        registry.register("requests", "Answers of /v1 that began, refusals included; code is the error's", metrics.requests.clone());
        registry.register("calls", "Calls that were admitted and have ended, with their outcome on record", metrics.calls.clone());
        registry.register("charged_tokens", "Tokens charged for calls, and what that rests on", metrics.charged_tokens.clone());
        let help = "From the request's head to the settlement, of calls that were admitted";
        registry.register_with_unit("call_duration", help, Unit::Seconds, metrics.durations.clone());
        let help = "From the request's head to the first byte of the supplier's answer";
        registry.register_with_unit("call_first_byte", help, Unit::Seconds, metrics.first_bytes.clone());
        let running = ConstGauge::new(self.live.count() as i64);
        registry.register("calls_running", "Calls that run on this replica, or wait for their admission", running);
        self.admissions.meter().register(registry, "admission");
        self.settlements.meter().register(registry, "settlement");
        let spooled = ConstGauge::new(self.settlements.spooled() as i64);
        registry.register("spool_settlements", "Settlements of this replica's calls that wait on its disk for the database", spooled);
    }

    /// Its connections to the database.
    pub fn connections(&self) -> Count {
        self.db.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(basis: Basis, charge: i64, first_byte_ms: Option<i64>) -> Ended {
        let (endpoint, outcome, status, latency_ms) = ("messages", Outcome::ClientLeft, 499, 1_500);
        Ended { endpoint, outcome, basis, status, charge: Tokens(charge), latency_ms, first_byte_ms }
    }

    #[test]
    fn a_call_is_counted_once_and_for_what_it_was_charged() {
        let metrics = Metrics::default();
        metrics.ended(&ended(Basis::Waived, 0, None), None);
        let settled = Settled { first: true, charge: Tokens(30), balance_left: Tokens(0), quota_left: None };
        metrics.ended(&ended(Basis::Counted, 40, Some(700)), Some(&settled));
        metrics.ended(&ended(Basis::Counted, 5, Some(700)), None);
        let calls = metrics.calls.get_or_create(&[("endpoint", "messages"), ("outcome", "client_left"), ("status", "4xx")]).get();
        let charged = |basis| metrics.charged_tokens.get_or_create(&[("endpoint", "messages"), ("basis", basis)]).get();
        assert_eq!((calls, charged("counted"), charged("waived")), (3, 35, 0));
    }

    #[test]
    fn paths_are_told_apart_as_far_as_they_are_few() {
        for (path, endpoint) in [
            ("/v1/chat/completions", "chat/completions"),
            ("/v1/messages", "messages"),
            ("/v1/models", "models"),
            ("/v1/models/vendor/name", "models"),
            ("/v1/receipts/0198", "receipts"),
            ("/v1/key", "key"),
            ("/v1/keys", "other"),
            ("/v1/chat", "other"),
            ("/v1/", "other"),
            ("/v1", "other"),
        ] {
            assert_eq!(endpoint_of(path), endpoint, "{path}");
        }
    }
}
