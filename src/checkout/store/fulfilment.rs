//! The only place where an order turns into Tokens, and where one that will not be paid is closed. Whether the provider told us or
//! was asked makes no difference here.

use crate::checkout::event::SessionFacts;
use crate::checkout::payments::Provider;
use crate::checkout::store::events::{Decision, EventOutcome};
use crate::checkout::store::failures::Failures;
use crate::checkout::store::transitions::{Cause, move_order_in};
use crate::checkout::store::{CheckoutError, events, receipts, refunds, stored_currency, stored_start, stored_status};
use crate::checkout::types::{OrderStatus, Start};
use crate::connections::again;
use crate::ids::{AccountId, GrantId, OrderId, PackageId};
use crate::mail::outbox::Outbox;
use crate::money::Money;
use crate::tokens::Tokens;
use crate::wallet::ledger::renewals::{issue_queued_grant_in, roll_over_in};
use crate::wallet::ledger::{GrantCause, NewGrant, Scope, issue_grant_in};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// What a checkout session means for its order: paid, closed, or nothing yet.
pub async fn settle_session_in(
    tx: &mut PgConnection,
    outbox: &Outbox,
    provider: Provider,
    session: &SessionFacts<'_>,
    cause: Cause<'_>,
) -> Result<Decision, CheckoutError> {
    let payment = session.payment;
    match (session.status, session.payment_status, payment.status) {
        (_, Some("paid"), _) => fulfil_order_in(tx, outbox, provider, session, cause).await,
        // The customer has paid by a method that takes days. What their bank made of that is said of the payment, where it was looked at;
        // the session had been read before.
        (Some("complete"), Some("unpaid"), Some("succeeded")) => {
            let paid =
                SessionFacts { payment_status: Some("paid"), amount_total: payment.received, currency: payment.currency, ..*session };
            fulfil_order_in(tx, outbox, provider, &paid, cause).await
        }
        (Some("complete"), Some("unpaid"), Some("requires_payment_method" | "canceled")) => {
            close_order_in(tx, provider, session, OrderStatus::Declined, cause).await
        }
        // On its way still; a word that we do not know says nothing.
        (Some("complete"), Some("unpaid"), _) => note_begun_payment_in(tx, provider, session).await,
        (Some("expired"), ..) => close_order_in(tx, provider, session, OrderStatus::Expired, cause).await,
        _ => Ok(Decision::new(EventOutcome::Ignored, None).because("not paid yet")),
    }
}

/// Credits a paid order, if the payment is exactly the one it asked for, and mails its receipt. Money that arrives for an order that had
/// been closed still buys.
pub async fn fulfil_order_in(
    tx: &mut PgConnection,
    outbox: &Outbox,
    provider: Provider,
    session: &SessionFacts<'_>,
    cause: Cause<'_>,
) -> Result<Decision, CheckoutError> {
    let Some(order) = order_of_session_in(tx, provider, session).await? else {
        return Ok(Decision::new(EventOutcome::Quarantined, None).because("no order of ours is paid by this session"));
    };
    let decision = |outcome| Decision::new(outcome, Some(order.order_id));
    if let Some(reason) = order.stranger(provider, session).or_else(|| order.other_payment(provider, session)) {
        return Ok(decision(EventOutcome::Quarantined).because(reason));
    }
    if order.status.was_fulfilled() {
        return Ok(decision(EventOutcome::AlreadyFulfilled));
    }
    move_order_in(tx, order.order_id, order.status, OrderStatus::Paid, cause).await?;
    grant_in(tx, &order).await?;
    sqlx::query!("UPDATE orders SET provider_payment_id = $2 WHERE order_id = $1", order.order_id.0, session.payment_id)
        .execute(&mut *tx)
        .await?;
    move_order_in(tx, order.order_id, OrderStatus::Paid, OrderStatus::Fulfilled, cause).await?;
    // What had come before the payment was known: refunds and disputes of it.
    if session.payment_id.is_some() {
        Box::pin(events::settle_waiting_in(tx, outbox, order.order_id)).await?;
    }
    refunds::restate_in(tx, order.order_id, cause).await?;
    // Last, when nothing is left to wait for: everybody's next number waits for this one.
    receipts::issue_receipt_in(tx, outbox, order.order_id).await?;
    receipts::issue_credit_notes_in(tx, order.order_id).await?;
    Ok(decision(EventOutcome::Fulfilled))
}

/// The Tokens of an order: beside what the account has of the package, or for when the last of that ends. That is known only now: it
/// may have been used up since the order was confirmed, or followed by another.
async fn grant_in(tx: &mut PgConnection, order: &LockedOrder) -> Result<GrantId, CheckoutError> {
    let grant = NewGrant {
        account_id: order.account_id,
        cause: GrantCause::Order(order.order_id),
        tokens: order.tokens,
        scope: Scope { supplier_ids: order.scope_supplier_ids.clone(), model_ids: order.scope_model_ids.clone() },
        valid_for: TimeDelta::try_seconds(order.valid_for_s).unwrap_or(TimeDelta::MAX),
        note: None,
    };
    if order.starts == Start::AfterCurrent
        && let Some(grant_id) = issue_queued_grant_in(tx, &grant, order.package_id).await?
    {
        return Ok(grant_id);
    }
    let grant_id = issue_grant_in(tx, &grant).await?;
    if order.rolls_over {
        roll_over_in(tx, order.account_id, order.package_id, order.order_id, grant_id).await?;
    }
    Ok(grant_id)
}

/// Notes that the customer has paid by a method that takes days: until the bank has decided, nobody is to pay again, nor to cancel.
pub async fn note_begun_payment_in(
    tx: &mut PgConnection,
    provider: Provider,
    session: &SessionFacts<'_>,
) -> Result<Decision, CheckoutError> {
    let mut decision = Decision::new(EventOutcome::Ignored, None).because("awaiting asynchronous payment");
    if let Some(order) = order_of_session_in(tx, provider, session).await?
        && order.stranger(provider, session).is_none()
    {
        sqlx::query!("UPDATE orders SET payment_begun_at = now() WHERE order_id = $1 AND payment_begun_at IS NULL", order.order_id.0)
            .execute(&mut *tx)
            .await?;
        decision.order_id = Some(order.order_id);
    }
    Ok(decision)
}

/// Closes an order that will not be paid. One that was paid, or closed, stays as it is.
pub async fn close_order_in(
    tx: &mut PgConnection,
    provider: Provider,
    session: &SessionFacts<'_>,
    status: OrderStatus,
    cause: Cause<'_>,
) -> Result<Decision, CheckoutError> {
    let Some(order) = order_of_session_in(tx, provider, session).await? else {
        return Ok(Decision::new(EventOutcome::Ignored, None).because("no order of ours waits for this session"));
    };
    let decision = |outcome| Decision::new(outcome, Some(order.order_id));
    if status == OrderStatus::Expired && order.never_knew(provider, session) {
        return Ok(decision(EventOutcome::Ignored).because("a session of this order to which nobody was sent"));
    }
    if let Some(reason) = order.stranger(provider, session) {
        return Ok(decision(EventOutcome::Quarantined).because(reason));
    }
    match order.status {
        OrderStatus::AwaitingPayment => {
            move_order_in(tx, order.order_id, order.status, status, cause).await?;
            Ok(decision(EventOutcome::Closed))
        }
        status if status.was_fulfilled() => Ok(decision(EventOutcome::AlreadyFulfilled)),
        _ => Ok(decision(EventOutcome::Ignored).because("the order was closed before")),
    }
}

/// Notes the payment of an order that was fulfilled without learning it, and what had waited for it.
pub async fn note_payment(db: &PgPool, outbox: &Outbox, order_id: OrderId, payment_id: &str) -> Result<(), CheckoutError> {
    again(|| note_payment_once(db, outbox, order_id, payment_id)).await
}

async fn note_payment_once(db: &PgPool, outbox: &Outbox, order_id: OrderId, payment_id: &str) -> Result<(), CheckoutError> {
    let mut tx = db.begin().await?;
    locked_order_in(&mut tx, order_id).await?;
    sqlx::query!("UPDATE orders SET provider_payment_id = $2 WHERE order_id = $1 AND provider_payment_id IS NULL", order_id.0, payment_id)
        .execute(&mut *tx)
        .await?;
    events::settle_waiting_in(&mut tx, outbox, order_id).await?;
    tx.commit().await?;
    Ok(())
}

/// Closes orders whose checkout was never opened, when the provider has forgotten the key under which it might have been. Returns
/// how many. One after the other, each in a transaction of its own: each may lock the promotion code that it gives back, and one that
/// cannot be closed keeps none of the others from it.
pub async fn expire_unopened_orders(db: &PgPool, older_than: TimeDelta) -> Result<u64, CheckoutError> {
    let (mut expired, mut after, mut failures) = (0, Uuid::nil(), Failures::default());
    loop {
        let orders = sqlx::query_scalar!(
            "SELECT order_id FROM orders
              WHERE status = 'created' AND created_at < now() - $1::bigint * interval '1 second' AND order_id > $2
              ORDER BY order_id LIMIT 100",
            older_than.num_seconds(),
            after
        )
        .fetch_all(db)
        .await?;
        let Some(last) = orders.last() else { return failures.end(expired) };
        after = *last;
        for order_id in orders {
            expired += u64::from(failures.keep("expire an order", expire_unopened_order(db, OrderId(order_id)).await));
        }
    }
}

/// Whether it could be: one that is locked is being opened, or closed by somebody else.
async fn expire_unopened_order(db: &PgPool, order_id: OrderId) -> Result<bool, CheckoutError> {
    let mut tx = db.begin().await?;
    let locked = sqlx::query_scalar!(
        "SELECT order_id FROM orders WHERE order_id = $1 AND status = 'created' FOR NO KEY UPDATE SKIP LOCKED",
        order_id.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    if locked.is_none() {
        return Ok(false);
    }
    move_order_in(&mut tx, order_id, OrderStatus::Created, OrderStatus::Expired, Cause::Reconciler).await?;
    tx.commit().await?;
    Ok(true)
}

/// An order's row, locked.
pub struct LockedOrder {
    pub order_id: OrderId,
    pub account_id: AccountId,
    pub package_id: PackageId,
    pub tokens: Tokens,
    pub price: Money,
    pub valid_for_s: i64,
    pub package_name: String,
    pub rolls_over: bool,
    pub starts: Start,
    pub refund_window_s: Option<i64>,
    pub fulfilled_at: Option<DateTime<Utc>>,
    pub scope_supplier_ids: Vec<Uuid>,
    pub scope_model_ids: Vec<String>,
    pub status: OrderStatus,
    pub provider: String,
    pub session_id: Option<String>,
    pub payment_id: Option<String>,
    pub livemode: Option<bool>,
    /// Whether the customer's bank is working on it.
    pub payment_begun: bool,
    pub attempt: i32,
}

impl LockedOrder {
    /// Until when its customer may give back what is not used; none = not by themselves, or not yet.
    pub fn refundable_until(&self) -> Option<DateTime<Utc>> {
        self.fulfilled_at?.checked_add_signed(TimeDelta::try_seconds(self.refund_window_s?)?)
    }

    /// Why this session is not the one that was opened for this order.
    fn stranger(&self, provider: Provider, session: &SessionFacts<'_>) -> Option<String> {
        let order_id = self.order_id.to_string();
        let references = [session.client_reference_id, session.metadata_order_id];
        if self.provider != provider.as_str() {
            Some(format!("the event is from {}, the order is paid through {}", provider.as_str(), self.provider))
        } else if session.id.is_none() || session.id != self.session_id.as_deref() {
            Some(format!("the event is about session {}, the order's is {}", said(session.id), said(self.session_id.as_ref())))
        } else if references.into_iter().flatten().any(|reference| reference != order_id) {
            let [client_reference, metadata] = references.map(said);
            Some(format!("the session refers to {client_reference} and in its metadata to {metadata}, not only to this order"))
        } else if self.livemode.zip(session.livemode).is_some_and(|(ours, theirs)| ours != theirs) {
            Some(format!("live mode is {}, the order's session has {}", said(session.livemode), said(self.livemode)))
        } else {
            None
        }
    }

    /// Whether this session was opened for the order in an attempt whose answer was lost or came too late, so that nobody was sent to it.
    fn never_knew(&self, provider: Provider, session: &SessionFacts<'_>) -> bool {
        let order_id = self.order_id.to_string();
        self.provider == provider.as_str()
            && session.id.is_some_and(|id| self.session_id.as_deref() != Some(id))
            && [session.client_reference_id, session.metadata_order_id].iter().all(|named| *named == Some(order_id.as_str()))
    }

    /// Why this payment is not the one that the order asks for.
    fn other_payment(&self, provider: Provider, session: &SessionFacts<'_>) -> Option<String> {
        let currency = session.currency.map(str::to_ascii_lowercase);
        let expected = provider.amount_of(&self.price);
        if session.mode != Some("payment") {
            Some(format!("the session's mode is {}", said(session.mode)))
        } else if session.payment_status != Some("paid") {
            Some(format!("the payment status is {}", said(session.payment_status)))
        } else if session.amount_total.is_none() || session.amount_total != expected {
            Some(format!("the amount is {}, the order's {}", said(session.amount_total), said(expected)))
        } else if currency.as_deref() != Some(self.price.currency.code()) {
            Some(format!("the currency is {}, the order's {}", said(currency), self.price.currency.code()))
        } else {
            None
        }
    }
}

/// For operators, who compare it with what the order has.
fn said<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "not said".into(), |value| value.to_string())
}

/// The order that a session names, or else the one whose session it is. Whether they fit each other is for the caller to say.
async fn order_of_session_in(
    tx: &mut PgConnection,
    provider: Provider,
    session: &SessionFacts<'_>,
) -> Result<Option<LockedOrder>, CheckoutError> {
    let reference = session.client_reference_id.or(session.metadata_order_id);
    let order_id = match reference {
        Some(reference) => reference.parse::<OrderId>().ok().map(|id| id.0),
        None => None,
    };
    let found = sqlx::query_scalar!(
        "SELECT order_id FROM orders WHERE order_id = $1 OR ($1::uuid IS NULL AND provider = $2 AND provider_session_id = $3)",
        order_id,
        provider.as_str(),
        session.id
    )
    .fetch_optional(&mut *tx)
    .await?;
    match found {
        Some(order_id) => locked_order_in(tx, OrderId(order_id)).await.map(Some),
        None => Ok(None),
    }
}

/// Locks an order. Its account is locked after it, never before.
pub async fn locked_order_in(tx: &mut PgConnection, order_id: OrderId) -> Result<LockedOrder, CheckoutError> {
    let row = sqlx::query!("SELECT * FROM orders WHERE order_id = $1 FOR NO KEY UPDATE", order_id.0)
        .fetch_optional(tx)
        .await?
        .ok_or(CheckoutError::NotFound)?;
    Ok(LockedOrder {
        order_id,
        account_id: AccountId(row.account_id),
        package_id: PackageId(row.package_id),
        tokens: Tokens(row.tokens),
        price: Money::new(row.price_minor, stored_currency(&row.currency)?),
        valid_for_s: row.valid_for_s,
        package_name: row.package_name,
        rolls_over: row.rolls_over,
        starts: stored_start(&row.starts)?,
        refund_window_s: row.refund_window_s,
        fulfilled_at: row.fulfilled_at,
        scope_supplier_ids: row.scope_supplier_ids,
        scope_model_ids: row.scope_model_ids,
        status: stored_status(&row.status)?,
        provider: row.provider,
        session_id: row.provider_session_id,
        payment_id: row.provider_payment_id,
        livemode: row.livemode,
        payment_begun: row.payment_begun_at.is_some(),
        attempt: row.attempt,
    })
}
