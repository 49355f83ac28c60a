//! The endpoints that spend Tokens, as their callers and suppliers see them: one request, and the answer "Hello there" in pieces from
//! which a test makes answers of any kind.

use crate::support::scripted::MODEL;
use serde_json::{Value, json};

pub struct Endpoint {
    pub name: &'static str,
    pub path: &'static str,
    /// Fields besides the model.
    pub request: fn() -> Value,
    /// The names of input and output in a usage report.
    pub usage: [&'static str; 2],
    /// A whole answer, with this as its `usage`; none = without the field.
    pub whole: fn(Option<Value>) -> Value,
    /// The parts of a stream: up to the last word; why it ends, where that is said before usage is reported; what reports usage at its
    /// end; what does so on its way; the last event; an error. None = there are no streams.
    pub stream: Option<Stream>,
}

pub struct Stream {
    pub words: &'static str,
    pub finish: &'static str,
    pub report: fn(Option<Value>) -> String,
    pub running: Option<fn(Value) -> String>,
    pub end: fn(Option<Value>) -> String,
    pub end_mark: &'static str,
    pub error: &'static str,
}

pub const ALL: [Endpoint; 5] = [
    Endpoint {
        name: "chat",
        path: "/v1/chat/completions",
        request: || json!({"messages": [{"role": "user", "content": "say two words"}], "max_tokens": 50}),
        usage: ["prompt_tokens", "completion_tokens"],
        whole: |usage| {
            with(json!({"object": "chat.completion", "choices": [{"message": {"role": "assistant", "content": "Hello there"}}]}), usage)
        },
        stream: Some(Stream {
            words: "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n: keep-alive\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello \"}}]}\r\n\r\ndata: {\"choices\":[{\"index\":0,\ndata: \"delta\":{\"content\":\"there\"}}]}\n\n",
            finish: "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n: keep-alive\n\n",
            report: |usage| usage.map_or_else(String::new, |usage| data(&json!({"choices": [], "usage": usage}))),
            running: Some(|usage| data(&json!({"choices": [{"index": 0, "delta": {"content": ""}}], "usage": usage}))),
            end: |_| "data: [DONE]\n\n".into(),
            end_mark: "[DONE]",
            error: "data: {\"error\":{\"message\":\"no\"}}\n\n",
        }),
    },
    Endpoint {
        name: "completions",
        path: "/v1/completions",
        request: || json!({"prompt": "say two words", "max_tokens": 50}),
        usage: ["prompt_tokens", "completion_tokens"],
        whole: |usage| with(json!({"object": "text_completion", "choices": [{"text": "Hello there", "logprobs": null}]}), usage),
        stream: Some(Stream {
            words: "data: {\"choices\":[{\"text\":\"Hello \"}]}\n\ndata: {\"choices\":[{\"text\":\"there\"}]}\n\n",
            finish: "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\n: keep-alive\n\n",
            report: |usage| usage.map_or_else(String::new, |usage| data(&json!({"choices": [], "usage": usage}))),
            running: Some(|usage| data(&json!({"choices": [{"text": ""}], "usage": usage}))),
            end: |_| "data: [DONE]\n\n".into(),
            end_mark: "[DONE]",
            error: "data: {\"error\":{\"message\":\"no\"}}\n\n",
        }),
    },
    Endpoint {
        name: "embeddings",
        path: "/v1/embeddings",
        request: || json!({"input": "say two words"}),
        usage: ["prompt_tokens", "total_tokens"],
        whole: |usage| with(json!({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.10, -1e-3]}]}), usage),
        stream: None,
    },
    Endpoint {
        name: "responses",
        path: "/v1/responses",
        request: || json!({"input": [{"role": "user", "content": "say two words"}], "max_output_tokens": 50}),
        usage: ["input_tokens", "output_tokens"],
        whole: |usage| with(response("completed"), usage),
        stream: Some(Stream {
            words: "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"status\":\"in_progress\",\"usage\":null}}\n\nevent: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"Hello \"}\n\nevent: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":2,\"delta\":\"there\"}\n\n",
            finish: "",
            report: |_| String::new(),
            running: None,
            end: |usage| {
                typed(&json!({"type": "response.completed", "sequence_number": 3, "response": with(response("completed"), usage)}))
            },
            end_mark: "response.completed",
            error: "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"no\"}\n\n",
        }),
    },
    Endpoint {
        name: "messages",
        path: "/v1/messages",
        request: || json!({"messages": [{"role": "user", "content": "say two words"}], "max_tokens": 50}),
        usage: ["input_tokens", "output_tokens"],
        whole: |usage| with(json!({"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hello there"}]}), usage),
        stream: Some(Stream {
            words: "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"type\":\"message\",\"content\":[],\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello \"}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"there\"}}\n\n",
            finish: "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n",
            report: |usage| typed(&with(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}), usage)),
            running: Some(|usage| typed(&json!({"type": "message_delta", "delta": {"stop_reason": null}, "usage": usage}))),
            end: |_| typed(&json!({"type": "message_stop"})),
            end_mark: "message_stop",
            error: "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"no\"}}\n\n",
        }),
    },
];

impl Endpoint {
    /// A call whose supplier answers as the script says.
    pub fn call(&self, script: Value) -> Value {
        let mut request = (self.request)();
        request["model"] = MODEL.into();
        request["script"] = script;
        request
    }

    pub fn streamed_call(&self, script: Value) -> Value {
        let mut request = self.call(script);
        request["stream"] = true.into();
        if self.name == "chat" || self.name == "completions" {
            request["stream_options"] = json!({"include_usage": true});
        }
        request
    }
}

pub fn with(mut object: Value, usage: Option<Value>) -> Value {
    if let Some(usage) = usage {
        object["usage"] = usage;
    }
    object
}

pub fn response(status: &str) -> Value {
    let content = json!([{"type": "output_text", "text": "Hello there"}]);
    json!({"object": "response", "status": status, "error": null, "output": [{"type": "message", "content": content}]})
}

fn data(data: &Value) -> String {
    format!("data: {data}\n\n")
}

pub fn typed(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
}
