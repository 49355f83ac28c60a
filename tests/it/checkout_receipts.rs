//! Receipts, as a browser without JavaScript reads them: who sold what to whom, the tax in it, and what went back.

use crate::checkout::{confirm, package};
use crate::support::app::TestApp;
use crate::support::browser::Browser;
use crate::support::toki::Toki;
use sqlx::PgPool;
use toki::checkout::types_receipt::{Seller, TaxRate};

const SAVE: &str = "/api/orders/save_billing";

fn seller() -> Seller {
    let address = "Street 1\n1010 Vienna".into();
    Seller { name: "Toki & Co".into(), address, tax_id: Some("ATU1".into()), tax_rate: Some(TaxRate(1_900)) }
}

/// Buys the package with play money; the order's id.
async fn buy(app: &TestApp, browser: &Browser) -> String {
    let package_id = package(app, &uuid::Uuid::new_v4().to_string(), None).await;
    let placed = confirm(browser, package_id).await;
    let payment = browser.get(&placed.location).await;
    let paid = browser.submit(&payment.form("/api/sandbox/pay"), &placed.location).await;
    paid.location.rsplit('/').next().expect("an id").to_string()
}

#[sqlx::test]
async fn a_receipt_names_seller_customer_and_tax_and_takes_billing_details_once(db: PgPool) {
    let app = TestApp::start_with(db, |ours| ours.seller = Some(seller())).await;
    app.until("SELECT count(*) FROM sellers", |count| count == 1).await;
    let browser = app.signed_up("ada@example.com").await;
    let order_id = buy(&app, &browser).await;
    let path = format!("/orders/{order_id}/receipt");
    assert!(browser.get(&format!("/orders/{order_id}")).await.html.contains(&path));
    let page = browser.get(&path).await;
    let text = page.text();
    for shown in [
        "-000001",
        "Toki &amp; Co",
        "1010 Vienna",
        "ATU1",
        "ada@example.com",
        "Tax 19 %",
        "1,000,000",
        "$4.20",
        "$0.80",
        "$5.00",
        "play money",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    // The finder of forms reads inputs only.
    let mut form = page.form(SAVE).with("name", "Ada Ltd").with("tax_id", "GB 1");
    form.fields.push(("address".into(), "1 Street\r\nLondon".into()));
    let saved = browser.submit(&form, &path).await;
    assert_eq!(saved.location, path);
    let page = browser.get(&path).await;
    assert!(page.text().contains("Ada Ltd 1 Street London") || page.text().contains("Ada Ltd\n1 Street\nLondon"), "{}", page.text());
    // Later details are for later receipts.
    browser.submit(&form.with("name", "Ada SE"), &path).await;
    let text = browser.get(&path).await.text();
    assert!(text.contains("Ada Ltd") && text.contains("ask support for a corrected one"), "{text}");
    let second = buy(&app, &browser).await;
    let text = browser.get(&format!("/orders/{second}/receipt")).await.text();
    assert!(text.contains("Ada SE") && text.contains("-000002"), "{text}");
    let refused = browser.submit(&form.with("name", " "), &path).await;
    assert!(browser.follow(&refused).await.text().contains("Enter the name that receipts are to be made out to."));

    let bob = app.signed_up("bob@example.com").await;
    assert!(bob.get(&path).await.text().contains("belongs to another account"));
    bob.submit(&form.with("name", "Bob"), &path).await;
    assert_eq!(app.number("SELECT count(*) FROM billing_details").await, 1);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn refunds_are_credit_notes_with_numbers_of_their_own(db: PgPool) {
    let app = TestApp::start_with(db, |ours| ours.seller = Some(seller())).await;
    let browser = app.signed_up("ada@example.com").await;
    let order_id = buy(&app, &browser).await;
    let toki = Toki::new(&app.state.db);
    toki.json(&["order", "refund", &order_id, "--tokens", "400,000", "--reason", "kindness"]);
    let text = browser.get(&format!("/orders/{order_id}/receipt")).await.text();
    for shown in ["Credit note C-", "-400,000", "-$1.68", "-$0.32", "-$2.00", "Paid, less refunds", "$3.00", "$2.52", "$0.48"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    app.stop().await;
}

#[sqlx::test]
async fn without_a_rate_a_receipt_says_nothing_of_tax(db: PgPool) {
    let untaxed = Seller { tax_id: None, tax_rate: None, ..seller() };
    let app = TestApp::start_with(db, |ours| ours.seller = Some(untaxed)).await;
    app.until("SELECT count(*) FROM sellers", |count| count == 1).await;
    let browser = app.signed_up("ada@example.com").await;
    let order_id = buy(&app, &browser).await;
    Toki::new(&app.state.db).json(&["order", "refund", &order_id, "--tokens", "400,000", "--reason", "kindness"]);
    let page = browser.get(&format!("/orders/{order_id}/receipt")).await;
    // The customer's own number is asked for below.
    let text = page.words().replace("Tax number", "");
    for shown in ["Toki &amp; Co", "Item Tokens Amount", "$5.00", "Credit note C-", "-400,000", "-$2.00", "$3.00"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    for unsaid in ["Tax", "Net", "%"] {
        assert!(!text.contains(unsaid), "{unsaid}: {text}");
        assert!(!page.html.contains(&format!("data-label=\"{unsaid}\"")), "{unsaid}: {}", page.html);
    }
    app.stop().await;
}

#[sqlx::test]
async fn a_receipt_has_one_date_wherever_it_is_read(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.signed_up("ada@example.com").await;
    let order_id = buy(&app, &browser).await;
    Toki::new(&app.state.db).json(&["order", "refund", &order_id, "--tokens", "400,000", "--reason", "kindness"]);
    let date = async |sql: &'static str| {
        let time: chrono::DateTime<chrono::Utc> = sqlx::query_scalar(sql).fetch_one(&app.state.db).await.expect(sql);
        toki::utc::UtcTime::from(time).minute(toki::i18n::Language::English)
    };
    let paid = format!("Paid {}", date("SELECT issued_at FROM receipts").await);
    let credited = format!("of {}", date("SELECT issued_at FROM credit_notes").await);
    let there = app.browser_with_cookie(&format!("{}; time_zone=Asia/Shanghai", browser.cookie()));
    assert!(there.get(&format!("/orders/{order_id}")).await.words().contains("CST"), "all other pages are in the reader's zone");
    for browser in [&browser, &there] {
        let text = browser.get(&format!("/orders/{order_id}/receipt")).await.words();
        assert!(text.contains(&paid) && text.contains(&credited) && !text.contains("CST"), "{paid}, {credited}: {text}");
    }
    app.stop().await;
}
