//! The sandbox supplier: a server inside `toki serve --sandbox` that speaks OpenAI's protocol and Anthropic's, deterministic and honest
//! about usage, with models that misbehave on purpose. For tests, and for developers who want to rehearse failures before they meet
//! them.
//!
//! A Token of the sandbox is a word: text is cut behind each run of white space. Beside its protocol's fields a request may carry
//! `"sandbox": {"words": N, "pace_ms": M}`: answer N words instead of an echo, and wait M ms before each of them.

mod answer;
mod anthropic;
mod form;
mod openai;
mod quirk;
mod register;
mod responses;

pub use register::{RegisterError, register};

use crate::suppliers::sandbox::answer::Answer;
use crate::suppliers::sandbox::form::Form;
use crate::suppliers::sandbox::quirk::Quirk;
use crate::suppliers::store::Protocol;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::time::Duration;

/// What the sandbox's channels must present; it proves that channel secrets reach their supplier, and guards nothing.
pub const SECRET: &str = "sk-sandbox-supplier";
/// Where it lives on our own listener, and what it speaks there.
pub const CHANNELS: [(Protocol, &str); 2] = [(Protocol::Openai, "/sandbox/v1"), (Protocol::Anthropic, "/sandbox/anthropic/v1")];

/// Longer than any timeout of a rehearsal; a hanging call ends when the gateway gives up.
const HANG: Duration = Duration::from_secs(3_600);

/// The most that an operator may let callers send.
const MOST_BODY_BYTES: usize = 256 << 20;

pub fn router() -> Router {
    Router::new()
        .route("/sandbox/v1/chat/completions", post(answer).with_state(&openai::CHAT))
        .route("/sandbox/v1/completions", post(answer).with_state(&openai::COMPLETIONS))
        .route("/sandbox/v1/embeddings", post(answer).with_state(&openai::EMBEDDINGS))
        .route("/sandbox/v1/responses", post(answer).with_state(&responses::RESPONSES))
        .route("/sandbox/v1/models", get(models).with_state(&openai::CHAT))
        .route("/sandbox/anthropic/v1/messages", post(answer).with_state(&anthropic::MESSAGES))
        .route("/sandbox/anthropic/v1/models", get(models).with_state(&anthropic::MESSAGES))
        .layer(DefaultBodyLimit::max(MOST_BODY_BYTES))
}

async fn models(State(form): State<&'static Form>, headers: HeaderMap) -> Response {
    if let Some(refusal) = refuse_stranger(form, &headers) {
        return refusal;
    }
    let data: Vec<Value> = Quirk::ALL
        .iter()
        .map(|quirk| json!({"id": quirk.name(), "object": "model", "type": "model", "created": 0, "owned_by": "sandbox"}))
        .collect();
    json_response(StatusCode::OK, &json!({"object": "list", "data": data}))
}

async fn answer(State(form): State<&'static Form>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(refusal) = refuse_stranger(form, &headers) {
        return refusal;
    }
    let failure = |status, kind, message: &str| json_response(status, &(form.failure)(kind, message));
    let answer = match form.answer(&body) {
        Ok(answer) => answer,
        Err(message) => return failure(StatusCode::BAD_REQUEST, "invalid_request_error", &message),
    };
    match answer.quirk {
        Quirk::RateLimited => {
            let mut response = failure(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "The sandbox limits this model on purpose.");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("7"));
            return response;
        }
        Quirk::Error => return failure(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "The sandbox fails on purpose."),
        Quirk::Unauthorized => {
            return failure(StatusCode::UNAUTHORIZED, "invalid_request_error", "The sandbox refuses its own secret on purpose.");
        }
        Quirk::Refuse => {
            return failure(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request_error", "The sandbox refuses this request on purpose.");
        }
        Quirk::Hang => tokio::time::sleep(HANG).await,
        Quirk::Slow => tokio::time::sleep(Duration::from_secs(3)).await,
        _ => {}
    }
    if answer.stream { streamed(form, &answer) } else { whole(form, answer).await }
}

/// The secret as the protocol shows it, and what else the protocol demands.
fn refuse_stranger(form: &Form, headers: &HeaderMap) -> Option<Response> {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let known = match form.protocol {
        Protocol::Openai => value("authorization").and_then(|value| value.strip_prefix("Bearer ")) == Some(SECRET),
        Protocol::Anthropic => value("x-api-key") == Some(SECRET),
    };
    if !known {
        let kind = if form.protocol == Protocol::Openai { "invalid_request_error" } else { "authentication_error" };
        return Some(json_response(StatusCode::UNAUTHORIZED, &(form.failure)(kind, "This is not the sandbox's secret.")));
    }
    let versioned = form.protocol == Protocol::Openai || value("anthropic-version").is_some();
    let missing = || (form.failure)("invalid_request_error", "anthropic-version: header is required");
    (!versioned).then(|| json_response(StatusCode::BAD_REQUEST, &missing()))
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

async fn whole(form: &Form, answer: Answer) -> Response {
    tokio::time::sleep(answer.pace * answer.words.len() as u32).await;
    let body = (form.whole)(&answer);
    match answer.quirk {
        Quirk::Garbage => (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], "{\"choices\": [{\"mess").into_response(),
        Quirk::Cut => broken_body(body.to_string()),
        _ => json_response(StatusCode::OK, &body),
    }
}

/// Half of a body, then a connection that dies.
fn broken_body(body: String) -> Response {
    Response::new(Body::from_stream(async_stream::stream! {
        for step in die_halfway(&body) {
            tokio::time::sleep(BREATH).await;
            yield step;
        }
    }))
}

/// Long enough for what was written before to reach the other side.
const BREATH: Duration = Duration::from_millis(50);

fn die_halfway(text: &str) -> [std::io::Result<Vec<u8>>; 2] {
    let half = text.as_bytes().get(..text.len() / 2).unwrap_or_default().to_vec();
    [Ok(half), Err(std::io::Error::other("cut on purpose"))]
}

fn streamed(form: &Form, answer: &Answer) -> Response {
    let (pace, cut, events) = (answer.pace, answer.quirk == Quirk::Cut, form.events(answer));
    let stream = async_stream::stream! {
        let last = events.len().saturating_sub(1);
        for (n, event) in events.into_iter().enumerate() {
            tokio::time::sleep(pace).await;
            if cut && n == last {
                for step in die_halfway(&event) {
                    yield step;
                    tokio::time::sleep(BREATH).await;
                }
                return;
            }
            yield Ok(event.into_bytes());
        }
    };
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

#[cfg(test)]
mod tests;
