//! Giving the unused part back, as a browser without JavaScript does it, through the same code as an operator's refund.

use crate::checkout::{confirm, package};
use crate::support::app::TestApp;
use crate::support::browser::Browser;
use crate::support::fake_stripe::{FakeStripe, Plan};
use futures::future::join_all;
use serde_json::json;
use sqlx::PgPool;
use toki::catalog::store::{PackageEdit, update_package};
use toki::operators::rights::Operator;

const REFUND: &str = "/api/orders/refund";

/// An order of $5.00, paid through Stripe, whose unused part may be given back for 14 days.
struct Bought {
    app: TestApp,
    stripe: FakeStripe,
    browser: Browser,
    order: String,
    refund: String,
}

impl Bought {
    async fn open(db: PgPool) -> Bought {
        let (app, stripe) = TestApp::start_with_stripe(db).await;
        let package_id = package(&app, "Starter", None).await;
        let edit = PackageEdit { refund_window_s: Some(Some(1_209_600)), ..PackageEdit::default() };
        update_package(&app.state.db, Operator::command_line(), package_id, edit).await.expect("edited");
        let browser = app.signed_up("ada@example.com").await;
        for path in ["/products".to_string(), format!("/products/{package_id}/confirm")] {
            let text = browser.get(&path).await.text();
            assert!(text.contains("The unused part, for 14 days from payment"), "{text}");
        }
        confirm(&browser, package_id).await;
        stripe.complete("cs_test_1", true);
        assert_eq!(stripe.deliver(Plan::InOrder).await, [200]);
        let order = format!("/orders/{}", app.text("SELECT order_id::text FROM orders").await);
        let refund = format!("{order}/refund");
        Bought { app, stripe, browser, order, refund }
    }

    fn asked(&self) -> usize {
        self.stripe.requests().iter().filter(|request| request.path == "refunds").count()
    }
}

#[sqlx::test]
async fn what_is_not_used_goes_back_as_shown_and_once(db: PgPool) {
    let bought = Bought::open(db).await;
    let Bought { app, stripe, browser, order, refund } = &bought;
    let page = browser.get(order).await;
    assert!(page.html.contains(refund) && page.text().contains("Return unused Tokens Possible until"), "{}", page.text());
    // A quarter was used, and a call is running.
    let used = "UPDATE grants SET left_ = 700000, held = 50000, spent = 250000";
    app.execute(used).await;
    let page = browser.get(refund).await;
    for shown in ["Paid back to you $3.50 of $5.00", "700,000 of 1,000,000", "Running calls hold 50,000 more"] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
    let form = page.form(REFUND);
    let answers = join_all((0..5).map(|_| browser.submit(&form, refund))).await;
    assert!(answers.iter().all(|answer| answer.location == *order), "{:?}", answers.iter().map(|a| &a.location).collect::<Vec<_>>());
    assert_eq!((bought.asked(), app.number("SELECT count(*) FROM refunds").await, stripe.all("re").len()), (1, 1, 1));
    assert_eq!(stripe.all("re")[0]["amount"], json!(350));
    assert_eq!(app.number("SELECT refunded FROM grants").await, 700_000);
    let asked_by = "SELECT count(*) FROM refunds r JOIN orders o USING (order_id) WHERE r.user_id = o.user_id AND r.action_id IS NULL";
    assert_eq!(app.number(asked_by).await, 1);
    let page = browser.get(order).await.text();
    for shown in ["Partly refunded", "$3.50", "700,000", "No Tokens of this order are left that you could return"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    // What Stripe tells of it is known already.
    stripe.deliver(Plan::Twice).await;
    assert_eq!(app.number("SELECT count(*) FROM refunds").await, 1);
    bought.app.stop().await;
}

#[sqlx::test]
async fn what_changed_meanwhile_or_comes_too_late_or_from_another_is_refused(db: PgPool) {
    let bought = Bought::open(db).await;
    let Bought { app, browser, order, refund, .. } = &bought;
    let form = browser.get(refund).await.form(REFUND);
    let bob = app.signed_up("bob@example.com").await;
    assert!(bob.get(refund).await.text().contains("belongs to another account"));
    let refused = bob.submit(&form, refund).await;
    assert!(bob.follow(&refused).await.text().contains("belongs to another account"));
    let visitor = app.browser().get(refund).await;
    assert!(visitor.status == 302 && visitor.location.starts_with("/sign-in"), "{}", visitor.location);

    app.execute("UPDATE grants SET left_ = left_ - 1, spent = 1").await;
    let refused = browser.submit(&form, refund).await;
    let page = browser.follow(&refused).await;
    assert!(page.text().contains("has changed since you opened this page") && page.text().contains("$4.99"), "{}", page.text());
    app.execute("UPDATE orders SET fulfilled_at = fulfilled_at - interval '14 days'").await;
    let late = browser.submit(&page.form(REFUND), refund).await;
    assert!(browser.follow(&late).await.text().contains("is over. Nothing was changed"));
    assert!(browser.get(order).await.text().contains("You could return unused Tokens of this order until"));
    assert_eq!((bought.asked(), app.number("SELECT count(*) FROM refunds").await), (0, 0));
    bought.app.stop().await;
}

#[sqlx::test]
async fn a_refund_that_stripe_refuses_gives_the_tokens_back(db: PgPool) {
    let bought = Bought::open(db).await;
    let Bought { app, stripe, browser, order, refund } = &bought;
    let form = browser.get(refund).await.form(REFUND);
    stripe.fail_next(&[400]);
    browser.submit(&form, refund).await;
    let page = browser.get(order).await.text();
    assert!(page.contains("Failed, Tokens returned") && page.contains("Return unused Tokens"), "{page}");
    assert_eq!(app.number("SELECT left_ FROM grants").await, 1_000_000);
    // Another page is another refund.
    let form = browser.get(refund).await.form(REFUND);
    browser.submit(&form, refund).await;
    assert!(browser.get(order).await.text().contains("Refunded The price went back in full"));
    bought.app.assert_exact().await;
    bought.app.stop().await;
}
