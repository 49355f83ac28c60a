//! Orders that nobody has paid: cancelled by their customer or an operator, closed where nobody can pay them, said to be what stands in
//! the way of another; and payments that a bank is working on, whose orders are neither paid nor unpaid.

use crate::checkout::{confirm, package};
use crate::codes::{make, percent, type_code};
use crate::payments::Shop;
use crate::support::app::{TestApp, another_pool};
use crate::support::browser::{Browser, Page};
use crate::support::fake_stripe::Plan;
use serde_json::json;
use sqlx::PgPool;
use std::time::{Duration, Instant};
use toki::ids::PackageId;
use uuid::Uuid;

const CANCEL: &str = "/api/orders/cancel";
const PLACE: &str = "/api/checkout/place_order";
const TYPE: &str = "/api/checkout/type_code";
const PAY: &str = "/api/sandbox/pay";
const LATEST: &str = "SELECT order_id::text FROM orders ORDER BY created_at DESC LIMIT 1";

fn confirm_path(package_id: PackageId) -> String {
    format!("/products/{package_id}/confirm")
}

impl Shop {
    fn order_path(&self) -> String {
        format!("/orders/{}", self.order_id)
    }

    async fn cancel(&self) -> Page {
        let form = self.browser.get(&self.order_path()).await.form(CANCEL);
        self.browser.submit(&form, &self.order_path()).await
    }

    async fn confirm_path(&self) -> String {
        format!("/products/{}/confirm", self.app.text("SELECT package_id::text FROM packages").await)
    }
}

/// Buys a package with play money.
async fn buy(browser: &Browser, package_id: PackageId) {
    let placed = confirm(browser, package_id).await;
    let payment = browser.get(&placed.location).await;
    browser.submit(&payment.form(PAY), &placed.location).await;
}

#[sqlx::test]
async fn a_customer_cancels_an_order_that_nobody_has_paid(db: PgPool) {
    let shop = Shop::open(db).await;
    let cancelled = shop.cancel().await;
    assert_eq!((cancelled.status, cancelled.location.clone()), (302, shop.order_path()));
    let page = shop.browser.get(&shop.order_path()).await;
    assert!(page.text().contains("Cancelled This order was cancelled before it was paid. Nothing was charged."), "{}", page.text());
    assert!(page.text().contains("Order again") && page.find_form(CANCEL).is_none(), "{}", page.text());
    assert!(!page.html.contains("https://checkout.stripe.com/"), "{}", page.html);
    assert_eq!(shop.stripe.sessions()[0]["status"], "expired", "nobody can pay it any more");
    let asked = shop.stripe.requests().pop().expect("a request");
    assert_eq!(asked.idempotency_key, format!("{}/expire/0", shop.order_id));
    // What Stripe tells of it is no news, and posted again it is done already.
    assert_eq!(shop.stripe.deliver(Plan::InOrder).await, [200]);
    let again = shop.browser.post(CANCEL, &shop.order_path(), &[("order_id", shop.order_id.as_str())]).await;
    assert_eq!(again.location, shop.order_path());
    assert_eq!(shop.status().await, "cancelled");
    assert_eq!(shop.app.text("SELECT string_agg(cause, ' ' ORDER BY transition_id) FROM order_transitions").await, "checkout customer");
    assert_eq!(shop.app.text("SELECT actor FROM journal WHERE kind = 'order.closed'").await, "user");
    shop.close().await;
}

#[sqlx::test]
async fn what_was_paid_first_is_settled_and_not_cancelled(db: PgPool) {
    let shop = Shop::open(db).await;
    let form = shop.browser.get(&shop.order_path()).await.form(CANCEL);
    shop.stripe.complete(&shop.session_id, true);
    shop.stripe.deliver(Plan::Lost).await;
    assert_eq!(shop.browser.submit(&form, &shop.order_path()).await.location, shop.order_path());
    assert!(shop.order_page().await.contains("Paid The Tokens are in your wallet."), "{}", shop.order_page().await);
    assert_eq!((shop.status().await.as_str(), shop.app.number("SELECT count(*) FROM grants").await), ("fulfilled", 1));
    let (toki, order_id) = (shop.toki(), shop.order_id.clone());
    let refused = tokio::task::spawn_blocking(move || toki.refusal(&["order", "cancel", &order_id, "--reason", "too late"]));
    assert!(refused.await.expect("no panic").contains("was not cancelled: it is fulfilled"));
    assert_eq!(shop.app.number("SELECT count(*) FROM operator_actions WHERE action = 'order.cancel'").await, 0);
    shop.close().await;
}

#[sqlx::test]
async fn an_operator_cancels_an_order_and_says_why(db: PgPool) {
    let shop = Shop::open(db).await;
    for _ in 0..2 {
        let done = shop.toki_json(&["order", "cancel", &shop.order_id, "--reason", "asked by phone"]).await;
        assert_eq!(done, json!({"order_id": shop.order_id, "status": "cancelled"}));
    }
    assert_eq!(shop.stripe.sessions()[0]["status"], "expired");
    let deeds = "SELECT string_agg(action || ' ' || reason, ', ') FROM operator_actions WHERE action = 'order.cancel'";
    assert_eq!(shop.app.text(deeds).await, "order.cancel asked by phone");
    assert_eq!(shop.app.text("SELECT cause FROM order_transitions WHERE to_status = 'cancelled'").await, "operator");
    let toki = shop.toki();
    let refused = tokio::task::spawn_blocking(move || {
        toki.wrong_usage(&["order", "cancel", "01890a5d-ac96-774b-bcce-b302099a8057"]);
        toki.refusal(&["order", "cancel", "01890a5d-ac96-774b-bcce-b302099a8057", "--reason", "x"])
    });
    assert!(refused.await.expect("no panic").contains("no such order"));
    shop.close().await;
}

#[sqlx::test]
async fn a_stripe_that_does_not_end_the_checkout_leaves_the_order_as_it_is(db: PgPool) {
    let shop = Shop::open(db).await;
    shop.stripe.fail_next(&[500; 3]);
    let failed = shop.cancel().await;
    let page = shop.browser.follow(&failed).await.text();
    assert!(page.contains("The payment provider did not answer") && page.contains("Cancel this order"), "{page}");
    assert_eq!(shop.status().await, "awaiting_payment");
    // Each failure was kept under its key, and the next attempt had another.
    shop.cancel().await;
    assert_eq!(shop.status().await, "cancelled");
    let asked = shop.stripe.requests().pop().expect("a request");
    assert_eq!(asked.idempotency_key, format!("{}/expire/3", shop.order_id));
    shop.close().await;
}

#[sqlx::test]
async fn an_order_is_paid_or_cancelled_and_never_both(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.signed_up("ada@example.com").await;
    for n in 0..8 {
        let placed = confirm(&browser, package(&app, &format!("Package {n}"), None).await).await;
        let order_path = format!("/orders/{}", app.text(LATEST).await);
        let (pay, cancel) = (browser.get(&placed.location).await.form(PAY), browser.get(&order_path).await.form(CANCEL));
        let paying = async {
            tokio::time::sleep(Duration::from_millis(n)).await;
            browser.submit(&pay, &placed.location).await
        };
        let (paid, cancelled) = futures::join!(paying, browser.submit(&cancel, &order_path));
        assert_eq!((paid.location, cancelled.location), (order_path.clone(), order_path));
    }
    // Paid after it was cancelled, it is paid: its money had left.
    for (what, sql) in [
        ("neither", "SELECT count(*) FROM orders WHERE status NOT IN ('fulfilled', 'cancelled')"),
        (
            "both",
            "SELECT count(*) FROM orders o LEFT JOIN grants g USING (order_id) WHERE (o.status = 'fulfilled') <> (g.order_id IS NOT NULL)",
        ),
        ("closed and paid", "SELECT count(*) FROM orders WHERE (closed_at IS NULL) <> (status = 'fulfilled')"),
        ("twice", "SELECT count(*) - count(DISTINCT order_id) FROM order_transitions WHERE to_status = 'fulfilled'"),
    ] {
        assert_eq!(app.number(sql).await, 0, "{what}");
    }
    app.assert_exact().await;
    app.stop().await;
}

/// As if every checkout had been opened a day earlier, by orders that were placed then or before.
async fn age(shop: &Shop) {
    for sql in [
        "ALTER TABLE order_transitions DISABLE TRIGGER order_transitions_append_only",
        "UPDATE order_transitions SET at = at - interval '26 hours'",
        "ALTER TABLE order_transitions ENABLE TRIGGER order_transitions_append_only",
    ] {
        shop.app.execute(sql).await;
    }
}

#[sqlx::test]
async fn a_key_that_knows_no_session_cancels_nothing_that_can_still_be_paid(db: PgPool) {
    let shop = Shop::open(db).await;
    // All that a key of another account would see of it.
    shop.app.execute("UPDATE orders SET provider_session_id = 'cs_of_another_account'").await;
    let refused = shop.cancel().await;
    let page = shop.browser.follow(&refused).await.text();
    assert!(page.contains("does not know the checkout of this order. Nothing was changed"), "{page}");
    let (toki, order_id) = (shop.toki(), shop.order_id.clone());
    let refused = tokio::task::spawn_blocking(move || toki.refusal(&["order", "cancel", &order_id, "--reason", "asked by phone"]));
    let said = refused.await.expect("no panic");
    assert!(said.contains("the key is of another account there, or of its other mode"), "{said}");
    assert_eq!(shop.app.number("SELECT count(*) FROM operator_actions WHERE action = 'order.cancel'").await, 0);
    assert_eq!(shop.status().await, "awaiting_payment");
    // The customer pays meanwhile; nobody is told, and then the right key is back.
    shop.stripe.complete(&shop.session_id, true);
    shop.stripe.deliver(Plan::Lost).await;
    sqlx::query("UPDATE orders SET provider_session_id = $1").bind(&shop.session_id).execute(&shop.app.state.db).await.expect("mended");
    shop.toki_json(&["reconcile"]).await;
    assert_eq!((shop.status().await.as_str(), shop.grants().await), ("fulfilled", 1));
    shop.close().await;
}

#[sqlx::test]
async fn an_order_whose_session_stripe_does_not_know_is_closed_or_cancelled_when_that_is_over(db: PgPool) {
    let shop = Shop::open(db).await;
    shop.app.execute("UPDATE orders SET provider_session_id = 'cs_of_another_account'").await;
    assert_eq!(shop.toki_json(&["reconcile"]).await["closed"], 0, "it may have been mistaken");
    // Placed long ago, and gone on with just now.
    shop.app.execute("ALTER TABLE orders DISABLE TRIGGER orders_keep_the_copy").await;
    shop.app.execute("UPDATE orders SET created_at = created_at - interval '26 hours'").await;
    shop.app.execute("ALTER TABLE orders ENABLE TRIGGER orders_keep_the_copy").await;
    assert_eq!(shop.toki_json(&["reconcile"]).await["closed"], 0, "its session may be paid still");
    age(&shop).await;
    assert_eq!(shop.toki_json(&["reconcile"]).await["closed"], 1);
    assert_eq!(shop.status().await, "expired");
    assert_eq!(shop.app.text("SELECT cause FROM order_transitions WHERE to_status = 'expired'").await, "reconciler");
    // Its customer need not wait for that.
    confirm(&shop.browser, package(&shop.app, "Second", None).await).await;
    shop.app.execute("UPDATE orders SET provider_session_id = 'cs_of_another' WHERE status = 'awaiting_payment'").await;
    age(&shop).await;
    let order_id = shop.app.text(LATEST).await;
    shop.browser.post(CANCEL, &format!("/orders/{order_id}"), &[("order_id", order_id.as_str())]).await;
    assert_eq!(shop.app.number("SELECT count(*) FROM orders WHERE status = 'cancelled'").await, 1);
    assert_eq!(shop.app.text("SELECT cause FROM order_transitions WHERE to_status = 'cancelled'").await, "customer");
    shop.close().await;
}

#[sqlx::test]
async fn orders_for_play_money_end_where_there_is_none_any_more(db: PgPool) {
    let app = TestApp::start(another_pool(&db).await).await;
    let browser = app.signed_up("ada@example.com").await;
    confirm(&browser, package(&app, "Starter", None).await).await;
    assert_eq!(app.text("SELECT status FROM orders").await, "awaiting_payment");
    // Started anew without the sandbox.
    let later = TestApp::start_with(db, |config| config.sandbox = false).await;
    later.until("SELECT count(*) FROM orders WHERE status = 'expired'", |count| count == 1).await;
    assert_eq!(later.text("SELECT cause FROM order_transitions WHERE to_status = 'expired'").await, "reconciler");
    later.stop().await;
    app.stop().await;
}

#[sqlx::test]
async fn a_payment_that_the_bank_works_on_is_shown_as_that_and_blocks_nothing(db: PgPool) {
    let shop = Shop::open(db).await;
    shop.stripe.complete(&shop.session_id, false);
    assert_eq!(shop.stripe.deliver(Plan::InOrder).await, [200]);
    let page = shop.browser.get(&shop.order_path()).await;
    assert!(page.text().contains("Your bank is processing the payment"), "{}", page.text());
    assert!(!page.text().contains("Not paid yet?") && page.find_form(CANCEL).is_none(), "{}", page.text());
    assert!(!page.html.contains("https://checkout.stripe.com/"), "{}", page.html);
    let refused = shop.browser.post(CANCEL, &shop.order_path(), &[("order_id", shop.order_id.as_str())]).await;
    assert!(shop.browser.follow(&refused).await.text().contains("so it cannot be cancelled"));
    assert_eq!(shop.status().await, "awaiting_payment");

    let confirm_path = shop.confirm_path().await;
    let page = shop.browser.get(&confirm_path).await;
    assert!(!page.text().contains("not paid yet"), "{}", page.text());
    let second = shop.browser.submit(&page.form(PLACE), &confirm_path).await;
    assert_eq!(second.location, "https://checkout.stripe.com/c/pay/cs_test_2");
    assert_eq!(shop.app.number("SELECT count(*) FROM orders").await, 2);

    shop.stripe.settle_payment(&shop.session_id, false);
    shop.stripe.deliver(Plan::InOrder).await;
    let statuses = "SELECT string_agg(status, ' ' ORDER BY created_at) FROM orders";
    assert_eq!(shop.app.text(statuses).await, "declined awaiting_payment");
    assert!(shop.order_page().await.contains("The payment was declined."), "{}", shop.order_page().await);
    shop.close().await;
}

#[sqlx::test]
async fn that_the_bank_works_on_a_payment_is_also_learnt_by_asking(db: PgPool) {
    let shop = Shop::open(db).await;
    shop.stripe.complete(&shop.session_id, false);
    shop.stripe.deliver(Plan::Lost).await;
    let begun = Instant::now();
    while !shop.order_page().await.contains("Your bank is processing the payment") {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", shop.order_page().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    shop.stripe.settle_payment(&shop.session_id, true);
    assert_eq!(shop.stripe.deliver(Plan::InOrder).await, [200]);
    assert!(shop.order_page().await.contains("Paid The Tokens are in your wallet."), "{}", shop.order_page().await);
    shop.close().await;
}

#[sqlx::test]
async fn the_start_of_a_discounted_order_is_chosen_anew_by_cancelling_it(db: PgPool) {
    let app = TestApp::start(db).await;
    let package_id = package(&app, "Starter", None).await;
    let (browser, path) = (app.signed_up("ada@example.com").await, confirm_path(package_id));
    buy(&browser, package_id).await;
    let code = make(&app, percent(20), 5).await;
    type_code(&browser, package_id, &code).await;
    confirm(&browser, package_id).await;

    let page = browser.get(&path).await;
    assert!(page.text().contains("cancel it to choose its start anew") && page.text().contains("To pay $4.00"), "{}", page.text());
    assert!(page.text().contains("Now, beside what you have"), "{}", page.text());
    assert!(!page.text().contains("When your current Tokens of this package end"), "{}", page.text());
    // A page that was open before offers the choice; it is told the truth, and nothing is ordered.
    let later = browser.submit(&page.form(PLACE).with("starts", "after_current"), &path).await;
    let said = browser.follow(&later).await.text();
    assert!(!said.contains("The package has changed") && said.contains("not paid yet has this code"), "{said}");
    assert_eq!(app.number("SELECT count(*) FROM orders").await, 2);

    let cancelled = browser.submit(&page.form(CANCEL), &path).await;
    assert!(browser.follow(&cancelled).await.text().contains("This order was cancelled before it was paid."));
    let page = type_code(&browser, package_id, &code).await;
    assert!(page.text().contains("When your current Tokens of this package end"), "{}", page.text());
    let placed = browser.submit(&page.form(PLACE).with("starts", "after_current"), &path).await;
    assert!(placed.location.starts_with("/sandbox/payments/"), "{}", placed.location);
    assert_eq!(app.number("SELECT count(*) FROM orders WHERE starts = 'after_current' AND discount_minor = 100").await, 1);
    app.stop().await;
}

#[sqlx::test]
async fn an_unpaid_order_in_the_last_place_is_said_to_be_that(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.signed_up("ada@example.com").await;
    let code = make(&app, percent(20), 5).await;
    for limit in [1, 2] {
        let package_id = package(&app, &format!("Limit {limit}"), Some(limit)).await;
        let path = confirm_path(package_id);
        if limit == 2 {
            buy(&browser, package_id).await;
        }
        let form = browser.get(&path).await.form(PLACE);
        confirm(&browser, package_id).await;
        let order_path = format!("/orders/{}", app.text(LATEST).await);
        // With a code it would be another order, for which there is no place.
        let page = type_code(&browser, package_id, &code).await;
        let text = page.text();
        assert!(text.contains("An order of this package that is not paid yet takes the last place."), "{text}");
        assert!(!text.contains("has bought this package") && page.find_form(PLACE).is_none(), "{text}");
        assert!(page.html.contains(&format!("href=\"{order_path}\"")), "{}", page.html);
        let other = form.with("form_key", &Uuid::new_v4().to_string()).with("starts", "after_current");
        let refused = browser.submit(&other, &path).await;
        let said = browser.follow(&refused).await.text();
        assert!(said.contains("takes the last place. Nothing was charged"), "{said}");
        // The code can be taken away, and the order gone on with.
        browser.submit(&page.form(TYPE).with("code", ""), &path).await;
        let page = browser.get(&path).await;
        assert!(page.text().contains("Paying here pays that one") && page.find_form(PLACE).is_some(), "{}", page.text());
        // Cancelled, it leaves its place to another.
        browser.submit(&page.form(CANCEL), &path).await;
        let page = browser.get(&path).await;
        assert!(!page.text().contains("not paid yet") && page.find_form(PLACE).is_some(), "{}", page.text());
    }
    app.stop().await;
}

#[sqlx::test]
async fn a_code_on_an_order_that_is_not_paid_is_free_when_that_is_cancelled(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.signed_up("ada@example.com").await;
    let (first, second) = (package(&app, "First", None).await, package(&app, "Second", None).await);
    let code = make(&app, percent(20), 1).await;
    type_code(&browser, first, &code).await;
    confirm(&browser, first).await;
    let page = type_code(&browser, second, &code).await;
    assert!(page.text().contains("An order of yours that is not paid yet has this code."), "{}", page.text());
    assert!(!page.text().contains("has used this code") && page.html.contains("href=\"/orders\""), "{}", page.text());
    let order_path = format!("/orders/{}", app.text(LATEST).await);
    let form = browser.get(&order_path).await.form(CANCEL);
    browser.submit(&form, &order_path).await;
    assert_eq!(app.number("SELECT used::bigint FROM codes").await, 0);
    assert!(type_code(&browser, second, &code).await.text().contains("To pay $4.00"));
    app.stop().await;
}

#[sqlx::test]
async fn a_code_that_was_typed_is_kept_when_the_order_that_is_gone_on_with_has_none(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.signed_up("ada@example.com").await;
    let package_id = package(&app, "Starter", None).await;
    let path = confirm_path(package_id);
    let form = browser.get(&path).await.form(PLACE);
    browser.submit(&form, &path).await;
    let code = make(&app, percent(20), 1).await;
    type_code(&browser, package_id, &code).await;
    // The form of before, by the back button: the order of before, without the code.
    browser.submit(&form, &path).await;
    assert_eq!(app.number("SELECT count(*) FROM orders WHERE code_id IS NULL").await, 1);
    assert!(browser.get(&path).await.text().contains("To pay $4.00"));
    app.stop().await;
}
