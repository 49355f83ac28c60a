//! What we must know of each protocol's requests and answers; all else stays raw JSON, byte for byte. A module an endpoint: its facts as
//! an [`Endpoint`], read by one story in `handler`, `relay` and `call`.

pub mod chat;
pub mod completions;
pub mod depth;
pub mod embeddings;
pub mod messages;
pub mod object;
pub mod prompt;
pub mod request;
pub mod responses;
pub mod schema;

pub use request::Request;

use crate::gateway::error::GatewayError;
use crate::gateway::meter::Usage;
use crate::gateway::wire::object::RawObject;
use crate::ids::RequestId;
use crate::suppliers::store::Protocol;
use axum::http::{HeaderMap, HeaderName};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Text kept for counting; beyond it the rest is not counted.
const MOST_TEXT_BYTES: usize = 8 << 20;

/// One endpoint of `/v1` that spends Tokens.
#[derive(Debug)]
pub struct Endpoint {
    /// Behind `/v1/` with us, behind a channel's base URL with the supplier, and the endpoint's name on records.
    pub path: &'static str,
    pub protocol: Protocol,
    /// For the OpenAPI document: what it does, and a JSON Schema of the fields that we read, limits apart. The rest is the supplier's to
    /// judge.
    pub summary: &'static str,
    pub schema: fn() -> Value,
    /// The fields that we read besides `model`, `stream` and the limits: standing twice, they would mean one thing to us and another to
    /// the supplier.
    reads: &'static [&'static str],
    /// The fields whose text the model reads.
    prompt: &'static [&'static str],
    /// The fields that limit the output; of those sent, the first carries the limit, and if none was, the last does.
    pub limits: &'static [&'static str],
    /// Streams report usage only when `stream_options.include_usage` asks for it.
    usage_on_request: bool,
    /// What is the endpoint's own about a request.
    read_request: fn(&RawObject<'_>) -> Result<Shape, GatewayError>,
    /// Notes what a whole answer delivers; false when it is none, or an error.
    pub read_whole: fn(&[u8], &mut Delivered) -> bool,
    /// Notes what the data of one event delivers.
    pub read_event: fn(&[u8], &mut Delivered) -> Part,
    /// The event that ends a stream which had begun with 200. What ends a whole answer never follows: clients take a clean end for
    /// success.
    pub error_event: fn(&GatewayError, RequestId, &Delivered) -> String,
}

impl Endpoint {
    /// The fields that we read, each of which may stand once.
    pub fn read_names(&self) -> Vec<&'static str> {
        ["model", "stream", "stream_options"].iter().chain(self.reads).chain(self.limits).copied().collect()
    }
}

/// Every endpoint, the first of a protocol being the one to recommend.
pub const ENDPOINTS: [&Endpoint; 5] =
    [&chat::ENDPOINT, &responses::ENDPOINT, &completions::ENDPOINT, &embeddings::ENDPOINT, &messages::ENDPOINT];

/// What Anthropic's clients send with every request.
pub const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// The protocol that whoever asks for this path speaks: the endpoint's; elsewhere Anthropic's clients say so.
pub fn protocol_of(path: &str, headers: &HeaderMap) -> Protocol {
    let path = path.strip_prefix("/v1/").unwrap_or_default();
    match ENDPOINTS.iter().find(|endpoint| endpoint.path == path) {
        Some(endpoint) => endpoint.protocol,
        None if path.starts_with("messages/") || headers.contains_key(ANTHROPIC_VERSION) => Protocol::Anthropic,
        None => Protocol::Openai,
    }
}

/// The part of a request that only its endpoint understands.
#[derive(Debug)]
pub struct Shape {
    /// How often the output limit may be spent.
    pub choices: i64,
    /// What the model's template may add to the text, in Tokens.
    pub template: i64,
    /// The limit where the request names none; none = the model's.
    pub default_limit: Option<i64>,
}

/// What was delivered, as far as it is known.
#[derive(Debug, Default)]
pub struct Delivered {
    /// The supplier's report, if it was sane.
    pub usage: Option<Usage>,
    /// The report word for word, sane or not.
    pub raw_usage: Option<Box<RawValue>>,
    /// To be counted should no usage be reported.
    pub text: String,
    /// Something came that is of use and no text, as an embedding.
    pub beyond_text: bool,
    /// A whole answer that says itself that it failed, in the protocol's own words.
    pub failed: bool,
    /// Of the last event, where events are numbered.
    pub number: i64,
}

impl Delivered {
    /// Nothing came back that anybody could use.
    pub fn is_nothing(&self) -> bool {
        self.text.is_empty() && !self.beyond_text && self.usage.is_none_or(|usage| usage.output == 0)
    }

    fn report(&mut self, raw: &RawValue, usage: Option<Usage>) {
        self.usage = usage;
        self.raw_usage = Some(raw.to_owned());
    }

    fn say(&mut self, piece: &RawValue) {
        if self.text.len() >= MOST_TEXT_BYTES {
            return;
        }
        match serde_json::from_str::<String>(piece.get()) {
            Ok(text) => self.text.push_str(&text),
            // No string where the reference has one: it was delivered all the same.
            Err(_) => self.text.push_str(piece.get()),
        }
    }
}

/// What an event is to the stream that it is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// On its way to the caller.
    Content,
    /// Usage and nothing else; stripped when the caller did not ask for it.
    Usage,
    /// The last of a whole answer.
    End,
    /// The last of an answer that failed, in the protocol's own words.
    Failure,
    /// An error, or nothing that can be read.
    Broken,
}

/// A part of an answer that we read only to count it: in a form that we do not know it counts for nothing, and is passed on.
fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let raw = <&'de RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn paths_and_headers_tell_the_protocol() {
        let (none, versioned) = (HeaderMap::new(), HeaderMap::from_iter([(ANTHROPIC_VERSION, HeaderValue::from_static("2023-06-01"))]));
        for endpoint in ENDPOINTS {
            for headers in [&none, &versioned] {
                assert_eq!(protocol_of(&format!("/v1/{}", endpoint.path), headers), endpoint.protocol);
            }
        }
        for (path, headers, protocol) in [
            ("/v1/messages/batches", &none, Protocol::Anthropic),
            ("/v1/messages2", &none, Protocol::Openai),
            ("/v1", &none, Protocol::Openai),
            ("/v1/models", &none, Protocol::Openai),
            ("/v1/models", &versioned, Protocol::Anthropic),
        ] {
            assert_eq!(protocol_of(path, headers), protocol, "{path}");
        }
    }
}
