//! `AppState`: what the console's server functions share. Cheap to clone; holds no balance, key or price.

use crate::accounts::second_factor::Vault;
use crate::changes::hub::Changes;
use crate::checkout::payments::Payments;
use crate::connections::Connections;
use crate::keys::secret::Pepper;
use crate::mail::outbox::Outbox;
use crate::secrets::hash_key::HashKey;
use crate::server::config::Config;
use crate::server::metrics::Metrics;
use crate::suppliers::sealed::SealingKey;
use axum::extract::FromRef;
use leptos::config::LeptosOptions;
use std::ops::Deref;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// One pointer: every part of a page asks for it.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

/// What it points to.
pub struct Shared {
    pub db: Connections,
    pub config: Config,
    pub leptos: LeptosOptions,
    /// What API keys, codes and recovery codes are hashed with.
    pub hash_key: HashKey,
    /// Hashes API keys.
    pub pepper: Pepper,
    /// Encrypts supplier secrets.
    pub sealing_key: SealingKey,
    /// Keeps second factors.
    pub vault: Vault,
    pub payments: Payments,
    /// Where letters to people are posted.
    pub outbox: Outbox,
    /// Where open pages hear of changes.
    pub changes: Changes,
    /// What is counted beside calls.
    pub metrics: Metrics,
    /// Work that must finish before the process ends.
    pub tasks: TaskTracker,
    /// Cancelled when the process is asked to end.
    pub shutdown: CancellationToken,
}

impl From<Shared> for AppState {
    fn from(shared: Shared) -> AppState {
        AppState(Arc::new(shared))
    }
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl FromRef<AppState> for LeptosOptions {
    fn from_ref(app: &AppState) -> LeptosOptions {
        app.leptos.clone()
    }
}
