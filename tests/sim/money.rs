//! Refunds, disputes and codes through the real stores: what an operator asks for, and events as a provider might send them.

use crate::model::{Code, Dispute};
use crate::op::{Part, Told};
use crate::world::{Answer, operator, outbox, rolled_back};
use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;
use toki::accounts::rights::Owner;
use toki::checkout::event::PaymentEvent;
use toki::checkout::payments::{Provider, RefundAnswer};
use toki::checkout::store::CheckoutError;
use toki::checkout::store::events::{insert_event, settle_event};
use toki::checkout::store::refund_requests::{RefundPart, request_refund};
use toki::checkout::store::refunds::note_answer;
use toki::checkout::types::RefundStatus;
use toki::codes::store::batches::{NewCodes, Worth, insert_codes};
use toki::codes::store::plain::CodePepper;
use toki::codes::store::{CodeError, redeem};
use toki::ids::{AccountId, OrderId, RefundId, RequestId};
use toki::tokens::Tokens;
use toki::wallet::ledger::LedgerError;

/// Asks for a refund, and notes what the provider answers; nothing = its answer is lost.
pub async fn refund(db: &PgPool, account: AccountId, order_id: OrderId, part: Part, told: Option<Told>) -> Answer {
    let part = match part {
        Part::Unused => RefundPart::Unused,
        Part::Tokens(tokens) => RefundPart::Tokens(Tokens(tokens)),
        Part::Amount(minor) => RefundPart::Amount(minor),
        Part::All => RefundPart::All,
    };
    let requested = match request_refund(db, operator(), order_id, part, Some("simulated")).await {
        Ok(requested) => requested,
        Err(error) => {
            rolled_back(db, "SELECT 1 FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE", account.0).await;
            return Answer::says(match error {
                CheckoutError::NotRefundable(_) => "NotRefundable",
                CheckoutError::RefundOutOfRange => "RefundOutOfRange",
                CheckoutError::Ledger(LedgerError::NotEnoughLeft) => "NotEnoughLeft",
                error => panic!("neither done nor refused: {error:?}"),
            });
        }
    };
    if let Some(told) = told {
        let status = match told {
            Told::Pending => RefundStatus::Pending,
            Told::Succeeded => RefundStatus::Succeeded,
            Told::Failed => RefundStatus::Failed,
        };
        let answer = RefundAnswer { id: Some(format!("re_{}", requested.refund_id)), status };
        note_answer(db, order_id, requested.refund_id, &answer).await.expect("noted");
    }
    Answer { refund: Some(requested.refund_id), ..status_of(db, order_id).await }
}

/// The provider tells of a refund: of one of ours, or of one that somebody made there (then `at` makes its name).
pub async fn refund_event(db: &PgPool, order_id: OrderId, at: usize, ours: Option<RefundId>, amount: i64, told: Told) -> Answer {
    let word = match told {
        Told::Pending => "pending",
        Told::Succeeded => "succeeded",
        Told::Failed => "failed",
    };
    let (id, refund_id) = match ours {
        Some(refund_id) => (format!("re_{refund_id}"), json!(refund_id)),
        None => (format!("re_{order_id}_{at}"), Value::Null),
    };
    let metadata = json!({ "order_id": order_id.to_string(), "refund_id": refund_id });
    let object = json!({ "id": id, "object": "refund", "status": word, "amount": amount, "currency": "usd", "metadata": metadata });
    tell(db, order_id, "refund.updated", object).await
}

pub async fn dispute_event(db: &PgPool, order_id: OrderId, at: usize, dispute: Dispute) -> Answer {
    let (kind, word) = match dispute {
        Dispute::Open => ("charge.dispute.created", "needs_response"),
        Dispute::Won => ("charge.dispute.closed", "won"),
        Dispute::Lost => ("charge.dispute.closed", "lost"),
    };
    let object = json!({ "id": format!("dp_{order_id}_{at}"), "object": "dispute", "status": word,
        "metadata": { "order_id": order_id.to_string() } });
    tell(db, order_id, kind, object).await
}

async fn tell(db: &PgPool, order_id: OrderId, kind: &str, object: Value) -> Answer {
    let id = format!("evt_{}", RequestId::generate());
    let event = PaymentEvent::from_payload(json!({ "id": id, "type": kind, "data": { "object": object } })).expect("an event");
    insert_event(db, Provider::Stripe, &event).await.expect("stored");
    let decision = settle_event(db, &outbox(), Provider::Stripe, &event).await.expect("decided");
    if decision.outcome.as_str() == "quarantined" {
        return Answer::says("quarantined");
    }
    assert_eq!(decision.outcome.as_str(), "recorded", "{kind} of {order_id}: {decision:?}");
    status_of(db, order_id).await
}

async fn status_of(db: &PgPool, order_id: OrderId) -> Answer {
    let status: String =
        sqlx::query_scalar("SELECT status FROM orders WHERE order_id = $1").bind(order_id.0).fetch_one(db).await.expect("an order");
    Answer::says(status)
}

fn pepper() -> CodePepper {
    CodePepper::derive(&[7; 32])
}

/// Makes a code that is worth what this one is, and tells its hash.
pub async fn make_code(db: &PgPool, code: &Code) -> [u8; 32] {
    let worth = Worth::Tokens { tokens: Tokens(code.tokens), valid_for: TimeDelta::minutes(code.valid_for), scope: code.scope.clone() };
    let uses = i32::try_from(code.uses).expect("a few");
    let new = NewCodes { worth, count: 1, uses, expires_at: None, note: None };
    let batch = insert_codes(db, operator(), &pepper(), &new, "simulated").await.expect("made");
    if code.disabled {
        let disabled = toki::codes::store::batches::disable_code(db, operator(), batch.codes[0].0, "simulated").await;
        disabled.expect("disabled");
    }
    batch.codes[0].1.hash(&pepper())
}

pub async fn redeem_code(db: &PgPool, member: &Owner, code_hash: &[u8; 32]) -> Answer {
    // How often an account may try in an hour is a matter of real time, of which hardly any passes here.
    sqlx::query("DELETE FROM code_tries").execute(db).await.expect("forgotten");
    match redeem(db, member, code_hash).await {
        Ok(grant_id) => Answer { grant: Some(grant_id), ..Answer::says("redeemed") },
        Err(error) => {
            rolled_back(db, "SELECT 1 FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE", member.account_id().0).await;
            Answer::says(match error {
                CodeError::Problem(problem) => format!("{problem:?}"),
                CodeError::AccountSuspended => "AccountSuspended".into(),
                error => panic!("neither done nor refused: {error:?}"),
            })
        }
    }
}
