//! `/metrics` for Prometheus, on a listener of its own (`TOKI_METRICS_ADDR`) and never on that of callers: what the gateway counts
//! (`gateway::metrics`), what runs beside calls, and what there is at the moment. A registry is made for each answer, so that two servers
//! of one process know nothing of each other.

use crate::checkout::store::events::{SETTLED_WITHIN, unsettled_count};
use crate::checkout::store::quarantine::quarantined_count;
use crate::checkout::webhook::Answered;
use crate::connections::Count;
use crate::gateway::{Census, Gateway, Labels, Threads};
use crate::server::edge::{Refusals, Settings};
use crate::server::state::AppState;
use crate::server::{apart, edge};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::sync::Weak;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Scrapers are few.
const MOST_CONNECTIONS: usize = 64;
/// How long the database may take over its part; an answer without it is better than none.
const PATIENCE: Duration = Duration::from_secs(2);
/// What Prometheus asks for first.
const OPENMETRICS: &str = "application/openmetrics-text";
const OPENMETRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is counted outside of the gateway.
#[derive(Default)]
pub struct Metrics {
    pub job_runs: Family<Labels<2>, Counter>,
    pub webhooks: Answered,
}

impl Metrics {
    /// Counts a run of a job; `result` is `ok`, `failed` or `silent`.
    pub fn job_ran(&self, job: &'static str, result: &'static str) {
        self.job_runs.get_or_create(&[("job", job), ("result", result)]).inc();
    }
}

#[derive(Clone)]
struct Shown {
    app: AppState,
    /// It ends with its calls, whoever looks at it.
    gateway: Weak<Gateway>,
}

/// Serves whoever scrapes, until `end` is cancelled.
pub async fn serve(app: AppState, gateway: Weak<Gateway>, listener: TcpListener, threads: Threads, end: CancellationToken) {
    let settings = Settings {
        most_connections: MOST_CONNECTIONS,
        trusted_proxies: Vec::new(),
        refusals: Refusals::default(),
        ..app.config.edge.clone()
    };
    edge::serve(listener, router(Shown { app, gateway }), settings, threads, end).await;
}

/// As pages are, it is made on other threads than those of calls.
fn router(shown: Shown) -> Router {
    let routes = Router::new().route("/metrics", get(show)).with_state(shown);
    let threads = Handle::current();
    Router::new().fallback(move |request| apart::answer(threads.clone(), routes.clone(), request))
}

async fn show(State(shown): State<Shown>, headers: HeaderMap) -> Response {
    let Some(gateway) = shown.gateway.upgrade() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let registry = registry(&shown.app, &gateway).await;
    let mut body = String::new();
    let (encoded, kind) = match wants_openmetrics(&headers) {
        true => (text::encode(&mut body, &registry), OPENMETRICS_TYPE),
        false => (prometheus_text::encode(&mut body, &registry), prometheus_text::CONTENT_TYPE),
    };
    match encoded {
        Ok(()) => ([(header::CONTENT_TYPE, kind)], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn wants_openmetrics(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| value.contains(OPENMETRICS))
}

async fn registry(app: &AppState, gateway: &Gateway) -> Registry {
    let mut registry = Registry::with_prefix("toki");
    registry.register("build", "Which toki this is", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    gateway.report(&mut registry);
    register_connections(&mut registry, [("calls", gateway.connections()), ("console", app.db.count())]);
    registry.register("job_runs", "Runs of what happens beside requests", app.metrics.job_runs.clone());
    let help = "Requests that were refused for their form or their slowness, and connections for which there was no place";
    registry.register("edge_refusals", help, app.config.edge.refusals.0.clone());
    registry.register("webhooks", "Events of the payment provider that came, and how they were answered", app.metrics.webhooks.clone());
    let folder = app.config.spool_dir.clone();
    if let Ok(Ok(Census { segments, rejected })) = tokio::task::spawn_blocking(move || Census::of(&folder)).await {
        registry.register(
            "spool_segments",
            "Files of settlements in the spool, other replicas' included",
            ConstGauge::new(segments as i64),
        );
        let help = "Files of settlements that the database refused: each was delivered and is charged to nobody";
        registry.register("spool_rejected_files", help, ConstGauge::new(rejected as i64));
    }
    let asked = async { tokio::join!(quarantined_count(&app.db), unsettled_count(&app.db, SETTLED_WITHIN)) };
    let (quarantined, unsettled) = match tokio::time::timeout(PATIENCE, asked).await {
        Ok((quarantined, unsettled)) => (quarantined.ok(), unsettled.ok()),
        Err(_) => (None, None),
    };
    // Unknown is not none: what could not be asked is left out.
    if let Some(events) = quarantined {
        registry.register(
            "payment_events_quarantined",
            "Payment events that fit no order and wait for an operator",
            ConstGauge::new(events),
        );
    }
    if let Some(events) = unsettled {
        let help = "Payment events that came more than five minutes ago and were not acted on";
        registry.register("payment_events_unsettled", help, ConstGauge::new(events));
    }
    registry
}

fn register_connections(registry: &mut Registry, pools: [(&'static str, Count); 2]) {
    let (open, most) = (Family::<Labels<2>, Gauge>::default(), Family::<Labels<1>, Gauge>::default());
    for (pool, count) in pools {
        let pool = ("pool", pool);
        open.get_or_create(&[pool, ("state", "in_use")]).set(count.in_use as i64);
        open.get_or_create(&[pool, ("state", "idle")]).set(count.idle as i64);
        most.get_or_create(&[pool]).set(count.most as i64);
    }
    registry.register("database_connections", "Connections to the database", open);
    registry.register("database_connections_most", "As many as there may be", most);
}
