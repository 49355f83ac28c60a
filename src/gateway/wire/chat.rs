//! `/v1/chat/completions` (OpenAI API reference, "Create chat completion"): the request fields we must know, and what the answer
//! says about usage and content.

use crate::gateway::error::GatewayError;
use crate::gateway::meter::Usage;
use crate::gateway::wire::object::RawObject;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What the chat template of a model may add around each message, and around all of them, in Tokens.
const PER_MESSAGE: i64 = 8;
const PER_CALL: i64 = 16;
const MOST_MESSAGES: usize = 10_000;
const MOST_CHOICES: i64 = 128;
const LONGEST_MODEL: usize = 200;

/// The fields that we read: standing twice, they would mean one thing to us and another to the supplier.
const READ: [&str; 7] = ["model", "messages", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens"];

/// A request that can be priced and sent.
pub struct ChatRequest<'a> {
    object: RawObject<'a>,
    body_bytes: i64,
    messages: i64,
    pub model: String,
    pub stream: bool,
    /// Whether the client itself asked for the usage chunk of a stream.
    pub wants_usage: bool,
    pub choices: i64,
    /// The larger of the output limits sent, a choice.
    pub output_limit: Option<i64>,
    limit_field: &'static str,
}

impl<'a> ChatRequest<'a> {
    pub fn parse(body: &'a [u8]) -> Result<ChatRequest<'a>, GatewayError> {
        let object = RawObject::parse(body).ok_or(GatewayError::InvalidJson)?;
        if let Some(param) = READ.into_iter().find(|name| object.has_twice(name)) {
            return Err(invalid(param, format!("'{param}' stands twice in the request.")));
        }
        let model: String = field(&object, "model", "a string")?.ok_or_else(|| invalid("model", "'model' is missing."))?;
        if model.is_empty() || model.len() > LONGEST_MODEL || model.contains('\0') {
            return Err(invalid("model", "'model' must be a model id, like those of GET /v1/models."));
        }
        let messages: Vec<&RawValue> =
            field(&object, "messages", "an array of messages")?.ok_or_else(|| invalid("messages", "'messages' is missing."))?;
        if messages.is_empty() || messages.len() > MOST_MESSAGES {
            return Err(invalid("messages", format!("'messages' must hold 1 to {MOST_MESSAGES} messages.")));
        }
        let stream = field(&object, "stream", "true or false")?.unwrap_or(false);
        let options: Option<StreamOptions> = field(&object, "stream_options", "an object")?;
        if options.is_some() && !stream {
            return Err(invalid("stream_options", "'stream_options' goes with 'stream': true only."));
        }
        let choices = positive(&object, "n")?.unwrap_or(1);
        if choices > MOST_CHOICES {
            return Err(invalid("n", format!("'n' must be at most {MOST_CHOICES}.")));
        }
        let (old, new) = (positive(&object, "max_tokens")?, positive(&object, "max_completion_tokens")?);
        Ok(ChatRequest {
            body_bytes: body.len() as i64,
            messages: messages.len() as i64,
            model,
            stream,
            wants_usage: options.and_then(|options| options.include_usage).unwrap_or(false),
            choices,
            output_limit: old.max(new),
            limit_field: if new.is_some() { "max_completion_tokens" } else { "max_tokens" },
            object,
        })
    }

    /// Upper bound of the input without counting it: no tokenizer makes more Tokens than bytes.
    pub fn input_bound(&self) -> i64 {
        self.body_bytes + self.template_bound()
    }

    /// What a chat template may add to the text.
    pub fn template_bound(&self) -> i64 {
        self.messages * PER_MESSAGE + PER_CALL
    }

    /// The text that the model reads: every string of the messages and tool definitions. Inlined images and files stand for a
    /// fixed size each, since no supplier bills their base64.
    pub fn prompt_text(&self) -> PromptText {
        let mut prompt = PromptText::default();
        for name in ["messages", "tools", "functions", "response_format"] {
            if let Some(raw) = self.object.get(name) {
                match serde_json::from_str(raw.get()) {
                    Ok(value) => prompt.collect(&value),
                    // Nested too deep for us; its bytes are the bound.
                    Err(_) => prompt.text.push_str(raw.get()),
                }
            }
        }
        prompt
    }

    /// The body to send: the supplier's model id, the limit that the hold pays for, usage asked for; the rest untouched.
    pub fn upstream_body(&self, upstream_id: &str, output_limit: i64) -> Vec<u8> {
        // A string always serialises.
        let mut replacements = vec![("model", serde_json::to_string(upstream_id).unwrap_or_default())];
        replacements.push((self.limit_field, output_limit.to_string()));
        if self.limit_field == "max_completion_tokens" {
            replacements.push(("max_tokens", String::new()));
        }
        if self.stream {
            let options = match self.object.get("stream_options").map(|raw| RawObject::parse(raw.get().as_bytes())) {
                Some(Some(options)) => options.rewrite(&[("include_usage", "true".into())]),
                _ => br#"{"include_usage":true}"#.to_vec(),
            };
            replacements.push(("stream_options", String::from_utf8(options).unwrap_or_default()));
        }
        self.object.rewrite(&replacements)
    }
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

fn invalid(param: &'static str, message: impl Into<String>) -> GatewayError {
    GatewayError::InvalidField { param, message: message.into() }
}

fn field<'a, T: Deserialize<'a>>(object: &RawObject<'a>, name: &'static str, what: &str) -> Result<Option<T>, GatewayError> {
    let parse = |raw: &'a RawValue| serde_json::from_str(raw.get()).map_err(|_| invalid(name, format!("'{name}' must be {what}.")));
    object.get(name).map(parse).transpose()
}

fn positive(object: &RawObject<'_>, name: &'static str) -> Result<Option<i64>, GatewayError> {
    match field(object, name, "a positive whole number")? {
        Some(number) if number < 1_i64 => Err(invalid(name, format!("'{name}' must be a positive whole number."))),
        // Larger ones mean no limit; the model's own applies.
        number => Ok(number.map(|number: i64| number.min(1_000_000_000))),
    }
}

/// What is to be counted of a prompt.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PromptText {
    pub text: String,
    pub attachments: i64,
}

impl PromptText {
    fn collect(&mut self, value: &serde_json::Value) {
        match value {
            serde_json::Value::String(text) if text.starts_with("data:") && text.len() > 256 => self.attachments += 1,
            serde_json::Value::String(text) => {
                self.text.push_str(text);
                self.text.push('\n');
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| self.collect(item)),
            serde_json::Value::Object(fields) => {
                // An audio or file part holds bare base64 under `data`.
                for (name, item) in fields {
                    match item {
                        serde_json::Value::String(data) if matches!(name.as_str(), "data" | "file_data") && data.len() > 256 => {
                            self.attachments += 1;
                        }
                        item => self.collect(item),
                    }
                }
            }
            _ => {}
        }
    }
}

/// What an answer, or a chunk of one, says that we must know.
#[derive(Deserialize)]
pub struct Answer<'a> {
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    message: Option<Content<'a>>,
    #[serde(borrow, default)]
    delta: Option<Content<'a>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    refusal: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
}

impl<'a> Answer<'a> {
    pub fn parse(bytes: &'a [u8]) -> Option<Answer<'a>> {
        serde_json::from_slice(bytes).ok()
    }

    /// The report as it stands; null counts as none.
    pub fn raw_usage(&self) -> Option<&'a RawValue> {
        self.usage.filter(|usage| usage.get() != "null")
    }

    pub fn usage(&self) -> Option<Usage> {
        self.usage.and_then(Usage::read)
    }

    pub fn is_error(&self) -> bool {
        self.error.is_some_and(|error| error.get() != "null")
    }

    /// The chunk that carries usage and nothing else.
    pub fn is_usage_chunk(&self) -> bool {
        self.raw_usage().is_some() && self.choices.as_ref().is_some_and(Vec::is_empty)
    }

    /// Appends the text that was delivered, to be counted should no usage be reported.
    pub fn append_text(&self, text: &mut String) {
        for content in self.choices.iter().flatten().filter_map(|choice| choice.message.as_ref().or(choice.delta.as_ref())) {
            let mut put = |piece: &str| text.push_str(piece);
            if let Some(raw) = content.content {
                match serde_json::from_str::<Cow<'_, str>>(raw.get()) {
                    Ok(piece) => put(&piece),
                    Err(_) if raw.get() == "null" => {}
                    Err(_) => put(raw.get()),
                }
            }
            [&content.reasoning_content, &content.refusal].into_iter().flatten().for_each(|piece| put(piece));
            if let Some(calls) = content.tool_calls {
                let mut calls_text = PromptText::default();
                if let Ok(value) = serde_json::from_str(calls.get()) {
                    calls_text.collect(&value);
                }
                put(&calls_text.text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> (Option<&'static str>, &'static str) {
        match ChatRequest::parse(json.as_bytes()) {
            Err(GatewayError::InvalidField { param, .. }) => (Some(param), "field"),
            Err(GatewayError::InvalidJson) => (None, "json"),
            Err(_) => (None, "other"),
            Ok(_) => (None, "accepted"),
        }
    }

    fn upstream(json: &str, limit: i64) -> String {
        let request = ChatRequest::parse(json.as_bytes()).unwrap_or_else(|error| panic!("{error:?}"));
        String::from_utf8(request.upstream_body("up", limit)).expect("UTF-8")
    }

    #[test]
    fn parse_names_the_bad_field() {
        let messages = r#""messages":[{"role":"user","content":"hi"}]"#;
        assert_eq!(refusal("{}"), (Some("model"), "field"));
        assert_eq!(refusal("[1]"), (None, "json"));
        for (field, param) in [
            (r#""model":"""#, "model"),
            (r#""model":7"#, "model"),
            (r#""model":"a","model":"b""#, "model"),
            (r#""model":"a","stream":"yes""#, "stream"),
            (r#""model":"a","n":0"#, "n"),
            (r#""model":"a","n":1.5"#, "n"),
            (r#""model":"a","n":129"#, "n"),
            (r#""model":"a","max_tokens":-1"#, "max_tokens"),
            (r#""model":"a","max_tokens":0"#, "max_tokens"),
            (r#""model":"a","max_completion_tokens":"10""#, "max_completion_tokens"),
            (r#""model":"a","max_tokens":1,"max_tokens":1000"#, "max_tokens"),
            (r#""model":"a","stream_options":{"include_usage":true}"#, "stream_options"),
        ] {
            assert_eq!(refusal(&format!("{{{messages},{field}}}")), (Some(param), "field"), "{field}");
        }
        for messages in ["\"hi\"", "[]", "{}"] {
            assert_eq!(refusal(&format!(r#"{{"model":"a","messages":{messages}}}"#)), (Some("messages"), "field"));
        }
        assert_eq!(refusal(r#"{"model":"a"}"#), (Some("messages"), "field"));
    }

    #[test]
    fn upstream_body_changes_model_limit_and_usage_only() {
        let messages = r#""messages":[{"role":"user","content":"h\u0069"}]"#;
        assert_eq!(
            upstream(&format!(r#"{{"model":"a/b",{messages},"temperature":0.70,"x":{{"y":[1 ]}}}}"#), 5),
            format!(r#"{{"model":"up",{messages},"temperature":0.70,"x":{{"y":[1 ]}},"max_tokens":5}}"#)
        );
        assert_eq!(
            upstream(&format!(r#"{{"max_tokens":90,"model":"a","stream":true,{messages}}}"#), 5),
            format!(r#"{{"max_tokens":5,"model":"up","stream":true,{messages},"stream_options":{{"include_usage":true}}}}"#)
        );
        assert_eq!(
            upstream(
                &format!(
                    r#"{{"max_tokens":90,"max_completion_tokens":20,"model":"a","stream":true,"stream_options":{{"include_usage":false,"z":1}},{messages}}}"#
                ),
                5
            ),
            format!(
                r#"{{"max_completion_tokens":5,"model":"up","stream":true,"stream_options":{{"include_usage":true,"z":1}},{messages}}}"#
            )
        );
    }

    #[test]
    fn both_limits_hold_on_the_larger() {
        let parse = |json: &str| ChatRequest::parse(json.as_bytes()).map(|request| request.output_limit).unwrap_or(None);
        let rest = r#""model":"a","messages":[{}]"#;
        assert_eq!(parse(&format!(r#"{{{rest},"max_tokens":90,"max_completion_tokens":20}}"#)), Some(90));
        assert_eq!(parse(&format!(r#"{{{rest},"max_tokens":null}}"#)), None);
    }

    #[test]
    fn prompt_text_holds_every_string_but_no_base64() {
        let image = format!("data:image/png;base64,{}", "A".repeat(1_000));
        let json = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"text","text":"look"}},{{"type":"image_url","image_url":{{"url":"{image}"}}}}]}}],"tools":[{{"function":{{"name":"f"}}}}]}}"#
        );
        let prompt = ChatRequest::parse(json.as_bytes()).map(|request| request.prompt_text()).unwrap_or_default();
        assert_eq!(prompt.attachments, 1);
        assert!(prompt.text.contains("look") && prompt.text.contains('f') && !prompt.text.contains("AAAA"));
    }

    #[test]
    fn answer_gives_text_and_usage() {
        let json = br#"{"choices":[{"delta":{"content":"a\n","tool_calls":[{"function":{"arguments":"{}"}}]}},{"message":{"content":null,"refusal":"no"}}],"usage":null}"#;
        let answer = Answer::parse(json).expect("answer");
        let mut text = String::new();
        answer.append_text(&mut text);
        assert_eq!(text, "a\n{}\nno");
        assert!(answer.raw_usage().is_none() && !answer.is_usage_chunk() && !answer.is_error());
        let chunk = Answer::parse(br#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#).expect("chunk");
        assert!(chunk.is_usage_chunk() && chunk.usage().is_some());
        assert!(Answer::parse(br#"{"error":{"message":"x"}}"#).is_some_and(|answer| answer.is_error()));
        assert!(Answer::parse(b"not json").is_none());
    }
}
