//! The account log as its page shows it and its file has it: every deed with who, when and from where, and no secret.

use crate::accounts::sign_in;
use crate::accounts_two_factor::turn_on;
use crate::checkout::{confirm, package};
use crate::support::app::{PASSWORD, TestApp};
use crate::support::browser::Browser;
use crate::support::client::http;
use crate::support::toki::Toki;
use sqlx::PgPool;

const PAGE: &str = "/settings/log";

/// Times, kinds, … of the whole log, the oldest first.
async fn kinds(app: &TestApp) -> Vec<String> {
    sqlx::query_scalar("SELECT kind FROM journal ORDER BY entry_id").fetch_all(&app.state.db).await.expect("entries")
}

async fn create_key(browser: &Browser, name: &str) -> String {
    let form_key = browser.get("/keys").await.hidden("form_key");
    let fields = [("form_key", form_key.as_str()), ("name", name), ("supplier", "all"), ("status", "enabled")];
    let answer = browser.post("/api/keys/create", "/keys", &fields).await;
    browser.path_of(&answer).trim_start_matches("/keys/").to_string()
}

#[sqlx::test]
async fn what_a_user_does_is_written_down(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.signed_up("ada@example.com").await;
    let other = app.browser();
    sign_in(&other, "ada@example.com", PASSWORD).await;
    browser.post("/api/accounts/end_other_sessions", "/settings", &[]).await;
    let key_id = create_key(&browser, "bot").await;
    let key = [("key_id", key_id.as_str()), ("name", "robot"), ("supplier", "all"), ("quota", "500")];
    browser.post("/api/keys/update", "/keys", &key).await;
    for status in ["disabled", "enabled"] {
        browser.post("/api/keys/set-status", "/keys", &[("key_id", key_id.as_str()), ("status", status)]).await;
    }
    browser.post("/api/keys/limit", "/keys", &[("key_id", key_id.as_str()), ("limits[requests_per_minute]", "5")]).await;
    browser.post("/api/keys/delete", "/keys", &[("key_id", key_id.as_str())]).await;
    let email = [("email", "lovelace@example.com"), ("email_password", PASSWORD)];
    browser.post("/api/accounts/change_email", "/settings", &email).await;
    let password = [("current", PASSWORD), ("password", "a brand new password")];
    browser.post("/api/accounts/change_password", "/settings", &password).await;
    browser.post("/api/notices/save", "/settings", &[("expiring", "true")]).await;
    sign_in(&other, "ada@example.com", PASSWORD).await;
    app.until("SELECT count(*) FROM journal WHERE kind = 'access.password_refused'", |count| count == 1).await;
    let page = browser.get(PAGE).await;
    assert!(browser.get("/settings").await.html.contains("href=\"/settings/log\""));
    browser.post("/api/accounts/sign_out", "/settings", &[]).await;
    assert_eq!(
        kinds(&app).await,
        [
            "account.created",
            "access.signed_in",
            "access.other_sessions_ended",
            "key.created",
            "key.edited",
            "key.disabled",
            "key.enabled",
            "key.limited",
            "key.deleted",
            "access.email_asked",
            "access.password_changed",
            "access.notices_changed",
            "access.password_refused",
            "access.signed_out",
        ]
    );
    for words in ["Key edited : robot (name, quota)", "Ended all other sessions", "ada@example.com", "127.0.0.1"] {
        assert!(page.words().contains(words), "{words}: {}", page.words());
    }
    assert!(!page.words().contains("lovelace@example.com"), "an address that is yet to be confirmed is its user's alone");
    assert_eq!(app.browser().get(PAGE).await.location, "/sign-in?next=%2Fsettings%2Flog");
    app.stop().await;
}

#[sqlx::test]
async fn second_factors_are_written_down_the_refused_too(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let (_, codes) = turn_on(&browser).await;
    let thief = app.browser();
    sign_in(&thief, "ada@example.com", PASSWORD).await;
    for code in ["000000", codes[0].as_str()] {
        thief.post("/api/accounts/sign_in_code", "/sign-in/code", &[("code", code)]).await;
    }
    let expected = ["access.signed_in", "access.two_factor_on", "access.code_refused", "access.recovery_code_used", "access.signed_in"];
    assert_eq!(kinds(&app).await, expected);
    let everything = app.text("SELECT string_agg(journal::text, ' ') FROM journal").await;
    assert!(!everything.contains(&codes[0]) && !everything.contains("000000"), "{everything}");
    app.stop().await;
}

#[sqlx::test]
async fn money_tokens_and_operators_are_written_down(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let package_id = package(&app, "Starter", None).await;
    let placed = confirm(&browser, package_id).await;
    let payment = browser.path_of(&placed).to_string();
    let form = browser.get(&payment).await.form("/api/sandbox/pay");
    browser.submit(&form, &payment).await;
    app.until("SELECT count(*) FROM journal WHERE kind = 'order.fulfilled'", |count| count == 1).await;
    let toki = Toki::new(&app.state.db);
    let of = ["--email", "ada@example.com"];
    toki.json(&[&["account", "credit"], &of[..], &["--tokens", "1234"]].concat());
    toki.json(&[&["account", "suspend"], &of[..]].concat());
    toki.json(&[&["account", "resume"], &of[..]].concat());
    let expected = ["access.signed_in", "order.placed", "order.fulfilled", "tokens.credited", "account.suspended", "account.resumed"];
    assert_eq!(kinds(&app).await, expected);
    assert_eq!(
        app.text("SELECT string_agg(actor, ' ' ORDER BY entry_id) FROM journal").await,
        "user user system operator operator operator"
    );
    sign_in(&browser, "ada@example.com", PASSWORD).await;
    let page = browser.get(PAGE).await;
    let sources = page.html.split("data-label=\"From\">").skip(1).filter_map(|rest| rest.split("</td>").next());
    let sources: Vec<String> = sources.map(|source| source.replace("<!>", "")).collect();
    // Without even a space (`td:empty`), so that a card has no label where no browser did it.
    let is_space = |source: &String| !source.is_empty() && source.trim().is_empty();
    assert!(sources.iter().any(String::is_empty) && !sources.iter().any(is_space), "{sources:?}");
    let page = browser.get("/settings/log?group=tokens").await;
    assert!(page.words().contains("Tokens credited (1,234) Operator") && !page.words().contains("Order placed"), "{}", page.words());
    app.stop().await;
}

#[sqlx::test]
async fn the_log_is_narrowed_paged_and_taken_home(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let eve = app.browser_of(&app.customer("eve@example.com", 0).await).await;
    create_key(&eve, "of eve").await;
    create_key(&browser, "=1+1").await;
    app.execute(
        "INSERT INTO journal (entry_id, account_id, kind, actor, detail)
         SELECT gen_random_uuid(), account_id, 'account.limited', 'system', 'number ' || n
           FROM generate_series(1, 1200) n, accounts WHERE name = 'ada@example.com'",
    )
    .await;
    let page = browser.get("/settings/log?search=of+eve").await;
    assert!(page.text().contains("Nothing was written down that fits."), "{}", page.text());
    let page = browser.get("/settings/log?group=account").await;
    assert_eq!(page.words().matches("Limits of the account changed").count(), 50);
    let older = page.html.split("href=\"").find(|link| link.contains("before=")).and_then(|link| link.split('"').next()).expect("older");
    let older = browser.get(&older.replace("&amp;", "&")).await;
    assert_eq!(older.words().matches("Limits of the account changed").count(), 50);
    let page = browser.get("/settings/log?since=yesterday").await;
    assert!(page.text().contains("Enter days like 2026-12-24."), "{}", page.text());

    let file = browser.get("/api/journal/export").await;
    let lines: Vec<&str> = file.html.lines().collect();
    assert_eq!((file.status, lines.len()), (200, 1 + 1202));
    assert!(file.html.contains(",'=1+1,") && !file.html.contains("of eve"));
    let client = http().get(app.url("/api/journal/export?group=key")).header("cookie", browser.cookie());
    let answer = client.send().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"account-log.csv\"");
    assert_eq!(answer.text().await.expect("a file").lines().count(), 2);
    assert!(app.browser().get("/api/journal/export").await.location.starts_with("/sign-in"), "not for visitors");

    // Days are those that the reader's times are in.
    app.execute(
        "INSERT INTO journal (entry_id, account_id, kind, actor, detail, at)
         SELECT gen_random_uuid(), account_id, 'account.limited', 'system', 'long ago', '2026-02-04 23:30+00'
           FROM accounts WHERE name = 'ada@example.com'",
    )
    .await;
    let there = app.browser_with_cookie(&format!("{}; time_zone=Asia/Shanghai", browser.cookie()));
    for (browser, zone, found) in [(&browser, "UTC", false), (&there, "Asia/Shanghai", true)] {
        let page = browser.get("/settings/log?since=2026-02-05&until=2026-02-05").await.text();
        assert!(page.contains(&format!("From ({zone})")) && page.contains("long ago") == found, "{zone}: {page}");
        assert!(found || page.contains("Show all"), "{page}");
    }
    app.stop().await;
}
