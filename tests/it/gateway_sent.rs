//! Calls that fail once their supplier has them: nobody can say what it did, so nobody is asked to send them again.

use crate::gateway_channels::{Way, acme, insert};
use crate::support::app::{TestApp, another_pool};
use crate::support::client::{Answer, chat};
use crate::support::endpoints::ALL;
use crate::support::installation::eventually;
use crate::support::scripted::{MODEL, Scripted, script};
use futures::StreamExt;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

async fn send(app: &TestApp, secret: &str, key: &str, body: &Value) -> Answer {
    app.post_with("/v1/chat/completions", &[("authorization", &format!("Bearer {secret}")), ("idempotency-key", key)], body).await
}

fn told(answer: &Answer) -> (u16, String, String) {
    (answer.status, answer.error("code"), answer.header("x-should-retry").to_string())
}

/// A channel that reads each call to its end and closes the connection; how many it has read.
async fn dying(app: &TestApp, priority: i32) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    insert(app, listener.local_addr().expect("bound"), priority).await;
    let calls = Arc::<AtomicUsize>::default();
    let counted = calls.clone();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            read_whole_call(connection).await;
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    calls
}

/// Up to the brace that ends its body.
async fn read_whole_call(mut connection: TcpStream) {
    let mut call = Vec::new();
    while !(call.ends_with(b"}") && call.windows(4).any(|window| window == b"\r\n\r\n")) {
        assert!(connection.read_buf(&mut call).await.expect("readable") > 0, "closed before the whole call came");
    }
}

#[sqlx::test]
async fn a_connection_that_dies_with_the_call_is_no_reason_to_send_it_again(db: PgPool) {
    let app = TestApp::start(db).await;
    acme(&app).await;
    let (calls, other) = (dying(&app, 1).await, Way::add(&app, 0).await);
    let customer = app.customer("dying@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    let mut streamed = chat(MODEL, "hi");
    streamed["stream"] = json!(true);
    for (n, body) in [chat(MODEL, "hi"), streamed].iter().enumerate() {
        let name = format!("dying-{n}");
        let first = send(&app, &key.secret, &name, body).await;
        assert_eq!(told(&first), (502, "upstream_error".into(), "false".into()), "{}", first.text);
        let again = send(&app, &key.secret, &name, body).await;
        assert_eq!(told(&again), (409, "idempotency_ended".into(), "false".into()));
        assert_eq!((calls.load(Ordering::Relaxed), other.took()), (n + 1, 0), "neither sent again nor to the other channel");
    }
    assert_eq!(app.number("SELECT count(*) FROM usage_records WHERE outcome = 'upstream_cut' AND basis = 'waived'").await, 2);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn without_an_idempotency_key_neither_a_failure_nor_damage_is_tried_again(db: PgPool) {
    let app = TestApp::start(db).await;
    let _supplier = Scripted::start(&app).await;
    let customer = app.customer("damage@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    for (script, code, retry) in [
        (json!({"status": 500}), "upstream_unavailable", "false"),
        (script(&[r#"{"choices":[{"#], "end"), "upstream_error", "false"),
        (script(&[r#"{"error":{"message":"no"}}"#], "end"), "upstream_error", "false"),
    ] {
        let mut body = chat(MODEL, "hi");
        body["script"] = script;
        assert_eq!(told(&app.chat(&key.secret, &body).await), (502, code.into(), retry.into()), "{body}");
    }
    app.assert_exact().await;
    app.stop().await;
}

/// Each status that a supplier may answer with, what the caller is told, and whether clients may send it again by themselves: only where
/// the supplier says that it did not work on it.
const STATUSES: [(u64, u16, &str); 18] = [
    (301, 502, "false"),
    (400, 400, ""),
    (401, 502, ""),
    (402, 502, ""),
    (403, 502, ""),
    (404, 404, ""),
    (405, 502, ""),
    (408, 504, "false"),
    (409, 502, "false"),
    (413, 413, ""),
    (422, 422, ""),
    (429, 429, ""),
    (499, 502, "false"),
    (500, 502, "false"),
    (502, 502, "false"),
    // Of the API itself, as the body says.
    (503, 502, ""),
    (504, 504, "false"),
    (529, 502, ""),
];

#[sqlx::test]
async fn what_a_supplier_may_have_worked_on_is_never_for_clients_to_send_again(db: PgPool) {
    let app = TestApp::start(db).await;
    let supplier = Scripted::start(&app).await;
    let customer = app.customer("statuses@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    let mut calls = Vec::new();
    for endpoint in &ALL {
        for (status, told, retry) in STATUSES {
            let failing = json!({"status": status, "pieces": [r#"{"error":{"message":"no"}}"#]});
            calls.push((endpoint, endpoint.call(failing.clone()), status, told, retry));
            if endpoint.stream.is_some() {
                calls.push((endpoint, endpoint.streamed_call(failing), status, told, retry));
            }
        }
    }
    // A model that fails five times in a row is left alone: each call has one of its own.
    Scripted::add_models(&app, calls.len()).await;
    let made = futures::stream::iter(calls.iter().enumerate()).map(|(n, (endpoint, body, status, told, retry))| {
        let (app, secret, mut body) = (&app, &key.secret, body.clone());
        async move {
            body["model"] = json!(format!("{MODEL}-{n}"));
            let answer = app.post(endpoint.path, secret, &body).await;
            let seen = (answer.status, answer.header("x-should-retry"));
            assert_eq!(seen, (*told, *retry), "{} {status}: {}", endpoint.name, answer.text);
        }
    });
    made.buffer_unordered(8).collect::<Vec<()>>().await;
    assert_eq!(supplier.count(), calls.len(), "each of them was sent once");
    app.assert_exact().await;
    app.stop().await;
}

/// A replica that goes down ends a call that its supplier still works on: it is remembered, and another replica does not send it again.
#[sqlx::test]
async fn a_call_that_a_restart_ended_is_not_sent_again(db: PgPool) {
    let pool = another_pool(&db).await;
    let one = TestApp::start_with(pool, |config| config.drain = Duration::from_millis(300)).await;
    let two = TestApp::start(db).await;
    let supplier = Scripted::start(&one).await;
    let customer = one.customer("restart@example.com", 100_000).await;
    let key = one.key(&customer, None).await;
    let mut body = chat(MODEL, "hi");
    body["script"] = json!({"after_ms": 20_000});
    let goes_down = async {
        eventually("the supplier is asked", async || supplier.count() == 1).await;
        one.state.shutdown.cancel();
    };
    let (first, ()) = tokio::join!(send(&one, &key.secret, "restart", &body), goes_down);
    assert_eq!(told(&first), (503, "service_unavailable".into(), "false".into()), "{}", first.text);
    assert_eq!(first.header("retry-after"), "");
    one.stop().await;
    let again = send(&two, &key.secret, "restart", &body).await;
    assert_eq!((told(&again), supplier.count()), ((409, "idempotency_ended".into(), "false".into()), 1));
    two.assert_exact().await;
    two.stop().await;
}

/// A stream that was sent, and whose key is switched off before it begins.
#[sqlx::test]
async fn a_call_that_was_switched_off_is_not_sent_again_either(db: PgPool) {
    let app = TestApp::start(db).await;
    let supplier = Scripted::start(&app).await;
    let customer = app.customer("switched@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    let body = ALL[0].streamed_call(json!({"after_ms": 5_000}));
    let switched_off = async {
        eventually("the supplier is asked", async || supplier.count() == 1).await;
        app.execute("UPDATE api_keys SET status = 'disabled'").await;
    };
    let (first, ()) = tokio::join!(send(&app, &key.secret, "off", &body), switched_off);
    assert_eq!((first.status, first.error("code").as_str()), (401, "invalid_api_key"), "{}", first.text);
    app.execute("UPDATE api_keys SET status = 'enabled'").await;
    let again = send(&app, &key.secret, "off", &body).await;
    assert_eq!((again.error("code").as_str(), supplier.count()), ("idempotency_ended", 1));
    app.assert_exact().await;
    app.stop().await;
}

/// A response that failed is an answer at OpenAI's: the caller gets it as it is, and pays what it used.
#[sqlx::test]
async fn a_response_that_failed_is_an_answer(db: PgPool) {
    let app = TestApp::start(db).await;
    let _supplier = Scripted::start(&app).await;
    let customer = app.customer("responses@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    let endpoint = ALL.iter().find(|endpoint| endpoint.name == "responses").expect("responses");
    for (usage, charged, basis) in [(json!({"input_tokens": 7, "output_tokens": 2}), "9", "measured"), (Value::Null, "0", "waived")] {
        let error = json!({"code": "server_error", "message": "The model failed."});
        let whole = json!({"object": "response", "status": "failed", "error": error, "output": [], "usage": usage}).to_string();
        let answer = app.post(endpoint.path, &key.secret, &endpoint.call(script(&[&whole], "end"))).await;
        assert_eq!((answer.status, answer.text.as_str(), answer.header("x-toki-charged-tokens")), (200, whole.as_str(), charged));
        let found: (String, String) = sqlx::query_as("SELECT outcome, basis FROM usage_records ORDER BY started_at DESC LIMIT 1")
            .fetch_one(&app.state.db)
            .await
            .expect("a record");
        assert_eq!((found.0.as_str(), found.1.as_str()), ("upstream_cut", basis));
    }
    app.assert_exact().await;
    app.stop().await;
}
