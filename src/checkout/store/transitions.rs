//! The one way to move an order: a row of `order_transitions`. Which steps there are, and that nothing else moves an order, is the
//! schema's business (migration `orders_transitions`).

use crate::checkout::payments::Provider;
use crate::checkout::store::CheckoutError;
use crate::checkout::types::OrderStatus;
use crate::ids::{OrderId, RefundId};
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
}

/// Moves a locked order. A step that does not exist is an error of the database, and nothing happened.
pub async fn move_order_in(
    tx: &mut PgConnection,
    order_id: OrderId,
    from: OrderStatus,
    to: OrderStatus,
    cause: Cause<'_>,
) -> Result<(), CheckoutError> {
    let (word, event, refund_id) = match cause {
        Cause::Checkout => ("checkout", None, None),
        Cause::Event(provider, event_id) => ("event", Some((provider.as_str(), event_id)), None),
        Cause::Reconciler => ("reconciler", None, None),
        Cause::Refund(refund_id) => ("refund", None, Some(refund_id.0)),
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
    .execute(tx)
    .await?;
    Ok(())
}
