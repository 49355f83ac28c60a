//! OpenAI's older forms: chat completions, completions, embeddings.

use crate::suppliers::sandbox::answer::{Answer, Asked, event, number, text_of};
use crate::suppliers::sandbox::form::Form;
use crate::suppliers::sandbox::quirk::Quirk;
use crate::suppliers::store::Protocol;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const CREATED: i64 = 1_700_000_000;
const USAGE: [&str; 2] = ["prompt_tokens", "completion_tokens"];

pub const CHAT: Form = Form {
    protocol: Protocol::Openai,
    asked: |body| {
        let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let result = messages.last().is_some_and(|message| message["role"] == "tool");
        Asked {
            texts: messages.iter().map(|message| text_of(&message["content"])).collect(),
            limit: number(body, "max_completion_tokens").or(number(body, "max_tokens")),
            tool: body["tools"][0]["function"]["name"].as_str().filter(|_| !result).map(str::to_string),
            choices: choices(body),
        }
    },
    whole: |answer| {
        let text = answer.text();
        let message = match &answer.tool {
            Some(name) => json!({"role": "assistant", "content": null, "tool_calls": [tool_call(name, &text)]}),
            None => json!({"role": "assistant", "content": text, "refusal": null}),
        };
        whole(answer, "chat.completion", json!({"message": message}))
    },
    opening: |answer| {
        let delta = match &answer.tool {
            Some(name) => {
                let mut call = tool_call(name, "");
                call["index"] = 0.into();
                json!({"role": "assistant", "content": null, "tool_calls": [call]})
            }
            None => json!({"role": "assistant", "content": ""}),
        };
        vec![chat_chunk(answer, delta, Value::Null)]
    },
    word: |answer, word, _| {
        let delta = match answer.tool {
            Some(_) => json!({"tool_calls": [{"index": 0, "function": {"arguments": word}}]}),
            None => json!({"content": word}),
        };
        chat_chunk(answer, delta, Value::Null)
    },
    closing: |answer| closing(answer, "chat.completion.chunk", chat_chunk(answer, json!({}), finish_reason(answer))),
    failure,
    failure_event: event,
};

pub const COMPLETIONS: Form = Form {
    protocol: Protocol::Openai,
    asked: |body| {
        let texts = inputs(&body["prompt"]);
        Asked { choices: choices(body) * texts.len(), texts, limit: number(body, "max_tokens"), tool: None }
    },
    whole: |answer| whole(answer, "text_completion", json!({"text": answer.text()})),
    opening: |_| Vec::new(),
    word: |answer, word, _| event(&chunk(answer, "text_completion", json!({"text": word}), Value::Null)),
    closing: |answer| {
        let last = event(&chunk(answer, "text_completion", json!({"text": ""}), finish_reason(answer)));
        closing(answer, "text_completion", last)
    },
    failure,
    failure_event: event,
};

pub const EMBEDDINGS: Form = Form {
    protocol: Protocol::Openai,
    asked: |body| Asked { texts: inputs(&body["input"]), limit: Some(0), ..Asked::default() },
    whole: |answer| {
        let texts = if answer.quirk == Quirk::Empty { Vec::new() } else { inputs(&answer.request["input"]) };
        let as_base64 = answer.request["encoding_format"] == "base64";
        let vector =
            |(index, text): (usize, &String)| json!({"object": "embedding", "index": index, "embedding": embedding(text, as_base64)});
        let data: Vec<Value> = texts.iter().enumerate().map(vector).collect();
        let mut list = json!({"object": "list", "data": data, "model": answer.quirk.name()});
        put_usage(answer, &mut list);
        list
    },
    opening: |_| Vec::new(),
    word: |_, _, _| String::new(),
    closing: |_| Vec::new(),
    failure,
    failure_event: event,
};

fn choices(body: &Value) -> usize {
    number(body, "n").unwrap_or(1)
}

/// One text, or many; a text may come as Token ids.
fn inputs(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) if !items.first().is_some_and(Value::is_number) => items.iter().map(text_of).collect(),
        text => vec![text_of(text)],
    }
}

fn tool_call(name: &str, arguments: &str) -> Value {
    json!({"id": "call_sandbox", "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn finish_reason(answer: &Answer) -> Value {
    match (answer.cut_short, &answer.tool) {
        (true, _) => "length".into(),
        (false, Some(_)) => "tool_calls".into(),
        (false, None) => "stop".into(),
    }
}

fn whole(answer: &Answer, object: &str, choice: Value) -> Value {
    let mut whole = chunk(answer, object, choice, finish_reason(answer));
    put_usage(answer, &mut whole);
    whole
}

fn chat_chunk(answer: &Answer, delta: Value, finish_reason: Value) -> String {
    event(&chunk(answer, "chat.completion.chunk", json!({"delta": delta}), finish_reason))
}

/// The same choice as often as it was asked for.
fn chunk(answer: &Answer, object: &str, choice: Value, finish_reason: Value) -> Value {
    let choices: Vec<Value> = (0..answer.choices)
        .map(|index| {
            let mut choice = choice.clone();
            choice["index"] = index.into();
            choice["logprobs"] = Value::Null;
            choice["finish_reason"] = finish_reason.clone();
            choice
        })
        .collect();
    json!({"id": "chatcmpl-sandbox", "object": object, "created": CREATED, "model": answer.quirk.name(), "choices": choices})
}

fn put_usage(answer: &Answer, object: &mut Value) {
    if let Some(usage) = answer.usage(USAGE, |input, output| json!({"total_tokens": input + output})) {
        object["usage"] = usage;
    }
}

/// What follows the last word: the finish, usage if it was asked for, `[DONE]`.
fn closing(answer: &Answer, object: &str, finish: String) -> Vec<String> {
    let mut events = vec![finish];
    let mut report = json!({"id": "chatcmpl-sandbox", "object": object, "created": CREATED, "model": answer.quirk.name(), "choices": []});
    put_usage(answer, &mut report);
    if answer.request["stream_options"]["include_usage"] == true && report.get("usage").is_some() {
        events.push(event(&report));
    }
    events.push("data: [DONE]\n\n".into());
    events
}

/// Eight numbers between -1 and 1 that are always the same for the same text.
fn embedding(text: &str, as_base64: bool) -> Value {
    let mut sums = [0_u8; 8];
    text.bytes().enumerate().for_each(|(place, byte)| sums[place % 8] = sums[place % 8].wrapping_mul(31).wrapping_add(byte));
    let vector = sums.map(|sum| f32::from(sum) / 128.0 - 1.0);
    if as_base64 { STANDARD.encode(vector.map(f32::to_le_bytes).as_flattened()).into() } else { json!(vector) }
}

pub fn failure(kind: &str, message: &str) -> Value {
    json!({"error": {"message": message, "type": kind, "param": null, "code": null}})
}
