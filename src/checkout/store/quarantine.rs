//! SQL about quarantined events: signed by the provider, or its answer when it was asked (`asked`), yet fitting no order. An operator
//! looks at them, and has them decided again or dismisses them.

use crate::accounts::types::Email;
use crate::checkout::event::PaymentEvent;
use crate::checkout::letters;
use crate::checkout::payments::Provider;
use crate::checkout::store::asked::settle_asked_with_in;
use crate::checkout::store::events::{Decision, EventOutcome, decide_in, decision_in, insert_outcome_in, lock_event_in, stored_event};
use crate::checkout::store::{CheckoutError, stored_currency, stored_provider, stored_status};
use crate::checkout::types_events::{OrderAbout, QuarantinedEvent, Resolution, ResolvedEvent};
use crate::connections::again;
use crate::ids::OrderId;
use crate::mail::outbox::Outbox;
use crate::money::Money;
use crate::operators::audit::{Action, hold_right_in, insert_action_in};
use crate::operators::rights::Operator;
use serde_json::json;
use sqlx::{PgConnection, PgExecutor, PgPool};

/// Those whose last outcome it is, oldest first, at most `most`; one of them, or all.
pub async fn quarantined_events(
    db: impl PgExecutor<'_>,
    event_id: Option<&str>,
    most: i64,
) -> Result<Vec<QuarantinedEvent>, CheckoutError> {
    let rows = sqlx::query!(
        r#"SELECT e.event_id, e.provider, e.event_type, o.reason, o.order_id, e.received_at, e.payload,
                  u.email AS "email?", ordered.package_name AS "package_name?", ordered.price_minor AS "price_minor?",
                  ordered.currency AS "currency?", ordered.status AS "status?"
             FROM payment_event_outcomes o JOIN payment_events e USING (provider, event_id)
             LEFT JOIN orders ordered ON ordered.order_id = o.order_id LEFT JOIN users u ON u.user_id = ordered.user_id
            WHERE o.outcome = 'quarantined' AND ($1::text IS NULL OR e.event_id = $1)
              AND NOT EXISTS (SELECT FROM payment_event_outcomes later
                               WHERE later.provider = o.provider AND later.event_id = o.event_id AND later.outcome_id > o.outcome_id)
            ORDER BY o.outcome_id LIMIT $2"#,
        event_id,
        most
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let order = match (row.email, row.package_name, row.price_minor, row.currency, row.status) {
                (Some(email), Some(package_name), Some(minor), Some(currency), Some(status)) => {
                    let price = Money::new(minor, stored_currency(&currency)?);
                    Some(OrderAbout { email, package_name, price, status: stored_status(&status)? })
                }
                _ => None,
            };
            Ok(QuarantinedEvent {
                event_id: row.event_id,
                provider: row.provider,
                event_type: row.event_type,
                reason: row.reason,
                order_id: row.order_id.map(OrderId),
                order,
                received_at: row.received_at.into(),
                payload: row.payload,
            })
        })
        .collect()
}

/// How many there are.
pub async fn quarantined_count(db: impl PgExecutor<'_>) -> Result<i64, CheckoutError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM payment_event_outcomes o
            WHERE o.outcome = 'quarantined'
              AND NOT EXISTS (SELECT FROM payment_event_outcomes later
                               WHERE later.provider = o.provider AND later.event_id = o.event_id AND later.outcome_id > o.outcome_id)"#
    );
    Ok(count.fetch_one(db).await?)
}

/// What operators decided last, newest first: an event that fits no order after that either is still among the others.
pub async fn resolved_events(db: impl PgExecutor<'_>, most: i64) -> Result<Vec<ResolvedEvent>, CheckoutError> {
    let rows = sqlx::query!(
        r#"SELECT e.event_id, e.event_type, o.outcome, a.reason, a.at, coalesce(a.system_user_name, u.email) AS "by?"
             FROM payment_event_outcomes o JOIN payment_events e USING (provider, event_id)
             JOIN operator_actions a ON a.action_id = o.action_id LEFT JOIN users u ON u.user_id = a.actor_user_id
            WHERE o.action_id IS NOT NULL AND o.outcome <> 'quarantined' ORDER BY o.outcome_id DESC LIMIT $1"#,
        most
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(ResolvedEvent {
                event_id: row.event_id,
                event_type: row.event_type,
                outcome: EventOutcome::parse(&row.outcome).ok_or(CheckoutError::Unreadable(row.outcome))?,
                reason: row.reason,
                by: row.by,
                at: row.at.into(),
            })
        })
        .collect()
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
    again(|| resolve_quarantined_once(db, outbox, operator, event_id, resolution, reason)).await
}

async fn resolve_quarantined_once(
    db: &PgPool,
    outbox: &Outbox,
    operator: Operator,
    event_id: &str,
    resolution: Resolution,
    reason: &str,
) -> Result<Decision, CheckoutError> {
    let event = quarantined_events(db, Some(event_id), 1).await?.pop().ok_or(CheckoutError::NotQuarantined)?;
    let provider = stored_provider(&event.provider)?;
    let mut tx = db.begin().await?;
    if !hold_right_in(&mut tx, operator).await? {
        return Err(CheckoutError::NotAllowed);
    }
    lock_event_in(&mut tx, provider, event_id).await?;
    // Somebody else may have been quicker.
    let before = decision_in(&mut tx, provider, event_id).await?.filter(|decision| decision.outcome == EventOutcome::Quarantined);
    let before = before.ok_or(CheckoutError::NotQuarantined)?;
    let decision = match resolution {
        Resolution::Retry => {
            let event = stored_event(event.payload)?;
            let decision = decide_in(&mut tx, outbox, provider, &event).await?;
            settle_asked_with_in(&mut tx, provider, &event, &decision).await?;
            decision
        }
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

/// Tells every operator by mail, in the transaction that quarantines an event; at most once an hour: the page lists them all. Whoever
/// made them an operator vouched for their address, confirmed or not; one who is suspended, or gone, is none for now.
pub(super) async fn alert_operators_in(
    tx: &mut PgConnection,
    outbox: &Outbox,
    provider: Provider,
    event: &PaymentEvent,
    reason: Option<&str>,
) -> Result<(), CheckoutError> {
    let operators = sqlx::query_scalar!(
        "SELECT u.email FROM users u
          WHERE u.operator AND u.suspended_at IS NULL
            AND NOT EXISTS (SELECT FROM mails m WHERE m.recipient = u.email AND m.kind = $1 AND m.created_at > now() - interval '1 hour')
          ORDER BY u.user_id",
        letters::QUARANTINED
    )
    .fetch_all(&mut *tx)
    .await?;
    for email in operators {
        if let Ok(email) = Email::parse(&email) {
            outbox.post_in(tx, &email, || letters::quarantined(outbox, provider, event, reason)).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "quarantine_tests.rs"]
mod tests;
