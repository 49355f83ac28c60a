//! SQL about quarantined events: signed by the provider, yet fitting no order. An operator looks at them, and has them decided again
//! or dismisses them.

use crate::checkout::store::events::{Decision, EventOutcome, decide_in, decision_in, insert_outcome_in, lock_event_in, stored_event};
use crate::checkout::store::{CheckoutError, stored_provider};
use crate::ids::OrderId;
use crate::mail::outbox::Outbox;
use crate::operators::audit::{Action, insert_action_in};
use crate::operators::rights::Operator;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgPool;

/// An event that somebody must look at.
#[derive(Clone, Debug, Serialize)]
pub struct QuarantinedEvent {
    pub event_id: String,
    pub provider: String,
    pub event_type: String,
    pub reason: Option<String>,
    /// The order it seems to be about.
    pub order_id: Option<OrderId>,
    pub received_at: DateTime<Utc>,
    pub payload: Value,
}

/// What an operator decides about one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The cause is mended: decide again.
    Retry,
    /// Nothing is to be done, or it was done elsewhere.
    Dismiss,
}

/// Those whose last outcome it is, oldest first; one of them, or all.
pub async fn quarantined_events(db: &PgPool, event_id: Option<&str>) -> Result<Vec<QuarantinedEvent>, CheckoutError> {
    let rows = sqlx::query!(
        "SELECT e.event_id, e.provider, e.event_type, o.reason, o.order_id, e.received_at, e.payload
           FROM payment_event_outcomes o JOIN payment_events e USING (provider, event_id)
          WHERE o.outcome = 'quarantined' AND ($1::text IS NULL OR e.event_id = $1)
            AND NOT EXISTS (SELECT FROM payment_event_outcomes later
                             WHERE later.provider = o.provider AND later.event_id = o.event_id AND later.outcome_id > o.outcome_id)
          ORDER BY o.outcome_id",
        event_id
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| QuarantinedEvent {
            event_id: row.event_id,
            provider: row.provider,
            event_type: row.event_type,
            reason: row.reason,
            order_id: row.order_id.map(OrderId),
            received_at: row.received_at,
            payload: row.payload,
        })
        .collect())
}

/// Decides again about a quarantined event, or dismisses it; the deed is in the audit log.
pub async fn resolve_quarantined(
    db: &PgPool,
    outbox: &Outbox,
    operator: Operator,
    event_id: &str,
    resolution: Resolution,
    reason: &str,
) -> Result<Decision, CheckoutError> {
    let event = quarantined_events(db, Some(event_id)).await?.pop().ok_or(CheckoutError::NotQuarantined)?;
    let provider = stored_provider(&event.provider)?;
    let mut tx = db.begin().await?;
    lock_event_in(&mut tx, provider, event_id).await?;
    // Somebody else may have been quicker.
    let before = decision_in(&mut tx, provider, event_id).await?.filter(|decision| decision.outcome == EventOutcome::Quarantined);
    let before = before.ok_or(CheckoutError::NotQuarantined)?;
    let decision = match resolution {
        Resolution::Retry => decide_in(&mut tx, outbox, provider, &stored_event(event.payload)?).await?,
        Resolution::Dismiss => Decision::new(EventOutcome::Dismissed, before.order_id).because(reason),
    };
    let action = Action {
        action: "payment_event.resolve",
        subject_id: event_id.to_string(),
        before: Some(json!({ "outcome": before.outcome.as_str(), "reason": before.reason })),
        after: Some(json!({ "outcome": decision.outcome.as_str(), "reason": decision.reason })),
        reason: Some(reason),
    };
    let action_id = insert_action_in(&mut tx, operator, action).await?;
    insert_outcome_in(&mut tx, provider, event_id, &decision, Some(action_id)).await?;
    tx.commit().await?;
    Ok(decision)
}
