//! Code to copy. It scrolls on its own where it is wider than its place.

use crate::html::Escaped;
use crate::push;
use crate::ui::copy::copy_code_html;
use leptos::prelude::*;
use leptos::tachys::html::InertElement;

/// `label` says what it is: `curl`, `Python`.
#[component]
pub fn Snippet(#[prop(into)] label: String, #[prop(into)] code: String) -> impl IntoView {
    InertElement::new(snippet_html(&label, &code))
}

/// [`Snippet`] as text.
pub fn snippet_html(label: &str, code: &str) -> String {
    let (label, code) = (Escaped(label), Escaped(code));
    let mut html = format!(r#"<div class="snippet"><div class="row"><h3>{label}</h3>{}</div>"#, copy_code_html());
    push!(html, r#"<pre class="code-block" tabindex="0" role="region" aria-label="{label}">"#);
    // What is copied is all that stands in it: no space of ours.
    push!(html, "<code>{code}</code></pre></div>");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_stands_once_as_it_was_given_and_is_no_markup() {
        let html = snippet_html(r#"a "b" <c>"#, "\n  echo \"$A\" <in && b\n");
        assert_eq!(html.matches("echo").count(), 1, "{html}");
        assert!(html.contains("<code>\n  echo &quot;$A&quot; &lt;in &amp;&amp; b\n</code>"), "{html}");
        let label = "a &quot;b&quot; &lt;c&gt;";
        assert!(html.contains(&format!("<h3>{label}</h3>")) && html.contains(&format!("aria-label=\"{label}\"")), "{html}");
    }
}
