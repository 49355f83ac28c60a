//! The way to a supplier: choose a channel, connect under the address rules, send once. Another channel is tried only while
//! nothing has been sent, or when the first one says that it has not worked on the call.

use crate::gateway::auth::API_KEY;
use crate::gateway::breaker::Breaker;
use crate::gateway::error::GatewayError;
use crate::gateway::threads::Threads;
use crate::gateway::wire::{ANTHROPIC_VERSION, Endpoint};
use crate::ids::ChannelId;
use crate::suppliers::address;
use crate::suppliers::resolver::PermittedAddresses;
use crate::suppliers::sealed::SealingKey;
use crate::suppliers::store::Protocol;
use crate::wallet::ledger::Channel;
use ipnet::IpNet;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How long a supplier may take; the defaults are `server::config`'s.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    pub connect: Duration,
    pub first_byte: Duration,
    /// Between two reads of an answer.
    pub idle: Duration,
    pub total: Duration,
}

#[derive(Clone)]
pub struct Upstream {
    /// One for each thread of calls: a connection is driven by the thread that opened it.
    clients: Arc<[reqwest::Client]>,
    sealing_key: SealingKey,
    allowed: Arc<[IpNet]>,
    breaker: Breaker,
    pub timeouts: Timeouts,
}

/// The headers of a caller that a supplier gets to see, by protocol. No other of a caller's ever leaves.
const PASSED_ON: [(Protocol, HeaderName); 2] =
    [(Protocol::Anthropic, ANTHROPIC_VERSION), (Protocol::Anthropic, HeaderName::from_static("anthropic-beta"))];

/// What is sent to a channel.
pub struct Outgoing {
    path: &'static str,
    protocol: Protocol,
    headers: HeaderMap,
    body: bytes::Bytes,
}

impl Outgoing {
    /// `callers`: the headers that the caller sent.
    pub fn new(endpoint: &Endpoint, callers: HeaderMap, stream: bool, body: Vec<u8>) -> Outgoing {
        let accept = if stream { "text/event-stream" } else { "application/json" };
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ACCEPT, HeaderValue::from_static(accept)),
        ]);
        for (_, name) in PASSED_ON.iter().filter(|(protocol, _)| *protocol == endpoint.protocol) {
            callers.get_all(name).iter().for_each(|value| {
                headers.append(name, value.clone());
            });
        }
        Outgoing { path: endpoint.path, protocol: endpoint.protocol, headers, body: body.into() }
    }
}

/// An answer that has begun.
pub struct Answering {
    pub channel_id: ChannelId,
    pub response: reqwest::Response,
}

/// A call that got no answer.
pub struct Failure {
    /// The channel that it failed on; none when nothing was sent anywhere.
    pub channel_id: Option<ChannelId>,
    pub error: GatewayError,
}

impl Upstream {
    /// Nothing in a request or in the environment leads elsewhere: no redirects, no proxies, names resolved under the rules.
    pub fn new(sealing_key: SealingKey, allowed: Vec<IpNet>, timeouts: Timeouts, threads: usize) -> reqwest::Result<Upstream> {
        let allowed: Arc<[IpNet]> = allowed.into();
        let client = || {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .dns_resolver(PermittedAddresses::new(allowed.clone()))
                .connect_timeout(timeouts.connect)
                .pool_idle_timeout(Duration::from_secs(30))
                .tcp_nodelay(true)
                .user_agent(concat!("toki/", env!("CARGO_PKG_VERSION")))
                .build()
        };
        let clients = (0..threads).map(|_| client()).collect::<reqwest::Result<_>>()?;
        Ok(Upstream { clients, sealing_key, allowed, breaker: Breaker::default(), timeouts })
    }

    /// Sends the request to one of the channels, by priority and weight; to the next while nothing could be sent, or the channel
    /// refused to work on it. One that keeps failing for this model is passed over.
    pub async fn send(&self, channels: &[Channel], model: &str, outgoing: Outgoing) -> Result<Answering, Failure> {
        let mut refused = None;
        for channel in by_rank(channels) {
            let channel_id = channel.channel_id;
            let Some(request) = self.request(channel, &outgoing) else { continue };
            let Some(permit) = self.breaker.permit(channel_id, model) else {
                tracing::debug!(%channel_id, model, "channel is passed over: it has failed lately");
                continue;
            };
            match tokio::time::timeout(self.timeouts.first_byte, request.send()).await {
                Ok(Ok(response)) => {
                    let status = response.status();
                    if status.is_server_error() {
                        permit.failed()
                    } else {
                        permit.succeeded()
                    }
                    let answering = Answering { channel_id, response };
                    if !was_not_worked_on(status) {
                        return Ok(answering);
                    }
                    tracing::warn!(%channel_id, %status, "channel refused a call");
                    refused = Some(answering);
                }
                Ok(Err(error)) if error.is_connect() => {
                    permit.failed();
                    tracing::warn!(%channel_id, error = ?error.without_url(), "channel cannot be reached");
                }
                Ok(Err(error)) => {
                    permit.failed();
                    tracing::warn!(%channel_id, error = ?error.without_url(), "channel failed before answering");
                    return Err(Failure { channel_id: Some(channel_id), error: GatewayError::UpstreamFailed });
                }
                Err(_) => {
                    permit.failed();
                    tracing::warn!(%channel_id, "channel did not answer in time");
                    return Err(Failure { channel_id: Some(channel_id), error: GatewayError::UpstreamTimeout });
                }
            }
        }
        refused.ok_or(Failure { channel_id: None, error: GatewayError::UpstreamUnreachable })
    }

    /// None when the channel may not be used as it is stored.
    fn request(&self, channel: &Channel, outgoing: &Outgoing) -> Option<reqwest::RequestBuilder> {
        let unusable = |why: &dyn std::fmt::Display| tracing::error!(channel_id = %channel.channel_id, "channel cannot be used: {why}");
        let url = Url::parse(&format!("{}/{}", channel.base_url, outgoing.path)).inspect_err(|error| unusable(error)).ok()?;
        // With its port, which the resolver does not see.
        address::check(&url, &self.allowed).inspect_err(|error| unusable(error)).ok()?;
        let client = self.clients.get(Threads::this()).or(self.clients.first())?;
        let mut request = client.post(url).headers(outgoing.headers.clone()).body(outgoing.body.clone());
        if let Some(sealed) = &channel.secret_sealed {
            let secret = self.sealing_key.open(channel.channel_id, sealed).inspect_err(|error| unusable(error)).ok()?;
            let (name, mut value) = credential(outgoing.protocol, &secret).inspect_err(|error| unusable(error)).ok()?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        Some(request)
    }
}

/// How a supplier of this protocol is shown its secret.
fn credential(protocol: Protocol, secret: &SecretString) -> Result<(HeaderName, HeaderValue), InvalidHeaderValue> {
    let secret = secret.expose_secret();
    Ok(match protocol {
        Protocol::Openai => (AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {secret}"))?),
        Protocol::Anthropic => (API_KEY, HeaderValue::from_str(secret)?),
    })
}

/// Statuses by which a supplier says that it has not worked on a call, so that another channel may: our credential or our balance there
/// is refused, it limits us, or it is overloaded (529 is Anthropic's).
fn was_not_worked_on(status: StatusCode) -> bool {
    matches!(status.as_u16(), 401 | 402 | 403 | 429 | 503 | 529)
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

/// What the caller is told when the supplier answers with a failure. The operator's secret is the operator's business: 401, 402
/// and 403 are never passed on.
pub async fn failure_of(response: reqwest::Response, model: &str) -> GatewayError {
    let status = response.status().as_u16();
    match status {
        429 => {
            let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_string);
            GatewayError::UpstreamRateLimited { retry_after }
        }
        400 | 413 | 415 | 422 => {
            let (message, param) = read_refusal(response).await;
            GatewayError::UpstreamRefused { status, message, param }
        }
        404 => GatewayError::EndpointUnsupported { model: model.to_string(), instead: Vec::new() },
        408 | 504 => GatewayError::UpstreamTimeout,
        _ => {
            tracing::warn!(status, "supplier answered with a failure");
            GatewayError::UpstreamFailed
        }
    }
}

/// The supplier's own words, which stand in the same place of both protocols' errors, cut to a size nobody minds.
async fn read_refusal(mut response: reqwest::Response) -> (Option<String>, Option<String>) {
    #[derive(Deserialize)]
    struct Body {
        error: Refusal,
    }
    #[derive(Deserialize)]
    struct Refusal {
        message: Option<String>,
        param: Option<String>,
    }
    let mut bytes = Vec::new();
    while bytes.len() < 64 << 10 {
        match tokio::time::timeout(Duration::from_secs(5), response.chunk()).await {
            Ok(Ok(Some(chunk))) => bytes.extend_from_slice(&chunk),
            _ => break,
        }
    }
    match serde_json::from_slice::<Body>(&bytes) {
        Ok(body) => (body.error.message.map(|message| message.chars().take(2_000).collect()), body.error.param),
        Err(_) => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_rank_orders_every_channel_once_and_heavy_ones_first() {
        let channel = |weight, priority| Channel {
            channel_id: ChannelId::generate(),
            base_url: String::new(),
            secret_sealed: None,
            weight,
            priority,
        };
        let channels = [channel(1, 5), channel(9, 5), channel(90, 5), channel(1000, 4), channel(1, 6)];
        let mut second = [0; 3];
        for _ in 0..2_000 {
            let order: Vec<_> = by_rank(&channels).iter().map(|channel| channel.channel_id).collect();
            let at = |place: usize| channels.iter().position(|channel| channel.channel_id == order[place]).expect("one of them");
            assert_eq!((order.len(), at(0), at(4)), (5, 4, 3), "by priority");
            second[at(1)] += 1;
        }
        assert!(second[2] > second[1] && second[1] > second[0], "{second:?}");
    }
}
