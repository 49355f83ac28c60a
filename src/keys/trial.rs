//! The call that the page of a key makes where the browser has no script to make it: over HTTP and with the secret, to our own `/v1`, which
//! decides about it as about any other. What came of it waits in the session for the page that shows it: sealed, since what people ask and
//! are told is not ours to read, and as a new secret is (`secret::handover`).

use crate::error::ConsoleError;
use crate::ids::{KeyId, RequestId};
use crate::keys::secret::KeySecret;
use crate::keys::types_try::{Answer, Tried};
use crate::seal::{Seal, SealError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use uuid::Uuid;

/// How long a page is waited for.
const PATIENCE: Duration = Duration::from_secs(120);
/// The form was sent twice, and its first call still runs: how often to look whether it has ended.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Bytes of an answer that a page shows; the rest of a longer one is cut.
const MOST_SHOWN: usize = 64 << 10;

/// Under which name the session keeps what came of it.
pub const FLASH: &str = "tried_key";

/// A call to make.
pub struct Trial<'a> {
    /// Where this server listens.
    pub server: SocketAddr,
    pub secret: &'a KeySecret,
    /// Whoever asks. A key may be for some networks only: without this, all of them would call from here.
    pub caller: Option<IpAddr>,
    pub form_key: Uuid,
    pub model_id: &'a str,
    pub prompt: &'a str,
}

impl Trial<'_> {
    /// Makes the call; its id, where there was time for one, and what came of it.
    pub async fn call(&self) -> Result<(Option<RequestId>, Answer), ConsoleError> {
        let failed = |error: reqwest::Error| {
            tracing::error!(%error, "a trial did not reach our own /v1");
            ConsoleError::Unreachable
        };
        let request = self.request().map_err(failed)?;
        match tokio::time::timeout(PATIENCE, answer_to(request)).await {
            Ok(answer) => answer.map_err(failed),
            Err(_) => Ok((None, Answer::TooSlow)),
        }
    }

    fn request(&self) -> reqwest::Result<RequestBuilder> {
        let body = json!({"model": self.model_id, "messages": [{"role": "user", "content": self.prompt}]});
        let client = reqwest::Client::builder().no_proxy().build()?;
        let mut request = client
            .post(format!("http://{}/v1/chat/completions", self.server))
            .bearer_auth(self.secret.expose())
            .header("idempotency-key", self.form_key.to_string())
            .json(&body);
        // Believed where we are told to trust whoever calls from this machine; elsewhere the call comes from this machine.
        if let Some(caller) = self.caller {
            request = request.header("x-forwarded-for", caller.to_string());
        }
        Ok(request)
    }
}

async fn answer_to(request: RequestBuilder) -> reqwest::Result<(Option<RequestId>, Answer)> {
    loop {
        let Some(again) = request.try_clone() else { return Ok((None, Answer::TooSlow)) };
        let response = again.send().await?;
        let (status, id) = (response.status(), id_of(&response));
        let body: Value = response.json().await?;
        if status == StatusCode::CONFLICT && body.pointer("/error/code").is_some_and(|code| code == "idempotency_in_flight") {
            tokio::time::sleep(ASK_AGAIN).await;
            continue;
        }
        let text = |pointer| body.pointer(pointer).and_then(Value::as_str).map(str::to_string);
        let answer = if status.is_success() {
            Answer::Text(cut(text("/choices/0/message/content").unwrap_or_default()))
        } else {
            Answer::Refused { why: text("/error/message").unwrap_or_default(), code: text("/error/code") }
        };
        return Ok((id, answer));
    }
}

/// Of the call that was made, where this one only asked for its answer once more.
fn id_of(response: &Response) -> Option<RequestId> {
    let header = |name| response.headers().get(name)?.to_str().ok()?.parse().ok();
    header("x-toki-original-request-id").or_else(|| header("x-request-id"))
}

fn cut(mut text: String) -> String {
    if text.len() > MOST_SHOWN {
        text.truncate(text.floor_char_boundary(MOST_SHOWN));
        text.push('…');
    }
    text
}

/// What came of a trial, on its way to the page of its key.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    key_id: KeyId,
    sealed: String,
}

impl Kept {
    pub fn seal(hash_key: &[u8; 32], key_id: KeyId, tried: &Tried) -> Result<Kept, SealError> {
        let plain = serde_json::to_vec(tried).map_err(|_| SealError)?;
        Ok(Kept { key_id, sealed: STANDARD_NO_PAD.encode(sealer(hash_key).seal(key_id.0.as_bytes(), &plain)?) })
    }

    /// It, if it was with this key.
    pub fn open(&self, hash_key: &[u8; 32], key_id: KeyId) -> Option<Tried> {
        let sealed = (self.key_id == key_id).then(|| STANDARD_NO_PAD.decode(&self.sealed).ok()).flatten()?;
        serde_json::from_slice(&sealer(hash_key).open(key_id.0.as_bytes(), &sealed).ok()?).ok()
    }
}

fn sealer(hash_key: &[u8; 32]) -> Seal {
    Seal::derive(hash_key, b"toki tried key v1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_it_opens_for_its_key_only_and_shows_nothing_on_the_way() {
        let key_id = KeyId::generate();
        let tried = Tried { model_id: "alpha/one".into(), prompt: "a question".into(), answer: Answer::Text("an answer".into()) };
        let kept = Kept::seal(&[1; 32], key_id, &tried).expect("sealed");
        let stored = serde_json::to_string(&kept).expect("json");
        assert!(!stored.contains("question") && !stored.contains("answer"));
        let kept: Kept = serde_json::from_str(&stored).expect("json");
        assert_eq!(kept.open(&[1; 32], key_id), Some(tried));
        assert_eq!(kept.open(&[1; 32], KeyId::generate()), None);
        assert_eq!(kept.open(&[2; 32], key_id), None);
    }

    #[test]
    fn long_answers_are_cut_between_characters() {
        let long = cut("字".repeat(MOST_SHOWN));
        assert!(long.len() <= MOST_SHOWN + '…'.len_utf8() && long.ends_with("字…"));
        assert_eq!(cut("short".into()), "short");
    }
}
