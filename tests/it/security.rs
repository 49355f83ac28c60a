//! What `SECURITY.md` promises of the whole: headers and cookies, what the database refuses and to whom, how long it may take, where
//! suppliers lead.

use crate::support::app::{PASSWORD, TestApp, another_pool};
use crate::support::client::{chat, http};
use crate::support::toki::Toki;
use secrecy::SecretString;
use sqlx::{ConnectOptions, PgPool};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use toki::server::run::connect;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[sqlx::test]
async fn over_https_cookies_and_headers_are_strict(db: PgPool) {
    let app = TestApp::start_with(db, |config| config.public_url = "https://toki.example".parse().expect("a URL")).await;
    app.customer("ada@example.com", 0).await;
    let request = http();
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
    assert_eq!(header("strict-transport-security"), "max-age=63072000; includeSubDomains");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("referrer-policy"), "same-origin");
    assert!(header("permissions-policy").contains("camera=()"));
    assert_eq!(header("cache-control"), "no-store");
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
    let deed =
        "INSERT INTO operator_actions (action_id, action, subject_id, system_user_name) VALUES (gen_random_uuid(), 'a.test', 'x', $1)";
    sqlx::query(deed).bind(Some("ada")).execute(&db).await.expect("a deed");
    let nobodys = sqlx::query(deed).bind(None::<&str>).execute(&db).await.expect_err("a deed of nobody");
    assert_eq!(nobodys.as_database_error().and_then(|error| error.constraint()), Some("operator_actions_actor_check"));
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

/// Gives everybody who connects the same answer, and counts them.
struct Counter {
    addr: SocketAddr,
    seen: Arc<AtomicUsize>,
}

impl Counter {
    async fn start(answer: String) -> Counter {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let counter = Counter { addr: listener.local_addr().expect("bound"), seen: Arc::default() };
        let seen = counter.seen.clone();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                seen.fetch_add(1, Ordering::SeqCst);
                if socket.read(&mut [0; 16_384]).await.is_ok_and(|bytes| bytes > 0) {
                    drop(socket.write_all(answer.as_bytes()).await);
                }
            }
        });
        counter
    }

    fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

#[sqlx::test]
async fn suppliers_are_reached_directly_and_lead_nowhere_else(db: PgPool) {
    let elsewhere = Counter::start("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}".into()).await;
    let lead = format!("location: http://{}/\r\ncontent-length: 0\r\nconnection: close", elsewhere.addr);
    let supplier = Counter::start(format!("HTTP/1.1 307 Temporary Redirect\r\n{lead}\r\n\r\n")).await;
    let app = TestApp::start(db.clone()).await;
    let key = app.key(&app.customer("ada@example.com", 1_000).await, None).await;
    let move_to = "UPDATE channels SET base_url = $1 WHERE protocol = 'openai'";
    sqlx::query(move_to).bind(format!("http://{}/v1", supplier.addr)).execute(&db).await.expect("moved");
    app.stop().await;

    let mut toki = Toki::new(&db).with("TOKI_SUPPLIER_NETWORKS", "127.0.0.0/8");
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
        toki = toki.with(name, &format!("http://{}", elsewhere.addr));
    }
    let served = toki.serve(&[]);
    let call = http().post(format!("{}/v1/chat/completions", served.url)).bearer_auth(&key.secret);
    let call = call.header("content-type", "application/json").body(chat("sandbox/echo", "hi").to_string());
    assert_eq!(call.send().await.expect("an answer").status(), 502);
    assert!(supplier.seen() > 0, "{}", served.log());
    assert_eq!(elsewhere.seen(), 0);
    assert_eq!(served.terminate(), Some(0));
}

#[sqlx::test]
async fn a_server_runs_as_a_role_that_owns_nothing(db: PgPool) {
    // Roles are the cluster's, so this one is named after the database.
    let role: String = sqlx::query_scalar("SELECT current_database() || '_app'").fetch_one(&db).await.expect("a name");
    let grants = include_str!("../../scripts/roles.sql").replace("toki_app", &format!("\"{role}\""));
    let owner = async |sql: String| sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone())).execute(&db).await.expect(&sql);
    owner(format!("DROP ROLE IF EXISTS \"{role}\"; CREATE ROLE \"{role}\" LOGIN; {grants}")).await;
    let app = TestApp::start(another_pool(&db).await).await;
    let key = app.key(&app.customer("ada@example.com", 1_000).await, None).await;
    app.stop().await;

    let options = db.connect_options().as_ref().clone().username(&role);
    let served = Toki::at(options.to_url_lossy().as_str()).serve(&["--sandbox"]);
    let call = http().post(format!("{}/v1/chat/completions", served.url)).bearer_auth(&key.secret);
    let call = call.header("content-type", "application/json").body(chat("sandbox/echo", "hi").to_string());
    assert_eq!(call.send().await.expect("an answer").status(), 200, "{}", served.log());
    let ours = PgPool::connect_with(options).await.expect("the role");
    sqlx::query("SELECT create_usage_partitions(now() + interval '1 month')").execute(&ours).await.expect("next month's");
    for sql in [
        "UPDATE ledger SET tokens = 0",
        "DELETE FROM journal",
        "DELETE FROM payment_events",
        "UPDATE operator_actions SET reason = ''",
        "TRUNCATE mails",
        "ALTER TABLE ledger DISABLE TRIGGER ALL",
        "DROP TABLE ledger CASCADE",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "UPDATE _sqlx_migrations SET success = true",
    ] {
        let refused = sqlx::query(sql).execute(&ours).await.expect_err(sql);
        let code = refused.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{sql}: {refused}");
    }
    ours.close().await;
    assert_eq!(served.terminate(), Some(0));
    owner(format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\"")).await;
}
