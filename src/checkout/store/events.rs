//! SQL about payment events: stored first, then settled, each once. What they do to orders is in `fulfilment` and `refunds`.

use crate::checkout::event::PaymentEvent;
use crate::checkout::payments::Provider;
use crate::checkout::store::asked::{self, settle_asked_with_in};
use crate::checkout::store::disputes::dispute_told_in;
use crate::checkout::store::fulfilment::{close_order_in, fulfil_order_in, note_begun_payment_in, settle_session_in};
use crate::checkout::store::quarantine::alert_operators_in;
use crate::checkout::store::refunds::refund_told_in;
use crate::checkout::store::transitions::Cause;
use crate::checkout::store::{CheckoutError, stored_provider};
use crate::checkout::types::OrderStatus;
pub use crate::checkout::types_events::EventOutcome;
use crate::connections::again;
use crate::ids::{ActionId, OrderId};
use crate::mail::outbox::Outbox;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};

/// An outcome, why, and for which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub outcome: EventOutcome,
    pub reason: Option<String>,
    pub order_id: Option<OrderId>,
}

impl Decision {
    pub fn new(outcome: EventOutcome, order_id: Option<OrderId>) -> Decision {
        Decision { outcome, reason: None, order_id }
    }

    pub fn because(self, reason: impl Into<String>) -> Decision {
        Decision { reason: Some(reason.into()), ..self }
    }
}

/// Keeps an event, in a transaction of its own: whatever happens next, it is not lost. A redelivery changes nothing. Whether it is
/// new.
pub async fn insert_event(db: &PgPool, provider: Provider, event: &PaymentEvent) -> Result<bool, CheckoutError> {
    keep_event(db, provider, event).await
}

pub(super) async fn keep_event(db: impl PgExecutor<'_>, provider: Provider, event: &PaymentEvent) -> Result<bool, CheckoutError> {
    let inserted = sqlx::query!(
        "INSERT INTO payment_events (provider, event_id, event_type, payload) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        provider.as_str(),
        event.id,
        event.kind,
        event.payload
    )
    .execute(db)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Acts on a stored event, or says what was done about it before. One transaction: the grant, the order and the outcome are all
/// there, or none of them.
pub async fn settle_event(db: &PgPool, outbox: &Outbox, provider: Provider, event: &PaymentEvent) -> Result<Decision, CheckoutError> {
    again(|| settle_event_once(db, outbox, provider, event)).await
}

async fn settle_event_once(db: &PgPool, outbox: &Outbox, provider: Provider, event: &PaymentEvent) -> Result<Decision, CheckoutError> {
    let mut tx = db.begin().await?;
    lock_event_in(&mut tx, provider, &event.id).await?;
    if let Some(decision) = decision_in(&mut tx, provider, &event.id).await? {
        return Ok(decision);
    }
    let decision = decide_in(&mut tx, outbox, provider, event).await?;
    conclude_in(&mut tx, outbox, provider, event, &decision).await?;
    tx.commit().await?;
    Ok(decision)
}

/// Deliveries of the same event wait for each other here. An advisory lock, because rows of an append-only table cannot be locked by a
/// role that may not change them.
pub(super) async fn lock_event_in(tx: &mut PgConnection, provider: Provider, event_id: &str) -> Result<(), CheckoutError> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", format!("payment event {} {event_id}", provider.as_str()))
        .fetch_one(tx)
        .await?;
    Ok(())
}

/// Keeps what was decided; operators are told of an event that fits no order.
pub(super) async fn conclude_in(
    tx: &mut PgConnection,
    outbox: &Outbox,
    provider: Provider,
    event: &PaymentEvent,
    decision: &Decision,
) -> Result<(), CheckoutError> {
    insert_outcome_in(tx, provider, &event.id, decision, None).await?;
    if decision.outcome == EventOutcome::Quarantined {
        alert_operators_in(tx, outbox, provider, event, decision.reason.as_deref()).await?;
    }
    settle_asked_with_in(tx, provider, event, decision).await
}

pub(super) async fn insert_outcome_in(
    tx: &mut PgConnection,
    provider: Provider,
    event_id: &str,
    decision: &Decision,
    action_id: Option<ActionId>,
) -> Result<(), CheckoutError> {
    sqlx::query!(
        "INSERT INTO payment_event_outcomes (provider, event_id, outcome, reason, order_id, action_id) VALUES ($1, $2, $3, $4, $5, $6)",
        provider.as_str(),
        event_id,
        decision.outcome.as_str(),
        decision.reason,
        decision.order_id.map(|id| id.0),
        action_id.map(|id| id.0)
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The last decision about an event; an earlier one was overtaken by what came after it.
pub(super) async fn decision_in(tx: &mut PgConnection, provider: Provider, event_id: &str) -> Result<Option<Decision>, CheckoutError> {
    let row = sqlx::query!(
        "SELECT outcome, reason, order_id FROM payment_event_outcomes WHERE provider = $1 AND event_id = $2
          ORDER BY outcome_id DESC LIMIT 1",
        provider.as_str(),
        event_id
    )
    .fetch_optional(tx)
    .await?;
    row.map(|row| {
        let outcome = EventOutcome::parse(&row.outcome).ok_or(CheckoutError::Unreadable(row.outcome))?;
        Ok(Decision { outcome, reason: row.reason, order_id: row.order_id.map(OrderId) })
    })
    .transpose()
}

/// What an event means, and whatever follows from it. Its order is irrelevant: each kind of fact is kept where it belongs, and where
/// the order stands is derived from all of them.
pub(super) async fn decide_in(
    tx: &mut PgConnection,
    outbox: &Outbox,
    provider: Provider,
    event: &PaymentEvent,
) -> Result<Decision, CheckoutError> {
    let session = event.session();
    let cause = Cause::Event(provider, &event.id);
    match event.kind.as_str() {
        // Bank debits and vouchers: the customer is done, the money is not there. Another event will say.
        "checkout.session.completed" if session.payment_status == Some("unpaid") => note_begun_payment_in(tx, provider, &session).await,
        "checkout.session.completed" | "checkout.session.async_payment_succeeded" => {
            fulfil_order_in(tx, outbox, provider, &session, cause).await
        }
        "checkout.session.async_payment_failed" => close_order_in(tx, provider, &session, OrderStatus::Declined, cause).await,
        "checkout.session.expired" => close_order_in(tx, provider, &session, OrderStatus::Expired, cause).await,
        asked::KIND => settle_session_in(tx, outbox, provider, &session, cause).await,
        "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" | "charge.refunded" => {
            // A charge says how much went back in all, and not for which refunds: taken down from it, they would count twice.
            let mut decision = Decision::new(EventOutcome::Ignored, None).because("each refund is told of by an event of its own");
            for refund in event.refunds() {
                let told = refund_told_in(tx, provider, &refund, cause).await?;
                if decision.outcome != EventOutcome::Quarantined {
                    decision = told;
                }
            }
            Ok(decision)
        }
        "charge.dispute.created" | "charge.dispute.updated" | "charge.dispute.closed" => {
            dispute_told_in(tx, provider, &event.dispute(), cause).await
        }
        _ => Ok(Decision::new(EventOutcome::Ignored, None).because("this type of event changes no order")),
    }
}

/// Decides again about events that waited for the payment of this order to be known.
pub(super) async fn settle_waiting_in(tx: &mut PgConnection, outbox: &Outbox, order_id: OrderId) -> Result<(), CheckoutError> {
    for waiting in overtaken_events(&mut *tx, Some(order_id), 0, i64::MAX).await? {
        let decision = decide_in(tx, outbox, waiting.provider, &waiting.event).await?;
        conclude_in(tx, outbox, waiting.provider, &waiting.event, &decision).await?;
    }
    Ok(())
}

pub(super) fn stored_event(payload: serde_json::Value) -> Result<PaymentEvent, CheckoutError> {
    PaymentEvent::from_payload(payload).map_err(|error| CheckoutError::Unreadable(error.to_string()))
}

/// An event that is stored and still to be decided, and its place among those that are.
#[derive(Clone, Debug)]
pub struct LeftEvent<Place> {
    pub place: Place,
    pub provider: Provider,
    pub event: PaymentEvent,
}

impl<Place> LeftEvent<Place> {
    fn of(place: Place, provider: &str, payload: serde_json::Value) -> Result<LeftEvent<Place>, CheckoutError> {
        Ok(LeftEvent { place, provider: stored_provider(provider)?, event: stored_event(payload)? })
    }
}

/// A page of events whose outcome is missing although it has had time, because the process ended in between; oldest first, after `after`:
/// whoever goes through them comes to each, whatever becomes of those before it.
pub async fn unsettled_events(
    db: &PgPool,
    older_than: TimeDelta,
    after: Option<&LeftEvent<DateTime<Utc>>>,
    most: i64,
) -> Result<Vec<LeftEvent<DateTime<Utc>>>, CheckoutError> {
    let rows = sqlx::query!(
        "SELECT e.received_at, e.provider, e.payload FROM payment_events e
          WHERE e.received_at < now() - $1::bigint * interval '1 second'
            AND ($2::timestamptz IS NULL OR (e.received_at, e.provider, e.event_id) > ($2, $3, $4))
            AND NOT EXISTS (SELECT FROM payment_event_outcomes o WHERE o.provider = e.provider AND o.event_id = e.event_id)
          ORDER BY e.received_at, e.provider, e.event_id LIMIT $5",
        older_than.num_seconds(),
        after.map(|left| left.place),
        after.map(|left| left.provider.as_str()),
        after.map(|left| left.event.id.as_str()),
        most
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(|row| LeftEvent::of(row.received_at, &row.provider, row.payload)).collect()
}

/// Running replicas settle an event within moments, and one that was left within two minutes.
pub const SETTLED_WITHIN: TimeDelta = TimeDelta::minutes(5);

/// How many there are.
pub async fn unsettled_count(db: &PgPool, older_than: TimeDelta) -> Result<i64, CheckoutError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM payment_events e
            WHERE e.received_at < now() - $1::bigint * interval '1 second'
              AND NOT EXISTS (SELECT FROM payment_event_outcomes o WHERE o.provider = e.provider AND o.event_id = e.event_id)"#,
        older_than.num_seconds()
    );
    Ok(count.fetch_one(db).await?)
}

/// A page of events, after the outcome `after`, that wait although an order has their payment; `of` one order, or of any. They came before
/// it, or were decided beside the transaction that noted it, and neither saw the other.
pub async fn overtaken_events(
    db: impl PgExecutor<'_>,
    of: Option<OrderId>,
    after: i64,
    most: i64,
) -> Result<Vec<LeftEvent<i64>>, CheckoutError> {
    let rows = sqlx::query!(
        "SELECT w.outcome_id, e.provider, e.payload FROM payment_event_outcomes w JOIN payment_events e USING (provider, event_id)
          WHERE w.outcome = 'waiting' AND w.outcome_id > $1
            AND EXISTS (SELECT FROM orders o
                         WHERE o.provider = w.provider AND ($2::uuid IS NULL OR o.order_id = $2)
                           AND o.provider_payment_id
                               = coalesce(e.payload #>> '{data,object,payment_intent,id}', e.payload #>> '{data,object,payment_intent}'))
            AND NOT EXISTS (SELECT FROM payment_event_outcomes later
                             WHERE later.provider = w.provider AND later.event_id = w.event_id AND later.outcome_id > w.outcome_id)
          ORDER BY w.outcome_id LIMIT $3",
        after,
        of.map(|id| id.0),
        most
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(|row| LeftEvent::of(row.outcome_id, &row.provider, row.payload)).collect()
}

/// Decides again about an event that waits. None = it still does, or somebody else has decided.
pub async fn settle_overtaken(
    db: &PgPool,
    outbox: &Outbox,
    provider: Provider,
    event: &PaymentEvent,
) -> Result<Option<Decision>, CheckoutError> {
    let mut tx = db.begin().await?;
    lock_event_in(&mut tx, provider, &event.id).await?;
    let decision = decide_in(&mut tx, outbox, provider, event).await?;
    // Asked only now: whoever held the order's lock while this waited for it may have decided.
    let waits = decision_in(&mut tx, provider, &event.id).await?.is_some_and(|before| before.outcome == EventOutcome::Waiting);
    if !waits || decision.outcome == EventOutcome::Waiting {
        return Ok(None);
    }
    conclude_in(&mut tx, outbox, provider, event, &decision).await?;
    tx.commit().await?;
    Ok(Some(decision))
}

/// Until when the provider's list of events was read to its end. None = never: then from the first order on.
pub async fn listed_until(db: &PgPool, provider: Provider) -> Result<Option<DateTime<Utc>>, CheckoutError> {
    let until = sqlx::query_scalar!(
        r#"SELECT coalesce((SELECT listed_until FROM payment_listings WHERE provider = $1),
                           (SELECT min(created_at) FROM orders WHERE provider = $1)) AS "until""#,
        provider.as_str()
    );
    Ok(until.fetch_one(db).await?)
}

/// Notes it. Two that list at once agree on the later of their moments: each has read everything before its own.
pub async fn set_listed_until(db: &PgPool, provider: Provider, until: DateTime<Utc>) -> Result<(), CheckoutError> {
    sqlx::query!(
        "INSERT INTO payment_listings AS l (provider, listed_until) VALUES ($1, $2)
         ON CONFLICT ON CONSTRAINT payment_listings_pkey DO UPDATE SET listed_until = greatest(l.listed_until, $2)",
        provider.as_str(),
        until
    )
    .execute(db)
    .await?;
    Ok(())
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
