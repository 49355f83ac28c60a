//! What `SECURITY.md` promises of the whole: headers and cookies, what a visitor and a stranger see of every page, what the database
//! refuses, how long it may take.

use crate::support::app::{PASSWORD, TestApp};
use leptos_axum::generate_route_list;
use secrecy::SecretString;
use sqlx::{ConnectOptions, PgPool};
use toki::app::App;
use toki::server::run::connect;

/// Pages that anybody may see.
const OPEN: [&str; 12] = [
    "/",
    "/docs",
    "/docs/{page}",
    "/forgot-password",
    "/models",
    "/products",
    "/reset-password",
    "/search",
    "/sign-in",
    "/sign-in/code",
    "/sign-up",
    "/styleguide",
];

#[sqlx::test]
async fn over_https_cookies_and_headers_are_strict(db: PgPool) {
    let app = TestApp::start_with(db, |config| config.public_url = "https://toki.example".parse().expect("a URL")).await;
    app.customer("ada@example.com", 0).await;
    let request = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let request = request.post(app.url("/api/accounts/sign_in")).header("sec-fetch-site", "same-origin");
    let body = format!("email=ada%40example.com&password={}&next=", PASSWORD.replace(' ', "+"));
    let answer = request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.expect("an answer");
    let cookies = answer.headers().get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    let cookies: Vec<String> = cookies.map(str::to_string).collect();
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_string();
    assert!(cookies.iter().any(|cookie| cookie.starts_with("__Host-toki=")), "{cookies:?}");
    for cookie in &cookies {
        assert!(cookie.starts_with("__Host-") && !cookie.contains("Domain="), "{cookie}");
        for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.split("; ").any(|part| part == attribute), "{attribute}: {cookie}");
        }
    }
    assert!(header("strict-transport-security").starts_with("max-age=63072000"));
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("referrer-policy"), "same-origin");
    assert!(header("permissions-policy").contains("camera=()"));
    assert_eq!(header("cache-control"), "no-store");
    app.stop().await;
}

#[sqlx::test]
async fn every_page_is_open_or_asks_who_is_there(db: PgPool) {
    let app = TestApp::start(db).await;
    let (visitor, ada) = (app.browser(), app.browser_of(&app.customer("ada@example.com", 0).await).await);
    for route in generate_route_list(App) {
        let pattern = route.path().to_string();
        // An id that is nobody's, and so not hers either.
        let path = pattern.replace("{id}", "01920000-0000-7000-8000-000000000000").replace("{page}", "quickstart");
        let (seen, hers) = (visitor.get(&path).await, ada.get(&path).await);
        if OPEN.contains(&pattern.as_str()) || pattern == "/verify-email" {
            assert!(seen.status < 400, "{pattern}: {}", seen.status);
        } else {
            assert!(seen.status == 302 && seen.location.starts_with("/sign-in?next="), "{pattern}: {} {}", seen.status, seen.location);
        }
        // 409: a package that is not on sale.
        let expected: &[u16] = if pattern.contains("{id}") { &[404, 409, 302] } else { &[200, 302] };
        assert!(expected.contains(&hers.status), "{pattern}: {}", hers.status);
    }
    app.stop().await;
}

#[sqlx::test]
async fn what_was_written_down_is_never_changed(db: PgPool) {
    for table in ["ledger", "journal", "payment_events", "operator_actions"] {
        let events: Vec<String> = sqlx::query_scalar(
            "SELECT event_manipulation::text FROM information_schema.triggers
              WHERE event_object_table = $1 AND action_timing = 'BEFORE' AND action_statement LIKE '%refuse_change()'
              ORDER BY 1",
        )
        .bind(table)
        .fetch_all(&db)
        .await
        .expect("triggers");
        assert_eq!(events, ["DELETE", "UPDATE"], "{table}");
    }
    sqlx::query("INSERT INTO operator_actions (action_id, action, subject_id) VALUES (gen_random_uuid(), 'a.test', 'x')")
        .execute(&db)
        .await
        .expect("a deed");
    for sql in ["UPDATE operator_actions SET subject_id = 'y'", "DELETE FROM operator_actions", "TRUNCATE operator_actions CASCADE"] {
        sqlx::query(sql).execute(&db).await.expect_err(sql);
    }
}

#[sqlx::test]
async fn no_statement_and_no_lock_takes_for_ever(db: PgPool) {
    let url = db.connect_options().to_url_lossy().to_string();
    let app = TestApp::start_with(db, |config| config.database_url = SecretString::from(url)).await;
    let ours = connect(&app.state.config).await.expect("a pool");
    for (setting, value) in [("statement_timeout", "30s"), ("lock_timeout", "10s"), ("idle_in_transaction_session_timeout", "1min")] {
        let said: String = sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&ours).await.expect(setting);
        assert_eq!(said, value, "{setting}");
    }
    ours.close().await;
    app.stop().await;
}
