//! Tests of payment events: what credits, what does not, and that it happens once.

use super::*;
use crate::accounts::rights::Owner;
use crate::checkout::reconcile::settle_left_events;
use crate::checkout::store::fixtures::{member, open_order, outbox, package};
use crate::checkout::store::order;
use futures::future::join_all;
use serde_json::{Value, json};

/// The event that pays the order as it asks to be paid, but for `change`.
fn event_but(id: &str, kind: &str, order_id: OrderId, session_id: &str, change: Value) -> PaymentEvent {
    let mut object = json!({
        "id": session_id, "object": "checkout.session", "mode": "payment", "payment_status": "paid", "amount_total": 500,
        "currency": "usd", "client_reference_id": order_id.to_string(), "metadata": {"order_id": order_id.to_string()},
    });
    for (name, value) in change.as_object().expect("an object") {
        object[name] = value.clone();
    }
    let payload = json!({"id": id, "type": kind, "data": {"object": object}});
    PaymentEvent::from_payload(payload).expect("an event")
}

fn paid(id: &str, order_id: OrderId, session_id: &str) -> PaymentEvent {
    event_but(id, "checkout.session.completed", order_id, session_id, json!({}))
}

async fn deliver(db: &PgPool, provider: Provider, event: &PaymentEvent) -> Decision {
    insert_event(db, provider, event).await.expect("stored");
    settle_event(db, &outbox(), provider, event).await.expect("settled")
}

async fn start(db: &PgPool) -> (Owner, OrderId, String) {
    let (ada, package_id) = (member(db, "ada@example.com").await, package(db, "Starter", None).await);
    let (order_id, session_id) = open_order(db, &ada, package_id).await;
    (ada, order_id, session_id)
}

async fn number(db: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db).await.expect(sql)
}

#[sqlx::test]
async fn the_same_event_twenty_times_at_once_grants_once(db: PgPool) {
    let (ada, order_id, session_id) = start(&db).await;
    let event = paid("evt_1", order_id, &session_id);
    let decisions = join_all((0..20).map(|_| deliver(&db, Provider::Stripe, &event))).await;
    assert!(decisions.iter().all(|decision| decision.outcome == EventOutcome::Fulfilled), "{decisions:?}");
    assert_eq!(number(&db, "SELECT count(*) FROM grants").await, 1);
    assert_eq!(number(&db, "SELECT sum(tokens)::bigint FROM ledger").await, 1_000_000);
    assert_eq!(number(&db, "SELECT count(*) FROM payment_events").await, 1);
    assert_eq!(number(&db, "SELECT count(*) FROM payment_event_outcomes").await, 1);

    let order = order(&db, &ada, order_id).await.expect("order");
    assert_eq!((order.status, order.checkout_url), (OrderStatus::Fulfilled, None));
    assert!(order.fulfilled_at.is_some() && order.closed_at.is_none());
    let valid: i64 = number(&db, "SELECT extract(epoch FROM expires_at - starts_at)::bigint FROM grants").await;
    assert_eq!((valid, order.grant.is_some()), (2_592_000, true));
}

#[sqlx::test]
async fn different_events_of_one_payment_at_once_grant_once(db: PgPool) {
    let (_, order_id, session_id) = start(&db).await;
    let events: Vec<_> = (0..8).map(|n| paid(&format!("evt_{n}"), order_id, &session_id)).collect();
    let decisions = join_all(events.iter().map(|event| deliver(&db, Provider::Stripe, event))).await;
    let fulfilled = decisions.iter().filter(|decision| decision.outcome == EventOutcome::Fulfilled).count();
    let again = decisions.iter().filter(|decision| decision.outcome == EventOutcome::AlreadyFulfilled).count();
    assert_eq!((fulfilled, again, number(&db, "SELECT count(*) FROM grants").await), (1, 7, 1));
}

#[sqlx::test]
async fn a_payment_that_does_not_fit_is_quarantined_and_the_right_one_still_credits(db: PgPool) {
    let (ada, order_id, session_id) = start(&db).await;
    let wrong = [
        ("amount_total", json!(499), "the amount"),
        ("amount_total", json!(501), "the amount"),
        ("amount_total", json!("500"), "the amount"),
        ("amount_total", Value::Null, "the amount"),
        ("currency", json!("eur"), "the currency"),
        ("currency", Value::Null, "the currency"),
        ("mode", json!("subscription"), "mode"),
        ("payment_status", json!("no_payment_required"), "the payment status"),
        ("payment_status", Value::Null, "the payment status"),
        ("id", json!("cs_other"), "session"),
        ("id", Value::Null, "session"),
        ("client_reference_id", json!(OrderId::generate().to_string()), "no order of ours"),
        ("client_reference_id", json!("not an order"), "refers to"),
        ("metadata", json!({"order_id": OrderId::generate().to_string()}), "refers to"),
    ];
    for (n, (field, value, reason)) in wrong.into_iter().enumerate() {
        let event = event_but(&format!("evt_{n}"), "checkout.session.completed", order_id, &session_id, json!({field: value}));
        let decision = deliver(&db, Provider::Stripe, &event).await;
        assert_eq!(decision.outcome, EventOutcome::Quarantined, "{field}={value}");
        assert!(decision.reason.as_deref().is_some_and(|text| text.contains(reason)), "{field}={value}: {decision:?}");
    }
    let sandbox = deliver(&db, Provider::Sandbox, &paid("evt_sandbox", order_id, &session_id)).await;
    assert_eq!((sandbox.outcome, sandbox.order_id), (EventOutcome::Quarantined, Some(order_id)), "play money buys nothing real");

    assert_eq!(number(&db, "SELECT count(*) FROM grants").await, 0);
    assert_eq!(order(&db, &ada, order_id).await.expect("order").status, OrderStatus::AwaitingPayment);
    let right = event_but("evt_right", "checkout.session.completed", order_id, &session_id, json!({"currency": "USD"}));
    assert_eq!(deliver(&db, Provider::Stripe, &right).await.outcome, EventOutcome::Fulfilled);
}

#[sqlx::test]
async fn a_session_without_references_is_known_by_its_id(db: PgPool) {
    let (_, order_id, session_id) = start(&db).await;
    let change = json!({"client_reference_id": null, "metadata": {}});
    let event = event_but("evt_1", "checkout.session.completed", order_id, &session_id, change);
    assert_eq!(deliver(&db, Provider::Stripe, &event).await, Decision::new(EventOutcome::Fulfilled, Some(order_id)));
}

#[sqlx::test]
async fn money_that_arrives_for_a_closed_order_still_buys(db: PgPool) {
    for (n, kind) in ["checkout.session.expired", "checkout.session.async_payment_failed"].into_iter().enumerate() {
        let email = format!("ada{n}@example.com");
        let (ada, package_id) = (member(&db, &email).await, package(&db, kind, None).await);
        let (order_id, session_id) = open_order(&db, &ada, package_id).await;
        let closing = event_but(&format!("evt_close_{n}"), kind, order_id, &session_id, json!({"payment_status": "unpaid"}));
        assert_eq!(deliver(&db, Provider::Stripe, &closing).await.outcome, EventOutcome::Closed);
        let closed = order(&db, &ada, order_id).await.expect("order");
        assert_eq!(closed.status, if n == 0 { OrderStatus::Expired } else { OrderStatus::Declined });
        assert!(closed.closed_at.is_some());

        let late = paid(&format!("evt_late_{n}"), order_id, &session_id);
        assert_eq!(deliver(&db, Provider::Stripe, &late).await.outcome, EventOutcome::Fulfilled);
        let paid = order(&db, &ada, order_id).await.expect("order");
        assert_eq!((paid.status, paid.closed_at, paid.grant.is_some()), (OrderStatus::Fulfilled, None, true));
    }
}

#[sqlx::test]
async fn an_asynchronous_payment_credits_when_it_succeeds(db: PgPool) {
    let (ada, order_id, session_id) = start(&db).await;
    let unpaid = json!({"payment_status": "unpaid"});
    let completed = event_but("evt_1", "checkout.session.completed", order_id, &session_id, unpaid);
    assert_eq!(deliver(&db, Provider::Stripe, &completed).await.outcome, EventOutcome::Ignored);
    assert_eq!(order(&db, &ada, order_id).await.expect("order").status, OrderStatus::AwaitingPayment);
    let succeeded = event_but("evt_2", "checkout.session.async_payment_succeeded", order_id, &session_id, json!({}));
    assert_eq!(deliver(&db, Provider::Stripe, &succeeded).await.outcome, EventOutcome::Fulfilled);
}

#[sqlx::test]
async fn a_fulfilled_order_is_closed_by_nothing(db: PgPool) {
    let (ada, order_id, session_id) = start(&db).await;
    deliver(&db, Provider::Stripe, &paid("evt_1", order_id, &session_id)).await;
    for (n, kind) in ["checkout.session.expired", "checkout.session.async_payment_failed"].into_iter().enumerate() {
        let event = event_but(&format!("evt_close_{n}"), kind, order_id, &session_id, json!({}));
        assert_eq!(deliver(&db, Provider::Stripe, &event).await.outcome, EventOutcome::AlreadyFulfilled);
    }
    assert_eq!(order(&db, &ada, order_id).await.expect("order").status, OrderStatus::Fulfilled);
    // Nor does one that waits end with another session, whether that was asked for it in vain, or says so of another order.
    let (other, session) = open_order(&db, &ada, package(&db, "Second", None).await).await;
    let stranger = event_but("evt_stranger", "checkout.session.expired", other, "cs_other", json!({}));
    assert_eq!(deliver(&db, Provider::Stripe, &stranger).await.outcome, EventOutcome::Ignored);
    let nameless = event_but("evt_nameless", "checkout.session.expired", other, "cs_other", json!({"metadata": {}}));
    assert_eq!(deliver(&db, Provider::Stripe, &nameless).await.outcome, EventOutcome::Quarantined);
    let failed = event_but("evt_failed", "checkout.session.async_payment_failed", other, "cs_other", json!({}));
    assert_eq!(deliver(&db, Provider::Stripe, &failed).await.outcome, EventOutcome::Quarantined);
    let forged = event_but("evt_sandbox", "checkout.session.expired", other, &session, json!({}));
    assert_eq!(deliver(&db, Provider::Sandbox, &forged).await.outcome, EventOutcome::Quarantined);
    assert_eq!(order(&db, &ada, other).await.expect("order").status, OrderStatus::AwaitingPayment);
}

#[sqlx::test]
async fn events_that_concern_no_order_are_kept_and_ignored(db: PgPool) {
    let event = PaymentEvent::from_payload(json!({"id": "evt_1", "type": "payout.paid", "data": {"object": {"id": "po_1"}}}));
    let decision = deliver(&db, Provider::Stripe, &event.expect("an event")).await;
    assert_eq!((decision.outcome, decision.order_id), (EventOutcome::Ignored, None));
    assert_eq!(number(&db, "SELECT count(*) FROM payment_events").await, 1);
}

#[sqlx::test]
async fn an_event_left_by_a_crash_is_settled_by_its_redelivery_or_by_the_job(db: PgPool) {
    let (ada, order_id, session_id) = start(&db).await;
    let event = paid("evt_1", order_id, &session_id);
    insert_event(&db, Provider::Stripe, &event).await.expect("stored, then the process ended");
    assert_eq!(settle_left_events(&db, &outbox(), 10).await.expect("job"), 0, "it may still be in progress");
    assert_eq!(deliver(&db, Provider::Stripe, &event).await.outcome, EventOutcome::Fulfilled);

    let (second, session_id) = open_order(&db, &ada, package(&db, "Second", None).await).await;
    let event = paid("evt_2", second, &session_id);
    sqlx::query(
        "INSERT INTO payment_events (provider, event_id, event_type, payload, received_at)
         VALUES ('stripe', $1, $2, $3, now() - interval '1 minute')",
    )
    .bind(&event.id)
    .bind(&event.kind)
    .bind(&event.payload)
    .execute(&db)
    .await
    .expect("an old event");
    let outbox = outbox();
    let jobs = join_all((0..4).map(|_| settle_left_events(&db, &outbox, 10))).await;
    assert!(jobs.iter().all(Result::is_ok), "{jobs:?}");
    assert_eq!(order(&db, &ada, second).await.expect("order").status, OrderStatus::Fulfilled);
    assert_eq!(number(&db, "SELECT count(*) FROM grants").await, 2);
    assert_eq!(settle_left_events(&db, &outbox, 10).await.expect("job"), 0, "nothing is left");
}

/// Stores an event as a process that ended at once left it, `minutes` ago.
async fn leave(db: &PgPool, event: &PaymentEvent, minutes: i32) {
    sqlx::query(
        "INSERT INTO payment_events (provider, event_id, event_type, payload, received_at)
         VALUES ('stripe', $1, $2, $3, date_trunc('minute', now()) - make_interval(mins => $4))",
    )
    .bind(&event.id)
    .bind(&event.kind)
    .bind(&event.payload)
    .bind(minutes)
    .execute(db)
    .await
    .expect("an old event");
}

#[sqlx::test]
async fn events_that_can_never_be_settled_keep_no_later_one_from_it(db: PgPool) {
    let (ada, order_id, session_id) = start(&db).await;
    let poison = "CREATE TRIGGER poison BEFORE INSERT ON payment_event_outcomes FOR EACH ROW WHEN (NEW.event_id LIKE 'evt_poison%')
                  EXECUTE FUNCTION refuse_change()";
    sqlx::query(poison).execute(&db).await.expect("poison");
    // All of one moment: pages end between them.
    for n in 0..5 {
        leave(&db, &event_but(&format!("evt_poison_{n}"), "payout.paid", order_id, &session_id, json!({})), 10).await;
    }
    leave(&db, &paid("evt_1", order_id, &session_id), 1).await;
    assert_eq!(settle_left_events(&db, &outbox(), 2).await.expect("job"), 1);
    assert_eq!(order(&db, &ada, order_id).await.expect("order").status, OrderStatus::Fulfilled);
    assert_eq!(unsettled_count(&db, TimeDelta::minutes(5)).await.expect("count"), 5);
}

#[sqlx::test]
async fn a_refund_that_is_decided_beside_its_fulfilment_is_decided_again(db: PgPool) {
    let (ada, order_id, session_id) = start(&db).await;
    let paid = event_but("evt_1", "checkout.session.completed", order_id, &session_id, json!({"payment_intent": "pi_1"}));
    let mut fulfilling = db.begin().await.expect("begin");
    let fulfilled = fulfil_order_in(&mut fulfilling, &outbox(), Provider::Stripe, &paid.session(), Cause::Reconciler).await;
    assert_eq!(fulfilled.expect("fulfilled").outcome, EventOutcome::Fulfilled);

    // The payment is not known yet, and whoever notes it has looked for what waits.
    let refund = json!({"id": "evt_2", "type": "refund.created", "data": {"object": {"id": "re_1", "object": "refund", "amount": 500,
        "currency": "usd", "status": "succeeded", "payment_intent": "pi_1"}}});
    let refund = PaymentEvent::from_payload(refund).expect("an event");
    assert_eq!(deliver(&db, Provider::Stripe, &refund).await.outcome, EventOutcome::Waiting);
    assert_eq!(settle_left_events(&db, &outbox(), 10).await.expect("job"), 0, "still nobody's");
    fulfilling.commit().await.expect("commit");
    assert_eq!(order(&db, &ada, order_id).await.expect("order").status, OrderStatus::Fulfilled);

    let outbox = outbox();
    let jobs = join_all((0..4).map(|_| settle_left_events(&db, &outbox, 10))).await;
    assert_eq!(jobs.into_iter().map(|job| job.expect("job")).sum::<i64>(), 1, "once, whoever does it");
    assert_eq!(order(&db, &ada, order_id).await.expect("order").status, OrderStatus::Refunded);
    assert_eq!(number(&db, "SELECT count(*) FROM payment_event_outcomes WHERE event_id = 'evt_2'").await, 2);
    assert_eq!(settle_left_events(&db, &outbox, 10).await.expect("job"), 0, "nothing waits");
}

#[sqlx::test]
async fn a_package_that_rolls_over_takes_the_last_ones_rest_along_when_it_is_bought_again(db: PgPool) {
    use crate::catalog::store::{PackageEdit, update_package};
    use crate::operators::rights::Operator;
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let buy = async |id: &'static str| {
        let (order_id, session_id) = open_order(&db, &ada, package_id).await;
        assert_eq!(deliver(&db, Provider::Stripe, &paid(id, order_id, &session_id)).await.outcome, EventOutcome::Fulfilled);
    };
    // Bought before the package said so: it stays where it is.
    buy("evt_1").await;
    let edit = PackageEdit { rolls_over: Some(true), ..PackageEdit::default() };
    update_package(&db, Operator::command_line(), package_id, edit).await.expect("edited");
    buy("evt_2").await;
    buy("evt_3").await;
    let left = sqlx::query_scalar!("SELECT left_ FROM grants ORDER BY created_at").fetch_all(&db).await.expect("grants");
    assert_eq!(left, [1_000_000, 0, 2_000_000]);
    let moved = sqlx::query!(
        "SELECT tokens, order_id = o AS same FROM ledger, (SELECT max(order_id::text)::uuid AS o FROM orders) last WHERE to_grant_id IS NOT NULL"
    );
    let moved = moved.fetch_one(&db).await.expect("one move");
    assert_eq!((moved.tokens, moved.same), (1_000_000, Some(true)));
    let report = crate::wallet::audit::audit(&db, None).await.expect("audit");
    assert!(report.differences.is_empty(), "{:?}", report.differences);
}
