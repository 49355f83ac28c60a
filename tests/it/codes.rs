//! Codes as customers type them, without JavaScript: redeemed in the wallet, taken off a price on the confirm page; made by the command.

use crate::checkout::{confirm, package};
use crate::payments::Shop;
use crate::support::app::TestApp;
use crate::support::browser::{Browser, Page};
use crate::support::fake_stripe::Plan;
use crate::support::toki::Toki;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
use toki::catalog::store::{NewPackage, insert_package};
use toki::codes::store::batches::{NewCodes, Off, Worth, insert_codes};
use toki::codes::store::plain::CodePepper;
use toki::ids::PackageId;
use toki::money::{Currency, Money};
use toki::operators::rights::Operator;
use toki::tokens::Tokens;
use toki::wallet::ledger::Scope;

const REDEEM: &str = "/api/codes/redeem";
const TYPE: &str = "/api/checkout/type_code";
const PLACE: &str = "/api/checkout/place_order";

pub async fn make(app: &TestApp, worth: Worth, uses: i32) -> String {
    let new = NewCodes { worth, count: 1, uses, expires_at: None, note: None };
    let batch =
        insert_codes(&app.state.db, Operator::command_line(), &CodePepper::derive(app.state.hash_key.bytes()), &new, "a test").await;
    batch.expect("made").codes[0].1.expose()
}

fn tokens(tokens: i64) -> Worth {
    Worth::Tokens { tokens: Tokens(tokens), valid_for: TimeDelta::days(30), scope: Scope::default() }
}

pub fn percent(percent: i32) -> Worth {
    Worth::Off { off: Off::Percent(percent), currency: None, package_ids: Vec::new() }
}

async fn redeem(browser: &Browser, code: &str) -> Page {
    let form = browser.get("/wallet").await.form(REDEEM).with("code", code);
    browser.submit(&form, "/wallet").await
}

/// Types a code on the confirm page; what the page says then.
pub async fn type_code(browser: &Browser, package_id: PackageId, code: &str) -> Page {
    let path = format!("/products/{package_id}/confirm");
    let form = browser.get(&path).await.form(TYPE).with("code", code);
    let typed = browser.submit(&form, &path).await;
    assert_eq!(typed.status, 302, "{}", typed.html);
    browser.follow(&typed).await
}

#[sqlx::test]
async fn one_use_goes_to_one_of_thirty_two_who_redeem_at_once(db: PgPool) {
    let app = TestApp::start(db).await;
    let code = make(&app, tokens(1_000), 1).await;
    let mut browsers = Vec::new();
    for n in 0..32 {
        browsers.push(app.signed_up(&format!("customer{n}@example.com")).await);
    }
    let forms = join_all(browsers.iter().map(|browser| async { browser.get("/wallet").await.form(REDEEM).with("code", &code) })).await;
    let answers = join_all(browsers.iter().zip(&forms).map(|(browser, form)| browser.submit(form, "/wallet"))).await;
    let redeemed = answers.iter().filter(|answer| answer.location.contains("/wallet?redeemed=")).count();
    let used_up = join_all(browsers.iter().zip(&answers).map(|(browser, answer)| browser.follow(answer))).await;
    let used_up = used_up.iter().filter(|page| page.text().contains("used as often as it may be")).count();
    assert_eq!((redeemed, used_up), (1, 31));
    for (sql, expected) in [
        ("SELECT count(*) FROM code_redemptions", 1),
        ("SELECT count(*) FROM grants", 1),
        ("SELECT used::bigint FROM codes", 1),
        ("SELECT coalesce(sum(tokens), 0)::bigint FROM ledger WHERE redemption_id IS NOT NULL", 1_000),
    ] {
        assert_eq!(app.number(sql).await, expected, "{sql}");
    }
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn one_discount_goes_to_one_of_thirty_two_who_order_at_once(db: PgPool) {
    let app = TestApp::start(db).await;
    let package_id = package(&app, "Starter", None).await;
    let code = make(&app, percent(20), 1).await;
    let (mut browsers, mut forms) = (Vec::new(), Vec::new());
    for n in 0..32 {
        let browser = app.signed_up(&format!("customer{n}@example.com")).await;
        forms.push(type_code(&browser, package_id, &code).await.form(PLACE));
        browsers.push(browser);
    }
    let path = format!("/products/{package_id}/confirm");
    let answers = join_all(browsers.iter().zip(&forms).map(|(browser, form)| browser.submit(form, &path))).await;
    let placed = answers.iter().filter(|answer| answer.location.starts_with("/sandbox/payments/")).count();
    let pages = join_all(browsers.iter().zip(&answers).map(|(browser, answer)| browser.follow(answer))).await;
    let used_up = pages.iter().filter(|page| page.text().contains("used as often as it may be")).count();
    assert_eq!((placed, used_up), (1, 31));
    for (sql, expected) in [
        ("SELECT count(*) FROM code_redemptions WHERE order_id IS NOT NULL", 1),
        ("SELECT count(*) FROM orders", 1),
        ("SELECT sum(price_minor)::bigint FROM orders", 400),
        ("SELECT used::bigint FROM codes", 1),
    ] {
        assert_eq!(app.number(sql).await, expected, "{sql}");
    }
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn an_account_redeems_a_code_once_however_often_it_posts(db: PgPool) {
    let app = TestApp::start(db).await;
    let code = make(&app, tokens(1_000), 50).await;
    let browser = app.signed_up("ada@example.com").await;
    let form = browser.get("/wallet").await.form(REDEEM).with("code", &code.to_lowercase().replace('-', " "));
    let answers = join_all((0..8).map(|_| browser.submit(&form, "/wallet"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.location.contains("/wallet?redeemed=")).count(), 1);
    let won = answers.iter().find(|answer| answer.location.contains("/wallet?redeemed=")).expect("one");
    let page = browser.follow(won).await.text();
    for shown in ["Redeemed: 1,000 Tokens are in your wallet", "Redemption code", "Redeemed"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let again = redeem(&browser, &code).await;
    assert!(browser.follow(&again).await.text().contains("Your account has used this code"));
    assert_eq!(app.number("SELECT count(*) FROM grants").await, 1);
    // The notice is only for a grant that is there, and only for its owner.
    let stranger = app.signed_up("bob@example.com").await;
    assert!(!stranger.get(stranger.path_of(won)).await.text().contains("Redeemed:"));
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn what_is_no_code_is_said_and_guessing_ends(db: PgPool) {
    let app = TestApp::start(db).await;
    let good = make(&app, tokens(1_000), 1).await;
    let promotion = make(&app, percent(20), 1).await;
    let browser = app.signed_up("ada@example.com").await;
    let typo = format!("{}{}", if good.starts_with('A') { 'B' } else { 'A' }, &good[1..]);
    for (code, said) in
        [("", "Enter a code."), (typo.as_str(), "This is no code"), (promotion.as_str(), "type it where you confirm an order")]
    {
        let refused = redeem(&browser, code).await;
        assert_eq!(refused.status, 302);
        let page = browser.follow(&refused).await;
        assert!(page.text().contains(said), "{code}: {said}");
        assert!(page.form(REDEEM).fields.contains(&("code".into(), code.into())), "it can be checked letter by letter: {}", page.html);
    }
    assert_eq!(browser.get("/wallet").await.form(REDEEM).fields, [("code".to_string(), String::new())], "and is gone with the next page");
    // A code of another installation: as good as guessed.
    let guess = toki::codes::store::plain::PlainCode::generate().expose();
    for _ in 0..9 {
        let refused = redeem(&browser, &guess).await;
        assert!(browser.follow(&refused).await.text().contains("There is no such code"));
    }
    let refused = redeem(&browser, &good).await;
    let page = browser.follow(&refused).await.text();
    assert!(page.contains("Too many attempts. Try again in 60 minutes."), "{page}");
    assert_eq!(app.number("SELECT count(*) FROM grants").await, 0);
    let other = app.signed_up("bob@example.com").await;
    assert!(redeem(&other, &good).await.location.contains("/wallet?redeemed="), "nobody else has to wait");
    let visitor = app.browser().post(REDEEM, "/wallet", &[("code", good.as_str())]).await;
    assert!(visitor.location.starts_with("/sign-in"), "{}", visitor.location);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn a_promotion_code_is_shown_charged_kept_and_given_back(db: PgPool) {
    let shop = Shop::open(db).await;
    let (app, browser) = (&shop.app, &shop.browser);
    let package_id = package(app, "Second", None).await;
    let code = make(app, percent(20), 1).await;
    let page = type_code(browser, package_id, &code).await;
    let text = page.text();
    for shown in [
        "Price $5.00",
        "Promotion code -$1.00",
        "To pay $4.00",
        "Price per million Tokens $4.00",
        "A code leaves at least $0.50 to pay.",
        "Pay $4.00",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    // Nobody is charged more than was shown, or less.
    let path = format!("/products/{package_id}/confirm");
    let cheaper = browser.submit(&page.form(PLACE).with("terms[discount_minor]", "400"), &path).await;
    assert!(browser.follow(&cheaper).await.text().contains("The package has changed"));
    browser.submit(&page.form(PLACE), &path).await;
    let session = shop.stripe.sessions().pop().expect("a session");
    assert_eq!(session["amount_total"], json!(400));
    assert_eq!(app.number("SELECT used::bigint FROM codes").await, 1);
    // Back from the provider's page: nothing is lost.
    let back = browser.get(&path).await.text();
    assert!(back.contains("Paying here pays that one") && back.contains("To pay $4.00"), "{back}");

    shop.stripe.expire(session["id"].as_str().expect("an id"));
    shop.stripe.deliver(Plan::InOrder).await;
    assert_eq!(app.number("SELECT used::bigint FROM codes").await, 0, "what expires gives its use back");
    let page = type_code(browser, package_id, &code).await;
    browser.submit(&page.form(PLACE), &path).await;
    let session = shop.stripe.sessions().pop().expect("another session");
    shop.stripe.complete(session["id"].as_str().expect("an id"), true);
    shop.stripe.deliver(Plan::InOrder).await;
    let order_id = app.text("SELECT order_id::text FROM orders WHERE status = 'fulfilled'").await;
    let page = browser.get(&format!("/orders/{order_id}")).await.text();
    for shown in ["List price $5.00", "Promotion code -$1.00", "Price $4.00"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let receipt = browser.get(&format!("/orders/{order_id}/receipt")).await.text();
    for shown in ["Second", "$5.00 Promotion code -$1.00", "Paid $4.00"] {
        assert!(receipt.contains(shown), "{shown}: {receipt}");
    }
    let again = type_code(browser, package_id, &code).await.text();
    assert!(again.contains("Your account has used this code") && again.contains("Pay $5.00"), "{again}");
    let done = shop.toki_json(&["order", "refund", &order_id, "--unused", "--reason", "asked for it"]).await;
    assert_eq!((&done["amount_minor"], &done["status"]), (&json!(400), &json!("succeeded")), "what was paid, not the list price");
    shop.close().await;
}

#[sqlx::test]
async fn discounts_in_zero_and_three_decimals_are_charged_as_they_are_shown(db: PgPool) {
    let (app, stripe) = TestApp::start_with_stripe(db).await;
    let browser = app.signed_up("ada@example.com").await;
    for (minor, currency, to_pay, amount) in
        [(333, "jpy", "¥167", 167), (1_500, "kwd", "KWD 0.750", 750), (1_510, "kwd", "KWD 0.760", 760), (900, "isk", "ISK 450", 45_000)]
    {
        let price = Money::new(minor, Currency::parse(currency).expect("a code"));
        let new = NewPackage::plain(&format!("{minor} {currency}"), Tokens(1_000_000), price, 2_592_000);
        let package_id = insert_package(&app.state.db, Operator::command_line(), new).await.expect("package");
        let code = make(&app, percent(50), 1).await;
        let page = type_code(&browser, package_id, &code).await;
        assert!(page.text().contains(&format!("To pay {to_pay}")), "{}", page.text());
        browser.submit(&page.form(PLACE), &format!("/products/{package_id}/confirm")).await;
        let session = stripe.sessions().pop().expect("a session");
        assert_eq!(session["amount_total"], json!(amount), "{currency}");
        stripe.complete(session["id"].as_str().expect("an id"), true);
        stripe.deliver(Plan::InOrder).await;
    }
    assert_eq!(app.number("SELECT count(*) FROM orders WHERE status = 'fulfilled'").await, 4);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn a_code_that_does_not_fit_the_order_leaves_the_price_as_it_is(db: PgPool) {
    let app = TestApp::start(db).await;
    let package_id = package(&app, "Starter", None).await;
    let browser = app.signed_up("ada@example.com").await;
    let usd = Some("usd".to_string());
    let all = make(&app, Worth::Off { off: Off::AmountMinor(500), currency: usd, package_ids: Vec::new() }, 1).await;
    let redemption = make(&app, tokens(1_000), 1).await;
    let elsewhere = make(&app, Worth::Off { off: Off::Percent(10), currency: Some("eur".into()), package_ids: Vec::new() }, 1).await;
    for (code, said) in [
        (all, "less would be left to pay than the payment provider can charge"),
        (redemption, "redeem it in your wallet"),
        (elsewhere, "takes nothing off the price of this package"),
    ] {
        let page = type_code(&browser, package_id, &code).await.text();
        assert!(page.contains(said) && page.contains("Pay $5.00"), "{said}: {page}");
    }
    // One that was good when it was typed, and is gone when the form is posted.
    let code = make(&app, percent(20), 1).await;
    let page = type_code(&browser, package_id, &code).await;
    app.execute("UPDATE codes SET disabled_at = now()").await;
    let path = format!("/products/{package_id}/confirm");
    let refused = browser.submit(&page.form(PLACE), &path).await;
    let page = browser.follow(&refused).await;
    assert!(page.text().contains("This code was taken back") && page.text().contains("Pay $5.00"), "{}", page.text());
    // An empty one takes it away, and the package is bought at its price.
    let wrong = type_code(&browser, package_id, "ABCD-EFGH").await.form(TYPE);
    assert!(wrong.fields.contains(&("code".into(), "ABCD-EFGH".into())), "it can be checked letter by letter: {wrong:?}");
    assert!(!type_code(&browser, package_id, " ").await.text().contains("taken back"));
    confirm(&browser, package_id).await;
    assert_eq!(app.number("SELECT price_minor FROM orders").await, 500);
    app.stop().await;
}

#[sqlx::test]
async fn a_code_that_is_applied_is_shown_and_taken_away_by_its_button(db: PgPool) {
    let app = TestApp::start(db).await;
    let (first, second) = (package(&app, "First", None).await, package(&app, "Second", None).await);
    let browser = app.signed_up("ada@example.com").await;
    let path = format!("/products/{first}/confirm");
    let has_button = |page: &Page| page.html.contains("name=\"take_away\"");
    let before = browser.get(&path).await;
    assert!(before.text().contains("Have a promotion code?") && !has_button(&before), "{}", before.text());
    assert!(!before.html.contains("<details open"), "{}", before.html);
    let code = make(&app, percent(20), 1).await;
    let page = type_code(&browser, first, &code).await;
    assert!(page.text().contains("A code is applied: it takes $1.00 off. Take it away"), "{}", page.text());
    assert!(page.html.contains("<details open") && has_button(&page), "{}", page.html);
    assert!(!page.text().contains("Have a promotion code?"), "{}", page.text());
    // Whatever is being typed.
    let mut form = page.form(TYPE).with("code", "half a code");
    form.fields.push(("take_away".into(), "true".into()));
    let taken = browser.submit(&form, &path).await;
    let page = browser.follow(&taken).await;
    assert!(page.text().contains("Pay $5.00") && page.text().contains("Have a promotion code?"), "{}", page.text());
    assert!(!page.text().contains("This is no code") && !has_button(&page), "{}", page.text());
    // An order that waits has its code for good.
    type_code(&browser, first, &code).await;
    confirm(&browser, first).await;
    let page = browser.get(&path).await;
    assert!(page.text().contains("Paying here pays that one") && page.text().contains("To pay $4.00"), "{}", page.text());
    assert!(!has_button(&page), "{}", page.text());
    // One that takes nothing off any more can go as well.
    let code = make(&app, percent(20), 1).await;
    type_code(&browser, second, &code).await;
    app.execute("UPDATE codes SET disabled_at = now()").await;
    let page = browser.get(&format!("/products/{second}/confirm")).await;
    assert!(page.text().contains("The code that you typed here is kept, and takes nothing off. Take it away"), "{}", page.text());
    assert!(page.text().contains("This code was taken back") && has_button(&page), "{}", page.text());
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn operators_make_see_and_disable_codes(db: PgPool) {
    let app = TestApp::start(db).await;
    let package_id = package(&app, "Starter", None).await.to_string();
    let browser = app.signed_up("ada@example.com").await;
    // Whoever became root by `sudo` is named; others are who they are, whatever they say.
    let toki = Toki::new(&app.state.db).with("SUDO_USER", "ada");
    let runs_this = Operator::command_line().called_by(Some("ada".into())).system_user_name();
    let create = ["code", "create", "--reason", "spring", "--count", "3", "--uses", "2", "--expires", "2100-01-01T00:00:00Z"];
    let made =
        toki.json(&[&create[..], &["--tokens", "1,000", "--valid-for", "30d", "--suppliers", "sandbox", "--note", "Hello"]].concat());
    let codes = made["codes"].as_array().expect("codes");
    assert_eq!(codes.len(), 3);
    let text = |value: &Value| value.as_str().expect("text").to_string();
    let (code_id, code) = (text(&codes[0]["code_id"]), text(&codes[0]["code"]));
    assert!(redeem(&browser, &code).await.location.contains("/wallet?redeemed="));

    let shown = toki.json(&["code", "show", &code_id]);
    for (field, value) in [
        ("kind", json!("redemption")),
        ("tokens", json!(1_000)),
        ("valid_for_s", json!(2_592_000)),
        ("suppliers", json!(["sandbox"])),
        ("uses", json!(2)),
        ("used", json!(1)),
        ("status", json!("active")),
        ("expires_at", json!("2100-01-01T00:00:00Z")),
        ("note", json!("Hello")),
        ("reason", json!("spring")),
        ("made_by", json!(runs_this)),
        ("batch_id", made["batch_id"].clone()),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    assert_eq!(shown["redemptions"][0]["email"], "ada@example.com");
    assert!(!shown.to_string().contains(&code) && !toki.text(&["code", "list"]).contains(&code), "codes are shown once");
    let off = toki.json(&["code", "create", "--percent-off", "20", "--packages", &package_id, "--reason", "a try"]);
    let list = toki.json(&["code", "list", "--batch", off["batch_id"].as_str().expect("an id")]);
    assert_eq!((&list["codes"][0]["percent_off"], &list["codes"][0]["package_ids"]), (&json!(20), &json!([package_id])));
    assert_eq!(toki.json(&["code", "list"])["codes"].as_array().expect("codes").len(), 4);
    assert_eq!(toki.json(&["code", "disable", &code_id, "--reason", "leaked"])["status"], "disabled");
    assert_eq!(toki.json(&["code", "show", &code_id])["status"], "disabled");
    let deeds = "SELECT string_agg(action || ' ' || reason, ', ' ORDER BY action_id) FROM operator_actions WHERE action LIKE 'code.%'";
    assert_eq!(app.text(deeds).await, "code.create spring, code.create a try, code.disable leaked");
    let actors = app.text("SELECT string_agg(DISTINCT system_user_name, ', ') FROM operator_actions WHERE action LIKE 'code.%'").await;
    assert_eq!(Some(actors.as_str()), runs_this);
    assert!(!app.text("SELECT string_agg(a::text, '') FROM operator_actions a").await.contains(&code));

    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    assert_eq!(toki.refusal(&["code", "show", unknown]), "toki: no such code\n");
    assert_eq!(toki.refusal(&["code", "create", "--percent-off", "5", "--packages", unknown, "--reason", "x"]), "toki: no such package\n");
    assert_eq!(toki.refusal(&["code", "create", "--tokens", "5", "--models", "no/thing", "--reason", "x"]), "toki: no such model\n");
    assert!(toki.refusal(&["code", "create", "--tokens", "0", "--reason", "x"]).contains("out of range"));
    for wrong in [
        &["code", "create", "--reason", "x"][..],
        &["code", "create", "--tokens", "5"],
        &["code", "create", "--tokens", "5", "--percent-off", "5", "--reason", "x"],
        &["code", "create", "--percent-off", "100", "--reason", "x"],
        &["code", "create", "--amount-off", "100", "--reason", "x"],
        &["code", "disable", unknown],
    ] {
        toki.wrong_usage(wrong);
    }
    app.assert_exact().await;
    app.stop().await;
}
