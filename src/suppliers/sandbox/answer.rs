//! What the sandbox answers, whatever the protocol: computed from the request alone, so that the same call always costs the same.

use crate::suppliers::sandbox::quirk::Quirk;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Longest answer that may be asked for.
const MOST_WORDS: usize = 100_000;
/// What a message costs beside its words.
const PER_TEXT: usize = 3;
/// What the model that reports too much reports.
const EXCESS: usize = 900_000_000;

/// The part of a request that is the same in every protocol.
#[derive(Deserialize)]
struct Request {
    model: String,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    sandbox: Knobs,
}

#[derive(Default, Deserialize)]
struct Knobs {
    words: Option<usize>,
    #[serde(default)]
    pace_ms: u64,
}

/// What a form understood of its request.
#[derive(Default)]
pub struct Asked {
    /// What there is to read, the text to answer last.
    pub texts: Vec<String>,
    /// The answer's greatest length in words; none for any, and 0 for none, where an answer has no words.
    pub limit: Option<usize>,
    pub choices: usize,
    /// The first tool that may be called, unless the last text is what one came to.
    pub tool: Option<String>,
}

/// An answer, ready to be put into a form.
pub struct Answer {
    /// What a form asks for besides.
    pub request: Value,
    pub quirk: Quirk,
    pub stream: bool,
    pub pace: Duration,
    /// One choice's words; all choices say the same. The arguments, where a tool is called.
    pub words: Vec<String>,
    pub choices: usize,
    pub tool: Option<String>,
    /// The limit cut it short.
    pub cut_short: bool,
    input_tokens: usize,
}

impl Answer {
    pub fn of(body: Value, asked: Asked) -> Result<Answer, String> {
        let request = Request::deserialize(&body).map_err(|error| error.to_string())?;
        let quirk = Quirk::ALL.into_iter().find(|quirk| quirk.name() == request.model);
        let quirk = quirk.ok_or_else(|| format!("the sandbox has no model '{}'", request.model))?;
        let last = asked.texts.last().map_or("", String::as_str);
        let tool = asked.tool.filter(|_| quirk == Quirk::Tool);
        let mut words = match (quirk, request.sandbox.words) {
            (Quirk::Empty, _) => Vec::new(),
            _ if tool.is_some() => words_of(&json!({"text": last}).to_string()),
            (_, Some(count)) => (1..=count.min(MOST_WORDS)).map(|n| format!("word{n} ")).collect(),
            (_, None) if last.is_empty() => words_of("Hello from the sandbox."),
            (_, None) => words_of(last),
        };
        let limit = asked.limit.unwrap_or(usize::MAX);
        let cut_short = words.len() > limit;
        words.truncate(limit);
        Ok(Answer {
            request: body,
            quirk,
            stream: request.stream.unwrap_or(false),
            pace: Duration::from_millis(request.sandbox.pace_ms),
            input_tokens: asked.texts.iter().map(|text| words_of(text).len() + PER_TEXT).sum(),
            words,
            choices: asked.choices,
            tool,
            cut_short,
        })
    }

    pub fn text(&self) -> String {
        self.words.concat()
    }

    /// The report, under the names that the protocol has for input and output; `rest` adds what an honest one says besides.
    pub fn usage(&self, [input_name, output_name]: [&str; 2], rest: impl FnOnce(usize, usize) -> Value) -> Option<Value> {
        let (input, output) = (self.input_tokens, self.words.len() * self.choices);
        let (input, output) = match self.quirk {
            Quirk::NoUsage => return None,
            Quirk::NullUsage => return Some(Value::Null),
            Quirk::AbsurdUsage => return Some(json!({input_name: -5, output_name: u64::MAX, "total_tokens": 1.5})),
            Quirk::ExcessUsage if self.choices == 0 => (EXCESS, output),
            Quirk::ExcessUsage => (input, EXCESS),
            _ => (input, output),
        };
        let mut report = rest(input, output);
        report[input_name] = input.into();
        // Where nothing is put out, nothing says how much.
        if self.choices > 0 {
            report[output_name] = output.into();
        }
        Some(report)
    }
}

/// The Tokens of the sandbox: `"a b"` is `["a ", "b"]`.
fn words_of(text: &str) -> Vec<String> {
    text.split_inclusive(char::is_whitespace).map(str::to_string).collect()
}

/// A content's text: a string, a Token id, or what its parts say.
pub fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Number(token) => token.to_string(),
        Value::Array(parts) => parts.iter().map(text_of).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" "),
        Value::Object(part) => ["text", "content", "output"].iter().find_map(|name| part.get(*name)).map(text_of).unwrap_or_default(),
        _ => String::new(),
    }
}

/// A number that limits something.
pub fn number(body: &Value, name: &str) -> Option<usize> {
    body[name].as_u64().and_then(|number| usize::try_from(number).ok())
}

/// One server-sent event.
pub fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

/// One that says its type twice, as newer protocols have it.
pub fn typed_event(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
}
