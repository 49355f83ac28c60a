//! Anthropic's protocol at its edges: keys, errors, and whoever knocks at the wrong endpoint.

use crate::support::app::TestApp;
use crate::support::client::{Answer, chat};
use crate::support::endpoints::ALL;
use crate::support::scripted::{MODEL, Scripted, script};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::Duration;

const PATH: &str = "/v1/messages";
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

fn message(model: &str) -> Value {
    json!({"model": model, "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]})
}

/// Status and type of an error in Anthropic's form.
fn row(answer: &Answer) -> String {
    let body = answer.json();
    assert_eq!(body["type"], "error", "{body}");
    assert_eq!(body["request_id"], answer.header("request-id"), "{body}");
    assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    format!("{} {}", answer.status, answer.error("type"))
}

#[sqlx::test]
async fn a_key_is_taken_from_either_header(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("key@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    let bearer = format!("Bearer {}", key.secret);
    for header in [("x-api-key", key.secret.as_str()), ("authorization", bearer.as_str())] {
        let answer = app.post_with(PATH, &[VERSION, header], &message("sandbox/echo")).await;
        assert_eq!((answer.status, answer.json()["content"][0]["text"].as_str()), (200, Some("hi")), "{}", answer.text);
        assert_eq!(answer.json()["usage"]["input_tokens"], 4);
    }
    // The supplier has the last word on its own headers.
    let without = app.post_with(PATH, &[("x-api-key", key.secret.as_str())], &message("sandbox/echo")).await;
    assert_eq!(row(&without), "400 invalid_request_error");
    assert!(without.error("message").contains("anthropic-version"));
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn errors_are_anthropics(db: PgPool) {
    let app = TestApp::start_with(db, |config| config.upstream.total = Duration::from_secs(6)).await;
    let (rich, poor) = (app.customer("rich@example.com", 100_000).await, app.customer("poor@example.com", 5).await);
    let (key, poor) = (app.key(&rich, None).await, app.key(&poor, None).await);
    let mut rows = Vec::new();
    let mut without_limit = message("sandbox/echo");
    without_limit.as_object_mut().expect("an object").remove("max_tokens");
    let mut hosted = message("sandbox/echo");
    hosted["tools"] = json!([{"type": "web_search_20250305", "name": "web_search"}]);
    for (case, secret, body) in [
        ("bad key", "sk-ant-x", message("sandbox/echo")),
        ("no limit", key.secret.as_str(), without_limit),
        ("hosted tool", key.secret.as_str(), hosted),
        ("unknown model", key.secret.as_str(), message("sandbox/none")),
        ("poor", poor.secret.as_str(), message("sandbox/echo")),
        ("rate limited", key.secret.as_str(), message("sandbox/rate-limited")),
        ("supplier fails", key.secret.as_str(), message("sandbox/error")),
        ("secret refused", key.secret.as_str(), message("sandbox/unauthorized")),
        ("too slow", key.secret.as_str(), message("sandbox/hang")),
    ] {
        let answer = app.post_with(PATH, &[VERSION, ("x-api-key", secret)], &body).await;
        rows.push(format!("{case}: {}", row(&answer)));
    }
    let wrong_path = app.post_with("/v1/messages/batches", &[VERSION], &json!({})).await;
    rows.push(format!("wrong path: {}", row(&wrong_path)));
    rows.push(format!("wrong method: {}", row(&app.get(PATH, &key.secret).await)));
    insta::assert_snapshot!(rows.join("\n"), @r"
    bad key: 401 authentication_error
    no limit: 400 invalid_request_error
    hosted tool: 400 invalid_request_error
    unknown model: 404 not_found_error
    poor: 429 rate_limit_error
    rate limited: 429 rate_limit_error
    supplier fails: 502 api_error
    secret refused: 502 api_error
    too slow: 504 timeout_error
    wrong path: 404 not_found_error
    wrong method: 405 invalid_request_error
    ");
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn cached_input_is_charged_as_such_and_writing_it_as_input(db: PgPool) {
    let app = TestApp::start(db).await;
    Scripted::start(&app).await;
    app.execute(
        "INSERT INTO model_prices (model_id, version, input_ppm, cached_ppm, output_ppm) VALUES ('acme/m', 2, 1000000, 100000, 5000000)",
    )
    .await;
    app.execute("UPDATE models SET price_version = 2 WHERE model_id = 'acme/m'").await;
    let customer = app.customer("cache@example.com", 1_000_000).await;
    let key = app.key(&customer, None).await;
    let messages = ALL.iter().find(|endpoint| endpoint.path == PATH).expect("messages");
    let usage = json!({"input_tokens": 10, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 50, "output_tokens": 2});
    let answer = (messages.whole)(Some(usage)).to_string();
    // 10 + 20 as input, 50 at a tenth, 2 at five.
    let reply = app.post(PATH, &key.secret, &messages.call(script(&[&answer], "end"))).await;
    assert_eq!(reply.header("x-toki-charged-tokens"), "45");
    assert_eq!(app.number("SELECT input_tokens * 1000 + cached_tokens FROM usage_records").await, 80_050);

    // A stream that is cut has said at its beginning what was read: 10 as input, 50 at a tenth, and two words at five.
    let words = messages.stream.as_ref().expect("a stream").words;
    let begun = words.replace(r#""input_tokens":7"#, r#""input_tokens":10,"cache_read_input_tokens":50"#);
    assert_ne!(begun, words);
    app.post(PATH, &key.secret, &messages.streamed_call(script(&[&begun], "cut"))).await;
    assert_eq!(app.number("SELECT charge FROM usage_records WHERE basis = 'counted'").await, 25);
    assert_eq!(app.number("SELECT input_tokens * 1000 + cached_tokens FROM usage_records WHERE basis = 'counted'").await, 60_050);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn the_wrong_protocol_is_told_the_right_endpoint(db: PgPool) {
    let app = TestApp::start(db).await;
    let supplier = Scripted::start(&app).await;
    let customer = app.customer("wrong@example.com", 1_000_000).await;
    let key = app.key(&customer, None).await;
    let both = [VERSION, ("x-api-key", key.secret.as_str())];

    app.execute("UPDATE channels SET status = 'disabled' WHERE protocol = 'anthropic'").await;
    let answer = app.post_with(PATH, &both, &message(MODEL)).await;
    assert_eq!(row(&answer), "404 not_found_error");
    assert!(answer.error("message").contains("POST /v1/chat/completions"), "{}", answer.text);

    app.execute("UPDATE channels SET status = CASE protocol WHEN 'openai' THEN 'disabled' ELSE 'enabled' END").await;
    for endpoint in ALL.iter().filter(|endpoint| endpoint.path != PATH) {
        let answer = app.post(endpoint.path, &key.secret, &endpoint.call(json!({}))).await;
        let error = (answer.status, answer.error("code"), answer.error("param"));
        assert_eq!(error, (404, "endpoint_not_supported".to_string(), "model".to_string()), "{}", endpoint.name);
        assert!(answer.error("message").contains("POST /v1/messages"), "{}", answer.text);
    }
    app.execute("UPDATE channels SET status = 'disabled'").await;
    let answer = app.chat(&key.secret, &chat(MODEL, "hi")).await;
    assert_eq!((answer.status, answer.error("code").as_str()), (404, "model_not_found"));
    assert_eq!(supplier.count(), 0);

    // A supplier that knows no such endpoint says so itself.
    app.execute("UPDATE channels SET status = 'enabled'").await;
    let chat = &ALL[0];
    let answer = app.post(chat.path, &key.secret, &chat.call(json!({"status": 404, "pieces": ["{}"]}))).await;
    assert_eq!((answer.status, answer.error("code").as_str()), (404, "endpoint_not_supported"));
    assert_eq!(app.number("SELECT sum(charge)::bigint FROM usage_records").await, 0);
    app.assert_exact().await;
    app.stop().await;
}
