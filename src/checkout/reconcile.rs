//! Asks the provider instead of waiting to be told: about orders that wait for a payment, about its events since the list was last
//! read, about refunds that were not answered. What it says goes the way that events go.

use crate::checkout::event::{PaymentEvent, SessionFacts};
use crate::checkout::payments::{Payments, PaymentsError};
use crate::checkout::refunding::finish_refunds;
use crate::checkout::store::asked::settle_asked;
use crate::checkout::store::cancelling::close_lost_order;
use crate::checkout::store::events::{
    Decision, EventOutcome, insert_event, listed_until, overtaken_events, set_listed_until, settle_overtaken, unsettled_events,
};
use crate::checkout::store::failures::Failures;
use crate::checkout::store::fulfilment::{expire_unopened_orders, note_payment};
use crate::checkout::store::refunds::take_leftovers;
use crate::checkout::store::{CheckoutError, OpenOrder, open_orders};
use crate::checkout::webhook::{report, settle_stored};
use crate::mail::outbox::Outbox;
use chrono::{TimeDelta, Utc};
use serde::Serialize;
use sqlx::PgPool;

/// A delivery in progress is not left over.
const OLDER_THAN: TimeDelta = TimeDelta::seconds(30);

/// A provider may list an event a little after the moment it gives it.
const OVERLAP: TimeDelta = TimeDelta::minutes(10);

/// Longer than a provider remembers the key of a session that it may have opened, and than a session can be paid.
pub const UNOPENED_FOR: TimeDelta = TimeDelta::hours(25);

/// Events, orders and refunds in one go.
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

/// Everything, once. Safe to run anywhere, any number of times at once. Each step is tried, whatever became of those before it: a list
/// that cannot be read keeps nobody's order from being asked about, nor one order the others. The first error is returned at the end.
pub async fn reconcile(db: &PgPool, outbox: &Outbox, payments: &Payments) -> Result<Reconciled, CheckoutError> {
    let (mut done, mut failures) = (Reconciled::default(), Failures::default());
    failures.keep("settle left events", settle_left_events(db, outbox, PAGE).await);
    // Before a provider is asked, which may take its time over each order.
    let expired = failures.keep("expire unopened orders", expire_unopened_orders(db, UNOPENED_FOR).await);
    done.new_events = failures.keep("read events", read_events(db, outbox, payments).await);
    failures.keep("ask about orders", ask_about_orders(db, outbox, payments, &mut done).await);
    done.closed += i64::try_from(expired).unwrap_or(i64::MAX);
    done.refunds = failures.keep("finish refunds", finish_refunds(db, payments, TimeDelta::zero(), PAGE).await);
    failures.keep("take leftovers", take_leftovers(db, PAGE).await);
    failures.end(done)
}

/// Settles events that were stored but not acted on, because the process ended in between, and those that wait although their payment
/// is known by now; `page` at a time, and each of them once: one that cannot be settled keeps none of the others from it. Returns how
/// many it settled.
pub async fn settle_left_events(db: &PgPool, outbox: &Outbox, page: i64) -> Result<i64, CheckoutError> {
    let mut failures = Failures::default();
    let left = failures.keep("settle events that were left", settle_unsettled(db, outbox, page).await);
    let overtaken = failures.keep("settle events that waited", settle_waiting(db, outbox, page).await);
    failures.end(left + overtaken)
}

async fn settle_unsettled(db: &PgPool, outbox: &Outbox, page: i64) -> Result<i64, CheckoutError> {
    let (mut settled, mut last) = (0, None);
    loop {
        let mut left = unsettled_events(db, OLDER_THAN, last.as_ref(), page).await?;
        for one in &left {
            settled += i64::from(settle_stored(db, outbox, one.provider, &one.event).await);
        }
        last = left.pop();
        if last.is_none() {
            return Ok(settled);
        }
    }
}

async fn settle_waiting(db: &PgPool, outbox: &Outbox, page: i64) -> Result<i64, CheckoutError> {
    let (mut settled, mut after, mut failures) = (0, 0, Failures::default());
    loop {
        let waiting = overtaken_events(db, None, after, page).await?;
        let Some(last) = waiting.last() else { return failures.end(settled) };
        after = last.place;
        for one in &waiting {
            let decided = settle_overtaken(db, outbox, one.provider, &one.event).await;
            if let Some(decision) = failures.keep("settle an event that waited", decided) {
                report(one.provider, &one.event, &decision);
                settled += 1;
            }
        }
    }
}

/// Stores and settles the events that the provider lists since the list was last read to its end. Returns how many were new.
async fn read_events(db: &PgPool, outbox: &Outbox, payments: &Payments) -> Result<i64, CheckoutError> {
    let Some(provider) = payments.provider() else { return Ok(0) };
    let begun = Utc::now();
    // Without an order there is nothing that an event could be about.
    let Some(since) = listed_until(db, provider).await? else { return Ok(0) };
    let (mut new, mut after, mut failures) = (0, None, Failures::default());
    loop {
        let page = payments.events_since((since - OVERLAP).timestamp(), after.as_deref()).await?;
        for payload in page.events.into_iter().rev() {
            let Ok(event) = PaymentEvent::of(payload) else { continue };
            if let Some(is_new) = failures.keep("store a listed event", insert_event(db, provider, &event).await.map(Some)) {
                new += i64::from(is_new);
                settle_stored(db, outbox, provider, &event).await;
            }
        }
        after = page.after;
        if after.is_none() {
            break;
        }
    }
    // What could not be stored is listed again next time.
    failures.end(())?;
    set_listed_until(db, provider, begun).await?;
    Ok(new)
}

async fn ask_about_orders(db: &PgPool, outbox: &Outbox, payments: &Payments, done: &mut Reconciled) -> Result<(), CheckoutError> {
    let (mut after, mut failures) = (None, Failures::default());
    loop {
        let orders = open_orders(db, after, PAGE).await?;
        let Some(last) = orders.last() else { return failures.end(()) };
        after = Some(last.order_id);
        for order in &orders {
            match ask_about_order(db, outbox, payments, order).await {
                Ok(Some(decision)) => {
                    done.asked += 1;
                    done.credited += i64::from(decision.outcome == EventOutcome::Fulfilled);
                    done.closed += i64::from(decision.outcome == EventOutcome::Closed);
                }
                Ok(None) => {}
                // A session of another Stripe account, or of one that was replaced: nothing that would be otherwise next time.
                Err(CheckoutError::Payments(error @ (PaymentsError::Refused(_) | PaymentsError::NotConfigured))) => {
                    tracing::error!(order_id = %order.order_id, %error, "an order cannot be asked about");
                }
                Err(error) => {
                    tracing::error!(order_id = %order.order_id, ?error, "an order was not settled by asking");
                    failures.note(error);
                }
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
    let decision = settle_asked(db, outbox, order, &session).await?;
    if let (EventOutcome::AlreadyFulfilled, Some(payment_id)) = (decision.outcome, SessionFacts::of(&session).payment_id) {
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
