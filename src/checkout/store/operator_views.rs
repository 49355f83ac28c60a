//! Orders as operators see them, whoever's they are: with every step and every refund. Reads only.

use crate::checkout::store::{CheckoutError, stored_currency, stored_status};
use crate::checkout::types::{OrderStatus, RefundStatus};
use crate::ids::{AccountId, ActionId, CodeId, OrderId, RefundId};
use crate::money::{Currency, Money};
use crate::tokens::Tokens;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;

/// How many orders a list shows.
const LIST_MOST: i64 = 200;

#[derive(Clone, Debug, Serialize)]
pub struct OrderRow {
    pub order_id: OrderId,
    pub account_id: AccountId,
    pub email: String,
    pub package_name: String,
    pub tokens: Tokens,
    /// What is paid; with the discount it is the package's price.
    pub price_minor: i64,
    pub discount_minor: i64,
    pub code_id: Option<CodeId>,
    pub currency: Currency,
    pub status: OrderStatus,
    pub provider: String,
    pub session_id: Option<String>,
    pub payment_id: Option<String>,
    pub created_at: DateTime<Utc>,
}

impl OrderRow {
    pub fn price(&self) -> Money {
        Money::new(self.price_minor, self.currency.clone())
    }

    pub fn discount(&self) -> Money {
        Money::new(self.discount_minor, self.currency.clone())
    }
}

/// A step that an order took.
#[derive(Clone, Debug, Serialize)]
pub struct TransitionRow {
    pub at: DateTime<Utc>,
    pub from_status: String,
    pub to_status: String,
    pub cause: String,
    pub event_id: Option<String>,
    pub refund_id: Option<RefundId>,
}

#[derive(Clone, Debug, Serialize)]
pub struct RefundRow {
    pub refund_id: RefundId,
    pub amount_minor: i64,
    pub tokens: Option<Tokens>,
    pub status: RefundStatus,
    pub provider_refund_id: Option<String>,
    pub action_id: Option<ActionId>,
    pub reason: Option<String>,
    /// An address, or a user of the machine that the command ran on; none = somebody at the provider.
    pub asked_by: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// All there is about an order.
#[derive(Clone, Debug, Serialize)]
pub struct OrderDetail {
    #[serde(flatten)]
    pub order: OrderRow,
    pub transitions: Vec<TransitionRow>,
    pub refunds: Vec<RefundRow>,
}

/// The last orders, newest first, of one account or of all.
pub async fn orders_for_operator(db: &PgPool, account_id: Option<AccountId>) -> Result<Vec<OrderRow>, CheckoutError> {
    orders(db, account_id, None).await
}

pub async fn order_for_operator(db: &PgPool, order_id: OrderId) -> Result<OrderDetail, CheckoutError> {
    let order = orders(db, None, Some(order_id)).await?.pop().ok_or(CheckoutError::NotFound)?;
    let transitions = sqlx::query!(
        "SELECT at, from_status, to_status, cause, event_id, refund_id FROM order_transitions WHERE order_id = $1 ORDER BY transition_id",
        order_id.0
    )
    .fetch_all(db)
    .await?;
    let transitions = transitions
        .into_iter()
        .map(|row| TransitionRow {
            at: row.at,
            from_status: row.from_status,
            to_status: row.to_status,
            cause: row.cause,
            event_id: row.event_id,
            refund_id: row.refund_id.map(RefundId),
        })
        .collect();
    let refunds = sqlx::query!(
        r#"SELECT r.*, coalesce(
                      (SELECT coalesce(a.system_user_name, u.email)
                         FROM operator_actions a LEFT JOIN users u ON u.user_id = a.actor_user_id WHERE a.action_id = r.action_id),
                      (SELECT u.email FROM users u WHERE u.user_id = r.user_id)
                  ) AS "asked_by?"
             FROM refunds r WHERE r.order_id = $1 ORDER BY r.created_at, r.refund_id"#,
        order_id.0
    )
    .fetch_all(db)
    .await?;
    let refunds = refunds
        .into_iter()
        .map(|row| {
            Ok(RefundRow {
                refund_id: RefundId(row.refund_id),
                amount_minor: row.amount_minor,
                tokens: row.tokens.map(Tokens),
                status: RefundStatus::parse(&row.status).ok_or(CheckoutError::Unreadable(row.status))?,
                provider_refund_id: row.provider_refund_id,
                action_id: row.action_id.map(ActionId),
                reason: row.reason,
                asked_by: row.asked_by,
                created_at: row.created_at,
            })
        })
        .collect::<Result<_, CheckoutError>>()?;
    Ok(OrderDetail { order, transitions, refunds })
}

async fn orders(db: &PgPool, account_id: Option<AccountId>, order_id: Option<OrderId>) -> Result<Vec<OrderRow>, CheckoutError> {
    let rows = sqlx::query!(
        "SELECT o.order_id, o.account_id, u.email, o.package_name, o.tokens, o.price_minor, o.discount_minor, o.code_id, o.currency, o.status,
                o.provider,
                o.provider_session_id, o.provider_payment_id, o.created_at
           FROM orders o JOIN users u USING (user_id)
          WHERE ($1::uuid IS NULL OR o.account_id = $1) AND ($2::uuid IS NULL OR o.order_id = $2)
          ORDER BY o.created_at DESC, o.order_id DESC LIMIT $3",
        account_id.map(|id| id.0),
        order_id.map(|id| id.0),
        LIST_MOST
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(OrderRow {
                order_id: OrderId(row.order_id),
                account_id: AccountId(row.account_id),
                email: row.email,
                package_name: row.package_name,
                tokens: Tokens(row.tokens),
                price_minor: row.price_minor,
                discount_minor: row.discount_minor,
                code_id: row.code_id.map(CodeId),
                currency: stored_currency(&row.currency)?,
                status: stored_status(&row.status)?,
                provider: row.provider,
                session_id: row.provider_session_id,
                payment_id: row.provider_payment_id,
                created_at: row.created_at,
            })
        })
        .collect()
}
