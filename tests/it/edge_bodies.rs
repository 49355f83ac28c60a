//! Bodies that are too large, too deep, too many, or sent by nobody we know.

use crate::support::app::{TestApp, TestKey};
use crate::support::client::chat;
use crate::support::endpoints::ALL;
use crate::support::raw::{Raw, statuses};
use crate::support::scripted::Scripted;
use serde_json::{Value, json};
use sqlx::PgPool;
use toki::gateway::Limits;
use toki::keys::secret::KeySecret;

/// A key that is well formed, and nobody's.
fn made_up() -> TestKey {
    TestKey { secret: KeySecret::generate().expose().to_string() }
}

fn head(path: &str, key: &TestKey, length: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n{length}\r\n\r\n", key.secret)
}

/// The status and the error of the one answer before the connection was closed.
async fn refusal(raw: Raw) -> (u16, Value) {
    let answer = raw.until_closed().await;
    let body = answer.rsplit("\r\n\r\n").next().unwrap_or_default();
    let statuses = statuses(&answer);
    assert_eq!(statuses.len(), 1, "{answer}");
    (statuses[0], serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
}

#[sqlx::test]
async fn large_bodies_are_not_read_for_keys_that_nobody_has(db: PgPool) {
    let app = TestApp::start(db).await;
    let path = "/v1/chat/completions";
    // Not a byte of the body is sent, and the answer comes.
    let (status, error) = refusal(Raw::opened(app.addr, head(path, &made_up(), "Content-Length: 16000000")).await).await;
    assert_eq!((status, error["error"]["code"].as_str()), (401, Some("invalid_api_key")));
    // Whoever does not say how much is coming is read for a while.
    let mut raw = Raw::opened(app.addr, head(path, &made_up(), "Transfer-Encoding: chunked")).await;
    for _ in 0..6 {
        raw.send(format!("10000\r\n{}\r\n", "x".repeat(0x10000))).await;
    }
    assert_eq!(refusal(raw).await.0, 401, "answered after 384 KiB of a body that goes on");
    // One who sends all of it without listening meanwhile still gets the answer.
    let mut raw = Raw::opened(app.addr, head(path, &made_up(), "Content-Length: 16000000")).await;
    raw.send("x".repeat(16_000_000)).await;
    assert_eq!(refusal(raw).await.0, 401);
    app.stop().await;
}

#[sqlx::test]
async fn what_is_declared_too_large_is_refused_at_once(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("large@example.com", 1_000_000).await;
    let key = app.key(&customer, None).await;
    for (path, kind) in [("/v1/chat/completions", "invalid_request_error"), ("/v1/messages", "request_too_large")] {
        let (status, error) = refusal(Raw::opened(app.addr, head(path, &key, "Content-Length: 1000000000")).await).await;
        assert_eq!((status, error["error"]["type"].as_str()), (413, Some(kind)));
    }
    let (status, _) = refusal(Raw::opened(app.addr, head("/v1/embeddings", &made_up(), "Content-Length: 1000000000")).await).await;
    assert_eq!(status, 401);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn forms_of_the_console_are_small(db: PgPool) {
    let app = TestApp::start(db).await;
    let head = |length: &str| {
        let form = "Content-Type: application/x-www-form-urlencoded\r\nSec-Fetch-Site: same-origin";
        format!("POST /api/accounts/sign_in HTTP/1.1\r\nHost: {}\r\n{form}\r\n{length}\r\n\r\n", app.addr)
    };
    let declared = Raw::opened(app.addr, head("Content-Length: 1000000")).await.until_closed().await;
    assert_eq!(statuses(&declared), [413], "{declared}");
    assert!(declared.contains("content-security-policy"), "{declared}");
    let mut raw = Raw::opened(app.addr, head("Transfer-Encoding: chunked")).await;
    for _ in 0..5 {
        raw.send(format!("10000\r\n{}\r\n", "x".repeat(0x10000))).await;
    }
    let found = raw.until_closed().await;
    assert_eq!(statuses(&found), [413], "{found}");
    app.stop().await;
}

#[sqlx::test]
async fn deep_json_is_refused_before_it_is_parsed(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("deep@example.com", 1_000_000).await;
    let key = app.key(&customer, None).await;
    let nested = |levels: usize| format!(r#"{{"model":"sandbox/echo","x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    for levels in [128, 100_000] {
        let answer = app.post_text("/v1/chat/completions", Some(&key.secret), nested(levels)).await;
        assert_eq!((answer.status, answer.error("code").as_str()), (400, "invalid_json"));
        assert!(answer.error("message").contains("depth"), "{}", answer.text);
    }
    let answer = app.post_text("/v1/chat/completions", Some(&key.secret), nested(127)).await;
    assert_eq!(answer.error("param"), "messages", "read, and found to lack its messages: {}", answer.text);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn the_memory_for_bodies_is_bounded(db: PgPool) {
    let app = TestApp::start_with(db, |config| config.body_memory = 1 << 20).await;
    let customer = app.customer("memory@example.com", 10_000_000).await;
    let key = app.key(&customer, None).await;
    let mut large = chat("sandbox/echo", "hi");
    large["metadata"] = json!({"x": "x".repeat(600 << 10)});
    let answer = app.chat(&key.secret, &large).await;
    assert_eq!((answer.status, answer.error("code").as_str(), answer.header("retry-after")), (503, "service_unavailable", "1"));
    assert_eq!(app.chat(&key.secret, &chat("sandbox/echo", "hi")).await.status, 200, "the room is free again");
    large["metadata"] = json!({"x": "x".repeat(400 << 10)});
    assert_eq!(app.chat(&key.secret, &large).await.status, 200);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn large_bodies_and_large_answers_arrive_as_they_are(db: PgPool) {
    let app = TestApp::start(db).await;
    Scripted::start(&app).await;
    let customer = app.customer("large@example.com", 10_000_000).await;
    let key = app.key(&customer, None).await;
    let mut large = chat("sandbox/echo", "hi");
    large["metadata"] = json!({"x": "x".repeat(3 << 20)});
    let echo = app.chat(&key.secret, &large).await;
    assert_eq!(echo.status, 200, "{}", echo.text);
    for endpoint in ALL {
        let whole = (endpoint.whole)(Some(json!({endpoint.usage[0]: 3, endpoint.usage[1]: 3}))).to_string();
        let answer = app.post(endpoint.path, &key.secret, &endpoint.call(json!({"pieces": [whole], "padding": 3 << 20}))).await;
        assert_eq!(answer.status, 200, "{}", endpoint.name);
        assert_eq!(answer.header("content-length"), (whole.len() + (3 << 20)).to_string(), "{}", endpoint.name);
        assert!(answer.text.len() == whole.len() + (3 << 20) && answer.text.starts_with(&whole), "{}", endpoint.name);
    }
    app.assert_exact().await;
    app.stop().await;
}

/// The supplier has worked for an answer that finds no room, so nobody asks it again.
#[sqlx::test]
async fn the_memory_for_whole_answers_is_bounded(db: PgPool) {
    let app = TestApp::start_with(db, |config| config.body_memory = 1 << 20).await;
    Scripted::start(&app).await;
    let customer = app.customer("answers@example.com", 10_000_000).await;
    let key = app.key(&customer, None).await;
    for endpoint in ALL {
        let answering = |kib: u64| {
            let usage = json!({endpoint.usage[0]: 3, endpoint.usage[1]: 3});
            endpoint.call(json!({"pieces": [(endpoint.whole)(Some(usage)).to_string()], "padding": kib << 10}))
        };
        for _ in 0..3 {
            let answer = app.post(endpoint.path, &key.secret, &answering(400)).await;
            assert_eq!((answer.status, answer.text.len() > 400 << 10), (200, true), "{}: its room is free once it was read", endpoint.name);
        }
        let answer = app.post(endpoint.path, &key.secret, &answering(600)).await;
        assert_eq!((answer.status, answer.header("x-should-retry")), (502, "false"), "{}: {}", endpoint.name, answer.text);
    }
    app.assert_exact().await;
    let given_up = "SELECT count(*) FROM usage_records WHERE outcome = 'upstream_cut' AND basis = 'waived'";
    assert_eq!(app.number(given_up).await, ALL.len() as i64);
    app.stop().await;
}

#[sqlx::test]
async fn bodies_are_read_as_far_as_the_operator_set(db: PgPool) {
    let app = TestApp::start_with(db, |config| config.limits = Limits { body_bytes: 1 << 20, json_depth: 16, messages: 2 }).await;
    let customer = app.customer("limits@example.com", 10_000_000).await;
    let key = app.key(&customer, None).await;
    let mut body = chat("sandbox/echo", "hi");
    body["metadata"] = json!({"x": "x".repeat(900 << 10)});
    assert_eq!(app.chat(&key.secret, &body).await.status, 200);
    body["metadata"] = json!({"x": "x".repeat(1 << 20)});
    let answer = app.chat(&key.secret, &body).await;
    assert_eq!((answer.status, answer.error("code").as_str()), (413, "request_too_large"));
    assert!(answer.error("message").contains("1048576 bytes"), "{}", answer.text);

    let mut body = chat("sandbox/echo", "hi");
    let message = body["messages"][0].clone();
    body["messages"] = json!([message, message, message]);
    let answer = app.chat(&key.secret, &body).await;
    assert_eq!((answer.status, answer.error("param").as_str()), (400, "messages"));
    assert!(answer.error("message").contains("1 to 2 messages"), "{}", answer.text);

    let nested = format!(r#"{{"model":"sandbox/echo","x":{}{}}}"#, "[".repeat(16), "]".repeat(16));
    let answer = app.post_text("/v1/chat/completions", Some(&key.secret), nested).await;
    assert_eq!((answer.status, answer.error("code").as_str()), (400, "invalid_json"));
    assert!(answer.error("message").contains("16 levels"), "{}", answer.text);
    app.assert_exact().await;
    app.stop().await;
}
