//! Payments that cannot get lost, against a Stripe that misbehaves: what is told twice, late, in another order, wrongly, or never.

use crate::checkout::{confirm, package};
use crate::support::app::TestApp;
use crate::support::browser::Browser;
use crate::support::fake_stripe::{FakeStripe, Plan, post};
use crate::support::toki::Toki;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::{Duration, Instant};
use toki::catalog::store::{NewPackage, insert_package};
use toki::checkout::webhook::signature::sign;
use toki::money::{Currency, Money};
use toki::operators::rights::Operator;
use toki::tokens::Tokens;

/// A replica, its Stripe, and a customer who stands at the checkout of an order of $5.00.
pub struct Shop {
    pub app: TestApp,
    pub stripe: FakeStripe,
    pub browser: Browser,
    pub session_id: String,
    pub order_id: String,
}

impl Shop {
    pub async fn open(db: PgPool) -> Shop {
        let (app, stripe) = TestApp::start_with_stripe(db).await;
        let package_id = package(&app, "Starter", None).await;
        let browser = app.signed_up("ada@example.com").await;
        confirm(&browser, package_id).await;
        let session_id = app.text("SELECT provider_session_id FROM orders").await;
        let order_id = app.text("SELECT order_id::text FROM orders").await;
        Shop { app, stripe, browser, session_id, order_id }
    }

    /// The same with the payment made and its event delivered.
    pub async fn paid(db: PgPool) -> Shop {
        let shop = Shop::open(db).await;
        shop.stripe.complete(&shop.session_id, true);
        assert_eq!(shop.stripe.deliver(Plan::InOrder).await, [200]);
        assert_eq!(shop.status().await, "fulfilled");
        shop
    }

    pub async fn status(&self) -> String {
        self.app.text("SELECT status FROM orders").await
    }

    /// The `toki` command, as an operator of this shop runs it.
    pub fn toki(&self) -> Toki {
        let toki = Toki::new(&self.app.state.db).with("STRIPE_SECRET_KEY", crate::support::fake_stripe::SECRET_KEY);
        toki.with("STRIPE_WEBHOOK_SECRET", crate::support::fake_stripe::WEBHOOK_SECRET).with("STRIPE_API_BASE", &self.stripe.base())
    }

    /// What the command answers; it runs while our own tasks do, for its Stripe is one of them.
    pub async fn toki_json(&self, args: &[&str]) -> Value {
        let (toki, args) = (self.toki(), args.iter().map(|arg| arg.to_string()).collect::<Vec<_>>());
        let answer = tokio::task::spawn_blocking(move || toki.json(&args.iter().map(String::as_str).collect::<Vec<_>>()));
        answer.await.expect("no panic")
    }

    pub async fn order_page(&self) -> String {
        self.browser.get(&format!("/orders/{}", self.order_id)).await.text()
    }

    /// Another order like the first, waiting for its payment: its id, and its session's.
    pub async fn twin(&self) -> (String, String) {
        let (order_id, session_id): (String, String) = sqlx::query_as(
            "INSERT INTO orders (order_id, account_id, user_id, package_id, package_name, tokens, price_minor, currency, valid_for_s,
                                 scope_supplier_ids, scope_model_ids, form_key, provider, provider_session_id, checkout_url)
             SELECT id, account_id, user_id, package_id, package_name, tokens, price_minor, currency, valid_for_s,
                    scope_supplier_ids, scope_model_ids, id, provider, 'cs_' || id, checkout_url
               FROM orders, gen_random_uuid() AS id WHERE order_id = $1::uuid RETURNING order_id::text, provider_session_id",
        )
        .bind(&self.order_id)
        .fetch_one(&self.app.state.db)
        .await
        .expect("an order");
        let step = "INSERT INTO order_transitions (order_id, from_status, to_status, cause)
                    VALUES ($1::uuid, 'created', 'awaiting_payment', 'checkout')";
        sqlx::query(step).bind(&order_id).execute(&self.app.state.db).await.expect("a step");
        (order_id, session_id)
    }

    pub async fn grants(&self) -> i64 {
        self.app.number("SELECT count(*) FROM grants").await
    }

    pub async fn close(self) {
        self.app.assert_exact().await;
        self.app.stop().await;
    }
}

#[sqlx::test]
async fn the_same_event_a_hundred_times_at_once_and_again_under_other_ids_is_one_grant(db: PgPool) {
    let shop = Shop::open(db).await;
    shop.stripe.complete(&shop.session_id, true);
    let event = shop.stripe.waiting().remove(0);
    let (url, body) = (shop.app.url("/webhooks/stripe"), event.to_string());
    let answers = join_all((0..100).map(|_| post(&url, &body, FakeStripe::signature(&body)))).await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    let others = (0..20).map(|n| {
        let mut other = event.clone();
        other["id"] = json!(format!("evt_other_{n}"));
        other.to_string()
    });
    let others: Vec<String> = others.collect();
    join_all(others.iter().map(|body| post(&url, body, FakeStripe::signature(body)))).await;
    assert_eq!(shop.grants().await, 1);
    assert_eq!(shop.app.number("SELECT count(*) FROM order_transitions WHERE to_status = 'fulfilled'").await, 1);
    shop.close().await;
}

#[sqlx::test]
async fn events_that_come_twice_late_and_backwards_end_as_if_in_order(db: PgPool) {
    let shop = Shop::open(db).await;
    shop.stripe.complete(&shop.session_id, false);
    shop.stripe.settle_payment(&shop.session_id, true);
    shop.stripe.refund_elsewhere(&shop.session_id, 200);
    shop.stripe.refund_elsewhere(&shop.session_id, 300);
    assert_eq!(shop.stripe.deliver(Plan::Reversed).await, [200; 6]);
    assert_eq!(shop.status().await, "refunded");
    let (left, refunded) = ("SELECT left_ FROM grants", "SELECT refunded FROM grants");
    assert_eq!((shop.app.number(left).await, shop.app.number(refunded).await), (0, 1_000_000));
    let money = "SELECT sum(amount_minor) FILTER (WHERE status <> 'failed')::bigint FROM refunds";
    let notes = "SELECT count(*) FROM credit_notes";
    assert_eq!((shop.app.number(money).await, shop.app.number(notes).await), (500, 2));
    assert!(shop.order_page().await.contains("Refunded The price went back in full"), "{}", shop.order_page().await);

    let package_id = package(&shop.app, "Second", None).await;
    confirm(&shop.browser, package_id).await;
    let second = shop.stripe.sessions().pop().expect("a session")["id"].as_str().expect("an id").to_string();
    shop.stripe.complete(&second, true);
    shop.stripe.deliver(Plan::Twice).await;
    shop.stripe.refund_elsewhere(&second, 500);
    shop.stripe.deliver(Plan::Late(Duration::from_millis(100))).await;
    assert_eq!(shop.app.number("SELECT count(*) FROM orders WHERE status = 'refunded'").await, 2);
    assert_eq!((shop.app.number(money).await, shop.app.number(notes).await), (1_000, 3));
    shop.close().await;
}

#[sqlx::test]
async fn what_is_forged_or_fits_no_order_grants_nothing(db: PgPool) {
    let shop = Shop::open(db).await;
    shop.stripe.complete(&shop.session_id, true);
    let event = shop.stripe.waiting().remove(0);
    let (url, body, now_s) = (shop.app.url("/webhooks/stripe"), event.to_string(), chrono::Utc::now().timestamp());
    let by = |secret: &str, at: i64| sign(secret.as_bytes(), body.as_bytes(), at).expect("signed");
    let good = FakeStripe::signature(&body);
    for (what, signature) in [
        ("forged", format!("t={now_s},v1={}", "0".repeat(64))),
        ("replayed", by(crate::support::fake_stripe::WEBHOOK_SECRET, now_s - 301)),
        ("empty key", by("", now_s)),
        ("wrong secret", by("whsec_another_0123456789", now_s)),
        ("API key as secret", by(crate::support::fake_stripe::SECRET_KEY, now_s)),
        ("v0 only", good.replace("v1=", "v0=")),
        ("sandbox's secret", {
            use secrecy::ExposeSecret;
            let secret = toki::checkout::sandbox::webhook_secret(&shop.app.state.config);
            sign(secret.expose_secret().as_bytes(), body.replace("evt_fake", "evt_play").as_bytes(), now_s).expect("signed")
        }),
        ("none", String::new()),
    ] {
        assert_eq!(post(&url, &body, signature).await, 400, "{what}");
    }
    assert_eq!(shop.app.number("SELECT count(*) FROM payment_events").await, 0);

    // It exists, costs the same, and waits for its own payment.
    let (twin, _) = shop.twin().await;
    let changes: [(&str, Value, Value); 10] = [
        ("live mode", json!({"livemode": true}), json!({})),
        ("mode", json!({}), json!({"mode": "subscription"})),
        ("amount", json!({}), json!({"amount_total": 499})),
        ("currency", json!({}), json!({"currency": "eur"})),
        ("session", json!({}), json!({"id": "cs_test_other"})),
        ("order", json!({}), json!({"client_reference_id": "01890a5d-ac96-774b-bcce-b302099a8057"})),
        ("metadata", json!({}), json!({"metadata": {"order_id": "01890a5d-ac96-774b-bcce-b302099a8057"}})),
        ("another's order", json!({}), json!({"client_reference_id": twin})),
        ("another's metadata", json!({}), json!({"metadata": {"order_id": twin}})),
        ("another's order and metadata", json!({}), json!({"client_reference_id": twin, "metadata": {"order_id": twin}})),
    ];
    for (n, (what, outside, inside)) in changes.iter().enumerate() {
        let mut wrong = event.clone();
        wrong["id"] = json!(format!("evt_wrong_{n}"));
        for (name, value) in outside.as_object().expect("an object") {
            wrong[name] = value.clone();
        }
        for (name, value) in inside.as_object().expect("an object") {
            wrong["data"]["object"][name] = value.clone();
        }
        let wrong = wrong.to_string();
        assert_eq!(post(&url, &wrong, FakeStripe::signature(&wrong)).await, 200, "{what}: it is kept");
        let quarantined = shop.app.number("SELECT count(*) FROM payment_event_outcomes WHERE outcome = 'quarantined'").await;
        assert_eq!(quarantined, n as i64 + 1, "{what}");
    }
    assert_eq!(shop.grants().await, 0);
    assert_eq!(shop.app.number("SELECT count(*) FROM orders WHERE status = 'awaiting_payment'").await, 2);
    assert_eq!(post(&url, &body, good).await, 200);
    assert_eq!(shop.grants().await, 1);
    assert_eq!(shop.app.text("SELECT order_id::text FROM grants").await, shop.order_id);
    shop.close().await;
}

#[sqlx::test]
async fn an_operator_looks_at_what_is_quarantined_and_resolves_it(db: PgPool) {
    let shop = Shop::open(db).await;
    shop.stripe.complete(&shop.session_id, true);
    let event = shop.stripe.waiting().remove(0);
    // Both come for an order that does not know its session, as if it had been lost.
    shop.app.execute("UPDATE orders SET provider_session_id = 'cs_lost'").await;
    let mut other = event.clone();
    other["id"] = json!("evt_other");
    for event in [&event, &other] {
        let body = event.to_string();
        post(&shop.app.url("/webhooks/stripe"), &body, FakeStripe::signature(&body)).await;
    }
    let list = shop.toki_json(&["payments", "quarantine", "list"]).await;
    let ids: Vec<_> = list["events"].as_array().expect("events").iter().map(|event| event["event_id"].as_str()).collect();
    assert_eq!(ids, [Some("evt_fake_1"), Some("evt_other")]);
    let shown = shop.toki_json(&["payments", "quarantine", "show", "evt_fake_1"]).await;
    assert!(shown["reason"].as_str().is_some_and(|reason| reason.contains("cs_lost")), "{shown}");
    assert_eq!((&shown["order_id"], &shown["payload"]["id"]), (&json!(shop.order_id), &json!("evt_fake_1")));

    let resolve = ["payments", "quarantine", "resolve"];
    let again = shop.toki_json(&[&resolve[..], &["evt_fake_1", "--retry", "--reason", "a look"]].concat()).await;
    assert_eq!(again["outcome"], "quarantined", "nothing was mended");
    sqlx::query("UPDATE orders SET provider_session_id = $1").bind(&shop.session_id).execute(&shop.app.state.db).await.expect("mended");
    let again = shop.toki_json(&[&resolve[..], &["evt_fake_1", "--retry", "--reason", "session noted by hand"]].concat()).await;
    assert_eq!(again["outcome"], "fulfilled");
    let gone = shop.toki_json(&[&resolve[..], &["evt_other", "--dismiss", "--reason", "the same payment"]].concat()).await;
    assert_eq!(gone["outcome"], "dismissed");
    assert_eq!(shop.toki_json(&["payments", "quarantine", "list"]).await["events"], json!([]));
    let toki = shop.toki();
    let refused = tokio::task::spawn_blocking(move || {
        let refused = toki.refusal(&["payments", "quarantine", "resolve", "evt_other", "--dismiss", "--reason", "again"]);
        toki.wrong_usage(&["payments", "quarantine", "resolve", "evt_other", "--reason", "how"]);
        refused
    });
    assert!(refused.await.expect("no panic").contains("no event of this id is quarantined"));
    let deeds = "SELECT count(*) FROM operator_actions WHERE action = 'payment_event.resolve' AND reason <> ''";
    assert_eq!((shop.app.number(deeds).await, shop.grants().await), (3, 1));
    shop.close().await;
}

#[sqlx::test]
async fn twenty_posts_of_one_form_are_one_order_and_one_session(db: PgPool) {
    let (app, stripe) = TestApp::start_with_stripe(db).await;
    stripe.work_for(Duration::from_millis(150));
    let package_id = package(&app, "Starter", None).await;
    let browser = app.signed_up("ada@example.com").await;
    let path = format!("/products/{package_id}/confirm");
    let form = browser.get(&path).await.form("/api/checkout/place_order");
    let answers = join_all((0..20).map(|_| browser.submit(&form, &path))).await;
    let places: std::collections::BTreeSet<_> = answers.iter().map(|answer| answer.location.as_str()).collect();
    assert_eq!(places.into_iter().collect::<Vec<_>>(), ["https://checkout.stripe.com/c/pay/cs_test_1"]);
    assert_eq!((app.number("SELECT count(*) FROM orders").await, stripe.sessions().len()), (1, 1));
    app.stop().await;
}

#[sqlx::test]
async fn without_any_webhook_the_return_page_credits(db: PgPool) {
    let shop = Shop::open(db).await;
    shop.stripe.complete(&shop.session_id, true);
    shop.stripe.deliver(Plan::Lost).await;
    let begun = Instant::now();
    while !shop.order_page().await.contains("Paid The Tokens are in your wallet.") {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", shop.order_page().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eprintln!("credited {} ms after the payment, by asking", begun.elapsed().as_millis());
    assert_eq!(shop.app.text("SELECT cause FROM order_transitions WHERE to_status = 'fulfilled'").await, "reconciler");
    // Told after all, it is the same payment.
    let body = shop.stripe.all("evt").remove(0).to_string();
    assert_eq!(post(&shop.app.url("/webhooks/stripe"), &body, FakeStripe::signature(&body)).await, 200);
    assert_eq!(shop.grants().await, 1);
    shop.close().await;
}

#[sqlx::test]
async fn after_an_outage_the_events_since_the_last_one_are_read(db: PgPool) {
    let shop = Shop::open(db).await;
    let package_id = package(&shop.app, "Second", None).await;
    confirm(&shop.browser, package_id).await;
    let second = shop.stripe.sessions().pop().expect("a session")["id"].as_str().expect("an id").to_string();
    shop.stripe.complete(&shop.session_id, true);
    shop.stripe.refund_elsewhere(&shop.session_id, 250);
    shop.stripe.expire(&second);
    let dispute = {
        let third = package(&shop.app, "Third", None).await;
        confirm(&shop.browser, third).await;
        let third = shop.stripe.sessions().pop().expect("a session")["id"].as_str().expect("an id").to_string();
        shop.stripe.complete(&third, true);
        shop.stripe.dispute(&third)
    };
    shop.stripe.deliver(Plan::Lost).await;
    // What Stripe's own pages tell beyond what we listen to is not asked for.
    let done = shop.toki_json(&["reconcile"]).await;
    assert_eq!(done, json!({"new_events": 5, "asked": 0, "credited": 0, "closed": 0, "refunds": 0}));
    let statuses = "SELECT string_agg(status, ' ' ORDER BY package_name) FROM orders";
    assert_eq!(shop.app.text(statuses).await, "expired partly_refunded disputed");
    shop.stripe.close_dispute(&dispute, "won");
    shop.stripe.deliver(Plan::Lost).await;
    assert_eq!(shop.toki_json(&["reconcile"]).await["new_events"], 1);
    assert_eq!(shop.app.text(statuses).await, "expired partly_refunded fulfilled");
    assert_eq!(shop.toki_json(&["reconcile"]).await["new_events"], 0, "nothing is told twice");
    shop.close().await;
}

#[sqlx::test]
async fn prices_of_zero_and_three_decimals_are_charged_as_they_are_shown(db: PgPool) {
    let (app, stripe) = TestApp::start_with_stripe(db).await;
    let browser = app.signed_up("ada@example.com").await;
    for (minor, currency, shown, amount) in
        [(2_000, "jpy", "¥2,000", 2_000), (1_500, "kwd", "KWD 1.500", 1_500), (900, "isk", "ISK 900", 90_000)]
    {
        let price = Money::new(minor, Currency::parse(currency).expect("a code"));
        let new = NewPackage::plain(&format!("Priced in {currency}"), Tokens(1_000_000), price, 2_592_000);
        let package_id = insert_package(&app.state.db, Operator::command_line(), new).await.expect("package");
        assert!(browser.get(&format!("/products/{package_id}/confirm")).await.text().contains(shown));
        confirm(&browser, package_id).await;
        let session = stripe.sessions().pop().expect("a session");
        assert_eq!(session["amount_total"], json!(amount), "{currency}");
        stripe.complete(session["id"].as_str().expect("an id"), true);
        stripe.deliver(Plan::InOrder).await;
    }
    assert_eq!(app.number("SELECT count(*) FROM orders WHERE status = 'fulfilled'").await, 3);
    app.assert_exact().await;
    app.stop().await;
}
