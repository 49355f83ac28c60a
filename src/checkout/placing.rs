//! From a confirmed form to the page where it is paid. Each step may be repeated: the form is the order, the order with its customer
//! is the provider's idempotency key, and the first session noted stands.

use crate::accounts::rights::Admin;
use crate::checkout::payments::{CheckoutSession, Customer, Payments, PaymentsError};
use crate::checkout::store::customers::{current_customer, replace_customer, set_provider_id};
use crate::checkout::store::{self, CheckoutError, PlacedOrder};
use crate::checkout::types::OrderStatus;
use crate::checkout::types_placing::OrderRequest;
use sqlx::PgPool;
use std::time::Duration;

/// Waits between attempts to open a session. The second post of a double click meets the first at the provider (Stripe answers
/// 409) and finds its session after one of these.
const WAITS: [Duration; 3] = [Duration::from_millis(200), Duration::from_millis(600), Duration::from_millis(1_500)];

/// Places the order and opens its checkout. Returns where the customer goes next.
pub async fn place(db: &PgPool, payments: &Payments, member: &Admin, request: &OrderRequest) -> Result<String, CheckoutError> {
    let provider = payments.provider().ok_or(PaymentsError::NotConfigured)?;
    let order = store::place_order(db, member, provider, request).await?;
    let order_page = format!("/orders/{}", order.purchase.order_id);
    match order.status {
        OrderStatus::Created => Ok(open_checkout(db, payments, member, &order).await?.unwrap_or(order_page)),
        OrderStatus::AwaitingPayment => Ok(order.checkout_url.unwrap_or(order_page)),
        _ => Ok(order_page),
    }
}

/// Opens the order's session. None = the order is no longer waiting for one.
async fn open_checkout(db: &PgPool, payments: &Payments, member: &Admin, order: &PlacedOrder) -> Result<Option<String>, CheckoutError> {
    let order_id = order.purchase.order_id;
    let mut waits = WAITS.iter();
    loop {
        match session_of(db, payments, member, order).await {
            Ok(session) => return store::set_checkout_session(db, order_id, &session).await,
            Err(CheckoutError::Payments(error @ (PaymentsError::Refused(_) | PaymentsError::UnknownCustomer))) => {
                tracing::error!(%order_id, %error, "checkout session refused, order cancelled");
                store::cancel_unopened_order(db, order_id).await?;
                return Err(error.into());
            }
            Err(CheckoutError::Payments(error @ PaymentsError::Unreachable(_))) => {
                let Some(wait) = waits.next() else {
                    tracing::error!(%order_id, %error, "no checkout session; the order waits for another attempt");
                    return Err(error.into());
                };
                tokio::time::sleep(*wait).await;
                if let Some(url) = store::checkout_url(db, order_id).await? {
                    return Ok(Some(url));
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// The order's session, for the account's own customer; one that was deleted at the provider is replaced by another.
async fn session_of(db: &PgPool, payments: &Payments, member: &Admin, order: &PlacedOrder) -> Result<CheckoutSession, CheckoutError> {
    let customer = customer_of(db, payments, member, order).await?;
    let opened = payments.open(order.provider, &order.purchase, customer.as_ref()).await;
    let (Some(gone), Err(PaymentsError::UnknownCustomer)) = (&customer, &opened) else { return Ok(opened?) };
    tracing::warn!(customer_id = %gone.customer_id, "the provider does not know this customer any more; making another");
    replace_customer(db, gone.customer_id).await?;
    let customer = customer_of(db, payments, member, order).await?;
    Ok(payments.open(order.provider, &order.purchase, customer.as_ref()).await?)
}

/// The account as the provider knows it. None = it keeps no customers.
async fn customer_of(db: &PgPool, payments: &Payments, member: &Admin, order: &PlacedOrder) -> Result<Option<Customer>, CheckoutError> {
    let Some(livemode) = payments.customer_mode(order.provider) else { return Ok(None) };
    let mut customer = current_customer(db, member, order.provider, livemode, &order.purchase.email).await?;
    if customer.provider_id.is_none() {
        let provider_id = payments.make_customer(order.provider, &customer).await?;
        set_provider_id(db, customer.customer_id, &provider_id).await?;
        customer.provider_id = Some(provider_id);
    }
    Ok(Some(customer))
}
