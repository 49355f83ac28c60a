//! Payments that a bank decides about days later: what asking makes of them where no event ever comes, and what an operator can do meanwhile.

use crate::payments::Shop;
use crate::support::fake_stripe::Plan;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::{Duration, Instant};

const STEPS: &str = "SELECT string_agg(to_status || ' by ' || cause, ', ' ORDER BY transition_id) FROM order_transitions";

/// A shop whose customer has paid by a method that takes days, and whose Stripe tells nobody, now or later.
async fn begun(db: PgPool) -> Shop {
    let shop = Shop::open(db).await;
    shop.stripe.complete(&shop.session_id, false);
    shop.stripe.deliver(Plan::Lost).await;
    shop.stripe.forget_events();
    shop
}

/// The bank has refused. The event that says so, which is not delivered.
async fn refused(shop: &Shop) -> Value {
    shop.stripe.settle_payment(&shop.session_id, false);
    let event = shop.stripe.waiting().remove(0);
    shop.stripe.deliver(Plan::Lost).await;
    event
}

/// What the command says when it fails.
async fn refusal(shop: &Shop, args: &[&str]) -> String {
    let (toki, args) = (shop.toki(), args.iter().map(|arg| arg.to_string()).collect::<Vec<_>>());
    let said = tokio::task::spawn_blocking(move || toki.refusal(&args.iter().map(String::as_str).collect::<Vec<_>>()));
    said.await.expect("no panic")
}

fn asked_about_one(credited: i64, closed: i64) -> Value {
    json!({"new_events": 0, "asked": 1, "credited": credited, "closed": closed, "refunds": 0})
}

#[sqlx::test]
async fn without_any_webhook_what_the_bank_refuses_is_declined_once_and_not_before(db: PgPool) {
    let shop = begun(db).await;
    for status in ["processing", "requires_action", "requires_capture", "unheard_of"] {
        shop.stripe.payment_becomes(&shop.session_id, status);
        assert_eq!(shop.toki_json(&["reconcile"]).await, asked_about_one(0, 0), "{status}");
        assert_eq!(shop.status().await, "awaiting_payment", "{status}");
    }
    assert_eq!(shop.app.number("SELECT count(*) FROM orders WHERE payment_begun_at IS NOT NULL").await, 1);
    let late = refused(&shop).await;
    assert_eq!(shop.toki_json(&["reconcile"]).await, asked_about_one(0, 1));
    assert!(shop.order_page().await.contains("The payment was declined. Nothing was charged."), "{}", shop.order_page().await);
    // Told after all, it is no news.
    assert_eq!(shop.stripe.deliver_event(&late, Plan::InOrder).await, 200);
    assert_eq!(shop.toki_json(&["reconcile"]).await["asked"], 0);
    assert_eq!(shop.app.text("SELECT outcome FROM payment_event_outcomes").await, "ignored");
    assert_eq!(shop.app.text(STEPS).await, "awaiting_payment by checkout, declined by reconciler");
    assert_eq!(shop.app.number("SELECT count(*) FROM journal WHERE kind = 'order.closed'").await, 1);
    shop.close().await;
}

#[sqlx::test]
async fn without_any_webhook_the_return_page_tells_that_the_bank_refused(db: PgPool) {
    let shop = begun(db).await;
    shop.stripe.payment_becomes(&shop.session_id, "canceled");
    let begun = Instant::now();
    while !shop.order_page().await.contains("The payment was declined. Nothing was charged.") {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", shop.order_page().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(shop.app.text(STEPS).await, "awaiting_payment by checkout, declined by reconciler");
    shop.close().await;
}

#[sqlx::test]
async fn a_payment_that_arrived_is_credited_once_also_where_its_session_does_not_say_so_yet(db: PgPool) {
    let shop = begun(db).await;
    shop.stripe.payment_becomes(&shop.session_id, "succeeded");
    assert_eq!(shop.toki_json(&["reconcile"]).await, asked_about_one(1, 0));
    shop.stripe.settle_payment(&shop.session_id, true);
    assert_eq!(shop.stripe.deliver(Plan::InOrder).await, [200]);
    assert_eq!(shop.app.text(STEPS).await, "awaiting_payment by checkout, paid by reconciler, fulfilled by reconciler");
    assert_eq!((shop.grants().await, shop.app.text("SELECT provider_payment_id FROM orders").await.as_str()), (1, "pi_1"));
    shop.close().await;
}

#[sqlx::test]
async fn a_payment_that_cannot_be_looked_at_changes_nothing(db: PgPool) {
    let shop = begun(db).await;
    refused(&shop).await;
    // What a restricted key may not read, it may not read the next time either.
    shop.stripe.fail_reads("payment_intents/pi_1", Some(403));
    assert_eq!(shop.toki_json(&["reconcile"]).await, asked_about_one(0, 0));
    assert_eq!(shop.app.number("SELECT count(*) FROM orders WHERE payment_begun_at IS NOT NULL").await, 1);
    shop.stripe.fail_reads("payment_intents/pi_1", Some(500));
    let said = refusal(&shop, &["reconcile"]).await;
    assert!(said.contains("the payment provider could not be reached or failed"), "{said}");
    assert_eq!(shop.status().await, "awaiting_payment");
    shop.stripe.fail_reads("payment_intents/pi_1", None);
    assert_eq!(shop.toki_json(&["reconcile"]).await, asked_about_one(0, 1));
    assert_eq!(shop.status().await, "declined");
    shop.close().await;
}

#[sqlx::test]
async fn an_operator_who_cancels_has_the_bank_asked_and_cancels_nothing_that_it_works_on(db: PgPool) {
    let shop = begun(db).await;
    let cancel = ["order", "cancel", &shop.order_id, "--reason", "it takes so long"];
    for noted in [false, true] {
        let said = refusal(&shop, &cancel).await;
        assert!(said.contains("the payment of the order is on its way, so it cannot be cancelled"), "{noted}: {said}");
        assert_eq!(shop.status().await, "awaiting_payment", "{noted}");
    }
    refused(&shop).await;
    for _ in 0..2 {
        assert_eq!(shop.toki_json(&cancel).await, json!({"order_id": shop.order_id, "status": "declined"}));
    }
    assert_eq!(shop.app.text(STEPS).await, "awaiting_payment by checkout, declined by reconciler");
    assert_eq!(shop.app.number("SELECT count(*) FROM operator_actions WHERE action = 'order.cancel'").await, 0, "it was the bank's deed");
    shop.close().await;
}
