//! Money that goes back, as operators, customers and banks see it: refunds by the command, refunds that fail, disputes.

use crate::checkout::{confirm, package};
use crate::payments::Shop;
use crate::support::app::TestApp;
use crate::support::fake_stripe::{FakeStripe, Plan, post};
use crate::support::toki::Toki;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::Duration;
use toki::checkout::refunding::{finish_refunds, refund};
use toki::checkout::store::refund_requests::RefundPart;
use toki::operators::rights::Operator;

#[sqlx::test]
async fn an_operator_refunds_a_part_and_then_the_rest(db: PgPool) {
    let shop = Shop::paid(db).await;
    let done = shop.toki_json(&["order", "refund", &shop.order_id, "--tokens", "400,001", "--reason", "kindness"]).await;
    assert_eq!((&done["amount_minor"], &done["tokens"], &done["status"]), (&json!(200), &json!(400_001), &json!("succeeded")));
    assert_eq!(shop.status().await, "partly_refunded");
    let asked = shop.stripe.requests().pop().expect("a request");
    assert_eq!((asked.path.as_str(), asked.idempotency_key.as_str()), ("refunds", done["refund_id"].as_str().expect("an id")));
    let page = shop.order_page().await;
    for shown in ["Partly refunded", "$2.00", "400,001"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    // What Stripe tells of it is known already.
    shop.stripe.deliver(Plan::Twice).await;
    assert_eq!(shop.app.number("SELECT count(*) FROM refunds").await, 1);

    shop.stripe.lose_next_answer();
    let rest = shop.toki_json(&["order", "refund", &shop.order_id, "--all", "--reason", "all of it"]).await;
    assert_eq!((&rest["status"], &rest["amount_minor"]), (&json!("requested"), &json!(300)));
    let state = &shop.app.state;
    let answered = finish_refunds(&state.db, &state.payments, TimeDelta::zero(), 10).await;
    assert_eq!(answered.expect("asked"), 1, "it was made, and is found");
    assert_eq!(shop.stripe.requests().iter().filter(|request| request.path == "refunds").count(), 2, "so it is not asked for once more");
    assert_eq!((shop.status().await.as_str(), shop.stripe.all("re").len()), ("refunded", 2));
    assert_eq!(shop.app.number("SELECT left_ + refunded * 10 FROM grants").await, 10_000_000);
    let toki = shop.toki();
    let order_id = shop.order_id.clone();
    let refused = tokio::task::spawn_blocking(move || toki.refusal(&["order", "refund", &order_id, "--unused", "--reason", "more"]));
    assert!(refused.await.expect("no panic").contains("an order that is refunded cannot be refunded"));
    let shown = shop.toki_json(&["order", "show", &shop.order_id]).await;
    let steps: Vec<_> =
        shown["transitions"].as_array().expect("steps").iter().map(|step| step["to_status"].as_str().expect("text")).collect();
    assert_eq!(steps, ["awaiting_payment", "paid", "fulfilled", "partly_refunded", "refunded"]);
    shop.close().await;
}

/// The keys under which Stripe was asked for refunds.
fn keys(shop: &Shop) -> Vec<String> {
    shop.stripe.requests().into_iter().filter(|request| request.path == "refunds").map(|request| request.idempotency_key).collect()
}

/// A shop that was asked for $2.00 of its $5.00, which Stripe answers with a failure under that key, for ever.
async fn unanswered(db: PgPool) -> Shop {
    let shop = Shop::paid(db).await;
    shop.stripe.fail_next(&[500]);
    let refund = ["order", "refund", &shop.order_id, "--amount", "200", "--reason", "asked for it"];
    assert_eq!(shop.toki_json(&refund).await["status"], "requested");
    long_ago(&shop).await;
    shop
}

/// As if what was asked for had been asked for two hours before.
async fn long_ago(shop: &Shop) {
    let sql = "UPDATE refunds SET created_at = created_at - interval '2 hours'";
    sqlx::query(sql).execute(&shop.app.state.db).await.expect(sql);
}

/// How many refunds have their answer since, as a replica asks again about those that had none.
async fn finished(shop: &Shop) -> i64 {
    finish_refunds(&shop.app.state.db, &shop.app.state.payments, TimeDelta::zero(), 10).await.expect("asked")
}

#[sqlx::test]
async fn a_refund_that_its_key_answers_with_a_failure_for_ever_is_made_once_under_another(db: PgPool) {
    let shop = Shop::paid(db).await;
    shop.stripe.fail_next(&[503, 500, 500]);
    let asked = shop.toki_json(&["order", "refund", &shop.order_id, "--all", "--reason", "asked for it"]).await;
    assert_eq!(asked["status"], "requested");
    let id = asked["refund_id"].as_str().expect("an id");
    let (second, third) = (format!("{id}/1"), format!("{id}/2"));
    // A 503 is of what stands before Stripe, and a 500 may still turn out to be done: for an hour the key stays.
    assert_eq!((finished(&shop).await, finished(&shop).await, shop.stripe.all("re").len()), (0, 0, 0));
    assert_eq!(keys(&shop), [id; 3]);
    long_ago(&shop).await;
    assert_eq!((finished(&shop).await, shop.stripe.all("re").len()), (0, 0));
    // It fails twice since that is kept; so does the next one.
    assert_eq!(keys(&shop), [id, id, id, id, id, &second]);
    assert_eq!((finished(&shop).await, shop.stripe.all("re").len()), (1, 1));
    assert_eq!(keys(&shop), [id, id, id, id, id, &second, &second, &second, &third]);
    assert_eq!((shop.status().await.as_str(), shop.app.number("SELECT attempt::bigint FROM refunds").await), ("refunded", 2));
    assert_eq!(shop.app.number("SELECT refunded FROM grants WHERE left_ = 0").await, 1_000_000);
    shop.close().await;
}

#[sqlx::test]
async fn what_was_made_under_another_key_and_answered_with_a_failure_is_found_and_not_made_again(db: PgPool) {
    let shop = unanswered(db).await;
    shop.stripe.lose_next_answer();
    assert_eq!((finished(&shop).await, shop.stripe.all("re").len()), (0, 1), "it was made, and nobody has heard of it");
    let asked = keys(&shop).len();
    assert_eq!((finished(&shop).await, finished(&shop).await), (1, 0));
    assert_eq!((keys(&shop).len(), shop.stripe.all("re").len()), (asked, 1));
    assert_eq!(shop.status().await, "partly_refunded");
    shop.close().await;
}

#[sqlx::test]
async fn replicas_that_give_a_key_up_at_once_agree_on_the_next(db: PgPool) {
    let shop = unanswered(db).await;
    shop.stripe.work_for(Duration::from_millis(50));
    join_all((0..5).map(|_| finished(&shop))).await;
    assert_eq!((finished(&shop).await, shop.stripe.all("re").len()), (0, 1));
    assert_eq!((shop.status().await.as_str(), shop.app.number("SELECT attempt::bigint FROM refunds").await), ("partly_refunded", 1));
    shop.close().await;
}

#[sqlx::test]
async fn twenty_operators_at_once_give_the_money_back_once(db: PgPool) {
    let shop = Shop::paid(db).await;
    shop.stripe.work_for(Duration::from_millis(100));
    let (state, order_id) = (&shop.app.state, shop.order_id.parse().expect("an id"));
    let ask = || refund(&state.db, &state.payments, Operator::command_line(), order_id, RefundPart::All, Some("asked for it"));
    let answers = join_all((0..20).map(|_| ask())).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    let made = shop.stripe.all("re");
    assert_eq!(made.iter().map(|refund| refund["amount"].as_i64()).collect::<Vec<_>>(), [Some(500)], "at Stripe");
    // What Stripe tells of it is known already.
    shop.stripe.deliver(Plan::Twice).await;
    assert_eq!((shop.status().await.as_str(), shop.app.number("SELECT count(*) FROM refunds").await), ("refunded", 1));
    assert_eq!(shop.app.number("SELECT refunded FROM grants WHERE left_ = 0").await, 1_000_000);
    shop.close().await;
}

#[sqlx::test]
async fn a_refund_that_is_refused_or_sent_back_returns_the_tokens(db: PgPool) {
    let shop = Shop::paid(db).await;
    shop.stripe.fail_next(&[400]);
    let (toki, order_id) = (shop.toki(), shop.order_id.clone());
    let refused = tokio::task::spawn_blocking(move || toki.refusal(&["order", "refund", &order_id, "--unused", "--reason", "first"]));
    assert!(refused.await.expect("no panic").contains("the Tokens are back in the grant"));
    let left = "SELECT left_ FROM grants WHERE frozen_at IS NULL";
    assert_eq!((shop.app.number(left).await, shop.status().await.as_str()), (1_000_000, "fulfilled"));

    shop.stripe.refunds_begin("pending");
    let pending = shop.toki_json(&["order", "refund", &shop.order_id, "--unused", "--reason", "second"]).await;
    assert_eq!((&pending["status"], shop.status().await.as_str()), (&json!("pending"), "refunded"));
    shop.stripe.fail_refund(shop.stripe.all("re")[0]["id"].as_str().expect("an id"));
    shop.stripe.deliver(Plan::Reversed).await;
    assert_eq!((shop.app.number(left).await, shop.status().await.as_str()), (1_000_000, "fulfilled"));
    assert!(shop.order_page().await.contains("Failed, Tokens returned"));
    shop.close().await;
}

#[sqlx::test]
async fn a_dispute_freezes_the_tokens_until_the_bank_decides(db: PgPool) {
    let shop = Shop::paid(db).await;
    let dispute = shop.stripe.dispute(&shop.session_id);
    shop.stripe.deliver(Plan::InOrder).await;
    let page = shop.order_page().await;
    assert!(page.contains("Disputed Your bank asked for the money back."), "{page}");
    let wallet = shop.browser.get("/wallet").await.text();
    assert!(wallet.contains("Frozen"), "{wallet}");
    shop.stripe.close_dispute(&dispute, "lost");
    shop.stripe.deliver(Plan::InOrder).await;
    assert_eq!(shop.app.number("SELECT refunded FROM grants WHERE left_ = 0").await, 1_000_000);
    assert!(shop.order_page().await.contains("Refunded"));
    assert!(shop.order_page().await.contains("Taken back by your bank"));
    shop.close().await;
}

#[sqlx::test]
async fn play_money_is_refunded_without_asking_anybody(db: PgPool) {
    let app = TestApp::start(db).await;
    let package_id = package(&app, "Starter", None).await;
    let browser = app.signed_up("ada@example.com").await;
    let placed = confirm(&browser, package_id).await;
    let payment = browser.get(&placed.location).await;
    let paid = browser.submit(&payment.form("/api/sandbox/pay"), &placed.location).await;
    let order_id = app.text("SELECT order_id::text FROM orders").await;
    let toki = Toki::new(&app.state.db);
    let done = toki.json(&["order", "refund", &order_id, "--all", "--reason", "a rehearsal"]);
    assert_eq!((&done["status"], &done["amount_minor"]), (&json!("succeeded"), &json!(500)));
    assert!(browser.get(&paid.location).await.text().contains("Refunded The price went back in full"));
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn a_payment_that_nobody_named_is_asked_for_and_what_waited_for_it_is_done(db: PgPool) {
    let shop = Shop::open(db).await;
    shop.stripe.complete(&shop.session_id, true);
    let mut event = shop.stripe.waiting().remove(0);
    shop.stripe.deliver(Plan::Lost).await;
    event["data"]["object"]["payment_intent"] = Value::Null;
    let body = event.to_string();
    post(&shop.app.url("/webhooks/stripe"), &body, FakeStripe::signature(&body)).await;
    // Refunds name the order only if we asked for them.
    shop.stripe.refund_elsewhere(&shop.session_id, 100);
    shop.stripe.deliver(Plan::InOrder).await;
    assert_eq!(shop.status().await, "fulfilled");
    assert_eq!(shop.app.number("SELECT count(*) FROM payment_event_outcomes WHERE outcome = 'waiting'").await, 1);
    shop.toki_json(&["reconcile"]).await;
    assert_eq!(shop.status().await, "partly_refunded");
    assert_eq!(shop.app.number("SELECT refunded FROM grants").await, 200_000);
    shop.close().await;
}
