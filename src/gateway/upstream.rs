//! The way to a supplier: choose a channel, connect under the address rules, send. It is sent again, or to another channel, only while
//! nothing has been sent, or when whoever it was sent to says that they have not worked on it.

use crate::gateway::breaker::{Breaker, Permit};
use crate::gateway::client::{Client, NotConnected, piece};
use crate::gateway::error::GatewayError;
use crate::gateway::forms::{Form, Forms};
use crate::gateway::lines::{Lines, Seat};
use crate::gateway::outgoing::{Outgoing, credential};
use crate::gateway::refusal::{Meaning, Refusal};
use crate::gateway::threads::Threads;
use crate::gateway::wire::request;
use crate::ids::ChannelId;
use crate::suppliers::sealed::SealingKey;
use crate::wallet::ledger::Channel;
use axum::http::{Method, Request};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use ipnet::IpNet;
use rustls::ClientConfig;
use std::error::Error;
use std::iter::successors;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a supplier may take; the defaults are `server::config`'s.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    pub connect: Duration,
    /// Until a stream has begun. A whole answer begins when it is ready: for it there is only `total`.
    pub first_byte: Duration,
    /// Between two reads of a stream.
    pub idle: Duration,
    /// From the request to the answer's end.
    pub total: Duration,
}

/// So many times a call is sent again to a channel that refused to begin it, or where it waited in vain for a connection.
const MOST_RETRIES: usize = 2;

#[derive(Clone)]
pub struct Upstream {
    /// Those of each thread of calls: a connection is driven by the thread that opened it. Calls that take long to read use the first's.
    lines: Arc<[Lines]>,
    sealing_key: SealingKey,
    breaker: Breaker,
    forms: Forms,
    pub timeouts: Timeouts,
}

/// An answer that has begun, with 200. Whoever reads it to its end says by the permit how the channel did.
pub struct Answering {
    pub answer: Answer,
    pub permit: Permit,
    /// When the channel was asked.
    pub asked: Instant,
}

/// Keeps its seat until it has been read, or is not read any more; the connection hears of that first.
pub struct Answer {
    body: Incoming,
    _seat: Seat,
}

impl Answer {
    /// The next read of its body; None at its end.
    pub async fn chunk(&mut self) -> hyper::Result<Option<Bytes>> {
        piece(&mut self.body).await
    }
}

/// What came of a call.
pub struct Sent {
    /// The channel that answered, or that it failed on; none when nothing was sent anywhere.
    pub channel_id: Option<ChannelId>,
    pub answer: Result<Answering, GatewayError>,
}

/// What came of trying one channel.
enum Tried {
    /// An answer; or it may have worked on the call, or says what any other would say.
    Ended(Result<Answering, GatewayError>),
    /// It did not work on the call, and another may.
    PassedOn(GatewayError),
    /// Nothing was sent.
    NotSent,
}

impl Upstream {
    pub fn new(tls: &ClientConfig, sealing_key: SealingKey, allowed: Vec<IpNet>, timeouts: Timeouts, threads: usize) -> Upstream {
        let allowed: Arc<[IpNet]> = allowed.into();
        let lines = (0..threads).map(|_| Lines::new(tls, &allowed, timeouts.connect)).collect();
        Upstream { lines, sealing_key, breaker: Breaker::default(), forms: Forms::default(), timeouts }
    }

    /// Sends the request to one of the channels, by priority and weight; to the next while nothing could be sent, or the channel
    /// refused to work on it. One that keeps failing for this model is passed over.
    pub async fn send(&self, channels: &[Channel], outgoing: &Outgoing<'_>) -> Sent {
        let model = outgoing.request.model.as_str();
        let mut refused = Sent { channel_id: None, answer: Err(GatewayError::UpstreamUnreachable) };
        for channel in by_rank(channels) {
            let channel_id = channel.channel_id;
            let Some(permit) = self.breaker.permit(channel_id, model) else {
                tracing::debug!(%channel_id, model, "channel is passed over: it has failed lately");
                continue;
            };
            match self.try_channel(channel, permit, outgoing).await {
                Tried::Ended(answer) => return Sent { channel_id: Some(channel_id), answer },
                Tried::PassedOn(error) => refused = Sent { channel_id: Some(channel_id), answer: Err(error) },
                Tried::NotSent => {}
            }
        }
        refused
    }

    /// Sends the request to one channel: once, and again where that refuses to begin it, or takes it in another form only.
    async fn try_channel(&self, channel: &Channel, permit: Permit, outgoing: &Outgoing<'_>) -> Tried {
        let (channel_id, request, asked) = (channel.channel_id, outgoing.request, Instant::now());
        let patience = if request.stream { self.timeouts.first_byte } else { self.timeouts.total };
        let open = request.open_form();
        let mut form = self.forms.of(channel_id, &outgoing.upstream_id, open);
        let mut refused_forms = Vec::new();
        let (mut on_first, mut retries) = (false, 0);
        loop {
            let Some((client, built, seat)) = self.request(channel, outgoing, form, on_first) else { return Tried::NotSent };
            outgoing.note_sent(true);
            let response = match tokio::time::timeout_at(asked + patience, client.request(built)).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => {
                    let (refused, waited) = (was_refused(&error), waited_in_vain(&error));
                    // An error that names no connection came before there was one to send it on.
                    let sent = error.connect_info().is_some() && !refused && !was_never_sent(&error);
                    outgoing.note_sent(sent);
                    if (refused || waited) && retries < MOST_RETRIES {
                        tracing::debug!(%channel_id, refused, ?error, "channel did not begin a call; trying again");
                        retries += 1;
                        continue;
                    }
                    tracing::warn!(%channel_id, sent, ?error, "channel failed before answering");
                    if refused || (waited && on_first) {
                        return Tried::NotSent;
                    }
                    if waited || (!sent && seat.give_up_line()) {
                        on_first = true;
                        continue;
                    }
                    blame(permit, &seat);
                    return if sent { Tried::Ended(Err(GatewayError::UpstreamBroken)) } else { Tried::NotSent };
                }
                Err(_) => {
                    blame(permit, &seat);
                    tracing::warn!(%channel_id, "channel did not answer in time");
                    return Tried::Ended(Err(GatewayError::UpstreamTimeout));
                }
            };
            seat.note_answered(response.version());
            let status = response.status();
            if status.is_success() {
                if !refused_forms.is_empty() {
                    self.forms.learn(channel_id, &outgoing.upstream_id, open, form);
                }
                let answer = Answer { body: response.into_body(), _seat: seat };
                return Tried::Ended(Ok(Answering { answer, permit, asked }));
            }
            let refusal = Refusal::of(response, &request.model).await;
            outgoing.note_sent(refusal.meaning == Meaning::Failed);
            if let Some(other) = other_form(&refusal, request, open, form).filter(|other| !refused_forms.contains(other)) {
                tracing::debug!(%channel_id, ?form, ?other, "channel refused the form of a call; trying the other");
                refused_forms.push(std::mem::replace(&mut form, other));
                continue;
            }
            if refusal.meaning != Meaning::RefusesRequest {
                tracing::warn!(%channel_id, %status, meaning = ?refusal.meaning, "channel answered with a failure");
            }
            let Refusal { meaning, error, .. } = refusal;
            return match meaning {
                Meaning::RefusesUs => Tried::PassedOn(error),
                Meaning::Overloaded => {
                    permit.failed();
                    Tried::PassedOn(error)
                }
                Meaning::RefusesRequest => {
                    permit.succeeded();
                    Tried::Ended(Err(error))
                }
                Meaning::Failed => {
                    permit.failed();
                    Tried::Ended(Err(error))
                }
            };
        }
    }

    /// None when the channel may not be used as it is stored.
    fn request(
        &self,
        channel: &Channel,
        outgoing: &Outgoing<'_>,
        form: Form,
        on_first: bool,
    ) -> Option<(&Client, Request<Full<Bytes>>, Seat)> {
        let unusable = |why: &dyn std::fmt::Display| tracing::error!(channel_id = %channel.channel_id, "channel cannot be used: {why}");
        let endpoint = outgoing.request.endpoint;
        let lines = self.lines.get(Threads::this()).or(self.lines.first())?;
        let address = lines.address(&channel.base_url, endpoint.path).inspect_err(|error| unusable(error)).ok()?;
        let mut headers = outgoing.headers.clone();
        if let Some(sealed) = &channel.secret_sealed {
            let secret = self.sealing_key.open(channel.channel_id, sealed).inspect_err(|error| unusable(error)).ok()?;
            let (name, mut value) = credential(endpoint.protocol, &secret).inspect_err(|error| unusable(error)).ok()?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut request = Request::new(Full::new(outgoing.body(form)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = address.uri.clone();
        *request.headers_mut() = headers;
        let (client, seat) = lines.seat(&address, on_first);
        Some((client, request, seat))
    }
}

/// Another form of what is refused for its form, where its caller leaves that `open`.
fn other_form(refusal: &Refusal, request: &request::Request<'_>, open: Form, form: Form) -> Option<Form> {
    if open.other_limit && request.limit_field(form).is_some_and(|field| refusal.refuses_field(field)) {
        return Some(Form { other_limit: !form.other_limit, ..form });
    }
    (open.unasked && !form.unasked && refusal.refuses_asking).then_some(Form { unasked: true, ..form })
}

/// A call failed that may have been sent: that is the channel's doing, or the further line's on which nobody was answered yet.
fn blame(permit: Permit, seat: &Seat) {
    if seat.is_untried() {
        seat.give_up_line();
    } else {
        permit.failed();
    }
}

/// Whether the connection itself says that nothing of the request has left, as when it was closed while the request still waited for it.
fn was_never_sent(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|error| error.downcast_ref::<hyper::Error>().is_some_and(|error| error.is_canceled() || error.is_closed()))
}

/// Whether the call waited for a connection that another one was to open, and did not: its caller left, or it failed, which it says itself,
/// and gives up the line before whoever waited hears of it. So this says nothing about line or channel.
fn waited_in_vain(error: &legacy::Error) -> bool {
    error.is_connect() && !causes(error).any(|error| error.is::<NotConnected>())
}

/// Whether the supplier says that it has done nothing of it (RFC 9113, 8.7): where it lets less calls on a connection than it should, and
/// they came before it had said so, or where it ends the connection, and has begun none that came after. That says nothing about the channel.
fn was_refused(error: &(dyn Error + 'static)) -> bool {
    let refuses = |error: &h2::Error| match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) => error.is_reset() && error.is_remote(),
        Some(h2::Reason::NO_ERROR) => error.is_go_away() && error.is_remote(),
        _ => false,
    };
    causes(error).any(|error| error.downcast_ref().is_some_and(refuses))
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// The channels of the highest priority first; those of one priority in random order, the heavier ones likelier to be before.
fn by_rank(channels: &[Channel]) -> Vec<&Channel> {
    let mut left: Vec<&Channel> = channels.iter().collect();
    let mut order = Vec::with_capacity(left.len());
    while let Some(highest) = left.iter().map(|channel| channel.priority).max() {
        let weight = |channel: &Channel| if channel.priority == highest { u64::from(channel.weight.unsigned_abs()) } else { 0 };
        let total: u64 = left.iter().map(|channel| weight(channel)).sum();
        let mut draw = rand::random::<u64>() % total.max(1);
        let drawn = left.iter().position(|channel| {
            let weight = weight(channel);
            let here = draw < weight;
            draw = draw.saturating_sub(weight);
            here
        });
        order.push(left.swap_remove(drawn.unwrap_or(0)));
    }
    order
}

#[cfg(test)]
#[path = "upstream_tests.rs"]
mod tests;
