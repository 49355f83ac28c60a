//! What a prompt is to a count of it: its text, its ready-made Tokens, and the images and files in it.

use memchr::memmem;
use serde_json::Value;

/// What one image or file counts at most.
pub const PER_ATTACHMENT: i64 = 4_096;

/// The fields that hold an image or a file, or say where it is: a string under one of these names is nothing that a model reads as
/// text.
const REFERENCES: [&str; 4] = ["url", "image_url", "file_url", "file_id"];
/// The same, where short strings and text sources are text after all.
const CONTENTS: [&str; 2] = ["data", "file_data"];
const SHORTEST_BASE64: usize = 256;

/// What is to be counted of a prompt.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PromptText {
    pub text: String,
    /// Of prompts that come as Token ids.
    pub tokens: i64,
    pub attachments: i64,
}

impl PromptText {
    pub fn collect(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.collect_text(text),
            Value::Array(items) => items.iter().for_each(|item| self.collect(item)),
            Value::Object(fields) => {
                let is_text = fields.get("type").is_some_and(|kind| kind == "text");
                for (name, item) in fields {
                    match item {
                        Value::String(_) if REFERENCES.contains(&name.as_str()) => self.attachments += 1,
                        Value::String(data) if CONTENTS.contains(&name.as_str()) && !is_text && data.len() > SHORTEST_BASE64 => {
                            self.attachments += 1;
                        }
                        item => self.collect(item),
                    }
                }
            }
            // A Token id is one Token; so is, more or less, a number in a tool's definition.
            Value::Number(_) => self.tokens += 1,
            Value::Bool(_) | Value::Null => {}
        }
    }

    pub fn collect_text(&mut self, text: &str) {
        if text.starts_with("data:") && text.len() > SHORTEST_BASE64 {
            self.attachments += 1;
        } else {
            self.text.push_str(text);
            self.text.push('\n');
        }
    }
}

/// Whether a body may hold images or files, without parsing it. An escape may hide a name, so escapes count as a maybe.
pub fn may_have_attachments(body: &[u8]) -> bool {
    let named = REFERENCES.iter().chain(&CONTENTS).any(|name| memmem::find(body, format!("\"{name}\"").as_bytes()).is_some());
    named || memmem::find(body, b"\"data:").is_some() || memmem::find(body, b"\\u00").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
            (json!({"source": {"data": base64}}), "", 0, 1),
            (json!({"data": "short"}), "short\n", 0, 0),
            (json!({"type": "text", "data": base64}), format!("{base64}\ntext\n").as_str(), 0, 0),
            (json!([data_url, null, true]), "", 0, 1),
        ] {
            let mut prompt = PromptText::default();
            prompt.collect(&value);
            assert_eq!(prompt, PromptText { text: text.into(), tokens, attachments }, "{value}");
            assert!(attachments == 0 || may_have_attachments(value.to_string().as_bytes()), "{value}");
        }
    }

    #[test]
    fn an_escaped_name_is_no_hiding_place() {
        assert!(may_have_attachments(br#"{"image\u005furl":"https://example.com/a.png"}"#));
        assert!(!may_have_attachments(br#"{"messages":[{"role":"user","content":"hi"}]}"#));
    }
}
