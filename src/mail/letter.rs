//! A letter as the domain that writes it composes it, and its two forms: plain text and HTML. ASCII words keep it readable on the wire.

use crate::html::escaped;
use crate::i18n::language;
use chrono::TimeDelta;

/// What somebody is told by mail.
#[derive(Clone, Debug)]
pub struct Letter {
    /// For operators: `reset_password`.
    pub kind: &'static str,
    pub subject: &'static str,
    pub parts: Vec<Part>,
    /// How long it is worth delivering.
    pub useful_for: TimeDelta,
}

#[derive(Clone, Debug)]
pub enum Part {
    /// A paragraph.
    Text(String),
    /// The one thing to do. `url` is made of the configured address of this server, never of what a request said.
    Link { label: &'static str, url: String },
}

/// A letter as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Body {
    pub text: String,
    pub html: String,
}

impl Letter {
    /// `home` is where the server is found, for the last line.
    pub fn body(&self, home: &str) -> Body {
        Body { text: self.text(home), html: self.html(home) }
    }

    fn text(&self, home: &str) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(paragraph) => text.push_str(&format!("{paragraph}\n\n")),
                Part::Link { label, url } => text.push_str(&format!("{label}{}\n{url}\n\n", language().choose(":", "："))),
            }
        }
        text.push_str(&format!("-- \nTOKI Token Plan, {home}\n"));
        text
    }

    /// No image, no style sheet, nothing that is fetched: reading it tells nobody.
    fn html(&self, home: &str) -> String {
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"{}\">\n<head><meta charset=\"utf-8\"><title>{}</title></head>\n\
             <body style=\"font-family: sans-serif; line-height: 1.5; max-width: 36em\">\n",
            language().tag(),
            escaped(self.subject)
        );
        for part in &self.parts {
            match part {
                Part::Text(paragraph) => html.push_str(&format!("<p>{}</p>\n", escaped(paragraph))),
                Part::Link { label, url } => {
                    let (label, url) = (escaped(label), escaped(url));
                    html.push_str(&format!("<p><a href=\"{url}\"><strong>{label}</strong></a></p>\n<p><small>{url}</small></p>\n"));
                }
            }
        }
        html.push_str(&format!("<p><small>TOKI Token Plan, {}</small></p>\n</body>\n</html>\n", escaped(home)));
        html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same_and_html_is_escaped() {
        let letter = Letter {
            kind: "test",
            subject: "Hello",
            parts: vec![
                Part::Text("Your address is now \"<b>\"@example.com.".into()),
                Part::Link { label: "Open it", url: "https://toki.example/a?b=c&d=e".into() },
            ],
            useful_for: TimeDelta::hours(1),
        };
        let body = letter.body("https://toki.example");
        assert_eq!(
            body.text,
            "Your address is now \"<b>\"@example.com.\n\nOpen it:\nhttps://toki.example/a?b=c&d=e\n\n-- \nTOKI Token Plan, https://toki.example\n"
        );
        assert!(body.html.contains("&quot;&lt;b&gt;&quot;@example.com."), "{}", body.html);
        assert!(body.html.contains("href=\"https://toki.example/a?b=c&amp;d=e\""), "{}", body.html);
    }
}
