//! SQL about money that goes back: refunds of ours, refunds that the provider tells of, and what banks took (`disputes`). Each is a row;
//! where the order stands and whether its grant may be spent is derived from all of its rows, so that nothing depends on the order they
//! come in.

use crate::checkout::event::{PaymentFacts, RefundFacts};
use crate::checkout::payments::{Provider, RefundAnswer};
use crate::checkout::store::CheckoutError;
use crate::checkout::store::disputes::{record_losses_in, void_losses_in};
use crate::checkout::store::events::{Decision, EventOutcome};
use crate::checkout::store::failures::Failures;
use crate::checkout::store::fulfilment::{LockedOrder, locked_order_in};
use crate::checkout::store::receipts::issue_credit_notes_in;
use crate::checkout::store::transitions::{Cause, move_order_in};
use crate::checkout::types::{OrderStatus, RefundStatus};
use crate::connections::again;
use crate::ids::{OrderId, RefundId};
use crate::tokens::Tokens;
use crate::wallet::ledger::refunds::{
    OrderedGrant, expire_frozen_in, freeze_in, grant_of_order_in, return_refunded_in, take_refunded_in, thaw_in,
};
use crate::wallet::ledger::rolled::{is_separate, separate_in};
use sqlx::{PgConnection, PgPool};

/// Takes down what the provider says of a refund, ours or somebody else's, and draws the consequences.
pub async fn refund_told_in(
    tx: &mut PgConnection,
    provider: Provider,
    refund: &RefundFacts<'_>,
    cause: Cause<'_>,
) -> Result<Decision, CheckoutError> {
    let order = match order_of_payment_in(tx, provider, &refund.payment).await? {
        Ok(order) => order,
        Err(decision) => return Ok(decision),
    };
    let decision = |outcome| Decision::new(outcome, Some(order.order_id));
    let quarantined = |reason: String| Ok(decision(EventOutcome::Quarantined).because(reason));
    let (Some(id), Some(status)) = (refund.id, refund.status) else {
        return quarantined(format!("a refund with id {:?} and status {:?}", refund.id, refund.status));
    };
    let amount = refund.payment.amount.and_then(|amount| provider.minor_of(amount, &order.price.currency)).filter(|minor| *minor > 0);
    let currency = refund.payment.currency.map(str::to_ascii_lowercase);
    let (Some(amount), true) = (amount, currency.as_deref() == Some(order.price.currency.code())) else {
        return quarantined(format!(
            "a refund of {:?} {currency:?}, the order is in {}",
            refund.payment.amount,
            order.price.currency.code()
        ));
    };
    let ours = refund.metadata_refund_id.and_then(|text| text.parse::<RefundId>().ok());
    let status = refund_status(status);
    // Known by the provider's id; or as ours by our id, which the provider repeats, while the answer has not reached us.
    let known = sqlx::query!(
        "SELECT refund_id, amount_minor, status FROM refunds
          WHERE order_id = $1 AND (provider_refund_id = $2 OR (provider_refund_id IS NULL AND refund_id = $3))
          ORDER BY provider_refund_id LIMIT 1",
        order.order_id.0,
        id,
        ours.map(|id| id.0)
    )
    .fetch_optional(&mut *tx)
    .await?;
    match known {
        Some(row) if row.amount_minor != amount => {
            return quarantined(format!("refund {} is of {}, and the provider says {amount}", row.refund_id, row.amount_minor));
        }
        // Its Tokens are back with the customer. Whether this was said before it failed, or the money has gone after all, we cannot tell.
        Some(row) if row.status == RefundStatus::Failed.as_str() && status == RefundStatus::Succeeded => {
            return quarantined(format!("refund {} had failed, and the provider says that it succeeded", row.refund_id));
        }
        Some(row) => note_status_in(tx, RefundId(row.refund_id), status, Some(id)).await?,
        None => {
            insert_foreign_refund_in(tx, provider, order.order_id, amount, status, id).await?;
        }
    }
    restate_in(tx, order.order_id, cause).await?;
    Ok(decision(EventOutcome::Recorded))
}

/// What of the provider's words for a refund we tell apart. A word that we do not know is one on its way: the next event says more.
pub fn refund_status(word: &str) -> RefundStatus {
    match word {
        "succeeded" => RefundStatus::Succeeded,
        "failed" | "canceled" => RefundStatus::Failed,
        _ => RefundStatus::Pending,
    }
}

async fn insert_foreign_refund_in(
    tx: &mut PgConnection,
    provider: Provider,
    order_id: OrderId,
    amount: i64,
    status: RefundStatus,
    provider_id: &str,
) -> Result<(), CheckoutError> {
    sqlx::query!(
        "INSERT INTO refunds (refund_id, order_id, provider, amount_minor, status, provider_refund_id) VALUES ($1, $2, $3, $4, $5, $6)",
        RefundId::generate().0,
        order_id.0,
        provider.as_str(),
        amount,
        status.as_str(),
        provider_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A refund's status only goes forward, in whichever order it is told: requested, pending, succeeded, failed. What was told of no refund at
/// the provider, such as that it made none, is not about one that is known there.
async fn note_status_in(
    tx: &mut PgConnection,
    refund_id: RefundId,
    status: RefundStatus,
    provider_id: Option<&str>,
) -> Result<(), CheckoutError> {
    sqlx::query!(
        "UPDATE refunds SET provider_refund_id = coalesce(provider_refund_id, $3),
                            status = CASE WHEN array_position(ARRAY['requested', 'pending', 'succeeded', 'failed'], $2)
                                             > array_position(ARRAY['requested', 'pending', 'succeeded', 'failed'], status)
                                          THEN $2 ELSE status END
          WHERE refund_id = $1 AND ($3::text IS NOT NULL OR status = 'requested')",
        refund_id.0,
        status.as_str(),
        provider_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes what the provider answered when it was asked for a refund of ours.
pub async fn note_answer(
    db: &PgPool,
    order_id: OrderId,
    refund_id: RefundId,
    answer: &RefundAnswer,
) -> Result<RefundStatus, CheckoutError> {
    again(|| note_answer_once(db, order_id, refund_id, answer)).await
}

async fn note_answer_once(
    db: &PgPool,
    order_id: OrderId,
    refund_id: RefundId,
    answer: &RefundAnswer,
) -> Result<RefundStatus, CheckoutError> {
    let mut tx = db.begin().await?;
    locked_order_in(&mut tx, order_id).await?;
    note_status_in(&mut tx, refund_id, answer.status, answer.id.as_deref()).await?;
    restate_in(&mut tx, order_id, Cause::Refund(refund_id)).await?;
    let status = sqlx::query_scalar!("SELECT status FROM refunds WHERE refund_id = $1", refund_id.0).fetch_one(&mut *tx).await?;
    tx.commit().await?;
    RefundStatus::parse(&status).ok_or(CheckoutError::Unreadable(status))
}

/// The order of a payment, locked; or what becomes of an event that has none.
pub(super) async fn order_of_payment_in(
    tx: &mut PgConnection,
    provider: Provider,
    payment: &PaymentFacts<'_>,
) -> Result<Result<LockedOrder, Decision>, CheckoutError> {
    let reference = payment.metadata_order_id.and_then(|text| text.parse::<OrderId>().ok());
    let found = sqlx::query_scalar!(
        "SELECT order_id FROM orders WHERE provider = $1 AND (provider_payment_id = $2 OR order_id = $3)
          ORDER BY provider_payment_id IS DISTINCT FROM $2 LIMIT 1",
        provider.as_str(),
        payment.payment_id,
        reference.map(|id| id.0)
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(order_id) = found else {
        return Ok(Err(Decision::new(EventOutcome::Waiting, None).because("no order of ours is known by this payment")));
    };
    let order = locked_order_in(tx, OrderId(order_id)).await?;
    let contradicts = order.payment_id.as_deref().zip(payment.payment_id).is_some_and(|(ours, theirs)| ours != theirs);
    if contradicts || reference.is_some_and(|reference| reference != order.order_id) {
        let reason = format!("it is about payment {:?} and order {reference:?}, which are not of one order", payment.payment_id);
        return Ok(Err(Decision::new(EventOutcome::Quarantined, Some(order.order_id)).because(reason)));
    }
    Ok(Ok(order))
}

/// What is known of an order's money.
struct Standing {
    refunded_minor: i64,
    disputed: bool,
}

/// Brings a locked order, its grant and its refunds into agreement with what is known of its money.
pub async fn restate_in(tx: &mut PgConnection, order_id: OrderId, cause: Cause<'_>) -> Result<(), CheckoutError> {
    let order = locked_order_in(tx, order_id).await?;
    if !order.status.was_fulfilled() {
        // Fulfilment comes here again.
        return Ok(());
    }
    let grant = grant_of_order_in(tx, order_id).await?;
    void_losses_in(tx, &order).await?;
    return_failed_in(tx, &grant).await?;
    take_for_foreign_refunds_in(tx, &order, &grant).await?;
    if record_losses_in(tx, &order).await? {
        take_for_foreign_refunds_in(tx, &order, &grant).await?;
    }
    let standing = standing_in(tx, order_id).await?;
    let to = match standing {
        Standing { disputed: true, .. } => OrderStatus::Disputed,
        Standing { refunded_minor, .. } if refunded_minor >= order.price.minor => OrderStatus::Refunded,
        Standing { refunded_minor: 0, .. } => OrderStatus::Fulfilled,
        Standing { .. } => OrderStatus::PartlyRefunded,
    };
    if matches!(to, OrderStatus::Disputed | OrderStatus::Refunded) {
        // The grant is out of the burn order from now on: with all Tokens of this order, and with no others.
        separate_in(tx, &grant).await?;
    }
    match to {
        OrderStatus::Disputed => freeze_in(tx, grant.grant_id).await?,
        OrderStatus::Refunded => {
            freeze_in(tx, grant.grant_id).await?;
            take_the_rest_in(tx, &order, grant).await?;
        }
        _ => thaw_in(tx, grant.grant_id).await?,
    }
    if to != order.status {
        move_order_in(tx, order_id, order.status, to, cause).await?;
    }
    issue_credit_notes_in(tx, order_id).await
}

async fn standing_in(tx: &mut PgConnection, order_id: OrderId) -> Result<Standing, CheckoutError> {
    let row = sqlx::query!(
        r#"SELECT coalesce((SELECT sum(amount_minor) FROM refunds WHERE order_id = $1 AND status IN ('pending', 'succeeded')), 0)::bigint
                      AS "refunded!",
                  EXISTS (SELECT FROM disputes WHERE order_id = $1 AND status = 'open') AS "disputed!""#,
        order_id.0
    )
    .fetch_one(tx)
    .await?;
    Ok(Standing { refunded_minor: row.refunded, disputed: row.disputed })
}

/// Refunds that were made at the provider, and what banks took, take the Tokens they stand for, as far as they are left.
async fn take_for_foreign_refunds_in(tx: &mut PgConnection, order: &LockedOrder, grant: &OrderedGrant) -> Result<(), CheckoutError> {
    let untaken = sqlx::query!(
        "SELECT refund_id, amount_minor, status FROM refunds WHERE order_id = $1 AND tokens IS NULL ORDER BY created_at, refund_id",
        order.order_id.0
    )
    .fetch_all(&mut *tx)
    .await?;
    for refund in untaken {
        let failed = refund.status == RefundStatus::Failed.as_str();
        let worth = if failed { Tokens(0) } else { tokens_for(order, grant.whole(order.tokens), refund.amount_minor) };
        let taken = take_refunded_in(tx, grant, order.order_id, Some(RefundId(refund.refund_id)), worth).await?;
        sqlx::query!("UPDATE refunds SET tokens = $2 WHERE refund_id = $1", refund.refund_id, taken.0).execute(&mut *tx).await?;
    }
    Ok(())
}

/// The Tokens that an amount of the order's price stands for, rounded up: money and Tokens go back together.
pub(super) fn tokens_for(order: &LockedOrder, whole: Tokens, amount_minor: i64) -> Tokens {
    let price = i128::from(order.price.minor);
    let tokens = (i128::from(amount_minor.min(order.price.minor)) * i128::from(whole.0) + price - 1) / price.max(1);
    Tokens(i64::try_from(tokens).unwrap_or(i64::MAX))
}

/// What refunds took that failed goes back, once.
async fn return_failed_in(tx: &mut PgConnection, grant: &OrderedGrant) -> Result<(), CheckoutError> {
    let failed = sqlx::query_scalar!(
        "UPDATE refunds SET returned_at = now() WHERE order_id = $1 AND status = 'failed' AND returned_at IS NULL RETURNING refund_id",
        grant.order_id.0
    )
    .fetch_all(&mut *tx)
    .await?;
    for refund_id in failed {
        return_refunded_in(tx, grant, RefundId(refund_id)).await?;
    }
    Ok(())
}

/// All of the money went back, so all that is left does, for the last refund. What had expired before is booked as that, which the
/// sweep leaves to us: it does not look at frozen grants.
async fn take_the_rest_in(tx: &mut PgConnection, order: &LockedOrder, grant: OrderedGrant) -> Result<(), CheckoutError> {
    let last = sqlx::query_scalar!(
        "SELECT refund_id FROM refunds WHERE order_id = $1 AND status IN ('pending', 'succeeded') ORDER BY created_at DESC, refund_id DESC LIMIT 1",
        order.order_id.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let taken = take_refunded_in(tx, &grant, order.order_id, last.map(RefundId), Tokens::MOST).await?;
    if let Some(refund_id) = last.filter(|_| taken > Tokens(0)) {
        sqlx::query!("UPDATE refunds SET tokens = tokens + $2 WHERE refund_id = $1", refund_id, taken.0).execute(&mut *tx).await?;
    }
    expire_frozen_in(tx, &grant).await?;
    Ok(())
}

/// Takes what running calls have given back since to grants whose money went back in full, and gathers what of a frozen order's Tokens
/// they gave back to others, into which it had rolled over. No call runs for a day. Returns how many orders had any.
pub async fn take_leftovers(db: &PgPool, most: i64) -> Result<i64, CheckoutError> {
    let orders = sqlx::query!(
        r#"SELECT g.order_id AS "order_id!", g.left_ > 0 AND o.status = 'refunded' AS "here!" FROM grants g JOIN orders o USING (order_id)
            WHERE g.frozen_at IS NOT NULL
              AND (g.left_ > 0 AND o.status = 'refunded'
                   OR o.rolls_over AND g.frozen_at > now() - interval '1 day'
                      AND EXISTS (SELECT FROM orders p JOIN grants h ON h.order_id = p.order_id
                                   WHERE p.account_id = o.account_id AND p.package_id = o.package_id AND h.left_ > 0))
            ORDER BY 2 DESC, g.frozen_at LIMIT $1"#,
        most
    )
    .fetch_all(db)
    .await?;
    let (mut visited, mut failures) = (0, Failures::default());
    for row in orders {
        let taken = take_leftover(db, OrderId(row.order_id), row.here).await;
        visited += i64::from(failures.keep("take what is left of a refunded order", taken));
    }
    failures.end(visited)
}

/// `here`: something is left in the order's own grant. Whether there was anything to take.
async fn take_leftover(db: &PgPool, order_id: OrderId, here: bool) -> Result<bool, CheckoutError> {
    if !here && is_separate(db, order_id).await? {
        return Ok(false);
    }
    let mut tx = db.begin().await?;
    restate_in(&mut tx, order_id, Cause::Reconciler).await?;
    tx.commit().await?;
    Ok(true)
}

#[cfg(test)]
#[path = "refunds_tests.rs"]
mod tests;
