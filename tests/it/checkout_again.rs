//! Buying a package again, as a browser without JavaScript does it: beside what there is, after it, and as often as it may be.

use crate::checkout::{confirm, package};
use crate::codes::{make, percent};
use crate::support::app::TestApp;
use crate::support::browser::{Browser, Form};
use futures::future::join_all;
use sqlx::PgPool;
use toki::catalog::store::{PackageEdit, update_package};
use toki::ids::PackageId;
use toki::operators::rights::Operator;
use uuid::Uuid;

const PLACE: &str = "/api/checkout/place_order";
const TYPE: &str = "/api/checkout/type_code";
const PAY: &str = "/api/sandbox/pay";

struct Shop {
    app: TestApp,
    browser: Browser,
    package_id: PackageId,
    confirm: String,
}

impl Shop {
    /// Where Ada has bought the package once.
    async fn open(db: PgPool, edit: PackageEdit) -> Shop {
        let app = TestApp::start(db).await;
        let package_id = package(&app, "Starter", None).await;
        update_package(&app.state.db, Operator::command_line(), package_id, edit).await.expect("edited");
        let browser = app.signed_up("ada@example.com").await;
        let shop = Shop { app, browser, package_id, confirm: format!("/products/{package_id}/confirm") };
        let placed = confirm(&shop.browser, shop.package_id).await;
        shop.pay(&placed.location).await;
        shop
    }

    /// Pays a sandbox session; the order's page.
    async fn pay(&self, location: &str) -> String {
        let payment = self.browser.get(location).await;
        let paid = self.browser.submit(&payment.form(PAY), location).await;
        self.browser.get(&paid.location).await.text()
    }

    /// A moment of the database's, as pages write it.
    async fn moment(&self, sql: &'static str) -> String {
        let time: chrono::DateTime<chrono::Utc> = sqlx::query_scalar(sql).fetch_one(&self.app.state.db).await.expect(sql);
        toki::utc::UtcTime::from(time).minute(toki::i18n::Language::English)
    }

    async fn close(self) {
        self.app.assert_exact().await;
        self.app.stop().await;
    }
}

#[sqlx::test]
async fn what_is_bought_again_begins_at_once_or_after_the_current_one_as_chosen(db: PgPool) {
    let shop = Shop::open(db, PackageEdit::default()).await;
    let page = shop.browser.get(&shop.confirm).await;
    let end = shop.moment("SELECT expires_at FROM grants").await;
    let queued_end = shop.moment("SELECT expires_at + interval '30 days' FROM grants").await;
    let text = page.text();
    let preview =
        format!("When your current Tokens of this package end {end} to {queued_end} What is left of the current ones expires then.");
    assert!(text.contains(&preview), "{preview}: {text}");
    assert!(text.contains("Now, beside what you have"), "{text}");
    let form = page.form(PLACE);
    assert!(form.fields.contains(&("starts".into(), "now".into())), "by default it begins now: {form:?}");

    let placed = shop.browser.submit(&form.with("starts", "after_current"), &shop.confirm).await;
    let order_path = format!("/orders/{}", shop.app.text("SELECT order_id::text FROM orders WHERE starts = 'after_current'").await);
    let waiting = shop.browser.get(&order_path).await.text();
    assert!(waiting.contains("30 days from the end of the Tokens you have of this package"), "{waiting}");
    let order = shop.pay(&placed.location).await;
    for shown in [format!("Tokens begin {end}"), format!("Tokens expire {queued_end}")] {
        assert!(order.contains(&shown), "{shown}: {order}");
    }
    let wallet = shop.browser.get("/wallet").await.text();
    assert!(wallet.contains("Not begun") && wallet.contains(&format!("from {end}")), "{wallet}");
    assert_eq!(shop.app.number("SELECT count(*) FROM grants WHERE starts_at > now()").await, 1);

    // The next one would follow both; and an order that waits for its payment keeps its choice.
    let page = shop.browser.get(&shop.confirm).await;
    assert!(page.text().contains(&format!("{queued_end} to")), "{}", page.text());
    shop.browser.submit(&page.form(PLACE).with("starts", "after_current"), &shop.confirm).await;
    let again = shop.browser.get(&shop.confirm).await.form(PLACE);
    assert!(again.fields.contains(&("starts".into(), "after_current".into())), "{again:?}");
    let broken = shop.browser.submit(&form.with("starts", "yesterday"), &shop.confirm).await;
    assert!(shop.browser.follow(&broken).await.text().contains("could not be read"));
    shop.close().await;
}

#[sqlx::test]
async fn the_start_that_was_chosen_outlives_a_code_that_is_applied_after_it(db: PgPool) {
    let shop = Shop::open(db, PackageEdit::default()).await;
    let code = make(&shop.app, percent(20), 1).await;
    let page = shop.browser.get(&shop.confirm).await;
    let mut form = page.form(TYPE).with("starts", "after_current");
    // Refused, taken, taken away, taken again.
    for (code, price) in [("no code", "Pay $5.00"), (code.as_str(), "Pay $4.00"), ("", "Pay $5.00"), (code.as_str(), "Pay $4.00")] {
        let typed = shop.browser.submit(&form.with("code", code), &shop.confirm).await;
        assert_eq!(typed.status, 302, "{}", typed.html);
        let page = shop.browser.follow(&typed).await;
        assert!(page.text().contains(price), "{price}: {}", page.text());
        form = page.form(TYPE);
        assert!(form.fields.contains(&("starts".into(), "after_current".into())), "{code}: {form:?}");
    }
    // And the other way round.
    let typed = shop.browser.submit(&form.with("starts", "now").with("code", &code), &shop.confirm).await;
    let again = shop.browser.follow(&typed).await.form(TYPE);
    assert!(again.fields.contains(&("starts".into(), "now".into())), "{again:?}");

    let order = Form { action: PLACE.into(), ..form };
    let placed = shop.browser.submit(&order, &shop.confirm).await;
    assert!(placed.location.starts_with("/sandbox/payments/"), "{}", placed.location);
    assert_eq!(shop.app.number("SELECT count(*) FROM orders WHERE starts = 'after_current' AND discount_minor = 100").await, 1);
    shop.close().await;
}

#[sqlx::test]
async fn what_rolls_over_is_said_for_either_choice(db: PgPool) {
    let shop = Shop::open(db, PackageEdit { rolls_over: Some(true), ..PackageEdit::default() }).await;
    let text = shop.browser.get(&shop.confirm).await.text();
    for shown in [
        "The 1,000,000 Tokens left of earlier purchases move to this one and get its expiry.",
        "What is left of the current ones then moves to this one and gets its expiry.",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    shop.close().await;
}

#[sqlx::test]
async fn twenty_forms_at_once_are_as_many_orders_as_the_limit_allows(db: PgPool) {
    let edit = PackageEdit { purchase_limit: Some(Some(2)), limit_period_s: Some(Some(604_800)), ..PackageEdit::default() };
    let shop = Shop::open(db, edit).await;
    let page = shop.browser.get(&shop.confirm).await;
    assert!(page.text().contains("2 times per account in any 7 days"), "{}", page.text());
    // Tabs that agree are one order; those with the other start are another, for which there is no place.
    let starts = ["now", "after_current"].into_iter().cycle().take(20);
    let forms: Vec<_> = starts.map(|starts| another(&page.form(PLACE)).with("starts", starts)).collect();
    let answers = join_all(forms.iter().map(|form| shop.browser.submit(form, &shop.confirm))).await;
    let placed: Vec<_> = answers.iter().filter(|answer| answer.location.starts_with("/sandbox/payments/")).collect();
    assert_eq!((placed.len(), shop.app.number("SELECT count(*) FROM orders").await), (10, 2));
    assert!(placed.iter().all(|answer| answer.location == placed[0].location));
    let refused = answers.iter().find(|answer| !answer.location.starts_with("/sandbox/")).expect("one too many");
    assert!(shop.browser.follow(refused).await.text().contains("not paid yet takes the last place. Nothing was charged"));

    // One that is declined frees its place; when all are taken for good, the page says until when.
    let payment = shop.browser.get(&placed[0].location).await;
    shop.browser.submit(&payment.form("/api/sandbox/decline"), &placed[0].location).await;
    let third = shop.browser.submit(&another(&forms[0]), &shop.confirm).await;
    assert_ne!(third.location, placed[0].location);
    shop.pay(&third.location).await;
    let again_at = shop.moment("SELECT min(created_at) + interval '7 days' FROM orders WHERE fulfilled_at IS NOT NULL").await;
    let page = shop.browser.get(&shop.confirm).await;
    assert!(page.text().contains(&format!("for now. You can buy it again from {again_at}.")), "{}", page.text());
    assert!(page.find_form(PLACE).is_none());
    shop.close().await;
}

/// The same form, of a page that was opened beside.
fn another(form: &Form) -> Form {
    form.with("form_key", &Uuid::new_v4().to_string())
}
