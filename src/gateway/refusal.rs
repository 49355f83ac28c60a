//! What a supplier means by a failure: whether it may have worked on the call, what it says of the channel, and what the caller is told.

use crate::gateway::client::piece;
use crate::gateway::error::GatewayError;
use axum::http::Response;
use axum::http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use hyper::body::Incoming;
use serde_json::Value;
use std::time::Duration;

/// How long a supplier's words are waited for, and how many bytes of them are read.
const READ_FOR: Duration = Duration::from_secs(5);
const MOST_BYTES: usize = 64 << 10;
/// Of a message, and of a name in it, so many characters are passed on.
const LONGEST_MESSAGE: usize = 2_000;
const LONGEST_NAME: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It refuses us: our credential, our balance or our rate there. That says nothing of how it is, and another channel may work.
    RefusesUs,
    /// It works on nothing at the moment; another channel may.
    Overloaded,
    /// It refuses the request, as any other channel would.
    RefusesRequest,
    /// It failed, and may have worked on the call.
    Failed,
}

/// An answer that is a failure, read.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub meaning: Meaning,
    /// What the caller is told. The operator's secret and balance are the operator's business: of them nothing is passed on.
    pub error: GatewayError,
}

impl Refusal {
    pub async fn of(response: Response<Incoming>, model: &str) -> Refusal {
        let status = response.status().as_u16();
        let meaning = meaning_of(status, response.headers());
        let error = match status {
            400 | 413 | 415 | 422 => return of_request(status, &beginning_of(response.into_body()).await),
            404 => GatewayError::EndpointUnsupported { model: model.to_string(), instead: Vec::new() },
            408 | 504 => GatewayError::UpstreamTimeout,
            429 => {
                let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_string);
                GatewayError::UpstreamRateLimited { retry_after }
            }
            _ => GatewayError::UpstreamFailed { sent: meaning == Meaning::Failed },
        };
        Refusal { meaning, error }
    }

    /// Whether the request is refused because this field is not known there.
    pub fn refuses_field(&self, name: &str) -> bool {
        match &self.error {
            GatewayError::UpstreamRefused { status: 400, param: Some(param), code: Some(code), .. } => {
                param == name && code == "unsupported_parameter"
            }
            _ => false,
        }
    }
}

fn meaning_of(status: u16, headers: &HeaderMap) -> Meaning {
    match status {
        401 | 402 | 403 | 429 => Meaning::RefusesUs,
        503 if is_of_the_api(headers) => Meaning::Overloaded,
        // Anthropic's own.
        529 => Meaning::Overloaded,
        // 409: it was worked on by something else at the time, or for too long; 499: a proxy before it took us for gone.
        408 | 409 | 499 => Meaning::Failed,
        400..500 => Meaning::RefusesRequest,
        _ => Meaning::Failed,
    }
}

/// Whether the model's API itself says 503. A proxy before it says so too, when a call that it had handed on broke off.
fn is_of_the_api(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    headers.contains_key(RETRY_AFTER) || kind.trim_start().to_ascii_lowercase().starts_with("application/json")
}

/// A request that is refused with these words, which stand in the same place of both protocols' errors.
fn of_request(status: u16, body: &[u8]) -> Refusal {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = |name: &str, most: usize| body["error"][name].as_str().map(|text| text.chars().take(most).collect::<String>());
    let message = said("message", LONGEST_MESSAGE);
    // How Anthropic says 402.
    let balance = |message: &String| message.to_lowercase().contains("credit balance is too low");
    if body["error"]["type"] == "invalid_request_error" && message.as_ref().is_some_and(balance) {
        return Refusal { meaning: Meaning::RefusesUs, error: GatewayError::UpstreamFailed { sent: false } };
    }
    let (param, code) = (said("param", LONGEST_NAME), said("code", LONGEST_NAME));
    // Some say 401 and 402 so.
    if matches!(code.as_deref(), Some("invalid_api_key" | "insufficient_quota" | "billing_hard_limit_reached")) {
        return Refusal { meaning: Meaning::RefusesUs, error: GatewayError::UpstreamFailed { sent: false } };
    }
    Refusal { meaning: Meaning::RefusesRequest, error: GatewayError::UpstreamRefused { status, message, param, code } }
}

/// What has come of the body in time, and within bounds.
async fn beginning_of(mut body: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    let reading = async {
        while bytes.len() < MOST_BYTES
            && let Ok(Some(chunk)) = piece(&mut body).await
        {
            bytes.extend_from_slice(&chunk);
        }
    };
    let _ = tokio::time::timeout(READ_FOR, reading).await;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_status_tells_whether_it_was_worked_on() {
        let none = HeaderMap::new();
        for (status, meaning) in [
            (301, Meaning::Failed),
            (400, Meaning::RefusesRequest),
            (401, Meaning::RefusesUs),
            (402, Meaning::RefusesUs),
            (403, Meaning::RefusesUs),
            (404, Meaning::RefusesRequest),
            (405, Meaning::RefusesRequest),
            (408, Meaning::Failed),
            (409, Meaning::Failed),
            (418, Meaning::RefusesRequest),
            (422, Meaning::RefusesRequest),
            (499, Meaning::Failed),
            (429, Meaning::RefusesUs),
            (500, Meaning::Failed),
            (502, Meaning::Failed),
            (503, Meaning::Failed),
            (504, Meaning::Failed),
            (529, Meaning::Overloaded),
        ] {
            assert_eq!(meaning_of(status, &none), meaning, "{status}");
        }
        for (name, value, meaning) in [
            (CONTENT_TYPE, "application/json", Meaning::Overloaded),
            (CONTENT_TYPE, "Application/JSON; charset=utf-8", Meaning::Overloaded),
            (CONTENT_TYPE, "text/html", Meaning::Failed),
            (RETRY_AFTER, "30", Meaning::Overloaded),
        ] {
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            assert_eq!(meaning_of(503, &headers), meaning, "{value}");
        }
    }

    #[test]
    fn words_and_code_are_passed_on_as_they_stand_within_bounds() {
        let said = |json: &str| match of_request(400, json.as_bytes()) {
            Refusal { meaning: Meaning::RefusesRequest, error: GatewayError::UpstreamRefused { message, param, code, .. } } => {
                [message, param, code]
            }
            refusal => panic!("{refusal:?}"),
        };
        let some = |text: &str| Some(text.to_string());
        assert_eq!(
            said(r#"{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#),
            [some("too long"), some("messages"), some("context_length_exceeded")]
        );
        // What is no string is not known, and takes nothing else with it.
        assert_eq!(said(r#"{"error":{"message":"no","param":null,"code":400}}"#), [some("no"), None, None]);
        for body in ["", "[]", "{", "7", r#"{"error":"no"}"#, r#"{"error":[1]}"#, "<html>"] {
            assert_eq!(said(body), [None, None, None], "{body}");
        }
        let long = "é".repeat(3_000);
        let lengths = said(&format!(r#"{{"error":{{"message":"{long}","param":"{long}","code":"{long}"}}}}"#))
            .map(|text| text.map_or(0, |text| text.chars().count()));
        assert_eq!(lengths, [2_000, 200, 200]);
    }

    #[test]
    fn a_field_is_refused_by_code_and_param() {
        let refuses = |json: &str| of_request(400, json.as_bytes()).refuses_field("max_tokens");
        assert!(refuses(r#"{"error":{"message":"x","param":"max_tokens","code":"unsupported_parameter"}}"#));
        for json in [
            r#"{"error":{"message":"x","param":"max_tokens","code":"invalid_value"}}"#,
            r#"{"error":{"message":"x","param":"temperature","code":"unsupported_parameter"}}"#,
            r#"{"error":{"message":"max_tokens unsupported_parameter"}}"#,
        ] {
            assert!(!refuses(json), "{json}");
        }
        let unprocessable = of_request(422, br#"{"error":{"param":"max_tokens","code":"unsupported_parameter"}}"#);
        assert!(!unprocessable.refuses_field("max_tokens"));
    }

    #[test]
    fn an_empty_balance_at_the_supplier_is_not_the_callers_business() {
        let low =
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your Credit Balance is too low to access the API."}}"#;
        let refusal = of_request(400, low.as_bytes());
        assert_eq!((refusal.meaning, refusal.error.code()), (Meaning::RefusesUs, Some("upstream_unavailable")));
        assert!(!refusal.error.message().to_lowercase().contains("balance"));
        let other = r#"{"type":"error","error":{"type":"api_error","message":"Your credit balance is too low"}}"#;
        assert_eq!(of_request(400, other.as_bytes()).meaning, Meaning::RefusesRequest);
    }
}
