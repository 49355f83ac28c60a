//! Ticks all boxes of a form at once, or none any more. A button for that is marked `data-ticks` with the form's id, says one of two things
//! (`data-all`, `data-none`), and stays hidden where no script makes it work: there each box is ticked by itself.

use crate::islands::dom::{at, first, on};
use leptos::prelude::*;
use leptos::wasm_bindgen::JsCast;
use leptos::web_sys::{Element, Event, HtmlInputElement};

/// For the whole page: part of an island that every page has (`islands::switches`).
pub(super) fn watch() {
    on(&document(), "click", clicked);
    on(&document(), "change", |_| say_all());
    say_all();
}

fn clicked(event: &Event) {
    let Some(button) = at(event, "[data-ticks]") else { return };
    let boxes = boxes_of(&button);
    let tick = !are_ticked(&boxes);
    for each in &boxes {
        each.set_checked(tick);
    }
    say(&button);
}

fn boxes_of(button: &Element) -> Vec<HtmlInputElement> {
    let form = button.get_attribute("data-ticks").unwrap_or_default();
    elements(&format!("input[type=checkbox][form=\"{form}\"]"))
}

fn elements<T: JsCast>(selector: &str) -> Vec<T> {
    let Ok(found) = document().query_selector_all(selector) else { return Vec::new() };
    (0..found.length()).filter_map(|place| found.item(place)?.dyn_into().ok()).collect()
}

fn are_ticked(boxes: &[HtmlInputElement]) -> bool {
    boxes.iter().all(HtmlInputElement::checked)
}

/// Shows the buttons of the page, and has them say what they do next.
fn say_all() {
    for button in elements::<Element>("[data-ticks]") {
        let _ = button.remove_attribute("hidden");
        say(&button);
    }
}

/// Aloud too where it is another thing than before: its words are a live region.
fn say(button: &Element) {
    let next = if are_ticked(&boxes_of(button)) { "data-none" } else { "data-all" };
    let (Some(words), Some(said)) = (first::<Element>(button, "[aria-live]"), button.get_attribute(next)) else { return };
    if words.text_content().as_ref() != Some(&said) {
        words.set_text_content(Some(&said));
    }
}
