//! Buying, as a browser without JavaScript does it, with sandbox payments: Product Center, confirm, pay, wallet.

use crate::support::app::TestApp;
use crate::support::browser::{Browser, Page};
use crate::support::client::http;
use futures::future::join_all;
use sqlx::PgPool;
use toki::catalog::store::{NewPackage, PackageEdit, insert_package, update_package};
use toki::ids::PackageId;
use toki::money::{Currency, Money};
use toki::operators::rights::Operator;
use toki::tokens::Tokens;

const PLACE: &str = "/api/checkout/place_order";
const PAY: &str = "/api/sandbox/pay";
const DECLINE: &str = "/api/sandbox/decline";

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("usd").expect("a code"))
}

/// 1,000,000 Tokens for $5.00, valid for 30 days.
pub async fn package(app: &TestApp, name: &str, purchase_limit: Option<i32>) -> PackageId {
    let new = NewPackage {
        supplier_slugs: vec!["sandbox".into()],
        purchase_limit,
        ..NewPackage::plain(name, Tokens(1_000_000), usd(500), 2_592_000)
    };
    insert_package(&app.state.db, Operator::command_line(), new).await.expect("package")
}

fn confirm_path(package_id: PackageId) -> String {
    format!("/products/{package_id}/confirm")
}

/// Confirms the package; the answer leads to where it is paid.
pub async fn confirm(browser: &Browser, package_id: PackageId) -> Page {
    let path = confirm_path(package_id);
    let page = browser.get(&path).await;
    browser.submit(&page.form(PLACE), &path).await
}

#[sqlx::test]
async fn a_visitor_becomes_a_customer_whose_tokens_are_there(db: PgPool) {
    let app = TestApp::start(db).await;
    let package_id = package(&app, "Starter", None).await;
    let page = app.browser().get("/products").await;
    let text = page.text();
    for shown in ["Starter", "$5.00", "Price per million Tokens", "30 days from payment", "All models", "What is left expires."] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert!(page.html.contains(&confirm_path(package_id)));
    let stranger = app.browser().get(&confirm_path(package_id)).await;
    assert_eq!((stranger.status, stranger.location), (302, format!("/sign-in?next=%2Fproducts%2F{package_id}%2Fconfirm")));

    let browser = app.signed_up("ada@example.com").await;
    let page = browser.get(&confirm_path(package_id)).await;
    let text = page.text();
    for shown in ["Starter", "1,000,000", "$5.00", "30 days", "Expires, if you pay now", "UTC", "play money", "Nothing renews by itself"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    let placed = browser.submit(&page.form(PLACE), &confirm_path(package_id)).await;
    assert_eq!(placed.status, 302);
    assert!(placed.location.starts_with("/sandbox/payments/cs_sandbox_"), "{}", placed.location);

    let page = browser.get(&placed.location).await;
    assert!(page.html.contains("banner-sandbox") && page.text().contains("$5.00"), "{}", page.html);
    let paid = browser.submit(&page.form(PAY), &placed.location).await;
    assert!(paid.status == 302 && paid.location.starts_with("/orders/"), "{} {}", paid.status, paid.location);
    let order = browser.get(&paid.location).await;
    for shown in ["Paid", "Open your wallet", "Tokens expire", "Tokens granted 1,000,000", "$5.00"] {
        assert!(order.text().contains(shown), "{shown}: {}", order.text());
    }
    let ledger = format!("/wallet?order={id}#{id}", id = paid.location.trim_start_matches("/orders/"));
    assert!(order.html.contains(&format!("href=\"{ledger}\"")), "{}", order.html);
    assert!(browser.get(&ledger).await.text().contains("Order: Starter"));
    assert!(!order.text().contains("Look again"), "a paid order has nothing to wait for");
    assert!(browser.get("/orders").await.text().contains("Starter Paid"));
    assert_eq!(app.number("SELECT sum(left_)::bigint FROM grants").await, 1_000_000);

    // Posted again, by reload or by the back button, it is the same payment of the same order.
    browser.submit(&page.form(PAY), &placed.location).await;
    assert_eq!(app.number("SELECT count(*) FROM grants").await, 1);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn a_shop_with_nothing_on_sale_sends_visitors_to_what_is_open_to_them(db: PgPool) {
    let app = TestApp::start(db).await;
    let page = app.browser().get("/products").await;
    assert!(page.text().contains("Nothing is on sale") && page.text().contains("Look at the models"), "{}", page.text());
    assert!(page.html.contains("href=\"/models\"") && !page.html.contains("href=\"/wallet\""), "{}", page.html);
    let page = app.signed_up("ada@example.com").await.get("/products").await;
    assert!(page.text().contains("Open your wallet") && !page.text().contains("Look at the models"), "{}", page.text());
    app.stop().await;
}

#[sqlx::test]
async fn an_order_turns_from_processing_to_declined_and_says_so(db: PgPool) {
    let app = TestApp::start(db).await;
    let package_id = package(&app, "Starter", None).await;
    let browser = app.signed_up("ada@example.com").await;
    let placed = confirm(&browser, package_id).await;
    let payment = browser.get(&placed.location).await;
    let order_path = format!("/orders/{}", app.text("SELECT order_id::text FROM orders").await);

    let waiting = browser.get(&order_path).await;
    assert!(waiting.text().contains("Processing"), "{}", waiting.text());
    assert!(waiting.html.contains(&placed.location), "a way back to the checkout");
    let again = format!("<a href=\"{order_path}\">Look again");
    assert!(waiting.html.contains(&again) && !waiting.html.contains("<noscript"), "{}", waiting.html);
    let status = waiting.html.split("data-live=\"order-state\"").nth(1).and_then(|rest| rest.split_once('>'));
    let (tag, inside) = status.expect("a part of its own for the state");
    assert!(tag.contains("role=\"status\""), "what stays is the status: {tag}");
    let inside = inside.split("data-live=").next().unwrap_or_default();
    assert!(inside.contains("Processing") && !inside.contains("role=\"status\""), "what is replaced is its words: {inside}");

    let declined = browser.submit(&payment.form(DECLINE), &placed.location).await;
    assert_eq!(declined.location, order_path);
    let order = browser.get(&order_path).await;
    assert!(order.text().contains("Declined The payment was declined."), "{}", order.text());
    assert!(!order.text().contains("Look again") && order.html.contains(&confirm_path(package_id)));
    assert!(browser.get(&placed.location).await.find_form(PAY).is_none(), "what is declined is not offered again");
    assert_eq!(app.number("SELECT count(*) FROM grants").await, 0);
    app.stop().await;
}

#[sqlx::test]
async fn one_form_is_one_order_however_often_it_is_posted(db: PgPool) {
    let app = TestApp::start(db).await;
    let package_id = package(&app, "Starter", None).await;
    let browser = app.signed_up("ada@example.com").await;
    let path = confirm_path(package_id);
    let form = browser.get(&path).await.form(PLACE);
    let answers = join_all((0..6).map(|_| browser.submit(&form, &path))).await;
    assert!(answers.iter().all(|answer| answer.location == answers[0].location && answer.status == 302));
    // The back button, or a second tab opened later: the page goes on with the order that waits.
    let page = browser.get(&path).await;
    assert!(page.text().contains("not paid yet"), "{}", page.text());
    assert_eq!(browser.submit(&page.form(PLACE), &path).await.location, answers[0].location);
    assert_eq!(app.number("SELECT count(*) FROM orders").await, 1);
    // Once it is paid, the next one is another.
    let payment = browser.get(&answers[0].location).await;
    browser.submit(&payment.form(PAY), &answers[0].location).await;
    assert_ne!(confirm(&browser, package_id).await.location, answers[0].location);
    assert_eq!(app.number("SELECT count(*) FROM orders").await, 2);
    app.stop().await;
}

#[sqlx::test]
async fn too_many_orders_are_told_how_long_to_wait(db: PgPool) {
    let app = TestApp::start(db).await;
    let package_id = package(&app, "Starter", None).await;
    let browser = app.signed_up("ada@example.com").await;
    let path = confirm_path(package_id);
    let form = browser.get(&path).await.form(PLACE);
    let anew = async || browser.submit(&form.clone().with("form_key", &uuid::Uuid::new_v4().to_string()), &path).await;
    for _ in 0..40 {
        let placed = anew().await;
        assert!(!placed.location.contains("__err="), "{}", placed.location);
    }
    let refused = anew().await;
    let text = browser.follow(&refused).await.text();
    assert!(text.contains("Too many attempts. Try again in") && text.contains("seconds"), "{text}");
    assert_eq!(app.number("SELECT count(*) FROM orders").await, 1, "while one waits for its payment, all of them are that one");
    app.stop().await;
}

#[sqlx::test]
async fn a_package_that_changed_meanwhile_is_not_sold_at_the_old_terms(db: PgPool) {
    let app = TestApp::start(db).await;
    let package_id = package(&app, "Starter", None).await;
    let browser = app.signed_up("ada@example.com").await;
    let path = confirm_path(package_id);
    let form = browser.get(&path).await.form(PLACE);
    let dearer = PackageEdit { price: Some(usd(700)), ..PackageEdit::default() };
    update_package(&app.state.db, Operator::command_line(), package_id, dearer).await.expect("edit");
    for form in [form.clone(), form.with("terms[price_minor]", "1"), form.with("terms[tokens]", "999999999")] {
        let refused = browser.submit(&form, &path).await;
        assert_eq!(refused.status, 302);
        let page = browser.follow(&refused).await;
        assert!(page.text().contains("The package has changed since you opened this page"), "{}", page.text());
        assert!(page.text().contains("$7.00"), "{}", page.text());
    }
    let broken = browser.submit(&form.with("form_key", "x"), &path).await;
    assert!(browser.follow(&broken).await.text().contains("could not be read"));
    let off = PackageEdit { on_sale: Some(false), ..PackageEdit::default() };
    update_package(&app.state.db, Operator::command_line(), package_id, off).await.expect("edit");
    assert!(browser.get(&path).await.text().contains("not on sale any more"));
    assert_eq!(app.number("SELECT count(*) FROM orders").await, 0);
    app.stop().await;
}

#[sqlx::test]
async fn a_purchase_limit_is_said_and_kept(db: PgPool) {
    let app = TestApp::start(db).await;
    let package_id = package(&app, "Trial", Some(1)).await;
    let browser = app.signed_up("ada@example.com").await;
    let path = confirm_path(package_id);
    let form = browser.get(&path).await.form(PLACE);
    let placed = browser.submit(&form, &path).await;
    let payment = browser.get(&placed.location).await;
    browser.submit(&payment.form(PAY), &placed.location).await;
    let page = browser.get(&path).await;
    assert!(page.text().contains("as often as it allows") && page.find_form(PLACE).is_none(), "{}", page.text());
    let second = form.with("form_key", "01890a5d-ac96-774b-bcce-b302099a8057");
    let refused = browser.submit(&second, &path).await;
    assert!(browser.follow(&refused).await.text().contains("Nothing was charged"));
    assert_eq!(app.number("SELECT count(*) FROM orders").await, 1);
    app.stop().await;
}

#[sqlx::test]
async fn nobody_sees_or_pays_what_is_not_theirs(db: PgPool) {
    let app = TestApp::start(db).await;
    let package_id = package(&app, "Starter", None).await;
    let (ada, bob) = (app.signed_up("ada@example.com").await, app.signed_up("bob@example.com").await);
    let placed = confirm(&ada, package_id).await;
    let order_path = format!("/orders/{}", app.text("SELECT order_id::text FROM orders").await);
    for path in [&order_path, &placed.location] {
        let page = bob.get(path).await;
        assert!(page.text().contains("belongs to another account") && !page.text().contains("$5.00"), "{}", page.text());
        let visitor = app.browser().get(path).await;
        assert!(visitor.status == 302 && visitor.location.starts_with("/sign-in"), "{}", visitor.location);
    }
    let session_id = placed.location.rsplit('/').next().expect("an id");
    bob.post(&placed.location, PAY, &[("session_id", session_id)]).await;
    app.browser().post(&placed.location, PAY, &[("session_id", session_id)]).await;
    assert!(!bob.get("/orders").await.text().contains("Starter"));
    assert_eq!(app.number("SELECT count(*) FROM grants").await, 0);
    app.stop().await;
}

#[sqlx::test]
async fn without_sandbox_and_stripe_nothing_is_offered(db: PgPool) {
    let app = TestApp::start_with(db, |config| config.sandbox = false).await;
    let package_id = package(&app, "Starter", None).await;
    let browser = app.signed_up("ada@example.com").await;
    let page = browser.get(&confirm_path(package_id)).await;
    assert!(page.text().contains("Payments are not set up") && page.find_form(PLACE).is_none(), "{}", page.text());
    // Play money signed with the sandbox's secret is worth nothing here.
    let body = r#"{"id":"evt_1","type":"payout.paid"}"#;
    let secret = toki::checkout::sandbox::webhook_secret(&app.state.config);
    let signature = {
        use secrecy::ExposeSecret;
        toki::checkout::webhook::signature::sign(secret.expose_secret().as_bytes(), body.as_bytes(), chrono::Utc::now().timestamp())
    };
    let request = http().post(app.url("/webhooks/stripe")).header("stripe-signature", signature.expect("signed"));
    assert_eq!(request.body(body).send().await.expect("an answer").status(), 400);
    app.stop().await;
}
