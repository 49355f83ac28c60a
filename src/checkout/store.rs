//! SQL about orders: placing and opening them here, offering and showing them in `offer` and `views`; what happens to them when money
//! arrives is in `events` and `fulfilment`, when it goes back in `refunds` and `disputes`.

use crate::accounts::membership::still_may_in;
use crate::accounts::rights::{Admin, Member, Reader};
use crate::checkout::payments::{CheckoutSession, PaymentsError, Provider, Purchase};
use crate::checkout::store::discounts::check_discount_in;
use crate::checkout::store::fulfilment::locked_order_in;
use crate::checkout::store::offer::{check_limit_in, form_of_twin_in};
use crate::checkout::store::transitions::{Cause, move_order_in};
use crate::checkout::types::{OrderStatus, Start};
use crate::checkout::types_placing::{OrderRequest, Terms};
use crate::codes::store::CodeError;
use crate::codes::store::promotions;
use crate::connections::again;
use crate::error::{ConsoleError, unavailable};
use crate::ids::{CodeId, OrderId, PackageId};
use crate::journal::record::{Actor, Entry, record_in};
use crate::journal::types::Kind;
use crate::mail::outbox::OutboxError;
use crate::money::{Currency, Money};
use crate::tokens::Tokens;
use crate::wallet::ledger::LedgerError;
use sqlx::{PgConnection, PgPool};

pub mod asked;
pub mod cancelling;
pub mod customers;
pub mod discounts;
pub mod disputes;
pub mod events;
pub mod failures;
#[cfg(test)]
pub(super) mod fixtures;
pub mod fulfilment;
pub mod offer;
pub mod operator_views;
pub mod quarantine;
pub mod receipts;
pub mod refund_requests;
pub mod refunds;
#[cfg(test)]
mod rollover_tests;
#[cfg(test)]
mod tests;
pub mod transitions;
mod views;

pub use views::{order, orders, sandbox_payment};

#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    #[error("the package is not on sale")]
    PackageUnavailable,
    #[error("the package changed since its terms were shown")]
    PackageChanged,
    #[error("the account bought this package as often as it may")]
    PurchaseLimitReached,
    #[error("an order that is not paid yet takes the last place of this package")]
    LastPlaceUnpaid,
    #[error("the account is suspended")]
    AccountSuspended,
    #[error("the role does not allow this any more")]
    NotAllowed,
    #[error("this form was posted for another package")]
    FormReused,
    #[error("no such order")]
    NotFound,
    #[error("the payment of the order is on its way, so it cannot be cancelled")]
    NotCancellable,
    #[error("an order that is {} cannot be refunded", .0.as_str().replace('_', " "))]
    NotRefundable(OrderStatus),
    #[error("the amount must be at least one minor unit, at most what has not gone back yet, and one that the provider can move")]
    RefundOutOfRange,
    #[error("customers cannot refund this order themselves")]
    NoRefundWindow,
    #[error("the time in which customers can refund this order themselves is over")]
    RefundWindowOver,
    #[error("what is left changed since it was shown")]
    RefundChanged,
    #[error("no event of this id is quarantined")]
    NotQuarantined,
    #[error("a row holds {0}, which is none of ours")]
    Unreadable(String),
    #[error(transparent)]
    Code(#[from] CodeError),
    #[error(transparent)]
    Payments(#[from] PaymentsError),
    #[error(transparent)]
    Ledger(LedgerError),
    #[error("a letter could not be posted")]
    Letter(OutboxError),
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

impl From<OutboxError> for CheckoutError {
    fn from(error: OutboxError) -> CheckoutError {
        match error {
            OutboxError::Db(error) => CheckoutError::Db(error),
            other => CheckoutError::Letter(other),
        }
    }
}

impl From<CheckoutError> for ConsoleError {
    fn from(error: CheckoutError) -> ConsoleError {
        match error {
            CheckoutError::PackageUnavailable => ConsoleError::PackageUnavailable,
            CheckoutError::PackageChanged => ConsoleError::PackageChanged,
            CheckoutError::PurchaseLimitReached => ConsoleError::PurchaseLimitReached,
            CheckoutError::LastPlaceUnpaid => ConsoleError::LastPlaceUnpaid,
            CheckoutError::NotCancellable => ConsoleError::NotCancellable,
            CheckoutError::AccountSuspended => ConsoleError::AccountSuspended,
            CheckoutError::NotAllowed => ConsoleError::NotAllowed,
            CheckoutError::NotRefundable(_) | CheckoutError::NoRefundWindow => ConsoleError::NotRefundable,
            CheckoutError::RefundWindowOver => ConsoleError::RefundWindowOver,
            CheckoutError::RefundOutOfRange => ConsoleError::NothingToRefund,
            CheckoutError::RefundChanged => ConsoleError::RefundChanged,
            CheckoutError::Code(error) => error.into(),
            CheckoutError::FormReused => ConsoleError::BadRequest,
            CheckoutError::NotFound => ConsoleError::NotFound,
            CheckoutError::NotQuarantined => ConsoleError::AlreadyDecided,
            CheckoutError::Payments(PaymentsError::NotConfigured) => ConsoleError::PaymentsUnavailable,
            CheckoutError::Payments(PaymentsError::UnknownSession) => ConsoleError::CheckoutUnknown,
            // Whatever else the provider said or did not say.
            CheckoutError::Payments(_) => ConsoleError::PaymentProviderFailed,
            CheckoutError::Unreadable(_) | CheckoutError::Ledger(_) | CheckoutError::Letter(_) => {
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
    /// None = it cannot be paid there, or the customer's bank works on that already.
    pub checkout_url: Option<String>,
    /// What its price is lower by.
    pub code_id: Option<CodeId>,
    pub purchase: Purchase,
}

/// Places an order: an immutable copy of the package, if it still is what was confirmed. The same form is the same order, and so is one
/// of another tab that was opened before.
///
/// The account's row is locked first, so that orders of one account are placed one after the other: two posts of one form find
/// each other, and a purchase limit counts what is there.
pub async fn place_order(db: &PgPool, member: &Admin, provider: Provider, request: &OrderRequest) -> Result<PlacedOrder, CheckoutError> {
    again(|| place_order_once(db, member, provider, request)).await
}

async fn place_order_once(db: &PgPool, member: &Admin, provider: Provider, request: &OrderRequest) -> Result<PlacedOrder, CheckoutError> {
    let mut tx = db.begin().await?;
    stay_in(&mut tx, member).await?;
    let account = sqlx::query!(
        r#"SELECT suspended_at IS NOT NULL AS "suspended!" FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE"#,
        member.account_id().0
    )
    .fetch_one(&mut *tx)
    .await?;
    if account.suspended {
        return Err(CheckoutError::AccountSuspended);
    }
    if let Some(order) = order_by_form_in(&mut tx, member, request).await? {
        let same = order.purchase.package_id == request.package_id;
        return if same { Ok(order) } else { Err(CheckoutError::FormReused) };
    }
    let limit = check_package_in(&mut tx, request).await?;
    if let Some(form_key) = form_of_twin_in(&mut tx, member, provider, request).await? {
        let twin = OrderRequest { form_key, ..request.clone() };
        return order_by_form_in(&mut tx, member, &twin).await?.ok_or(CheckoutError::NotFound);
    }
    if let Some((limit, period_s)) = limit {
        check_limit_in(&mut tx, member, request.package_id, limit, period_s).await?;
    }
    check_discount_in(&mut tx, member, provider, request).await?;
    let order_id = OrderId::generate();
    sqlx::query!(
        "INSERT INTO orders (order_id, account_id, user_id, package_id, package_name, tokens, price_minor, currency, valid_for_s,
                             scope_supplier_ids, scope_model_ids, rolls_over, form_key, provider, starts, refund_window_s, code_id,
                             discount_minor)
         SELECT $1, $2, $3, package_id, name, tokens, price_minor - $9, currency, valid_for_s, scope_supplier_ids, scope_model_ids,
                rolls_over, $5, $6, $7, refund_window_s, $8, $9
           FROM packages WHERE package_id = $4",
        order_id.0,
        member.account_id().0,
        member.user_id().0,
        request.package_id.0,
        request.form_key,
        provider.as_str(),
        request.starts.as_str(),
        request.discount.code_id.map(|id| id.0),
        request.discount.minor
    )
    .execute(&mut *tx)
    .await?;
    if let Some(code_id) = request.discount.code_id {
        promotions::take_in(&mut tx, member, code_id, order_id).await?;
    }
    let order = order_by_form_in(&mut tx, member, request).await?.ok_or(CheckoutError::NotFound)?;
    let entry = Entry::of(Kind::OrderPlaced).about(order_id.0, &order.purchase.package_name).saying(order.purchase.price.exact());
    record_in(&mut tx, member.account_id(), Actor::of(member), entry).await?;
    tx.commit().await?;
    Ok(order)
}

/// Their request may have begun before they were removed or lost the role that it needs: then it is refused.
async fn stay_in(tx: &mut PgConnection, member: &Admin) -> Result<(), CheckoutError> {
    if still_may_in(tx, member).await? { Ok(()) } else { Err(CheckoutError::NotAllowed) }
}

/// Locks the package as it is, and refuses what was not confirmed or is not for sale. Returns its purchase limit and the period of that.
async fn check_package_in(tx: &mut PgConnection, request: &OrderRequest) -> Result<Option<(i32, Option<i64>)>, CheckoutError> {
    let package = sqlx::query!(
        "SELECT tokens, price_minor, currency, valid_for_s, rolls_over, refund_window_s, purchase_limit, limit_period_s FROM packages
          WHERE package_id = $1 AND status = 'on_sale' FOR SHARE",
        request.package_id.0
    )
    .fetch_optional(tx)
    .await?
    .ok_or(CheckoutError::PackageUnavailable)?;
    let now = Terms {
        tokens: Tokens(package.tokens),
        price: Money::new(package.price_minor, stored_currency(&package.currency)?),
        valid_for_s: package.valid_for_s,
        rolls_over: package.rolls_over,
        refund_window_s: package.refund_window_s,
    };
    if now != request.terms {
        return Err(CheckoutError::PackageChanged);
    }
    Ok(package.purchase_limit.map(|limit| (limit, package.limit_period_s)))
}

async fn order_by_form_in(tx: &mut PgConnection, member: &Member, request: &OrderRequest) -> Result<Option<PlacedOrder>, CheckoutError> {
    let row = sqlx::query!(
        r#"SELECT o.order_id, o.package_id, o.package_name, o.tokens, o.price_minor, o.currency, o.status, o.provider, o.code_id,
                  CASE WHEN o.payment_begun_at IS NULL THEN o.checkout_url END AS "checkout_url?", u.email
             FROM orders o JOIN users u USING (user_id) WHERE o.account_id = $1 AND o.form_key = $2 AND o.starts = $3"#,
        member.account_id().0,
        request.form_key,
        request.starts.as_str()
    )
    .fetch_optional(tx)
    .await?;
    row.map(|row| {
        Ok(PlacedOrder {
            status: stored_status(&row.status)?,
            provider: stored_provider(&row.provider)?,
            checkout_url: row.checkout_url,
            code_id: row.code_id.map(CodeId),
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
    let mut tx = db.begin().await?;
    let noted = sqlx::query!(
        "UPDATE orders SET provider_session_id = $2, checkout_url = $3, livemode = $4 WHERE order_id = $1 AND status = 'created'",
        order_id.0,
        session.id,
        session.url,
        session.livemode
    )
    .execute(&mut *tx)
    .await?;
    if noted.rows_affected() == 1 {
        move_order_in(&mut tx, order_id, OrderStatus::Created, OrderStatus::AwaitingPayment, Cause::Checkout).await?;
    }
    tx.commit().await?;
    checkout_url(db, order_id).await
}

/// Where an order can be paid, if its session is open.
pub async fn checkout_url(db: &PgPool, order_id: OrderId) -> Result<Option<String>, CheckoutError> {
    let row = sqlx::query!("SELECT checkout_url FROM orders WHERE order_id = $1 AND status = 'awaiting_payment'", order_id.0)
        .fetch_optional(db)
        .await?;
    Ok(row.and_then(|row| row.checkout_url))
}

/// Under which attempt the checkout of an order is opened.
pub async fn attempt_of(db: &PgPool, order_id: OrderId) -> Result<i32, CheckoutError> {
    let attempt = sqlx::query_scalar!("SELECT attempt FROM orders WHERE order_id = $1", order_id.0);
    attempt.fetch_optional(db).await?.ok_or(CheckoutError::NotFound)
}

/// The provider answers this attempt for a day as it did now: what is asked from now on is another. Any number at once make one.
pub async fn next_attempt(db: &PgPool, order_id: OrderId, after: i32) -> Result<(), CheckoutError> {
    sqlx::query!("UPDATE orders SET attempt = attempt + 1 WHERE order_id = $1 AND attempt = $2", order_id.0, after).execute(db).await?;
    Ok(())
}

/// Cancels an order whose session the provider refused to open: nobody can ever pay it, so it must not count.
pub async fn cancel_unopened_order(db: &PgPool, order_id: OrderId) -> Result<(), CheckoutError> {
    let mut tx = db.begin().await?;
    if locked_order_in(&mut tx, order_id).await?.status == OrderStatus::Created {
        move_order_in(&mut tx, order_id, OrderStatus::Created, OrderStatus::Cancelled, Cause::Checkout).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// An order whose provider may be asked what became of it.
#[derive(Clone, Debug)]
pub struct OpenOrder {
    pub order_id: OrderId,
    pub provider: Provider,
    pub session_id: String,
}

/// Claims the member's order for being asked about: none if it waits for nothing, or was asked about just now.
pub async fn claim_open_order(db: &PgPool, member: &Reader, order_id: OrderId) -> Result<Option<OpenOrder>, CheckoutError> {
    let row = sqlx::query!(
        r#"UPDATE orders SET asked_at = clock_timestamp()
            WHERE account_id = $1 AND order_id = $2 AND status = 'awaiting_payment'
              AND (asked_at IS NULL OR asked_at < clock_timestamp() - interval '5 seconds')
        RETURNING provider, provider_session_id AS "session_id!""#,
        member.account_id().0,
        order_id.0
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        let provider = stored_provider(&row.provider)?;
        Ok(OpenOrder { order_id, provider, session_id: row.session_id })
    })
    .transpose()
}

/// The orders that the provider is to be asked about, a page of them after `after`: they wait for a payment, or theirs is not known, so
/// that nobody could tell which refund or dispute is about it.
pub async fn open_orders(db: &PgPool, after: Option<OrderId>, most: i64) -> Result<Vec<OpenOrder>, CheckoutError> {
    let rows = sqlx::query!(
        r#"SELECT order_id, provider, provider_session_id AS "session_id!" FROM orders
            WHERE (status = 'awaiting_payment' OR (provider = 'stripe' AND fulfilled_at IS NOT NULL AND provider_payment_id IS NULL))
              AND ($1::uuid IS NULL OR order_id > $1)
            ORDER BY order_id LIMIT $2"#,
        after.map(|id| id.0),
        most
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let provider = stored_provider(&row.provider)?;
            Ok(OpenOrder { order_id: OrderId(row.order_id), provider, session_id: row.session_id })
        })
        .collect()
}

fn stored_status(text: &str) -> Result<OrderStatus, CheckoutError> {
    OrderStatus::parse(text).ok_or_else(|| CheckoutError::Unreadable(text.to_string()))
}

fn stored_start(text: &str) -> Result<Start, CheckoutError> {
    Start::parse(text).ok_or_else(|| CheckoutError::Unreadable(text.to_string()))
}

fn stored_provider(text: &str) -> Result<Provider, CheckoutError> {
    Provider::parse(text).ok_or_else(|| CheckoutError::Unreadable(text.to_string()))
}

fn stored_currency(code: &str) -> Result<Currency, CheckoutError> {
    Currency::parse(code).map_err(|_| CheckoutError::Unreadable(code.to_string()))
}
