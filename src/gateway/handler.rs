//! `POST /v1/chat/completions`: the whole call as one story.

use crate::gateway::Gateway;
use crate::gateway::auth;
use crate::gateway::call::Call;
use crate::gateway::error::GatewayError;
use crate::gateway::models;
use crate::gateway::relay;
use crate::gateway::upstream::failure_of;
use crate::gateway::wire::chat::ChatRequest;
use crate::ids::RequestId;
use crate::wallet::ledger::Outcome;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// Larger bodies are refused with 413.
const MOST_BODY_BYTES: usize = 16 << 20;
/// What the record says of a call whose caller was gone before the answer began (nginx's 499).
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Gives every answer of `/v1` its request id and its processing time.
pub async fn with_request_id(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = RequestId::generate();
    request.extensions_mut().insert(request_id);
    let mut response = next.run(request).await;
    for (name, value) in [("x-request-id", request_id.to_string()), ("openai-processing-ms", started.elapsed().as_millis().to_string())] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

pub async fn chat_completions(
    State(gateway): State<Arc<Gateway>>,
    Extension(request_id): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let started = Instant::now();
    let secret_hash = match auth::secret_hash(&headers, &gateway.pepper) {
        Ok(secret_hash) => secret_hash,
        Err(error) => return error.into_response(),
    };
    let Ok(body) = axum::body::to_bytes(body, MOST_BODY_BYTES).await else {
        let error = GatewayError::TooLarge { limit_bytes: MOST_BODY_BYTES };
        return models::key_problem(&gateway, secret_hash).await.unwrap_or(error).into_response();
    };
    // From here on there may be a hold, so the call runs on by itself: a caller who leaves cannot stop its settlement.
    let (reply, answer) = oneshot::channel();
    let tasks = gateway.tasks.clone();
    tasks.spawn(run(gateway, request_id, secret_hash, body, started, reply));
    answer.await.unwrap_or_else(|_| GatewayError::Internal.into_response())
}

async fn run(
    gateway: Arc<Gateway>,
    request_id: RequestId,
    secret_hash: [u8; 32],
    body: Bytes,
    started: Instant,
    mut reply: oneshot::Sender<Response>,
) {
    let request = match ChatRequest::parse(&body) {
        Ok(request) => request,
        Err(error) => {
            // Whoever has no valid key learns that first.
            let error = models::key_problem(&gateway, secret_hash).await.unwrap_or(error);
            return send(reply, error.into_response());
        }
    };
    let live = gateway.live.register(request_id);
    let admission = match gateway.admissions.admit(&request, request_id, secret_hash, &gateway.public_url).await {
        Ok(admission) => admission,
        Err(error) => return send(reply, error.into_response()),
    };
    let upstream_body = request.upstream_body(&admission.upstream_id, admission.output_limit);
    let mut call = Call::new(gateway.clone(), admission, request.stream, started);
    live.admitted(call.hold());
    if reply.is_closed() {
        call.waive(Outcome::ClientLeft, CLIENT_CLOSED_REQUEST).await;
        return;
    }

    let channels = call.admission.channels.clone();
    let accept = if request.stream { "text/event-stream" } else { "application/json" };
    let sending = gateway.upstream.send(&channels, "chat/completions", upstream_body, accept);
    let sent = tokio::select! {
        sent = sending => sent,
        // A whole answer is waited for all the same: the supplier will bill it, so leaving early must not make it free.
        () = reply.closed(), if request.stream => {
            call.waive(Outcome::ClientLeft, CLIENT_CLOSED_REQUEST).await;
            return;
        }
    };
    match sent {
        Err(failure) => {
            call.channel_id = failure.channel_id;
            refuse(call, failure.error, reply).await;
        }
        Ok(answering) => {
            call.channel_id = Some(answering.channel_id);
            match answering.response.status().is_success() {
                false => {
                    let error = failure_of(answering.response).await;
                    refuse(call, error, reply).await;
                }
                true if request.stream => {
                    relay::stream(call, &request, answering.response, gateway.upstream.timeouts, &live.ended, reply).await;
                }
                true => relay::whole(call, &request, answering.response, gateway.upstream.timeouts, reply).await,
            }
        }
    }
}

/// Ends a call of which nothing was delivered: the hold goes back before the caller hears of it.
pub async fn refuse(call: Call, error: GatewayError, reply: oneshot::Sender<Response>) {
    let outcome = match error {
        GatewayError::UpstreamTimeout => Outcome::UpstreamTimeout,
        GatewayError::UpstreamBroken => Outcome::UpstreamCut,
        _ => Outcome::UpstreamError,
    };
    call.waive(outcome, error.status().as_u16()).await;
    send(reply, error.into_response());
}

/// The caller may have left; then nobody waits for the answer.
pub fn send(reply: oneshot::Sender<Response>, response: Response) {
    let _ = reply.send(response);
}
