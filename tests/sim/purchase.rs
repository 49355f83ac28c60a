//! A purchase through the real checkout: order, session, and the events of a payment as a provider might send them.

use crate::model::{HALF_PAST, PRICE};
use crate::op::Payment;
use crate::world::{Answer, outbox, rolled_back};
use serde_json::json;
use sqlx::PgPool;
use toki::accounts::rights::Owner;
use toki::catalog::store::package_on_sale;
use toki::checkout::event::PaymentEvent;
use toki::checkout::payments::{CheckoutSession, Provider};
use toki::checkout::store::events::{insert_event, settle_event};
use toki::checkout::store::{CheckoutError, place_order, set_checkout_session};
use toki::checkout::types::Start;
use toki::checkout::types_placing::{OrderRequest, Terms};
use toki::codes::types::Discount;
use toki::ids::{GrantId, OrderId, PackageId};
use uuid::Uuid;

pub async fn pay(db: &PgPool, member: &Owner, package_id: PackageId, starts: Start, payment: Payment) -> Answer {
    let card = package_on_sale(db, package_id).await.expect("on sale");
    let (form_key, terms) = (Uuid::new_v4(), Terms::of(card));
    let request = OrderRequest { package_id, form_key, starts, terms, discount: Discount::default(), one_order_for_s: None };
    let order_id = match place_order(db, member, Provider::Stripe, &request).await {
        Ok(order) => order.purchase.order_id,
        Err(CheckoutError::AccountSuspended) => {
            rolled_back(db, "SELECT 1 FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE", member.account_id().0).await;
            return Answer::says("AccountSuspended");
        }
        Err(error) => panic!("no order: {error:?}"),
    };
    let session = CheckoutSession { id: format!("cs_{order_id}"), url: "https://checkout.stripe.com/c/pay".into(), livemode: Some(false) };
    set_checkout_session(db, order_id, &session).await.expect("opened").expect("waiting");

    let completed = "checkout.session.completed";
    let sent: &[(&str, &str, i64)] = match payment {
        Payment::Once => &[("1", completed, PRICE)],
        Payment::SameEventTwice => &[("1", completed, PRICE), ("1", completed, PRICE)],
        Payment::TwoEvents => &[("1", completed, PRICE), ("2", "checkout.session.async_payment_succeeded", PRICE)],
        Payment::WrongAmount => &[("1", completed, PRICE - 1)],
        Payment::AfterExpiry => &[("1", "checkout.session.expired", PRICE), ("2", completed, PRICE)],
    };
    let mut answer = Answer::default();
    for (number, kind, amount) in sent {
        let event = event(order_id, number, kind, *amount);
        insert_event(db, Provider::Stripe, &event).await.expect("stored");
        let decision = settle_event(db, &outbox(), Provider::Stripe, &event).await.expect("decided");
        answer.lines.push(decision.outcome.as_str().into());
    }
    let grant: Option<Uuid> = sqlx::query_scalar("SELECT grant_id FROM grants WHERE order_id = $1")
        .bind(order_id.0)
        .fetch_optional(db)
        .await
        .expect("at most one grant");
    let sql = "UPDATE grants SET expires_at = expires_at + $2 * interval '1 minute' WHERE grant_id = $1 AND starts_at > created_at";
    sqlx::query(sql).bind(grant).bind(HALF_PAST).execute(db).await.expect("an end at half past");
    (answer.grant, answer.order) = (grant.map(GrantId), Some(order_id));
    answer
}

fn event(order_id: OrderId, number: &str, kind: &str, amount: i64) -> PaymentEvent {
    let payload = json!({ "id": format!("evt_{order_id}_{number}"), "type": kind, "data": { "object": {
        "id": format!("cs_{order_id}"), "mode": "payment", "payment_status": "paid", "amount_total": amount, "currency": "usd",
        "client_reference_id": order_id.to_string() } } });
    PaymentEvent::from_payload(payload).expect("an event")
}
