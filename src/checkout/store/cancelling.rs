//! SQL about orders that are given up: by their customer, by an operator, or because their provider has nothing left that could be paid.
//! Whoever gives one up has made sure of that before. Its promotion code and its place in a purchase limit are free again; money that
//! arrives all the same still buys.

use crate::accounts::rights::Admin;
use crate::checkout::payments::Provider;
use crate::checkout::store::events::{Decision, EventOutcome};
use crate::checkout::store::fulfilment::{LockedOrder, locked_order_in};
use crate::checkout::store::transitions::{Cause, move_order_by_in, move_order_in, record_step_in};
use crate::checkout::store::{CheckoutError, stay_in, stored_provider, stored_status};
use crate::checkout::types::OrderStatus;
use crate::connections::again;
use crate::ids::OrderId;
use crate::journal::record::Actor;
use crate::operators::audit::{Action, insert_action_in};
use crate::operators::rights::Operator;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::{PgConnection, PgPool};

/// Who cancels an order.
#[derive(Clone, Copy, Debug)]
pub enum CancelledBy<'a> {
    /// One of their own account.
    Customer(&'a Admin),
    /// Any, for a reason.
    Operator(Operator, &'a str),
}

/// An order that waits for somebody to pay it.
#[derive(Clone, Debug)]
pub struct Cancellable {
    pub order_id: OrderId,
    pub provider: Provider,
    /// None = its checkout was not opened.
    pub session_id: Option<String>,
    pub opened_at: Option<DateTime<Utc>>,
    /// Whether somebody has paid it, and their bank is working on that.
    pub payment_begun: bool,
    pub attempt: i32,
}

impl CancelledBy<'_> {
    async fn order_in(self, tx: &mut PgConnection, order_id: OrderId) -> Result<LockedOrder, CheckoutError> {
        let CancelledBy::Customer(member) = self else { return locked_order_in(tx, order_id).await };
        stay_in(tx, member).await?;
        let order = locked_order_in(tx, order_id).await?;
        if order.account_id == member.account_id() { Ok(order) } else { Err(CheckoutError::NotFound) }
    }
}

/// The order, while it waits for a payment; none = it does not, or not any more.
pub async fn cancellable_order(db: &PgPool, by: CancelledBy<'_>, order_id: OrderId) -> Result<Option<Cancellable>, CheckoutError> {
    let mut tx = db.begin().await?;
    let order = by.order_in(&mut tx, order_id).await?;
    let opened = sqlx::query_scalar!("SELECT at FROM order_transitions WHERE order_id = $1 AND to_status = 'awaiting_payment'", order_id.0);
    let opened_at = opened.fetch_optional(&mut *tx).await?;
    tx.rollback().await?;
    if !waits(&order) {
        return Ok(None);
    }
    let (provider, payment_begun) = (stored_provider(&order.provider)?, order.payment_begun);
    Ok(Some(Cancellable { order_id, provider, session_id: order.session_id, opened_at, payment_begun, attempt: order.attempt }))
}

/// Cancels an order whose session nobody can pay any more. Whether it did: it may have moved on, or its checkout been opened, meanwhile.
/// Had the provider told of the session's end first, the order is closed by that, and an operator's deed is written down all the same.
pub async fn note_cancelled(db: &PgPool, by: CancelledBy<'_>, open: &Cancellable) -> Result<bool, CheckoutError> {
    again(|| note_cancelled_once(db, by, open)).await
}

async fn note_cancelled_once(db: &PgPool, by: CancelledBy<'_>, open: &Cancellable) -> Result<bool, CheckoutError> {
    let mut tx = db.begin().await?;
    let order = by.order_in(&mut tx, open.order_id).await?;
    let told = order.status == OrderStatus::Expired && open.session_id.is_some();
    if order.session_id != open.session_id || !(told || waits(&order)) {
        return Ok(false);
    }
    if order.payment_begun && !told {
        return Err(CheckoutError::NotCancellable);
    }
    let to = if told { order.status } else { OrderStatus::Cancelled };
    let (cause, actor) = match by {
        CancelledBy::Customer(member) => (Cause::Customer, Actor::of(member)),
        CancelledBy::Operator(operator, reason) => {
            let action = Action {
                action: "order.cancel",
                subject_id: open.order_id.to_string(),
                before: Some(json!({ "status": if told { OrderStatus::AwaitingPayment } else { order.status } })),
                after: Some(json!({ "status": to })),
                reason: Some(reason),
            };
            insert_action_in(&mut tx, operator, action).await?;
            (Cause::Operator, operator.into())
        }
    };
    if told {
        tx.commit().await?;
        return Ok(true);
    }
    move_order_by_in(&mut tx, open.order_id, order.status, OrderStatus::Cancelled, cause, actor).await?;
    tx.commit().await?;
    Ok(true)
}

fn waits(order: &LockedOrder) -> bool {
    matches!(order.status, OrderStatus::Created | OrderStatus::AwaitingPayment)
}

/// Where an order stands.
pub async fn order_status(db: &PgPool, order_id: OrderId) -> Result<OrderStatus, CheckoutError> {
    let status = sqlx::query_scalar!("SELECT status FROM orders WHERE order_id = $1", order_id.0);
    stored_status(&status.fetch_optional(db).await?.ok_or(CheckoutError::NotFound)?)
}

/// Closes an order whose provider knows no such session, if that would be over, counted from when it was opened, which may be a day after
/// the order was placed: the account there is another one, or its other mode. One whose payment the bank works on may be paid there still.
pub async fn close_lost_order(db: &PgPool, order_id: OrderId, older_than: TimeDelta) -> Result<Decision, CheckoutError> {
    let mut tx = db.begin().await?;
    let old = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM order_transitions t
                           WHERE t.order_id = o.order_id AND t.to_status = 'awaiting_payment'
                             AND t.at < now() - $2::bigint * interval '1 second') AS "old!"
             FROM orders o
            WHERE o.order_id = $1 AND o.status = 'awaiting_payment' AND o.payment_begun_at IS NULL FOR NO KEY UPDATE"#,
        order_id.0,
        older_than.num_seconds()
    );
    let decision = |outcome| Decision::new(outcome, Some(order_id)).because("the provider knows no such session");
    if old.fetch_optional(&mut *tx).await? != Some(true) {
        return Ok(decision(EventOutcome::Ignored));
    }
    move_order_in(&mut tx, order_id, OrderStatus::AwaitingPayment, OrderStatus::Expired, Cause::Reconciler).await?;
    tx.commit().await?;
    Ok(decision(EventOutcome::Closed))
}

/// Closes the orders that wait for play money, where there is none any more. Returns how many.
pub async fn close_sandbox_orders(db: &PgPool) -> Result<i64, CheckoutError> {
    let mut tx = db.begin().await?;
    let moved = sqlx::query_scalar!(
        "INSERT INTO order_transitions (order_id, from_status, to_status, cause)
         SELECT order_id, 'awaiting_payment', 'expired', 'reconciler' FROM orders
          WHERE status = 'awaiting_payment' AND provider = 'sandbox' FOR NO KEY UPDATE SKIP LOCKED
         RETURNING order_id"
    )
    .fetch_all(&mut *tx)
    .await?;
    for order_id in &moved {
        record_step_in(&mut tx, OrderId(*order_id), OrderStatus::AwaitingPayment, OrderStatus::Expired, Actor::System).await?;
    }
    tx.commit().await?;
    Ok(i64::try_from(moved.len()).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[path = "cancelling_tests.rs"]
mod tests;
