//! `POST /v1/embeddings` (OpenAI API reference, "Create embeddings"): input only, so there is neither a limit nor a stream. The vectors
//! are never looked into, whether floats or base64.

use crate::gateway::error::GatewayError;
use crate::gateway::limits::Limits;
use crate::gateway::meter::Usage;
use crate::gateway::wire::chat::{PER_CALL, error_event};
use crate::gateway::wire::completions::count_inputs;
use crate::gateway::wire::lenient::lenient;
use crate::gateway::wire::object::RawObject;
use crate::gateway::wire::request::{field, invalid};
use crate::gateway::wire::schema::{nothing_but, texts};
use crate::gateway::wire::{Delivered, Endpoint, Part, Shape};
use crate::suppliers::store::Protocol;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const MOST_INPUTS: usize = 2_048;

pub const ENDPOINT: Endpoint = Endpoint {
    path: "embeddings",
    protocol: Protocol::Openai,
    summary: "Turn texts into vectors (OpenAI, Create embeddings)",
    schema,
    reads: &["input"],
    prompt: &["input"],
    limits: &[],
    takes_zero: false,
    usage_on_request: false,
    read_request,
    read_whole,
    read_event,
    error_event,
};

fn schema() -> Value {
    json!({"required": ["input"], "properties": {"input": texts(MOST_INPUTS), "stream": nothing_but(&[false.into()])}})
}

fn read_request(object: &RawObject<'_>, _: &Limits) -> Result<Shape, GatewayError> {
    if field(object, "stream", "true or false")?.unwrap_or(false) {
        return Err(invalid("stream", "Embeddings are not streamed."));
    }
    let inputs = count_inputs(object, "input", MOST_INPUTS)?;
    Ok(Shape { choices: 0, template: inputs * PER_CALL, ..Shape::default() })
}

lenient! {
    struct Answer<'a> {
        "usage" => usage: &'a RawValue,
        "data" => data: Vec<&'a RawValue>,
        "error" => error: &'a RawValue,
    }
}

fn read_whole(body: &[u8], delivered: &mut Delivered) -> bool {
    let answer = serde_json::from_slice(body).ok().filter(|answer: &Answer<'_>| answer.error.is_none());
    let Some(answer) = answer else { return false };
    if let Some(raw) = answer.usage {
        delivered.report(raw, usage_of(raw));
    }
    delivered.beyond_text = answer.data.is_some_and(|data| !data.is_empty());
    true
}

/// There is no stream to have events.
fn read_event(_: &[u8], _: &mut Delivered) -> Part {
    Part::Broken
}

fn usage_of(raw: &RawValue) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Report {
        prompt_tokens: i64,
    }
    let report: Report = serde_json::from_str(raw.get()).ok()?;
    Usage::sane(report.prompt_tokens, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::forms::Form;
    use crate::gateway::wire::Request;

    #[test]
    fn requests_have_input_and_no_output() {
        let body = br#"{"model":"m","input":["a","b"],"encoding_format":"base64","dimensions":8}"#;
        let request = Request::parse(&ENDPOINT, body).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!((request.choices, request.output_limit, request.stream), (0, None, false));
        assert_eq!(
            String::from_utf8_lossy(&request.upstream_body(Form::default(), "up", 4_096)),
            r#"{"model":"up","input":["a","b"],"encoding_format":"base64","dimensions":8}"#
        );
        for (fields, param) in [(r#""input":"a","stream":true"#, "stream"), (r#""input":[]"#, "input"), (r#""n":1"#, "input")] {
            let body = format!(r#"{{"model":"m",{fields}}}"#);
            let refused = Request::parse(&ENDPOINT, body.as_bytes()).err();
            assert!(matches!(refused, Some(GatewayError::InvalidField { param: found, .. }) if found == param), "{fields}: {refused:?}");
        }
    }

    #[test]
    fn vectors_are_delivered_whatever_their_format() {
        for (body, readable, something) in [
            (r#"{"data":[{"embedding":"AAAA"}],"usage":{"prompt_tokens":3,"total_tokens":3}}"#, true, true),
            (r#"{"data":[{"embedding":[0.1]}]}"#, true, true),
            (r#"{"data":[],"usage":{"prompt_tokens":3}}"#, true, false),
            (r#"{"error":{"message":"x"}}"#, false, false),
            (r#"{"data":"#, false, false),
        ] {
            let mut delivered = Delivered::default();
            assert_eq!((read_whole(body.as_bytes(), &mut delivered), !delivered.is_nothing()), (readable, something), "{body}");
        }
    }
}
