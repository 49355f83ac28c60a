//! `POST /webhooks/stripe`: what payment providers tell us. Verified, stored, answered, settled: once it is stored nothing of it can be
//! lost, so the provider need not wait for more than a moment. No session here, and none of the console's layers.

pub mod signature;

use crate::checkout::event::PaymentEvent;
use crate::checkout::payments::Provider;
use crate::checkout::sandbox;
use crate::checkout::store::events::{Decision, EventOutcome, insert_event, settle_event};
use crate::mail::outbox::Outbox;
use crate::server::config::Config;
use crate::server::state::AppState;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use secrecy::ExposeSecret;
use signature::verify;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Stripe's events are a few kilobytes.
const BODY_MOST: usize = 256 * 1024;

/// How long the answer waits for the settlement, which nearly always comes first: then whoever was told to look finds it done.
const SETTLE_WAIT: Duration = Duration::from_secs(2);

/// How what came was answered: `stored`, `refused` for what is not signed or no event, `failed` where it could not be stored.
pub type Answered = Family<[(&'static str, &'static str); 1], Counter>;

/// What the webhook needs.
#[derive(Clone)]
struct Webhook {
    db: PgPool,
    outbox: Outbox,
    /// The secret that verifies says who sent it.
    secrets: Arc<Vec<(Vec<u8>, Provider)>>,
    tasks: TaskTracker,
    answered: Answered,
}

pub fn router(app: AppState) -> Router {
    routes(Webhook {
        db: PgPool::clone(&app.db),
        outbox: app.outbox.clone(),
        secrets: Arc::new(secrets(&app.config)),
        tasks: app.tasks.clone(),
        answered: app.metrics.webhooks.clone(),
    })
}

fn routes(webhook: Webhook) -> Router {
    Router::new().route("/webhooks/stripe", post(receive)).layer(DefaultBodyLimit::max(BODY_MOST)).with_state(webhook)
}

/// Stripe's, where it is configured; the sandbox's, only while the sandbox is on.
fn secrets(config: &Config) -> Vec<(Vec<u8>, Provider)> {
    let stripe = config.stripe.iter().flat_map(|stripe| stripe.webhook_secret.expose_secret().split(','));
    let mut secrets: Vec<_> = stripe.map(|secret| (secret.trim().as_bytes().to_vec(), Provider::Stripe)).collect();
    if config.sandbox {
        secrets.push((sandbox::webhook_secret(config).expose_secret().as_bytes().to_vec(), Provider::Sandbox));
    }
    secrets
}

async fn receive(State(webhook): State<Webhook>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let answered = webhook.answered.clone();
    let status = answer(webhook, &headers, &body).await;
    let word = match status {
        StatusCode::OK => "stored",
        StatusCode::BAD_REQUEST => "refused",
        _ => "failed",
    };
    answered.get_or_create(&[("answer", word)]).inc();
    status
}

async fn answer(webhook: Webhook, headers: &HeaderMap, body: &[u8]) -> StatusCode {
    let signature = headers.get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let provider = match verify(&webhook.secrets, signature, body, chrono::Utc::now().timestamp()) {
        Ok(provider) => *provider,
        Err(error) => {
            tracing::warn!(%error, "webhook refused");
            return StatusCode::BAD_REQUEST;
        }
    };
    let event = match PaymentEvent::parse(body) {
        Ok(event) => event,
        Err(error) => {
            tracing::error!(provider = provider.as_str(), %error, "a signed webhook could not be read");
            return StatusCode::BAD_REQUEST;
        }
    };
    if let Err(error) = insert_event(&webhook.db, provider, &event).await {
        // Not 200: the provider keeps the event and tries again.
        tracing::error!(provider = provider.as_str(), event_id = event.id, ?error, "event not stored");
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    // Detached: it ends whether or not the provider waits. A crash leaves the event to its redelivery, or to `reconcile`.
    let (db, outbox) = (webhook.db.clone(), webhook.outbox.clone());
    let settling = webhook.tasks.spawn(async move { settle_stored(&db, &outbox, provider, &event).await });
    let _ = tokio::time::timeout(SETTLE_WAIT, settling).await;
    StatusCode::OK
}

/// Acts on an event that is stored, and says so in the log. Whether it could: if not, it is tried again some time.
pub async fn settle_stored(db: &PgPool, outbox: &Outbox, provider: Provider, event: &PaymentEvent) -> bool {
    match settle_event(db, outbox, provider, event).await {
        Ok(decision) => {
            report(provider, event, &decision);
            true
        }
        Err(error) => {
            tracing::error!(provider = provider.as_str(), event_id = event.id, ?error, "a stored event was not settled");
            false
        }
    }
}

/// One log line an event; a quarantined one is an error, because money may have moved that bought nothing.
pub(super) fn report(provider: Provider, event: &PaymentEvent, decision: &Decision) {
    let (provider, outcome) = (provider.as_str(), decision.outcome.as_str());
    let (order_id, reason) = (decision.order_id.map(|id| id.to_string()), decision.reason.as_deref());
    match decision.outcome {
        EventOutcome::Quarantined => {
            tracing::error!(provider, event_id = event.id, kind = event.kind, outcome, order_id, reason, "payment event quarantined");
        }
        _ => tracing::info!(provider, event_id = event.id, kind = event.kind, outcome, order_id, reason, "payment event settled"),
    }
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
