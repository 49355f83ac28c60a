//! The operator's page of payment events that fit no order, as a browser uses it.

use crate::payments::Shop;
use crate::support::browser::Browser;
use crate::support::fake_stripe::{FakeStripe, post};
use sqlx::PgPool;

const PAGE: &str = "/operator/payments";
const RESOLVE: &str = "/api/operator/resolve_payment";

/// A shop whose only payment came for an order that does not know its session, as if that had been lost; and its operator.
async fn shop_with_operator(db: PgPool) -> (Shop, Browser) {
    let shop = Shop::open(db).await;
    let olga = shop.app.signed_up("olga@example.com").await;
    shop.app.execute("UPDATE users SET operator = true WHERE email = 'olga@example.com'").await;
    shop.app.execute("UPDATE orders SET provider_session_id = 'cs_lost'").await;
    shop.stripe.complete(&shop.session_id, true);
    let body = shop.stripe.waiting().remove(0).to_string();
    assert_eq!(post(&shop.app.url("/webhooks/stripe"), &body, FakeStripe::signature(&body)).await, 200);
    (shop, olga)
}

async fn decide(browser: &Browser, resolution: &str, reason: &str) -> String {
    let fields = [("event_id", "evt_fake_1"), ("resolution", resolution), ("reason", reason)];
    let answer = browser.post(RESOLVE, PAGE, &fields).await;
    assert_eq!(answer.status, 302, "{}", answer.html);
    browser.follow(&answer).await.html
}

#[sqlx::test]
async fn an_operator_is_warned_on_every_page_and_decides_on_theirs(db: PgPool) {
    let (shop, olga) = shop_with_operator(db).await;
    assert!(olga.get("/dashboard").await.html.contains("Payments fit no order."));
    let html = olga.get(PAGE).await.html;
    for told in ["evt_fake_1", "cs_lost", "checkout.session.completed", "ada@example.com", "$5.00", "Starter", &shop.order_id] {
        assert!(html.contains(told), "{told}: {html}");
    }
    // Nobody decides without saying why, and what they chose is no third thing.
    let html = decide(&olga, "retry", " ").await;
    assert!(html.contains("Give a reason: it stays in the audit log."), "{html}");
    let html = decide(&olga, "credit", "because").await;
    assert!(html.contains("The form could not be read."), "{html}");
    assert_eq!(shop.app.number("SELECT count(*) FROM operator_actions WHERE action = 'payment_event.resolve'").await, 0);

    let html = decide(&olga, "retry", "a look").await;
    assert!(html.contains("evt_fake_1 fits no order still: "), "nothing was mended: {html}");
    sqlx::query("UPDATE orders SET provider_session_id = $1").bind(&shop.session_id).execute(&shop.app.state.db).await.expect("mended");
    let html = decide(&olga, "retry", "session noted by hand").await;
    for told in ["The order is paid, its Tokens are credited", "Nothing waits for you", "session noted by hand", "olga@example.com"] {
        assert!(html.contains(told), "{told}: {html}");
    }
    assert!(!html.contains("Payments fit no order."), "{html}");
    // Another tab is told that it is too late.
    let html = decide(&olga, "dismiss", "again").await;
    assert!(html.contains("Somebody has decided about this event"), "{html}");
    assert_eq!((shop.grants().await, shop.status().await.as_str()), (1, "fulfilled"));
    let deeds = "SELECT count(*) FROM operator_actions JOIN users ON user_id = actor_user_id
                  WHERE action = 'payment_event.resolve' AND email = 'olga@example.com'";
    assert_eq!(shop.app.number(deeds).await, 2);
    shop.close().await;
}

#[sqlx::test]
async fn an_event_that_is_dismissed_credits_nothing_and_waits_no_more(db: PgPool) {
    let (shop, olga) = shop_with_operator(db).await;
    let html = decide(&olga, "dismiss", "paid back by hand").await;
    assert!(html.contains("evt_fake_1: Dismissed.") && html.contains("paid back by hand"), "{html}");
    assert_eq!((shop.grants().await, shop.status().await.as_str()), (0, "awaiting_payment"));
    shop.close().await;
}

#[sqlx::test]
async fn customers_neither_see_the_page_nor_its_banner_and_whoever_lost_the_right_does_not_decide(db: PgPool) {
    let (shop, olga) = shop_with_operator(db).await;
    let page = shop.browser.get(PAGE).await;
    assert_eq!(page.status, 403);
    assert!(!page.html.contains("evt_fake_1") && !page.html.contains("Payments fit no order."), "{}", page.html);
    shop.app.execute("UPDATE users SET operator = false WHERE email = 'olga@example.com'").await;
    let html = decide(&olga, "dismiss", "a last deed").await;
    assert!(html.contains("Only operators can do this."), "{html}");
    assert_eq!(shop.app.number("SELECT count(*) FROM operator_actions WHERE action = 'payment_event.resolve'").await, 0);
    shop.close().await;
}
