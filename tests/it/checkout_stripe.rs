//! Buying through Stripe: what we ask of it, what its failures do, and what its events do.

use crate::checkout::{confirm, package};
use crate::support::app::TestApp;
use crate::support::client::http;
use crate::support::fake_stripe::FakeStripe;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::Duration;

async fn deliver(app: &TestApp, body: &str) -> u16 {
    let request = http().post(app.url("/webhooks/stripe")).header("stripe-signature", FakeStripe::signature(body));
    request.body(body.to_string()).send().await.expect("an answer").status().as_u16()
}

#[sqlx::test]
async fn a_session_asks_for_exactly_what_was_confirmed(db: PgPool) {
    let (app, stripe) = TestApp::start_with_stripe(db).await;
    let package_id = package(&app, "Starter & more", None).await;
    let browser = app.signed_up("ada@example.com").await;
    let placed = confirm(&browser, package_id).await;
    assert_eq!(placed.location, "https://checkout.stripe.com/c/pay/cs_test_1");

    let order_id = app.text("SELECT order_id::text FROM orders").await;
    let requests = stripe.requests();
    let customer_id = app.text("SELECT payment_customer_id::text FROM payment_customers").await;
    let asked: Vec<_> = requests.iter().map(|request| (request.path.as_str(), request.idempotency_key.clone())).collect();
    assert_eq!(asked, [("customers", customer_id.clone()), ("checkout/sessions", format!("{order_id}/{customer_id}"))]);
    assert!(requests.iter().all(|request| request.authorization == "Bearer sk_test_fake"));
    let expected = [
        ("mode", "payment".to_string()),
        ("line_items[0][quantity]", "1".into()),
        ("line_items[0][price_data][currency]", "usd".into()),
        ("line_items[0][price_data][unit_amount]", "500".into()),
        ("line_items[0][price_data][product_data][name]", "Starter & more".into()),
        ("line_items[0][price_data][product_data][description]", "1,000,000 Tokens".into()),
        ("client_reference_id", order_id.clone()),
        ("metadata[order_id]", order_id.clone()),
        ("payment_intent_data[metadata][order_id]", order_id.clone()),
        ("invoice_creation[enabled]", "true".into()),
        ("customer", "cus_1".into()),
        ("success_url", app.url(&format!("/orders/{order_id}"))),
        ("cancel_url", app.url(&format!("/products/{package_id}/confirm"))),
    ];
    let form: Vec<_> = requests[1].form.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let mut expected: Vec<_> = expected.into_iter().collect();
    expected.sort();
    assert_eq!(form, expected);
    app.stop().await;
}

#[sqlx::test]
async fn the_order_page_turns_to_paid_when_stripe_says_so(db: PgPool) {
    let (app, stripe) = TestApp::start_with_stripe(db).await;
    let package_id = package(&app, "Starter", None).await;
    let browser = app.signed_up("ada@example.com").await;
    confirm(&browser, package_id).await;
    let order_path = format!("/orders/{}", app.text("SELECT order_id::text FROM orders").await);
    assert!(browser.get(&order_path).await.html.contains("https://checkout.stripe.com/c/pay/cs_test_1"));

    let session = stripe.sessions().remove(0);
    let event = FakeStripe::event("evt_1", "checkout.session.completed", &session, json!({"customer_details": {"name": null}}));
    let statuses = join_all((0..20).map(|_| deliver(&app, &event))).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert!(browser.get(&order_path).await.text().contains("Paid"));
    assert_eq!(app.number("SELECT count(*) FROM grants").await, 1);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn events_that_do_not_fit_credit_nothing(db: PgPool) {
    let (app, stripe) = TestApp::start_with_stripe(db).await;
    let package_id = package(&app, "Starter", None).await;
    let browser = app.signed_up("ada@example.com").await;
    confirm(&browser, package_id).await;
    let session = stripe.sessions().remove(0);
    let changes: [Value; 4] =
        [json!({"amount_total": 1}), json!({"currency": "eur"}), json!({"id": "cs_test_2"}), json!({"mode": "setup"})];
    for (n, change) in changes.into_iter().enumerate() {
        let event = FakeStripe::event(&format!("evt_{n}"), "checkout.session.completed", &session, change);
        assert_eq!(deliver(&app, &event).await, 200, "it is kept, so Stripe need not come again");
    }
    let unsigned = FakeStripe::event("evt_9", "checkout.session.completed", &session, json!({}));
    let request = http().post(app.url("/webhooks/stripe")).body(unsigned);
    assert_eq!(request.send().await.expect("an answer").status(), 400);
    assert_eq!(app.number("SELECT count(*) FROM payment_event_outcomes WHERE outcome = 'quarantined'").await, 4);
    assert_eq!(app.number("SELECT count(*) FROM grants").await, 0);
    app.stop().await;
}

#[sqlx::test]
async fn two_posts_at_once_share_one_session(db: PgPool) {
    let (app, stripe) = TestApp::start_with_stripe(db).await;
    stripe.work_for(Duration::from_millis(300));
    let package_id = package(&app, "Starter", None).await;
    let browser = app.signed_up("ada@example.com").await;
    let path = format!("/products/{package_id}/confirm");
    let form = browser.get(&path).await.form("/api/checkout/place_order");
    let answers = join_all((0..3).map(|_| browser.submit(&form, &path))).await;
    assert!(answers.iter().all(|answer| answer.location == "https://checkout.stripe.com/c/pay/cs_test_1"));
    assert_eq!(stripe.sessions().len(), 1);
    app.stop().await;
}

#[sqlx::test]
async fn two_tabs_that_were_open_before_either_was_sent_are_one_order_and_one_session(db: PgPool) {
    let (app, stripe) = TestApp::start_with_stripe(db).await;
    stripe.work_for(Duration::from_millis(150));
    let browser = app.signed_up("ada@example.com").await;
    for (n, at_once) in [false, true].into_iter().enumerate() {
        let path = format!("/products/{}/confirm", package(&app, &format!("Package {n}"), Some(1)).await);
        let mut tabs = Vec::new();
        for _ in 0..2 {
            tabs.push(browser.get(&path).await.form("/api/checkout/place_order"));
        }
        assert_ne!(tabs[0].fields, tabs[1].fields, "each has its own key");
        let answers = if at_once {
            join_all(tabs.iter().map(|tab| browser.submit(tab, &path))).await
        } else {
            vec![browser.submit(&tabs[0], &path).await, browser.submit(&tabs[1], &path).await]
        };
        let session = format!("https://checkout.stripe.com/c/pay/cs_test_{}", n + 1);
        assert!(answers.iter().all(|answer| answer.location == session), "{} {}", answers[0].location, answers[1].location);
        assert_eq!((app.number("SELECT count(*) FROM orders").await, stripe.sessions().len()), (n as i64 + 1, n + 1));
    }
    app.stop().await;
}

#[sqlx::test]
async fn a_stripe_that_fails_for_a_moment_is_asked_again(db: PgPool) {
    let (app, stripe) = TestApp::start_with_stripe(db).await;
    stripe.fail_next(&[500, 429]);
    let package_id = package(&app, "Starter", None).await;
    let browser = app.signed_up("ada@example.com").await;
    assert_eq!(confirm(&browser, package_id).await.location, "https://checkout.stripe.com/c/pay/cs_test_1");
    stripe.fail_next(&[500, 429]);
    let second = package(&app, "Second", None).await;
    assert_eq!(confirm(&browser, second).await.location, "https://checkout.stripe.com/c/pay/cs_test_2");
    // A failure of its own it would repeat under the same key, so the attempt is another; what it did not take up is the same one.
    let asked: Vec<_> = stripe.requests().into_iter().map(|request| request.idempotency_key).collect();
    assert_eq!(asked.len(), 7, "{asked:?}");
    assert_eq!((asked[1].clone(), &asked[2]), (format!("{}/1", asked[0]), &asked[1]));
    assert_eq!((asked[5].clone(), &asked[6]), (format!("{}/1", asked[4]), &asked[5]));
    assert_eq!((stripe.all("cus").len(), stripe.sessions().len()), (1, 2));
    app.stop().await;
}

#[sqlx::test]
async fn a_session_whose_answer_was_a_failure_is_nobodys_and_its_end_is_no_news(db: PgPool) {
    let (app, stripe) = TestApp::start_with_stripe(db).await;
    let browser = app.signed_up("ada@example.com").await;
    confirm(&browser, package(&app, "First", None).await).await;
    stripe.lose_next_answer();
    assert_eq!(confirm(&browser, package(&app, "Second", None).await).await.location, "https://checkout.stripe.com/c/pay/cs_test_3");
    let lost = stripe.sessions().remove(1);
    let event = json!({"id": "evt_lost", "object": "event", "type": "checkout.session.expired", "data": {"object": lost}}).to_string();
    assert_eq!(deliver(&app, &event).await, 200);
    assert_eq!(app.text("SELECT outcome FROM payment_event_outcomes").await, "ignored");
    assert_eq!(app.number("SELECT count(*) FROM orders WHERE status = 'awaiting_payment'").await, 2);
    // Money for it would be a matter for people: it is not the session that the customer was sent to.
    let paid = FakeStripe::event("evt_paid", "checkout.session.completed", &lost, json!({}));
    assert_eq!(deliver(&app, &paid).await, 200);
    assert_eq!(app.number("SELECT count(*) FROM payment_event_outcomes WHERE outcome = 'quarantined'").await, 1);
    app.stop().await;
}

#[sqlx::test]
async fn an_order_goes_on_when_its_request_changed_since_its_first_attempt(db: PgPool) {
    let (app, stripe) = TestApp::start_with_stripe(db).await;
    let package_id = package(&app, "Starter", None).await;
    let browser = app.signed_up("ada@example.com").await;
    confirm(&browser, package(&app, "First", None).await).await;
    stripe.fail_next(&[429; 4]);
    confirm(&browser, package_id).await;
    let key = app.text("SELECT o.order_id || '/' || c.payment_customer_id FROM orders o, payment_customers c WHERE o.status = 'created'");
    stripe.key_was_used(&key.await);
    assert_eq!(confirm(&browser, package_id).await.location, "https://checkout.stripe.com/c/pay/cs_test_2");
    assert_eq!(app.text("SELECT string_agg(attempt::text, ' ' ORDER BY created_at) FROM orders").await, "0 1");
    app.stop().await;
}

#[sqlx::test]
async fn a_stripe_that_is_down_leaves_an_order_to_go_on_with(db: PgPool) {
    let (app, stripe) = TestApp::start_with_stripe(db).await;
    stripe.fail_next(&[503; 4]);
    let package_id = package(&app, "Starter", None).await;
    let browser = app.signed_up("ada@example.com").await;
    let failed = confirm(&browser, package_id).await;
    let page = browser.follow(&failed).await;
    assert!(page.text().contains("The payment provider did not answer. Nothing was charged"), "{}", page.text());
    assert_eq!(app.text("SELECT status FROM orders").await, "created");
    assert_eq!(confirm(&browser, package_id).await.location, "https://checkout.stripe.com/c/pay/cs_test_1");
    assert_eq!(app.number("SELECT count(*) FROM orders").await, 1);
    app.stop().await;
}

#[sqlx::test]
async fn what_stripe_refuses_does_not_count(db: PgPool) {
    let (app, stripe) = TestApp::start_with_stripe(db).await;
    stripe.fail_next(&[400]);
    let package_id = package(&app, "Trial", Some(1)).await;
    let browser = app.signed_up("ada@example.com").await;
    confirm(&browser, package_id).await;
    assert_eq!(app.text("SELECT status FROM orders").await, "cancelled");
    assert_eq!(stripe.requests().len(), 1, "a refusal is final");
    assert!(confirm(&browser, package_id).await.location.starts_with("https://checkout.stripe.com/"));
    app.stop().await;
}

#[sqlx::test]
async fn one_account_is_one_customer_however_many_orders_come_at_once(db: PgPool) {
    let (app, stripe) = TestApp::start_with_stripe(db).await;
    stripe.work_for(Duration::from_millis(50));
    let browser = app.signed_up("ada@example.com").await;
    let mut forms = Vec::new();
    for n in 0..6 {
        let path = format!("/products/{}/confirm", package(&app, &format!("Package {n}"), None).await);
        forms.push((browser.get(&path).await.form("/api/checkout/place_order"), path));
    }
    let placed = join_all(forms.iter().map(|(form, path)| browser.submit(form, path))).await;
    let places: Vec<_> = placed.into_iter().map(|answer| answer.location).collect();
    assert!(places.iter().all(|place| place.starts_with("https://checkout.stripe.com/")), "{places:?}");
    assert!(stripe.sessions().iter().all(|session| session["customer"] == "cus_1"), "{:?}", stripe.sessions());
    let other = app.signed_up("bob@example.com").await;
    confirm(&other, package(&app, "Another", None).await).await;
    let emails: Vec<_> = stripe.all("cus").into_iter().map(|customer| customer["email"].clone()).collect();
    assert_eq!(
        (emails, stripe.sessions()[6]["customer"].clone()),
        (vec![json!("ada@example.com"), json!("bob@example.com")], json!("cus_2"))
    );
    app.stop().await;
}

#[sqlx::test]
async fn a_customer_deleted_at_stripe_is_replaced(db: PgPool) {
    let (app, stripe) = TestApp::start_with_stripe(db).await;
    let browser = app.signed_up("ada@example.com").await;
    confirm(&browser, package(&app, "First", None).await).await;
    stripe.delete_customer("cus_1");
    for name in ["Second", "Third"] {
        let placed = confirm(&browser, package(&app, name, None).await).await;
        assert!(placed.location.starts_with("https://checkout.stripe.com/"), "{}", placed.location);
    }
    let customers: Vec<_> = stripe.sessions().into_iter().map(|session| session["customer"].clone()).collect();
    assert_eq!(customers, ["cus_1", "cus_2", "cus_2"]);
    let kept = "SELECT string_agg(provider_customer_id, ' ' ORDER BY created_at) FROM payment_customers WHERE replaced_at IS NULL";
    assert_eq!((app.text(kept).await, app.number("SELECT count(*) FROM payment_customers").await), ("cus_2".into(), 2));
    app.stop().await;
}

#[sqlx::test]
async fn a_customer_who_leaves_while_stripe_works_leaves_a_whole_order(db: PgPool) {
    let (app, stripe) = TestApp::start_with_stripe(db).await;
    stripe.work_for(Duration::from_millis(500));
    let package_id = package(&app, "Starter", None).await;
    let browser = app.signed_up("ada@example.com").await;
    let path = format!("/products/{package_id}/confirm");
    let form = browser.get(&path).await.form("/api/checkout/place_order");
    let leaving = tokio::spawn(async move { browser.submit(&form, &path).await });
    until(async || !stripe.requests().is_empty()).await;
    leaving.abort();
    assert!(leaving.await.is_err_and(|error| error.is_cancelled()), "gone before Stripe answered");
    until(async || app.text("SELECT status FROM orders").await == "awaiting_payment").await;
    assert_eq!(app.text("SELECT provider_session_id FROM orders").await, "cs_test_1");
    app.stop().await;
}

/// Waits, not for ever.
async fn until(condition: impl AsyncFn() -> bool) {
    for _ in 0..200 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it did not happen within 5 s");
}
