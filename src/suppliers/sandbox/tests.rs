//! What the forms say of one and the same answer.

use super::*;

const ALL: [(&str, &Form); 5] = [
    ("chat", &openai::CHAT),
    ("completions", &openai::COMPLETIONS),
    ("embeddings", &openai::EMBEDDINGS),
    ("responses", &responses::RESPONSES),
    ("messages", &anthropic::MESSAGES),
];

fn answer(form: &Form, json: Value) -> Answer {
    form.answer(json.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

/// A request that every form can read.
fn request(fields: Value) -> Value {
    let mut request = json!({
        "model": "echo", "prompt": "one two three", "input": "one two three", "messages": [{"role": "user", "content": "one two three"}],
    });
    for (name, value) in fields.as_object().into_iter().flatten() {
        request[name] = value.clone();
    }
    request
}

#[test]
fn echo_counts_words() {
    for (name, form) in ALL {
        let body = (form.whole)(&answer(form, request(json!({}))));
        let (input, output) = match name {
            "responses" | "messages" => ("input_tokens", "output_tokens"),
            _ => ("prompt_tokens", "completion_tokens"),
        };
        assert_eq!(body["usage"][input], 6, "{name}: {body}");
        assert_eq!(body["usage"].get(output).and_then(Value::as_u64), (name != "embeddings").then_some(3), "{name}: {body}");
        assert_eq!(body.to_string().contains("one two three"), name != "embeddings", "{name}: {body}");
    }
}

#[test]
fn limits_cut_the_answer_and_say_so() {
    let limits = json!({"sandbox": {"words": 9}, "max_tokens": 2, "max_output_tokens": 2, "n": 2});
    for (name, form, reason) in [
        ("chat", &openai::CHAT, "length"),
        ("completions", &openai::COMPLETIONS, "length"),
        ("responses", &responses::RESPONSES, "max_output_tokens"),
        ("messages", &anthropic::MESSAGES, "max_tokens"),
    ] {
        let body = (form.whole)(&answer(form, request(limits.clone()))).to_string();
        assert!(body.contains("word1 word2 \"") && body.contains(reason), "{name}: {body}");
    }
    assert_eq!((openai::CHAT.whole)(&answer(&openai::CHAT, request(limits)))["usage"]["completion_tokens"], 4);
}

#[test]
fn streams_end_with_usage_only_when_asked() {
    let stream = |include_usage: bool| request(json!({"stream": true, "stream_options": {"include_usage": include_usage}}));
    for (form, with, without) in [(&openai::CHAT, 7, 6), (&openai::COMPLETIONS, 6, 5)] {
        let events = form.events(&answer(form, stream(true)));
        assert_eq!(events.len(), with);
        assert!(events[with - 2].contains("\"prompt_tokens\":6") && events[with - 1] == "data: [DONE]\n\n");
        assert_eq!(form.events(&answer(form, stream(false))).len(), without);
    }
}

#[test]
fn events_are_numbered_and_typed() {
    for (form, last) in [(&responses::RESPONSES, "response.completed"), (&anthropic::MESSAGES, "message_stop")] {
        let events = form.events(&answer(form, request(json!({"stream": true}))));
        assert!(events.last().is_some_and(|event| event.starts_with(&format!("event: {last}\n"))), "{events:?}");
        for (number, event) in events.iter().enumerate().filter(|_| last.starts_with("response")) {
            assert!(event.contains(&format!("\"sequence_number\":{number}")), "{event}");
        }
    }
}

#[test]
fn tools_are_called_once() {
    for (name, form, tools, result) in [
        (
            "chat",
            &openai::CHAT,
            json!([{"type": "function", "function": {"name": "look"}}]),
            json!({"messages": [{"role": "tool", "content": "seen"}]}),
        ),
        (
            "responses",
            &responses::RESPONSES,
            json!([{"type": "function", "name": "look"}]),
            json!({"input": [{"type": "function_call_output", "output": "seen"}]}),
        ),
        (
            "messages",
            &anthropic::MESSAGES,
            json!([{"name": "look"}]),
            json!({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": "seen"}]}]}),
        ),
    ] {
        let mut called = request(json!({"model": "tool", "tools": tools}));
        let body = (form.whole)(&answer(form, called.clone())).to_string();
        assert!(body.contains("look") && body.contains("one two three"), "{name}: {body}");
        for (field, value) in result.as_object().into_iter().flatten() {
            called[field] = value.clone();
        }
        let body = (form.whole)(&answer(form, called)).to_string();
        assert!(!body.contains("look") && body.contains("seen"), "{name}: {body}");
    }
}

#[test]
fn unknown_models_are_refused() {
    for (_, form) in ALL {
        assert!(form.answer(br#"{"model":"gpt","messages":[]}"#).is_err());
    }
}
