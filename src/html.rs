//! Text in HTML that is written by hand.

/// What may stand between tags and in quotes, and be read as the text that it is.
pub fn escaped(text: &str) -> String {
    let (mut escaped, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(['&', '<', '>', '"']) {
        let (plain, special) = rest.split_at(at);
        escaped.push_str(plain);
        escaped.push_str(match special.as_bytes()[0] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            _ => "&quot;",
        });
        rest = &special[1..];
    }
    escaped.push_str(rest);
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(escaped(r#"</textarea><img alt="x"> & &lt;"#), "&lt;/textarea&gt;&lt;img alt=&quot;x&quot;&gt; &amp; &amp;lt;");
    }
}
