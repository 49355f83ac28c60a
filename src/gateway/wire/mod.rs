//! What we must know of each protocol's requests and answers; all else stays raw JSON, byte for byte. A module an endpoint: its facts as
//! an [`Endpoint`], read by one story in `handler`, `relay` and `call`.

pub mod chat;
pub mod completions;
pub mod depth;
pub mod embeddings;
mod lenient;
pub mod messages;
pub mod names;
pub mod object;
pub mod prompt;
pub mod request;
pub mod responses;
pub mod schema;

pub use request::Request;

use crate::gateway::error::GatewayError;
use crate::gateway::limits::Limits;
use crate::gateway::meter::Usage;
use crate::gateway::wire::object::RawObject;
use crate::ids::RequestId;
use crate::suppliers::store::Protocol;
use axum::http::{HeaderMap, HeaderName};
use serde_json::Value;
use serde_json::value::RawValue;

/// Text that is counted; beyond it the rest is not.
const MOST_TEXT_BYTES: usize = 8 << 20;
/// Longer texts are not tokenized: their bytes are the bound, and a quarter of them the count. So none is kept.
pub const LONGEST_TEXT: usize = 1 << 20;

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
    /// The fields that we read besides `model`, `stream`, the limits and the prompt: standing twice, they would mean one thing to us and
    /// another to the supplier.
    reads: &'static [&'static str],
    /// The fields whose text the model reads.
    prompt: &'static [&'static str],
    /// The fields that limit the output; of those sent, the first carries the limit, and if none was, the last does.
    pub limits: &'static [&'static str],
    /// A limit may be 0, as in OpenAI's schema; the supplier gets 1.
    pub takes_zero: bool,
    /// Streams report usage only when `stream_options.include_usage` asks for it.
    usage_on_request: bool,
    /// What is the endpoint's own about a request.
    read_request: fn(&RawObject<'_>, &Limits) -> Result<Shape, GatewayError>,
    /// Notes what a whole answer delivers; false when it is none, or an error.
    pub read_whole: fn(&[u8], &mut Delivered) -> bool,
    /// Notes what the data of one event delivers.
    pub read_event: fn(&[u8], &mut Delivered) -> Part,
    /// The event that ends a stream which had begun with 200. What ends a whole answer never follows: clients take a clean end for
    /// success.
    pub error_event: fn(&GatewayError, RequestId, &Delivered) -> String,
}

impl Endpoint {
    /// The fields that we read, each of which may stand once and in one spelling.
    pub fn read_names(&self) -> Vec<&'static str> {
        let prompt = self.prompt.iter().filter(|name| !self.reads.contains(*name));
        ["model", "stream", "stream_options"].iter().chain(self.reads).chain(self.limits).chain(prompt).copied().collect()
    }
}

/// Every endpoint, the first of a protocol being the one to recommend.
pub const ENDPOINTS: [&Endpoint; 5] =
    [&chat::ENDPOINT, &responses::ENDPOINT, &completions::ENDPOINT, &embeddings::ENDPOINT, &messages::ENDPOINT];

/// What Anthropic's clients send with every request.
pub const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// What they want of what is not in the reference yet.
pub const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");

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
    /// A limit below this makes no sense to the supplier.
    pub least_limit: i64,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { choices: 1, template: 0, default_limit: None, least_limit: 1 }
    }
}

/// What was delivered, as far as it is known.
#[derive(Debug, Default)]
pub struct Delivered {
    /// The supplier's report of the whole answer, if it was sane.
    pub usage: Option<Usage>,
    /// Its last report, if it was sane, of an answer that went on: of the whole once that has ended as it should.
    pub running: Option<Usage>,
    /// The most output that such a report named; no less has been put out.
    pub least_output: i64,
    /// What was said of the input when the answer began; no output in it.
    pub reported_input: Option<Usage>,
    /// The last report word for word, sane or not.
    pub raw_usage: Option<Box<RawValue>>,
    /// To be counted should no usage be reported.
    pub text: String,
    /// Bytes of the text where it is not kept, since it is too long to be tokenized or there is no room for it.
    pub unkept: usize,
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
        self.said_nothing() && !self.beyond_text && self.usage.map_or(self.least_output, |usage| usage.output) == 0
    }

    /// No text came.
    fn said_nothing(&self) -> bool {
        self.text.is_empty() && self.unkept == 0
    }

    /// Keeps no text from here on, and of what there is only how long it was.
    pub fn let_go(&mut self) {
        self.unkept += std::mem::take(&mut self.text).len();
    }

    /// Notes a report of the whole answer; should more of it come, it was not.
    fn report(&mut self, raw: &RawValue, usage: Option<Usage>) {
        (self.usage, self.running) = (usage, None);
        self.raw_usage = Some(raw.to_owned());
    }

    /// Notes a report of what there is so far.
    fn report_so_far(&mut self, raw: &RawValue, usage: Option<Usage>) {
        self.report(raw, usage);
        self.go_on();
    }

    /// The answer goes on behind what was reported.
    fn go_on(&mut self) {
        if let Some(usage) = self.usage.take() {
            self.least_output = self.least_output.max(usage.output);
            self.running = Some(usage);
        }
    }

    /// The answer has ended as it should, so its last report is of all of it.
    fn end(&mut self) {
        self.usage = self.usage.or(self.running);
    }

    fn say(&mut self, piece: &RawValue) {
        // No string where the reference has one: it was delivered all the same.
        let text = serde_json::from_str::<String>(piece.get()).unwrap_or_else(|_| piece.get().to_string());
        if text.is_empty() {
            return;
        }
        self.go_on();
        let said = self.text.len() + self.unkept;
        if said >= MOST_TEXT_BYTES {
            return;
        }
        if self.unkept == 0 && said + text.len() <= LONGEST_TEXT {
            self.text.push_str(&text);
        } else {
            self.let_go();
            self.unkept += text.len();
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
    /// Empty data: nothing that anybody could read.
    Empty,
    /// The last of a whole answer.
    End,
    /// The last of an answer that failed, in the protocol's own words.
    Failure,
    /// An error, or nothing that can be read.
    Broken,
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

    /// What may come of an answer.
    #[derive(Debug)]
    enum Step {
        Whole(Option<i64>),
        SoFar(Option<i64>),
        Say(&'static str),
        End,
    }

    #[test]
    fn a_report_is_of_the_whole_until_more_comes_or_once_it_ends() {
        use Step::{End, Say, SoFar, Whole};
        let raw = |json: &str| RawValue::from_string(json.into()).expect("JSON");
        let usage = |output: Option<i64>| output.map(|output| Usage { input: 7, cached: 0, output });
        for (steps, measured, least) in [
            (vec![Whole(Some(3))], Some(3), 0),
            (vec![Say("\"a\""), Whole(Some(3))], Some(3), 0),
            (vec![Whole(Some(3)), Say("\"a\"")], None, 3),
            // An empty delta is no more of it.
            (vec![Whole(Some(3)), Say("\"\"")], Some(3), 0),
            (vec![Whole(Some(3)), Say("\"a\""), End], Some(3), 3),
            (vec![SoFar(Some(3))], None, 3),
            (vec![SoFar(Some(3)), End], Some(3), 3),
            (vec![SoFar(Some(3)), SoFar(Some(5)), Say("\"a\"")], None, 5),
            // The last report counts, sane or not, but no less than an earlier one said has been put out.
            (vec![SoFar(Some(3)), Whole(None), End], None, 3),
            (vec![SoFar(Some(3)), SoFar(None), End], None, 3),
            (vec![SoFar(None), End], None, 0),
        ] {
            let mut seen = Delivered::default();
            for step in &steps {
                match step {
                    Whole(output) => seen.report(&raw("{}"), usage(*output)),
                    SoFar(output) => seen.report_so_far(&raw("{}"), usage(*output)),
                    Say(piece) => seen.say(&raw(piece)),
                    End => seen.end(),
                }
            }
            assert_eq!((seen.usage.map(|usage| usage.output), seen.least_output), (measured, least), "{steps:?}");
        }
    }

    #[test]
    fn text_is_kept_as_long_as_it_may_be_tokenized_and_no_less_of_it_counts() {
        let say = |seen: &mut Delivered, bytes: usize| {
            seen.say(&RawValue::from_string(format!("\"{}\"", "x".repeat(bytes))).expect("JSON"));
            (seen.text.len(), seen.unkept)
        };
        let mut seen = Delivered::default();
        assert_eq!(say(&mut seen, LONGEST_TEXT - 1), (LONGEST_TEXT - 1, 0));
        assert_eq!(say(&mut seen, 1), (LONGEST_TEXT, 0));
        assert_eq!(say(&mut seen, 1), (0, LONGEST_TEXT + 1));
        assert_eq!(say(&mut seen, MOST_TEXT_BYTES), (0, LONGEST_TEXT + 1 + MOST_TEXT_BYTES));
        assert_eq!(say(&mut seen, 1), (0, LONGEST_TEXT + 1 + MOST_TEXT_BYTES), "the rest does not count");

        let mut seen = Delivered::default();
        seen.let_go();
        assert_eq!((seen.is_nothing(), say(&mut seen, 3)), (true, (3, 0)), "there was nothing to let go of");
        seen.let_go();
        assert_eq!((seen.is_nothing(), say(&mut seen, 4)), (false, (0, 7)));
    }

    #[test]
    fn output_that_was_reported_is_something_although_nobody_can_read_it() {
        for (usage, least_output, text, nothing) in [
            (None, 0, "", true),
            (None, 0, "a", false),
            (None, 3, "", false),
            (Some(Usage { input: 7, cached: 0, output: 0 }), 0, "", true),
            (Some(Usage { input: 7, cached: 0, output: 1 }), 0, "", false),
        ] {
            let seen = Delivered { usage, least_output, text: text.into(), ..Delivered::default() };
            assert_eq!(seen.is_nothing(), nothing, "{seen:?}");
        }
    }
}
