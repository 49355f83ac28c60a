//! Answers clients: authentication, idempotency keys, failures on demand, and which path is which deed.

use super::books::{Books, Refusal};
use super::delivery;
use super::{FakeStripe, Form, Kept, Request, SECRET_KEY, Stall};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use serde_json::{Value, json};

type Answer = (u16, Value);

/// Everything under `/v1`.
pub async fn answer(State(stripe): State<FakeStripe>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_string();
    let text = if method == Method::GET { uri.query().unwrap_or_default().as_bytes() } else { &body[..] };
    let request = Request {
        path: uri.path().trim_start_matches("/v1/").to_string(),
        authorization: header("authorization"),
        idempotency_key: header("idempotency-key"),
        form: url::form_urlencoded::parse(text).into_owned().collect(),
    };
    if method != Method::GET {
        stripe.inner().requests.push(request.clone());
    }
    if request.authorization != format!("Bearer {SECRET_KEY}") {
        return respond((401, error("invalid_request_error", "Invalid API Key provided.", None, None)), false);
    }
    if method == Method::GET {
        let mut inner = stripe.inner();
        if let Some(status) = inner.failed_reads.pop_front() {
            return respond(failed_on_demand(status), false);
        }
        return match inner.failing_reads.get(&request.path) {
            Some(status) => respond(failed_on_demand(*status), false),
            None if inner.forgets_events && request.path == "events" => {
                respond((200, json!({"object": "list", "url": "/v1/events", "has_more": false, "data": []})), false)
            }
            None => respond(outcome(read(&inner.books, &request.path, &request.form)), false),
        };
    }
    write(&stripe, &method, &request).await
}

/// A write, once per idempotency key: a repetition gets the first one's answer, a different request under its key is refused.
async fn write(stripe: &FakeStripe, method: &Method, request: &Request) -> Response {
    let Request { path, idempotency_key: key, form, .. } = request;
    let (failure, work) = {
        let mut inner = stripe.inner();
        match inner.kept.get(key) {
            Some(kept) if kept.path != *path || kept.form != *form => {
                let message = "Keys for idempotent requests can only be used with the same parameters they were first used with.";
                return respond((400, error("idempotency_error", message, None, None)), false);
            }
            Some(Kept { answer: Some(answer), .. }) => return respond(answer.clone(), true),
            Some(Kept { answer: None, .. }) => {
                let message = "There is currently another in-progress request using this Idempotent Key.";
                return respond((409, error("idempotency_error", message, Some("idempotency_key_in_use"), None)), false);
            }
            None => {}
        }
        let failure = inner.failures.pop_front();
        let early = failure.filter(|failure| !failure.done).map(|failure| failed_on_demand(failure.status));
        // A failure of its own is an answer like another; what it has not begun, or never heard of, it takes up anew.
        if !key.is_empty() && early.as_ref().is_none_or(|(status, _)| *status == 500) {
            inner.kept.insert(key.clone(), Kept { path: path.clone(), form: form.clone(), answer: early.clone() });
        }
        if let Some(answer) = early {
            return respond(answer, false);
        }
        (failure, inner.work)
    };
    // Forgotten when the client leaves before the deed, as if the request had never arrived.
    let in_progress = InProgress { stripe, key };
    tokio::time::sleep(work).await;
    released(stripe, Stall::BeforeTheDeed).await;
    let answer = {
        let mut inner = stripe.inner();
        let done = outcome(act_on(&mut inner.books, method, path, form));
        let answer = failure.map_or(done, |failure| failed_on_demand(failure.status));
        inner.post();
        if let Some(kept) = inner.kept.get_mut(key) {
            kept.answer = Some(answer.clone());
        }
        answer
    };
    drop(in_progress);
    released(stripe, Stall::BeforeTheAnswer).await;
    respond(answer, false)
}

struct InProgress<'a> {
    stripe: &'a FakeStripe,
    key: &'a str,
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        let mut inner = self.stripe.inner();
        if inner.kept.get(self.key).is_some_and(|kept| kept.answer.is_none()) {
            inner.kept.remove(self.key);
        }
    }
}

async fn released(stripe: &FakeStripe, here: Stall) {
    let mut stalled = stripe.stalled.subscribe();
    // The sender lives as long as the server.
    let _ = stalled.wait_for(|stall| *stall != Some(here)).await;
}

fn act_on(books: &mut Books, method: &Method, path: &str, form: &Form) -> Result<Value, Refusal> {
    match path.split('/').collect::<Vec<_>>()[..] {
        ["customers", id] if method == Method::DELETE => books.delete_customer(id),
        ["checkout", "sessions"] => books.open_session(form),
        ["checkout", "sessions", id, "expire"] => books.expire(id),
        ["refunds"] => books.refund(form),
        ["customers"] => books.add_customer(form),
        _ => Err(Refusal::unknown_path(path)),
    }
}

fn read(books: &Books, path: &str, form: &Form) -> Result<Value, Refusal> {
    match path.split('/').collect::<Vec<_>>()[..] {
        ["checkout", "sessions", id] => books.get("cs", id),
        ["payment_intents"] => books.list("pi", path, form),
        ["payment_intents", id] => books.get("pi", id),
        ["charges", id] => books.get("ch", id),
        ["refunds", id] => books.get("re", id),
        ["customers", id] => books.get("cus", id),
        ["invoices", id] => books.get("in", id),
        ["disputes", id] => books.get("dp", id),
        ["events", id] => books.get("evt", id),
        ["events"] => books.list("evt", path, form),
        ["refunds"] => books.list("re", path, form),
        ["checkout", "sessions"] => books.list("cs", path, form),
        _ => Err(Refusal::unknown_path(path)),
    }
}

fn outcome(result: Result<Value, Refusal>) -> Answer {
    match result {
        Ok(object) => (200, object),
        Err(refusal) => (refusal.status, error("invalid_request_error", &refusal.message, refusal.code, refusal.param)),
    }
}

fn error(kind: &str, message: &str, code: Option<&str>, param: Option<&str>) -> Value {
    json!({"error": {"type": kind, "message": message, "code": code, "param": param}})
}

fn failed_on_demand(status: u16) -> Answer {
    (status, error("api_error", "It fails on demand.", None, None))
}

fn respond((status, body): Answer, replayed: bool) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    let replayed = if replayed { "true" } else { "false" };
    (status, [("request-id", "req_fake"), ("idempotent-replayed", replayed)], Json(body)).into_response()
}

/// Everything under `/fake`: what clients in other languages have happen.
pub async fn act(State(stripe): State<FakeStripe>, uri: Uri, headers: HeaderMap, body: String) -> Response {
    match uri.path().trim_start_matches("/fake/").split('/').collect::<Vec<_>>()[..] {
        ["pay", session_id] => stripe.complete(session_id, true),
        // By a method that takes days, and what the bank makes of it.
        ["begin", session_id] => stripe.complete(session_id, false),
        ["refuse", session_id] => stripe.settle_payment(session_id, false),
        // The next that is asked for is not answered.
        ["fail_read", status] => stripe.inner().failed_reads.extend(status.parse::<u16>()),
        // The oldest event that is to be delivered, as it would be.
        ["event"] => {
            let event = stripe.inner().outbox.remove(0).to_string();
            return ([("stripe-signature", delivery::signature(&event))], event).into_response();
        }
        // Whether our webhook would take it.
        ["verify"] => {
            let header = headers.get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
            return if delivery::is_accepted(header, &body) { StatusCode::OK } else { StatusCode::BAD_REQUEST }.into_response();
        }
        _ => return StatusCode::NOT_FOUND.into_response(),
    }
    StatusCode::OK.into_response()
}
