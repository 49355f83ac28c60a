//! Makes the call of the form that it stands in, as any client would: with the secret that was pasted, to `/v1`, and shows the answer as it
//! comes. The secret goes nowhere else. What the call was charged is the server's to show: the page's address names the call, and the page
//! is read anew.

use crate::islands::dom::{first, on};
use crate::islands::live::{Seen, refresh};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::{JsCast, JsValue};
use leptos::web_sys::js_sys::{JSON, Reflect, Uint8Array};
use leptos::web_sys::{
    AbortController, Element, FormData, Headers, HtmlButtonElement, HtmlElement, HtmlFormElement, HtmlInputElement,
    ReadableStreamDefaultReader, RequestInit, Response, TextDecodeOptions, TextDecoder,
};
use std::cell::RefCell;
use std::rc::Rc;

#[island]
pub fn TrialIsland() -> impl IntoView {
    Effect::new(move |_| {
        if let Some(trial) = document().get_element_by_id("try").and_then(|section| Trial::of(&section)) {
            Rc::new(trial).listen();
        }
    });
}

struct Trial {
    form: HtmlFormElement,
    send: HtmlButtonElement,
    stop: HtmlButtonElement,
    refusal: Element,
    answer: Element,
    /// What there is of it: where there is none while it is waited for, the style sheet shows a skeleton.
    text: Element,
    running: RefCell<Option<AbortController>>,
}

impl Trial {
    fn of(section: &Element) -> Option<Trial> {
        // Where there is a script, there is a choice.
        first::<HtmlElement>(section, "[data-try=stream]")?.set_hidden(false);
        first::<HtmlInputElement>(section, "[name=stream]")?.set_disabled(false);
        Some(Trial {
            form: first(section, "form")?,
            send: first(section, "[type=submit]")?,
            stop: first(section, "[data-try=stop]")?,
            refusal: first(section, "[data-try=refusal]")?,
            answer: first(section, "[data-try=answer]")?,
            text: first(section, "[data-try=text]")?,
            running: RefCell::default(),
        })
    }

    fn listen(self: Rc<Self>) {
        let trial = self.clone();
        on(&self.form, "submit", move |event| {
            event.prevent_default();
            if trial.running.borrow().is_none() {
                spawn_local(trial.clone().run());
            }
        });
        let trial = self.clone();
        on(&self.stop, "click", move |_| {
            if let Some(call) = trial.running.borrow().as_ref() {
                call.abort();
            }
        });
    }

    async fn run(self: Rc<Self>) {
        let Ok(call) = AbortController::new() else { return };
        self.running.replace(Some(call.clone()));
        self.show_running(true);
        self.refusal.set_text_content(None);
        self.text.set_text_content(None);
        let ended = self.call(&call).await;
        if ended.is_err() && !call.signal().aborted() {
            self.refusal.set_text_content(self.form.get_attribute("data-unreachable").as_deref());
        }
        self.running.replace(None);
        self.show_running(false);
    }

    fn show_running(&self, running: bool) {
        self.send.set_disabled(running);
        self.stop.set_hidden(!running);
        // What comes piece by piece is read out once it is whole.
        let _ = self.answer.set_attribute("aria-busy", if running { "true" } else { "false" });
    }

    async fn call(&self, call: &AbortController) -> Result<(), JsValue> {
        let response = self.request(call).await?;
        let read = self.read(&response).await;
        if let Some(request_id) = response.headers().get("x-request-id")? {
            show_receipt(&request_id).await?;
        }
        read
    }

    async fn request(&self, call: &AbortController) -> Result<Response, JsValue> {
        let fields = FormData::new_with_form(&self.form)?;
        let field = |name| fields.get(name).as_string().unwrap_or_default();
        let quoted = |text: String| JSON::stringify(&text.into()).map(String::from);
        let (model, prompt, stream) = (quoted(field("model"))?, quoted(field("prompt"))?, fields.has("stream"));
        let body = format!(r#"{{"model":{model},"messages":[{{"role":"user","content":{prompt}}}],"stream":{stream}}}"#);
        let headers = Headers::new()?;
        headers.set("authorization", &format!("Bearer {}", field("secret").trim()))?;
        headers.set("content-type", "application/json")?;
        let request = RequestInit::new();
        request.set_method("POST");
        request.set_headers(&headers);
        request.set_body(&body.into());
        request.set_signal(Some(&call.signal()));
        window().fetch_with_str_and_init("/v1/chat/completions", &request).await?.dyn_into()
    }

    async fn read(&self, response: &Response) -> Result<(), JsValue> {
        let streams = response.headers().get("content-type")?.is_some_and(|kind| kind.starts_with("text/event-stream"));
        match response.body() {
            Some(body) if streams => self.read_events(body.get_reader().dyn_into()?).await,
            _ => {
                let text = String::from(response.text()?.await?.unchecked_into::<leptos::web_sys::js_sys::JsString>());
                // What a proxy says in our place is no JSON, or none that gives a reason: then nobody reached us.
                JSON::parse(&text)?;
                self.show(&text);
                let silent = self.refusal.text_content().unwrap_or_default().is_empty();
                if !response.ok() && silent { Err(JsValue::NULL) } else { Ok(()) }
            }
        }
    }

    async fn read_events(&self, reader: ReadableStreamDefaultReader) -> Result<(), JsValue> {
        let (decoder, more) = (TextDecoder::new()?, TextDecodeOptions::new());
        more.set_stream(true);
        let mut text = String::new();
        loop {
            let piece: JsValue = reader.read().await?;
            if Reflect::get(&piece, &"done".into())?.is_truthy() {
                return Ok(());
            }
            let bytes: Uint8Array = Reflect::get(&piece, &"value".into())?.dyn_into()?;
            text.push_str(&decoder.decode_with_js_u8_array_and_options(&bytes, &more)?);
            while let Some((line, rest)) = text.split_once('\n') {
                if let Some(data) = line.strip_prefix("data:") {
                    self.show(data);
                }
                text = rest.to_string();
            }
        }
    }

    /// Shows what an answer, or an event of it, has to say. What is no JSON is the mark of its end.
    fn show(&self, json: &str) {
        let Ok(json) = JSON::parse(json) else { return };
        if let Some(why) = text_at(&json, &["error", "message"]) {
            let _ = self.refuse(&why);
            if let Some(code) = text_at(&json, &["error", "code"]) {
                let _ = self.lead_to_docs(&code);
            }
        }
        let text = ["delta", "message"].iter().find_map(|part| text_at(&json, &["choices", "0", part, "content"]));
        if let Some(text) = text {
            let _ = self.text.append_with_str_1(&text);
        }
    }

    /// In the words of `/v1`, which are English in whatever language the page is.
    fn refuse(&self, why: &str) -> Result<(), JsValue> {
        let words = document().create_element("span")?;
        words.set_attribute("lang", "en")?;
        words.set_text_content(Some(why));
        self.refusal.replace_children_with_node_1(&words);
        Ok(())
    }

    /// Ends the refusal with its code, which leads to what the docs say of it, as where the server writes one (`usage::calls::ErrorCode`).
    fn lead_to_docs(&self, code: &str) -> Result<(), JsValue> {
        let link = document().create_element("a")?;
        link.set_class_name("mono");
        link.set_attribute("href", &format!("/docs/errors#{code}"))?;
        link.set_text_content(Some(code));
        self.refusal.append_with_str_1(" ")?;
        self.refusal.append_with_node_1(&link)
    }
}

fn text_at(json: &JsValue, path: &[&str]) -> Option<String> {
    path.iter().try_fold(json.clone(), |json, name| Reflect::get(&json, &(*name).into()).ok())?.as_string()
}

async fn show_receipt(request_id: &str) -> Result<(), JsValue> {
    let address = format!("{}?call={request_id}", window().location().pathname()?);
    window().history()?.replace_state_with_url(&JsValue::NULL, "", Some(&address))?;
    refresh(&mut Seen::new()).await
}
