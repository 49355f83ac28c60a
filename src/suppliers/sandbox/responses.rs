//! OpenAI's newer form: responses, whose events name their type and carry a number.

use crate::suppliers::sandbox::answer::{Answer, Asked, number, text_of, typed_event};
use crate::suppliers::sandbox::form::Form;
use crate::suppliers::sandbox::openai::failure;
use crate::suppliers::store::Protocol;
use serde_json::{Value, json};

/// The numbers of the events before the first word: created, item added, and for text its part added.
const BEFORE_WORDS: usize = 3;

pub const RESPONSES: Form = Form {
    protocol: Protocol::Openai,
    asked: |body| {
        let items = body["input"].as_array().map_or_else(|| vec![body["input"].clone()], Clone::clone);
        let result = items.last().is_some_and(|item| item["type"] == "function_call_output");
        let instructions = body.get("instructions").map(text_of).filter(|text| !text.is_empty());
        Asked {
            texts: instructions.into_iter().chain(items.iter().map(text_of)).collect(),
            limit: number(body, "max_output_tokens"),
            choices: 1,
            tool: body["tools"][0]["name"].as_str().filter(|_| !result).map(str::to_string),
        }
    },
    whole: |answer| response(answer, status(answer), vec![item(answer, "completed", &answer.text())]),
    opening: |answer| {
        let mut created = response(answer, "in_progress", Vec::new());
        created["usage"] = Value::Null;
        let mut events = vec![
            json!({"type": "response.created", "response": created}),
            json!({"type": "response.output_item.added", "output_index": 0, "item": item(answer, "in_progress", "")}),
        ];
        if answer.tool.is_none() {
            events.push(json!({"type": "response.content_part.added", "item_id": "msg_sandbox", "output_index": 0, "content_index": 0, "part": part("")}));
        }
        numbered(0, events)
    },
    word: |answer, word, place| {
        let mut event = json!({"item_id": "msg_sandbox", "output_index": 0, "delta": word});
        match answer.tool {
            Some(_) => event["type"] = "response.function_call_arguments.delta".into(),
            None => {
                event["type"] = "response.output_text.delta".into();
                event["content_index"] = 0.into();
                event["logprobs"] = json!([]);
            }
        }
        numbered(BEFORE_WORDS + place, vec![event]).concat()
    },
    closing: |answer| {
        let text = answer.text();
        let done = item(answer, "completed", &text);
        let mut events = match &answer.tool {
            Some(name) => vec![
                json!({"type": "response.function_call_arguments.done", "item_id": "msg_sandbox", "output_index": 0, "name": name, "arguments": text}),
            ],
            None => vec![
                json!({"type": "response.output_text.done", "item_id": "msg_sandbox", "output_index": 0, "content_index": 0, "text": text, "logprobs": []}),
                json!({"type": "response.content_part.done", "item_id": "msg_sandbox", "output_index": 0, "content_index": 0, "part": part(&text)}),
            ],
        };
        events.push(json!({"type": "response.output_item.done", "output_index": 0, "item": done}));
        let status = status(answer);
        events.push(json!({"type": format!("response.{status}"), "response": response(answer, status, vec![done])}));
        numbered(BEFORE_WORDS + answer.words.len(), events)
    },
    failure,
    failure_event: |failure| {
        let error = &failure["error"];
        typed_event(&json!({"type": "error", "code": error["type"], "message": error["message"], "param": null, "sequence_number": 99}))
    },
};

fn status(answer: &Answer) -> &'static str {
    if answer.cut_short { "incomplete" } else { "completed" }
}

fn numbered(first: usize, events: Vec<Value>) -> Vec<String> {
    let number = |(place, mut event): (usize, Value)| {
        event["sequence_number"] = (first + place).into();
        typed_event(&event)
    };
    events.into_iter().enumerate().map(number).collect()
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn item(answer: &Answer, status: &str, text: &str) -> Value {
    match &answer.tool {
        Some(name) => {
            json!({"type": "function_call", "id": "msg_sandbox", "call_id": "call_sandbox", "status": status, "name": name, "arguments": text})
        }
        None => {
            let content = if status == "completed" { vec![part(text)] } else { Vec::new() };
            json!({"type": "message", "id": "msg_sandbox", "status": status, "role": "assistant", "content": content})
        }
    }
}

fn response(answer: &Answer, status: &str, output: Vec<Value>) -> Value {
    let incomplete = if status == "incomplete" { json!({"reason": "max_output_tokens"}) } else { Value::Null };
    let mut response = json!({
        "id": "resp_sandbox", "object": "response", "created_at": 1_700_000_000, "status": status, "error": null,
        "incomplete_details": incomplete, "instructions": null, "model": answer.quirk.name(), "output": output,
        "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "metadata": {},
    });
    let usage = answer.usage(["input_tokens", "output_tokens"], |input, output| {
        json!({"total_tokens": input + output, "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}})
    });
    if let Some(usage) = usage {
        response["usage"] = usage;
    }
    response
}
