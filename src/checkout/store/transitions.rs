//! The one way to move an order: a row of `order_transitions`. Which steps there are, and that nothing else moves an order, is the
//! schema's business (migration `orders_transitions`).

use crate::checkout::payments::Provider;
use crate::checkout::store::CheckoutError;
use crate::checkout::types::OrderStatus;
use crate::ids::{AccountId, OrderId, RefundId};
use crate::journal::record::{Actor, Entry, record_in};
use crate::journal::types::Kind;
use sqlx::PgConnection;

/// Why an order moves.
#[derive(Clone, Copy, Debug)]
pub enum Cause<'a> {
    /// The customer came to pay, or the provider answered at once.
    Checkout,
    /// The provider told us.
    Event(Provider, &'a str),
    /// We asked the provider.
    Reconciler,
    /// The provider answered about a refund of ours.
    Refund(RefundId),
    /// The customer cancelled it.
    Customer,
    /// An operator did.
    Operator,
}

/// Moves a locked order. A step that does not exist is an error of the database, and nothing happened.
pub async fn move_order_in(
    tx: &mut PgConnection,
    order_id: OrderId,
    from: OrderStatus,
    to: OrderStatus,
    cause: Cause<'_>,
) -> Result<(), CheckoutError> {
    move_order_by_in(tx, order_id, from, to, cause, Actor::System).await
}

/// The same, by somebody whom the account log names.
pub async fn move_order_by_in(
    tx: &mut PgConnection,
    order_id: OrderId,
    from: OrderStatus,
    to: OrderStatus,
    cause: Cause<'_>,
    actor: Actor<'_>,
) -> Result<(), CheckoutError> {
    let (word, event, refund_id) = match cause {
        Cause::Checkout => ("checkout", None, None),
        Cause::Event(provider, event_id) => ("event", Some((provider.as_str(), event_id)), None),
        Cause::Reconciler => ("reconciler", None, None),
        Cause::Refund(refund_id) => ("refund", None, Some(refund_id.0)),
        Cause::Customer => ("customer", None, None),
        Cause::Operator => ("operator", None, None),
    };
    let (provider, event_id) = event.unzip();
    sqlx::query!(
        "INSERT INTO order_transitions (order_id, from_status, to_status, cause, provider, event_id, refund_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        order_id.0,
        from.as_str(),
        to.as_str(),
        word,
        provider,
        event_id,
        refund_id
    )
    .execute(&mut *tx)
    .await?;
    record_step_in(tx, order_id, from, to, actor).await
}

/// What of an order's steps its customer is told in the account log.
pub async fn record_step_in(
    tx: &mut PgConnection,
    order_id: OrderId,
    from: OrderStatus,
    to: OrderStatus,
    actor: Actor<'_>,
) -> Result<(), CheckoutError> {
    let kind = match (from, to) {
        (_, OrderStatus::Created | OrderStatus::AwaitingPayment | OrderStatus::Paid) => return Ok(()),
        (OrderStatus::Paid, OrderStatus::Fulfilled) => Kind::OrderFulfilled,
        (_, OrderStatus::Fulfilled) => Kind::OrderRestored,
        (_, OrderStatus::Declined | OrderStatus::Expired | OrderStatus::Cancelled) => Kind::OrderClosed,
        (_, OrderStatus::PartlyRefunded) => Kind::OrderPartlyRefunded,
        (_, OrderStatus::Refunded) => Kind::OrderRefunded,
        (_, OrderStatus::Disputed) => Kind::OrderDisputed,
    };
    let order = sqlx::query!("SELECT account_id, package_name FROM orders WHERE order_id = $1", order_id.0).fetch_one(&mut *tx).await?;
    let entry = Entry::of(kind).about(order_id.0, &order.package_name);
    record_in(tx, AccountId(order.account_id), actor, entry).await?;
    Ok(())
}
