//! The landing page and the dashboard, and who is sent from one to the other.

use crate::checkout::package;
use crate::support::app::TestApp;
use crate::support::client::chat;
use sqlx::PgPool;
use toki::catalog::store::{PackageEdit, update_package};
use toki::operators::rights::Operator;
use toki::tokens::Tokens;

#[sqlx::test]
async fn the_landing_page_shows_what_is_on_sale_and_how_to_call(db: PgPool) {
    let app = TestApp::start_with(db, |config| config.public_url = "https://toki.example".parse().expect("URL")).await;
    assert!(app.browser().get("/").await.text().contains("No package is on sale at the moment."));

    package(&app, "Starter", None).await;
    let withdrawn = package(&app, "Withdrawn", None).await;
    let off = PackageEdit { on_sale: Some(false), ..PackageEdit::default() };
    update_package(&app.state.db, Operator::command_line(), withdrawn, off).await.expect("edit");
    let page = app.browser().get("/").await;
    let text = page.text();
    assert_eq!(page.status, 200);
    for shown in [
        "Starter",
        "1,000,000",
        "valid for 30 days",
        "$5.00",
        "export OPENAI_BASE_URL=https://toki.example/v1 ",
        "curl https://toki.example/v1/chat/completions",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert!(!text.contains("Withdrawn") && !text.contains("No package is on sale"), "{text}");
    let model = text.split("model\": \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a model in the snippet");
    let known = sqlx::query_scalar::<_, bool>("SELECT EXISTS (SELECT 1 FROM models WHERE model_id = $1)").bind(model);
    assert!(known.fetch_one(&app.state.db).await.expect("models"), "{model}");
    app.stop().await;
}

#[sqlx::test]
async fn members_are_sent_from_the_landing_page_to_their_dashboard(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.signed_up("ada@example.com").await;
    let page = browser.get("/").await;
    assert_eq!((page.status, page.location.as_str()), (302, "/dashboard"));
    app.stop().await;
}

#[sqlx::test]
async fn a_page_that_is_not_there_has_the_frame_of_whoever_asks(db: PgPool) {
    let app = TestApp::start(db).await;
    let visitor = app.browser().get("/nowhere").await;
    assert_eq!(visitor.status, 404);
    assert!(visitor.html.contains("Page not found") && visitor.html.contains("href=\"/sign-up\""), "{}", visitor.html);
    assert!(!visitor.html.contains("Sign out"), "{}", visitor.html);
    let page = app.signed_up("ada@example.com").await.get("/nowhere").await;
    assert_eq!(page.status, 404);
    for part in ["Page not found", "Skip to content", "href=\"/keys\"", "Balance in Tokens", "Sign out", "class=\"preferences\""] {
        assert!(page.html.contains(part), "{part}: {}", page.html);
    }
    app.stop().await;
}

#[sqlx::test]
async fn visitors_are_sent_to_sign_in_and_back_to_the_page_they_asked_for(db: PgPool) {
    let app = TestApp::start(db).await;
    for (path, next) in [
        ("/dashboard", "%2Fdashboard"),
        ("/wallet", "%2Fwallet"),
        ("/orders", "%2Forders"),
        ("/keys", "%2Fkeys"),
        ("/keys/019b0000-0000-7000-8000-000000000000", "%2Fkeys%2F019b0000-0000-7000-8000-000000000000"),
        ("/usage?from=2026-01-01", "%2Fusage%3Ffrom%3D2026-01-01"),
    ] {
        let page = app.browser().get(path).await;
        assert_eq!((page.status, page.location), (302, format!("/sign-in?next={next}")), "{path}");
    }
    app.stop().await;
}

#[sqlx::test]
async fn the_dashboard_of_a_new_account_offers_the_first_open_step(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.customer("ada@example.com", 0).await;
    let browser = app.browser_of(&ada).await;
    let text = browser.get("/dashboard").await.text();
    for shown in [
        "Three steps to your first answer",
        "Buy a package of Tokens Product Center",
        "Create an API key Make the first call",
        "No calls yet",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert!(!text.contains("(done)") && !text.contains("Your wallet is empty"), "{text}");

    app.credit(&ada, 100, chrono::TimeDelta::days(30), Default::default()).await;
    let text = browser.get("/dashboard").await.text();
    assert!(text.contains("Buy a package of Tokens (done) Create an API key Create a key Make the first call"), "{text}");
    app.key(&ada, None).await;
    let text = browser.get("/dashboard").await.text();
    assert!(text.contains("Create an API key (done) Make the first call Try it"), "{text}");
    app.stop().await;
}

#[sqlx::test]
async fn the_dashboard_shows_balance_and_use_after_a_call(db: PgPool) {
    let app = TestApp::start(db).await;
    let (ada, eve) = (app.customer("ada@example.com", 100_000).await, app.customer("eve@example.com", 100_000).await);
    let (ada_key, eve_key) = (app.key(&ada, None).await, app.key(&eve, None).await);
    assert_eq!(app.chat(&ada_key.secret, &chat("sandbox/echo", "one two three")).await.status, 200);
    for _ in 0..2 {
        assert_eq!(app.chat(&eve_key.secret, &chat("sandbox/echo", "not on the dashboard of somebody else")).await.status, 200);
    }
    app.until_settled().await;

    let charge = "SELECT charge FROM usage_records u JOIN accounts a USING (account_id) WHERE a.name = 'ada@example.com'";
    let charge = app.number(charge).await;
    assert!(charge > 0);
    let text = app.browser_of(&ada).await.get("/dashboard").await.text();
    let tokens = |n: i64| if Tokens(n).is_short() { n.to_string() } else { format!("{} {}", Tokens(n).short(), Tokens(n).exact()) };
    for shown in [
        format!("Balance in Tokens {}", tokens(100_000 - charge)),
        "Calls today 1 none failed".to_string(),
        format!("Tokens charged today {} 0 yesterday", tokens(charge)),
        "sandbox/echo Completed".to_string(),
    ] {
        assert!(text.contains(&shown), "{shown}: {text}");
    }
    assert!(!text.contains("Three steps to your first answer"), "{text}");
    let html = app.browser_of(&ada).await.get("/dashboard").await.html;
    let request_id =
        app.text("SELECT request_id::text FROM usage_records JOIN accounts USING (account_id) WHERE name = 'ada@example.com'").await;
    assert!(html.contains(&format!("href=\"/usage?call={request_id}\"")), "a call leads to why it was charged: {html}");
    for part in ["steps", "balance", "burn-down", "figures", "days", "calls"] {
        assert!(html.contains(&format!("data-live=\"{part}\"")), "{part} follows what happens: {html}");
    }
    let day = app.text("SELECT to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') FROM usage_records LIMIT 1").await;
    let link = format!("/usage?from={day}&amp;to={day}");
    assert!(html.contains(&link), "each bar leads to its day: {link}");
    let page = app.browser_of(&ada).await.get(&link.replace("&amp;", "&")).await.text();
    assert!(page.contains(&Tokens(charge).exact()), "{page}");

    // Nearly spent and nearly over, it says both, the more urgent first.
    let rest = format!(
        "UPDATE grants SET left_ = 10, expired = expired + left_ - 10, starts_at = now() - interval '29 days',
                expires_at = now() + interval '1 day' WHERE account_id = '{}'",
        ada.account_id
    );
    sqlx::query(sqlx::AssertSqlSafe(rest)).execute(&app.state.db).await.expect("nearly emptied");
    let html = app.browser_of(&ada).await.get("/dashboard").await.html;
    let said =
        ["Tokens are running low.", "Tokens expire soon."].map(|title| html.find(title).unwrap_or_else(|| panic!("{title}: {html}")));
    assert!(said[0] < said[1]);

    // Spent to the last Token, it says so.
    let rest = format!("UPDATE grants SET left_ = 0, expired = expired + left_ WHERE account_id = '{}'", ada.account_id);
    sqlx::query(sqlx::AssertSqlSafe(rest)).execute(&app.state.db).await.expect("emptied");
    let page = app.browser_of(&ada).await.get("/dashboard").await;
    assert!(page.html.contains("Your wallet is empty."), "{}", page.text());
    app.stop().await;
}

#[sqlx::test]
async fn the_dashboard_draws_the_balance_once_there_is_a_pace(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.customer("ada@example.com", 100_000).await;
    app.key(&ada, None).await;
    let browser = app.browser_of(&ada).await;
    let page = browser.get("/dashboard").await;
    assert!(!page.html.contains("burn-down-table"), "too little to go by: {}", page.text());

    app.execute(
        "INSERT INTO usage_totals
         SELECT account_id, 'day', date_trunc('day', now(), 'UTC') - make_interval(days => n), key_id, model_id, m.supplier_id,
                1, 0, 1, 0, 1, 10000
           FROM api_keys, models m, generate_series(1, 7) AS n WHERE model_id = 'sandbox/echo'",
    )
    .await;
    let page = browser.get("/dashboard").await;
    let text = page.text();
    assert!(page.html.contains("burn-down-table"), "{text}");
    for shown in ["Lasts until about", "Balance by day", "Forecast", "At least", "At most"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    // Ten days at this pace, the first of which has begun: the last of them leaves nothing.
    let chart = page.html.split("id=\"burn-down-table\"").nth(1).and_then(|rest| rest.split("</table>").next()).expect("a table");
    let rows = chart.matches("<tr").count() - 1;
    assert!((14 + 10..=14 + 11).contains(&rows), "{rows}: {chart}");
    assert!(chart.contains("100,000"), "today it is what it is: {chart}");
    app.stop().await;
}
