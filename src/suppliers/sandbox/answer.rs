//! What the sandbox answers: computed from the request alone, so that the same call always costs the same.

use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// One model of the sandbox, and what is special about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// Says the last message back.
    Echo,
    Slow,
    RateLimited,
    Error,
    Unauthorized,
    Refuse,
    Cut,
    NoDone,
    NoUsage,
    NullUsage,
    AbsurdUsage,
    ExcessUsage,
    Hang,
    Garbage,
    ErrorEvent,
    Empty,
}

impl Quirk {
    pub const ALL: [Quirk; 16] = [
        Quirk::Echo,
        Quirk::Slow,
        Quirk::RateLimited,
        Quirk::Error,
        Quirk::Unauthorized,
        Quirk::Refuse,
        Quirk::Cut,
        Quirk::NoDone,
        Quirk::NoUsage,
        Quirk::NullUsage,
        Quirk::AbsurdUsage,
        Quirk::ExcessUsage,
        Quirk::Hang,
        Quirk::Garbage,
        Quirk::ErrorEvent,
        Quirk::Empty,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Quirk::Echo => "echo",
            Quirk::Slow => "slow",
            Quirk::RateLimited => "rate-limited",
            Quirk::Error => "error",
            Quirk::Unauthorized => "unauthorized",
            Quirk::Refuse => "refuse",
            Quirk::Cut => "cut",
            Quirk::NoDone => "no-done",
            Quirk::NoUsage => "no-usage",
            Quirk::NullUsage => "null-usage",
            Quirk::AbsurdUsage => "absurd-usage",
            Quirk::ExcessUsage => "excess-usage",
            Quirk::Hang => "hang",
            Quirk::Garbage => "garbage",
            Quirk::ErrorEvent => "error-event",
            Quirk::Empty => "empty",
        }
    }
}

/// Longest answer that may be asked for.
const MOST_WORDS: usize = 100_000;

#[derive(Deserialize)]
struct Request {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    n: Option<usize>,
    #[serde(default)]
    max_tokens: Option<usize>,
    #[serde(default)]
    max_completion_tokens: Option<usize>,
    #[serde(default)]
    sandbox: Knobs,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Value,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Default, Deserialize)]
struct Knobs {
    words: Option<usize>,
    #[serde(default)]
    pace_ms: u64,
}

/// An answer, ready to be sent whole or in events.
pub struct Prepared {
    pub quirk: Quirk,
    pub stream: bool,
    pub pace: Duration,
    /// One choice's words; all choices say the same.
    pub words: Vec<String>,
    choices: usize,
    include_usage: bool,
    finish_reason: &'static str,
    input_tokens: usize,
}

impl Prepared {
    pub fn from_request(body: &[u8]) -> Result<Prepared, String> {
        let request: Request = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let quirk = Quirk::ALL.into_iter().find(|quirk| quirk.name() == request.model);
        let quirk = quirk.ok_or_else(|| format!("the sandbox has no model '{}'", request.model))?;
        let texts: Vec<String> = request.messages.iter().map(|message| text_of(&message.content)).collect();
        let input_tokens = texts.iter().map(|text| words_of(text).len() + 3).sum();
        let limit = request.max_completion_tokens.or(request.max_tokens).unwrap_or(usize::MAX);
        let mut words = match (quirk, request.sandbox.words) {
            (Quirk::Empty, _) => Vec::new(),
            (_, Some(count)) => (1..=count.min(MOST_WORDS)).map(|n| format!("word{n} ")).collect(),
            (_, None) => match words_of(texts.last().map_or("", String::as_str)) {
                words if words.is_empty() => words_of("Hello from the sandbox."),
                words => words,
            },
        };
        let finish_reason = if words.len() > limit { "length" } else { "stop" };
        words.truncate(limit);
        Ok(Prepared {
            quirk,
            stream: request.stream.unwrap_or(false),
            pace: Duration::from_millis(request.sandbox.pace_ms),
            words,
            choices: request.n.unwrap_or(1),
            include_usage: request.stream_options.is_some_and(|options| options.include_usage),
            finish_reason,
            input_tokens,
        })
    }

    fn usage(&self) -> Option<Value> {
        let (input, output) = (self.input_tokens, self.words.len() * self.choices);
        match self.quirk {
            Quirk::NoUsage => None,
            Quirk::NullUsage => Some(Value::Null),
            Quirk::AbsurdUsage => Some(json!({"prompt_tokens": -5, "completion_tokens": u64::MAX, "total_tokens": 1.5})),
            Quirk::ExcessUsage => {
                Some(json!({"prompt_tokens": input, "completion_tokens": 900_000_000, "total_tokens": 900_000_000 + input}))
            }
            _ => Some(json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})),
        }
    }

    /// The whole answer as one `chat.completion`.
    pub fn completion(&self) -> Value {
        let text = self.words.concat();
        let choices: Vec<Value> = (0..self.choices)
            .map(|index| json!({"index": index, "message": {"role": "assistant", "content": text, "refusal": null}, "logprobs": null, "finish_reason": self.finish_reason}))
            .collect();
        let mut completion = json!({"id": "chatcmpl-sandbox", "object": "chat.completion", "created": 1_700_000_000, "model": self.quirk.name(), "choices": choices});
        if let (Some(usage), Some(fields)) = (self.usage(), completion.as_object_mut()) {
            fields.insert("usage".into(), usage);
        }
        completion
    }

    /// The answer as server-sent events, the last of which is `[DONE]` unless the model is one that forgets it.
    pub fn events(&self) -> Vec<String> {
        let mut events = Vec::with_capacity(self.words.len() + 4);
        events.push(self.chunk(json!({"role": "assistant", "content": ""}), None));
        events.extend(self.words.iter().map(|word| self.chunk(json!({"content": word}), None)));
        match self.quirk {
            Quirk::Garbage => events.push("data: {\"choices\": [{\"del\n\n".into()),
            Quirk::ErrorEvent => {
                events.push(event(
                    &json!({"error": {"message": "The sandbox fails on purpose.", "type": "server_error", "param": null, "code": null}}),
                ));
            }
            // The last event is the one that is cut.
            Quirk::Cut => events.push(self.chunk(json!({"content": "never arrives"}), None)),
            _ => {
                events.push(self.chunk(json!({}), Some(self.finish_reason)));
                if let (true, Some(usage)) = (self.include_usage, self.usage()) {
                    events.push(event(&json!({"id": "chatcmpl-sandbox", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": self.quirk.name(), "choices": [], "usage": usage})));
                }
                if self.quirk != Quirk::NoDone {
                    events.push("data: [DONE]\n\n".into());
                }
            }
        }
        events
    }

    fn chunk(&self, delta: Value, finish_reason: Option<&str>) -> String {
        let choices: Vec<Value> = (0..self.choices)
            .map(|index| json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish_reason}))
            .collect();
        event(
            &json!({"id": "chatcmpl-sandbox", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": self.quirk.name(), "choices": choices}),
        )
    }
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

/// The Tokens of the sandbox: `"a b"` is `["a ", "b"]`.
fn words_of(text: &str) -> Vec<String> {
    text.split_inclusive(char::is_whitespace).map(str::to_string).collect()
}

/// A message's text: a string, or the text parts of an array.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(json: Value) -> Prepared {
        Prepared::from_request(json.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn echo_counts_words() {
        let answer = prepared(json!({"model": "echo", "messages": [{"role": "user", "content": "one two three"}]})).completion();
        assert_eq!(answer["choices"][0]["message"]["content"], "one two three");
        assert_eq!(answer["usage"], json!({"prompt_tokens": 6, "completion_tokens": 3, "total_tokens": 9}));
    }

    #[test]
    fn limits_cut_the_answer_and_say_so() {
        let answer = prepared(json!({"model": "echo", "messages": [{"content": "x"}], "max_tokens": 2, "n": 2, "sandbox": {"words": 9}}))
            .completion();
        assert_eq!(answer["choices"][1]["message"]["content"], "word1 word2 ");
        assert_eq!(answer["choices"][1]["finish_reason"], "length");
        assert_eq!(answer["usage"]["completion_tokens"], 4);
    }

    #[test]
    fn streams_end_with_usage_only_when_asked() {
        let request = |include_usage: bool| json!({"model": "echo", "stream": true, "stream_options": {"include_usage": include_usage}, "messages": [{"content": "a b"}]});
        let with = prepared(request(true)).events();
        assert_eq!(with.len(), 6);
        assert!(with[4].contains("\"prompt_tokens\":5") && with[5] == "data: [DONE]\n\n");
        assert_eq!(prepared(request(false)).events().len(), 5);
    }

    #[test]
    fn unknown_models_are_refused() {
        assert!(Prepared::from_request(br#"{"model":"gpt","messages":[]}"#).is_err());
    }
}
