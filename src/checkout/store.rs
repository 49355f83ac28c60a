//! SQL about orders: placing, opening, reading. What happens to them when money arrives is in `store::events`.

use crate::accounts::rights::Member;
use crate::catalog::types::PackageCard;
use crate::checkout::payments::{CheckoutSession, PaymentsError, Provider, Purchase};
use crate::checkout::types::{OrderGrant, OrderLine, OrderList, OrderRequest, OrderStatus, OrderView, SandboxPayment, Terms};
use crate::error::{ConsoleError, unavailable};
use crate::ids::{GrantId, OrderId, PackageId};
use crate::money::{Currency, Money};
use crate::tokens::Tokens;
use crate::utc::UtcTime;
use crate::wallet::ledger::LedgerError;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

pub mod events;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

/// How many orders a list shows.
const LIST_MOST: i64 = 200;

#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    #[error("the package is not on sale")]
    PackageUnavailable,
    #[error("the package changed since its terms were shown")]
    PackageChanged,
    #[error("the account bought this package as often as it may")]
    PurchaseLimitReached,
    #[error("the account is suspended")]
    AccountSuspended,
    #[error("this form was posted for another package")]
    FormReused,
    #[error("no such order")]
    NotFound,
    #[error("a row holds {0}, which is none of ours")]
    Unreadable(String),
    #[error(transparent)]
    Payments(#[from] PaymentsError),
    #[error("the order's Tokens could not be issued")]
    Ledger(#[source] LedgerError),
    #[error("database failed")]
    Db(#[source] sqlx::Error),
}

impl From<sqlx::Error> for CheckoutError {
    fn from(error: sqlx::Error) -> CheckoutError {
        CheckoutError::Db(error)
    }
}

impl From<LedgerError> for CheckoutError {
    fn from(error: LedgerError) -> CheckoutError {
        match error {
            LedgerError::Db(error) => CheckoutError::Db(error),
            other => CheckoutError::Ledger(other),
        }
    }
}

impl From<CheckoutError> for ConsoleError {
    fn from(error: CheckoutError) -> ConsoleError {
        match error {
            CheckoutError::PackageUnavailable => ConsoleError::PackageUnavailable,
            CheckoutError::PackageChanged => ConsoleError::PackageChanged,
            CheckoutError::PurchaseLimitReached => ConsoleError::PurchaseLimitReached,
            CheckoutError::AccountSuspended => ConsoleError::AccountSuspended,
            CheckoutError::FormReused => ConsoleError::BadRequest,
            CheckoutError::NotFound => ConsoleError::NotFound,
            CheckoutError::Payments(PaymentsError::NotConfigured) => ConsoleError::PaymentsUnavailable,
            CheckoutError::Payments(PaymentsError::Refused(_) | PaymentsError::Unreachable(_)) => ConsoleError::PaymentProviderFailed,
            CheckoutError::Unreadable(_) | CheckoutError::Ledger(_) => {
                tracing::error!(%error, "checkout failed");
                ConsoleError::Internal
            }
            CheckoutError::Db(error) => unavailable(&error),
        }
    }
}

/// An order on its way to be paid.
#[derive(Clone, Debug)]
pub struct PlacedOrder {
    pub status: OrderStatus,
    pub provider: Provider,
    pub checkout_url: Option<String>,
    pub purchase: Purchase,
}

/// Places an order: an immutable copy of the package, if it still is what was confirmed. The same form is the same order.
///
/// The account's row is locked first, so that orders of one account are placed one after the other: two posts of one form find
/// each other, and a purchase limit counts what is there.
pub async fn place_order(db: &PgPool, member: &Member, provider: Provider, request: &OrderRequest) -> Result<PlacedOrder, CheckoutError> {
    let mut tx = db.begin().await?;
    let account = sqlx::query!(
        r#"SELECT suspended_at IS NOT NULL AS "suspended!" FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE"#,
        member.account_id().0
    )
    .fetch_one(&mut *tx)
    .await?;
    if account.suspended {
        return Err(CheckoutError::AccountSuspended);
    }
    if let Some(order) = order_by_form_in(&mut tx, member, request.form_key).await? {
        let same = order.purchase.package_id == request.package_id;
        return if same { Ok(order) } else { Err(CheckoutError::FormReused) };
    }
    check_package_in(&mut tx, member, request).await?;
    sqlx::query!(
        "INSERT INTO orders (order_id, account_id, user_id, package_id, package_name, tokens, price_minor, currency, valid_for_s,
                             scope_supplier_ids, scope_model_ids, rolls_over, form_key, provider)
         SELECT $1, $2, $3, package_id, name, tokens, price_minor, currency, valid_for_s, scope_supplier_ids, scope_model_ids, rolls_over,
                $5, $6
           FROM packages WHERE package_id = $4",
        OrderId::generate().0,
        member.account_id().0,
        member.user_id().0,
        request.package_id.0,
        request.form_key,
        provider.as_str()
    )
    .execute(&mut *tx)
    .await?;
    let order = order_by_form_in(&mut tx, member, request.form_key).await?.ok_or(CheckoutError::NotFound)?;
    tx.commit().await?;
    Ok(order)
}

/// Locks the package as it is, and refuses what was not confirmed, is not for sale, or is one too many.
async fn check_package_in(tx: &mut PgConnection, member: &Member, request: &OrderRequest) -> Result<(), CheckoutError> {
    let package = sqlx::query!(
        "SELECT tokens, price_minor, currency, valid_for_s, rolls_over, purchase_limit FROM packages
          WHERE package_id = $1 AND status = 'on_sale' FOR SHARE",
        request.package_id.0
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(CheckoutError::PackageUnavailable)?;
    let now = Terms {
        tokens: Tokens(package.tokens),
        price: Money::new(package.price_minor, stored_currency(&package.currency)?),
        valid_for_s: package.valid_for_s,
        rolls_over: package.rolls_over,
    };
    if now != request.terms {
        return Err(CheckoutError::PackageChanged);
    }
    match package.purchase_limit {
        Some(limit) if orders_that_count_in(tx, member, request.package_id).await? >= i64::from(limit) => {
            Err(CheckoutError::PurchaseLimitReached)
        }
        _ => Ok(()),
    }
}

/// Orders of the account for this package, but for those that came to nothing.
async fn orders_that_count_in(tx: &mut PgConnection, member: &Member, package_id: PackageId) -> Result<i64, CheckoutError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM orders
            WHERE account_id = $1 AND package_id = $2 AND status NOT IN ('declined', 'expired', 'cancelled')"#,
        member.account_id().0,
        package_id.0
    )
    .fetch_one(tx)
    .await?)
}

async fn order_by_form_in(tx: &mut PgConnection, member: &Member, form_key: Uuid) -> Result<Option<PlacedOrder>, CheckoutError> {
    let row = sqlx::query!(
        "SELECT o.order_id, o.package_id, o.package_name, o.tokens, o.price_minor, o.currency, o.status, o.provider, o.checkout_url,
                u.email
           FROM orders o JOIN users u USING (user_id) WHERE o.account_id = $1 AND o.form_key = $2",
        member.account_id().0,
        form_key
    )
    .fetch_optional(tx)
    .await?;
    row.map(|row| {
        Ok(PlacedOrder {
            status: stored_status(&row.status)?,
            provider: Provider::parse(&row.provider).ok_or(CheckoutError::Unreadable(row.provider))?,
            checkout_url: row.checkout_url,
            purchase: Purchase {
                order_id: OrderId(row.order_id),
                package_id: PackageId(row.package_id),
                package_name: row.package_name,
                tokens: Tokens(row.tokens),
                price: Money::new(row.price_minor, stored_currency(&row.currency)?),
                email: row.email,
            },
        })
    })
    .transpose()
}

/// Notes the checkout session of an order, and with it that payment may arrive. The first session noted stands; whichever it
/// is, its address is returned.
pub async fn set_checkout_session(db: &PgPool, order_id: OrderId, session: &CheckoutSession) -> Result<Option<String>, CheckoutError> {
    sqlx::query!(
        "UPDATE orders SET status = 'awaiting_payment', provider_session_id = $2, checkout_url = $3
          WHERE order_id = $1 AND status = 'created'",
        order_id.0,
        session.id,
        session.url
    )
    .execute(db)
    .await?;
    checkout_url(db, order_id).await
}

/// Where an order can be paid, if its session is open.
pub async fn checkout_url(db: &PgPool, order_id: OrderId) -> Result<Option<String>, CheckoutError> {
    let row = sqlx::query!("SELECT checkout_url FROM orders WHERE order_id = $1 AND status = 'awaiting_payment'", order_id.0)
        .fetch_optional(db)
        .await?;
    Ok(row.and_then(|row| row.checkout_url))
}

/// Cancels an order whose session the provider refused to open: nobody can ever pay it, so it must not count.
pub async fn cancel_unopened_order(db: &PgPool, order_id: OrderId) -> Result<(), CheckoutError> {
    sqlx::query!("UPDATE orders SET status = 'cancelled', closed_at = now() WHERE order_id = $1 AND status = 'created'", order_id.0)
        .execute(db)
        .await?;
    Ok(())
}

/// What an account's own history adds to a package on its confirm page.
#[derive(Clone, Debug)]
pub struct OfferFacts {
    /// The order of this user that waits for payment on exactly these terms: going on is going on with it.
    pub open_order: Option<(OrderId, Uuid)>,
    pub bought: i64,
    pub expires_at_if_paid_now: UtcTime,
}

/// Reads them. A Stripe session lives for a day, so an order about that old is no longer gone on with; the sandbox's live on.
pub async fn offer_facts(db: &PgPool, member: &Member, provider: Provider, package: &PackageCard) -> Result<OfferFacts, CheckoutError> {
    let mut connection = db.acquire().await?;
    let open = sqlx::query!(
        "SELECT o.order_id, o.form_key FROM orders o JOIN packages p USING (package_id)
          WHERE o.account_id = $1 AND o.user_id = $2 AND o.package_id = $3 AND o.provider = $4
            AND (o.status = 'created' OR (o.status = 'awaiting_payment'
                                       AND (o.provider = 'sandbox' OR o.created_at > now() - interval '23 hours')))
            AND (o.package_name, o.tokens, o.price_minor, o.currency, o.valid_for_s, o.scope_supplier_ids, o.scope_model_ids,
                 o.rolls_over)
              = (p.name, p.tokens, p.price_minor, p.currency, p.valid_for_s, p.scope_supplier_ids, p.scope_model_ids, p.rolls_over)
          ORDER BY o.created_at DESC LIMIT 1",
        member.account_id().0,
        member.user_id().0,
        package.package_id.0,
        provider.as_str()
    )
    .fetch_optional(&mut *connection)
    .await?;
    let bought = orders_that_count_in(&mut connection, member, package.package_id).await?;
    let expires = sqlx::query_scalar!(r#"SELECT now() + $1::bigint * interval '1 second' AS "at!""#, package.valid_for_s)
        .fetch_one(&mut *connection)
        .await?;
    Ok(OfferFacts { open_order: open.map(|row| (OrderId(row.order_id), row.form_key)), bought, expires_at_if_paid_now: expires.into() })
}

/// The account's last orders, newest first.
pub async fn orders(db: &PgPool, member: &Member) -> Result<OrderList, CheckoutError> {
    let mut rows = sqlx::query!(
        "SELECT order_id, package_name, tokens, price_minor, currency, status, created_at FROM orders
          WHERE account_id = $1 ORDER BY created_at DESC, order_id DESC LIMIT $2",
        member.account_id().0,
        LIST_MOST + 1
    )
    .fetch_all(db)
    .await?;
    let more = rows.len() as i64 > LIST_MOST;
    rows.truncate(LIST_MOST as usize);
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
        .collect::<Result<_, CheckoutError>>()?;
    Ok(OrderList { orders, more })
}

/// One order of the account, with the grant it brought.
pub async fn order(db: &PgPool, member: &Member, order_id: OrderId) -> Result<OrderView, CheckoutError> {
    let row = sqlx::query!(
        r#"SELECT o.*, g.grant_id AS "grant_id?", g.expires_at AS "expires_at?",
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
    let grant = row.grant_id.zip(row.expires_at);
    Ok(OrderView {
        order_id,
        package_id: PackageId(row.package_id),
        package_name: row.package_name,
        tokens: Tokens(row.tokens),
        price: Money::new(row.price_minor, stored_currency(&row.currency)?),
        valid_for_s: row.valid_for_s,
        supplier_names: row.supplier_names,
        model_ids: row.scope_model_ids,
        status,
        sandbox: row.provider == Provider::Sandbox.as_str(),
        checkout_url: row.checkout_url.filter(|_| status == OrderStatus::AwaitingPayment),
        created_at: row.created_at.into(),
        fulfilled_at: row.fulfilled_at.map(UtcTime::from),
        closed_at: row.closed_at.map(UtcTime::from),
        grant: grant.map(|(grant_id, expires_at)| OrderGrant { grant_id: GrantId(grant_id), expires_at: expires_at.into() }),
    })
}

/// The order that a sandbox session of this account is to pay.
pub async fn sandbox_payment(db: &PgPool, member: &Member, session_id: &str) -> Result<SandboxPayment, CheckoutError> {
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

fn stored_status(text: &str) -> Result<OrderStatus, CheckoutError> {
    OrderStatus::parse(text).ok_or_else(|| CheckoutError::Unreadable(text.to_string()))
}

fn stored_currency(code: &str) -> Result<Currency, CheckoutError> {
    Currency::parse(code).map_err(|_| CheckoutError::Unreadable(code.to_string()))
}
