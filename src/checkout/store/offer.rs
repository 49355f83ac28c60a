//! What an account's own history adds to a package on its confirm page, which order another tab has made of it meanwhile, and what counts
//! against purchase limits. Reads only.

use crate::accounts::rights::Member;
use crate::catalog::types::PackageCard;
use crate::checkout::payments::Provider;
use crate::checkout::store::discounts::discount_of;
use crate::checkout::store::{CheckoutError, stored_start};
use crate::checkout::types::{LimitState, UnpaidOrder, Validity};
use crate::checkout::types_placing::OrderRequest;
use crate::codes::types::{Discount, TypedCode};
use crate::error::CodeProblem;
use crate::ids::{CodeId, OrderId, PackageId};
use crate::tokens::Tokens;
use crate::utc::UtcTime;
use crate::wallet::ledger::renewals::{last_end_in, rolls_over_now};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

#[derive(Clone, Debug)]
pub struct OfferFacts {
    /// The order of this user that waits for payment on exactly these terms: going on is going on with it.
    pub open_order: Option<UnpaidOrder>,
    pub limit: LimitState,
    pub if_paid_now: Validity,
    /// When the Tokens would begin and end if they were queued; none = nothing is running that they could follow.
    pub if_queued: Option<Validity>,
    pub rolls_over_now: Tokens,
    pub discount: Result<Discount, CodeProblem>,
}

/// Reads them.
pub async fn offer_facts(
    db: &PgPool,
    member: &Member,
    provider: Provider,
    package: &PackageCard,
    typed: Option<TypedCode>,
) -> Result<OfferFacts, CheckoutError> {
    let typed = typed.filter(|typed| typed.package_id == package.package_id).map(|typed| typed.code_id);
    let mut connection = db.acquire().await?;
    let open = unpaid_order_in(&mut connection, member, provider, package.package_id, typed, None).await?;
    let discount = match (&open, typed) {
        (Some((_, discount)), _) => Ok(*discount),
        (None, Some(code_id)) => discount_of(&mut connection, member, provider, package, code_id).await?,
        (None, None) => Ok(Discount::default()),
    };
    let counted = orders_that_count_in(&mut connection, member, package.package_id, package.limit_period_s).await?;
    let now = sqlx::query_scalar!(r#"SELECT now() AS "now!""#).fetch_one(&mut *connection).await?;
    let end = last_end_in(&mut connection, member.account_id(), package.package_id).await?;
    let rolls_over_now = match package.rolls_over {
        true => rolls_over_now(&mut connection, member.account_id(), package.package_id).await?,
        false => Tokens(0),
    };
    let valid_for = TimeDelta::try_seconds(package.valid_for_s).unwrap_or(TimeDelta::MAX);
    let validity = |starts_at: DateTime<Utc>| Validity { starts_at: starts_at.into(), expires_at: (starts_at + valid_for).into() };
    Ok(OfferFacts {
        open_order: open.map(|(order, _)| order),
        limit: limit_state(package, &counted),
        if_paid_now: validity(now),
        if_queued: end.map(validity),
        rolls_over_now,
        discount,
    })
}

/// The form of an order of this user that waits for its payment and was placed like this one a while ago at most, on the terms that the
/// package has now; the caller has made sure that they are the confirmed ones. Two tabs that were both open before either was sent are one
/// order. A promotion code is forgotten by the session when an order takes it, so the form of the second tab has only what it takes off.
pub async fn form_of_twin_in(
    connection: &mut PgConnection,
    member: &Member,
    provider: Provider,
    request: &OrderRequest,
) -> Result<Option<Uuid>, CheckoutError> {
    let code_id = request.discount.code_id;
    let twin = unpaid_order_in(connection, member, provider, request.package_id, code_id, Some(request)).await?;
    Ok(twin.map(|(order, _)| order.form_key))
}

/// The newest order of this user that waits for its payment on exactly the terms that the package has now, and what was taken off. A Stripe
/// session lives for a day, so an order about that old is no longer gone on with; the sandbox's live on. An order without the promotion
/// code that was typed since is another one; so is, of a `form`, one that it would not have made, or not as young.
async fn unpaid_order_in(
    connection: &mut PgConnection,
    member: &Member,
    provider: Provider,
    package_id: PackageId,
    typed: Option<CodeId>,
    form: Option<&OrderRequest>,
) -> Result<Option<(UnpaidOrder, Discount)>, CheckoutError> {
    let row = sqlx::query!(
        "SELECT o.order_id, o.form_key, o.starts, o.code_id, o.discount_minor FROM orders o JOIN packages p USING (package_id)
          WHERE o.account_id = $1 AND o.user_id = $2 AND o.package_id = $3 AND o.provider = $4
            AND (o.status = 'created' OR (o.status = 'awaiting_payment' AND o.payment_begun_at IS NULL
                                       AND (o.provider = 'sandbox' OR o.created_at > now() - interval '23 hours')))
            AND ($5::uuid IS NULL OR o.code_id = $5)
            AND ($6::text IS NULL OR (o.starts = $6 AND o.discount_minor = $7
                                      AND o.created_at > now() - $8::bigint * interval '1 second'))
            AND (o.package_name, o.tokens, o.price_minor + o.discount_minor, o.currency, o.valid_for_s, o.scope_supplier_ids,
                 o.scope_model_ids, o.rolls_over, coalesce(o.refund_window_s, 0))
              = (p.name, p.tokens, p.price_minor, p.currency, p.valid_for_s, p.scope_supplier_ids,
                 p.scope_model_ids, p.rolls_over, coalesce(p.refund_window_s, 0))
          ORDER BY o.created_at DESC LIMIT 1",
        member.account_id().0,
        member.user_id().0,
        package_id.0,
        provider.as_str(),
        typed.map(|id| id.0),
        form.map(|form| form.starts.as_str()),
        form.map(|form| form.discount.minor),
        form.and_then(|form| form.one_order_for_s)
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let order = UnpaidOrder { order_id: OrderId(row.order_id), form_key: row.form_key, starts: stored_start(&row.starts)? };
        Ok((order, Discount { code_id: row.code_id.map(CodeId), minor: row.discount_minor }))
    })
    .transpose()
}

/// Refuses an order that is one too many of its package.
pub async fn check_limit_in(
    connection: &mut PgConnection,
    member: &Member,
    package_id: PackageId,
    limit: i32,
    period_s: Option<i64>,
) -> Result<(), CheckoutError> {
    let counted = orders_that_count_in(connection, member, package_id, period_s).await?;
    match () {
        () if counted.len() < limit as usize => Ok(()),
        () if unpaid_in_last_place(limit, &counted).is_some() => Err(CheckoutError::LastPlaceUnpaid),
        () => Err(CheckoutError::PurchaseLimitReached),
    }
}

/// An order that counts against a purchase limit.
struct CountedOrder {
    order_id: OrderId,
    /// Whether it may still come to nothing.
    unpaid: bool,
    /// When it stops counting; none = not by the passing of time.
    free_at: Option<DateTime<Utc>>,
}

/// The account's orders of a package that count against its limit, newest first: those that may still be paid, and those that were,
/// placed within the period. One that came to nothing frees its place; one that was refunded does not.
async fn orders_that_count_in(
    connection: &mut PgConnection,
    member: &Member,
    package_id: PackageId,
    period_s: Option<i64>,
) -> Result<Vec<CountedOrder>, CheckoutError> {
    let rows = sqlx::query!(
        r#"SELECT o.order_id, o.status IN ('created', 'awaiting_payment') AS "unpaid!",
                  CASE WHEN o.fulfilled_at IS NOT NULL THEN o.created_at + $3::bigint * interval '1 second' END AS free_at
             FROM orders o
            WHERE o.account_id = $1 AND o.package_id = $2 AND o.status NOT IN ('declined', 'expired', 'cancelled')
              AND ($3::bigint IS NULL OR o.fulfilled_at IS NULL OR o.created_at > now() - $3::bigint * interval '1 second')
            ORDER BY o.created_at DESC"#,
        member.account_id().0,
        package_id.0,
        period_s
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| CountedOrder { order_id: OrderId(row.order_id), unpaid: row.unpaid, free_at: row.free_at }).collect())
}

/// The order that takes the last place of a limit although it is not paid: the newest such, where those that were bought leave a place.
fn unpaid_in_last_place(limit: i32, counted: &[CountedOrder]) -> Option<OrderId> {
    let limit = usize::try_from(limit).ok()?;
    let bought = counted.iter().filter(|order| !order.unpaid).count();
    if bought >= limit || counted.len() < limit {
        return None;
    }
    counted.iter().find(|order| order.unpaid).map(|order| order.order_id)
}

fn limit_state(package: &PackageCard, counted: &[CountedOrder]) -> LimitState {
    if let Some(order_id) = package.purchase_limit.and_then(|limit| unpaid_in_last_place(limit, counted)) {
        return LimitState::TakenByUnpaid(order_id);
    }
    // The oldest of the last so many is the one whose place is next to be free.
    let place = package.purchase_limit.and_then(|limit| usize::try_from(limit - 1).ok());
    match place.and_then(|place| counted.get(place)) {
        None => LimitState::Open,
        Some(next) => next.free_at.map_or(LimitState::Reached, |at| LimitState::ReachedUntil(UtcTime::from(at))),
    }
}

#[cfg(test)]
#[path = "offer_tests.rs"]
mod tests;
