//! Orders as their owner's pages show them. Reads only.

use crate::accounts::rights::Reader;
use crate::checkout::payments::Provider;
use crate::checkout::store::{CheckoutError, stored_currency, stored_start, stored_status};
use crate::checkout::types::{
    OrderGrant, OrderLine, OrderList, OrderStatus, OrderView, RefundLine, RefundStatus, SandboxPayment, Validity,
};
use crate::checkout::types_refund::OwnRefund;
use crate::ids::{GrantId, OrderId, PackageId};
use crate::money::{Currency, Money};
use crate::tokens::Tokens;
use crate::utc::UtcTime;
use crate::wallet::ledger::rolled::left_of_order;
use chrono::Utc;
use sqlx::PgExecutor;

/// Orders a page.
pub const PAGE: i64 = 50;

/// The account's orders older than `before` (none = the newest), newest first, a page of them.
pub async fn orders(db: impl PgExecutor<'_> + Copy, member: &Reader, before: Option<OrderId>) -> Result<OrderList, CheckoutError> {
    let account_id = member.account_id().0;
    let before_at = match before {
        Some(order_id) => {
            let at = sqlx::query_scalar!("SELECT created_at FROM orders WHERE account_id = $1 AND order_id = $2", account_id, order_id.0);
            Some(at.fetch_optional(db).await?.ok_or(CheckoutError::NotFound)?)
        }
        None => None,
    };
    let mut rows = sqlx::query!(
        "SELECT order_id, package_name, tokens, price_minor, currency, status, created_at FROM orders
          WHERE account_id = $1 AND ($2::timestamptz IS NULL OR (created_at, order_id) < ($2, $3::uuid))
          ORDER BY created_at DESC, order_id DESC LIMIT $4",
        account_id,
        before_at,
        before.map(|id| id.0),
        PAGE + 1
    )
    .fetch_all(db)
    .await?;
    let more = rows.len() as i64 > PAGE;
    rows.truncate(PAGE as usize);
    let orders = rows
        .into_iter()
        .map(|row| {
            Ok(OrderLine {
                order_id: OrderId(row.order_id),
                package_name: row.package_name,
                tokens: Tokens(row.tokens),
                price: Money::new(row.price_minor, stored_currency(&row.currency)?),
                status: stored_status(&row.status)?,
                created_at: row.created_at.into(),
            })
        })
        .collect::<Result<Vec<OrderLine>, CheckoutError>>()?;
    let older = orders.last().filter(|_| more).map(|order| order.order_id);
    Ok(OrderList { orders, older })
}

/// One order of the account, with the grant it brought.
pub async fn order(db: impl PgExecutor<'_> + Copy, member: &Reader, order_id: OrderId) -> Result<OrderView, CheckoutError> {
    let row = sqlx::query!(
        r#"SELECT o.*, g.grant_id AS "grant_id?", g.starts_at AS "starts_at?", g.expires_at AS "expires_at?",
                  o.fulfilled_at + o.refund_window_s * interval '1 second' AS "refundable_until?",
                  ARRAY(SELECT s.name FROM suppliers s WHERE s.supplier_id = ANY (o.scope_supplier_ids) ORDER BY s.name)
                      AS "supplier_names!"
             FROM orders o LEFT JOIN grants g ON g.order_id = o.order_id WHERE o.account_id = $1 AND o.order_id = $2"#,
        member.account_id().0,
        order_id.0
    )
    .fetch_optional(db)
    .await?
    .ok_or(CheckoutError::NotFound)?;
    let status = stored_status(&row.status)?;
    let validity = row.starts_at.zip(row.expires_at).map(|(starts, ends)| Validity { starts_at: starts.into(), expires_at: ends.into() });
    let currency = stored_currency(&row.currency)?;
    let refunds = refund_lines(db, order_id, &currency).await?;
    let refundable_until = row.refundable_until.filter(|_| matches!(status, OrderStatus::Fulfilled | OrderStatus::PartlyRefunded));
    let left = match refundable_until {
        Some(_) => left_of_order(db, order_id).await?,
        None => Tokens(0),
    };
    let own_refund = match refundable_until {
        None => OwnRefund::No,
        Some(until) if until <= Utc::now() => OwnRefund::Over(until.into()),
        Some(until) if left == Tokens(0) => OwnRefund::NothingLeft(until.into()),
        Some(until) => OwnRefund::Until(until.into()),
    };
    Ok(OrderView {
        order_id,
        package_id: PackageId(row.package_id),
        package_name: row.package_name,
        tokens: Tokens(row.tokens),
        discount: (row.discount_minor > 0).then(|| Money::new(row.discount_minor, currency.clone())),
        price: Money::new(row.price_minor, currency),
        valid_for_s: row.valid_for_s,
        starts: stored_start(&row.starts)?,
        supplier_names: row.supplier_names,
        model_ids: row.scope_model_ids,
        status,
        sandbox: row.provider == Provider::Sandbox.as_str(),
        payment_begun: status == OrderStatus::AwaitingPayment && row.payment_begun_at.is_some(),
        checkout_url: row.checkout_url.filter(|_| status == OrderStatus::AwaitingPayment && row.payment_begun_at.is_none()),
        created_at: row.created_at.into(),
        fulfilled_at: row.fulfilled_at.map(UtcTime::from),
        closed_at: row.closed_at.map(UtcTime::from),
        grant: row.grant_id.zip(validity).map(|(grant_id, validity)| OrderGrant { grant_id: GrantId(grant_id), validity }),
        refunds,
        own_refund,
        may_buy: member.is_admin(),
    })
}

async fn refund_lines(db: impl PgExecutor<'_>, order_id: OrderId, currency: &Currency) -> Result<Vec<RefundLine>, CheckoutError> {
    let rows = sqlx::query!(
        r#"SELECT amount_minor, coalesce(tokens, 0) AS "tokens!", status, provider_dispute_id IS NOT NULL AS "by_bank!", created_at
             FROM refunds
            WHERE order_id = $1 ORDER BY created_at, refund_id"#,
        order_id.0
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(RefundLine {
                amount: Money::new(row.amount_minor, currency.clone()),
                tokens: Tokens(row.tokens),
                status: RefundStatus::parse(&row.status).ok_or(CheckoutError::Unreadable(row.status))?,
                by_bank: row.by_bank,
                at: row.created_at.into(),
            })
        })
        .collect()
}

/// The order that a sandbox session of this account is to pay.
pub async fn sandbox_payment(db: impl PgExecutor<'_>, member: &Reader, session_id: &str) -> Result<SandboxPayment, CheckoutError> {
    let row = sqlx::query!(
        "SELECT order_id, package_id, package_name, tokens, price_minor, currency, status FROM orders
          WHERE account_id = $1 AND provider = 'sandbox' AND provider_session_id = $2",
        member.account_id().0,
        session_id
    )
    .fetch_optional(db)
    .await?
    .ok_or(CheckoutError::NotFound)?;
    Ok(SandboxPayment {
        session_id: session_id.to_string(),
        order_id: OrderId(row.order_id),
        package_id: PackageId(row.package_id),
        package_name: row.package_name,
        tokens: Tokens(row.tokens),
        price: Money::new(row.price_minor, stored_currency(&row.currency)?),
        status: stored_status(&row.status)?,
    })
}
