//! The error table of `/v1`, as a caller meets it.

use crate::support::app::TestApp;
use crate::support::client::{Answer, chat};
use serde_json::json;
use sqlx::PgPool;
use toki::ids::RequestId;

/// What stands on every reply.
fn assert_named_and_timed(answer: &Answer) {
    assert!(answer.header("x-request-id").parse::<RequestId>().is_ok(), "{:?}", answer.headers);
    assert!(answer.header("openai-processing-ms").parse::<u64>().is_ok(), "{:?}", answer.headers);
}

fn row(answer: &Answer) -> String {
    let error = answer.json()["error"].clone();
    assert_eq!(error.as_object().map(|fields| fields.len()), Some(4), "all four fields, always: {error}");
    assert_named_and_timed(answer);
    format!("{} {} {} {}", answer.status, answer.error("type"), answer.error("param"), answer.error("code"))
}

#[sqlx::test]
async fn keys_that_may_not_call(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("keys@example.com", 1_000_000).await;
    let key = app.key(&customer, None).await;
    let body = chat("sandbox/echo", "hi");
    let unauthorized = "401 invalid_request_error null invalid_api_key";

    let without = app.post_text("/v1/chat/completions", None, body.to_string()).await;
    assert_eq!((row(&without).as_str(), without.header("www-authenticate")), (unauthorized, "Bearer"));
    let malformed = app.chat("sk-toki-nonsense", &body).await;
    let unknown = app.chat(toki::keys::secret::KeySecret::generate().expose(), &body).await;
    assert_eq!((row(&malformed).as_str(), row(&unknown).as_str()), (unauthorized, unauthorized));
    assert_eq!((&malformed.text, &unknown.text), (&without.text, &without.text));
    // A caller without a valid key learns nothing else first.
    let unknown_and_bad = app.post_text("/v1/chat/completions", Some(toki::keys::secret::KeySecret::generate().expose()), "{".into()).await;
    assert_eq!(row(&unknown_and_bad), unauthorized);

    app.execute("UPDATE api_keys SET status = 'disabled'").await;
    let disabled = app.chat(&key.secret, &body).await;
    assert!(row(&disabled) == unauthorized && disabled.error("message").contains("disabled"));
    app.execute("UPDATE api_keys SET status = 'enabled', expires_at = now() - interval '1 second'").await;
    let expired = app.chat(&key.secret, &body).await;
    assert!(row(&expired) == unauthorized && expired.error("message").contains("expired"));
    app.execute("UPDATE api_keys SET expires_at = NULL").await;
    app.execute("UPDATE accounts SET suspended_at = now()").await;
    assert_eq!(row(&app.chat(&key.secret, &body).await), "403 permission_error null account_suspended");
    app.execute("UPDATE accounts SET suspended_at = NULL").await;
    app.execute("UPDATE api_keys SET status = 'deleted', deleted_at = now()").await;
    let deleted = app.chat(&key.secret, &body).await;
    assert_eq!((row(&deleted).as_str(), &deleted.text), (unauthorized, &unknown.text));
    assert_eq!(app.number("SELECT count(*) FROM usage_records").await, 0);
    app.stop().await;
}

#[sqlx::test]
async fn requests_that_cannot_be_served(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("bad@example.com", 1_000_000).await;
    let key = app.key(&customer, None).await;
    let mut rows = Vec::new();
    for (case, body) in [
        ("not JSON", "{".to_string()),
        ("not an object", "[]".into()),
        ("no model", r#"{"messages":[{"role":"user","content":"x"}]}"#.into()),
        ("no messages", r#"{"model":"sandbox/echo"}"#.into()),
        ("unknown model", chat("sandbox/none", "x").to_string()),
        ("NUL in model", r#"{"model":"a\u0000b","messages":[{}]}"#.into()),
        ("bad n", r#"{"model":"sandbox/echo","messages":[{}],"n":0}"#.into()),
        ("field twice", r#"{"model":"sandbox/echo","model":"x","messages":[{}]}"#.into()),
        ("another spelling", r#"{"model":"sandbox/echo","messages":[{"content":"x"}],"MODEL":"sandbox/slow"}"#.into()),
        ("another limit", r#"{"model":"sandbox/echo","messages":[{"content":"x"}],"max_tokens":1,"n_predict":100000}"#.into()),
        ("deep JSON", format!(r#"{{"model":"sandbox/echo","messages":[{}{}]}}"#, "[".repeat(100_000), "]".repeat(100_000))),
        ("too large", format!(r#"{{"model":"sandbox/echo","messages":[{{"content":"{}"}}]}}"#, "x".repeat(17 << 20))),
    ] {
        let answer = app.post_text("/v1/chat/completions", Some(&key.secret), body).await;
        rows.push(format!("{case}: {}", row(&answer)));
    }
    insta::assert_snapshot!(rows.join("\n"), @r"
    not JSON: 400 invalid_request_error null invalid_json
    not an object: 400 invalid_request_error null invalid_json
    no model: 400 invalid_request_error model null
    no messages: 400 invalid_request_error messages null
    unknown model: 404 invalid_request_error model model_not_found
    NUL in model: 400 invalid_request_error model null
    bad n: 400 invalid_request_error n null
    field twice: 400 invalid_request_error model null
    another spelling: 400 invalid_request_error model null
    another limit: 400 invalid_request_error n_predict null
    deep JSON: 400 invalid_request_error null invalid_json
    too large: 413 invalid_request_error null request_too_large
    ");
    app.assert_exact().await;
    app.stop().await;
}

/// JSON and addresses can say NUL, and no text of Postgres can: what says it where a text of ours would be is told so, and is no failure
/// of the database. What the model reads may hold whatever JSON can.
#[sqlx::test]
async fn a_nul_is_refused_where_it_cannot_be_and_passed_on_elsewhere(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("nul@example.com", 1_000_000).await;
    let key = app.key(&customer, None).await;
    for (path, rest) in [
        ("/v1/chat/completions", json!({"messages": [{"role": "user", "content": "x"}]})),
        ("/v1/completions", json!({"prompt": "x"})),
        ("/v1/embeddings", json!({"input": "x"})),
        ("/v1/responses", json!({"input": "x"})),
        ("/v1/messages", json!({"messages": [{"role": "user", "content": "x"}], "max_tokens": 5})),
    ] {
        for model in ["\0", "sandbox/echo\0", "sandbox/\0echo"] {
            let mut body = rest.clone();
            body["model"] = json!(model);
            let answer = app.post(path, &key.secret, &body).await;
            assert_eq!((answer.status, answer.error("type").as_str()), (400, "invalid_request_error"), "{path}: {}", answer.text);
            if path != "/v1/messages" {
                assert_eq!(row(&answer), "400 invalid_request_error model null", "{path}");
            }
        }
    }
    for model in ["%00", "sandbox/echo%00", "sandbox/%00echo"] {
        let answer = app.get(&format!("/v1/models/{model}"), &key.secret).await;
        assert_eq!(row(&answer), "404 invalid_request_error model model_not_found", "{model}");
    }
    let receipt = app.get("/v1/receipts/%00", &key.secret).await;
    assert_eq!(row(&receipt), "404 invalid_request_error null receipt_not_found");

    let answer = app.chat(&key.secret, &chat("sandbox/echo", "a\0b")).await;
    assert_eq!((answer.status, &answer.json()["choices"][0]["message"]["content"]), (200, &json!("a\0b")), "{}", answer.text);
    app.assert_exact().await;
    assert_eq!(app.number("SELECT count(*) FROM usage_records").await, 1);
    app.stop().await;
}

#[sqlx::test]
async fn unknown_paths_and_methods_are_answered_in_json(db: PgPool) {
    let app = TestApp::start(db).await;
    for path in ["/v1/nothing", "/v1", "/v1/", "/v1/chat", "/v1/chat/completions/x"] {
        assert_eq!(row(&app.post(path, "x", &json!({})).await), "404 invalid_request_error null unknown_url", "{path}");
    }
    for path in ["/v1/models/%ff", "/v1/receipts/%ff"] {
        assert_eq!(row(&app.get(path, "x").await), "404 invalid_request_error null unknown_url", "{path}");
    }
    let wrong = app.get("/v1/chat/completions", "x").await;
    assert_eq!((row(&wrong).as_str(), wrong.header("allow")), ("405 invalid_request_error null method_not_allowed", "POST"));
    assert_eq!(row(&app.post("/v1/models", "x", &json!({})).await), "405 invalid_request_error null method_not_allowed");
    app.stop().await;
}

#[sqlx::test]
async fn every_reply_says_which_it_is_and_how_long_it_took(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("named@example.com", 1_000_000).await;
    let key = app.key(&customer, None).await;
    for stream in [false, true] {
        let mut body = chat("sandbox/echo", "hi");
        body["stream"] = json!(stream);
        let answer = app.chat(&key.secret, &body).await;
        assert_eq!(answer.status, 200);
        assert_named_and_timed(&answer);
        app.until_settled().await;
        let receipt = app.get(&format!("/v1/receipts/{}", answer.header("x-request-id")), &key.secret).await;
        assert_eq!(receipt.status, 200, "{}", receipt.text);
        assert_named_and_timed(&receipt);
    }
    for path in ["/v1/models", "/v1/models/sandbox/echo", "/v1/key", "/v1/nothing"] {
        assert_named_and_timed(&app.get(path, &key.secret).await);
    }
    // One that is refused before a handler sees it.
    let compressed = app.post_with("/v1/chat/completions", &[("content-encoding", "gzip")], &json!({})).await;
    assert_eq!(row(&compressed), "415 invalid_request_error null unsupported_encoding");
    app.stop().await;
}

#[sqlx::test]
async fn wallet_and_quota_run_out_with_different_words(db: PgPool) {
    let app = TestApp::start(db).await;
    let (poor, rich) = (app.customer("poor@example.com", 5).await, app.customer("rich@example.com", 1_000_000).await);
    let (poor_key, small_key) = (app.key(&poor, None).await, app.key(&rich, Some(5)).await);
    for (key, says) in [(poor_key, "wallet"), (small_key, "/keys")] {
        let answer = app.chat(&key.secret, &chat("sandbox/echo", "hello")).await;
        assert_eq!(row(&answer), "429 insufficient_quota null insufficient_quota");
        assert!(answer.error("message").contains(says) && answer.header("x-should-retry") == "false", "{}", answer.text);
        assert!(answer.error("message").contains(&app.url("/products")), "where to buy: {}", answer.text);
    }
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn without_the_database_nothing_is_sent(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("down@example.com", 1_000).await;
    let key = app.key(&customer, None).await;
    app.lose_database().await;
    let answer = app.chat(&key.secret, &chat("sandbox/echo", "hi")).await;
    assert_eq!(row(&answer), "503 server_error null service_unavailable");
    assert_eq!(row(&app.get("/v1/models", &key.secret).await), "503 server_error null service_unavailable");
    let malformed = app.chat("sk-toki-nonsense", &chat("sandbox/echo", "hi")).await;
    assert_eq!(row(&malformed), "401 invalid_request_error null invalid_api_key", "it is not asked about");
    app.stop().await;
}

#[sqlx::test]
async fn models_are_those_the_key_may_use(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("models@example.com", 0).await;
    let key = app.key(&customer, None).await;
    let list = app.get("/v1/models", &key.secret).await.json();
    assert_eq!(list["object"], "list");
    let echo =
        list["data"].as_array().and_then(|models| models.iter().find(|model| model["id"] == "sandbox/echo")).expect("listed").clone();
    assert!(echo["object"] == "model" && echo["owned_by"] == "sandbox" && echo["created"].is_i64());
    assert_eq!(app.get("/v1/models/sandbox/echo", &key.secret).await.json(), echo);
    assert_eq!(row(&app.get("/v1/models/sandbox/none", &key.secret).await), "404 invalid_request_error model model_not_found");
    app.execute("UPDATE models SET status = 'disabled' WHERE model_id = 'sandbox/echo'").await;
    assert_eq!(app.get("/v1/models/sandbox/echo", &key.secret).await.status, 404);
    app.execute("UPDATE channels SET status = 'disabled'").await;
    assert_eq!(app.get("/v1/models", &key.secret).await.json()["data"], json!([]), "nothing can be called");
    for answer in [app.get("/v1/models/sandbox/slow", &key.secret).await, app.chat(&key.secret, &chat("sandbox/slow", "hi")).await] {
        assert_eq!(row(&answer), "404 invalid_request_error model model_not_found");
    }
    app.execute("UPDATE channels SET status = 'enabled'").await;
    assert_eq!(app.get("/v1/models/sandbox/slow", &key.secret).await.status, 200);
    app.execute("UPDATE suppliers SET status = 'disabled'").await;
    assert_eq!(app.get("/v1/models", &key.secret).await.json()["data"], json!([]));
    assert_eq!(app.get("/v1/models", "sk-toki-x").await.status, 401);
    app.stop().await;
}
