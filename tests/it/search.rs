//! What the search page, and with it the palette, finds.

use crate::checkout::{confirm, package};
use crate::support::app::TestApp;
use sqlx::PgPool;

#[sqlx::test]
async fn orders_keys_and_pages_are_found_by_what_is_seen_of_them(db: PgPool) {
    let app = TestApp::start(db).await;
    let (ada, eve) = (app.customer("ada@example.com", 0).await, app.customer("eve@example.com", 0).await);
    let (browser, other) = (app.browser_of(&ada).await, app.browser_of(&eve).await);
    let secret = app.key(&ada, None).await.secret;
    let end = &secret[secret.len() - 4..];
    let package_id = package(&app, "Starter", None).await;
    let placed = confirm(&browser, package_id).await;
    browser.submit(&browser.get(&placed.location).await.form("/api/sandbox/pay"), &placed.location).await;
    app.until("SELECT count(*) FROM orders WHERE status = 'fulfilled'", |count| count == 1).await;
    let order_id = app.text("SELECT order_id::text FROM orders").await;
    let day = toki::utc::UtcTime::from(chrono::Utc::now()).written(chrono_tz::Tz::UTC, toki::i18n::Language::English).day().to_string();

    // Name, what tells it from others of its name, and what it is.
    let (key, order) = (format!("test {}…{end} API key", &secret[..12]), format!("Starter {day}, $5.00, Paid Order"));
    for (typed, found, not) in [
        ("start", &order, &key),
        (&order_id[..13], &order, &key),
        (order_id.to_uppercase().as_str(), &order, &key),
        (end, &key, &order),
        (end.to_lowercase().as_str(), &key, &order),
    ] {
        let page = browser.get(&format!("/search?q={typed}")).await.text();
        assert!(page.contains(found) && !page.contains(not), "{typed}: {page}");
        let page = other.get(&format!("/search?q={typed}")).await.text();
        assert!(!page.contains(found), "{typed}: {page}");
    }
    for (typed, href, kind) in [
        ("two-fac", "/settings/two-factor", "Settings"),
        ("MEMBERS", "/settings/members", "Settings"),
        ("account+log", "/settings/log", "Settings"),
        ("time+zone", "/settings#preferences", "Settings"),
        ("quickst", "/docs/quickstart", "Docs"),
        ("wallet", "/wallet", "Page"),
        ("sandbox/ech", "/models#sandbox/echo", "Model"),
    ] {
        let page = browser.get(&format!("/search?q={typed}")).await;
        let found = page.html.split("id=\"found\"").nth(1).and_then(|rest| rest.split("</ul>").next()).expect("a list");
        let hit = found.split("<li").find(|hit| hit.contains(&format!("href=\"{href}\""))).unwrap_or_else(|| panic!("{typed}: {found}"));
        assert!(hit.contains(&format!(">{kind}<")), "{typed}: {hit}");
    }
    let there = app.browser_with_cookie(&format!("{}; language=zh-Hans", browser.cookie()));
    let page = there.get("/search?q=start").await.text();
    assert!(page.contains("US$5.00，已支付 订单"), "{page}");
    app.stop().await;
}
