//! The way to a supplier: choose a channel, connect under the address rules, send once. Another channel is tried only while
//! nothing has been sent, or when the first one says that it has not worked on the call.

use crate::gateway::breaker::{Breaker, Permit};
use crate::gateway::error::GatewayError;
use crate::gateway::limit_names::LimitNames;
use crate::gateway::lines::{LOOK_AFTER, Lines, MOST_LINES, Seat};
use crate::gateway::outgoing::{Outgoing, credential};
use crate::gateway::refusal::{Meaning, Refusal};
use crate::gateway::threads::Threads;
use crate::ids::ChannelId;
use crate::suppliers::address;
use crate::suppliers::resolver::PermittedAddresses;
use crate::suppliers::sealed::SealingKey;
use crate::wallet::ledger::Channel;
use ipnet::IpNet;
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use url::Url;

/// What a supplier may send on one HTTP/2 stream before we have read it: whatever a caller leaves unread lies here, once for each of them.
/// At 50 ms to the supplier and back it still lets 5 MB a second through, which no model writes.
const STREAM_WINDOW: u32 = 256 << 10;
/// The same on a connection, which all calls of a thread to one supplier share. Room for 256 streams of which nobody reads anything: were
/// it used up, nothing would come on any other, either. hyper's own, 2 MB a stream and 5 MB a connection, are used up by three of them.
const CONNECTION_WINDOW: u32 = 64 << 20;

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

#[derive(Clone)]
pub struct Upstream {
    /// Of each thread of calls: a connection is driven by the thread that opened it.
    lines: Arc<[Lines]>,
    sealing_key: SealingKey,
    allowed: Arc<[IpNet]>,
    breaker: Breaker,
    limit_names: LimitNames,
    pub timeouts: Timeouts,
}

/// An answer that has begun, with 200. Whoever reads it to its end says by the permit how the channel did.
pub struct Answering {
    pub response: reqwest::Response,
    pub permit: Permit,
    /// On the connection, for as long as the answer comes.
    pub seat: Seat,
    /// When the channel was asked.
    pub asked: Instant,
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
    pub fn new(sealing_key: SealingKey, allowed: Vec<IpNet>, timeouts: Timeouts, threads: usize) -> reqwest::Result<Upstream> {
        let allowed: Arc<[IpNet]> = allowed.into();
        let lines = |_| {
            let allowed = allowed.clone();
            Lines::new(move || client_builder(&allowed, timeouts.connect))
        };
        let lines = (0..threads).map(lines).collect::<reqwest::Result<_>>()?;
        let (breaker, limit_names) = (Breaker::default(), LimitNames::default());
        Ok(Upstream { lines, sealing_key, allowed, breaker, limit_names, timeouts })
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

    /// Sends the request to one channel: once, and once more where that knows the output limit by its other name only.
    async fn try_channel(&self, channel: &Channel, permit: Permit, outgoing: &Outgoing<'_>) -> Tried {
        let (channel_id, request, asked) = (channel.channel_id, outgoing.request, Instant::now());
        let patience = if request.stream { self.timeouts.first_byte } else { self.timeouts.total };
        let mut limit_field = request.limit_field;
        let mut untried = request.other_limit_field;
        if untried.is_some() && self.limit_names.wants_other(channel_id, &outgoing.upstream_id) {
            std::mem::swap(&mut limit_field, &mut untried);
        }
        let mut refused_unread = 0;
        loop {
            let Some((seat, answer)) = self.hand_over(channel, outgoing, limit_field, asked + patience).await else {
                return Tried::NotSent;
            };
            let response = match answer {
                Ok(response) => response,
                Err(failure) => {
                    let refused = failure.as_ref().is_some_and(|error| was_refused_unread(error));
                    let sent = !(seat.take_back() || refused || failure.as_ref().is_some_and(|error| was_never_sent(error)));
                    outgoing.note_sent(sent);
                    if refused && refused_unread < MOST_LINES {
                        refused_unread += 1;
                        seat.note_full();
                        continue;
                    }
                    permit.failed();
                    let error = failure.map(reqwest::Error::without_url);
                    let ended = if error.is_some() { GatewayError::UpstreamBroken } else { GatewayError::UpstreamTimeout };
                    tracing::warn!(%channel_id, sent, ?error, "channel failed before answering, or did not in time");
                    return if sent { Tried::Ended(Err(ended)) } else { Tried::NotSent };
                }
            };
            seat.note_version(response.version());
            let status = response.status();
            if status.is_success() {
                return Tried::Ended(Ok(Answering { response, permit, seat, asked }));
            }
            let refusal = Refusal::of(response, &request.model).await;
            outgoing.note_sent(refusal.meaning == Meaning::Failed);
            if limit_field.is_some_and(|field| refusal.refuses_field(field))
                && let Some(other) = untried.take()
            {
                self.limit_names.learn(channel_id, &outgoing.upstream_id, request.other_limit_field == Some(other));
                limit_field = Some(other);
                continue;
            }
            if refusal.meaning != Meaning::RefusesRequest {
                tracing::warn!(%channel_id, %status, meaning = ?refusal.meaning, "channel answered with a failure");
            }
            let Refusal { meaning, error } = refusal;
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

    /// Hands the call to a connection, and to another one as long as that has no room for it; what came of it, and no error where nothing
    /// came in time. None when the channel may not be used as it is stored.
    async fn hand_over(
        &self,
        channel: &Channel,
        outgoing: &Outgoing<'_>,
        limit_field: Option<&str>,
        until: Instant,
    ) -> Option<(Seat, Result<reqwest::Response, Option<reqwest::Error>>)> {
        let lines = self.lines.get(Threads::this()).or(self.lines.first())?;
        loop {
            let seat = lines.seat(channel.channel_id, outgoing.sent());
            let mut sending = pin!(self.request(channel, outgoing, &seat, limit_field)?.send());
            loop {
                let look = if seat.is_waiting() { until.min(Instant::now() + LOOK_AFTER) } else { until };
                match timeout_at(look, &mut sending).await {
                    Ok(answer) => return Some((seat, answer.map_err(Some))),
                    Err(_) if look == until => return Some((seat, Err(None))),
                    Err(_) if seat.gives_up() => break,
                    Err(_) => {}
                }
            }
        }
    }

    fn request(
        &self,
        channel: &Channel,
        outgoing: &Outgoing<'_>,
        seat: &Seat,
        limit_field: Option<&str>,
    ) -> Option<reqwest::RequestBuilder> {
        let unusable = |why: &dyn std::fmt::Display| tracing::error!(channel_id = %channel.channel_id, "channel cannot be used: {why}");
        let endpoint = outgoing.request.endpoint;
        let url = Url::parse(&format!("{}/{}", channel.base_url, endpoint.path)).inspect_err(|error| unusable(error)).ok()?;
        // With its port, which the resolver does not see.
        address::check(&url, &self.allowed).inspect_err(|error| unusable(error)).ok()?;
        let body = seat.body(outgoing.body(limit_field));
        let mut request = seat.client.post(url).headers(outgoing.headers.clone()).body(body);
        if let Some(sealed) = &channel.secret_sealed {
            let secret = self.sealing_key.open(channel.channel_id, sealed).inspect_err(|error| unusable(error)).ok()?;
            let (name, mut value) = credential(endpoint.protocol, &secret).inspect_err(|error| unusable(error)).ok()?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        Some(request)
    }
}

/// Nothing in a request or in the environment leads elsewhere: no redirects, no proxies, names resolved under the rules.
fn client_builder(allowed: &Arc<[IpNet]>, connect: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .dns_resolver(PermittedAddresses::new(allowed.clone()))
        .connect_timeout(connect)
        .pool_idle_timeout(Duration::from_secs(30))
        .tcp_nodelay(true)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .user_agent(concat!("toki/", env!("CARGO_PKG_VERSION")))
}

/// Whether the connection itself says that nothing of the request has left, as when it was closed while the request still waited for it.
fn was_never_sent(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<hyper::Error>().is_some_and(|error| error.is_canceled() || error.is_closed()) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether the supplier says, over HTTP/2, that it has read nothing of the call: it refuses the stream, or leaves and names it as one that
/// it will not read. The client's own words, since its errors have no type that we could name; were they others, the call counts as sent.
fn was_refused_unread(error: &(dyn Error + 'static)) -> bool {
    const REFUSED: &str = "stream error received: refused stream before processing any application logic";
    const LEAVES: &str = "connection error received: not a result of an error";
    let mut cause = Some(error);
    while let Some(error) = cause {
        let words = error.to_string();
        if words.starts_with(REFUSED) || words.starts_with(LEAVES) {
            return true;
        }
        cause = error.source();
    }
    false
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
