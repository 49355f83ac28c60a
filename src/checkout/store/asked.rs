//! What the provider answered when it was asked about a checkout session. An answer that does not fit its order is kept like an event,
//! under an id of our own, so that operators are told of it, find it and decide about it where they do so of events. There is one for a
//! session: asking again adds nothing while nothing is new.

use crate::checkout::event::PaymentEvent;
use crate::checkout::payments::Provider;
use crate::checkout::store::events::{Decision, EventOutcome, conclude_in, decision_in, insert_outcome_in, keep_event, lock_event_in};
use crate::checkout::store::fulfilment::settle_session_in;
use crate::checkout::store::transitions::Cause;
use crate::checkout::store::{CheckoutError, OpenOrder};
use crate::connections::again;
use crate::mail::outbox::Outbox;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

/// The type of such an event. No provider names one like this.
pub const KIND: &str = "checkout.session (asked)";

/// Acts on what the provider said of an order's session.
pub async fn settle_asked(db: &PgPool, outbox: &Outbox, order: &OpenOrder, session: &Value) -> Result<Decision, CheckoutError> {
    let event = event_of(&order.session_id, session)?;
    again(|| settle_asked_once(db, outbox, order.provider, &event)).await
}

async fn settle_asked_once(db: &PgPool, outbox: &Outbox, provider: Provider, event: &PaymentEvent) -> Result<Decision, CheckoutError> {
    let mut tx = db.begin().await?;
    // Before the order, as with every event: two that ask at once wait for each other here.
    lock_event_in(&mut tx, provider, &event.id).await?;
    let decision = settle_session_in(&mut tx, outbox, provider, &event.session(), Cause::Reconciler).await?;
    let before = decision_in(&mut tx, provider, &event.id).await?.map(|before| before.outcome);
    let is_news = decision.outcome == EventOutcome::Quarantined && is_news_in(&mut tx, provider, &event.id, &decision).await?;
    match decision.outcome {
        EventOutcome::Quarantined if is_news => {
            keep_event(&mut *tx, provider, event).await?;
            conclude_in(&mut tx, outbox, provider, event, &decision).await?;
        }
        EventOutcome::Fulfilled | EventOutcome::AlreadyFulfilled | EventOutcome::Closed if before == Some(EventOutcome::Quarantined) => {
            insert_outcome_in(&mut tx, provider, &event.id, &decision, None).await?;
        }
        _ => {}
    }
    tx.commit().await?;
    Ok(decision)
}

/// An order that an event paid for, or closed, settles what its session had not fitted when it was asked about. Takes no lock of that:
/// whoever decides about it has the order's, as the caller does.
pub(super) async fn settle_asked_with_in(
    tx: &mut PgConnection,
    provider: Provider,
    event: &PaymentEvent,
    decision: &Decision,
) -> Result<(), CheckoutError> {
    let settled = match decision.outcome {
        EventOutcome::Fulfilled => EventOutcome::AlreadyFulfilled,
        EventOutcome::Closed => EventOutcome::Closed,
        _ => return Ok(()),
    };
    let Some(asked) = event.session().id.map(id_of).filter(|asked| *asked != event.id) else { return Ok(()) };
    if decision_in(tx, provider, &asked).await?.is_some_and(|before| before.outcome == EventOutcome::Quarantined) {
        insert_outcome_in(tx, provider, &asked, &Decision::new(settled, decision.order_id), None).await?;
    }
    Ok(())
}

/// Whether nobody has been told of this: neither by an answer before, nor by an event of the same order that differs in the same way, be
/// that quarantined still or dismissed.
async fn is_news_in(tx: &mut PgConnection, provider: Provider, event_id: &str, decision: &Decision) -> Result<bool, CheckoutError> {
    let news = sqlx::query_scalar!(
        r#"SELECT NOT EXISTS (
               SELECT FROM payment_event_outcomes o
                WHERE o.provider = $1 AND o.outcome = 'quarantined' AND (o.event_id = $2 OR o.order_id = $3)
                  AND o.reason IS NOT DISTINCT FROM $4
                  AND (SELECT last.outcome FROM payment_event_outcomes last
                        WHERE last.provider = o.provider AND last.event_id = o.event_id ORDER BY last.outcome_id DESC LIMIT 1)
                      IN ('quarantined', 'dismissed')) AS "news!""#,
        provider.as_str(),
        event_id,
        decision.order_id.map(|id| id.0),
        decision.reason.as_deref()
    );
    Ok(news.fetch_one(tx).await?)
}

fn id_of(session_id: &str) -> String {
    format!("asked_{session_id}")
}

/// Under the order's own session, whatever the answer calls itself.
fn event_of(session_id: &str, session: &Value) -> Result<PaymentEvent, CheckoutError> {
    let payload = json!({ "id": id_of(session_id), "type": KIND, "data": { "object": session } });
    PaymentEvent::of(payload).map_err(|error| CheckoutError::Unreadable(error.to_string()))
}

#[cfg(test)]
#[path = "asked_tests.rs"]
mod tests;
