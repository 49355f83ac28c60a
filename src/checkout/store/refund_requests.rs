//! Refunds that an operator asks for: what they come to, and the rows with which they begin. The Tokens leave the order's grant in
//! this transaction; only then is the provider asked.

use crate::checkout::payments::Provider;
use crate::checkout::store::fulfilment::{LockedOrder, locked_order_in};
use crate::checkout::store::refunds::tokens_for;
use crate::checkout::store::{CheckoutError, stored_currency, stored_provider};
use crate::checkout::types::{OrderStatus, RefundStatus};
use crate::ids::{OrderId, RefundId};
use crate::money::Money;
use crate::operators::audit::{Action, insert_action_in};
use crate::operators::rights::Operator;
use crate::tokens::Tokens;
use crate::wallet::ledger::LedgerError;
use crate::wallet::ledger::refunds::{OrderedGrant, grant_of_order_in, take_refunded_in};
use chrono::TimeDelta;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

/// How much of an order is to go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundPart {
    /// What is left of the Tokens, and their share of the price, rounded down.
    Unused,
    /// So many of those left, and their share of the price, rounded down.
    Tokens(Tokens),
    /// So much money, and the Tokens that it stands for, as far as they are left.
    Amount(i64),
    /// The rest of the price, and whatever is left.
    All,
}

/// A refund that the provider is to be asked for.
#[derive(Clone, Debug)]
pub struct RequestedRefund {
    pub refund_id: RefundId,
    pub order_id: OrderId,
    pub provider: Provider,
    pub session_id: Option<String>,
    pub payment_id: Option<String>,
    pub amount: Money,
    pub tokens: Tokens,
}

/// Takes the Tokens, and writes down what is to be asked for and who wanted it.
pub async fn request_refund(
    db: &PgPool,
    operator: Operator,
    order_id: OrderId,
    part: RefundPart,
    reason: Option<&str>,
) -> Result<RequestedRefund, CheckoutError> {
    let mut tx = db.begin().await?;
    let order = locked_order_in(&mut tx, order_id).await?;
    if !matches!(order.status, OrderStatus::Fulfilled | OrderStatus::PartlyRefunded) {
        return Err(CheckoutError::NotRefundable(order.status));
    }
    let provider = stored_provider(&order.provider)?;
    let grant = grant_of_order_in(&mut tx, order_id).await?;
    let before = refunded_in(&mut tx, order_id).await?;
    let (amount, tokens) = shares(&order, &grant, order.price.minor - before, part)?;
    if provider.amount_of(&amount).is_none() {
        return Err(CheckoutError::RefundOutOfRange);
    }
    let action = Action {
        action: "order.refund",
        subject_id: order_id.to_string(),
        before: Some(json!({ "status": order.status, "refunded_minor": before, "tokens_left": grant.left })),
        after: Some(json!({ "amount_minor": amount.minor, "currency": amount.currency, "tokens": tokens })),
        reason,
    };
    let action_id = insert_action_in(&mut tx, operator, action).await?;
    let refund_id = RefundId::generate();
    sqlx::query!(
        "INSERT INTO refunds (refund_id, order_id, provider, amount_minor, tokens, status, action_id, reason)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        refund_id.0,
        order_id.0,
        provider.as_str(),
        amount.minor,
        tokens.0,
        RefundStatus::Requested.as_str(),
        action_id.0,
        reason
    )
    .execute(&mut *tx)
    .await?;
    let taken = take_refunded_in(&mut tx, &grant, order_id, Some(refund_id), tokens).await?;
    if taken != tokens {
        return Err(LedgerError::NotEnoughLeft.into());
    }
    tx.commit().await?;
    Ok(RequestedRefund { refund_id, order_id, provider, session_id: order.session_id, payment_id: order.payment_id, amount, tokens })
}

/// What of the price has gone back, or is on its way.
async fn refunded_in(tx: &mut PgConnection, order_id: OrderId) -> Result<i64, CheckoutError> {
    let refunded = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(amount_minor), 0)::bigint AS "refunded!" FROM refunds WHERE order_id = $1 AND status <> 'failed'"#,
        order_id.0
    );
    Ok(refunded.fetch_one(tx).await?)
}

/// What a part comes to, in money and Tokens. `rest_minor` is what of the price has not gone back.
fn shares(order: &LockedOrder, grant: &OrderedGrant, rest_minor: i64, part: RefundPart) -> Result<(Money, Tokens), CheckoutError> {
    let whole = grant.whole(order.tokens);
    let worth = |tokens: Tokens| order.price.share(tokens, whole).map_or(0, |share| share.minor);
    let (minor, tokens) = match part {
        RefundPart::Unused => (worth(grant.left).min(rest_minor), grant.left),
        RefundPart::Tokens(tokens) if tokens > grant.left => return Err(LedgerError::NotEnoughLeft.into()),
        RefundPart::Tokens(tokens) => (worth(tokens).min(rest_minor), tokens),
        RefundPart::Amount(minor) => (minor, tokens_for(order, whole, minor).min(grant.left)),
        RefundPart::All => (rest_minor, grant.left),
    };
    if minor < 1 || minor > rest_minor {
        return Err(CheckoutError::RefundOutOfRange);
    }
    Ok((Money::new(minor, order.price.currency.clone()), tokens))
}

/// Refunds whose provider has not answered, although it has had time: the process ended in between, or the provider was away.
pub async fn unanswered_refunds(db: &PgPool, older_than: TimeDelta, most: i64) -> Result<Vec<RequestedRefund>, CheckoutError> {
    let rows = sqlx::query!(
        "SELECT r.refund_id, r.order_id, r.provider, r.amount_minor, r.tokens, o.currency, o.provider_session_id, o.provider_payment_id
           FROM refunds r JOIN orders o USING (order_id)
          WHERE r.status = 'requested' AND r.created_at < now() - $1::bigint * interval '1 second' ORDER BY r.created_at LIMIT $2",
        older_than.num_seconds(),
        most
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(RequestedRefund {
                refund_id: RefundId(row.refund_id),
                order_id: OrderId(row.order_id),
                provider: stored_provider(&row.provider)?,
                session_id: row.provider_session_id,
                payment_id: row.provider_payment_id,
                amount: Money::new(row.amount_minor, stored_currency(&row.currency)?),
                tokens: Tokens(row.tokens.unwrap_or(0)),
            })
        })
        .collect()
}
