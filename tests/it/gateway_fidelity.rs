//! What is passed on untouched: requests but for what `gateway::wire` may change, answers to the byte; and which headers leave.

use crate::support::app::TestApp;
use crate::support::endpoints::{ALL, Endpoint};
use crate::support::scripted::{MODEL, Scripted, UPSTREAM_MODEL, script};
use serde_json::json;
use sqlx::PgPool;

/// Fields that nobody here knows, or that only models know: each as it stands in a body. White space between fields is not kept, what
/// is in them is.
const FIELDS: [(&str, &str, &str); 13] = [
    ("chat", "unknown fields", r#""x_unknown":{"b": 1.50, "a": [1 , 2], "é\"": "\u00e9"},"seed":1e3"#),
    (
        "chat",
        "tools",
        r#""tools":[{"type": "function", "function": {"name": "f", "strict": true, "parameters": {"type":"object"}}}],"tool_choice":"auto""#,
    ),
    ("chat", "logprobs and n", r#""logprobs":true,"top_logprobs":5,"n":3"#),
    ("chat", "JSON mode", r#""response_format":{"type": "json_schema", "json_schema": {"name": "s", "schema": {"z": 1, "a": 2}}}"#),
    ("chat", "reasoning", r#""reasoning_effort":"high","verbosity":"low""#),
    ("chat", "audio", r#""modalities":["text", "audio"],"audio":{"voice": "alloy", "format": "wav"}"#),
    ("completions", "logprobs, n and suffix", r#""logprobs":3,"n":2,"best_of":4,"suffix":"end","echo":true,"logit_bias":{"50256": -100}"#),
    ("embeddings", "format and dimensions", r#""encoding_format":"base64","dimensions":256,"user":"u""#),
    (
        "responses",
        "tools and reasoning",
        r#""tools":[{"type": "function", "name": "f", "parameters": {}}],"reasoning":{"effort": "low"},"include":["reasoning.encrypted_content"],"store":false"#,
    ),
    (
        "responses",
        "text format",
        r#""text":{"format": {"type": "json_schema", "name": "s", "schema": {}}, "verbosity": "low"},"prompt_cache_key":"k""#,
    ),
    (
        "messages",
        "tools",
        r#""tools":[{"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}],"tool_choice":{"type": "any"}"#,
    ),
    (
        "messages",
        "thinking",
        r#""thinking":{"type": "enabled", "budget_tokens": 1024},"metadata":{"user_id": "u"},"stop_sequences":["x"],"top_k":5"#,
    ),
    (
        "messages",
        "system blocks",
        r#""system":[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]"#,
    ),
];

/// Answers with fields that we do not read, in a form that no serialiser of ours would make.
const ANSWERS: [(&str, &str); 5] = [
    (
        "chat",
        "{ \"id\":\"x\",\"choices\":[{\"index\":0,\"message\":{\"content\":null,\"reasoning_content\":\"so\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"logprobs\":{\"content\":[{\"token\":\"\\u00e9\",\"logprob\":-1.0e-05}]}}],\n\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"x\":1.0},\"service_tier\":\"default\" }",
    ),
    (
        "completions",
        "{\"choices\":[{\"text\":\"\",\"logprobs\":{\"top_logprobs\":[{\"a\":-0.10}]}},{\"text\":\"b\"}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n",
    ),
    ("embeddings", "{\"data\":[{\"embedding\":[1e-7,-0.0,3.1400]}],\"usage\":{\"prompt_tokens\":7,\"total_tokens\":7}}"),
    (
        "responses",
        "{\"status\":\"completed\",\"output\":[{\"type\":\"reasoning\",\"encrypted_content\":\"AA==\",\"summary\":[]},{\"type\":\"x_unknown\",\"v\":1.50}],\"usage\":{\"input_tokens\":7,\"output_tokens\":2}}",
    ),
    (
        "messages",
        "{\"type\":\"message\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"b\":1.0,\"a\":2}}],\"usage\":{\"input_tokens\":7,\"output_tokens\":2,\"service_tier\":\"standard\"}}",
    ),
];

/// Parts that inline what is no text, and parts that point at it.
const VISION: [(&str, &str, &str); 3] = [
    (
        "chat",
        "messages",
        r#"[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}}]}]"#,
    ),
    ("responses", "input", r#"[{"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/a.png"}]}]"#),
    (
        "messages",
        "messages",
        r#"[{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]}]"#,
    ),
];

fn endpoint(name: &str) -> &'static Endpoint {
    ALL.iter().find(|endpoint| endpoint.name == name).expect("an endpoint")
}

/// A body with the fields as they stand, and the script of its answer at the end.
fn body(endpoint: &Endpoint, model: &str, fields: &str, answer: &str) -> String {
    let rest = (endpoint.request)().to_string();
    format!(r#"{{"model":"{model}",{fields},{},"script":{}}}"#, &rest[1..rest.len() - 1], script(&[answer], "end"))
}

#[sqlx::test]
async fn requests_and_answers_are_passed_on_to_the_byte(db: PgPool) {
    let app = TestApp::start(db).await;
    let supplier = Scripted::start(&app).await;
    let customer = app.customer("bytes@example.com", 10_000_000).await;
    let key = app.key(&customer, None).await;
    for (name, what, fields) in FIELDS {
        let endpoint = endpoint(name);
        let answer = ANSWERS.iter().find(|(of, _)| *of == name).expect("an answer").1;
        let reply = app.post_text(endpoint.path, Some(&key.secret), body(endpoint, MODEL, fields, answer)).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, answer), "{name}, {what}");
        // The limit that the request names is affordable, so only the model differs.
        assert_eq!(supplier.last().body, body(endpoint, UPSTREAM_MODEL, fields, answer), "{name}, {what}");
        assert_eq!(supplier.last().path.trim_start_matches("/openai").trim_start_matches("/anthropic"), &endpoint.path[3..]);
    }
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn an_image_is_held_for_although_its_address_is_short(db: PgPool) {
    let app = TestApp::start(db).await;
    let supplier = Scripted::start(&app).await;
    let customer = app.customer("vision@example.com", 10_000_000).await;
    let key = app.key(&customer, None).await;
    for (name, field, parts) in VISION {
        let endpoint = endpoint(name);
        let usage = json!({endpoint.usage[0]: 1_500, endpoint.usage[1]: 2});
        let answer = (endpoint.whole)(Some(usage)).to_string();
        let mut request = endpoint.call(script(&[&answer], "end"));
        request[field] = serde_json::from_str(parts).expect("parts");
        let reply = app.post(endpoint.path, &key.secret, &request).await;
        assert_eq!((reply.status, reply.header("x-toki-charged-tokens")), (200, "1502"), "{name}: {}", reply.text);
        assert!(supplier.last().body.contains("https://example.com/a.png"));
    }
    assert_eq!(app.number("SELECT sum(written_off)::bigint FROM usage_records").await, 0);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn only_permitted_headers_leave(db: PgPool) {
    let app = TestApp::start(db).await;
    let supplier = Scripted::start(&app).await;
    let customer = app.customer("headers@example.com", 10_000_000).await;
    let key = app.key(&customer, None).await;
    let bearer = format!("Bearer {}", key.secret);
    let sent = [
        ("authorization", bearer.as_str()),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "a-2025-01-01,b-2025-01-01"),
        ("x-forwarded-host", "evil.example"),
        ("cookie", "a=b"),
        ("x-stainless-lang", "python"),
        ("openai-organization", "org"),
    ];
    for endpoint in &ALL {
        let answer = (endpoint.whole)(None).to_string();
        app.post_with(endpoint.path, &sent, &endpoint.call(script(&[&answer], "end"))).await;
        let headers = supplier.last().headers;
        let mut names: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        let passed: &[&str] = if endpoint.name == "messages" { &["anthropic-beta", "anthropic-version"] } else { &[] };
        let ours = ["accept", "content-length", "content-type", "host", "user-agent"];
        let mut expected: Vec<&str> = passed.iter().copied().chain(ours).collect();
        expected.sort_unstable();
        assert_eq!(names, expected, "{}", endpoint.name);
    }
    app.stop().await;
}
