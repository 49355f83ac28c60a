//! Giving an order up before it is paid. First its provider ends the checkout, so that nobody can pay it any more; then the order is
//! cancelled. Where the provider says that somebody was quicker and paid, the order is settled instead.

use crate::checkout::payments::{Payments, PaymentsError};
use crate::checkout::reconcile::{UNOPENED_FOR, ask_about_order};
use crate::checkout::store::cancelling::{Cancellable, CancelledBy, cancellable_order, note_cancelled, order_status};
use crate::checkout::store::{CheckoutError, OpenOrder, next_attempt};
use crate::checkout::types::OrderStatus;
use crate::ids::OrderId;
use crate::mail::outbox::Outbox;
use chrono::Utc;
use sqlx::PgPool;
use std::time::Duration;

/// Waits before attempts. The second post of a double click meets the first at the provider and finds the order cancelled after one of
/// these.
const WAITS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(300), Duration::from_millis(1_000)];

/// Cancels an order that waits for its payment; one that does not is left as it is. Returns where it stands.
pub async fn cancel(
    db: &PgPool,
    outbox: &Outbox,
    payments: &Payments,
    by: CancelledBy<'_>,
    order_id: OrderId,
) -> Result<OrderStatus, CheckoutError> {
    let mut failure = PaymentsError::Unreachable("the session is neither over nor paid".into());
    for wait in WAITS {
        tokio::time::sleep(wait).await;
        let Some(open) = cancellable_order(db, by, order_id).await? else { return order_status(db, order_id).await };
        if open.payment_begun {
            return settle_begun_payment(db, outbox, payments, &open).await;
        }
        match end_session(db, outbox, payments, &open).await {
            Ok(false) => {}
            Ok(true) => {
                if note_cancelled(db, by, &open).await? {
                    return order_status(db, order_id).await;
                }
            }
            Err(CheckoutError::Payments(error @ (PaymentsError::Unreachable(_) | PaymentsError::KeySpent(_)))) => failure = error,
            Err(error) => return Err(error),
        }
    }
    if cancellable_order(db, by, order_id).await?.is_none() {
        return order_status(db, order_id).await;
    }
    tracing::error!(%order_id, error = %failure, "an order could not be cancelled: its checkout could not be ended");
    Err(failure.into())
}

/// A payment that is on its way is not cancelled; but its bank may have decided, and nobody told us.
async fn settle_begun_payment(db: &PgPool, outbox: &Outbox, payments: &Payments, open: &Cancellable) -> Result<OrderStatus, CheckoutError> {
    match ask(db, outbox, payments, open).await {
        Err(CheckoutError::Payments(error)) => {
            tracing::warn!(order_id = %open.order_id, %error, "the provider does not say what became of a payment that is on its way");
        }
        asked => asked?,
    }
    match order_status(db, open.order_id).await? {
        OrderStatus::AwaitingPayment => Err(CheckoutError::NotCancellable),
        status => Ok(status),
    }
}

/// Whether nobody can pay the order any more. If somebody has, or its session ended by itself, it is settled.
async fn end_session(db: &PgPool, outbox: &Outbox, payments: &Payments, open: &Cancellable) -> Result<bool, CheckoutError> {
    let Some(session_id) = &open.session_id else { return Ok(true) };
    let key = format!("{}/expire/{}", open.order_id, open.attempt);
    match payments.expire(open.provider, session_id, key).await {
        Ok(()) => Ok(true),
        // Whoever has the right key may still find it paid, as long as it can be.
        Err(PaymentsError::UnknownSession) if open.opened_at.is_some_and(|at| Utc::now() - at > UNOPENED_FOR) => Ok(true),
        Err(PaymentsError::Refused(_)) => ask(db, outbox, payments, open).await.map(|()| false),
        Err(error) => {
            match error {
                PaymentsError::KeySpent(_) => next_attempt(db, open.order_id, open.attempt).await?,
                PaymentsError::UnknownSession => tracing::error!(order_id = %open.order_id, %error, "an order was not cancelled"),
                _ => {}
            }
            Err(error.into())
        }
    }
}

/// Settles the order by what became of its session.
async fn ask(db: &PgPool, outbox: &Outbox, payments: &Payments, open: &Cancellable) -> Result<(), CheckoutError> {
    let Some(session_id) = open.session_id.clone() else { return Ok(()) };
    ask_about_order(db, outbox, payments, &OpenOrder { order_id: open.order_id, provider: open.provider, session_id }).await.map(drop)
}
