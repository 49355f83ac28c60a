//! The wallet page as a browser without JavaScript meets it: what its address asks for, and what is found by it.

use crate::checkout::{confirm, package};
use crate::support::app::TestApp;
use crate::support::client::chat;
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

#[sqlx::test]
async fn the_ledger_is_shown_by_days_and_kind_and_downloaded_as_it_is_shown(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.customer("ada@example.com", 100_000).await;
    let key = app.key(&ada, None).await;
    for _ in 0..2 {
        assert_eq!(app.chat(&key.secret, &chat("sandbox/echo", "hello")).await.status, 200);
    }
    app.until_settled().await;
    let browser = app.browser_of(&ada).await;
    let left = app.number("SELECT sum(left_ + held)::bigint FROM grants").await;
    let day = |days| (Utc::now() + TimeDelta::days(days)).format("%Y-%m-%d").to_string();
    // A test may begin before midnight and end after it.
    let (yesterday, tomorrow) = (day(-1), day(1));

    let days = format!("from={yesterday}&to={tomorrow}");
    let page = browser.get(&format!("/wallet?{days}")).await;
    let text = page.text();
    assert_eq!(page.status, 200);
    assert!(text.contains("Call to sandbox/echo") && text.contains("Credited"), "{text}");
    assert!(page.html.contains(&format!("value=\"{yesterday}\"")) && page.html.contains(&format!("value=\"{tomorrow}\"")), "kept");
    let days_in_html = days.replace('&', "&amp;");
    for link in [format!("/wallet?entries=calls&amp;{days_in_html}#statement"), format!("/api/wallet/export?{days_in_html}")] {
        assert!(page.html.contains(&link), "{link}: {}", page.html);
    }
    let others = browser.get(&format!("/wallet?entries=others&{days}")).await.text();
    assert!(others.contains("Credited") && !others.contains("Call to sandbox/echo"), "{others}");
    let before = browser.get(&format!("/wallet?to={}", day(-2))).await.text();
    assert!(before.contains("No entry here.") && !before.contains("Credited"), "{before}");

    let file = browser.get(&format!("/api/wallet/export?{days}")).await.html;
    let mut lines = csv::Reader::from_reader(file.as_bytes());
    let after = lines.headers().expect("a head").iter().position(|column| column == "balance_after").expect("a column");
    let after: Vec<i64> = lines.records().map(|line| line.expect("a line")[after].parse().expect("Tokens")).collect();
    assert_eq!((after.len(), after[0], after[2]), (3, left, 100_000));
    let none = browser.get(&format!("/api/wallet/export?to={}", day(-2))).await.html;
    assert_eq!(none.lines().count(), 1, "its head");

    for (query, says) in [
        ("from=yesterday&to=2026-03-01", "Enter days like 2026-12-24."),
        ("from=2026-03-02&to=2026-03-01", "The last day comes before the first."),
    ] {
        let page = browser.get(&format!("/wallet?{query}")).await;
        let text = page.text();
        assert_eq!(page.status, 422, "{query}");
        assert!(text.contains(says) && text.contains("Pays next") && !text.contains("Credited"), "{query}: {text}");
        assert!(page.html.contains("value=\"2026-03-01\""), "{query}: what was typed stays");
        assert_eq!(page.html.matches("aria-invalid=\"true\"").count(), 2, "{query}: both days");
        assert!(page.html.contains("id=\"entries-from-error\""), "{query}: {}", page.html);
    }
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn an_order_leads_to_its_line_of_the_ledger(db: PgPool) {
    let app = TestApp::start(db).await;
    let package_id = package(&app, "Starter", None).await;
    let browser = app.signed_up("ada@example.com").await;
    let placed = confirm(&browser, package_id).await;
    browser.submit(&browser.get(&placed.location).await.form("/api/sandbox/pay"), &placed.location).await;
    app.until("SELECT count(*) FROM ledger", |entries| entries == 1).await;
    let order_id = app.text("SELECT order_id::text FROM orders").await;
    let entry_id = app.number("SELECT entry_id FROM ledger").await;
    // What came since is not on its page.
    app.execute(
        "INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens)
         SELECT account_id, grant_id, 'grant', 'expired', 7 FROM grants",
    )
    .await;
    app.execute("UPDATE grants SET left_ = left_ - 7, expired = expired + 7").await;
    let newer = format!("id=\"entry-{}\"", app.number("SELECT max(entry_id) FROM ledger").await);

    let path = format!("/wallet?order={order_id}");
    let page = browser.get(&path).await;
    for mark in [format!("id=\"{order_id}\""), format!("id=\"entry-{entry_id}\"")] {
        assert!(page.html.contains(&mark), "{mark}: {}", page.html);
    }
    let text = page.text();
    assert!(text.contains("+1,000,000 1,000,000 Order: Starter") && text.contains("Newest"), "{text}");
    assert!(!page.html.contains(&newer) && browser.get("/wallet").await.html.contains(&newer), "{}", page.html);

    let eve = app.customer("eve@example.com", 0).await;
    let eve = app.browser_of(&eve).await.get(&path).await;
    assert_eq!(eve.status, 404);
    assert!(eve.text().contains("This does not exist, or it belongs to another account.") && !eve.html.contains("Starter"));
    app.stop().await;
}

#[sqlx::test]
async fn a_new_wallet_says_what_to_do_and_a_full_one_until_when(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.customer("ada@example.com", 0).await;
    let browser = app.browser_of(&ada).await;
    let page = browser.get("/wallet").await;
    assert!(page.text().contains("Nothing in the ledger yet") && page.html.contains("href=\"#code\""), "{}", page.text());

    app.credit(&ada, 20_000, TimeDelta::days(12) + TimeDelta::hours(5), Default::default()).await;
    let page = browser.get("/wallet").await;
    assert!(page.text().contains("in 12 days") && !page.text().contains("Nothing in the ledger yet"), "{}", page.text());
    for part in ["wallet-standing", "wallet-grants", "wallet-ended", "wallet-statement"] {
        let inside = page.html.split(&format!("data-live=\"{part}\"")).nth(1).unwrap_or_else(|| panic!("no {part}: {}", page.html));
        // Up to the next part, or to what stands between two.
        let inside = inside.split("data-live=").next().unwrap_or_default();
        assert!(part == "wallet-standing" || !inside.contains("name=\"code\""), "{part}");
    }

    for _ in 0..21 {
        app.credit(&ada, 1, TimeDelta::milliseconds(1), Default::default()).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let text = browser.get("/wallet").await.text();
    assert!(text.contains("The last 20 of 21 are shown."), "{text}");
    app.stop().await;
}
