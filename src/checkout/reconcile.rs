//! Asks the provider instead of waiting to be told: about orders that wait for a payment, about its events since the list was last
//! read, about refunds that were not answered. What it says goes the way that events go.

use crate::checkout::event::{PaymentEvent, SessionFacts};
use crate::checkout::payments::{Payments, PaymentsError};
use crate::checkout::refunding::finish_refunds;
use crate::checkout::store::cancelling::close_lost_order;
use crate::checkout::store::events::{Decision, EventOutcome, insert_event, listed_until, set_listed_until, unsettled_events};
use crate::checkout::store::fulfilment::{expire_unopened_orders, note_payment, settle_session};
use crate::checkout::store::refunds::take_leftovers;
use crate::checkout::store::{CheckoutError, OpenOrder, open_orders};
use crate::checkout::webhook::settle_stored;
use crate::mail::outbox::Outbox;
use chrono::{TimeDelta, Utc};
use serde::Serialize;
use sqlx::PgPool;

/// A delivery in progress is not left over.
const OLDER_THAN: TimeDelta = TimeDelta::seconds(30);

/// A provider may list an event a little after the moment it gives it.
const OVERLAP: TimeDelta = TimeDelta::minutes(10);

/// Longer than a provider remembers the key of a session that it may have opened, and than a session can be paid.
const UNOPENED_FOR: TimeDelta = TimeDelta::hours(25);

/// Orders and refunds in one go.
const PAGE: i64 = 100;

/// What a reconciliation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reconciled {
    /// Events of the provider's list that had never reached us.
    pub new_events: i64,
    /// Orders that were asked about.
    pub asked: i64,
    /// Orders credited and closed because the provider was asked.
    pub credited: i64,
    pub closed: i64,
    /// Refunds that have their answer now.
    pub refunds: i64,
}

/// Everything, once. Safe to run anywhere, any number of times at once.
pub async fn reconcile(db: &PgPool, outbox: &Outbox, payments: &Payments) -> Result<Reconciled, CheckoutError> {
    let mut done = Reconciled::default();
    settle_left_events(db, outbox, PAGE).await?;
    // A list that cannot be read keeps nobody's order from being asked about.
    let read = read_events(db, outbox, payments).await;
    ask_about_orders(db, outbox, payments, &mut done).await?;
    done.new_events = read?;
    done.closed += i64::try_from(expire_unopened_orders(db, UNOPENED_FOR).await?).unwrap_or(i64::MAX);
    done.refunds = finish_refunds(db, payments, TimeDelta::zero(), PAGE).await?;
    take_leftovers(db, PAGE).await?;
    Ok(done)
}

/// Settles events that were stored but not acted on, because the process ended in between; at most `most`. One that cannot be settled
/// keeps none of the others from it. Returns how many it settled.
pub async fn settle_left_events(db: &PgPool, outbox: &Outbox, most: i64) -> Result<i64, CheckoutError> {
    let mut settled = 0;
    for (provider, event) in unsettled_events(db, OLDER_THAN, most).await? {
        settled += i64::from(settle_stored(db, outbox, provider, &event).await);
    }
    Ok(settled)
}

/// Stores and settles the events that the provider lists since the list was last read to its end. Returns how many were new.
async fn read_events(db: &PgPool, outbox: &Outbox, payments: &Payments) -> Result<i64, CheckoutError> {
    let Some(provider) = payments.provider() else { return Ok(0) };
    let begun = Utc::now();
    // Without an order there is nothing that an event could be about.
    let Some(since) = listed_until(db, provider).await? else { return Ok(0) };
    let (mut new, mut after) = (0, None);
    loop {
        let page = payments.events_since((since - OVERLAP).timestamp(), after.as_deref()).await?;
        for payload in page.events.into_iter().rev() {
            let Ok(event) = PaymentEvent::from_payload(payload) else { continue };
            new += i64::from(insert_event(db, provider, &event).await?);
            settle_stored(db, outbox, provider, &event).await;
        }
        after = page.after;
        if after.is_none() {
            break;
        }
    }
    set_listed_until(db, provider, begun).await?;
    Ok(new)
}

async fn ask_about_orders(db: &PgPool, outbox: &Outbox, payments: &Payments, done: &mut Reconciled) -> Result<(), CheckoutError> {
    let mut after = None;
    loop {
        let orders = open_orders(db, after, PAGE).await?;
        let Some(last) = orders.last() else { return Ok(()) };
        after = Some(last.order_id);
        for order in &orders {
            match ask_about_order(db, outbox, payments, order).await {
                Ok(Some(decision)) => {
                    done.asked += 1;
                    done.credited += i64::from(decision.outcome == EventOutcome::Fulfilled);
                    done.closed += i64::from(decision.outcome == EventOutcome::Closed);
                }
                Ok(None) => {}
                // A session of another Stripe account, or of one that was replaced: the others must not wait for it.
                Err(CheckoutError::Payments(error @ (PaymentsError::Refused(_) | PaymentsError::NotConfigured))) => {
                    tracing::error!(order_id = %order.order_id, %error, "an order cannot be asked about");
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Asks what became of an order's session, and acts on it. None = its provider keeps no sessions.
pub async fn ask_about_order(
    db: &PgPool,
    outbox: &Outbox,
    payments: &Payments,
    order: &OpenOrder,
) -> Result<Option<Decision>, CheckoutError> {
    let session = match payments.session(order.provider, &order.session_id).await {
        // Of another account there, or of its other mode: it will say nothing else.
        Err(PaymentsError::UnknownSession) => {
            tracing::warn!(order_id = %order.order_id, "the provider does not know the session of an order");
            return close_lost_order(db, order.order_id, UNOPENED_FOR).await.map(Some);
        }
        answered => answered?,
    };
    let Some(session) = session else { return Ok(None) };
    let facts = SessionFacts::of(&session);
    let decision = settle_session(db, outbox, order.provider, &facts).await?;
    if let (EventOutcome::AlreadyFulfilled, Some(payment_id)) = (decision.outcome, facts.payment_id) {
        note_payment(db, outbox, order.order_id, payment_id).await?;
    }
    let (outcome, reason) = (decision.outcome.as_str(), decision.reason.as_deref());
    match decision.outcome {
        EventOutcome::Quarantined => {
            tracing::error!(order_id = %order.order_id, reason, "the provider's session does not fit its order");
        }
        EventOutcome::Ignored => {}
        _ => tracing::info!(order_id = %order.order_id, outcome, "order settled by asking"),
    }
    Ok(Some(decision))
}
