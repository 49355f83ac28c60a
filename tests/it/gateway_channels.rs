//! Several ways to one supplier: which is tried, when another is, and what becomes of an answer whose caller left.

use crate::support::app::TestApp;
use crate::support::client::chat;
use crate::support::scripted::{MODEL, Scripted};
use axum::Router;
use axum::http::StatusCode;
use futures::StreamExt;
use serde_json::json;
use sqlx::PgPool;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use tokio::net::TcpListener;

const WHOLE: &str = r#"{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;

/// A channel that answers with a status that the test sets, and counts its calls.
#[derive(Clone)]
struct Way {
    status: Arc<AtomicU16>,
    calls: Arc<AtomicUsize>,
}

impl Way {
    async fn add(app: &TestApp, priority: i32) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let way = Way { status: Arc::new(AtomicU16::new(200)), calls: Arc::default() };
        let served = way.clone();
        let router = Router::new().fallback(move || {
            let Way { status, calls } = served.clone();
            async move {
                calls.fetch_add(1, Ordering::Relaxed);
                (StatusCode::from_u16(status.load(Ordering::Relaxed)).expect("a status"), WHOLE)
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        insert(app, addr, priority).await;
        way
    }

    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// Calls since the last look.
    fn took(&self) -> usize {
        self.calls.swap(0, Ordering::Relaxed)
    }
}

async fn insert(app: &TestApp, addr: SocketAddr, priority: i32) {
    let sql = format!(
        "INSERT INTO channels (channel_id, supplier_id, base_url, protocol, priority)
         SELECT gen_random_uuid(), supplier_id, 'http://{addr}', 'openai', {priority} FROM suppliers WHERE slug = 'acme'"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&app.state.db).await.expect("a channel");
}

/// `acme` with no channel yet.
async fn acme(app: &TestApp) {
    Scripted::start(app).await;
    app.execute("DELETE FROM channels WHERE supplier_id = (SELECT supplier_id FROM suppliers WHERE slug = 'acme')").await;
}

#[sqlx::test]
async fn another_channel_is_tried_only_where_the_first_did_not_work_on_the_call(db: PgPool) {
    let app = TestApp::start(db).await;
    acme(&app).await;
    let (first, second) = (Way::add(&app, 1).await, Way::add(&app, 0).await);
    // A port where nobody listens comes before both.
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("bound");
    insert(&app, nobody, 2).await;
    let customer = app.customer("ways@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    for (status, told, took) in [
        (200, 200, (1, 0)),
        (401, 200, (1, 1)),
        (402, 200, (1, 1)),
        (403, 200, (1, 1)),
        (429, 200, (1, 1)),
        (529, 200, (1, 1)),
        (503, 200, (1, 1)),
        // It may have been worked on, or would be refused again.
        (400, 400, (1, 0)),
        (500, 502, (1, 0)),
        (502, 502, (1, 0)),
        (504, 504, (1, 0)),
    ] {
        // Failures one after another would open the circuit.
        first.answer(200);
        app.chat(&key.secret, &chat(MODEL, "hi")).await;
        first.took();
        second.took();
        first.answer(status);
        let answer = app.chat(&key.secret, &chat(MODEL, "hi")).await;
        assert_eq!((answer.status, (first.took(), second.took())), (told, took), "{status}: {}", answer.text);
    }
    first.answer(429);
    second.answer(429);
    assert_eq!(app.chat(&key.secret, &chat(MODEL, "hi")).await.error("code"), "upstream_rate_limited", "when no channel is left");
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn a_channel_that_keeps_failing_is_left_alone(db: PgPool) {
    let app = TestApp::start(db).await;
    acme(&app).await;
    let way = Way::add(&app, 0).await;
    let customer = app.customer("circuit@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    way.answer(500);
    for _ in 0..8 {
        assert_eq!(app.chat(&key.secret, &chat(MODEL, "hi")).await.status, 502);
    }
    assert_eq!(way.took(), 5, "the circuit is open after five");
    let answer = app.chat(&key.secret, &chat(MODEL, "hi")).await;
    assert_eq!((answer.error("code").as_str(), answer.header("x-should-retry")), ("upstream_unavailable", ""));
    let other = Way::add(&app, 0).await;
    assert_eq!(app.chat(&key.secret, &chat(MODEL, "hi")).await.status, 200, "another channel serves");
    assert_eq!((way.took(), other.took()), (0, 1));
    app.assert_exact().await;
    app.stop().await;
}

/// The caller leaves after the first words; the supplier goes on and reports what it bills.
#[sqlx::test]
async fn an_answer_whose_caller_left_is_counted_or_read_to_its_end(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("drain@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    let mut body = chat("sandbox/echo", "hi");
    body["stream"] = json!(true);
    body["sandbox"] = json!({"words": 60, "pace_ms": 20});
    // What the supplier adds of its own counts where it reports nothing; what it reports has it in it.
    app.execute("UPDATE suppliers SET prompt_overhead = 50").await;
    for (policy, basis, charges) in
        [("UPDATE suppliers SET on_leave = 'cancel'", "counted", 51..100), ("UPDATE suppliers SET on_leave = 'drain'", "measured", 64..65)]
    {
        app.execute(policy).await;
        let (_, mut stream) = app.begin_stream(&key.secret, &body).await;
        stream.next().await.expect("a chunk").expect("readable");
        drop(stream);
        app.until("SELECT count(*) FROM holds", |holds| holds == 0).await;
        let found: (String, String, i64) =
            sqlx::query_as("SELECT outcome, basis, charge FROM usage_records ORDER BY started_at DESC LIMIT 1")
                .fetch_one(&app.state.db)
                .await
                .expect("a record");
        assert_eq!((found.0.as_str(), found.1.as_str()), ("client_left", basis), "{policy}");
        assert!(charges.contains(&found.2), "{policy}: {}", found.2);
    }
    app.assert_exact().await;
    app.stop().await;
}
