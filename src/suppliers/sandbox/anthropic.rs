//! Anthropic's form: messages, whose usage comes in two parts when they are streamed.

use crate::suppliers::sandbox::answer::{Answer, Asked, number, text_of, typed_event};
use crate::suppliers::sandbox::form::Form;
use crate::suppliers::store::Protocol;
use serde_json::{Value, json};

pub const MESSAGES: Form = Form {
    protocol: Protocol::Anthropic,
    asked: |body| {
        let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let result = messages.last().is_some_and(|message| message["content"][0]["type"] == "tool_result");
        let system = body.get("system").map(text_of).filter(|text| !text.is_empty());
        Asked {
            texts: system.into_iter().chain(messages.iter().map(|message| text_of(&message["content"]))).collect(),
            limit: number(body, "max_tokens"),
            choices: 1,
            tool: body["tools"][0]["name"].as_str().filter(|_| !result).map(str::to_string),
        }
    },
    whole: |answer| {
        let text = answer.text();
        let content = match &answer.tool {
            Some(name) => {
                let input: Value = serde_json::from_str(&text).unwrap_or_else(|_| json!({}));
                vec![json!({"type": "tool_use", "id": "toolu_sandbox", "name": name, "input": input})]
            }
            None if answer.words.is_empty() => Vec::new(),
            None => vec![json!({"type": "text", "text": text})],
        };
        let mut message = message(answer, content, stop_reason(answer));
        if let Some(usage) = usage(answer) {
            message["usage"] = usage;
        }
        message
    },
    opening: |answer| {
        let mut message = message(answer, Vec::new(), Value::Null);
        match usage(answer) {
            Some(mut usage) if usage.is_object() => {
                // So much is known before the answer: what was read, and that something is going to be said.
                usage["output_tokens"] = 1.into();
                message["usage"] = usage;
            }
            Some(usage) => message["usage"] = usage,
            None => {}
        }
        let block = match &answer.tool {
            Some(name) => json!({"type": "tool_use", "id": "toolu_sandbox", "name": name, "input": {}}),
            None => json!({"type": "text", "text": ""}),
        };
        [
            json!({"type": "message_start", "message": message}),
            json!({"type": "content_block_start", "index": 0, "content_block": block}),
            json!({"type": "ping"}),
        ]
        .iter()
        .map(typed_event)
        .collect()
    },
    word: |answer, word, _| {
        let delta = match answer.tool {
            Some(_) => json!({"type": "input_json_delta", "partial_json": word}),
            None => json!({"type": "text_delta", "text": word}),
        };
        typed_event(&json!({"type": "content_block_delta", "index": 0, "delta": delta}))
    },
    closing: |answer| {
        let mut delta = json!({"type": "message_delta", "delta": {"stop_reason": stop_reason(answer), "stop_sequence": null}});
        match usage(answer) {
            Some(usage) if usage.is_object() => delta["usage"] = json!({"output_tokens": usage["output_tokens"]}),
            Some(usage) => delta["usage"] = usage,
            None => {}
        }
        let stop = json!({"type": "content_block_stop", "index": 0});
        [stop, delta, json!({"type": "message_stop"})].iter().map(typed_event).collect()
    },
    failure: |kind, message| {
        let kind = if kind == "server_error" { "api_error" } else { kind };
        json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_sandbox"})
    },
    failure_event: typed_event,
};

fn stop_reason(answer: &Answer) -> Value {
    match (answer.cut_short, &answer.tool) {
        (true, _) => "max_tokens".into(),
        (false, Some(_)) => "tool_use".into(),
        (false, None) => "end_turn".into(),
    }
}

fn message(answer: &Answer, content: Vec<Value>, stop_reason: Value) -> Value {
    json!({
        "id": "msg_sandbox", "type": "message", "role": "assistant", "model": answer.quirk.name(), "content": content,
        "stop_reason": stop_reason, "stop_sequence": null,
    })
}

fn usage(answer: &Answer) -> Option<Value> {
    answer.usage(["input_tokens", "output_tokens"], |_, _| json!({"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}))
}
