//! Has the forms of the page that are one switch (`ui::control::SwitchForm`) turn at once, before the server has said anything, and turn
//! back with a toast that says why where it refuses or cannot be reached. Without a script they are posted, and the page comes anew. Boxes
//! that are ticked together have no island of their own (`ticks`).

use crate::islands::dom::{first, on, page_in, part_headers};
use crate::islands::live::{Seen, replace_changed};
use crate::islands::ticks;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::{JsCast, JsValue};
use leptos::web_sys::{Element, FormData, HtmlFormElement, HtmlInputElement, RequestInit, Response, UrlSearchParams};
use std::time::Duration;

/// How long a toast stays: long enough to be read twice.
const TOAST_FOR: Duration = Duration::from_secs(10);

/// `unreachable`: what is said when there is no answer.
#[island]
pub fn Switches(unreachable: String) -> impl IntoView {
    Effect::new(move |_| {
        ticks::watch();
        let unreachable = unreachable.clone();
        on(&document(), "submit", move |event| {
            let form = event.target().and_then(|target| target.dyn_into::<HtmlFormElement>().ok());
            let Some(form) = form.filter(|form| form.has_attribute("data-switch")) else { return };
            event.prevent_default();
            // One answer at a time: the last one says how it is.
            if !form.has_attribute("aria-busy") {
                spawn_local(press(form, unreachable.clone()));
            }
        });
    });
}

async fn press(form: HtmlFormElement, unreachable: String) {
    let Ok(fields) = FormData::new_with_form(&form) else { return };
    turn(&form);
    let _ = form.set_attribute("aria-busy", "true");
    if let Some(why) = post(&form.action(), &fields).await.unwrap_or(Some(unreachable)) {
        turn(&form);
        toast(&why);
    }
    let _ = form.remove_attribute("aria-busy");
}

/// The switch shows its other state, and sends the other value next.
fn turn(form: &Element) {
    if let Some(switch) = first::<Element>(form, "[role=switch]") {
        let on = switch.get_attribute("aria-checked").is_some_and(|on| on == "true");
        let _ = switch.set_attribute("aria-checked", if on { "false" } else { "true" });
    }
    if let Some(field) = first::<HtmlInputElement>(form, "[data-other]") {
        let other = field.get_attribute("data-other").unwrap_or_default();
        let _ = field.set_attribute("data-other", &field.value());
        field.set_value(&other);
    }
}

/// Posts as the browser would, and reads the page that comes of it: why the server refused, if it did. The headers go along to that page.
async fn post(address: &str, fields: &FormData) -> Result<Option<String>, JsValue> {
    let request = RequestInit::new();
    request.set_method("POST");
    let headers = part_headers()?;
    request.set_headers(&headers);
    request.set_body(&UrlSearchParams::new_with_str_sequence_sequence(fields)?.into());
    let response: Response = window().fetch_with_str_and_init(address, &request).await?.dyn_into()?;
    let page = page_in(&response).await?;
    let location = window().location();
    if response.redirected()
        && !response.url().split('?').next().is_some_and(|page| page.ends_with(&location.pathname().unwrap_or_default()))
    {
        // To sign in, where the session has ended.
        location.set_href(&response.url())?;
        return Ok(None);
    }
    if response.ok() && !response.url().contains("__err=") {
        replace_changed(&page, &mut Seen::new())?;
        return Ok(None);
    }
    let why = page.query_selector("main [role=alert]:not(:empty)")?.ok_or(JsValue::NULL)?;
    Ok(Some(why.text_content().unwrap_or_default().trim().to_string()))
}

fn toast(text: &str) {
    let Some(toasts) = document().get_element_by_id("toasts") else { return };
    let Ok(toast) = document().create_element("p") else { return };
    toast.set_class_name("toast");
    toast.set_text_content(Some(text));
    let _ = toasts.append_child(&toast);
    set_timeout(move || toast.remove(), TOAST_FOR);
}
