//! Has the buttons of the page that copy (`ui::copy`) do so, those too that come into it later. They show only where it can work: without
//! JavaScript, or over plain http on another machine, the text beside them can still be selected.

use crate::islands::dom::{at, first, on};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::web_sys::{Element, Event};
use std::time::Duration;

/// How long a button says how it went.
const SAID_FOR: Duration = Duration::from_secs(2);

/// `copied` and `refused`: what a button says after a click.
#[island]
pub fn Copies(copied: String, refused: String) -> impl IntoView {
    Effect::new(move |_| {
        if !window().is_secure_context() {
            return;
        }
        let (copied, refused) = (copied.clone(), refused.clone());
        on(&document(), "click", move |event| clicked(event, &copied, &refused));
        // From here on the style sheet shows the buttons.
        if let Some(page) = document().document_element() {
            let _ = page.set_attribute("data-copies", "");
        }
    });
}

fn clicked(event: &Event, copied: &str, refused: &str) {
    let Some(button) = at(event, "[data-copy]") else { return };
    let Some(text) = text_of(&button) else { return say(button, refused) };
    let written = window().navigator().clipboard().write_text(&text);
    let (copied, refused) = (copied.to_string(), refused.to_string());
    spawn_local(async move {
        // A browser may refuse, and a secret that is shown once must not be believed copied.
        let said = if written.await.is_ok() { copied } else { refused };
        say(button, &said);
    });
}

/// What stands in the button, or, where nothing does, the code beside it.
fn text_of(button: &Element) -> Option<String> {
    let text = button.get_attribute("data-copy")?;
    if !text.is_empty() {
        return Some(text);
    }
    first::<Element>(&button.closest(":has(> pre)").ok()??, "pre > code")?.text_content()
}

/// The button says so for a moment, aloud too: its words are a live region.
fn say(button: Element, said: &str) {
    let Some(words) = first::<Element>(&button, "[aria-live]") else { return };
    // Clicked twice, it has other words than its own.
    let own = button.get_attribute("data-own").or_else(|| words.text_content()).unwrap_or_default();
    let _ = button.set_attribute("data-own", &own);
    words.set_text_content(Some(said));
    let say_own = move || {
        words.set_text_content(Some(&own));
        let _ = button.remove_attribute("data-own");
    };
    set_timeout(say_own, SAID_FOR);
}
