//! A caller of `/v1`, and what it got.

use crate::support::app::TestApp;
use futures::StreamExt;
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// Makes requests, each on a connection of its own. One client for all: to make one reads the machine's certificates, 20 ms of processor.
pub fn http() -> &'static reqwest::Client {
    static CLIENT: LazyLock<reqwest::Client> =
        LazyLock::new(|| reqwest::Client::builder().pool_max_idle_per_host(0).redirect(Policy::none()).build().expect("a client"));
    &CLIENT
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn error(&self, field: &str) -> String {
        self.json()["error"][field].as_str().unwrap_or("null").to_string()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

/// A chat request with one user message.
pub fn chat(model: &str, content: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": content}]})
}

impl TestApp {
    pub async fn post(&self, path: &str, secret: &str, body: &Value) -> Answer {
        self.post_text(path, Some(secret), body.to_string()).await
    }

    pub async fn post_text(&self, path: &str, secret: Option<&str>, body: String) -> Answer {
        let mut request = http().post(self.url(path)).header("content-type", "application/json").body(body);
        if let Some(secret) = secret {
            request = request.bearer_auth(secret);
        }
        // Anthropic's clients always say it.
        if path == "/v1/messages" {
            request = request.header("anthropic-version", "2023-06-01");
        }
        answer(request).await
    }

    pub async fn chat(&self, secret: &str, body: &Value) -> Answer {
        self.post("/v1/chat/completions", secret, body).await
    }

    pub async fn get(&self, path: &str, secret: &str) -> Answer {
        answer(http().get(self.url(path)).bearer_auth(secret)).await
    }

    /// Starts a stream and gives it back with its first bytes read.
    pub async fn begin_stream(
        &self,
        secret: &str,
        body: &Value,
    ) -> (String, impl StreamExt<Item = reqwest::Result<bytes::Bytes>> + Unpin + use<>) {
        self.begin("/v1/chat/completions", secret, body, "").await
    }

    /// The same at any path, read until this has come.
    pub async fn begin(
        &self,
        path: &str,
        secret: &str,
        body: &Value,
        until: &str,
    ) -> (String, impl StreamExt<Item = reqwest::Result<bytes::Bytes>> + Unpin + use<>) {
        let response = http().post(self.url(path)).bearer_auth(secret).json(body).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        let mut stream = Box::pin(response.bytes_stream());
        let mut text = String::new();
        while text.is_empty() || !text.contains(until) {
            let chunk = stream.next().await.expect("a chunk").expect("readable");
            text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
        (text, stream)
    }

    pub async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let request = http().post(self.url(path)).json(body);
        answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.expect("a whole body") }
}
