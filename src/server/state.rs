//! `AppState`: what the console's server functions share. Cheap to clone; holds no balance, key or price.

use crate::accounts::second_factor::Vault;
use crate::changes::hub::Changes;
use crate::checkout::payments::Payments;
use crate::keys::secret::Pepper;
use crate::mail::outbox::Outbox;
use crate::server::config::Config;
use crate::suppliers::sealed::SealingKey;
use axum::extract::FromRef;
use leptos::config::LeptosOptions;
use sqlx::PgPool;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[derive(Clone, FromRef)]
pub struct AppState {
    pub db: PgPool,
    pub config: Arc<Config>,
    pub leptos: LeptosOptions,
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
    /// Work that must finish before the process ends.
    pub tasks: TaskTracker,
    /// Cancelled when the process is asked to end.
    pub shutdown: CancellationToken,
}
