//! Sign-out against whatever is in flight: a session that has ended stays ended. And sign-in as an outsider sees it.

use crate::support::app::{PASSWORD, TestApp, another_pool};
use crate::support::client::http;
use futures::future::join_all;
use reqwest::header::{ACCEPT, CONTENT_TYPE, COOKIE, REFERER};
use sqlx::PgPool;
use std::time::{Duration, Instant};
use toki::accounts::store::NewAccount;

const ROUNDS: u64 = 500;

/// Posts a form as a page of ours does; the status and where the answer leads.
async fn post(app: &TestApp, path: &str, cookie: &str, body: String) -> (u16, String) {
    let request = http().post(app.url(path)).header(ACCEPT, "text/html").header(REFERER, app.url("/wallet")).header(COOKIE, cookie);
    let request = request.header("sec-fetch-site", "same-origin").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let response = request.body(body).send().await.expect("an answer");
    let location = response.headers().get("location").and_then(|value| value.to_str().ok()).unwrap_or_default().to_string();
    (response.status().as_u16(), location)
}

/// Until as many statements wait for the row of a session that the test holds.
async fn waiting(db: &PgPool, statements: i64) {
    let count =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%sessions%'";
    for _ in 0..20_000 {
        if sqlx::query_scalar::<_, i64>(count).fetch_one(db).await.expect("the activity") >= statements {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("nothing waits for the session");
}

/// One session that ends while four requests that write to it are under way. The test holds its row until they have met: in every second
/// round the end of the session is the first to wait, and what writes to it still finds it there; in the others they come as they come.
/// Whether it was a race: a write was let in, and was under way still when the session had ended; and whether the session opens anything
/// afterwards.
async fn race(app: &TestApp, db: &PgPool, account: &NewAccount, round: u64) -> (bool, bool) {
    let cookie = app.session_of(account.user_id, account).await;
    let switch = format!("account_id={}", account.account_id);
    let writes = [
        ("/api/accounts/switch", switch.clone()),
        // Fails, and what was typed is kept in the session.
        ("/api/keys/create", "form_key=x&name=typed".to_string()),
        ("/api/checkout/type_code", format!("package_id={}&code=", uuid::Uuid::nil())),
        ("/api/accounts/switch", switch),
    ];
    let mut held = db.begin().await.expect("a transaction");
    let hold = sqlx::query("SELECT 1 FROM sessions WHERE user_id = $1 FOR UPDATE").bind(account.user_id.0);
    assert_eq!(hold.fetch_all(&mut *held).await.expect("the row").len(), 1, "an earlier session came back");
    let begun = Instant::now();
    let ends_first = round.is_multiple_of(2);
    let writes = async {
        if ends_first {
            waiting(db, 1).await;
        }
        let writes = join_all(writes.into_iter().map(|(path, body)| post(app, path, &cookie, body))).await;
        (writes, begun.elapsed())
    };
    let sign_out = async {
        let (status, location) = post(app, "/api/accounts/sign_out", &cookie, String::new()).await;
        assert_eq!((status, location.as_str()), (302, "/"));
        begun.elapsed()
    };
    let release = async {
        waiting(db, 2).await;
        held.rollback().await.expect("the row let go");
    };
    let ((writes, written), signed_out, ()) = tokio::join!(writes, sign_out, release);
    let let_in = writes.iter().any(|(_, location)| !location.contains("/sign-in"));
    let after = http().get(app.url("/wallet")).header(ACCEPT, "text/html").header(COOKIE, &cookie).send().await.expect("an answer");
    (let_in && (ends_first || signed_out < written), after.status() == 200)
}

#[sqlx::test]
async fn no_request_in_flight_brings_a_session_back(db: PgPool) {
    let app = TestApp::start(another_pool(&db).await).await;
    let account = app.customer("ada@example.com", 0).await;
    let mut races = 0;
    for round in 0..ROUNDS {
        let (was_race, opens) = race(&app, &db, &account, round).await;
        assert!(!opens, "round {round}: the session came back");
        races += u64::from(was_race);
    }
    assert_eq!(app.number("SELECT count(*) FROM sessions WHERE user_id IS NOT NULL OR data ? 'user_id'").await, 0);
    println!("{races} of {ROUNDS} rounds were races");
    assert!(races >= ROUNDS / 2, "only {races} of {ROUNDS} rounds were races");
    app.stop().await;
}

/// A password is changed over a while: two hashes, and a turn for each. The test holds the session until its sign-out waits for it, and
/// then the change does.
#[sqlx::test]
async fn a_sign_out_wins_against_a_password_that_is_being_changed(db: PgPool) {
    let app = TestApp::start(another_pool(&db).await).await;
    let account = app.customer("ada@example.com", 0).await;
    let before = app.text("SELECT password_hash FROM users").await;
    let fields = [("current", PASSWORD), ("password", "another good password")];
    let change = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    for round in 0..3 {
        let cookie = app.session_of(account.user_id, &account).await;
        let mut held = db.begin().await.expect("a transaction");
        sqlx::query("SELECT 1 FROM sessions WHERE user_id = $1 FOR UPDATE")
            .bind(account.user_id.0)
            .execute(&mut *held)
            .await
            .expect("held");
        let changed = async {
            waiting(&db, 1).await;
            post(&app, "/api/accounts/change_password", &cookie, change.clone()).await
        };
        let release = async {
            waiting(&db, 2).await;
            held.rollback().await.expect("the row let go");
        };
        let (signed_out, changed, ()) = tokio::join!(post(&app, "/api/accounts/sign_out", &cookie, String::new()), changed, release);
        assert_eq!(signed_out, (302, "/".into()));
        assert_eq!(changed, (302, "/sign-in?next=%2Fwallet".into()), "round {round}: as of whoever is not signed in");
        assert_eq!(app.number("SELECT count(*) FROM sessions").await, 0, "round {round}: nobody is signed in");
        assert_eq!(app.text("SELECT password_hash FROM users").await, before, "round {round}");
    }
    app.stop().await;
}

#[sqlx::test]
async fn a_session_ends_two_weeks_after_its_sign_in_however_much_it_is_used(db: PgPool) {
    let app = TestApp::start(db).await;
    let account = app.customer("ada@example.com", 0).await;
    let cookie = app.session_of(account.user_id, &account).await;
    app.execute("UPDATE sessions SET created_at = now() - interval '13 days', expires_at = now() + interval '1 day'").await;
    let written = post(&app, "/api/accounts/switch", &cookie, format!("account_id={}", account.account_id)).await;
    assert_eq!(written, (302, "/dashboard".into()));
    assert_eq!(app.number("SELECT count(*) FROM sessions WHERE expires_at <= created_at + interval '14 days'").await, 1);
    app.stop().await;
}

/// Everything of an answer that an outsider could tell two addresses apart by.
async fn told(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> String {
    let mut told = String::new();
    for accept in ["text/html", "application/json"] {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = http().post(app.url(path)).header(ACCEPT, accept).header("sec-fetch-site", "same-origin");
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        let response = request.send().await.expect("an answer");
        let headers = response.headers().iter().filter(|(name, _)| !matches!(name.as_str(), "date" | "content-security-policy"));
        // The id of a visitor's session, which keeps what was typed, is as random for everybody.
        let headers = headers.map(|(name, value)| {
            let value = value.to_str().unwrap_or_default();
            format!("{name}: {}\n", if name == "set-cookie" { value.split_once(';').map_or("", |(_, rest)| rest) } else { value })
        });
        told += &format!("{}\n{}", response.status(), headers.collect::<String>());
        told += &response.text().await.expect("a whole body");
    }
    fields.iter().filter(|(name, _)| *name == "email").fold(told, |told, (_, email)| told.replace(email, "…"))
}

#[sqlx::test]
async fn an_unknown_address_is_answered_as_a_known_one(db: PgPool) {
    let app = TestApp::start(db).await;
    app.customer("known@example.com", 0).await;
    app.customer("other@example.com", 0).await;
    app.execute("UPDATE users SET suspended_at = now() WHERE email = 'other@example.com'").await;
    let addresses = ["known@example.com", "noone@example.com", "other@example.com"];
    for (path, password) in [
        ("/api/accounts/sign_in", Some("not the password")),
        ("/api/accounts/sign_in", Some("short")),
        ("/api/accounts/sign_in", Some("")),
        ("/api/accounts/forgot_password", None),
    ] {
        let mut seen = Vec::new();
        for email in addresses {
            app.forget_attempts().await;
            let fields: Vec<(&str, &str)> = [("email", email)].into_iter().chain(password.map(|password| ("password", password))).collect();
            seen.push(told(&app, path, &fields).await);
        }
        assert_eq!(seen[0], seen[1], "{path} {password:?}");
        assert_eq!(seen[0], seen[2], "{path} {password:?}: suspended");
    }
    // The right password of a suspended user is no better than a wrong one.
    let right = told(&app, "/api/accounts/sign_in", &[("email", "other@example.com"), ("password", PASSWORD)]).await;
    let wrong = told(&app, "/api/accounts/sign_in", &[("email", "noone@example.com"), ("password", PASSWORD)]).await;
    assert_eq!(right, wrong);
    app.stop().await;
}
