//! `/v1`: OpenAI-compatible, metered, exact. Has never heard of Leptos, sessions or pages; its state is passed in.

mod admission;
mod auth;
mod batch;
mod bodies;
mod breaker;
mod call;
mod client;
mod count;
mod database;
mod error;
mod forms;
mod handler;
mod idempotency;
mod key;
mod limits;
mod lines;
mod live;
mod meter;
mod metrics;
mod models;
pub mod openapi;
mod outgoing;
mod parted;
mod rates;
mod receipts;
mod refusal;
mod rejected;
mod relay;
mod replay;
mod settlement;
mod spool;
mod spooled;
mod sse;
mod tee;
mod threads;
mod upstream;
mod whole;
mod wire;

pub use error::{GatewayError, Refused, refused};
pub use limits::Limits;
pub use metrics::Labels;
pub use rejected::{Rejected, settle_rejected};
pub use replay::ReplayError;
pub use spool::Census;
// What `benches/` measures, and what the simulator asks as the gateway does.
pub use admission::{Admissions, Asked};
pub use database::{Database, PLANNER};
pub use live::LiveCalls;
pub use settlement::Settlements;
pub use spooled::Spooled;
pub use threads::{Threads, half_of_processors};
pub use upstream::Timeouts;
pub use wire::{Request, chat};

use crate::changes::hub::Changes;
use crate::gateway::bodies::Bodies;
use crate::gateway::handler::Served;
use crate::gateway::metrics::Metrics;
use crate::gateway::upstream::Upstream;
use crate::ids::ReplicaId;
use crate::keys::secret::Pepper;
use crate::seal::Seal;
use crate::suppliers::sealed::SealingKey;
use axum::Router;
use axum::http::{Method, Uri};
use axum::routing::{get, post};
use ipnet::IpNet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Where a request came from, as whoever serves us knows it: an extension of every request.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

/// What `/v1` is given to work with.
pub struct Setup {
    pub db: Database,
    pub pepper: Pepper,
    pub sealing_key: SealingKey,
    /// Seals the answers that are kept for whoever sends a call again.
    pub answers: Seal,
    /// Without a slash at the end; for messages that say where to buy.
    pub public_url: String,
    pub supplier_networks: Vec<IpNet>,
    pub timeouts: Timeouts,
    pub limits: Limits,
    /// Where settlements wait on disk while the database is away.
    pub spool_dir: PathBuf,
    /// How long an answer waits for the database before its settlement goes to the spool.
    pub settle_wait: Duration,
    /// For the bodies of all calls that run, in bytes; as much again for whole answers until they are read, and a quarter of it for the
    /// text of streams.
    pub body_memory: usize,
    pub tasks: TaskTracker,
    /// Where calls are served, and where those are that take long to read.
    pub threads: Threads,
    pub others: Handle,
    /// Told of every settled call.
    pub changes: Changes,
}

/// A gateway that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the certificates that this machine trusts could not be read")]
    Tls(#[from] rustls::Error),
    #[error("the spool folder {0} cannot be used")]
    Spool(PathBuf, #[source] std::io::Error),
}

/// One replica's gateway.
pub struct Gateway {
    db: Database,
    pepper: Pepper,
    answers: Seal,
    public_url: String,
    limits: Limits,
    tasks: TaskTracker,
    others: Handle,
    upstream: Upstream,
    admissions: Admissions,
    settlements: Settlements,
    live: LiveCalls,
    bodies: Bodies,
    answer_memory: Bodies,
    text_memory: Bodies,
    changes: Changes,
    metrics: Metrics,
    /// Ends heartbeat and replay with the last call.
    _heartbeat: DropGuard,
}

impl Gateway {
    /// Comes when no call runs any more, those included whose callers have left.
    pub async fn calls_ended(&self) {
        self.live.all_ended().await;
    }

    /// Ends the calls that still run, free of charge: their callers are told to come back.
    pub fn end_calls(&self) {
        self.live.end_all();
    }

    pub fn start(setup: Setup) -> Result<Arc<Gateway>, StartError> {
        let threads = setup.threads.clone();
        threads.on_first(|| Gateway::start_here(setup))
    }

    fn start_here(setup: Setup) -> Result<Arc<Gateway>, StartError> {
        count::warm_up();
        let owner = ReplicaId::generate();
        let stop = CancellationToken::new();
        let spooled = Spooled::default();
        let live = LiveCalls::new(spooled.clone());
        live.spawn_heartbeat(&setup.tasks, setup.db.clone(), owner, stop.clone());
        let settlements = Settlements::spawn(&setup.tasks, setup.db.clone(), &setup.spool_dir, setup.settle_wait, spooled, stop.clone())
            .map_err(|error| StartError::Spool(setup.spool_dir, error))?;
        Ok(Arc::new(Gateway {
            upstream: Upstream::new(&client::tls()?, setup.sealing_key, setup.supplier_networks, setup.timeouts, setup.threads.count()),
            admissions: Admissions::spawn(&setup.tasks, setup.db.clone(), owner, live.clone()),
            settlements,
            db: setup.db,
            pepper: setup.pepper,
            answers: setup.answers,
            public_url: setup.public_url,
            limits: setup.limits,
            tasks: setup.tasks,
            others: setup.others,
            live,
            changes: setup.changes,
            metrics: Metrics::default(),
            bodies: Bodies::new(setup.body_memory),
            answer_memory: Bodies::new(setup.body_memory),
            text_memory: Bodies::new(setup.body_memory / 4),
            _heartbeat: stop.drop_guard(),
        }))
    }
}

/// Every route of `/v1`. An unknown path or method is answered in the protocol's form too, never with HTML.
pub fn router(gateway: Arc<Gateway>) -> Router {
    let served = |endpoint| Served { gateway: gateway.clone(), endpoint };
    Router::new()
        .route("/v1/chat/completions", post(handler::call).fallback(wrong_method).with_state(served(&wire::chat::ENDPOINT)))
        .route("/v1/completions", post(handler::call).fallback(wrong_method).with_state(served(&wire::completions::ENDPOINT)))
        .route("/v1/embeddings", post(handler::call).fallback(wrong_method).with_state(served(&wire::embeddings::ENDPOINT)))
        .route("/v1/responses", post(handler::call).fallback(wrong_method).with_state(served(&wire::responses::ENDPOINT)))
        .route("/v1/messages", post(handler::call).fallback(wrong_method).with_state(served(&wire::messages::ENDPOINT)))
        .route("/v1/key", get(key::show).fallback(wrong_method))
        .route("/v1/receipts/{request_id}", get(receipts::show).fallback(wrong_method))
        .route("/v1/models", get(models::list).fallback(wrong_method))
        .route("/v1/models/{*id}", get(models::retrieve).fallback(wrong_method))
        .route("/v1", axum::routing::any(unknown_path))
        .route("/v1/", axum::routing::any(unknown_path))
        .route("/v1/{*path}", axum::routing::any(unknown_path))
        .layer(axum::middleware::from_fn_with_state(gateway.clone(), metrics::count))
        .layer(axum::middleware::from_fn(handler::finish))
        .with_state(gateway)
}

async fn unknown_path(uri: Uri) -> GatewayError {
    GatewayError::NotFound { path: uri.path().to_string() }
}

async fn wrong_method(method: Method) -> GatewayError {
    GatewayError::MethodNotAllowed { method: method.to_string() }
}

#[cfg(test)]
mod fuzz;
