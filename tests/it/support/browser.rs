//! A signed-in browser without JavaScript: it follows no script, keeps its session, posts forms from the page it is on.

use crate::support::app::TestApp;
use reqwest::header;
use std::collections::HashMap;
use toki::accounts::session_store::PgSessionStore;
use toki::accounts::store::NewAccount;
use tower_sessions::SessionStore;
use tower_sessions::cookie::time::{Duration, OffsetDateTime};
use tower_sessions::session::{Id, Record};

pub struct Browser {
    base: String,
    cookie: String,
}

/// What a browser got, before it follows a redirect.
pub struct Page {
    pub status: u16,
    pub location: String,
    pub html: String,
}

impl TestApp {
    /// The browser of this user, signed in by a session of its own.
    pub async fn browser(&self, account: &NewAccount) -> Browser {
        let data = HashMap::from([("user_id".to_string(), serde_json::json!(account.user_id))]);
        let mut record = Record { id: Id::default(), data, expiry_date: OffsetDateTime::now_utc() + Duration::hours(1) };
        PgSessionStore::new(self.state.db.clone()).create(&mut record).await.expect("a session");
        Browser { base: self.url(""), cookie: format!("toki={}", record.id) }
    }
}

impl Browser {
    /// Somebody who is not signed in.
    pub fn visitor(app: &TestApp) -> Browser {
        Browser { base: app.url(""), cookie: String::new() }
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        client
            .request(method, format!("{}{path}", self.base))
            .header(header::ACCEPT, "text/html,application/xhtml+xml")
            .header(header::COOKIE, &self.cookie)
            .header("sec-fetch-site", "same-origin")
    }

    pub async fn get(&self, path: &str) -> Page {
        page(self.request(reqwest::Method::GET, path)).await
    }

    /// Posts a form of the page `on`.
    pub async fn post(&self, on: &str, action: &str, fields: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self
            .request(reqwest::Method::POST, action)
            .header(header::REFERER, format!("{}{on}", self.base))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        page(request).await
    }

    /// Where a redirect leads, as a path of ours. (Leptos leaves a bare `?` on the page a form goes back to.)
    pub fn path_of<'a>(&self, page: &'a Page) -> &'a str {
        page.location.strip_prefix(&self.base).unwrap_or(&page.location).trim_end_matches('?')
    }
}

async fn page(request: reqwest::RequestBuilder) -> Page {
    let response = request.send().await.expect("an answer");
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default().to_string();
    Page { status: response.status().as_u16(), location, html: response.text().await.expect("a body") }
}

impl Page {
    /// The text of the page without its tags and scripts.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut rest = self.html.as_str();
        while let Some((before, tag)) = rest.split_once('<') {
            text.push_str(before);
            rest = if tag.starts_with("script") { tag.split_once("</script>").map_or("", |(_, rest)| rest) } else { after_tag(tag) };
        }
        text.push_str(rest);
        text
    }

    /// The value of the first hidden field of this name.
    pub fn hidden(&self, name: &str) -> String {
        let tag = self.html.split('<').find(|tag| tag.starts_with("input") && tag.contains(&format!("name=\"{name}\""))).expect(name);
        let value = tag.split("value=\"").nth(1).expect("a value");
        value.split('"').next().unwrap_or_default().to_string()
    }
}

fn after_tag(tag: &str) -> &str {
    tag.split_once('>').map_or("", |(_, rest)| rest)
}
