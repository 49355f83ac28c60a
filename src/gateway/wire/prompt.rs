//! What a prompt is to a count of it: its text, its ready-made Tokens, and the images and files in it. What is one says the type of its
//! part; a field `url` elsewhere is a word like others, as in what a tool was called with.

use crate::gateway::wire::object::is_spelling;
use memchr::{memchr_iter, memmem};
use serde_json::{Map, Value};

/// What one image or file counts at most.
pub const PER_ATTACHMENT: i64 = 4_096;

/// The types of parts, sources and outputs that are an image or a file.
const MEDIA: [&str; 10] =
    ["audio_url", "computer_screenshot", "document", "file", "image", "image_url", "input_audio", "input_file", "input_image", "video_url"];
/// Fields that no other parts have. Some servers tell by them what a part without a type is.
const CARRIERS: [&str; 6] = ["audio_url", "file_data", "file_url", "image_url", "input_audio", "video_url"];
/// The fields of such a part that say where its content is: a string under one of these names is nothing that a model reads as text.
const REFERENCES: [&str; 7] = ["audio_url", "file_id", "file_url", "image", "image_url", "url", "video_url"];
/// The same, where short strings are text after all.
const CONTENTS: [&str; 2] = ["data", "file_data"];
const SHORTEST_BASE64: usize = 256;
/// Fields of a prompt that say what may be called, and how to answer.
const DEFINITIONS: [&str; 4] = ["functions", "response_format", "text", "tools"];
/// Fields of messages and parts that hold what a tool was called with, or what is the caller's own.
const VALUES: [&str; 3] = ["arguments", "input", "metadata"];

/// What is to be counted of a prompt.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PromptText {
    pub text: String,
    /// Of prompts that come as Token ids.
    pub tokens: i64,
    pub attachments: i64,
}

/// What a value is part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A conversation: messages, items, parts.
    Talk,
    /// An image or a file.
    Media,
    /// JSON that the model reads as it stands, names of fields included.
    Json,
}

impl Place {
    /// The place of what is in an object that stands here.
    fn in_object(self, fields: &Map<String, Value>) -> Place {
        let kinds = || fields.iter().filter(|(name, _)| is_spelling(name, "type")).filter_map(|(_, kind)| kind.as_str());
        let carries = || fields.keys().any(|name| is_one_of(name, &CARRIERS));
        match self {
            Place::Json => Place::Json,
            _ if kinds().any(|kind| MEDIA.contains(&kind)) || carries() => Place::Media,
            // A document may come as text.
            Place::Media if kinds().any(|kind| kind == "text") => Place::Talk,
            place => place,
        }
    }

    /// The place of what a field holds.
    fn in_field(self, name: &str) -> Place {
        if VALUES.contains(&name) { Place::Json } else { self }
    }
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|one| is_spelling(name, one))
}

impl PromptText {
    /// Adds a field of the prompt.
    pub fn collect(&mut self, name: &str, value: &Value) {
        self.collect_in(if DEFINITIONS.contains(&name) { Place::Json } else { Place::Talk }, value);
    }

    fn collect_in(&mut self, place: Place, value: &Value) {
        match value {
            Value::String(text) => self.say(text),
            Value::Array(items) => items.iter().for_each(|item| self.collect_in(place, item)),
            Value::Object(fields) => self.collect_fields(place.in_object(fields), fields),
            // A Token id is one Token; so is, more or less, a number in a tool's definition.
            Value::Number(_) => self.tokens += 1,
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn collect_fields(&mut self, place: Place, fields: &Map<String, Value>) {
        for (name, item) in fields {
            if place == Place::Json {
                self.say(name);
            }
            match item {
                Value::String(content) if place == Place::Media && is_content(name, content) => self.attachments += 1,
                item => self.collect_in(place.in_field(name), item),
            }
        }
    }

    fn say(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }
}

fn is_content(name: &str, content: &str) -> bool {
    is_one_of(name, &REFERENCES) || (content.len() > SHORTEST_BASE64 && is_one_of(name, &CONTENTS))
}

/// Whether a body may hold images or files, without parsing it: whether it has a field for their content, in any spelling. An escape may
/// hide a name, so escapes count as a maybe.
pub fn may_have_attachments(body: &[u8]) -> bool {
    let is_named = |colon: usize| {
        let Some(name) = body[..colon].trim_ascii_end().strip_suffix(b"\"") else { return false };
        REFERENCES.iter().chain(&CONTENTS).any(|content| ends_with_name(name, content.as_bytes()))
    };
    memchr_iter(b':', body).any(is_named) || memmem::find(body, b"\\u00").is_some()
}

/// Whether bytes before a closing quote end with a quote and this name.
fn ends_with_name(bytes: &[u8], name: &[u8]) -> bool {
    let Some(quote) = bytes.len().checked_sub(name.len() + 1) else { return false };
    bytes[quote] == b'"' && bytes[quote + 1..].eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn collected(name: &str, value: &Value) -> PromptText {
        let mut prompt = PromptText::default();
        prompt.collect(name, value);
        let body = json!({name: value}).to_string();
        assert!(prompt.attachments == 0 || may_have_attachments(body.as_bytes()), "{value}");
        prompt
    }

    #[test]
    fn collect_tells_text_from_attachments_and_token_ids() {
        let base64 = "A".repeat(1_000);
        let data_url = format!("data:image/png;base64,{base64}");
        for (value, text, tokens, attachments) in [
            (json!("hi"), "hi\n", 0, 0),
            (json!([[1, 2], [3]]), "", 3, 0),
            (json!({"type": "text", "text": "look"}), "look\ntext\n", 0, 0),
            (json!({"image_url": {"url": data_url}}), "", 0, 1),
            (json!({"image_url": "https://example.com/a.png"}), "", 0, 1),
            (json!({"type": "image", "source": {"data": base64}}), "image\n", 0, 1),
            (json!({"data": "short"}), "short\n", 0, 0),
            (json!({"type": "text", "data": base64}), format!("{base64}\ntext\n").as_str(), 0, 0),
            // A model reads it as text, wherever it is no content of an image.
            (json!([data_url, null, true]), format!("{data_url}\n").as_str(), 0, 0),
        ] {
            assert_eq!(collected("messages", &value), PromptText { text: text.into(), tokens, attachments }, "{value}");
        }
    }

    /// Every form in which the references of OpenAI and Anthropic, and servers like theirs, take what is no text.
    #[test]
    fn parts_are_images_and_files_by_their_type() {
        let base64 = "A".repeat(1_000);
        for part in [
            json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}}),
            json!({"type": "image_url", "image_url": "https://example.com/a.png"}),
            json!({"type": "input_audio", "input_audio": {"data": base64, "format": "wav"}}),
            json!({"type": "file", "file": {"file_id": "file-1"}}),
            json!({"type": "file", "file": {"filename": "a.pdf", "file_data": base64}}),
            json!({"type": "input_image", "image_url": "https://example.com/a.png"}),
            json!({"type": "input_image", "file_id": "file-1"}),
            json!({"type": "input_file", "file_url": "https://example.com/a.pdf"}),
            json!({"type": "input_file", "filename": "a.pdf", "file_data": base64}),
            json!({"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": "https://example.com/a.png"}}),
            json!({"type": "function_call_output", "output": [{"type": "input_image", "image_url": "https://example.com/a.png"}]}),
            json!({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}),
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": base64}}),
            json!({"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
            json!({"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}),
            json!({"type": "document", "source": {"type": "content", "content": [
                {"type": "text", "text": "x"}, {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]}}),
            json!({"type": "tool_result", "content": [{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]}),
            json!({"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}),
            json!({"video_url": {"url": "https://example.com/a.mp4"}}),
            json!({"type": "image", "image": "https://example.com/a.png"}),
            // As Go reads it.
            json!({"Type": "image", "SOURCE": {"type": "url", "Url": "https://example.com/a.png"}}),
            json!({"type": "text", "Type": "image", "source": {"type": "url", "URL": "https://example.com/a.png"}}),
            json!({"Image_URL": {"URL": "https://example.com/a.png"}}),
        ] {
            let found = collected("messages", &json!([{"role": "user", "content": [part]}]));
            assert_eq!(found.attachments, 1, "{part}");
            assert!(!found.text.contains("example.com") && !found.text.contains("AAAA"), "{part}: {}", found.text);
        }
    }

    #[test]
    fn addresses_elsewhere_are_text() {
        let base64 = "A".repeat(1_000);
        for (name, value, says) in [
            (
                "messages",
                json!([{"content": [{"type": "tool_use", "name": "WebFetch", "input": {"url": "https://a.b", "image_url": "x"}}]}]),
                "image_url\nx\nurl\nhttps://a.b\nWebFetch\n",
            ),
            ("messages", json!([{"content": [{"type": "tool_use", "input": {"type": "image", "data": base64}}]}]), base64.as_str()),
            ("messages", json!([{"content": [{"type": "server_tool_use", "input": {"url": "https://a.b"}}]}]), "https://a.b"),
            ("messages", json!([{"content": [{"type": "web_search_result", "url": "https://a.b"}]}]), "https://a.b"),
            ("messages", json!([{"tool_calls": [{"function": {"arguments": r#"{"url":"https://a.b"}"#}}]}]), "https://a.b"),
            ("messages", json!([{"tool_calls": [{"function": {"arguments": {"url": "https://a.b"}}}]}]), "https://a.b"),
            ("messages", json!([{"metadata": {"url": "https://a.b", "file_id": "x"}, "content": "hi"}]), "https://a.b"),
            ("messages", json!([{"content": format!("data:text/plain,{base64}")}]), base64.as_str()),
            ("messages", json!([{"content": [{"type": "text", "text": format!("data:text/plain,{base64}")}]}]), base64.as_str()),
            ("messages", json!([{"content": [{"type": "document", "source": {"type": "text", "data": base64}}]}]), base64.as_str()),
            ("messages", json!([{"content": [{"type": "document", "title": format!("data:{base64}")}]}]), base64.as_str()),
            ("input", json!([{"type": "function_call", "name": "f", "arguments": r#"{"url":"https://a.b"}"#}]), "https://a.b"),
            ("input", json!([{"content": [{"annotations": [{"type": "url_citation", "url": "https://a.b"}]}]}]), "https://a.b"),
            ("input", json!([format!("data:text/plain,{base64}")]), base64.as_str()),
            ("prompt", json!(format!("data:text/plain,{base64}")), base64.as_str()),
            (
                "tools",
                json!([{"input_schema": {"type": "object", "properties": {"url": {"default": "https://a.b"}}}}]),
                "url\ndefault\nhttps://a.b\n",
            ),
            ("tools", json!([{"input_examples": [{"type": "image", "url": "https://a.b"}]}]), "https://a.b"),
            ("response_format", json!({"json_schema": {"schema": {"image_url": "https://a.b"}}}), "image_url\nhttps://a.b\n"),
        ] {
            let found = collected(name, &value);
            assert_eq!(found.attachments, 0, "{value}");
            assert!(found.text.contains(says), "{value}: {}", found.text);
        }
    }

    #[test]
    fn no_name_of_a_content_is_overlooked() {
        for body in [
            r#"{"image\u005furl":"https://example.com/a.png"}"#,
            r#"{"url":"https://example.com/a.png"}"#,
            "{\"x\":1,\"URL\" \n\t: \"https://example.com/a.png\"}",
            r#"{"File_Data":"AAAA"}"#,
        ] {
            assert!(may_have_attachments(body.as_bytes()), "{body}");
        }
        for body in [
            r#"{"messages":[{"role":"user","content":"hi"}]}"#,
            r#"{"content":"an \"url\": x, \"data\""}"#,
            r#"{"curl":1,"x_url":":"}"#,
            ":",
            "url\":",
            "",
        ] {
            assert!(!may_have_attachments(body.as_bytes()), "{body}");
        }
    }
}
