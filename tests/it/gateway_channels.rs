//! Several ways to one supplier: which is tried, when another is, and what becomes of an answer whose caller left.

use crate::support::app::TestApp;
use crate::support::client::chat;
use crate::support::endpoints::ALL;
use crate::support::scripted::{MODEL, Scripted, script};
use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use futures::StreamExt;
use serde_json::json;
use sqlx::PgPool;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// A whole answer of 3 + 2 Tokens.
pub const WHOLE: &str = r#"{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;

/// A channel that answers what the test sets, and counts its calls.
#[derive(Clone)]
pub struct Way {
    answer: Arc<Mutex<Set>>,
    calls: Arc<AtomicUsize>,
}

/// Status, headers, body.
type Set = (StatusCode, HeaderMap, &'static str);

const JSON: (&str, &str) = ("content-type", "application/json");
const HTML: (&str, &str) = ("content-type", "text/html");

impl Way {
    pub async fn add(app: &TestApp, priority: i32) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let way = Way { answer: Arc::default(), calls: Arc::default() };
        way.answer(200);
        let served = way.clone();
        let router = Router::new().fallback(move || {
            let Way { answer, calls } = served.clone();
            async move {
                calls.fetch_add(1, Ordering::Relaxed);
                answer.lock().unwrap_or_else(PoisonError::into_inner).clone()
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        insert(app, addr, priority).await;
        way
    }

    /// With a body of JSON, as the API itself answers.
    fn answer(&self, status: u16) {
        self.answer_with(status, &[JSON], WHOLE);
    }

    fn answer_with(&self, status: u16, headers: &[(&'static str, &'static str)], body: &'static str) {
        let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let set: Set = (StatusCode::from_u16(status).expect("a status"), headers.collect(), body);
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = set;
    }

    /// Calls since the last look.
    pub fn took(&self) -> usize {
        self.calls.swap(0, Ordering::Relaxed)
    }
}

/// A channel of `acme` that leads there.
pub async fn insert(app: &TestApp, addr: SocketAddr, priority: i32) {
    let sql = format!(
        "INSERT INTO channels (channel_id, supplier_id, base_url, protocol, priority)
         SELECT gen_random_uuid(), supplier_id, 'http://{addr}', 'openai', {priority} FROM suppliers WHERE slug = 'acme'"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&app.state.db).await.expect("a channel");
}

/// `acme` with no channel yet.
pub async fn acme(app: &TestApp) {
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
    for way in [&first, &second] {
        way.answer_with(429, &[("retry-after", "7")], "");
    }
    let limited = app.chat(&key.secret, &chat(MODEL, "hi")).await;
    assert_eq!((limited.error("code").as_str(), limited.header("retry-after")), ("upstream_rate_limited", "7"), "when no channel is left");
    app.assert_exact().await;
    app.stop().await;
}

/// A proxy before the model's API answers 503 too, of a call that it may have handed on.
#[sqlx::test]
async fn a_503_moves_a_call_on_only_where_the_api_itself_says_it(db: PgPool) {
    let app = TestApp::start(db).await;
    acme(&app).await;
    let (first, second) = (Way::add(&app, 1).await, Way::add(&app, 0).await);
    let customer = app.customer("proxy@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    for (headers, told, took) in
        [(vec![HTML], 502, (1, 0)), (vec![], 502, (1, 0)), (vec![HTML, ("retry-after", "1")], 200, (1, 1)), (vec![JSON], 200, (1, 1))]
    {
        first.answer_with(503, &headers, "<html>");
        let answer = app.chat(&key.secret, &chat(MODEL, "hi")).await;
        assert_eq!((answer.status, (first.took(), second.took())), (told, took), "{headers:?}: {}", answer.text);
    }
    app.assert_exact().await;
    app.stop().await;
}

/// What Anthropic says instead of 402 is about the operator: another channel serves, and no caller ever reads it.
#[sqlx::test]
async fn an_empty_balance_at_a_supplier_is_never_passed_on(db: PgPool) {
    let app = TestApp::start(db).await;
    acme(&app).await;
    let (first, second) = (Way::add(&app, 1).await, Way::add(&app, 0).await);
    let customer = app.customer("balance@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    let low = r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low."}}"#;
    first.answer_with(400, &[JSON], low);
    assert_eq!(app.chat(&key.secret, &chat(MODEL, "hi")).await.status, 200);
    assert_eq!((first.took(), second.took()), (1, 1));
    second.answer_with(400, &[JSON], low);
    let answer = app.chat(&key.secret, &chat(MODEL, "hi")).await;
    assert_eq!((answer.status, answer.error("code").as_str()), (502, "upstream_unavailable"));
    assert!(!answer.text.contains("balance"), "{}", answer.text);
    app.assert_exact().await;
    app.stop().await;
}

/// Clients look for `context_length_exceeded`.
#[sqlx::test]
async fn a_refusal_is_passed_on_with_its_code(db: PgPool) {
    let app = TestApp::start(db).await;
    acme(&app).await;
    let way = Way::add(&app, 0).await;
    let customer = app.customer("code@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    let refusal = r#"{"error":{"message":"Too long.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
    way.answer_with(400, &[JSON], refusal);
    let answer = app.chat(&key.secret, &chat(MODEL, "hi")).await;
    let error = ["message", "type", "param", "code"].map(|field| answer.error(field));
    assert_eq!(
        (answer.status, error),
        (400, ["Too long.", "invalid_request_error", "messages", "context_length_exceeded"].map(String::from))
    );
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

/// That an answer began well says nothing of how it ends.
#[sqlx::test]
async fn a_channel_whose_streams_all_break_is_left_alone(db: PgPool) {
    let app = TestApp::start(db).await;
    let supplier = Scripted::start(&app).await;
    let customer = app.customer("breaking@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    let (endpoint, words) = (&ALL[0], ALL[0].stream.as_ref().expect("streams").words);
    for _ in 0..5 {
        let answer = app.post(endpoint.path, &key.secret, &endpoint.streamed_call(script(&[words], "end"))).await;
        assert!(answer.status == 200 && answer.text.contains("broke off"), "{}", answer.text);
    }
    let answer = app.post(endpoint.path, &key.secret, &endpoint.streamed_call(script(&[words], "end"))).await;
    assert_eq!((answer.status, answer.error("code").as_str(), supplier.count()), (502, "upstream_unavailable", 5));
    app.assert_exact().await;
    app.stop().await;
}

/// How often a channel that fails is called before it is left alone, with one other answer after four failures.
#[sqlx::test]
async fn what_says_nothing_of_a_channel_does_not_count_for_or_against_it(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("neutral@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    acme(&app).await;
    for (between, calls) in [(429, 6), (401, 6), (402, 6), (403, 6), (400, 10), (404, 10), (200, 10)] {
        app.execute("DELETE FROM channels WHERE base_url NOT LIKE '%/sandbox/%'").await;
        let way = Way::add(&app, 0).await;
        for n in 0..12 {
            way.answer(if n == 4 { between } else { 500 });
            app.chat(&key.secret, &chat(MODEL, "hi")).await;
        }
        assert_eq!(way.took(), calls, "{between}");
    }
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
