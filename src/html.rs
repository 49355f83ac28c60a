//! Text in HTML that is written by hand.

/// What may stand between tags and in quotes, and be read as the text that it is.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(escaped(r#"</textarea><img alt="x"> & &lt;"#), "&lt;/textarea&gt;&lt;img alt=&quot;x&quot;&gt; &amp; &amp;lt;");
    }
}
