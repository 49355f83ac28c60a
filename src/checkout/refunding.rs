//! Giving money back. The Tokens leave the order's grant and the request is written down; then the provider is asked, under the
//! request's own id and attempt; then its answer is noted. Each step may be repeated, and a crash between two leaves it to `reconcile`.

use crate::accounts::rights::Admin;
use crate::checkout::event::SessionFacts;
use crate::checkout::payments::{Payments, PaymentsError, RefundAnswer, RefundRequest};
use crate::checkout::store::CheckoutError;
use crate::checkout::store::failures::Failures;
use crate::checkout::store::refund_requests::{
    RefundPart, RequestedRefund, next_attempt, request_own_refund, request_refund, unanswered_refunds,
};
use crate::checkout::store::refunds::note_answer;
use crate::checkout::types::RefundStatus;
use crate::checkout::types_refund::OwnRefundRequest;
use crate::ids::OrderId;
use crate::operators::rights::Operator;
use chrono::TimeDelta;
use sqlx::PgPool;

/// Refunds a part of an order. Returns what was asked for, and how far it has come: `requested` when the provider did not answer, and
/// will be asked again.
pub async fn refund(
    db: &PgPool,
    payments: &Payments,
    operator: Operator,
    order_id: OrderId,
    part: RefundPart,
    reason: Option<&str>,
) -> Result<(RequestedRefund, RefundStatus), CheckoutError> {
    let requested = request_refund(db, operator, order_id, part, reason).await?;
    let status = carry_out(db, payments, &requested).await?;
    Ok((requested, status))
}

/// Refunds the unused part of the customer's own order, as it was shown to them. The same form is the same refund.
pub async fn refund_own(db: &PgPool, payments: &Payments, member: &Admin, asked: &OwnRefundRequest) -> Result<(), CheckoutError> {
    if let Some(requested) = request_own_refund(db, member, asked).await? {
        carry_out(db, payments, &requested).await?;
    }
    Ok(())
}

/// Asks for what was requested, and notes the answer.
async fn carry_out(db: &PgPool, payments: &Payments, requested: &RequestedRefund) -> Result<RefundStatus, CheckoutError> {
    let RequestedRefund { order_id, refund_id, .. } = *requested;
    match ask(payments, requested).await {
        Ok(answer) => note_answer(db, order_id, refund_id, &answer).await,
        Err(error) => {
            tracing::error!(%order_id, %refund_id, %error, "the provider did not answer; the refund will be asked for again");
            Ok(RefundStatus::Requested)
        }
    }
}

/// Asks again about refunds that were not answered. Returns how many were.
pub async fn finish_refunds(db: &PgPool, payments: &Payments, older_than: TimeDelta, most: i64) -> Result<i64, CheckoutError> {
    let (mut finished, mut failures) = (0, Failures::default());
    for requested in unanswered_refunds(db, older_than, most).await? {
        match find_or_ask(db, payments, &requested).await {
            Ok(answer) => {
                let noted = note_answer(db, requested.order_id, requested.refund_id, &answer).await;
                finished += i64::from(failures.keep("note what a refund came to", noted.map(Some)).is_some());
            }
            Err(CheckoutError::Payments(error)) => {
                tracing::error!(refund_id = %requested.refund_id, %error, "a refund is still not answered");
            }
            Err(error) => {
                tracing::error!(refund_id = %requested.refund_id, ?error, "a refund could not be asked for");
                failures.note(error);
            }
        }
    }
    failures.end(finished)
}

/// The provider forgets a key after a day, keeps a failure under it until then, and must not refund twice. So whatever it made is looked
/// for before it is asked under any key; and one is given up only when it has failed twice, here, long after it was first asked: to the
/// second request a provider says that it still works on the first, if it does, and of what has failed it may find out later that it was
/// done (https://docs.stripe.com/error-low-level).
async fn find_or_ask(db: &PgPool, payments: &Payments, requested: &RequestedRefund) -> Result<RefundAnswer, CheckoutError> {
    let mut request = request_of(payments, requested).await?;
    if let Some(answer) = payments.find_refund(requested.provider, &request).await? {
        return Ok(answer);
    }
    for _ in 0..2 {
        match answer_to(payments, requested, &request).await {
            Err(PaymentsError::KeySpent(problem)) if requested.long_ago => {
                tracing::warn!(refund_id = %request.refund_id, attempt = request.attempt, problem, "a refund was answered with a failure");
            }
            answered => return Ok(answered?),
        }
    }
    request.attempt = next_attempt(db, request.refund_id, request.attempt).await?;
    match payments.find_refund(requested.provider, &request).await? {
        Some(answer) => Ok(answer),
        None => Ok(answer_to(payments, requested, &request).await?),
    }
}

async fn ask(payments: &Payments, requested: &RequestedRefund) -> Result<RefundAnswer, PaymentsError> {
    let request = request_of(payments, requested).await?;
    answer_to(payments, requested, &request).await
}

/// A provider that understands and says no has moved no money, for this request: that is an answer, too. It may say so since another
/// asker, under another key, was quicker; then what came of that is the answer.
async fn answer_to(payments: &Payments, requested: &RequestedRefund, request: &RefundRequest) -> Result<RefundAnswer, PaymentsError> {
    match payments.refund(requested.provider, request).await {
        Err(PaymentsError::Refused(reason)) => {
            if let Some(made) = payments.find_refund(requested.provider, request).await? {
                return Ok(made);
            }
            tracing::error!(order_id = %request.order_id, refund_id = %request.refund_id, reason, "the provider refused a refund");
            Ok(RefundAnswer { id: None, status: RefundStatus::Failed })
        }
        answered => answered,
    }
}

/// The payment's id is known from its event, or else from its session.
async fn request_of(payments: &Payments, requested: &RequestedRefund) -> Result<RefundRequest, PaymentsError> {
    let payment_id = match (&requested.payment_id, &requested.session_id) {
        (Some(payment_id), _) => payment_id.clone(),
        (None, Some(session_id)) => {
            let session = payments.session(requested.provider, session_id).await?;
            let known = session.as_ref().and_then(|session| SessionFacts::of(session).payment_id);
            known.unwrap_or_default().to_string()
        }
        (None, None) => String::new(),
    };
    let RequestedRefund { refund_id, attempt, order_id, .. } = *requested;
    Ok(RefundRequest { refund_id, attempt, order_id, payment_id, amount: requested.amount.clone() })
}
