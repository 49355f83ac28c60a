//! `Idempotency-Key`: a call that is sent twice reaches its supplier once. What tells the second from a new one is decided with the
//! hold, in the database; here is what the header says, and what becomes of the first call's answer.

use crate::gateway::Gateway;
use crate::gateway::admission::SILENT;
use crate::gateway::error::GatewayError;
use crate::ids::RequestId;
use crate::wallet::ledger::{self, Idempotency, SentBefore};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub const LONGEST_KEY: usize = 255;
/// Longer answers are not kept; whoever asks for one again is told so.
const MOST_KEPT_BYTES: usize = 1 << 20;
/// Nor are more of one key's: a program that sends a key with each call must not fill the disk in a day.
const MOST_OF_KEY: i64 = 64 << 20;

/// What the caller said; none without the header. The same bytes to the same endpoint are the same call.
pub fn idempotency(headers: &HeaderMap, endpoint: &str, body: &[u8]) -> Result<Option<Idempotency>, GatewayError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let plain = !value.is_empty() && value.len() <= LONGEST_KEY && value.as_bytes().iter().all(u8::is_ascii_graphic);
    if !plain || values.next().is_some() {
        let message = format!("An Idempotency-Key is sent once, and has 1 to {LONGEST_KEY} visible ASCII characters.");
        return Err(GatewayError::InvalidField { param: "Idempotency-Key", message });
    }
    let fingerprint = Sha256::new().chain_update(endpoint).chain_update([0]).chain_update(body).finalize();
    Ok(Some(Idempotency { key_hash: Sha256::digest(value).into(), fingerprint: fingerprint.into() }))
}

/// The answer that the first call had.
pub async fn replay(gateway: &Gateway, original: RequestId) -> Result<Response, GatewayError> {
    let kept = gateway.db.ask(SILENT, async |db| ledger::kept_answer(db, original).await).await;
    let answer = kept.map_err(|error| GatewayError::of_database(&error))?;
    let answer = answer.and_then(|sealed| {
        gateway.answers.open(original.0.as_bytes(), &sealed).map_err(|error| {
            tracing::error!(request_id = %original, %error, "an answer that was kept cannot be given");
            SentBefore::Ended
        })
    });
    let answer = answer.map_err(|state| GatewayError::SentBefore { original, state })?;
    let mut response = Response::new(Body::from(answer));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
    if let Ok(id) = HeaderValue::from_str(&original.to_string()) {
        headers.insert(HeaderName::from_static("x-toki-original-request-id"), id);
    }
    Ok(response)
}

/// What is to be remembered of a call that was sent under an Idempotency-Key. Its settlement and its caller wait for that no longer than
/// an answer waits for its settlement: a call of which nothing could be remembered is not sent again, only not answered again.
pub struct Memory {
    gateway: Arc<Gateway>,
    request_id: RequestId,
}

impl Memory {
    pub fn new(gateway: Arc<Gateway>, request_id: RequestId) -> Memory {
        Memory { gateway, request_id }
    }

    /// The whole answer, for whoever asks again once the call is settled.
    pub async fn keep(self, answer: &Bytes) {
        if answer.len() > MOST_KEPT_BYTES {
            return;
        }
        let Ok(sealed) = self.gateway.answers.seal(self.request_id.0.as_bytes(), answer) else { return };
        let kept = self.gateway.db.ask(self.wait(), async |db| ledger::keep_answer(db, self.request_id, &sealed, MOST_OF_KEY).await).await;
        match kept {
            Ok(true) => {}
            Ok(false) => tracing::debug!(request_id = %self.request_id, "an answer is not kept: its key has as many as may be"),
            Err(error) => tracing::error!(request_id = %self.request_id, %error, "an answer could not be kept"),
        }
    }

    /// Nothing of the call was worked on, so it may be sent again.
    pub async fn forget(self) {
        let forgotten = self.gateway.db.ask(self.wait(), async |db| ledger::forget_idempotent_call(db, self.request_id).await).await;
        if let Err(error) = forgotten {
            tracing::error!(request_id = %self.request_id, %error, "a failed call could not be forgotten");
        }
    }

    fn wait(&self) -> Duration {
        self.gateway.settlements.wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str], endpoint: &str, body: &[u8]) -> Result<Option<Idempotency>, GatewayError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        idempotency(&headers, endpoint, body)
    }

    #[test]
    fn the_same_bytes_to_the_same_endpoint_are_the_same_call() {
        let first = of(&["a"], "chat/completions", b"{}").expect("fine").expect("there");
        assert_eq!(of(&["a"], "chat/completions", b"{}"), Ok(Some(first)));
        assert_eq!(of(&[], "chat/completions", b"{}"), Ok(None));
        for (value, endpoint, body) in [("b", "chat/completions", "{}"), ("a", "completions", "{}"), ("a", "chat/completions", "{ }")] {
            assert_ne!(of(&[value], endpoint, body.as_bytes()), Ok(Some(first)), "{value} {endpoint} {body}");
        }
    }

    #[test]
    fn a_key_is_short_and_visible_and_stands_once() {
        assert!(of(&[&"k".repeat(255)], "chat/completions", b"").is_ok());
        for values in [vec![""], vec!["a b"], vec!["é"], vec!["a", "a"], vec![&*"k".repeat(256)]] {
            assert!(matches!(of(&values, "chat/completions", b""), Err(GatewayError::InvalidField { .. })), "{values:?}");
        }
    }
}
