//! Tests of sessions that we asked about and that do not fit their order: one event each, which operators decide about like any other.

use super::*;
use crate::accounts::rights::Owner;
use crate::checkout::store::events::{insert_event, settle_event};
use crate::checkout::store::fixtures::{member, open_order, outbox, package, pay};
use crate::checkout::store::order;
use crate::checkout::store::quarantine::{quarantined_count, quarantined_events, resolve_quarantined};
use crate::checkout::types::OrderStatus;
use crate::checkout::types_events::Resolution;
use crate::operators::rights::Operator;

async fn start(db: &PgPool, email: &str) -> (Owner, OpenOrder) {
    let (ada, package_id) = (member(db, email).await, package(db, email, None).await);
    let (order_id, session_id) = open_order(db, &ada, package_id).await;
    (ada, OpenOrder { order_id, provider: Provider::Stripe, session_id })
}

/// The session, of which so much was paid.
fn paid(open: &OpenOrder, amount: i64) -> Value {
    json!({"id": open.session_id, "object": "checkout.session", "mode": "payment", "status": "complete", "livemode": false,
        "payment_status": "paid", "amount_total": amount, "currency": "usd", "payment_intent": format!("pi_{}", open.order_id),
        "client_reference_id": open.order_id.to_string()})
}

/// Asks, and is answered that so much was paid.
async fn ask(db: &PgPool, open: &OpenOrder, amount: i64) -> EventOutcome {
    settle_asked(db, &outbox(), open, &paid(open, amount)).await.expect("settled").outcome
}

async fn resolve(db: &PgPool, open: &OpenOrder, resolution: Resolution) -> EventOutcome {
    let event_id = format!("asked_{}", open.session_id);
    let decision = resolve_quarantined(db, &outbox(), Operator::command_line(), &event_id, resolution, "a look").await;
    decision.expect("decided").outcome
}

async fn number(db: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db).await.expect(sql)
}

#[sqlx::test]
async fn an_answer_that_does_not_fit_is_listed_once_and_credits_when_its_cause_is_mended(db: PgPool) {
    let (ada, open) = start(&db, "ada@example.com").await;
    sqlx::query("UPDATE orders SET livemode = true").execute(&db).await.expect("as if of another mode");
    for _ in 0..2 {
        assert_eq!(ask(&db, &open, 500).await, EventOutcome::Quarantined);
    }
    let listed = quarantined_events(&db, None, 10).await.expect("read");
    assert_eq!(listed.len(), 1, "{listed:?}");
    let event = &listed[0];
    assert_eq!((event.event_id.as_str(), event.event_type.as_str()), (format!("asked_{}", open.session_id).as_str(), KIND));
    assert_eq!((event.order_id, &event.payload["data"]["object"]["amount_total"]), (Some(open.order_id), &json!(500)));
    assert!(event.reason.as_deref().is_some_and(|reason| reason.contains("live mode")), "{event:?}");
    assert_eq!(number(&db, "SELECT count(*) FROM payment_event_outcomes").await, 1);

    assert_eq!(resolve(&db, &open, Resolution::Retry).await, EventOutcome::Quarantined, "nothing was mended");
    assert_eq!(ask(&db, &open, 500).await, EventOutcome::Quarantined);
    assert_eq!(quarantined_count(&db).await.expect("count"), 1);
    sqlx::query("UPDATE orders SET livemode = false").execute(&db).await.expect("mended");
    assert_eq!(resolve(&db, &open, Resolution::Retry).await, EventOutcome::Fulfilled);
    assert_eq!(quarantined_count(&db).await.expect("count"), 0);
    assert_eq!(order(&db, &ada, open.order_id).await.expect("order").status, OrderStatus::Fulfilled);
    assert_eq!(ask(&db, &open, 500).await, EventOutcome::AlreadyFulfilled);
    assert_eq!(number(&db, "SELECT count(*) FROM grants").await, 1);
}

#[sqlx::test]
async fn what_was_dismissed_is_no_news_until_it_differs_otherwise(db: PgPool) {
    let (_, open) = start(&db, "ada@example.com").await;
    ask(&db, &open, 499).await;
    assert_eq!(resolve(&db, &open, Resolution::Dismiss).await, EventOutcome::Dismissed);
    assert_eq!(ask(&db, &open, 499).await, EventOutcome::Quarantined);
    assert_eq!(quarantined_count(&db).await.expect("count"), 0, "an operator has decided about just this");
    ask(&db, &open, 498).await;
    ask(&db, &open, 498).await;
    let listed = quarantined_events(&db, None, 10).await.expect("read");
    assert!(listed.len() == 1 && listed[0].reason.as_deref().is_some_and(|reason| reason.contains("498")), "{listed:?}");
    assert_eq!(number(&db, "SELECT count(*) FROM payment_events").await, 1, "one for a session");
}

#[sqlx::test]
async fn an_order_that_is_paid_after_all_is_no_longer_listed(db: PgPool) {
    let (_, asked) = start(&db, "ada@example.com").await;
    let (_, told) = start(&db, "bob@example.com").await;
    for open in [&asked, &told] {
        assert_eq!(ask(&db, open, 499).await, EventOutcome::Quarantined);
    }
    assert_eq!(quarantined_count(&db).await.expect("count"), 2);
    assert_eq!(ask(&db, &asked, 500).await, EventOutcome::Fulfilled);
    assert_eq!(quarantined_count(&db).await.expect("count"), 1);
    assert_eq!(pay(&db, &(told.order_id, told.session_id.clone())).await.outcome, EventOutcome::Fulfilled);
    assert_eq!(quarantined_count(&db).await.expect("count"), 0);
    assert_eq!(number(&db, "SELECT count(*) FROM grants").await, 2);
}

#[sqlx::test]
async fn an_order_that_is_closed_is_no_longer_listed(db: PgPool) {
    let (_, open) = start(&db, "ada@example.com").await;
    assert_eq!(ask(&db, &open, 499).await, EventOutcome::Quarantined);
    let over = json!({"id": "evt_over", "type": "checkout.session.expired", "data": {"object": {"id": open.session_id}}});
    let event = PaymentEvent::from_payload(over).expect("an event");
    insert_event(&db, Provider::Stripe, &event).await.expect("stored");
    assert_eq!(settle_event(&db, &outbox(), Provider::Stripe, &event).await.expect("settled").outcome, EventOutcome::Closed);
    assert_eq!(quarantined_count(&db).await.expect("count"), 0);
}

/// The session of a customer who has paid by a method that takes days, and where its payment stands.
fn begun(open: &OpenOrder, payment: &str, received: i64) -> Value {
    let mut session = paid(open, 500);
    session["payment_status"] = json!("unpaid");
    session["payment_intent"] =
        json!({"id": format!("pi_{}", open.order_id), "status": payment, "amount_received": received, "currency": "usd"});
    session
}

#[sqlx::test]
async fn what_a_bank_made_of_a_payment_that_takes_days_is_acted_on_once(db: PgPool) {
    use EventOutcome::{AlreadyFulfilled, Closed, Fulfilled, Ignored, Quarantined};
    for (n, (payment, received, outcomes, stands)) in [
        ("processing", 0, [Ignored, Ignored], OrderStatus::AwaitingPayment),
        ("requires_action", 0, [Ignored, Ignored], OrderStatus::AwaitingPayment),
        ("unheard_of", 0, [Ignored, Ignored], OrderStatus::AwaitingPayment),
        ("requires_payment_method", 0, [Closed, Ignored], OrderStatus::Declined),
        ("canceled", 0, [Closed, Ignored], OrderStatus::Declined),
        ("succeeded", 500, [Fulfilled, AlreadyFulfilled], OrderStatus::Fulfilled),
        ("succeeded", 499, [Quarantined, Quarantined], OrderStatus::AwaitingPayment),
    ]
    .into_iter()
    .enumerate()
    {
        let (ada, open) = start(&db, &format!("ada{n}@example.com")).await;
        for expected in outcomes {
            let decision = settle_asked(&db, &outbox(), &open, &begun(&open, payment, received)).await.expect("settled");
            assert_eq!(decision.outcome, expected, "{payment} {received}");
        }
        let view = order(&db, &ada, open.order_id).await.expect("order");
        assert_eq!((view.status, view.payment_begun), (stands, outcomes == [Ignored, Ignored]), "{payment} {received}");
    }
    assert_eq!(number(&db, "SELECT count(*) FROM order_transitions WHERE to_status = 'declined' AND cause = 'reconciler'").await, 2);
    assert_eq!(number(&db, "SELECT count(*) FROM payment_event_outcomes").await, 1, "that one alone does not fit its order");
}

#[sqlx::test]
async fn what_an_event_told_is_not_told_again_by_asking(db: PgPool) {
    let (_, open) = start(&db, "ada@example.com").await;
    let payload = json!({"id": "evt_1", "type": "checkout.session.completed", "data": {"object": paid(&open, 499)}});
    let event = PaymentEvent::from_payload(payload).expect("an event");
    insert_event(&db, Provider::Stripe, &event).await.expect("stored");
    let told = settle_event(&db, &outbox(), Provider::Stripe, &event).await.expect("settled");
    assert_eq!(told.outcome, EventOutcome::Quarantined);
    assert_eq!(ask(&db, &open, 499).await, EventOutcome::Quarantined);
    assert_eq!(quarantined_count(&db).await.expect("count"), 1);
    ask(&db, &open, 498).await;
    assert_eq!(quarantined_count(&db).await.expect("count"), 2, "that is something else");
}
