//! A call to any endpoint that spends Tokens, as one story.

use crate::gateway::admission::{Asked, SILENT, too_little_output};
use crate::gateway::bodies::{NotRead, Room};
use crate::gateway::call::Call;
use crate::gateway::error::GatewayError;
use crate::gateway::idempotency::{Memory, idempotency, replay};
use crate::gateway::live::LiveCall;
use crate::gateway::outgoing::Outgoing;
use crate::gateway::threads::LARGE;
use crate::gateway::upstream::Sent;
use crate::gateway::wire::{ENDPOINTS, Endpoint, Request, protocol_of};
use crate::gateway::{ClientAddress, Gateway, auth, bodies, rates, relay, whole};
use crate::ids::RequestId;
use crate::suppliers::callable;
use crate::suppliers::store::Protocol;
use crate::wallet::ledger::{Outcome, Rates, SentBefore, Settled};
use axum::extract::{self, Extension, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What the record says of a call whose caller was gone before the answer began (nginx's 499).
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// A call whose body took longer to come gets another id: lists look for calls by the time in their ids, which is that of their admission
/// up to some minutes.
const SLOW_BODY: Duration = Duration::from_secs(60);

/// Where the answer to a caller goes.
pub struct Reply {
    answer: oneshot::Sender<Result<Response, GatewayError>>,
    /// What limits the caller, once that is known.
    rates: Option<Rates>,
    /// What the call came to, where that is known before the answer begins.
    pub settled: Option<Settled>,
}

impl Reply {
    /// The caller may have left; then nobody waits for the answer.
    pub fn send(self, answer: Result<Response, GatewayError>) {
        let mut response = answer.into_response();
        if let Some(rates) = self.rates {
            response.extensions_mut().insert(rates);
        }
        if let Some(settled) = self.settled {
            response.extensions_mut().insert(settled);
        }
        let _ = self.answer.send(Ok(response));
    }

    /// Comes when the caller left.
    pub async fn closed(&mut self) {
        self.answer.closed().await;
    }

    pub fn is_closed(&self) -> bool {
        self.answer.is_closed()
    }
}

/// Gives every answer of `/v1` its request id and its processing time, and a failure the form of the caller's protocol.
pub async fn finish(mut request: extract::Request, next: Next) -> Response {
    let started = Instant::now();
    let (request_id, protocol) = (RequestId::generate(), protocol_of(request.uri().path(), request.headers()));
    request.extensions_mut().insert(request_id);
    let mut response = next.run(request).await;
    let mut rates = response.extensions_mut().remove::<Rates>();
    let settled = response.extensions_mut().remove::<Settled>();
    let request_id = response.extensions_mut().remove().unwrap_or(request_id);
    if let Some(error) = response.extensions_mut().remove::<GatewayError>() {
        response = error.response(protocol, request_id);
        rates = rates.or(response.extensions_mut().remove());
    }
    if let Some(rates) = rates {
        rates::insert_headers(response.headers_mut(), rates);
    }
    if let Some(settled) = settled {
        rates::insert_charge(response.headers_mut(), settled);
    }
    let id = request_id.to_string();
    let mut headers = vec![("openai-processing-ms", started.elapsed().as_millis().to_string()), ("x-request-id", id.clone())];
    if protocol == Protocol::Anthropic {
        headers.push(("request-id", id));
    }
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// An endpoint of one replica's gateway.
#[derive(Clone)]
pub struct Served {
    pub gateway: Arc<Gateway>,
    pub endpoint: &'static Endpoint,
}

pub async fn call(
    State(Served { gateway, endpoint }): State<Served>,
    Extension(request_id): Extension<RequestId>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    request: extract::Request,
) -> Result<Response, NotRead> {
    let started = Instant::now();
    let (Parts { headers, .. }, body) = request.into_parts();
    let secret_hash = auth::secret_hash(&headers, &gateway.pepper)?;
    let (body, room) = bodies::read(&gateway, secret_hash, address, body).await?;
    let another_id = (started.elapsed() > SLOW_BODY).then(RequestId::generate);
    let request_id = another_id.unwrap_or(request_id);
    // From here on there may be a hold, so the call runs on by itself: a caller who leaves cannot stop its settlement.
    let (sender, answer) = oneshot::channel();
    let live = gateway.live.register(request_id);
    let incoming = Incoming { endpoint, request_id, secret_hash, address, headers, body, room, live, started };
    let (tasks, others) = (gateway.tasks.clone(), gateway.others.clone());
    let takes_long = incoming.body.len() > LARGE;
    let run = run(gateway, incoming, Reply { answer: sender, rates: None, settled: None });
    // To read a large body takes longer than other calls of this thread should wait.
    if takes_long {
        tasks.spawn_on(run, &others)
    } else {
        tasks.spawn(run)
    };
    let mut answer = answer.await.unwrap_or(Err(GatewayError::Internal))?;
    if let Some(id) = another_id {
        answer.extensions_mut().insert(id);
    }
    Ok(answer)
}

/// A call as it came.
struct Incoming {
    endpoint: &'static Endpoint,
    request_id: RequestId,
    secret_hash: [u8; 32],
    address: IpAddr,
    headers: HeaderMap,
    body: Bytes,
    room: Room,
    live: LiveCall,
    started: Instant,
}

async fn run(gateway: Arc<Gateway>, incoming: Incoming, mut reply: Reply) {
    // The room is taken for as long as the body is here.
    let Incoming { endpoint, request_id, secret_hash, address, headers, body, room: _room, live, started } = incoming;
    let parsed = Request::parse_within(endpoint, &body, &gateway.limits)
        .and_then(|request| Ok((request, idempotency(&headers, endpoint.path, &body)?)));
    let (request, idempotency) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Whoever has no valid key learns that first.
            let error = match auth::caller(&gateway, secret_hash, address).await {
                Ok(key) => {
                    reply.rates = Some(key.rates);
                    error
                }
                Err(error) => error,
            };
            return reply.send(Err(error));
        }
    };
    let asked = Asked { request_id, secret_hash, address, idempotency };
    let admission = match gateway.admissions.admit(&request, asked, &gateway.public_url).await {
        Ok(admission) => admission,
        Err(error) => {
            // Such a verdict comes before the rates: they are asked for here, so that no call which may run waits for it.
            if matches!(error, GatewayError::ModelNotFound { .. } | GatewayError::NoChannel { .. } | GatewayError::SentBefore { .. }) {
                reply.rates = auth::caller(&gateway, secret_hash, address).await.ok().map(|key| key.rates);
            }
            let answer = match error {
                GatewayError::NoChannel { model } => Err(no_channel(&gateway, model).await),
                GatewayError::SentBefore { original, state: SentBefore::Answered } => replay(&gateway, original).await,
                error => Err(error),
            };
            return reply.send(answer);
        }
    };
    reply.rates = Some(admission.rates);
    let unsendable = too_little_output(&request, &headers, &admission, &gateway.public_url);
    let outgoing = Outgoing::new(&request, headers, admission.upstream_id.clone(), admission.output_limit);
    let mut call = Call::new(gateway.clone(), admission, &request, idempotency.is_some(), started);
    live.admitted(call.hold());
    if reply.is_closed() {
        forget(call.memory()).await;
        call.waive(Outcome::ClientLeft, CLIENT_CLOSED_REQUEST).await;
        return;
    }
    if live.leaving.is_cancelled() {
        return refuse(call, GatewayError::Leaving { sent: false }, reply).await;
    }
    if let Some(error) = unsendable {
        return refuse(call, error, reply).await;
    }

    let channels = call.admission.channels.clone();
    // A whole answer is waited for all the same: the supplier will bill it, so leaving early must not make it free.
    let may_leave = request.stream && !call.admission.drains;
    let ended = |error| Sent { channel_id: None, answer: Err(error) };
    let sent = tokio::select! {
        sent = gateway.upstream.send(&channels, &outgoing) => sent,
        () = reply.closed(), if may_leave => {
            forget(call.memory().filter(|_| !outgoing.was_sent())).await;
            call.waive(Outcome::ClientLeft, CLIENT_CLOSED_REQUEST).await;
            return;
        }
        off = live.ended(), if request.stream => ended(GatewayError::of_switched_off(off, &request.model)),
        () = live.leaving.cancelled() => ended(GatewayError::Leaving { sent: outgoing.was_sent() }),
    };
    (call.channel_id, call.sent) = (sent.channel_id, outgoing.was_sent());
    // Its body need not be kept while the answer runs.
    drop(outgoing);
    match sent.answer {
        Err(error) => refuse(call, error, reply).await,
        Ok(answering) if request.stream => relay::stream(call, &request, answering, gateway.upstream.timeouts, &live, reply).await,
        Ok(answering) => whole::pass_on(call, &request, answering, gateway.upstream.timeouts, &live, reply).await,
    }
}

/// Why no channel speaks this endpoint's protocol: there is none, or those that there are speak another.
async fn no_channel(gateway: &Gateway, model: String) -> GatewayError {
    let spoken = gateway.db.ask(SILENT, async |db| callable::protocols_of_model(db, &model).await).await;
    match spoken {
        Ok(spoken) if spoken.is_empty() => GatewayError::NoChannel { model },
        Ok(spoken) => {
            let instead = ENDPOINTS.iter().filter(|endpoint| spoken.contains(&endpoint.protocol)).map(|endpoint| endpoint.path).collect();
            GatewayError::EndpointUnsupported { model, instead }
        }
        Err(error) => GatewayError::of_database(&error),
    }
}

/// Ends a call of which nothing was delivered: the hold goes back before the caller hears of it.
pub async fn refuse(call: Call, error: GatewayError, mut reply: Reply) {
    let outcome = match error {
        GatewayError::UpstreamTimeout => Outcome::UpstreamTimeout,
        GatewayError::UpstreamBroken => Outcome::UpstreamCut,
        GatewayError::Leaving { .. } => Outcome::Interrupted,
        GatewayError::InvalidKey
        | GatewayError::KeyDisabled
        | GatewayError::KeyExpired
        | GatewayError::AccountSuspended
        | GatewayError::NoChannel { .. } => Outcome::KeyEnded,
        // By us, once it was admitted.
        GatewayError::Exhausted(_) | GatewayError::InvalidField { .. } => Outcome::Interrupted,
        _ => Outcome::UpstreamError,
    };
    // What a supplier may have worked on is not sent again under the same key.
    forget(call.memory().filter(|_| !call.sent)).await;
    let settled = call.waive(outcome, error.status().as_u16()).await;
    // Whoever has been switched off is told nothing about a wallet any more.
    reply.settled = settled.filter(|_| outcome != Outcome::KeyEnded);
    reply.send(Err(error));
}

/// Before its hold is released: whoever sends the call again in between is told that it runs, or is served.
async fn forget(memory: Option<Memory>) {
    if let Some(memory) = memory {
        memory.forget().await;
    }
}
