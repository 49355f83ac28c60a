//! A visit whose every page is kept, and the secrets that it comes across: so that a test can look where each of them turns up.

use crate::support::browser::{Browser, Page, PageLog};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::BTreeSet;
use std::sync::PoisonError;

/// What nobody may read but where it belongs.
struct Secret {
    name: &'static str,
    text: String,
    /// How many pages had been seen when it was noted: one of them may have shown it, and none after.
    pages: usize,
}

pub struct Visit {
    pub browser: Browser,
    base: String,
    pages: PageLog,
    secrets: Vec<Secret>,
}

impl Visit {
    pub fn to(base: &str) -> Visit {
        let pages = PageLog::default();
        Visit { browser: Browser::logged(base, pages.clone()), base: base.to_string(), pages, secrets: Vec::new() }
    }

    /// Another one, of somebody else or elsewhere, whose pages are kept too.
    pub fn another_browser(&self) -> Browser {
        Browser::logged(&self.base, self.pages.clone())
    }

    pub async fn see(&self, path: &str) -> Page {
        self.browser.get(path).await
    }

    /// Posts a form, and goes where that leads.
    pub async fn send(&self, action: &str, from: &str, fields: &[(&str, &str)]) -> Page {
        send(&self.browser, action, from, fields).await
    }

    /// Notes a secret, once the page that shows it was seen.
    pub fn remember(&mut self, name: &'static str, secret: impl Into<String>) {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.secrets.push(Secret { name, text: secret.into(), pages });
    }

    /// One in groups of four, and as it is without dashes.
    pub fn remember_code(&mut self, names: [&'static str; 2], code: &str) {
        self.remember(names[0], code);
        self.remember(names[1], code.replace('-', ""));
    }

    /// The cookie's value: whoever has it is signed in.
    pub fn remember_session(&mut self, cookie: &str) {
        self.remember("session", cookie.split_once('=').map_or("", |(_, id)| id));
    }

    /// The secret that was noted under this name.
    pub fn secret(&self, name: &str) -> String {
        self.secrets.iter().find(|secret| secret.name == name).expect("noted").text.clone()
    }

    /// Where each secret stands, in whatever spelling: on which kinds of pages that were seen until it was noted, or afterwards, and in
    /// which of these places, named and as text.
    pub fn found(&self, places: &[(String, String)]) -> BTreeSet<String> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = BTreeSet::new();
        for Secret { name, text: secret, pages: until } in &self.secrets {
            assert!(secret.len() >= 12, "{name} is recognised");
            let spellings = spellings(secret);
            let stands_in = |text: &str| spellings.iter().any(|spelling| text.contains(spelling.as_str()));
            for (n, (path, html)) in pages.iter().enumerate() {
                if stands_in(html) {
                    let when = if n < *until { "" } else { ", afterwards" };
                    found.insert(format!("{name}: page {}{when}", kind_of(path)));
                }
            }
            for (place, text) in places {
                if stands_in(text) {
                    found.insert(format!("{name}: {place}"));
                }
            }
        }
        found
    }
}

/// Posts a form, and goes where that leads, as long as that is a page of ours.
pub async fn send(browser: &Browser, action: &str, from: &str, fields: &[(&str, &str)]) -> Page {
    let answer = browser.post(action, from, fields).await;
    let next = browser.path_of(&answer).split('#').next().unwrap_or_default().to_string();
    if next.is_empty() || next.starts_with("http") { answer } else { browser.get(&next).await }
}

/// How a secret may be written: as it is, in hexadecimal as Postgres shows bytes, in base64, in an address.
fn spellings(secret: &str) -> [String; 5] {
    let hex = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let encoded = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    [secret.into(), hex, STANDARD_NO_PAD.encode(secret), URL_SAFE_NO_PAD.encode(secret), encoded]
}

/// `/keys/0192…?x=y` is `/keys/{id}`.
fn kind_of(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    if path.starts_with("/keys/") { "/keys/{id}".into() } else { path.into() }
}
