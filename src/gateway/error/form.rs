//! What a failure looks like on the wire: OpenAI's `{"error":{message,type,param,code}}`, or Anthropic's
//! `{"type":"error","error":{type,message},"request_id"}`, and the headers that go with it.

use super::{GatewayError, Refused};
use crate::ids::RequestId;
use crate::suppliers::store::Protocol;
use crate::wallet::ledger::{Rates, SentBefore};
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::time::Duration;

impl GatewayError {
    /// The failure in OpenAI's form.
    pub fn openai(&self) -> serde_json::Value {
        json!({"error": {"message": self.message(), "type": self.kind(), "param": self.param(), "code": self.code()}})
    }

    /// The failure in Anthropic's form, whose types go with the status.
    pub fn anthropic(&self, request_id: RequestId) -> serde_json::Value {
        let kind = match self.status().as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            504 => "timeout_error",
            400..500 => "invalid_request_error",
            _ => "api_error",
        };
        json!({"type": "error", "error": {"type": kind, "message": self.message()}, "request_id": request_id})
    }

    /// The answer to a caller who speaks this protocol.
    pub fn response(&self, protocol: Protocol, request_id: RequestId) -> Response {
        let body = match protocol {
            Protocol::Openai => self.openai(),
            Protocol::Anthropic => self.anthropic(request_id),
        };
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().extend(self.extra_headers());
        let rates = match self {
            GatewayError::RateLimited(limited) => limited.rates,
            GatewayError::Exhausted(exhausted) => exhausted.rates,
            _ => Rates::default(),
        };
        response.extensions_mut().insert(rates);
        response
    }

    pub fn extra_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let no_retry = || vec![(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"))];
        match self {
            GatewayError::InvalidKey | GatewayError::KeyDisabled | GatewayError::KeyExpired => {
                vec![(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))]
            }
            // Trying again would not help, or the supplier may have spent Tokens on this already; of what went wrong with us nobody knows.
            GatewayError::Exhausted(_)
            | GatewayError::UpstreamTimeout
            | GatewayError::UpstreamBroken
            | GatewayError::UpstreamFailed { sent: true }
            | GatewayError::Leaving { sent: true }
            | GatewayError::Internal
            | GatewayError::SentBefore { state: SentBefore::Mismatch | SentBefore::Answered | SentBefore::Ended, .. } => no_retry(),
            GatewayError::RateLimited(limited) => retry_after(limited.retry_after),
            GatewayError::UpstreamRateLimited { retry_after: Some(after) } => {
                HeaderValue::from_str(after).map(|after| vec![(header::RETRY_AFTER, after)]).unwrap_or_default()
            }
            GatewayError::Leaving { sent: false }
            | GatewayError::Unavailable
            | GatewayError::Crowded
            | GatewayError::Refused(Refused::Connections)
            | GatewayError::SentBefore { state: SentBefore::Running, .. } => {
                vec![(header::RETRY_AFTER, HeaderValue::from_static("1"))]
            }
            _ => Vec::new(),
        }
    }
}

/// In whole seconds as RFC 9110 has it, and in milliseconds as OpenAI's clients read it first.
fn retry_after(wait: Duration) -> Vec<(HeaderName, HeaderValue)> {
    let wait_ms = wait.as_millis() as u64;
    vec![
        (header::RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1_000))),
        (HeaderName::from_static("retry-after-ms"), HeaderValue::from(wait_ms)),
    ]
}

/// What it looks like depends on whom it goes to: `handler::finish` sees to it.
impl IntoResponse for GatewayError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
