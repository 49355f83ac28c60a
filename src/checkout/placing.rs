//! From a confirmed form to the page where it is paid. Each step may be repeated: the form is the order, the order with its customer
//! is the provider's idempotency key, and the first session noted stands. A key under which the provider keeps a failure is given up: the
//! number of the next attempt is committed before it is asked again, and is part of the next key.

use crate::accounts::rights::Admin;
use crate::checkout::payments::{CheckoutSession, Customer, Payments, PaymentsError};
use crate::checkout::store::customers::{self, current_customer, replace_customer, set_provider_id};
use crate::checkout::store::{self, CheckoutError, PlacedOrder};
use crate::checkout::types::OrderStatus;
use crate::checkout::types_placing::OrderRequest;
use crate::ids::CodeId;
use sqlx::PgPool;
use std::time::Duration;

/// Waits between attempts to open a session. The second post of a double click meets the first at the provider (Stripe answers
/// 409) and finds its session after one of these.
const WAITS: [Duration; 3] = [Duration::from_millis(200), Duration::from_millis(600), Duration::from_millis(1_500)];

/// What became of a confirmed form.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Where the customer goes next.
    pub url: String,
    /// The promotion code that the order has. That of an order of before may be another than the one that was typed since.
    pub code_id: Option<CodeId>,
}

/// Places the order and opens its checkout.
pub async fn place(db: &PgPool, payments: &Payments, member: &Admin, request: &OrderRequest) -> Result<Placed, CheckoutError> {
    let provider = payments.provider().ok_or(PaymentsError::NotConfigured)?;
    let order = store::place_order(db, member, provider, request).await?;
    let order_page = format!("/orders/{}", order.purchase.order_id);
    let url = match order.status {
        OrderStatus::Created => open_checkout(db, payments, member, &order).await?.unwrap_or(order_page),
        OrderStatus::AwaitingPayment => order.checkout_url.unwrap_or(order_page),
        _ => order_page,
    };
    Ok(Placed { url, code_id: order.code_id })
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
            Err(CheckoutError::Payments(error @ (PaymentsError::Unreachable(_) | PaymentsError::KeySpent(_)))) => {
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
    let opened = open(db, payments, order, customer.as_ref()).await;
    let (Some(gone), Err(CheckoutError::Payments(PaymentsError::UnknownCustomer))) = (&customer, &opened) else { return opened };
    tracing::warn!(customer_id = %gone.customer_id, "the provider does not know this customer any more; making another");
    replace_customer(db, gone.customer_id).await?;
    let customer = customer_of(db, payments, member, order).await?;
    open(db, payments, order, customer.as_ref()).await
}

/// Asks for the session, under the attempt that counts now.
async fn open(
    db: &PgPool,
    payments: &Payments,
    order: &PlacedOrder,
    customer: Option<&Customer>,
) -> Result<CheckoutSession, CheckoutError> {
    let order_id = order.purchase.order_id;
    let attempt = store::attempt_of(db, order_id).await?;
    let opened = payments.open(order.provider, &order.purchase, customer, attempt).await;
    if let Err(PaymentsError::KeySpent(_)) = &opened {
        store::next_attempt(db, order_id, attempt).await?;
    }
    Ok(opened?)
}

/// The account as the provider knows it. None = it keeps no customers.
async fn customer_of(db: &PgPool, payments: &Payments, member: &Admin, order: &PlacedOrder) -> Result<Option<Customer>, CheckoutError> {
    let Some(livemode) = payments.customer_mode(order.provider) else { return Ok(None) };
    let mut customer = current_customer(db, member, order.provider, livemode, &order.purchase.email).await?;
    if customer.provider_id.is_none() {
        let made = payments.make_customer(order.provider, &customer).await;
        if let Err(PaymentsError::KeySpent(_)) = &made {
            customers::next_attempt(db, &customer).await?;
        }
        let provider_id = made?;
        set_provider_id(db, customer.customer_id, &provider_id).await?;
        customer.provider_id = Some(provider_id);
    }
    Ok(Some(customer))
}
