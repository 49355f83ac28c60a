//! The palette's script: opens the dialog on ⌘K, Ctrl+K or its links, shows what the search page finds for what is typed, moves along it
//! with the arrow keys, and has Enter lead to the first of it. The dialog itself is the server's, and the browser's: it keeps the focus,
//! and gives it back at the end.

use crate::islands::dom::{fetch_part, on, page_in};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::{JsCast, JsValue};
use leptos::web_sys::{Element, Event, HtmlDialogElement, HtmlElement, HtmlInputElement, KeyboardEvent};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// What is typed fast is looked up once.
const PAUSE: Duration = Duration::from_millis(120);

#[island]
pub fn PaletteKeys() -> impl IntoView {
    Effect::new(move |_| {
        if let Some(palette) = Palette::on_page() {
            palette.listen();
        }
    });
}

#[derive(Clone)]
struct Palette {
    dialog: HtmlDialogElement,
    field: HtmlInputElement,
    found: Element,
    /// How often something was typed: an answer to what came before is late.
    typed: Rc<Cell<u32>>,
}

impl Palette {
    fn on_page() -> Option<Palette> {
        let dialog: HtmlDialogElement = document().get_element_by_id("palette")?.dyn_into().ok()?;
        let field = dialog.query_selector("input").ok()??.dyn_into().ok()?;
        let found = dialog.query_selector(".palette-found").ok()??;
        Some(Palette { dialog, field, found, typed: Rc::default() })
    }

    /// All of it ends with the page.
    fn listen(self) {
        let palette = self.clone();
        on(&document(), "keydown", move |event| palette.key(event.unchecked_ref()));
        let palette = self.clone();
        on(&document(), "click", move |event| palette.click(event));
        let palette = self.clone();
        on(&self.dialog, "submit", move |event| palette.submit(event));
        let palette = self.clone();
        on(&self.field, "input", move |_| palette.clone().type_later());
    }

    fn key(&self, event: &KeyboardEvent) {
        let opens = (event.meta_key() || event.ctrl_key()) && event.key().eq_ignore_ascii_case("k");
        if opens {
            event.prevent_default();
            return if self.dialog.open() { self.dialog.close() } else { self.open() };
        }
        if self.dialog.open() && matches!(event.key().as_str(), "ArrowDown" | "ArrowUp") {
            event.prevent_default();
            self.step(event.key() == "ArrowDown");
        }
    }

    fn click(&self, event: &Event) {
        let Some(target) = event.target().and_then(|target| target.dyn_into::<Element>().ok()) else { return };
        // A press beside a dialog is one on its backdrop, which is the dialog itself.
        if target == *self.dialog.unchecked_ref::<Element>() {
            self.dialog.close();
        } else if let Ok(Some(_)) = target.closest("[data-opens=palette]") {
            event.prevent_default();
            self.open();
        } else if let Ok(Some(_)) = target.closest(".palette-found a") {
            // It may lead to a place of this page.
            self.dialog.close();
        }
    }

    /// Enter in the field. What was found for something else leads nowhere: then the form goes to the search page, as without a script.
    /// The form is asked and not the key, which may also end a word in an input method.
    fn submit(&self, event: &Event) {
        if self.found.get_attribute("aria-busy").as_deref() == Some("true") {
            return;
        }
        if let Some(first) = elements(&self.found, "a").first() {
            event.prevent_default();
            first.click();
        }
    }

    fn open(&self) {
        if self.dialog.show_modal().is_ok() {
            self.field.select();
            self.clone().look_up(self.typed.get());
        }
    }

    /// Between the field and the links below it.
    fn step(&self, down: bool) {
        let links: Vec<HtmlElement> = elements(&self.dialog, "input, .palette-found a");
        let active = document().active_element();
        let place = links.iter().position(|link| active.as_ref() == Some(link.unchecked_ref())).unwrap_or(0);
        let next = if down { place + 1 } else { place.saturating_sub(1) };
        if let Some(link) = links.get(next) {
            let _ = link.focus();
        }
    }

    fn type_later(self) {
        let typed = self.typed.get().wrapping_add(1);
        self.typed.set(typed);
        // From here on, what is shown is not what is asked for.
        let _ = self.found.set_attribute("aria-busy", "true");
        set_timeout(move || self.look_up(typed), PAUSE);
    }

    fn look_up(self, typed: u32) {
        if self.typed.get() != typed {
            return;
        }
        let _ = self.found.set_attribute("aria-busy", "true");
        spawn_local(async move {
            let found = found_for(&self.field.value()).await;
            if self.typed.get() != typed {
                return;
            }
            let _ = self.found.set_attribute("aria-busy", "false");
            match found {
                Ok(Some(list)) => self.found.replace_children_with_node_1(&list),
                Ok(None) => self.say("data-signed-out"),
                Err(_) => self.say("data-unreachable"),
            }
        });
    }

    /// Says what the dialog has in this attribute, where there would be a list.
    fn say(&self, attribute: &str) {
        let Ok(said) = document().create_element("p") else { return };
        said.set_text_content(self.dialog.get_attribute(attribute).as_deref());
        self.found.replace_children_with_node_1(&said);
    }
}

/// The list of the search page; none where that leads elsewhere, because the session has ended.
async fn found_for(text: &str) -> Result<Option<Element>, JsValue> {
    let address = format!("/search?q={}", String::from(leptos::web_sys::js_sys::encode_uri_component(text)));
    let response = fetch_part(&address).await?;
    if response.redirected() {
        return Ok(None);
    }
    // A page that says why it has none is one too.
    page_in(&response).await?.query_selector("#found")?.map(Some).ok_or(JsValue::NULL)
}

fn elements(inside: &Element, selector: &str) -> Vec<HtmlElement> {
    let Ok(nodes) = inside.query_selector_all(selector) else { return Vec::new() };
    (0..nodes.length()).filter_map(|place| nodes.item(place)?.dyn_into().ok()).collect()
}
