//! `POST /v1/completions` (OpenAI API reference, "Create completion", legacy): one prompt or many, as text or as Token ids.

use crate::gateway::error::GatewayError;
use crate::gateway::limits::Limits;
use crate::gateway::wire::chat::{PER_CALL, error_event, in_one_piece, note_answer, until_done};
use crate::gateway::wire::lenient::lenient;
use crate::gateway::wire::object::RawObject;
use crate::gateway::wire::request::{MOST_CHOICES, choices, choices_or_zero, invalid, required};
use crate::gateway::wire::schema::{at_least, or_null, positive, texts};
use crate::gateway::wire::{Delivered, Endpoint, Part, Shape};
use crate::suppliers::store::Protocol;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const MOST_PROMPTS: usize = 2_048;
/// The reference's own: without a limit an answer ends here, not at the model's maximum.
const DEFAULT_LIMIT: i64 = 16;

pub const ENDPOINT: Endpoint = Endpoint {
    path: "completions",
    protocol: Protocol::Openai,
    summary: "Continue a text, whole or streamed (OpenAI, Create completion)",
    schema,
    reads: &["prompt", "n", "best_of"],
    prompt: &["prompt", "suffix"],
    limits: &["max_tokens"],
    takes_zero: true,
    usage_on_request: true,
    read_request,
    read_whole,
    read_event,
    error_event,
};

fn schema() -> Value {
    let (choices, best_of) = (or_null(positive(MOST_CHOICES)), or_null(at_least(0, MOST_CHOICES)));
    json!({"required": ["prompt"], "properties": {"prompt": texts(MOST_PROMPTS), "n": choices, "best_of": best_of}})
}

/// Every prompt is answered `n` times, or `best_of` times, of which the supplier keeps `n` and bills all.
fn read_request(object: &RawObject<'_>, _: &Limits) -> Result<Shape, GatewayError> {
    let prompts = count_inputs(object, "prompt", MOST_PROMPTS)?;
    let answers = choices(object, "n")?.max(choices_or_zero(object, "best_of")?);
    Ok(Shape { choices: prompts * answers, template: prompts * PER_CALL, default_limit: Some(DEFAULT_LIMIT), ..Shape::default() })
}

/// How many texts stand in a field that holds one text or an array of texts, each of which may also be an array of Token ids.
pub fn count_inputs(object: &RawObject<'_>, name: &'static str, most: usize) -> Result<i64, GatewayError> {
    const WHAT: &str = "a string, an array of strings, or Token ids";
    let raw: &RawValue = required(object, name, WHAT)?;
    let begins_with = |raw: &RawValue, first: char| raw.get().starts_with(first);
    if begins_with(raw, '"') {
        return Ok(1);
    }
    let items: Vec<&RawValue> = required(object, name, WHAT)?;
    let token_ids = |raw: &RawValue| serde_json::from_str::<Vec<u32>>(raw.get()).is_ok_and(|ids| !ids.is_empty());
    let inputs = match items.first() {
        Some(item) if begins_with(item, '"') && items.iter().all(|item| begins_with(item, '"')) => items.len(),
        Some(item) if begins_with(item, '[') && items.iter().all(|item| token_ids(item)) => items.len(),
        Some(_) if token_ids(raw) => 1,
        _ => return Err(invalid(name, format!("'{name}' must be {WHAT}."))),
    };
    if inputs > most {
        return Err(invalid(name, format!("'{name}' must hold at most {most} texts.")));
    }
    Ok(inputs as i64)
}

lenient! {
    struct Choice<'a> {
        "text" => text: &'a RawValue,
    }
}

fn note(bytes: &[u8], delivered: &mut Delivered) -> Option<Part> {
    note_answer(bytes, delivered, |choice: &Choice<'_>, delivered| choice.text.into_iter().for_each(|piece| delivered.say(piece)))
}

fn read_whole(body: &[u8], delivered: &mut Delivered) -> bool {
    in_one_piece(body, delivered, note)
}

fn read_event(data: &[u8], delivered: &mut Delivered) -> Part {
    until_done(data, delivered, note)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::wire::Request;

    fn parsed(fields: &str) -> Result<(i64, Option<i64>), Option<&'static str>> {
        let body = format!(r#"{{"model":"m",{fields}}}"#);
        match Request::parse(&ENDPOINT, body.as_bytes()) {
            Ok(request) => Ok((request.choices, request.output_limit)),
            Err(GatewayError::InvalidField { param, .. }) => Err(Some(param)),
            Err(_) => Err(None),
        }
    }

    #[test]
    fn every_prompt_is_held_for() {
        for (fields, expected) in [
            (r#""prompt":"hi""#, Ok((1, Some(16)))),
            (r#""prompt":"""#, Ok((1, Some(16)))),
            (r#""prompt":["a","b"],"n":3,"max_tokens":7"#, Ok((6, Some(7)))),
            (r#""prompt":[1,2,3],"n":2,"best_of":5"#, Ok((5, Some(16)))),
            (r#""prompt":[[1,2],[3]]"#, Ok((2, Some(16)))),
            (r#""prompt":"a","n":2,"best_of":0,"max_tokens":0"#, Ok((2, Some(1)))),
            (r#""prompt":"a","best_of":-1"#, Err(Some("best_of"))),
            (r#""prompt":[]"#, Err(Some("prompt"))),
            (r#""prompt":[[]]"#, Err(Some("prompt"))),
            (r#""prompt":["a",1]"#, Err(Some("prompt"))),
            (r#""prompt":{"a":1}"#, Err(Some("prompt"))),
            (r#""max_tokens":1"#, Err(Some("prompt"))),
            (r#""prompt":"a","best_of":129"#, Err(Some("best_of"))),
            (r#""prompt":"a","prompt":["b","c"]"#, Err(Some("prompt"))),
        ] {
            assert_eq!(parsed(fields), expected, "{fields}");
        }
    }

    #[test]
    fn answers_give_text_and_usage() {
        let mut delivered = Delivered::default();
        assert_eq!(read_event(br#"{"choices":[{"text":"a"},{"text":"b"}],"usage":null}"#, &mut delivered), Part::Content);
        assert_eq!(read_event(br#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#, &mut delivered), Part::Usage);
        assert_eq!(read_event(b"[DONE]", &mut delivered), Part::End);
        assert_eq!((delivered.text.as_str(), delivered.usage.map(|usage| usage.output)), ("ab", Some(2)));
        assert_eq!(read_event(br#"{"error":{"message":"x"}}"#, &mut delivered), Part::Broken);
        assert!(!read_whole(b"{\"choices\":", &mut delivered));
        let mut whole = Delivered::default();
        assert!(read_whole(br#"{"choices":[{"text":"a"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#, &mut whole));
        assert_eq!(whole.usage.map(|usage| usage.output), Some(2));
    }
}
