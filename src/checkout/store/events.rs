//! SQL about payment events: stored first, then settled, each once. The only place where an order turns into Tokens.

use crate::checkout::event::{PaymentEvent, SessionFacts};
use crate::checkout::payments::Provider;
use crate::checkout::store::{CheckoutError, stored_status};
use crate::checkout::types::OrderStatus;
use crate::ids::{AccountId, OrderId};
use crate::tokens::Tokens;
use crate::wallet::ledger::{GrantCause, NewGrant, Scope, issue_grant_in, roll_over_in};
use chrono::TimeDelta;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// What was done about an event, as `payment_event_outcomes.outcome` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventOutcome {
    Fulfilled,
    AlreadyFulfilled,
    Closed,
    Ignored,
    /// Signed by the provider, yet it does not fit an order of ours: nothing was credited, and somebody must look.
    Quarantined,
}

impl EventOutcome {
    const ALL: [EventOutcome; 5] =
        [EventOutcome::Fulfilled, EventOutcome::AlreadyFulfilled, EventOutcome::Closed, EventOutcome::Ignored, EventOutcome::Quarantined];

    pub fn as_str(self) -> &'static str {
        match self {
            EventOutcome::Fulfilled => "fulfilled",
            EventOutcome::AlreadyFulfilled => "already_fulfilled",
            EventOutcome::Closed => "closed",
            EventOutcome::Ignored => "ignored",
            EventOutcome::Quarantined => "quarantined",
        }
    }
}

/// An outcome, why, and for which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub outcome: EventOutcome,
    pub reason: Option<String>,
    pub order_id: Option<OrderId>,
}

impl Decision {
    fn new(outcome: EventOutcome, order_id: Option<OrderId>) -> Decision {
        Decision { outcome, reason: None, order_id }
    }

    fn because(self, reason: impl Into<String>) -> Decision {
        Decision { reason: Some(reason.into()), ..self }
    }
}

/// Keeps an event, in a transaction of its own: whatever happens next, it is not lost. A redelivery changes nothing.
pub async fn insert_event(db: &PgPool, provider: Provider, event: &PaymentEvent) -> Result<(), CheckoutError> {
    sqlx::query!(
        "INSERT INTO payment_events (provider, event_id, event_type, payload) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        provider.as_str(),
        event.id,
        event.kind,
        event.payload
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Acts on a stored event, or says what was done about it before. One transaction: the grant, the order and the outcome are all
/// there, or none of them.
pub async fn settle_event(db: &PgPool, provider: Provider, event: &PaymentEvent) -> Result<Decision, CheckoutError> {
    let mut tx = db.begin().await?;
    // Deliveries of the same event wait for each other here. An advisory lock, because rows of an append-only table cannot be
    // locked by a role that may not change them.
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", format!("payment event {} {}", provider.as_str(), event.id))
        .fetch_one(&mut *tx)
        .await?;
    if let Some(decision) = decision_in(&mut tx, provider, event).await? {
        return Ok(decision);
    }
    let decision = decide_in(&mut tx, provider, event).await?;
    sqlx::query!(
        "INSERT INTO payment_event_outcomes (provider, event_id, outcome, reason, order_id) VALUES ($1, $2, $3, $4, $5)",
        provider.as_str(),
        event.id,
        decision.outcome.as_str(),
        decision.reason,
        decision.order_id.map(|id| id.0)
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(decision)
}

async fn decision_in(tx: &mut PgConnection, provider: Provider, event: &PaymentEvent) -> Result<Option<Decision>, CheckoutError> {
    let row = sqlx::query!(
        "SELECT outcome, reason, order_id FROM payment_event_outcomes WHERE provider = $1 AND event_id = $2
          ORDER BY outcome_id DESC LIMIT 1",
        provider.as_str(),
        event.id
    )
    .fetch_optional(tx)
    .await?;
    row.map(|row| {
        let outcome = EventOutcome::ALL.into_iter().find(|outcome| outcome.as_str() == row.outcome);
        let outcome = outcome.ok_or(CheckoutError::Unreadable(row.outcome))?;
        Ok(Decision { outcome, reason: row.reason, order_id: row.order_id.map(OrderId) })
    })
    .transpose()
}

async fn decide_in(tx: &mut PgConnection, provider: Provider, event: &PaymentEvent) -> Result<Decision, CheckoutError> {
    let session = event.session();
    match event.kind.as_str() {
        // Bank debits and vouchers: the customer is done, the money is not there. Another event will say.
        "checkout.session.completed" if session.payment_status == Some("unpaid") => {
            Ok(Decision::new(EventOutcome::Ignored, None).because("awaiting asynchronous payment"))
        }
        "checkout.session.completed" | "checkout.session.async_payment_succeeded" => fulfil_order_in(tx, provider, &session).await,
        "checkout.session.async_payment_failed" => close_order_in(tx, provider, &session, OrderStatus::Declined).await,
        "checkout.session.expired" => close_order_in(tx, provider, &session, OrderStatus::Expired).await,
        _ => Ok(Decision::new(EventOutcome::Ignored, None).because("this type of event changes no order")),
    }
}

/// Credits a paid order, if the payment is exactly the one it asked for. Money that arrives for an order that had been closed
/// still buys.
pub async fn fulfil_order_in(tx: &mut PgConnection, provider: Provider, session: &SessionFacts<'_>) -> Result<Decision, CheckoutError> {
    let Some(order) = locked_order_in(tx, provider, session).await? else {
        return Ok(Decision::new(EventOutcome::Quarantined, None).because("no order of ours is paid by this session"));
    };
    let decision = |outcome| Decision::new(outcome, Some(order.order_id));
    if let Some(reason) = order.stranger(provider, session).or_else(|| order.other_payment(session)) {
        return Ok(decision(EventOutcome::Quarantined).because(reason));
    }
    if order.status == OrderStatus::Fulfilled {
        return Ok(decision(EventOutcome::AlreadyFulfilled));
    }
    let grant = NewGrant {
        account_id: order.account_id,
        cause: GrantCause::Order(order.order_id),
        tokens: order.tokens,
        scope: Scope { supplier_ids: order.scope_supplier_ids.clone(), model_ids: order.scope_model_ids.clone() },
        valid_for: TimeDelta::try_seconds(order.valid_for_s).unwrap_or(TimeDelta::MAX),
        note: None,
    };
    let grant_id = issue_grant_in(tx, &grant).await?;
    if order.rolls_over {
        roll_over_in(tx, order.account_id, order.order_id, grant_id).await?;
    }
    sqlx::query!("UPDATE orders SET status = 'fulfilled', fulfilled_at = now(), closed_at = NULL WHERE order_id = $1", order.order_id.0)
        .execute(tx)
        .await?;
    Ok(decision(EventOutcome::Fulfilled))
}

/// Closes an order that will not be paid. One that was paid, or closed, stays as it is.
async fn close_order_in(
    tx: &mut PgConnection,
    provider: Provider,
    session: &SessionFacts<'_>,
    status: OrderStatus,
) -> Result<Decision, CheckoutError> {
    let Some(order) = locked_order_in(tx, provider, session).await? else {
        return Ok(Decision::new(EventOutcome::Ignored, None).because("no order of ours waits for this session"));
    };
    let decision = |outcome| Decision::new(outcome, Some(order.order_id));
    if let Some(reason) = order.stranger(provider, session) {
        return Ok(decision(EventOutcome::Quarantined).because(reason));
    }
    match order.status {
        OrderStatus::Fulfilled => Ok(decision(EventOutcome::AlreadyFulfilled)),
        OrderStatus::Declined | OrderStatus::Expired | OrderStatus::Cancelled => {
            Ok(decision(EventOutcome::Ignored).because("the order was closed before"))
        }
        OrderStatus::Created | OrderStatus::AwaitingPayment => {
            sqlx::query!("UPDATE orders SET status = $2, closed_at = now() WHERE order_id = $1", order.order_id.0, status.as_str())
                .execute(tx)
                .await?;
            Ok(decision(EventOutcome::Closed))
        }
    }
}

/// An order's row, locked.
struct LockedOrder {
    order_id: OrderId,
    account_id: AccountId,
    tokens: Tokens,
    price_minor: i64,
    currency: String,
    valid_for_s: i64,
    rolls_over: bool,
    scope_supplier_ids: Vec<Uuid>,
    scope_model_ids: Vec<String>,
    status: OrderStatus,
    provider: String,
    session_id: Option<String>,
}

impl LockedOrder {
    /// Why this session is not the one that was opened for this order.
    fn stranger(&self, provider: Provider, session: &SessionFacts<'_>) -> Option<String> {
        let order_id = self.order_id.to_string();
        let references = [session.client_reference_id, session.metadata_order_id];
        if self.provider != provider.as_str() {
            Some(format!("the event is from {}, the order is paid through {}", provider.as_str(), self.provider))
        } else if session.id.is_none() || session.id != self.session_id.as_deref() {
            Some(format!("the event is about session {:?}, the order's is {:?}", session.id, self.session_id))
        } else if references.into_iter().flatten().any(|reference| reference != order_id) {
            Some(format!("the session refers to {references:?}, not only to this order"))
        } else {
            None
        }
    }

    /// Why this payment is not the one that the order asks for.
    fn other_payment(&self, session: &SessionFacts<'_>) -> Option<String> {
        let currency = session.currency.map(str::to_ascii_lowercase);
        if session.mode != Some("payment") {
            Some(format!("the session's mode is {:?}", session.mode))
        } else if session.payment_status != Some("paid") {
            Some(format!("the payment status is {:?}", session.payment_status))
        } else if session.amount_total != Some(self.price_minor) {
            Some(format!("the amount is {:?}, the order's {}", session.amount_total, self.price_minor))
        } else if currency.as_deref() != Some(self.currency.as_str()) {
            Some(format!("the currency is {currency:?}, the order's {}", self.currency))
        } else {
            None
        }
    }
}

/// The order that a session names, or else the one whose session it is. Whether they fit each other is for the caller to say.
async fn locked_order_in(
    tx: &mut PgConnection,
    provider: Provider,
    session: &SessionFacts<'_>,
) -> Result<Option<LockedOrder>, CheckoutError> {
    let reference = session.client_reference_id.or(session.metadata_order_id);
    let order_id = reference.and_then(|reference| reference.parse::<OrderId>().ok());
    let row = sqlx::query!(
        "SELECT * FROM orders WHERE order_id = $1 OR ($1::uuid IS NULL AND provider = $2 AND provider_session_id = $3)
            FOR NO KEY UPDATE",
        order_id.map(|id| id.0),
        provider.as_str(),
        session.id
    )
    .fetch_optional(tx)
    .await?;
    row.map(|row| {
        Ok(LockedOrder {
            order_id: OrderId(row.order_id),
            account_id: AccountId(row.account_id),
            tokens: Tokens(row.tokens),
            price_minor: row.price_minor,
            currency: row.currency,
            valid_for_s: row.valid_for_s,
            rolls_over: row.rolls_over,
            scope_supplier_ids: row.scope_supplier_ids,
            scope_model_ids: row.scope_model_ids,
            status: stored_status(&row.status)?,
            provider: row.provider,
            session_id: row.provider_session_id,
        })
    })
    .transpose()
}

/// Events that were stored, and whose outcome is missing although it has had time: the process ended in between.
pub async fn unsettled_events(db: &PgPool, older_than: TimeDelta, most: i64) -> Result<Vec<(Provider, PaymentEvent)>, CheckoutError> {
    let rows = sqlx::query!(
        "SELECT e.provider, e.payload FROM payment_events e
          WHERE e.received_at < now() - $1::bigint * interval '1 second'
            AND NOT EXISTS (SELECT FROM payment_event_outcomes o WHERE o.provider = e.provider AND o.event_id = e.event_id)
          ORDER BY e.received_at LIMIT $2",
        older_than.num_seconds(),
        most
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let event = PaymentEvent::from_payload(row.payload).map_err(|error| CheckoutError::Unreadable(error.to_string()))?;
            Ok((Provider::parse(&row.provider).ok_or(CheckoutError::Unreadable(row.provider))?, event))
        })
        .collect()
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
