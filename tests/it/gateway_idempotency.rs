//! `Idempotency-Key`: what is sent twice reaches the supplier once and is charged once.

use crate::support::app::{TestApp, another_pool};
use crate::support::client::{Answer, chat};
use crate::support::endpoints::ALL;
use crate::support::scripted::{MODEL, Scripted, script};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::Duration;

/// A whole answer of 3 + 2 Tokens.
const WHOLE: &str = r#"{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;

/// For triggers that take a second over each row.
const SLOWLY: &str =
    "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN coalesce(NEW, OLD); END'";

fn call(script: Value) -> Value {
    let mut body = chat(MODEL, "hi");
    body["script"] = script;
    body
}

async fn send(app: &TestApp, secret: &str, key: &str, body: &Value) -> Answer {
    app.post_with("/v1/chat/completions", &[("authorization", &format!("Bearer {secret}")), ("idempotency-key", key)], body).await
}

#[sqlx::test]
async fn a_call_that_is_sent_again_is_answered_and_not_repeated(db: PgPool) {
    let (one, two) = (TestApp::start(another_pool(&db).await).await, TestApp::start(db).await);
    let supplier = Scripted::start(&one).await;
    let customer = one.customer("twice@example.com", 100_000).await;
    let (key, other) = (one.key(&customer, None).await, one.key(&customer, None).await);
    let body = call(script(&[WHOLE], "end"));
    let first = send(&one, &key.secret, "a", &body).await;
    assert_eq!((first.status, first.text.as_str(), first.header("idempotent-replayed")), (200, WHOLE, ""));
    // Whatever has become of the wallet meanwhile.
    one.execute("UPDATE grants SET expires_at = clock_timestamp()").await;
    for app in [&one, &two] {
        let again = send(app, &key.secret, "a", &body).await;
        assert_eq!((again.status, again.text.as_str(), again.header("idempotent-replayed")), (200, WHOLE, "true"));
        assert_eq!(again.header("x-toki-original-request-id"), first.header("x-request-id"));
        assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
        assert_eq!([&first, &again].map(|answer| answer.header("x-toki-charged-tokens")), ["5", ""], "it is charged once");
    }
    let another = send(&one, &key.secret, "a", &call(script(&[WHOLE], "cut"))).await;
    assert_eq!((another.status, another.error("code").as_str()), (422, "idempotency_mismatch"));
    assert_eq!(another.header("x-should-retry"), "false");
    assert_eq!(send(&one, &other.secret, "a", &body).await.error("code"), "insufficient_quota", "another key is another caller");
    assert_eq!((supplier.count(), one.number("SELECT spent FROM api_keys ORDER BY spent DESC LIMIT 1").await), (1, 5));

    one.execute("UPDATE api_keys SET status = 'disabled'").await;
    assert_eq!(send(&one, &key.secret, "a", &body).await.error("code"), "invalid_api_key", "an answer is for a key that works");
    one.assert_exact().await;
    one.stop().await;
    two.stop().await;
}

#[sqlx::test]
async fn of_many_at_once_one_reaches_the_supplier(db: PgPool) {
    let (one, two) = (TestApp::start(another_pool(&db).await).await, TestApp::start(db).await);
    let supplier = Scripted::start(&one).await;
    let customer = one.customer("burst@example.com", 100_000).await;
    let key = one.key(&customer, None).await;
    let mut slow = script(&[WHOLE], "end");
    slow["after_ms"] = json!(700);
    let body = call(slow);
    let sent = (0..40).map(|n| send(if n % 2 == 0 { &one } else { &two }, &key.secret, "burst", &body));
    let answers = futures::future::join_all(sent).await;
    assert_eq!(supplier.count(), 1);
    let first = answers.iter().filter(|answer| answer.status == 200 && answer.header("idempotent-replayed").is_empty()).count();
    assert_eq!(first, 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!((answer.status, answer.error("code").as_str(), answer.header("retry-after")), (409, "idempotency_in_flight", "1"));
    }
    assert_eq!(send(&two, &key.secret, "burst", &body).await.text, WHOLE);
    one.assert_exact().await;
    assert_eq!(one.number("SELECT spent FROM api_keys").await, 5);
    one.stop().await;
    two.stop().await;
}

/// Between the settlement of a call and the moment in which its answer is there to be given again is no gap.
#[sqlx::test]
async fn whoever_asks_while_it_is_settled_gets_the_answer(db: PgPool) {
    let app = TestApp::start(db).await;
    let _supplier = Scripted::start(&app).await;
    let customer = app.customer("gap@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    app.execute(SLOWLY).await;
    app.execute("CREATE TRIGGER slowly BEFORE UPDATE ON idempotent_calls FOR EACH ROW EXECUTE FUNCTION slowly()").await;
    let body = call(script(&[WHOLE], "end"));
    let again = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let answer = send(&app, &key.secret, "gap", &body).await;
            if answer.status != 409 || answer.error("code") != "idempotency_in_flight" {
                return answer;
            }
        }
    };
    let (first, again) = tokio::join!(send(&app, &key.secret, "gap", &body), again);
    assert_eq!((first.status, again.status, again.text.as_str()), (200, 200, WHOLE), "{}", again.text);
    app.assert_exact().await;
    app.stop().await;
}

/// What may be sent again under the same key after it failed, and what may not: how the first call ends, and whether the second
/// reaches the supplier.
#[sqlx::test]
async fn a_failure_is_repeated_only_where_nothing_was_worked_on(db: PgPool) {
    let app = TestApp::start_with(db, |config| config.upstream.total = Duration::from_secs(8)).await;
    let supplier = Scripted::start(&app).await;
    let customer = app.customer("failed@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    for (name, script, status, reaches) in [
        ("refused", json!({"status": 400}), 400, true),
        ("unknown", json!({"status": 404}), 404, true),
        ("limited", json!({"status": 429}), 429, true),
        ("unpaid", json!({"status": 402}), 502, true),
        ("overloaded", json!({"status": 503}), 502, true),
        ("failed", json!({"status": 500}), 502, false),
        ("garbage", script(&[&WHOLE[..40]], "end"), 502, false),
        ("long", script(&[&WHOLE.replace("Hi", &"Hi ".repeat(400_000))], "end"), 200, false),
        ("error", script(&[r#"{"error":{"message":"no"}}"#], "end"), 502, false),
        ("cut", script(&[&WHOLE[..40]], "cut"), 502, false),
        ("silent", script(&[], "hang"), 504, false),
    ] {
        let body = call(script);
        let before = supplier.count();
        let first = send(&app, &key.secret, name, &body).await;
        assert_eq!(first.status, status, "{name}: {}", first.text);
        // Whoever could only be told that the call has ended is not asked to come back.
        let come_back = if reaches || status == 200 { "" } else { "false" };
        assert_eq!(first.header("x-should-retry"), come_back, "{name}");
        let again = send(&app, &key.secret, name, &body).await;
        assert_eq!(supplier.count() - before, if reaches { 2 } else { 1 }, "{name}: {} {}", again.status, again.text.len());
        if !reaches {
            let told = (again.status, again.error("code"), again.header("x-should-retry").to_string());
            assert_eq!(told, (409, "idempotency_ended".into(), "false".into()), "{name}");
        }
    }
    app.assert_exact().await;
    app.stop().await;
}

/// Nobody who sends it again meets a call that holds nothing any more and yet is said to run.
#[sqlx::test]
async fn what_failed_is_forgotten_before_its_hold_goes_back(db: PgPool) {
    let app = TestApp::start(db).await;
    let supplier = Scripted::start(&app).await;
    let customer = app.customer("order@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    app.execute(SLOWLY).await;
    app.execute("CREATE TRIGGER slowly BEFORE DELETE ON holds FOR EACH ROW EXECUTE FUNCTION slowly()").await;
    let body = call(json!({"status": 429}));
    let again = async {
        app.until("SELECT count(*) FROM holds", |holds| holds == 1).await;
        app.until("SELECT count(*) FROM idempotent_calls", |calls| calls == 0).await;
        assert_eq!(app.number("SELECT count(*) FROM holds").await, 1, "the first still holds");
        send(&app, &key.secret, "order", &body).await
    };
    let (first, again) = tokio::join!(send(&app, &key.secret, "order", &body), again);
    assert_eq!((first.status, again.status, supplier.count()), (429, 429, 2), "{} {}", first.text, again.text);
    app.assert_exact().await;
    app.stop().await;
}

/// A key of whose calls as many answers are kept as may be is served all the same.
#[sqlx::test]
async fn what_is_kept_of_a_key_is_bounded(db: PgPool) {
    let app = TestApp::start(db).await;
    let supplier = Scripted::start(&app).await;
    let customer = app.customer("bounded@example.com", 100_000).await;
    let (full, other) = (app.key(&customer, None).await, app.key(&customer, None).await);
    app.execute(
        "INSERT INTO kept_answers (key_id, hour, bytes)
         SELECT key_id, date_trunc('hour', now(), 'UTC'), 64 << 20 FROM api_keys ORDER BY created_at LIMIT 1",
    )
    .await;
    let body = call(script(&[WHOLE], "end"));
    for (key, status) in [(&full, 409), (&other, 200)] {
        let first = send(&app, &key.secret, "a", &body).await;
        assert_eq!((first.status, first.text.as_str()), (200, WHOLE));
        let again = send(&app, &key.secret, "a", &body).await;
        assert_eq!(again.status, status, "{}", again.text);
    }
    assert_eq!((supplier.count(), app.number("SELECT sum(spent)::bigint FROM api_keys").await), (2, 10));
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn a_stream_is_not_repeated_and_not_answered_again(db: PgPool) {
    let app = TestApp::start(db).await;
    let supplier = Scripted::start(&app).await;
    let customer = app.customer("streams@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    for endpoint in ALL.iter().filter(|endpoint| endpoint.path != "/v1/embeddings") {
        let body = endpoint.streamed_call(script(&[], "end"));
        let headers = [("authorization", &*format!("Bearer {}", key.secret)), ("idempotency-key", endpoint.path)];
        let before = supplier.count();
        assert_eq!(app.post_with(endpoint.path, &headers, &body).await.status, 200, "{}", endpoint.path);
        let again = app.post_with(endpoint.path, &headers, &body).await;
        assert_eq!((again.status, supplier.count() - before), (409, 1), "{}", endpoint.path);
    }
    app.execute("UPDATE idempotent_calls SET created_at = created_at - interval '25 hours'").await;
    let endpoint = &ALL[0];
    let headers = [("authorization", &*format!("Bearer {}", key.secret)), ("idempotency-key", endpoint.path)];
    assert_eq!(app.post_with(endpoint.path, &headers, &endpoint.streamed_call(script(&[], "end"))).await.status, 200, "a day is over");
    let bad = [("authorization", &*format!("Bearer {}", key.secret)), ("idempotency-key", "two words")];
    assert_eq!(app.post_with(endpoint.path, &bad, &endpoint.call(script(&[WHOLE], "end"))).await.error("param"), "Idempotency-Key");
    app.assert_exact().await;
    app.stop().await;
}
