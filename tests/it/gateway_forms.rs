//! In which form a call is sent: OpenAI's newer models refuse `max_tokens`, which everybody else knows, and Mistral refuses that a stream
//! be asked for its usage. Callers who leave both to us must not learn of it.

use crate::gateway_channels::{acme, insert};
use crate::support::app::TestApp;
use crate::support::client::chat;
use crate::support::scripted::MODEL;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

const USUAL: &str = "max_tokens";
const NEWER: &str = "max_completion_tokens";
const OPTIONS: &str = "stream_options";

/// A model that refuses one field.
#[derive(Clone)]
struct Model {
    refuses: Arc<Mutex<&'static str>>,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Model {
    async fn start(app: &TestApp) -> Model {
        acme(app).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        insert(app, listener.local_addr().expect("bound"), 0).await;
        let model = Model { refuses: Arc::new(Mutex::new(USUAL)), seen: Arc::default() };
        let router = Router::new().fallback(answer).with_state(model.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        model
    }

    fn refuse(&self, name: &'static str) {
        *self.refuses.lock().unwrap_or_else(PoisonError::into_inner) = name;
    }

    /// The bodies of the calls since the last look.
    fn seen(&self) -> Vec<Value> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Their limits, by either name.
    fn took(&self) -> Vec<[Option<i64>; 2]> {
        self.seen().iter().map(|body| [USUAL, NEWER].map(|name| body[name].as_i64())).collect()
    }
}

async fn answer(State(model): State<Model>, Json(body): Json<Value>) -> Response {
    let refuses = *model.refuses.lock().unwrap_or_else(PoisonError::into_inner);
    let (refused, streamed) = (body.get(refuses).is_some(), body["stream"] == true);
    model.seen.lock().unwrap_or_else(PoisonError::into_inner).push(body);
    if refused && refuses == OPTIONS {
        let error = json!({"type": "extra_forbidden", "loc": ["body", OPTIONS, "include_usage"], "msg": "Extra inputs are not permitted"});
        let error = json!({"object": "error", "message": {"detail": [error]}, "type": "invalid_request_error"});
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(error)).into_response();
    }
    if refused {
        let message = format!("Unsupported parameter: '{refuses}' is not supported with this model.");
        let error = json!({"message": message, "type": "invalid_request_error", "param": refuses, "code": "unsupported_parameter"});
        return (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response();
    }
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    if streamed {
        let chunk = json!({"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}], "usage": usage});
        return ([(CONTENT_TYPE, "text/event-stream")], format!("data: {chunk}\n\ndata: [DONE]\n\n")).into_response();
    }
    let choice = json!({"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"});
    Json(json!({"object": "chat.completion", "choices": [choice], "usage": usage})).into_response()
}

#[sqlx::test]
async fn who_sets_no_limit_is_served_by_either_kind_of_model(db: PgPool) {
    let app = TestApp::start(db).await;
    let model = Model::start(&app).await;
    let customer = app.customer("names@example.com", 1_000_000).await;
    let key = app.key(&customer, None).await;
    let (usual, newer) = ([Some(4_000_i64), None], [None, Some(4_000_i64)]);
    let unlimited = chat(MODEL, "hi");
    for (refused, calls) in [
        (USUAL, vec![usual, newer]),
        // What was learnt is known at once,
        (USUAL, vec![newer]),
        // and forgotten when the model has changed its mind.
        (NEWER, vec![newer, usual]),
        (NEWER, vec![usual]),
    ] {
        model.refuse(refused);
        let answer = app.chat(&key.secret, &unlimited).await;
        assert_eq!((answer.status, answer.header("x-toki-charged-tokens")), (200, "5"), "{}", answer.text);
        assert_eq!(model.took(), calls, "{refused}");
    }
    assert_eq!(app.number("SELECT count(*) FROM usage_records").await, 4, "one record a call, however often it was asked");
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn who_names_the_limit_reads_the_refusal(db: PgPool) {
    let app = TestApp::start(db).await;
    let model = Model::start(&app).await;
    let customer = app.customer("named@example.com", 1_000_000).await;
    let key = app.key(&customer, None).await;
    let mut named = chat(MODEL, "hi");
    named[USUAL] = json!(9);
    let answer = app.chat(&key.secret, &named).await;
    assert_eq!((answer.status, answer.error("code"), answer.error("param")), (400, "unsupported_parameter".into(), USUAL.into()));
    assert_eq!(model.took(), [[Some(9), None]]);
    // The other endpoints know one name only.
    let completion = app.post("/v1/completions", &key.secret, &json!({"model": MODEL, "prompt": "hi"})).await;
    assert_eq!((completion.status, completion.error("param")), (400, USUAL.into()));
    assert_eq!(model.took().len(), 1);
    // Nor is there a third try.
    model.refuse("model");
    assert_eq!(app.chat(&key.secret, &chat(MODEL, "hi")).await.error("param"), "model");
    assert_eq!(model.took().len(), 1);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn a_supplier_that_refuses_to_be_asked_reports_the_usage_of_a_stream_all_the_same(db: PgPool) {
    let app = TestApp::start(db).await;
    let model = Model::start(&app).await;
    model.refuse(OPTIONS);
    let customer = app.customer("unasked@example.com", 1_000_000).await;
    let key = app.key(&customer, None).await;
    let mut streamed = chat(MODEL, "hi");
    streamed["stream"] = json!(true);
    // Refused once, and known from then on.
    for (options, asked) in [(Value::Null, vec![true, false]), (json!({"include_usage": true}), vec![false])] {
        streamed[OPTIONS] = options;
        let answer = app.chat(&key.secret, &streamed).await;
        assert_eq!((answer.status, answer.text.contains("[DONE]")), (200, true), "{}", answer.text);
        assert_eq!(model.seen().iter().map(|body| body.get(OPTIONS).is_some()).collect::<Vec<_>>(), asked);
    }
    assert_eq!(app.number("SELECT count(*) FROM usage_records WHERE basis = 'measured' AND charge = 5").await, 2);
    // Whoever says more about the stream reads the refusal.
    streamed[OPTIONS] = json!({"include_usage": true, "include_obfuscation": false});
    let refused = app.chat(&key.secret, &streamed).await;
    assert_eq!((refused.status, model.seen().len()), (422, 1), "{}", refused.text);
    assert!(refused.text.contains("stream_options.include_usage: Extra inputs are not permitted"), "{}", refused.text);
    app.assert_exact().await;
    app.stop().await;
}
