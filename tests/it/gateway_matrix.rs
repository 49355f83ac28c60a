//! The metering matrix: for each way in which a supplier may behave, what the caller sees, what is charged, and on what basis.

use crate::support::app::TestApp;
use crate::support::client::chat;
use serde_json::json;
use sqlx::PgPool;

/// "say two words" is 3 Tokens for the sandbox, 6 with the message's overhead.
const PROMPT: &str = "say two words";

#[sqlx::test]
async fn whole_answers(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("matrix@example.com", 1_000_000).await;
    let key = app.key(&customer, None).await;
    let mut rows = Vec::new();
    for model in MODELS {
        let answer = app.chat(&key.secret, &chat(&format!("sandbox/{model}"), PROMPT)).await;
        let seen = if answer.status == 200 { "completion".to_string() } else { answer.error("code") };
        rows.push(format!("{model}: {} {seen} | {}", answer.status, last_record(&app).await));
    }
    insta::assert_snapshot!(rows.join("\n"), @r"
    echo: 200 completion | ok measured 6+3=9 off 0
    slow: 200 completion | ok measured 6+3=9 off 0
    rate-limited: 429 upstream_rate_limited | upstream_error waived 0+0=0 off 0
    error: 502 upstream_unavailable | upstream_error waived 0+0=0 off 0
    unauthorized: 502 upstream_unavailable | upstream_error waived 0+0=0 off 0
    refuse: 422 null | upstream_error waived 0+0=0 off 0
    cut: 502 upstream_error | upstream_cut waived 0+0=0 off 0
    no-done: 200 completion | ok measured 6+3=9 off 0
    no-usage: 200 completion | ok counted 6+3=9 off 0
    null-usage: 200 completion | ok counted 6+3=9 off 0
    absurd-usage: 200 completion | ok counted 6+3=9 off 0
    excess-usage: 200 completion | ok measured 6+900000000=4207 off 899995799
    hang: 504 upstream_timeout | upstream_timeout waived 0+0=0 off 0
    garbage: 502 upstream_unavailable | upstream_error waived 0+0=0 off 0
    error-event: 200 completion | ok measured 6+3=9 off 0
    empty: 200 completion | ok waived 0+0=0 off 0
    ");
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn streams(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("matrix@example.com", 1_000_000).await;
    let key = app.key(&customer, None).await;
    let mut rows = Vec::new();
    for model in MODELS {
        let mut body = chat(&format!("sandbox/{model}"), PROMPT);
        body["stream"] = json!(true);
        let answer = app.chat(&key.secret, &body).await;
        let done = if answer.text.contains("data: [DONE]") { "done" } else { "no done" };
        let seen = match answer.status {
            200 if answer.text.contains("\"error\"") => format!("{} words, error event, {done}", words(&answer.text)),
            200 => format!("{} words, {done}", words(&answer.text)),
            _ => answer.error("code"),
        };
        app.until_settled().await;
        rows.push(format!("{model}: {} {seen} | {}", answer.status, last_record(&app).await));
    }
    insta::assert_snapshot!(rows.join("\n"), @r"
    echo: 200 3 words, done | ok measured 6+3=9 off 0
    slow: 200 3 words, done | ok measured 6+3=9 off 0
    rate-limited: 429 upstream_rate_limited | upstream_error waived 0+0=0 off 0
    error: 502 upstream_unavailable | upstream_error waived 0+0=0 off 0
    unauthorized: 502 upstream_unavailable | upstream_error waived 0+0=0 off 0
    refuse: 422 null | upstream_error waived 0+0=0 off 0
    cut: 200 3 words, error event, no done | upstream_cut counted 6+3=9 off 0
    no-done: 200 3 words, error event, no done | upstream_cut measured 6+3=9 off 0
    no-usage: 200 3 words, done | ok counted 6+3=9 off 0
    null-usage: 200 3 words, done | ok counted 6+3=9 off 0
    absurd-usage: 200 3 words, done | ok counted 6+3=9 off 0
    excess-usage: 200 3 words, done | ok measured 6+900000000=4221 off 899995785
    hang: 504 upstream_timeout | upstream_timeout waived 0+0=0 off 0
    garbage: 200 3 words, error event, no done | upstream_cut counted 6+3=9 off 0
    error-event: 200 3 words, error event, no done | upstream_cut counted 6+3=9 off 0
    empty: 200 0 words, done | ok waived 0+0=0 off 0
    ");
    app.assert_exact().await;
    app.stop().await;
}

const MODELS: [&str; 16] = [
    "echo",
    "slow",
    "rate-limited",
    "error",
    "unauthorized",
    "refuse",
    "cut",
    "no-done",
    "no-usage",
    "null-usage",
    "absurd-usage",
    "excess-usage",
    "hang",
    "garbage",
    "error-event",
    "empty",
];

fn words(stream: &str) -> usize {
    stream.lines().filter(|line| line.contains("\"content\":\"") && !line.contains("\"content\":\"\"")).count()
}

/// Outcome, basis, model Tokens = charge, and what was written off, of the latest call.
async fn last_record(app: &TestApp) -> String {
    let (outcome, basis, input, output, charge, off): (String, String, i64, i64, i64, i64) = sqlx::query_as(
        "SELECT outcome, basis, input_tokens, output_tokens, charge, written_off FROM usage_records ORDER BY request_id DESC LIMIT 1",
    )
    .fetch_one(&app.state.db)
    .await
    .expect("a record");
    format!("{outcome} {basis} {input}+{output}={charge} off {off}")
}

#[sqlx::test]
async fn a_stream_is_passed_on_byte_for_byte(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("bytes@example.com", 1_000_000).await;
    let key = app.key(&customer, None).await;
    let mut upstream = chat("echo", "naïve 😀 words");
    upstream["stream"] = json!(true);
    upstream["stream_options"] = json!({"include_usage": true});
    let direct = app.post("/sandbox/v1/chat/completions", toki::suppliers::sandbox::SECRET, &upstream).await.text;
    let usage_chunk = direct.split_inclusive("\n\n").find(|event| event.contains("\"choices\":[]")).expect("a usage chunk").to_string();

    let mut asked = chat("sandbox/echo", "naïve 😀 words");
    asked["stream"] = json!(true);
    assert_eq!(app.chat(&key.secret, &asked).await.text, direct.replace(&usage_chunk, ""));
    asked["stream_options"] = json!({"include_usage": true});
    let answer = app.chat(&key.secret, &asked).await;
    assert_eq!(answer.text, direct);
    assert!(answer.header("content-type").starts_with("text/event-stream") && !answer.header("x-request-id").is_empty());
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn a_whole_answer_says_what_it_cost(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("cost@example.com", 10_000).await;
    let key = app.key(&customer, Some(5_000)).await;
    let answer = app.chat(&key.secret, &chat("sandbox/echo", PROMPT)).await;
    assert_eq!((answer.header("x-toki-charged-tokens"), answer.header("x-toki-remaining-tokens")), ("9", "4991"));
    assert_eq!(answer.json()["choices"][0]["message"]["content"], PROMPT);
    // Ours, not the supplier's own name for it, stays in the record; the supplier's answer is not rewritten.
    assert_eq!(answer.json()["model"], "echo");
    app.assert_exact().await;
    app.stop().await;
}
