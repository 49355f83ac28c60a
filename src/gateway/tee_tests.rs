//! Recorded streams, cut in any way into reads: what is passed on, noted and concluded is always the same.

use super::*;
use crate::gateway::wire::{Endpoint, chat, completions, messages, responses};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const CHUNKINGS: usize = 10_000;

/// One stream of each kind: with comments, every kind of line end, data over several lines, letters of several bytes; ended, failed,
/// ended without the blank line, and broken off.
const RECORDED: [(&Endpoint, &str); 7] = [
    (
        &chat::ENDPOINT,
        ": OPENROUTER PROCESSING\n\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"naïve 😀 \"}}]}\r\n\r\ndata: {\"choices\":[{\ndata: \"delta\":{\"content\":\"日本\"}}]}\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n",
    ),
    (&chat::ENDPOINT, "data:{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\nevent: x\nid: 1\nretry: 5\n\ndata: [DONE]"),
    (
        &chat::ENDPOINT,
        "data: {\"choices\":[{\"delta\":{\"content\":\"é\"}}]}\n\ndata: {\"error\":{\"message\":\"no\"}}\n\ndata: [DONE]\n\n",
    ),
    (
        &completions::ENDPOINT,
        "data: {\"choices\":[{\"text\":\"eins \"}]}\n\ndata: {\"choices\":[{\"text\":\"zwei\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: {\"choi",
    ),
    (
        &responses::ENDPOINT,
        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"usage\":null}}\n\nevent: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"schön 😀\"}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{\"status\":\"completed\",\"usage\":{\"input_tokens\":9,\"output_tokens\":4}}}\n\n",
    ),
    (
        &responses::ENDPOINT,
        "event: response.output_text.delta\r\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\r\n\r\nevent: response.failed\r\ndata: {\"type\":\"response.failed\",\"response\":{\"status\":\"failed\",\"error\":{\"code\":\"server_error\"}}}\r\n\r\n",
    ),
    (
        &messages::ENDPOINT,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,\"cache_read_input_tokens\":3,\"output_tokens\":1}}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"où 😀\"}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":4}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ),
];

#[test]
fn empty_data_is_not_passed_on() {
    let stream = b"event: ping\ndata:\n\n: still here\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata\n\ndata: [DONE]\n\n";
    let relayed = relayed(&chat::ENDPOINT, false, &[stream]);
    assert_eq!(String::from_utf8_lossy(&relayed.passed), ": still here\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
    assert!(relayed.end.starts_with("done"), "{}", relayed.end);
}

/// All that comes of a stream, for comparison.
#[derive(Debug, PartialEq)]
struct Relayed {
    passed: Vec<u8>,
    end: String,
    usage: Option<crate::gateway::meter::Usage>,
    raw_usage: Option<String>,
    text: String,
}

fn tee(endpoint: &Endpoint, wants_usage: bool) -> Tee {
    let (splitter, read_event) = (Splitter::new(MOST_EVENT_BYTES), endpoint.read_event);
    Tee { splitter, read_event, wants_usage, delivered: Delivered::default(), room: Room::default() }
}

fn relayed(endpoint: &Endpoint, wants_usage: bool, reads: &[&[u8]]) -> Relayed {
    let mut tee = tee(endpoint, wants_usage);
    let (mut passed, mut end) = (Vec::new(), None);
    for read in reads {
        tee.splitter.push(read);
        let (bytes, ended) = tee.read();
        passed.extend_from_slice(&bytes);
        end = ended;
        if end.is_some() {
            break;
        }
    }
    let end = match end.unwrap_or_else(|| tee.end_of_body()) {
        End::Done(event) => format!("done: {event:?}"),
        End::Failed(event) => format!("failed: {event:?}"),
        End::Broken => "broken".to_string(),
        End::ClientLeft | End::SwitchedOff(_) | End::Leaving | End::TimedOut | End::TooLong => "not the stream's doing".to_string(),
    };
    let raw_usage = tee.delivered.raw_usage.as_deref().map(|raw| raw.get().to_string());
    Relayed { passed, end, usage: tee.delivered.usage, raw_usage, text: tee.delivered.text }
}

#[test]
fn ten_thousand_chunkings_make_no_difference() {
    let mut dice = StdRng::seed_from_u64(20_261_125);
    let whole: Vec<[Relayed; 2]> = RECORDED
        .iter()
        .map(|(endpoint, stream)| [true, false].map(|wants_usage| relayed(endpoint, wants_usage, &[stream.as_bytes()])))
        .collect();
    for n in 0..CHUNKINGS {
        let (endpoint, stream) = RECORDED[n % RECORDED.len()];
        let (bytes, wants_usage) = (stream.as_bytes(), dice.random_bool(0.5));
        // From single bytes to reads longer than any event.
        let longest = 1 << dice.random_range(0..10_u32);
        let mut reads = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let next = (at + dice.random_range(1..=longest)).min(bytes.len());
            reads.push(&bytes[at..next]);
            at = next;
        }
        let expected = &whole[n % RECORDED.len()][usize::from(!wants_usage)];
        assert_eq!(
            &relayed(endpoint, wants_usage, &reads),
            expected,
            "chunking {n}: {:?}",
            reads.iter().map(|read| read.len()).collect::<Vec<_>>()
        );
    }
}

#[test]
fn recorded_streams_are_passed_on_and_concluded() {
    let conclusions: Vec<String> = RECORDED
        .iter()
        .map(|(endpoint, stream)| {
            let relayed = relayed(endpoint, true, &[stream.as_bytes()]);
            assert!(stream.as_bytes().starts_with(&relayed.passed));
            let end = relayed.end.split(':').next().unwrap_or_default();
            let usage = relayed.usage.map_or("no usage".to_string(), |usage| format!("{}/{}/{}", usage.input, usage.cached, usage.output));
            format!("{} {end}, {usage}, {:?}", endpoint.path, relayed.text)
        })
        .collect();
    insta::assert_snapshot!(conclusions.join("\n"), @r#"
    chat/completions done, 9/0/4, "naïve 😀 日本"
    chat/completions done, no usage, "a"
    chat/completions broken, no usage, "é"
    completions broken, no usage, "eins zwei"
    responses done, 9/0/4, "schön 😀"
    responses failed, no usage, "x"
    messages done, 12/3/4, "où 😀"
    "#);
}

#[test]
fn a_stream_without_room_for_its_text_goes_on_and_counts_by_its_bytes() {
    // For 2,048 bytes, each of which takes the room of two.
    let memory = Bodies::new(4 << 10);
    let read = |tee: &mut Tee, bytes: usize| {
        let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(bytes));
        tee.splitter.push(event.as_bytes());
        let (passed, end) = tee.read();
        assert!(passed == event && end.is_none(), "{passed:?}");
        tee.keep_within(&memory);
        (tee.delivered.text.len(), tee.delivered.unkept)
    };
    let (mut first, mut second) = (tee(&chat::ENDPOINT, false), tee(&chat::ENDPOINT, false));
    assert_eq!((read(&mut first, 1_000), read(&mut second, 1_000)), ((1_000, 0), (1_000, 0)));
    assert_eq!(read(&mut second, 500), (0, 1_500), "all is taken");
    assert_eq!(read(&mut first, 1_000), (2_000, 0), "what it had is free");
    assert_eq!((read(&mut second, 10), read(&mut first, 100)), ((0, 1_510), (0, 2_100)));
    assert_eq!(read(&mut tee(&chat::ENDPOINT, false), 2_000), (2_000, 0));
}
