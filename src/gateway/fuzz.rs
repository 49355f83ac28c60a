//! Bytes that nobody would send, against everything that reads what others wrote: streams, requests, answers. They are made of the
//! words that readers look for, so that they get far, and then damaged. A failure prints the bytes; `make soak` tries many more.

use crate::gateway::error::GatewayError;
use crate::gateway::forms::Form;
use crate::gateway::sse::{Event, Splitter};
use crate::gateway::wire::{Delivered, ENDPOINTS, Endpoint, Request};
use crate::wallet::ledger::Price;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Four times what PROPTEST_CASES says.
fn config() -> ProptestConfig {
    let few = ProptestConfig::default();
    ProptestConfig { cases: few.cases.saturating_mul(4), max_shrink_iters: 10_000, ..few }
}

/// Bytes damaged in a few places: one replaced, or the rest cut off.
fn damaged(bytes: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let damage = prop::collection::vec((any::<Index>(), any::<u8>(), prop::bool::weighted(0.2)), 0..3);
    (bytes, prop_oneof![2 => Just(Vec::new()), 1 => damage]).prop_map(|(mut bytes, damage)| {
        for (at, byte, cut) in damage {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
        }
        bytes
    })
}

/// Bytes of a stream, and where it is cut into reads.
fn stream() -> impl Strategy<Value = (Vec<u8>, Vec<Index>)> {
    let piece = prop_oneof![
        4 => select(vec!["\n", "\r", "\r\n", "\n\n", "data", "data:", "data: ", ":", " ", "event: x", "id", "[DONE]", "{\"choices\":[]}", "é", "😀"])
            .prop_map(|piece| piece.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    (prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat()), prop::collection::vec(any::<Index>(), 0..12))
}

fn split<'a>(reads: impl Iterator<Item = &'a [u8]>) -> (Vec<Event>, Vec<u8>) {
    let (mut splitter, mut events) = (Splitter::new(1 << 20), Vec::new());
    for read in reads {
        splitter.push(read);
        while let Ok(Some(event)) = splitter.next_event() {
            events.push(event);
        }
    }
    let rest = splitter.take_rest().to_vec();
    (events, rest)
}

/// The data of a stream's events, read line by line as the standard says it.
fn data_by_the_standard(stream: &[u8]) -> Vec<Vec<u8>> {
    let text = stream.iter().map(|byte| char::from(*byte)).collect::<String>().replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut data) = (Vec::new(), String::new());
    // What stands behind the last line's end is no line yet.
    for line in text.rsplit_once('\n').map_or("", |(whole, _)| whole).split('\n') {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if line.is_empty() {
            if let Some(data) = data.strip_suffix('\n') {
                events.push(data.chars().map(|c| c as u8).collect());
            }
            data.clear();
        } else if field == "data" {
            data.push_str(value.strip_prefix(' ').unwrap_or(value));
            data.push('\n');
        }
    }
    events
}

/// JSON made of these names and of values that are one too large, of another type, or nested.
fn json(names: Vec<&'static str>) -> impl Strategy<Value = String> {
    let leaf = select(vec![
        "null",
        "true",
        "false",
        "0",
        "1",
        "-1",
        "7",
        "1.5",
        "1e400",
        "129",
        "2049",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "\"\"",
        "\"hi\"",
        "\"\\u0000\"",
        "\"\\ud83d\\ude00\"",
        "\"message\"",
        "\"error\"",
        "\"function\"",
        "\"web_search\"",
        "\"item_reference\"",
        "\"response.completed\"",
        "\"response.output_text.delta\"",
        "\"message_delta\"",
        "\"message_start\"",
        "\"content_block_delta\"",
        "\"data:image/png;base64,AAAA\"",
        "[[[[1]]]]",
        "{}",
        "[]",
    ])
    .prop_map(str::to_string);
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            object(names.clone(), inner),
        ]
    })
}

/// An object of these names, each at any place and any number of times, sometimes with an escape in it.
fn object(names: Vec<&'static str>, value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let field = (select(names), prop::bool::weighted(0.1), value).prop_map(|(name, escaped, value)| {
        let name = if escaped { format!("\\u{:04x}{}", name.as_bytes()[0], &name[1..]) } else { name.to_string() };
        format!("\"{name}\":{value}")
    });
    prop::collection::vec(field, 0..6).prop_map(|fields| format!("{{{}}}", fields.join(",")))
}

/// A request that the endpoint would take, with fields that it reads beside it.
fn request() -> impl Strategy<Value = (&'static Endpoint, Vec<u8>)> {
    select(ENDPOINTS.to_vec()).prop_flat_map(|endpoint| {
        let good = match endpoint.path {
            "completions" => r#""model":"m","prompt":"hi""#,
            "embeddings" | "responses" => r#""model":"m","input":"hi""#,
            _ => r#""model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]"#,
        };
        let mut names = endpoint.read_names();
        names.extend(["x", "url", "type", "include_usage", "content", "max_tokens", "Model", "n_predict"]);
        let beside = object(names.clone(), json(names)).prop_map(|object| object[1..object.len() - 1].to_string());
        let body = beside.prop_map(move |beside| match beside.as_str() {
            "" => format!("{{{good}}}"),
            beside => format!("{{ {beside} ,{good}}}"),
        });
        (Just(endpoint), damaged(body.prop_map(String::into_bytes)))
    })
}

/// A whole answer or an event's data.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let counts = vec![
        "prompt_tokens",
        "completion_tokens",
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
        "input_tokens_details",
        "cached_tokens",
        "prompt_cache_hit_tokens",
        "iterations",
    ];
    let number = select(vec![
        "0",
        "1",
        "5",
        "-5",
        "null",
        "1.5",
        "1000000000",
        "1000000001",
        "9223372036854775807",
        "{\"cached_tokens\":3}",
        "{\"reasoning_tokens\":5}",
        "[{\"type\":\"compaction\",\"input_tokens\":1000000000,\"output_tokens\":5}]",
    ]);
    let usage = object(counts, number.prop_map(str::to_string));
    let names = vec![
        "type",
        "choices",
        "message",
        "delta",
        "content",
        "text",
        "refusal",
        "reasoning",
        "reasoning_content",
        "audio",
        "transcript",
        "summary",
        "tool_calls",
        "function_call",
        "function",
        "custom",
        "name",
        "arguments",
        "input",
        "data",
        "error",
        "status",
        "output",
        "response",
        "item",
        "content_block",
        "partial_json",
        "usage",
        "sequence_number",
    ];
    let field = (select(names.clone()), json(names)).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    let usage = usage.prop_map(|usage| format!("\"usage\":{usage}"));
    let fields = prop::collection::vec(prop_oneof![3 => field, 1 => usage], 0..6);
    damaged(fields.prop_map(|fields| format!("{{{}}}", fields.join(",")).into_bytes()))
}

/// The fields of an object as they stand there; none when the bytes are no object.
fn fields(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    struct Fields;
    impl<'de> Visitor<'de> for Fields {
        type Value = Vec<(String, String)>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
            let mut fields = Vec::new();
            while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                fields.push((name, value.get().to_string()));
            }
            Ok(fields)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let fields = deserializer.deserialize_map(Fields).ok()?;
    deserializer.end().ok().map(|()| fields)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes_in_any_reads_are_the_same_events((mut stream, cuts) in stream()) {
        // Behind a CR, the standard too would have to wait for what comes.
        stream.push(b'x');
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).chain([0, stream.len()]).collect();
        at.sort_unstable();
        let (events, rest) = split(std::iter::once(&stream[..]));
        let passed: Vec<u8> = events.iter().flat_map(|event| event.raw.to_vec()).chain(rest.clone()).collect();
        prop_assert_eq!(&passed, &stream);
        let data: Vec<Vec<u8>> = events.iter().filter_map(|event| Some(event.data()?.into_owned())).collect();
        prop_assert_eq!(data, data_by_the_standard(&stream));
        prop_assert_eq!(split(at.windows(2).map(|pair| &stream[pair[0]..pair[1]])), (events.clone(), rest.clone()));
        prop_assert_eq!(split(stream.chunks(1)), (events, rest));
    }

    #[test]
    fn requests_are_refused_or_sent_with_three_changes((endpoint, body) in request()) {
        let asked = fields(&body);
        let read = endpoint.read_names();
        let parsed = Request::parse(endpoint, &body);
        prop_assert_eq!(matches!(parsed, Err(GatewayError::InvalidJson)), asked.is_none());
        let (Some(asked), Ok(request)) = (asked, parsed) else { return Ok(()) };
        for name in &read {
            let spelled: Vec<&String> = asked.iter().map(|(field, _)| field).filter(|field| field.eq_ignore_ascii_case(name)).collect();
            prop_assert!(spelled.len() < 2 && spelled.iter().all(|field| field == name), "{:?} for {}", spelled, name);
        }
        prop_assert!((0..=2_048 * 128).contains(&request.choices));
        prop_assert!(request.output_limit.is_none_or(|limit| (1..=1_000_000_000).contains(&limit)));
        prop_assert!(request.input_bound() >= body.len() as i64 + request.template_bound() && request.template_bound() > 0);
        let prompt = request.prompt_text();
        prop_assert!(prompt.tokens >= 0 && prompt.attachments >= 0);

        let sent = request.upstream_body(Form::default(), "up", 77);
        let said = fields(&sent);
        prop_assert!(said.is_some());
        let said = said.unwrap_or_default();
        let changes = |name: &str| ["model", "stream_options"].contains(&name) || endpoint.limits.contains(&name);
        let kept = |fields: &[(String, String)]| fields.iter().filter(|(name, _)| !changes(name)).cloned().collect::<Vec<_>>();
        prop_assert_eq!(kept(&said), kept(&asked));
        let limits: Vec<&str> = said.iter().filter(|(name, _)| endpoint.limits.contains(&name.as_str())).map(|(_, value)| value.as_str()).collect();
        prop_assert_eq!(limits, if endpoint.limits.is_empty() { vec![] } else { vec!["77"] });
        // What is sent would be understood by another of us just the same.
        let again = Request::parse(endpoint, &sent);
        prop_assert!(again.is_ok(), "{:?}", again.err());
        if let Ok(again) = again {
            prop_assert_eq!((again.model.as_str(), again.stream, again.choices), ("up", request.stream, request.choices));
            prop_assert_eq!(again.output_limit, endpoint.limits.first().map(|_| 77));
            prop_assert!(again.wants_usage || !again.stream);
        }
    }

    #[test]
    fn answers_are_never_counted_below_nothing_or_beyond_bounds(answers in prop::collection::vec(answer(), 1..4)) {
        for endpoint in ENDPOINTS {
            let (mut whole, mut streamed) = (Delivered::default(), Delivered::default());
            for answer in &answers {
                (endpoint.read_whole)(answer, &mut whole);
                (endpoint.read_event)(answer, &mut streamed);
            }
            for delivered in [whole, streamed] {
                prop_assert!((0..=1_000_000_000).contains(&delivered.least_output));
                let begun = delivered.reported_input.unwrap_or_default();
                prop_assert!((0..=1_000_000_000).contains(&begun.input) && (0..=begun.input).contains(&begun.cached) && begun.output == 0);
                let Some(usage) = delivered.usage else { continue };
                prop_assert!((0..=1_000_000_000).contains(&usage.input) && (0..=1_000_000_000).contains(&usage.output));
                prop_assert!((0..=usage.input).contains(&usage.cached));
                prop_assert!(delivered.raw_usage.is_some(), "measured, and nothing to show for it");
                let price = Price { input_ppm: 1_000_000, cached_ppm: 500_000, output_ppm: 3_000_000 };
                let charge = usage.charge(price).0;
                prop_assert!(charge >= 0 && charge <= usage.input + 3 * usage.output);
            }
        }
    }
}
