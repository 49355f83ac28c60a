//! Buttons that copy, and the island that has them do so (`islands::copy`). A page has dozens of them and needs that once.

use crate::html::Escaped;
use crate::islands::copy::Copies;
use crate::t;
use leptos::prelude::*;
use leptos::tachys::html::InertElement;
use memchr::memmem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Copies this text. It shows where a script can do that; elsewhere the text beside it can be selected.
#[component]
pub fn CopyButton(text: String, #[prop(optional)] label: Option<&'static str>) -> impl IntoView {
    InertElement::new(button_html(&text, label.unwrap_or_else(|| t!("Copy"))))
}

/// Copies the code of the `<pre>` that stands beside it, or beside the row that it is in, as it is there.
#[component]
pub fn CopyCode() -> impl IntoView {
    InertElement::new(copy_code_html())
}

/// [`CopyButton`] as text.
pub fn copy_html(text: &str) -> String {
    button_html(text, t!("Copy"))
}

/// [`CopyCode`] as text.
pub fn copy_code_html() -> String {
    button_html("", t!("Copy"))
}

/// What tells such a button from all else in a page.
const MARK: &str = " data-copy=\"";

fn button_html(text: &str, label: &str) -> String {
    let (text, label) = (Escaped(text), Escaped(label));
    format!(r#"<button class="button button-quiet needs-js" type="button"{MARK}{text}"><span aria-live="polite">{label}</span></button>"#)
}

/// Whether the page that is being made has the island already: a context of each page.
#[derive(Clone, Default)]
pub struct CanCopy(Arc<AtomicBool>);

/// The island, for whoever asks first on a page.
pub fn copies() -> Option<impl IntoView> {
    let there = use_context::<CanCopy>().is_some_and(|CanCopy(there)| there.swap(true, Ordering::Relaxed));
    (!there).then(|| view! { <Copies copied=t!("Copied").to_string() refused=t!("Not copied").to_string() /> })
}

/// A part of a page, and behind it the island, if there is something to copy in it. So nobody who shows a button has to think of it.
pub fn with_copies(part: String) -> String {
    let needed = memmem::find(part.as_bytes(), MARK.as_bytes()).is_some();
    match needed.then(copies).flatten() {
        Some(copies) => part + &copies.to_html(),
        None => part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_leaves_its_button() {
        let button = copy_html("<b>\n\"a\" & 'b' \n");
        let attributes = r#"class="button button-quiet needs-js" type="button" data-copy="#;
        let text = "\"&lt;b&gt;\n&quot;a&quot; &amp; 'b' \n\"";
        assert_eq!(button, format!(r#"<button {attributes}{text}><span aria-live="polite">Copy</span></button>"#));
        assert!(copy_code_html().contains(r#" data-copy="">"#), "{}", copy_code_html());
    }

    #[test]
    fn a_page_has_the_island_once_behind_its_first_button() {
        Owner::new().with(|| {
            provide_context(CanCopy::default());
            let (button, islands) = (copy_html("a"), |part: &str| part.matches("<leptos-island").count());
            assert_eq!(with_copies("<p>data-copy</p>".into()), "<p>data-copy</p>");
            let first = with_copies(button.clone());
            assert!(first.starts_with(&button) && islands(&first) == 1, "{first}");
            assert!(first.contains("Copied") && first.contains("Not copied"), "{first}");
            assert_eq!(with_copies(button.clone()), button);
            assert!(copies().is_none());
        });
    }
}
