//! The sandbox supplier: an OpenAI-compatible server inside `toki serve --sandbox`, deterministic and honest about usage, with
//! models that misbehave on purpose. For tests, and for developers who want to rehearse failures before they meet them.
//!
//! A Token of the sandbox is a word: text is cut behind each run of white space. Beside OpenAI's fields a request may carry
//! `"sandbox": {"words": N, "pace_ms": M}`: answer N words instead of an echo, and wait M ms before each of them.

mod answer;
mod register;

pub use register::{RegisterError, register};

use crate::suppliers::sandbox::answer::{Prepared, Quirk};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::time::Duration;

/// What the sandbox's channel must present; it proves that channel secrets reach their supplier, and guards nothing.
pub const SECRET: &str = "sk-sandbox-supplier";
/// Where it lives on our own listener.
pub const PATH: &str = "/sandbox/v1";

/// Longer than any timeout of a rehearsal; a hanging call ends when the gateway gives up.
const HANG: Duration = Duration::from_secs(3_600);

pub fn router() -> Router {
    Router::new().route("/sandbox/v1/chat/completions", post(chat_completions)).route("/sandbox/v1/models", get(models))
}

async fn models(headers: HeaderMap) -> Response {
    if let Some(refusal) = refuse_stranger(&headers) {
        return refusal;
    }
    let data: Vec<Value> =
        Quirk::ALL.iter().map(|quirk| json!({"id": quirk.name(), "object": "model", "created": 0, "owned_by": "sandbox"})).collect();
    json_response(StatusCode::OK, &json!({"object": "list", "data": data}))
}

async fn chat_completions(headers: HeaderMap, body: Bytes) -> Response {
    if let Some(refusal) = refuse_stranger(&headers) {
        return refusal;
    }
    let prepared = match Prepared::from_request(&body) {
        Ok(prepared) => prepared,
        Err(message) => return failure(StatusCode::BAD_REQUEST, "invalid_request_error", &message),
    };
    match prepared.quirk {
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
    if prepared.stream { streamed(prepared) } else { whole(prepared).await }
}

fn refuse_stranger(headers: &HeaderMap) -> Option<Response> {
    let presented = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    (presented != Some(&format!("Bearer {SECRET}")))
        .then(|| failure(StatusCode::UNAUTHORIZED, "invalid_request_error", "This is not the sandbox's secret."))
}

fn failure(status: StatusCode, kind: &str, message: &str) -> Response {
    json_response(status, &json!({"error": {"message": message, "type": kind, "param": null, "code": null}}))
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

async fn whole(prepared: Prepared) -> Response {
    tokio::time::sleep(prepared.pace * prepared.words.len() as u32).await;
    match prepared.quirk {
        Quirk::Garbage => (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], "{\"choices\": [{\"mess").into_response(),
        Quirk::Cut => broken_body(prepared.completion().to_string()),
        _ => json_response(StatusCode::OK, &prepared.completion()),
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

fn streamed(prepared: Prepared) -> Response {
    let pace = prepared.pace;
    let cut = prepared.quirk == Quirk::Cut;
    let events = prepared.events();
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
