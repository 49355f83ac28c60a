//! What comes a second time: a delivery that was refused or could not be kept, and the form of an order that is paid.

use crate::checkout::package;
use crate::payments::Shop;
use crate::support::app::TestApp;
use crate::support::fake_stripe::Plan;
use crate::support::installation::eventually;
use sqlx::PgPool;
use toki::connections::BELIEVED;

#[sqlx::test]
async fn a_delivery_that_was_signed_long_ago_leaves_no_trace_and_the_next_one_credits(db: PgPool) {
    let shop = Shop::open(db).await;
    shop.stripe.complete(&shop.session_id, true);
    assert_eq!(shop.stripe.deliver(Plan::Stale).await, [400]);
    assert_eq!((shop.app.number("SELECT count(*) FROM payment_events").await, shop.grants().await), (0, 0));
    assert_eq!(shop.stripe.deliver(Plan::InOrder).await, [200]);
    // What was taken once is refused like the first when it is replayed later.
    let event = shop.stripe.all("evt").remove(0);
    assert_eq!(shop.stripe.deliver_event(&event, Plan::Stale).await, 400);
    assert_eq!((shop.grants().await, shop.status().await.as_str()), (1, "fulfilled"));
    shop.close().await;
}

#[sqlx::test]
async fn a_delivery_that_could_not_be_kept_comes_again_and_credits_once(db: PgPool) {
    let shop = Shop::open(db).await;
    shop.stripe.complete(&shop.session_id, true);
    shop.app.lose_database().await;
    assert_eq!(shop.stripe.deliver(Plan::InOrder).await, [503]);
    assert_eq!(shop.stripe.waiting().len(), 1, "Stripe keeps what was not answered 200");
    shop.app.regain_database().await;
    eventually("it is taken", async || shop.stripe.deliver(Plan::InOrder).await == [200]).await;
    // Connections that our own questions used last are not believed to live for longer.
    tokio::time::sleep(BELIEVED).await;
    assert_eq!((shop.grants().await, shop.status().await.as_str()), (1, "fulfilled"));
    assert_eq!(shop.app.number("SELECT count(*) FROM payment_events").await, 1);
    shop.close().await;
}

#[sqlx::test]
async fn the_form_of_an_order_that_is_paid_leads_to_that_order(db: PgPool) {
    let (app, stripe) = TestApp::start_with_stripe(db).await;
    let package_id = package(&app, "Starter", None).await;
    let browser = app.signed_up("ada@example.com").await;
    let path = format!("/products/{package_id}/confirm");
    let form = browser.get(&path).await.form("/api/checkout/place_order");
    let placed = browser.submit(&form, &path).await;
    assert_eq!(placed.location, "https://checkout.stripe.com/c/pay/cs_test_1");
    stripe.complete("cs_test_1", true);
    assert_eq!(stripe.deliver(Plan::InOrder).await, [200]);
    // The back button, to the page as the browser has kept it, and the button on that once more.
    let order_page = format!("/orders/{}", app.text("SELECT order_id::text FROM orders").await);
    for _ in 0..2 {
        let again = browser.submit(&form, &path).await;
        assert_eq!((again.status, again.location.as_str()), (302, order_page.as_str()));
    }
    assert!(browser.get(&order_page).await.text().contains("Paid The Tokens are in your wallet."));
    assert_eq!((app.number("SELECT count(*) FROM orders").await, stripe.sessions().len()), (1, 1));
    assert_eq!(app.number("SELECT count(*) FROM grants").await, 1);
    app.assert_exact().await;
    app.stop().await;
}
