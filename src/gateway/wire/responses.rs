//! `POST /v1/responses` (OpenAI API reference, "Create a model response"), whole and as events that carry their own type and number.
//! Without what a supplier keeps between calls: its account is shared by all of our customers, and what it kept cannot be priced.

use crate::gateway::error::GatewayError;
use crate::gateway::limits::Limits;
use crate::gateway::meter::Usage;
use crate::gateway::wire::chat::{MOST_MESSAGES, PER_CALL, PER_MESSAGE};
use crate::gateway::wire::lenient::{lenient, longer};
use crate::gateway::wire::names::refuse_spellings_in;
use crate::gateway::wire::object::{Fields, RawObject};
use crate::gateway::wire::request::{field, invalid, refuse_hosted_tools, required};
use crate::gateway::wire::schema::{nothing_but, or_null, text, tools};
use crate::gateway::wire::{Delivered, Endpoint, Part, Shape};
use crate::ids::RequestId;
use crate::suppliers::store::Protocol;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;

pub const ENDPOINT: Endpoint = Endpoint {
    path: "responses",
    protocol: Protocol::Openai,
    summary: "Answer an input, whole or streamed (OpenAI, Create a model response)",
    schema,
    reads: &["input", "background", "tools", "previous_response_id", "conversation", "prompt"],
    prompt: &["instructions", "input", "tools", "text"],
    limits: &["max_output_tokens"],
    takes_zero: false,
    usage_on_request: false,
    read_request,
    read_whole,
    read_event,
    error_event,
};

const KEPT_BY_SUPPLIER: [&str; 3] = ["previous_response_id", "conversation", "prompt"];
const RUN_BY_CALLER: [&str; 4] = ["local_shell", "apply_patch", "computer", "computer_use_preview"];

fn schema() -> Value {
    let item = json!({
        "type": "object",
        "properties": {"type": or_null(text())},
        "anyOf": [{"required": ["type"], "properties": {"type": text()}}, {"required": ["content"]}],
        "not": {"required": ["type"], "properties": {"type": {"const": "item_reference"}}},
    });
    let input = json!({"anyOf": [text(), {"type": "array", "minItems": 1, "maxItems": MOST_MESSAGES, "items": item}]});
    let mut properties = json!({"input": input, "background": nothing_but(&[false.into()]), "tools": tools()});
    for name in KEPT_BY_SUPPLIER {
        properties[name] = nothing_but(&[]);
    }
    json!({"required": ["input"], "properties": properties})
}

fn read_request(object: &RawObject<'_>, limits: &Limits) -> Result<Shape, GatewayError> {
    if let Some(param) = KEPT_BY_SUPPLIER.into_iter().find(|name| object.get(name).is_some()) {
        return Err(invalid(param, format!("'{param}' refers to what a supplier keeps, which is not served. Send the whole input.")));
    }
    if field(object, "background", "true or false")?.unwrap_or(false) {
        return Err(invalid("background", "Responses in the background are not served. Wait for the answer, or stream it."));
    }
    refuse_hosted_tools(object, &RUN_BY_CALLER)?;
    Ok(Shape { template: count_items(object, limits)? * PER_MESSAGE + PER_CALL, ..Shape::default() })
}

fn count_items(object: &RawObject<'_>, limits: &Limits) -> Result<i64, GatewayError> {
    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(borrow, default, rename = "type")]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        content: Option<&'a RawValue>,
    }
    const WHAT: &str = "a string or an array of items";
    let raw: &RawValue = required(object, "input", WHAT)?;
    if raw.get().starts_with('"') {
        return Ok(1);
    }
    let items: Vec<Fields<Item<'_>>> = required(object, "input", WHAT)?;
    refuse_spellings_in(object, "input", "type")?;
    if items.is_empty() || items.len() > limits.messages {
        return Err(invalid("input", format!("'input' must hold 1 to {} items.", limits.messages)));
    }
    // An item of no type is a message when it has content, and a reference when it has none.
    let is_reference = |Fields(item): &Fields<Item<'_>>| match item.kind.as_deref() {
        Some(kind) => kind == "item_reference",
        None => item.content.is_none(),
    };
    if items.iter().any(is_reference) {
        return Err(invalid("input", "An 'item_reference' refers to what a supplier keeps, which is not served. Send the item itself."));
    }
    Ok(items.len() as i64)
}

lenient! {
    /// The response object: a whole answer, and part of the events that begin and end a stream.
    struct Answer<'a> {
        "status" => status: String,
        "usage" => usage: &'a RawValue,
        "output" => output: Vec<Item<'a>>,
        "error" => error: &'a RawValue,
    }

    /// A message, a call of a tool, or reasoning.
    struct Item<'a> {
        "name" => name: &'a RawValue,
        "arguments" => arguments: &'a RawValue,
        "input" => input: &'a RawValue,
        "content" => content: Vec<Text<'a>>,
        "summary" => summary: Vec<Text<'a>>,
    }

    struct Text<'a> {
        "text" => text: &'a RawValue,
        "refusal" => refusal: &'a RawValue,
        "transcript" => transcript: &'a RawValue,
    }
}

impl Answer<'_> {
    fn note(&self, delivered: &mut Delivered) {
        // The last event of a stream says again what its deltas said.
        if delivered.said_nothing() {
            for item in self.output.iter().flatten() {
                let texts = item.content.iter().chain(&item.summary).flatten().flat_map(|text| [text.text, text.refusal, text.transcript]);
                [item.name, longer(item.arguments, item.input)].into_iter().chain(texts).flatten().for_each(|piece| delivered.say(piece));
            }
        }
        if let Some(raw) = self.usage {
            delivered.report(raw, usage_of(raw));
        }
    }
}

fn read_whole(body: &[u8], delivered: &mut Delivered) -> bool {
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(body) else { return false };
    // What failed is an answer all the same, and may have cost something; an error instead of one has no status.
    delivered.failed = answer.status.as_deref() == Some("failed");
    if answer.error.is_some() && !delivered.failed {
        return false;
    }
    answer.note(delivered);
    true
}

lenient! {
    struct Event<'a> {
        "type" => kind: String,
        "sequence_number" => sequence_number: i64,
        "delta" => delta: &'a RawValue,
        "response" => response: Answer<'a>,
        "item" => item: Item<'a>,
    }
}

fn read_event(data: &[u8], delivered: &mut Delivered) -> Part {
    let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else { return Part::Broken };
    delivered.number = event.sequence_number.unwrap_or(delivered.number);
    let kind = event.kind.as_deref().unwrap_or_default();
    match kind {
        "response.completed" | "response.incomplete" | "response.failed" => {
            if let Some(answer) = &event.response {
                answer.note(delivered);
            }
            return if kind == "response.failed" { Part::Failure } else { Part::End };
        }
        "error" => return Part::Broken,
        "response.output_item.added" => event.item.and_then(|item| item.name).into_iter().for_each(|name| delivered.say(name)),
        "response.audio.delta" => delivered.beyond_text = true,
        kind if kind.ends_with(".delta") => event.delta.into_iter().for_each(|piece| delivered.say(piece)),
        _ => {}
    }
    Part::Content
}

/// Cached input is part of `input_tokens`, reasoning part of `output_tokens`.
fn usage_of(raw: &RawValue) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Report {
        input_tokens: i64,
        output_tokens: i64,
        #[serde(default)]
        input_tokens_details: Option<Details>,
    }
    #[derive(Deserialize)]
    struct Details {
        #[serde(default)]
        cached_tokens: Option<i64>,
    }
    let report: Report = serde_json::from_str(raw.get()).ok()?;
    let cached = report.input_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0);
    Usage::sane(report.input_tokens, cached, report.output_tokens)
}

/// The reference's `error` event, and in it the object that clients of the older endpoints raise.
fn error_event(error: &GatewayError, _: RequestId, delivered: &Delivered) -> String {
    let mut event = error.openai();
    let fields = event["error"].clone();
    event["type"] = "error".into();
    event["sequence_number"] = (delivered.number + 1).into();
    for name in ["code", "message", "param"] {
        event[name] = fields[name].clone();
    }
    format!("event: error\ndata: {event}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::forms::Form;
    use crate::gateway::wire::Request;

    fn refused(fields: &str) -> Option<&'static str> {
        let body = format!(r#"{{"model":"m",{fields}}}"#);
        match Request::parse(&ENDPOINT, body.as_bytes()) {
            Err(GatewayError::InvalidField { param, .. }) => Some(param),
            _ => None,
        }
    }

    #[test]
    fn nothing_that_a_supplier_keeps_or_runs_is_served() {
        for (fields, param) in [
            (r#""input":"hi","previous_response_id":"resp_1""#, "previous_response_id"),
            (r#""input":"hi","conversation":"conv_1""#, "conversation"),
            (r#""input":"hi","prompt":{"id":"pmpt_1"}"#, "prompt"),
            (r#""input":"hi","background":true"#, "background"),
            (r#""input":[{"type":"item_reference","id":"msg_1"}]"#, "input"),
            (r#""input":[{"id":"msg_1"}]"#, "input"),
            (r#""input":[["message",1]]"#, "input"),
            (r#""input":"hi","tools":[["function"]]"#, "tools"),
            (r#""input":[]"#, "input"),
            (r#""input":7"#, "input"),
            (r#""instructions":"hi""#, "input"),
            (r#""input":"hi","tools":[{"type":"web_search"}]"#, "tools"),
            (r#""input":"hi","tools":[{"type":"mcp","server_url":"https://example.com"}]"#, "tools"),
            (r#""input":"hi","max_output_tokens":0"#, "max_output_tokens"),
        ] {
            assert_eq!(refused(fields), Some(param), "{fields}");
        }
        for fields in [
            r#""input":"hi","previous_response_id":null,"background":false"#,
            r#""input":[{"role":"user","content":"hi"}],"tools":[{"type":"function","name":"f"},{"type":"custom"},{"type":"local_shell"}]"#,
        ] {
            assert_eq!(refused(fields), None, "{fields}");
        }
    }

    #[test]
    fn upstream_body_asks_for_no_usage() {
        let body = br#"{"model":"m","input":"hi","stream":true,"stream_options":{"include_obfuscation":false},"store":false}"#;
        let request = Request::parse(&ENDPOINT, body).unwrap_or_else(|error| panic!("{error:?}"));
        assert!(request.wants_usage);
        assert_eq!(
            String::from_utf8_lossy(&request.upstream_body(Form::default(), "up", 9)),
            r#"{"model":"up","input":"hi","stream":true,"stream_options":{"include_obfuscation":false},"store":false,"max_output_tokens":9}"#
        );
    }

    #[test]
    fn events_are_read_to_the_one_that_ends_them() {
        let mut delivered = Delivered::default();
        for (data, part) in [
            (
                r#"{"type":"response.created","sequence_number":0,"response":{"status":"in_progress","usage":null,"output":[]}}"#,
                Part::Content,
            ),
            (
                r#"{"type":"response.output_item.added","sequence_number":1,"item":{"type":"function_call","name":"f","arguments":""}}"#,
                Part::Content,
            ),
            (r#"{"type":"response.function_call_arguments.delta","sequence_number":2,"delta":"{}"}"#, Part::Content),
            (r#"{"type":"response.output_text.delta","sequence_number":3,"delta":" a"}"#, Part::Content),
            (r#"{"type":"response.output_text.done","sequence_number":4,"text":" a"}"#, Part::Content),
            (
                r#"{"type":"response.incomplete","sequence_number":5,"response":{"status":"incomplete","output":[{"content":[{"text":" a"}]}],"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":2}}}"#,
                Part::End,
            ),
        ] {
            assert_eq!(read_event(data.as_bytes(), &mut delivered), part, "{data}");
        }
        assert_eq!((delivered.text.as_str(), delivered.number), ("f{} a", 5));
        assert_eq!(delivered.usage, Some(Usage { input: 9, cached: 4, output: 2 }));
        let failed = br#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"x"}}}"#;
        assert_eq!(read_event(failed, &mut delivered), Part::Failure);
        assert_eq!(read_event(br#"{"type":"error","message":"x"}"#, &mut delivered), Part::Broken);
        assert_eq!(read_event(b"{", &mut delivered), Part::Broken);
    }

    #[test]
    fn whole_answers_give_every_text() {
        let mut delivered = Delivered::default();
        let body = br#"{"status":"completed","error":null,"output":[{"type":"reasoning","summary":[{"text":"s"}]},
            {"type":"message","content":[{"type":"output_text","text":"t","refusal":""},{"type":"refusal","text":null,"refusal":"r"}]},
            {"type":"function_call","name":"f","arguments":"{}","input":null}],"usage":null}"#;
        assert!(read_whole(body, &mut delivered));
        assert_eq!((delivered.text.as_str(), delivered.usage), ("strf{}", None));
        assert!(!delivered.failed && !read_whole(br#"{"error":{"code":"server_error"}}"#, &mut delivered));
        let failed = br#"{"status":"failed","error":{"code":"server_error"},"output":[],"usage":{"input_tokens":9,"output_tokens":4}}"#;
        let mut delivered = Delivered::default();
        assert!(read_whole(failed, &mut delivered));
        assert_eq!((delivered.failed, delivered.usage), (true, Some(Usage { input: 9, cached: 0, output: 4 })));
    }

    #[test]
    fn an_error_event_is_of_its_protocol_and_numbered() {
        let delivered = Delivered { number: 6, ..Delivered::default() };
        let event = error_event(&GatewayError::UpstreamBroken, RequestId::generate(), &delivered);
        let data = event.strip_prefix("event: error\ndata: ").and_then(|rest| rest.strip_suffix("\n\n")).expect("one event");
        let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
        assert_eq!((&data["type"], &data["code"], &data["sequence_number"]), (&"error".into(), &"upstream_error".into(), &7.into()));
        assert_eq!(data["message"], data["error"]["message"]);
    }
}
