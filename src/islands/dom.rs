//! What islands do to a page that the server wrote, beyond views of their own.

use crate::islands::IN_PART;
use leptos::prelude::window;
use leptos::wasm_bindgen::closure::Closure;
use leptos::wasm_bindgen::{JsCast, JsValue};
use leptos::web_sys::{Document, DomParser, Element, Event, EventTarget, Headers, RequestInit, Response, SupportedType};

/// Acts on each such event, until the page ends.
pub fn on(target: &EventTarget, event: &str, act: impl Fn(&Event) + 'static) {
    let act = Closure::<dyn Fn(Event)>::new(move |event: Event| act(&event));
    let _ = target.add_event_listener_with_callback(event, act.as_ref().unchecked_ref());
    act.forget();
}

/// What says that a page is asked for, and only a part of it is shown.
pub fn part_headers() -> Result<Headers, JsValue> {
    let headers = Headers::new()?;
    headers.set(IN_PART, "1")?;
    // To whoever does not ask for a page, the server names where it leads and does not lead there.
    headers.set("accept", "text/html")?;
    Ok(headers)
}

/// Asks for a page of which a part is kept.
pub async fn fetch_part(address: &str) -> Result<Response, JsValue> {
    let request = RequestInit::new();
    let headers = part_headers()?;
    request.set_headers(&headers);
    window().fetch_with_str_and_init(address, &request).await?.dyn_into()
}

/// The page that an answer of the server's is.
pub async fn page_in(response: &Response) -> Result<Document, JsValue> {
    let text = response.text()?.await?.as_string().unwrap_or_default();
    DomParser::new()?.parse_from_string(&text, SupportedType::TextHtml)
}

/// The page at an address, for a part of it; none where it leads elsewhere, or is refused.
pub async fn page_at(address: &str) -> Result<Option<Document>, JsValue> {
    let response = fetch_part(address).await?;
    if !response.ok() || response.redirected() {
        return Ok(None);
    }
    page_in(&response).await.map(Some)
}

/// What an event is at, or inside of: the closest element that the selector fits.
pub fn at(event: &Event, selector: &str) -> Option<Element> {
    event.target()?.dyn_into::<Element>().ok()?.closest(selector).ok()?
}

/// The first element inside of this one that the selector fits.
pub fn first<T: JsCast>(inside: &Element, selector: &str) -> Option<T> {
    inside.query_selector(selector).ok()??.dyn_into().ok()
}
