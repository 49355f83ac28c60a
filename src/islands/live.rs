//! Has parts of a page keep up with what happens elsewhere: while this stands on it, the page is read anew and what is marked
//! `data-live` is replaced where it changed. Without JavaScript a page is as old as it is, and may have a link to itself.

use crate::islands::dom::{fetch_part, page_in};
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::{JsCast, JsValue};
use leptos::web_sys::js_sys::{Function, Reflect};
use leptos::web_sys::{Document, Element, NodeList};
use std::collections::HashMap;
use std::time::Duration;

/// How often the page is read at first, and how often after it was read [`PATIENCE`] times.
const READ_EACH: Duration = Duration::from_secs(1);
const READ_EACH_LATER: Duration = Duration::from_secs(15);
const PATIENCE: u32 = 120;

/// The marked parts of the page as the server last wrote them: what an island has done to one since is no change.
pub type Seen = HashMap<String, String>;

/// Keeps the page up to date for as long as it stands on it: put it inside of what it is about, where it disappears with the last change.
#[island]
pub fn Live() -> impl IntoView {
    let marker = NodeRef::<html::Span>::new();
    Effect::new(move |_| {
        if let Some(marker) = marker.get() {
            read_later(marker.into(), 0, Seen::new());
        }
    });
    view! { <span hidden node_ref=marker></span> }
}

fn read_later(marker: Element, times: u32, mut seen: Seen) {
    let wait = if times < PATIENCE { READ_EACH } else { READ_EACH_LATER };
    let read = move || {
        spawn_local(async move {
            // A failure is not the end of the matter: the next answer may come.
            let _ = refresh(&mut seen).await;
            if marker.is_connected() {
                read_later(marker, times.saturating_add(1), seen);
            }
        });
    };
    set_timeout(read, wait);
}

/// Reads the page once more and replaces what changed. Where it leads elsewhere, as when the session has ended, goes there.
pub async fn refresh(seen: &mut Seen) -> Result<(), JsValue> {
    let address = window().location().href()?;
    let response = fetch_part(&address).await?;
    if response.redirected() {
        return window().location().set_href(&response.url());
    }
    if !response.ok() {
        return Ok(());
    }
    replace_changed(&page_in(&response).await?, seen)
}

/// Replaces what is marked and is another on this page, which is the one shown as the server writes it now.
pub fn replace_changed(new: &Document, seen: &mut Seen) -> Result<(), JsValue> {
    for part in elements(&document().query_selector_all("[data-live]")?) {
        let name = part.get_attribute("data-live").unwrap_or_default();
        let Some(fresh) = new.query_selector(&format!("[data-live=\"{name}\"]"))? else { continue };
        let fresh = fresh.inner_html();
        let before = seen.remove(&name).unwrap_or_else(|| part.inner_html());
        // What somebody has opened or is at stays as it is until they are done.
        if before != fresh && part.query_selector("details[open], [data-open], :focus")?.is_none() {
            part.set_inner_html(&fresh);
            wake_islands(&part)?;
            seen.insert(name, fresh);
        } else {
            seen.insert(name, before);
        }
    }
    Ok(())
}

/// Wakes islands that were not there when the page's own were (`ui/wake_islands.js`).
pub fn wake_islands(part: &Element) -> Result<(), JsValue> {
    let wake: Function = Reflect::get(&window(), &"wakeIsland".into())?.dyn_into()?;
    for island in elements(&part.query_selector_all("leptos-island")?) {
        wake.call1(&JsValue::NULL, &island)?;
    }
    Ok(())
}

fn elements(nodes: &NodeList) -> Vec<Element> {
    (0..nodes.length()).filter_map(|place| nodes.item(place)?.dyn_into().ok()).collect()
}
