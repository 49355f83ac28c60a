//! Text in HTML that is written by hand.

use std::fmt;

/// Written so that it may stand between tags and in quotes, and is read as the text that it is.
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        // All four are one byte, and no part of another character.
        while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'&' | b'<' | b'>' | b'"')) {
            let (plain, special) = rest.split_at(at);
            out.write_str(plain)?;
            out.write_str(match special.as_bytes()[0] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                _ => "&quot;",
            })?;
            rest = &special[1..];
        }
        out.write_str(rest)
    }
}

/// A link, both of it escaped.
pub fn link(href: &str, words: &str) -> impl fmt::Display {
    fmt::from_fn(move |out| write!(out, r#"<a href="{}">{}</a>"#, Escaped(href), Escaped(words)))
}

/// [`Escaped`] as a text of its own.
pub fn escaped(text: &str) -> String {
    Escaped(text).to_string()
}

/// Writes to the end of a text, which does not fail.
#[macro_export]
macro_rules! push {
    ($text:expr, $($written:tt)+) => {{
        use ::std::fmt::Write as _;
        let _ = ::std::write!($text, $($written)+);
    }};
}

/// Appends texts that need no escaping, one after the other: what a page has hundreds of is not worth a format each.
pub fn push_all(html: &mut String, texts: &[&str]) {
    texts.iter().for_each(|text| html.push_str(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(escaped(r#"</textarea><img alt="x"> & &lt;"#), "&lt;/textarea&gt;&lt;img alt=&quot;x&quot;&gt; &amp; &amp;lt;");
        assert_eq!(link(r#"/?a=1&b=">"#, "<b>").to_string(), r#"<a href="/?a=1&amp;b=&quot;&gt;">&lt;b&gt;</a>"#);
    }
}
