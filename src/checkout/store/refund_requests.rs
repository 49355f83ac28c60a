//! Refunds that an operator or the customer asks for: what they come to, and the rows with which they begin. The Tokens leave the
//! order's grant in this transaction; only then is the provider asked.

use crate::accounts::rights::Admin;
use crate::checkout::payments::Provider;
use crate::checkout::store::fulfilment::{LockedOrder, locked_order_in};
use crate::checkout::store::refunds::tokens_for;
use crate::checkout::store::{CheckoutError, stay_in, stored_currency, stored_provider};
use crate::checkout::types::{OrderStatus, RefundStatus};
use crate::checkout::types_refund::{OwnRefundRequest, RefundOffer};
use crate::connections::again;
use crate::ids::{ActionId, OrderId, RefundId, UserId};
use crate::journal::record::{Actor, Entry, record_in};
use crate::journal::types::Kind;
use crate::money::Money;
use crate::operators::audit::{Action, insert_action_in};
use crate::operators::rights::Operator;
use crate::tokens::Tokens;
use crate::wallet::ledger::LedgerError;
use crate::wallet::ledger::refunds::{OrderedGrant, grant_of_order_in, take_refunded_in};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// How much of an order is to go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundPart {
    /// What is left of the Tokens, and their share of the price, rounded down to what the provider can move.
    Unused,
    /// So many of those left, and their share of the price, rounded down in the same way.
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
    pub attempt: i32,
    pub order_id: OrderId,
    pub provider: Provider,
    pub session_id: Option<String>,
    pub payment_id: Option<String>,
    pub amount: Money,
    pub tokens: Tokens,
    /// Whether it was first asked for more than an hour ago.
    pub long_ago: bool,
}

/// Takes the Tokens, and writes down what is to be asked for and that an operator wanted it.
pub async fn request_refund(
    db: &PgPool,
    operator: Operator,
    order_id: OrderId,
    part: RefundPart,
    reason: Option<&str>,
) -> Result<RequestedRefund, CheckoutError> {
    again(|| request_refund_once(db, operator, order_id, part, reason)).await
}

async fn request_refund_once(
    db: &PgPool,
    operator: Operator,
    order_id: OrderId,
    part: RefundPart,
    reason: Option<&str>,
) -> Result<RequestedRefund, CheckoutError> {
    let mut tx = db.begin().await?;
    let order = locked_order_in(&mut tx, order_id).await?;
    let quote = quote_in(&mut tx, order, part).await?;
    let action = Action {
        action: "order.refund",
        subject_id: order_id.to_string(),
        before: Some(json!({ "status": quote.order.status, "refunded_minor": quote.refunded_minor, "tokens_left": quote.grant.left })),
        after: Some(json!({ "amount_minor": quote.amount.minor, "currency": quote.amount.currency, "tokens": quote.tokens })),
        reason,
    };
    let action_id = insert_action_in(&mut tx, operator, action).await?;
    record_in(&mut tx, quote.order.account_id, operator.into(), asked_entry(&quote)).await?;
    let requested = begin_refund_in(&mut tx, quote, AskedBy::Operator { action_id, reason }).await?;
    tx.commit().await?;
    Ok(requested)
}

/// What a customer may have refunded of their own order now: the unused part, while its window is open.
pub async fn own_refund_offer(db: &PgPool, member: &Admin, order_id: OrderId) -> Result<RefundOffer, CheckoutError> {
    again(|| own_refund_offer_once(db, member, order_id)).await
}

async fn own_refund_offer_once(db: &PgPool, member: &Admin, order_id: OrderId) -> Result<RefundOffer, CheckoutError> {
    let mut tx = db.begin().await?;
    let order = own_order_in(&mut tx, member, order_id).await?;
    let until = open_until(&order)?;
    let quote = quote_in(&mut tx, order, RefundPart::Unused).await?;
    tx.rollback().await?;
    Ok(RefundOffer {
        order_id,
        package_name: quote.order.package_name,
        form_key: Uuid::new_v4(),
        tokens: quote.tokens,
        whole: quote.grant.whole(quote.order.tokens),
        amount: quote.amount,
        price: quote.order.price,
        held: quote.grant.held,
        until: until.into(),
    })
}

/// Takes what the customer was shown, and nothing else. The same form is the same refund; None = it had begun before.
pub async fn request_own_refund(db: &PgPool, member: &Admin, asked: &OwnRefundRequest) -> Result<Option<RequestedRefund>, CheckoutError> {
    again(|| request_own_refund_once(db, member, asked)).await
}

async fn request_own_refund_once(db: &PgPool, member: &Admin, asked: &OwnRefundRequest) -> Result<Option<RequestedRefund>, CheckoutError> {
    let mut tx = db.begin().await?;
    stay_in(&mut tx, member).await?;
    let order = own_order_in(&mut tx, member, asked.order_id).await?;
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM refunds WHERE order_id = $1 AND form_key = $2) AS "known!""#,
        asked.order_id.0,
        asked.form_key
    );
    if known.fetch_one(&mut *tx).await? {
        return Ok(None);
    }
    open_until(&order)?;
    let quote = quote_in(&mut tx, order, RefundPart::Unused).await?;
    if (quote.tokens, quote.amount.minor) != (asked.tokens, asked.amount_minor) {
        return Err(CheckoutError::RefundChanged);
    }
    record_in(&mut tx, member.account_id(), Actor::of(member), asked_entry(&quote)).await?;
    let requested = begin_refund_in(&mut tx, quote, AskedBy::Customer { user_id: member.user_id(), form_key: asked.form_key }).await?;
    tx.commit().await?;
    Ok(Some(requested))
}

async fn own_order_in(tx: &mut PgConnection, member: &Admin, order_id: OrderId) -> Result<LockedOrder, CheckoutError> {
    let order = locked_order_in(tx, order_id).await?;
    if order.account_id == member.account_id() { Ok(order) } else { Err(CheckoutError::NotFound) }
}

fn open_until(order: &LockedOrder) -> Result<DateTime<Utc>, CheckoutError> {
    let until = order.refundable_until().ok_or(CheckoutError::NoRefundWindow)?;
    if Utc::now() < until { Ok(until) } else { Err(CheckoutError::RefundWindowOver) }
}

/// What a refund would come to; the order and its account are locked.
struct Quote {
    order: LockedOrder,
    provider: Provider,
    grant: OrderedGrant,
    /// What had gone back before.
    refunded_minor: i64,
    amount: Money,
    tokens: Tokens,
}

async fn quote_in(tx: &mut PgConnection, order: LockedOrder, part: RefundPart) -> Result<Quote, CheckoutError> {
    if !matches!(order.status, OrderStatus::Fulfilled | OrderStatus::PartlyRefunded) {
        return Err(CheckoutError::NotRefundable(order.status));
    }
    let provider = stored_provider(&order.provider)?;
    let grant = grant_of_order_in(tx, order.order_id).await?;
    let refunded_minor = refunded_in(tx, order.order_id).await?;
    let (amount, tokens) = shares(&order, provider, &grant, order.price.minor - refunded_minor, part)?;
    if provider.amount_of(&amount).is_none() {
        return Err(CheckoutError::RefundOutOfRange);
    }
    Ok(Quote { order, provider, grant, refunded_minor, amount, tokens })
}

fn asked_entry(quote: &Quote) -> Entry<'_> {
    let detail = format!("{} for {} Tokens", quote.amount.exact(), quote.tokens.exact());
    Entry::of(Kind::RefundAsked).about(quote.order.order_id.0, &quote.order.package_name).saying(detail)
}

/// Who wants the money back.
enum AskedBy<'a> {
    Operator { action_id: ActionId, reason: Option<&'a str> },
    Customer { user_id: UserId, form_key: Uuid },
}

async fn begin_refund_in(tx: &mut PgConnection, quote: Quote, asked_by: AskedBy<'_>) -> Result<RequestedRefund, CheckoutError> {
    let Quote { order, provider, grant, amount, tokens, .. } = quote;
    let (refund_id, order_id) = (RefundId::generate(), order.order_id);
    let (action_id, reason, user_id, form_key) = match asked_by {
        AskedBy::Operator { action_id, reason } => (Some(action_id.0), reason, None, None),
        AskedBy::Customer { user_id, form_key } => (None, None, Some(user_id.0), Some(form_key)),
    };
    sqlx::query!(
        "INSERT INTO refunds (refund_id, order_id, provider, amount_minor, tokens, status, action_id, reason, user_id, form_key)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        refund_id.0,
        order_id.0,
        provider.as_str(),
        amount.minor,
        tokens.0,
        RefundStatus::Requested.as_str(),
        action_id,
        reason,
        user_id,
        form_key
    )
    .execute(&mut *tx)
    .await?;
    let taken = take_refunded_in(tx, &grant, order_id, Some(refund_id), tokens).await?;
    if taken != tokens {
        return Err(LedgerError::NotEnoughLeft.into());
    }
    let (session_id, payment_id) = (order.session_id, order.payment_id);
    Ok(RequestedRefund { refund_id, attempt: 0, order_id, provider, session_id, payment_id, amount, tokens, long_ago: false })
}

/// What of the price has gone back, or is on its way.
pub(super) async fn refunded_in(tx: &mut PgConnection, order_id: OrderId) -> Result<i64, CheckoutError> {
    let refunded = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(amount_minor), 0)::bigint AS "refunded!" FROM refunds WHERE order_id = $1 AND status <> 'failed'"#,
        order_id.0
    );
    Ok(refunded.fetch_one(tx).await?)
}

/// What a part comes to, in money and Tokens. `rest_minor` is what of the price has not gone back.
fn shares(
    order: &LockedOrder,
    provider: Provider,
    grant: &OrderedGrant,
    rest_minor: i64,
    part: RefundPart,
) -> Result<(Money, Tokens), CheckoutError> {
    let whole = grant.whole(order.tokens);
    let worth = |tokens: Tokens| order.price.share(tokens, whole).map_or(0, |share| share.minor);
    let (minor, tokens) = match part {
        RefundPart::Unused => (provider.movable(worth(grant.left).min(rest_minor), &order.price.currency), grant.left),
        RefundPart::Tokens(tokens) if tokens > grant.left => return Err(LedgerError::NotEnoughLeft.into()),
        RefundPart::Tokens(tokens) => (provider.movable(worth(tokens).min(rest_minor), &order.price.currency), tokens),
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
        r#"SELECT r.refund_id, r.attempt, r.order_id, r.provider, r.amount_minor, r.tokens, o.currency, o.provider_session_id,
                  o.provider_payment_id, r.created_at < now() - interval '1 hour' AS "long_ago!"
             FROM refunds r JOIN orders o USING (order_id)
            WHERE r.status = 'requested' AND r.created_at < now() - $1::bigint * interval '1 second' ORDER BY r.created_at LIMIT $2"#,
        older_than.num_seconds(),
        most
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(RequestedRefund {
                refund_id: RefundId(row.refund_id),
                attempt: row.attempt,
                order_id: OrderId(row.order_id),
                provider: stored_provider(&row.provider)?,
                session_id: row.provider_session_id,
                payment_id: row.provider_payment_id,
                amount: Money::new(row.amount_minor, stored_currency(&row.currency)?),
                tokens: Tokens(row.tokens.unwrap_or(0)),
                long_ago: row.long_ago,
            })
        })
        .collect()
}

/// The provider answers this attempt for a day as it did now. Returns the one that counts from now on; any number at once make one.
pub async fn next_attempt(db: &PgPool, refund_id: RefundId, after: i32) -> Result<i32, CheckoutError> {
    sqlx::query!("UPDATE refunds SET attempt = attempt + 1 WHERE refund_id = $1 AND attempt = $2", refund_id.0, after).execute(db).await?;
    Ok(sqlx::query_scalar!("SELECT attempt FROM refunds WHERE refund_id = $1", refund_id.0).fetch_one(db).await?)
}

#[cfg(test)]
#[path = "refund_requests_tests.rs"]
mod tests;
