//! From a confirmed form to the page where it is paid. Each step may be repeated: the form is the order, the order is the
//! provider's idempotency key, and the first session noted stands.

use crate::accounts::rights::Member;
use crate::checkout::payments::{Payments, PaymentsError};
use crate::checkout::store::{self, CheckoutError, PlacedOrder};
use crate::checkout::types::{OrderRequest, OrderStatus};
use sqlx::PgPool;
use std::time::Duration;

/// Waits between attempts to open a session. The second post of a double click meets the first at the provider (Stripe answers
/// 409) and finds its session after one of these.
const WAITS: [Duration; 3] = [Duration::from_millis(200), Duration::from_millis(600), Duration::from_millis(1_500)];

/// Places the order and opens its checkout. Returns where the customer goes next.
pub async fn place(db: &PgPool, payments: &Payments, member: &Member, request: &OrderRequest) -> Result<String, CheckoutError> {
    let provider = payments.provider().ok_or(PaymentsError::NotConfigured)?;
    let order = store::place_order(db, member, provider, request).await?;
    let order_page = format!("/orders/{}", order.purchase.order_id);
    match order.status {
        OrderStatus::Created => Ok(open_checkout(db, payments, &order).await?.unwrap_or(order_page)),
        OrderStatus::AwaitingPayment => Ok(order.checkout_url.unwrap_or(order_page)),
        _ => Ok(order_page),
    }
}

/// Opens the order's session. None = the order is no longer waiting for one.
async fn open_checkout(db: &PgPool, payments: &Payments, order: &PlacedOrder) -> Result<Option<String>, CheckoutError> {
    let order_id = order.purchase.order_id;
    let mut waits = WAITS.iter();
    loop {
        match payments.open(order.provider, &order.purchase).await {
            Ok(session) => return store::set_checkout_session(db, order_id, &session).await,
            Err(error @ PaymentsError::NotConfigured) => return Err(error.into()),
            Err(error @ PaymentsError::Refused(_)) => {
                tracing::error!(%order_id, %error, "checkout session refused, order cancelled");
                store::cancel_unopened_order(db, order_id).await?;
                return Err(error.into());
            }
            Err(error @ PaymentsError::Unreachable(_)) => {
                let Some(wait) = waits.next() else {
                    tracing::error!(%order_id, %error, "no checkout session; the order waits for another attempt");
                    return Err(error.into());
                };
                tokio::time::sleep(*wait).await;
                if let Some(url) = store::checkout_url(db, order_id).await? {
                    return Ok(Some(url));
                }
            }
        }
    }
}
