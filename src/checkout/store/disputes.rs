//! SQL about disputes: what the provider tells of them, and what banks took back for those that were lost. That is a row of `refunds`,
//! so that order, receipt and Tokens follow it as they follow any other money that went back.

use crate::checkout::event::DisputeFacts;
use crate::checkout::payments::Provider;
use crate::checkout::store::CheckoutError;
use crate::checkout::store::events::{Decision, EventOutcome};
use crate::checkout::store::fulfilment::LockedOrder;
use crate::checkout::store::refund_requests::refunded_in;
use crate::checkout::store::refunds::{order_of_payment_in, restate_in};
use crate::checkout::store::transitions::Cause;
use crate::checkout::types::RefundStatus;
use crate::ids::RefundId;
use sqlx::PgConnection;

/// Takes down what the provider says of a dispute, and draws the consequences. One that was closed is not opened again by what was
/// said before; nor does it end twice, once like this and once like that: then somebody must look.
pub async fn dispute_told_in(
    tx: &mut PgConnection,
    provider: Provider,
    dispute: &DisputeFacts<'_>,
    cause: Cause<'_>,
) -> Result<Decision, CheckoutError> {
    let order = match order_of_payment_in(tx, provider, &dispute.payment).await? {
        Ok(order) => order,
        Err(decision) => return Ok(decision),
    };
    let decision = |outcome| Decision::new(outcome, Some(order.order_id));
    let quarantined = |reason: String| Ok(decision(EventOutcome::Quarantined).because(reason));
    let (Some(id), Some(word)) = (dispute.id, dispute.status) else {
        return quarantined(format!("a dispute with id {:?} and status {:?}", dispute.id, dispute.status));
    };
    let status = match word {
        "needs_response" | "under_review" => "open",
        // No money moved, or it came back.
        "won" | "warning_closed" | "prevented" => "won",
        "lost" => "lost",
        "warning_needs_response" | "warning_under_review" => {
            return Ok(decision(EventOutcome::Ignored).because("the bank inquires, and has taken nothing"));
        }
        word => return quarantined(format!("dispute {id} has the status {word:?}, which we do not know")),
    };
    let known = sqlx::query_scalar!("SELECT status FROM disputes WHERE provider = $1 AND provider_dispute_id = $2", provider.as_str(), id)
        .fetch_optional(&mut *tx)
        .await?;
    if let Some(known) = known.filter(|known| known != "open" && status != "open" && known != status) {
        return quarantined(format!("dispute {id} was {known}, and the provider says {word}"));
    }
    sqlx::query!(
        "INSERT INTO disputes AS d (provider, provider_dispute_id, order_id, status, amount_minor) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT ON CONSTRAINT disputes_pkey
         DO UPDATE SET status = $4, amount_minor = coalesce($5, d.amount_minor) WHERE d.status = 'open'",
        provider.as_str(),
        id,
        order.order_id.0,
        status,
        disputed_minor(provider, &order, dispute)
    )
    .execute(&mut *tx)
    .await?;
    restate_in(tx, order.order_id, cause).await?;
    Ok(decision(EventOutcome::Recorded))
}

/// How much of the price is disputed; none = not said, or not in the order's currency: then all of it may be.
fn disputed_minor(provider: Provider, order: &LockedOrder, dispute: &DisputeFacts<'_>) -> Option<i64> {
    let currency = &order.price.currency;
    let amount = dispute.payment.amount.filter(|_| dispute.payment.currency.is_none_or(|code| code.eq_ignore_ascii_case(currency.code())));
    amount.and_then(|amount| provider.minor_of(amount, currency)).filter(|minor| *minor > 0)
}

/// Takes what banks took out of the refunds again where those that were told of since leave no room for it in the price: told in the
/// other order, the bank's part would have been the smaller one. So too what older versions took down as `whole …` of a charge that had
/// gone back, of which each refund was told as well.
pub(super) async fn void_losses_in(tx: &mut PgConnection, order: &LockedOrder) -> Result<(), CheckoutError> {
    if refunded_in(tx, order.order_id).await? > order.price.minor {
        sqlx::query!(
            "UPDATE refunds SET status = 'failed'
              WHERE order_id = $1 AND status = 'succeeded' AND (provider_dispute_id IS NOT NULL OR provider_refund_id LIKE 'whole %')",
            order.order_id.0
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}

/// Writes down what banks took back for lost disputes, as far as the price has not gone back otherwise. Whether there was anything new.
pub(super) async fn record_losses_in(tx: &mut PgConnection, order: &LockedOrder) -> Result<bool, CheckoutError> {
    let lost = sqlx::query!(
        r#"SELECT d.provider, d.provider_dispute_id, d.amount_minor,
                  coalesce((SELECT sum(r.amount_minor) FROM refunds r
                             WHERE r.provider = d.provider AND r.provider_dispute_id = d.provider_dispute_id AND r.status <> 'failed'),
                           0)::bigint AS "recorded!"
             FROM disputes d WHERE d.order_id = $1 AND d.status = 'lost' ORDER BY d.created_at, d.provider_dispute_id"#,
        order.order_id.0
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut any = false;
    for dispute in lost {
        let rest = order.price.minor - refunded_in(tx, order.order_id).await?;
        let amount = (dispute.amount_minor.unwrap_or(order.price.minor) - dispute.recorded).min(rest);
        if amount < 1 {
            continue;
        }
        sqlx::query!(
            "INSERT INTO refunds (refund_id, order_id, provider, amount_minor, status, provider_dispute_id)
             VALUES ($1, $2, $3, $4, $5, $6)",
            RefundId::generate().0,
            order.order_id.0,
            dispute.provider,
            amount,
            RefundStatus::Succeeded.as_str(),
            dispute.provider_dispute_id
        )
        .execute(&mut *tx)
        .await?;
        any = true;
    }
    Ok(any)
}
