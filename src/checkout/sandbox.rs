//! Sandbox payments: a local page that pays or declines with play money. It is a payment provider like another: it reports to our
//! own webhook, over HTTP and signed, so that one path fulfils orders whoever was paid.

use crate::accounts::rights::Admin;
use crate::checkout::payments::{CheckoutSession, PaymentsError, Purchase};
use crate::checkout::store::{self, CheckoutError};
use crate::checkout::types::{OrderStatus, SandboxPayment};
use crate::checkout::webhook::signature::{hex, sign};
use crate::ids::OrderId;
use crate::secret::derive_key;
use crate::server::config::Config;
use crate::server::state::AppState;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub struct SandboxPayments {
    webhook_secret: SecretString,
    webhook_url: String,
}

/// What the customer chose on the sandbox's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pay,
    Decline,
}

/// What the sandbox signs its events with: another for every installation.
pub fn webhook_secret(config: &Config) -> SecretString {
    hex(&derive_key(config.secret_key.expose_secret(), b"toki sandbox webhook v1")).into()
}

impl SandboxPayments {
    /// None unless the sandbox is on.
    pub fn from_config(config: &Config) -> Option<SandboxPayments> {
        config.sandbox.then(|| SandboxPayments {
            webhook_secret: webhook_secret(config),
            webhook_url: format!("http://{}/webhooks/stripe", config.own_address()),
        })
    }

    /// The session of an order; asked twice, the same.
    pub fn open(&self, purchase: &Purchase) -> CheckoutSession {
        let id = format!("cs_sandbox_{}", purchase.order_id.0.simple());
        let url = format!("/sandbox/payments/{id}");
        CheckoutSession { id, url, livemode: Some(false) }
    }

    /// Reports to our own webhook that a session was paid or declined. The same verdict on a session is the same event.
    pub async fn report(&self, payment: &SandboxPayment, verdict: Verdict, now_s: i64) -> Result<(), PaymentsError> {
        let body = event(payment, verdict, now_s).to_string();
        let failed = |error: reqwest::Error| PaymentsError::Unreachable(error.to_string());
        let signature = sign(self.webhook_secret.expose_secret().as_bytes(), body.as_bytes(), now_s)
            .ok_or_else(|| PaymentsError::Refused("the event could not be signed".into()))?;
        let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().map_err(failed)?;
        let request = client.post(&self.webhook_url).header("stripe-signature", signature).header("content-type", "application/json");
        request.body(body).send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
        Ok(())
    }
}

/// Settles a sandbox session of the member's account, and names its order. The report is detached: there is nobody who would
/// deliver it again if the customer left in the middle.
pub async fn settle(app: &AppState, member: &Admin, session_id: &str, verdict: Verdict) -> Result<OrderId, CheckoutError> {
    let sandbox = SandboxPayments::from_config(&app.config).ok_or(CheckoutError::NotFound)?;
    let payment = store::sandbox_payment(&app.db, member, session_id).await?;
    let order_id = payment.order_id;
    if payment.status == OrderStatus::Cancelled {
        // Its session ended with it, as one of another provider's would have.
        return Ok(order_id);
    }
    let report = app.tasks.spawn(async move { sandbox.report(&payment, verdict, chrono::Utc::now().timestamp()).await });
    report.await.map_err(|error| PaymentsError::Unreachable(error.to_string()))?.inspect_err(|error| {
        tracing::error!(%order_id, %error, "the sandbox could not report to our webhook");
    })?;
    Ok(order_id)
}

fn event(payment: &SandboxPayment, verdict: Verdict, now_s: i64) -> Value {
    let (kind, name, payment_status) = match verdict {
        Verdict::Pay => ("checkout.session.completed", "paid", "paid"),
        Verdict::Decline => ("checkout.session.async_payment_failed", "declined", "unpaid"),
    };
    json!({
        "id": format!("evt_{name}_{}", payment.session_id),
        "object": "event",
        "type": kind,
        "created": now_s,
        "livemode": false,
        "data": { "object": {
            "id": payment.session_id,
            "object": "checkout.session",
            "mode": "payment",
            "payment_status": payment_status,
            "amount_total": payment.price.minor,
            "currency": payment.price.currency.code(),
            "client_reference_id": payment.order_id.to_string(),
            "metadata": { "order_id": payment.order_id.to_string() },
        } },
    })
}
