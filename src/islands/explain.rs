//! Unfolds under a call of a table why it was charged what it was: from the page of that call, to which its link leads without a script.

use crate::islands::dom::{at, on, page_at};
use crate::islands::live::wake_islands;
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::{JsCast, JsValue};
use leptos::web_sys::{Element, Event, MouseEvent};

/// For the table that it stands beside: its links that are marked `data-why`.
#[island]
pub fn Explain() -> impl IntoView {
    let marker = NodeRef::<html::Span>::new();
    Effect::new(move |_| {
        let table = marker.get().and_then(|marker| marker.closest(".table-wrap").ok()?);
        if let Some(table) = table {
            on(&table, "click", clicked);
        }
    });
    view! { <span hidden node_ref=marker></span> }
}

fn clicked(event: &Event) {
    let Some(link) = at(event, "a[data-why]") else { return };
    // Whoever wants another tab gets it.
    if event.dyn_ref::<MouseEvent>().is_some_and(|click| click.ctrl_key() || click.meta_key() || click.shift_key()) {
        return;
    }
    event.prevent_default();
    spawn_local(async move {
        let address = link.get_attribute("href").unwrap_or_default();
        if toggle(&link, &address).await.is_err() {
            let _ = window().location().set_href(&address);
        }
    });
}

/// Shows what follows the row of this link on the page it leads to, or removes it.
async fn toggle(link: &Element, address: &str) -> Result<(), JsValue> {
    let row = link.closest("tr")?.ok_or(JsValue::NULL)?;
    let shown = || row.next_element_sibling().filter(|next| next.has_attribute("data-open"));
    if let Some(why) = shown() {
        why.remove();
        return link.set_attribute("aria-expanded", "false");
    }
    let page = page_at(address).await?.ok_or(JsValue::NULL)?;
    let why = page.query_selector(".call-why")?.ok_or(JsValue::NULL)?;
    // Clicked twice, while it came.
    if shown().is_some() {
        return Ok(());
    }
    why.set_attribute("data-open", "")?;
    // This table may have fewer columns than the page's.
    if let Some(cell) = why.first_element_child() {
        cell.set_attribute("colspan", &row.child_element_count().to_string())?;
    }
    row.after_with_node_1(&why)?;
    wake_islands(&why)?;
    link.set_attribute("aria-expanded", "true")
}
