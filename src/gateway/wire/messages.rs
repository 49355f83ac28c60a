//! `POST /v1/messages` (Anthropic API reference, "Create a Message"). Its report counts input in three parts that exclude each other:
//! fresh (`input_tokens`), written to the cache and read from it. Our input is their sum, and our cached input what was read: writing
//! to the cache is charged as input. What compacting the conversation took is in `iterations` alone, and is added.

use crate::gateway::error::GatewayError;
use crate::gateway::limits::Limits;
use crate::gateway::meter::Usage;
use crate::gateway::wire::chat::{MOST_MESSAGES, template_of_messages};
use crate::gateway::wire::lenient::lenient;
use crate::gateway::wire::object::RawObject;
use crate::gateway::wire::request::{self, invalid, refuse_hosted_tools};
use crate::gateway::wire::schema::{nothing_but, parts, positive, tools};
use crate::gateway::wire::{Delivered, Endpoint, Part, Shape};
use crate::ids::RequestId;
use crate::suppliers::store::Protocol;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// What the supplier's own instructions add where there are tools, and again for each tool of its making; the reference's table of
/// "tool use system prompt" Tokens stays below both.
const PER_TOOLS: i64 = 1_024;

pub const ENDPOINT: Endpoint = Endpoint {
    path: "messages",
    protocol: Protocol::Anthropic,
    summary: "Answer a conversation, whole or streamed (Anthropic, Create a Message)",
    schema,
    reads: &["messages", "tools", "mcp_servers", "container", "thinking"],
    prompt: &["system", "messages", "tools"],
    limits: &["max_tokens"],
    takes_zero: false,
    usage_on_request: false,
    read_request,
    read_whole,
    read_event,
    error_event,
};

const RUN_BY_SUPPLIER: [&str; 2] = ["mcp_servers", "container"];
const RUN_BY_CALLER: [&str; 4] = ["bash", "text_editor", "computer", "memory"];

fn schema() -> Value {
    let [mcp_servers, container] = RUN_BY_SUPPLIER;
    json!({
        "required": ["messages", "max_tokens"],
        "properties": {
            "messages": parts(MOST_MESSAGES), "max_tokens": positive(i64::MAX), "tools": tools(),
            mcp_servers: nothing_but(&[]), container: nothing_but(&[]),
        },
    })
}

fn read_request(object: &RawObject<'_>, limits: &Limits) -> Result<Shape, GatewayError> {
    let template = template_of_messages(object, limits)?;
    let Some(limit) = request::positive(object, "max_tokens")? else {
        return Err(invalid("max_tokens", "'max_tokens' is missing."));
    };
    if let Some(param) = RUN_BY_SUPPLIER.into_iter().find(|name| object.get(name).is_some()) {
        return Err(invalid(
            param,
            format!("'{param}' makes the supplier run tools, whose cost cannot be known before. It is not served."),
        ));
    }
    let made_by_supplier = refuse_hosted_tools(object, &RUN_BY_CALLER)?;
    let instructions = if object.get("tools").is_some() { (1 + made_by_supplier) * PER_TOOLS } else { 0 };
    Ok(Shape { template: template + instructions, least_limit: beyond_thinking(object, limit), ..Shape::default() })
}

/// The least limit with which thinking ends before the answer does. Where the caller's own is no larger, as it may be with thinking between
/// tools, any will do.
fn beyond_thinking(object: &RawObject<'_>, limit: i64) -> i64 {
    #[derive(Deserialize)]
    struct Thinking {
        budget_tokens: i64,
    }
    let thinking = object.get("thinking").and_then(|raw| serde_json::from_str(raw.get()).ok());
    thinking.map_or(1, |Thinking { budget_tokens }| if budget_tokens < limit { budget_tokens.max(0) + 1 } else { 1 })
}

lenient! {
    /// A whole message; in a stream, the one that begins it.
    struct Message<'a> {
        "type" => kind: String,
        "content" => content: Vec<Block<'a>>,
        "usage" => usage: &'a RawValue,
    }

    /// A block of content, or what is added to one.
    struct Block<'a> {
        "text" => text: &'a RawValue,
        "thinking" => thinking: &'a RawValue,
        "name" => name: &'a RawValue,
        "partial_json" => partial_json: &'a RawValue,
        "input" => input: &'a RawValue,
        /// Of what is added at the very end.
        "stop_reason" => stop_reason: &'a RawValue,
    }
}

impl Block<'_> {
    fn say(&self, delivered: &mut Delivered) {
        // A block that is still to be filled has an empty input.
        let input = self.input.filter(|input| input.get() != "{}");
        let pieces = [self.text, self.thinking, self.name, self.partial_json, input];
        pieces.into_iter().flatten().for_each(|piece| delivered.say(piece));
    }
}

fn read_whole(body: &[u8], delivered: &mut Delivered) -> bool {
    let Ok(message) = serde_json::from_slice::<Message<'_>>(body) else { return false };
    if message.kind.as_deref() == Some("error") {
        return false;
    }
    message.content.iter().flatten().for_each(|block| block.say(delivered));
    if let Some(raw) = message.usage {
        delivered.report(raw, usage_of(raw));
    }
    true
}

lenient! {
    struct Event<'a> {
        "type" => kind: String,
        "message" => message: Message<'a>,
        "content_block" => content_block: Block<'a>,
        "delta" => delta: Block<'a>,
        "usage" => usage: &'a RawValue,
    }
}

fn read_event(data: &[u8], delivered: &mut Delivered) -> Part {
    let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else { return Part::Broken };
    match event.kind.as_deref().unwrap_or_default() {
        "message_stop" => {
            delivered.end();
            // Where no report belongs, some servers that translate have theirs. It is no better than one that came in its place.
            if let (None, Some(raw)) = (delivered.usage, event.usage) {
                let whole = completed(delivered.raw_usage.as_deref(), raw);
                if let Some(usage) = usage_of(&whole).filter(|usage| usage.output >= delivered.least_output) {
                    delivered.report(&whole, Some(usage));
                }
            }
            return Part::End;
        }
        "error" => return Part::Broken,
        // A report of what has only begun: its input has been read, its output is no measure yet. No input stands for one that is not
        // known so early.
        "message_start" => {
            if let Some(raw) = event.message.and_then(|message| message.usage) {
                delivered.report(raw, None);
                let begun = usage_of(raw).filter(|usage| usage.input > 0);
                delivered.reported_input = begun.map(|usage| Usage { output: 0, ..usage });
            }
        }
        "message_delta" => {
            if let Some(raw) = event.usage {
                let whole = completed(delivered.raw_usage.as_deref(), raw);
                match event.delta.and_then(|delta| delta.stop_reason) {
                    Some(_) => delivered.report(&whole, usage_of(&whole)),
                    None => delivered.report_so_far(&whole, usage_of(&whole)),
                }
            }
        }
        _ => event.content_block.iter().chain(&event.delta).for_each(|block| block.say(delivered)),
    }
    Part::Content
}

/// More than any report holds: one that grows with each event is not kept whole.
const LONGEST_REPORT: usize = 64 << 10;

/// The report that began, with what the later one says instead or besides, each value as it came.
fn completed(begun: Option<&RawValue>, later: &RawValue) -> Box<RawValue> {
    let merged = || {
        let begun = begun.filter(|begun| begun.get().len() <= LONGEST_REPORT)?;
        let (begun, said) = (RawObject::parse(begun.get().as_bytes())?, RawObject::parse(later.get().as_bytes())?);
        RawValue::from_string(String::from_utf8(begun.overlaid(&said)).ok()?).ok()
    };
    merged().unwrap_or_else(|| later.to_owned())
}

fn usage_of(raw: &RawValue) -> Option<Usage> {
    #[derive(Default, Deserialize)]
    struct Report<'a> {
        #[serde(borrow, default)]
        iterations: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Iteration {
        #[serde(rename = "type")]
        kind: String,
    }
    let report: Report<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    let is_compaction = |iteration: &&RawValue| serde_json::from_str(iteration.get()).is_ok_and(|Iteration { kind }| kind == "compaction");
    report.iterations.into_iter().filter(is_compaction).try_fold(usage_of_sampling(raw)?, |sum, iteration| {
        let usage = usage_of_sampling(iteration)?;
        Usage::sane(sum.input + usage.input, sum.cached + usage.cached, sum.output + usage.output)
    })
}

fn usage_of_sampling(raw: &RawValue) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Report {
        input_tokens: i64,
        output_tokens: i64,
        #[serde(default)]
        cache_creation_input_tokens: Option<i64>,
        #[serde(default)]
        cache_read_input_tokens: Option<i64>,
    }
    let report: Report = serde_json::from_str(raw.get()).ok()?;
    let (written, read) = (report.cache_creation_input_tokens.unwrap_or(0), report.cache_read_input_tokens.unwrap_or(0));
    if report.input_tokens < 0 || written < 0 {
        return None;
    }
    let input = report.input_tokens.checked_add(written)?.checked_add(read)?;
    Usage::sane(input, read, report.output_tokens)
}

fn error_event(error: &GatewayError, request_id: RequestId, _: &Delivered) -> String {
    format!("event: error\ndata: {}\n\n", error.anthropic(request_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::wire::Request;

    fn parsed(fields: &str) -> Result<i64, Option<&'static str>> {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{fields}}}"#);
        match Request::parse(&ENDPOINT, body.as_bytes()) {
            Ok(request) => Ok(request.template_bound()),
            Err(GatewayError::InvalidField { param, .. }) => Err(Some(param)),
            Err(_) => Err(None),
        }
    }

    #[test]
    fn tools_are_held_for_and_the_suppliers_own_refused() {
        for (fields, expected) in [
            ("", Err(Some("max_tokens"))),
            (r#","max_tokens":9"#, Ok(24)),
            (r#","max_tokens":9,"tools":[{"name":"f","input_schema":{}}]"#, Ok(24 + 1_024)),
            (r#","max_tokens":9,"tools":[{"type":"bash_20250124","name":"bash"},{"type":"custom","name":"f"}]"#, Ok(24 + 2 * 1_024)),
            (r#","max_tokens":9,"tools":[{"type":"web_search_20250305","name":"web_search"}]"#, Err(Some("tools"))),
            (r#","max_tokens":9,"tools":[{"type":"bashful","name":"x"}]"#, Err(Some("tools"))),
            (r#","max_tokens":9,"mcp_servers":[]"#, Err(Some("mcp_servers"))),
            (r#","max_tokens":9,"max_tokens":8"#, Err(Some("max_tokens"))),
        ] {
            assert_eq!(parsed(fields), expected, "{fields}");
        }
    }

    #[test]
    fn usage_sums_what_excludes_each_other() {
        let usage = |input, cached, output| Some(Usage { input, cached, output });
        for (json, expected) in [
            (r#"{"input_tokens":9,"output_tokens":12}"#, usage(9, 0, 12)),
            (r#"{"input_tokens":9,"cache_creation_input_tokens":100,"cache_read_input_tokens":50,"output_tokens":1}"#, usage(159, 50, 1)),
            (r#"{"input_tokens":9,"cache_creation_input_tokens":null,"output_tokens":1}"#, usage(9, 0, 1)),
            (r#"{"input_tokens":-1,"cache_creation_input_tokens":5,"output_tokens":1}"#, None),
            (r#"{"input_tokens":9,"cache_creation_input_tokens":-5,"output_tokens":1}"#, None),
            (r#"{"input_tokens":9,"cache_read_input_tokens":-5,"output_tokens":1}"#, None),
            (r#"{"input_tokens":9,"cache_read_input_tokens":9223372036854775807,"output_tokens":1}"#, None),
            (r#"{"input_tokens":1.5,"output_tokens":1}"#, None),
            (r#"{"input_tokens":9,"output_tokens":1,"iterations":null}"#, usage(9, 0, 1)),
            (r#"{"input_tokens":9,"output_tokens":1,"iterations":[7,{},{"type":"other"}]}"#, usage(9, 0, 1)),
            (
                r#"{"input_tokens":23000,"output_tokens":1000,"iterations":[
                    {"type":"compaction","input_tokens":180000,"cache_read_input_tokens":7,"output_tokens":3500},
                    {"type":"message","input_tokens":23000,"output_tokens":1000}]}"#,
                usage(203_007, 7, 4_500),
            ),
            (r#"{"input_tokens":9,"output_tokens":1,"iterations":[{"type":"compaction","input_tokens":-1,"output_tokens":1}]}"#, None),
            (r#"{"output_tokens":1}"#, None),
        ] {
            assert_eq!(usage_of(&RawValue::from_string(json.into()).expect("JSON")), expected, "{json}");
        }
    }

    #[test]
    fn a_stream_is_measured_once_its_report_is_complete() {
        let mut delivered = Delivered::default();
        for (data, part) in [
            (
                r#"{"type":"message_start","message":{"type":"message","content":[],"usage":{"input_tokens":7,"cache_read_input_tokens":3,"output_tokens":1}}}"#,
                Part::Content,
            ),
            (r#"{"type":"ping"}"#, Part::Content),
            (r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","name":"f","input":{}}}"#, Part::Content),
            (r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}"#, Part::Content),
        ] {
            assert_eq!(read_event(data.as_bytes(), &mut delivered), part, "{data}");
        }
        assert_eq!((delivered.text.as_str(), delivered.usage), ("f{\"a\":1}", None));
        let delta = br#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15,"input_tokens":null}}"#;
        assert_eq!(read_event(delta, &mut delivered), Part::Content);
        assert_eq!(delivered.usage, Some(Usage { input: 10, cached: 3, output: 15 }));
        let raw = delivered.raw_usage.as_deref().map(RawValue::get);
        assert_eq!(raw, Some(r#"{"input_tokens":7,"cache_read_input_tokens":3,"output_tokens":15}"#));
        assert_eq!(read_event(br#"{"type":"message_stop"}"#, &mut delivered), Part::End);
        assert_eq!(read_event(br#"{"type":"error","error":{"type":"overloaded_error"}}"#, &mut delivered), Part::Broken);
    }

    #[test]
    fn a_stream_without_its_report_has_the_input_that_it_began_with() {
        let start = |usage: &str| format!(r#"{{"type":"message_start","message":{{"usage":{usage}}}}}"#);
        let delta = |reason: &str, usage: &str| format!(r#"{{"type":"message_delta","delta":{{"stop_reason":{reason}}},"usage":{usage}}}"#);
        let sane = r#"{"input_tokens":7,"cache_read_input_tokens":3,"output_tokens":1}"#;
        let stop = || r#"{"type":"message_stop"}"#.to_string();
        let reporting_stop = |output: i64| format!(r#"{{"type":"message_stop","usage":{{"output_tokens":{output}}}}}"#);
        let of = |input, cached, output| Some(Usage { input, cached, output });
        for (events, measured, input, least) in [
            (vec![start(sane)], None, of(10, 3, 0), 0),
            (vec![start(sane), stop()], None, of(10, 3, 0), 0),
            (vec![start(sane), delta("\"end_turn\"", r#"{"output_tokens":4}"#)], of(10, 3, 4), of(10, 3, 0), 0),
            (vec![start(sane), delta("null", r#"{"output_tokens":4}"#)], None, of(10, 3, 0), 4),
            (vec![start(sane), delta("null", r#"{"output_tokens":4}"#), stop()], of(10, 3, 4), of(10, 3, 0), 4),
            (vec![start(sane), delta("\"end_turn\"", r#"{"output_tokens":-4}"#), stop()], None, of(10, 3, 0), 0),
            (vec![start(sane), reporting_stop(4)], of(10, 3, 4), of(10, 3, 0), 0),
            (vec![start(sane), reporting_stop(-4)], None, of(10, 3, 0), 0),
            (vec![start(sane), delta("\"end_turn\"", r#"{"output_tokens":4}"#), reporting_stop(0)], of(10, 3, 4), of(10, 3, 0), 0),
            (vec![start(sane), delta("null", r#"{"output_tokens":4}"#), reporting_stop(5)], of(10, 3, 4), of(10, 3, 0), 4),
            // A server that translates does not know it yet.
            (vec![start(r#"{"input_tokens":0,"output_tokens":0}"#)], None, None, 0),
            (vec![start(r#"{"input_tokens":-7,"output_tokens":1}"#)], None, None, 0),
            (vec![start(r#"{"input_tokens":1,"cache_read_input_tokens":1000000000,"output_tokens":1}"#)], None, None, 0),
            (vec![start("null")], None, None, 0),
        ] {
            let mut delivered = Delivered::default();
            for event in &events {
                read_event(event.as_bytes(), &mut delivered);
            }
            assert_eq!((delivered.usage, delivered.reported_input, delivered.least_output), (measured, input, least), "{events:?}");
        }
    }

    #[test]
    fn whole_messages_give_every_text() {
        let mut delivered = Delivered::default();
        let body = br#"{"type":"message","content":[{"type":"thinking","thinking":"h"},{"type":"text","text":"t"},{"type":"tool_use","name":"f","input":{"a":1}}]}"#;
        assert!(read_whole(body, &mut delivered));
        assert_eq!(delivered.text, "htf{\"a\":1}");
        assert!(!read_whole(br#"{"type":"error","error":{"type":"api_error"}}"#, &mut delivered));
    }
}
