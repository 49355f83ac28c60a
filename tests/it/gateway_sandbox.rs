//! The sandbox supplier as callers meet it: each of its models, in every form, whole and streamed.

use crate::support::app::TestApp;
use crate::support::client::{Answer, chat};
use crate::support::endpoints::{ALL, Endpoint};
use crate::support::matrix::{Matrix, record_of};
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::Duration;

/// Each model under a name for each endpoint: one that fails five times in a row is left alone.
const MODEL_OF_EACH_ENDPOINT: &str = "
    WITH names AS (SELECT model_id || '-' || endpoint AS name, supplier_id, upstream_id, context_tokens, max_output_tokens
                     FROM models, unnest('{chat,completions,embeddings,responses,messages}'::text[]) AS endpoint),
         price AS (INSERT INTO model_prices (model_id, version, input_ppm, cached_ppm, output_ppm)
                   SELECT name, 1, 1000000, 1000000, 1000000 FROM names)
    INSERT INTO models (model_id, supplier_id, upstream_id, context_tokens, max_output_tokens)
        SELECT name, supplier_id, upstream_id, context_tokens, max_output_tokens FROM names";

const MODELS: [&str; 17] = [
    "echo",
    "tool",
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

#[sqlx::test]
async fn every_model_in_every_form(db: PgPool) {
    let app = TestApp::start_with(db, |config| config.upstream.total = Duration::from_secs(10)).await;
    app.execute(MODEL_OF_EACH_ENDPOINT).await;
    let customer = app.customer("sandbox@example.com", 10_000_000).await;
    let key = app.key(&customer, None).await;
    let cells = MODELS.iter().flat_map(|model| ALL.iter().flat_map(move |endpoint| [(model, endpoint, false), (model, endpoint, true)]));
    let cells: Vec<_> = cells.filter(|(_, endpoint, stream)| !stream || endpoint.stream.is_some()).collect();
    // All at once: some of them take their time on purpose.
    let answers = join_all(cells.iter().map(|(model, endpoint, stream)| {
        let mut body = (endpoint.request)();
        body["model"] = format!("sandbox/{model}-{}", endpoint.name).into();
        body["stream"] = (*stream).into();
        let (app, secret, path) = (&app, &key.secret, endpoint.path);
        async move { app.post(path, secret, &body).await }
    }))
    .await;
    app.until_settled().await;
    let mut matrix = Matrix::default();
    for ((model, endpoint, stream), answer) in cells.into_iter().zip(answers) {
        let seen = match answer.status {
            200 if stream => seen_of_stream(endpoint, &answer.text),
            200 => "an answer".to_string(),
            _ => answer.error(if endpoint.name == "messages" { "type" } else { "code" }),
        };
        let record = record_of(&app, answer.header("x-request-id")).await;
        let form = if stream { "streamed" } else { "whole" };
        matrix.note(format!("{model}, {form}"), endpoint.name, format!("{} {seen} | {record}", answer.status));
    }
    matrix.assert_snapshot("sandbox");
    app.assert_exact().await;
    app.stop().await;
}

fn seen_of_stream(endpoint: &Endpoint, text: &str) -> String {
    let ended = endpoint.stream.as_ref().is_some_and(|stream| text.contains(stream.end_mark));
    let error = if text.contains("broke off") { ", an error" } else { "" };
    let words = if text.contains("words") { "words" } else { "no words" };
    format!("{words}{error}, {}", if ended { "the end" } else { "no end" })
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
    let answer = app.chat(&key.secret, &chat("sandbox/echo", "say two words")).await;
    assert_eq!((answer.header("x-toki-charged-tokens"), answer.header("x-toki-remaining-tokens")), ("9", "4991"));
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "say two words");
    // Ours, not the supplier's own name for it, stays in the record; the supplier's answer is not rewritten.
    assert_eq!(answer.json()["model"], "echo");
    app.assert_exact().await;
    app.stop().await;
}

/// So does a failure, whatever the caller asked for; what is refused before it is a call says nothing of the kind.
#[sqlx::test]
async fn a_failure_says_that_it_cost_nothing(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("failures@example.com", 10_000).await;
    let key = app.key(&customer, Some(5_000)).await;
    let told = |answer: &Answer| ["charged", "remaining"].map(|what| answer.header(&format!("x-toki-{what}-tokens")).to_string());
    for (model, status) in [("error", 502), ("unauthorized", 502), ("refuse", 422), ("rate-limited", 429), ("garbage", 502), ("none", 404)]
    {
        for stream in [false, true] {
            let mut body = chat(&format!("sandbox/{model}"), "say two words");
            body["stream"] = stream.into();
            // It begins a stream, and breaks it off.
            if (model, stream) == ("garbage", true) {
                continue;
            }
            let answer = app.chat(&key.secret, &body).await;
            let expected = if model == "none" { ["", ""] } else { ["0", "5000"] };
            assert_eq!((answer.status, told(&answer)), (status, expected.map(String::from)), "{model} {stream}: {}", answer.text);
        }
    }
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn embeddings_come_as_floats_or_base64(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("vectors@example.com", 10_000).await;
    let key = app.key(&customer, None).await;
    for (format, is_base64) in [("float", false), ("base64", true)] {
        let request = |model: &str| json!({"model": model, "input": ["one two", "three"], "encoding_format": format});
        let direct = app.post("/sandbox/v1/embeddings", toki::suppliers::sandbox::SECRET, &request("echo")).await.text;
        let answer = app.post("/v1/embeddings", &key.secret, &request("sandbox/echo")).await;
        assert_eq!((answer.text.as_str(), answer.header("x-toki-charged-tokens")), (direct.as_str(), "9"));
        assert_eq!(matches!(answer.json()["data"][1]["embedding"], Value::String(_)), is_base64);
    }
    // Its bytes, and no output.
    assert!(app.number("SELECT max(held) FROM usage_records").await < 200);
    app.assert_exact().await;
    app.stop().await;
}
