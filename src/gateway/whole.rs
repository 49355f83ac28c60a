//! The way of an answer that comes in one piece to its caller, which it leaves for only after the settlement is durable.

use crate::gateway::bodies::{Bodies, Room};
use crate::gateway::call::Call;
use crate::gateway::error::GatewayError;
use crate::gateway::handler::{Reply, refuse};
use crate::gateway::live::LiveCall;
use crate::gateway::parted::Parted;
use crate::gateway::threads::LARGE;
use crate::gateway::upstream::{Answer, Answering, Timeouts};
use crate::gateway::wire::{Delivered, Endpoint, Request};
use crate::wallet::ledger::Outcome;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

/// Longer whole answers are not read to their end. 2,048 embeddings of 3,072 numbers, as texts of some 20 characters each, are shorter.
const MOST_ANSWER_BYTES: usize = 192 << 20;

/// Passes on an answer that comes in one piece.
pub async fn pass_on(mut call: Call, request: &Request<'_>, answering: Answering, timeouts: Timeouts, live: &LiveCall, mut reply: Reply) {
    let Answering { answer, permit, asked } = answering;
    let read = tokio::select! {
        read = read_whole(answer, asked + timeouts.total, call.answer_memory()) => read,
        () = live.leaving.cancelled() => {
            drop(permit);
            return refuse(call, GatewayError::Leaving { sent: true }, reply).await;
        }
    };
    let body = match read {
        Ok(body) => body,
        Err(Unread::TooLarge | Unread::NoRoom) => {
            drop(permit);
            return refuse(call, GatewayError::UpstreamBroken, reply).await;
        }
        Err(unread) => {
            permit.failed();
            let error = if matches!(unread, Unread::TooLong) { GatewayError::UpstreamTimeout } else { GatewayError::UpstreamBroken };
            return refuse(call, error, reply).await;
        }
    };
    call.mark_first_byte();
    let Some(delivered) = delivered_by(request.endpoint, &body).await else {
        permit.failed();
        return refuse(call, GatewayError::UpstreamBroken, reply).await;
    };
    // Whose doing it is that an answer says itself that it failed, nobody knows.
    if !delivered.failed {
        permit.succeeded();
    }
    let outcome = if reply.is_closed() {
        Outcome::ClientLeft
    } else if delivered.failed {
        Outcome::UpstreamCut
    } else {
        Outcome::Ok
    };
    if let Some(memory) = call.memory() {
        memory.keep(&body).await;
    }
    let tasks = call.tasks().clone();
    reply.settled = call.charge(request, delivered, outcome, 200).await;
    let body = if body.len() > LARGE { Body::new(Parted::new(&tasks, body)) } else { Body::from(body) };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply.send(Ok(response));
}

/// What an answer delivers; None where it is none.
async fn delivered_by(endpoint: &'static Endpoint, body: &Bytes) -> Option<Delivered> {
    let read = |body: &[u8]| {
        let mut delivered = Delivered::default();
        (endpoint.read_whole)(body, &mut delivered).then_some(delivered)
    };
    if body.len() <= LARGE {
        return read(body);
    }
    let body = body.clone();
    tokio::task::spawn_blocking(move || read(&body)).await.ok().flatten()
}

/// Why a whole answer could not be read.
enum Unread {
    Broken,
    TooLong,
    /// Longer than we read: no fault of the channel's.
    TooLarge,
    /// Nothing of it is delivered or charged, and its supplier is not asked again.
    NoRoom,
}

/// However long it pauses: suppliers send headers, or white space, long before an answer that they will bill.
async fn read_whole(mut answer: Answer, deadline: Instant, memory: &Bodies) -> Result<Bytes, Unread> {
    let reading = async {
        let (mut body, mut room) = (BytesMut::new(), Room::default());
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= MOST_ANSWER_BYTES => {
                    if !memory.extend_in_time(&mut room, body.len() + chunk.len()).await {
                        tracing::warn!(bytes = body.len(), "no memory is left for an answer");
                        return Err(Unread::NoRoom);
                    }
                    body.extend_from_slice(&chunk);
                }
                Ok(None) => return Ok(room.around(body.freeze())),
                Ok(Some(_)) => {
                    tracing::warn!(bytes = MOST_ANSWER_BYTES, "an answer is longer than any that is read");
                    return Err(Unread::TooLarge);
                }
                Err(_) => return Err(Unread::Broken),
            }
        }
    };
    tokio::time::timeout_at(deadline, reading).await.unwrap_or(Err(Unread::TooLong))
}
