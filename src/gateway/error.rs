//! Every failure a caller of `/v1` can meet: its status, type, code and sentence. `message` says them, `form` puts them on the wire.
//!
//! The table is asserted whole in the tests below; the rows are those of OpenAI's API reference where it has one.

mod exhausted;
mod form;
mod message;
mod refused;

pub use exhausted::{Budget, Exhausted};
pub use refused::{Refused, refused};

use crate::gateway::bodies::MOST_BODY_BYTES;
use crate::gateway::wire::depth::DEEPEST;
use crate::ids::RequestId;
use crate::wallet::ledger::{Limit, Limited, Rates, SentBefore, SwitchedOff};
use axum::http::StatusCode;
use chrono::DateTime;
use std::time::Duration;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayError {
    /// No, malformed or unknown key. Says nothing about which.
    InvalidKey,
    /// Told apart from an unknown key only after the secret matched.
    KeyDisabled,
    KeyExpired,
    AccountSuspended,
    ModelNotFound {
        model: String,
    },
    /// The supplier has no channel switched on.
    NoChannel {
        model: String,
    },
    /// The supplier does not serve this endpoint for this model; `instead` are those of the protocol that it does speak.
    EndpointUnsupported {
        model: String,
        instead: Vec<&'static str>,
    },
    Exhausted(Exhausted),
    /// The key may not be used from the caller's address.
    AddressRefused,
    RateLimited(Limited),
    /// Sent before under the same Idempotency-Key.
    SentBefore {
        original: RequestId,
        state: SentBefore,
    },
    InvalidJson,
    TooDeep {
        deepest: usize,
    },
    InvalidField {
        param: &'static str,
        message: String,
    },
    TooLarge {
        limit_bytes: usize,
    },
    /// By whoever serves us.
    Refused(Refused),
    /// The memory for bodies is used up.
    Crowded,
    NotFound {
        path: String,
    },
    MethodNotAllowed {
        method: String,
    },
    /// No finished call of the account's has this id.
    ReceiptNotFound {
        request_id: String,
    },
    /// Nothing was sent to any channel.
    UpstreamUnreachable,
    /// The supplier answered with a failure of its own. `sent`: it may have worked on the call.
    UpstreamFailed {
        sent: bool,
    },
    UpstreamTimeout,
    UpstreamRateLimited {
        retry_after: Option<String>,
    },
    /// The supplier refused the request as such; its words and its code, where it gave any.
    UpstreamRefused {
        status: u16,
        message: Option<String>,
        param: Option<String>,
        code: Option<String>,
    },
    /// The answer broke off, could not be read, or never came although the call was sent.
    UpstreamBroken,
    /// This replica goes down. `sent`: a supplier may have worked on the call.
    Leaving {
        sent: bool,
    },
    /// Fail closed: without the database there is no hold, and without a hold no call.
    Unavailable,
    Internal,
}

impl GatewayError {
    /// One of each kind, for the table below and the OpenAPI document.
    pub fn every() -> Vec<GatewayError> {
        let model = || "vendor/model".to_string();
        let limited = Limited { by: Limit::RequestsPerMinute, retry_after: Duration::from_millis(1_200), rates: Rates::default() };
        let sent_before = |state| GatewayError::SentBefore { original: RequestId(Uuid::nil()), state };
        let exhausted =
            |budget| GatewayError::Exhausted(Exhausted { budget, public_url: "https://toki.example".into(), rates: Rates::default() });
        let mut every = vec![
            GatewayError::InvalidKey,
            GatewayError::KeyDisabled,
            GatewayError::KeyExpired,
            GatewayError::AccountSuspended,
            GatewayError::ModelNotFound { model: model() },
            GatewayError::NoChannel { model: model() },
            GatewayError::EndpointUnsupported { model: model(), instead: vec!["messages"] },
            exhausted(Budget::Wallet),
            exhausted(Budget::Quota),
            exhausted(Budget::Period { ends_at: DateTime::UNIX_EPOCH }),
            exhausted(Budget::Member { ends_at: None }),
            exhausted(Budget::Member { ends_at: Some(DateTime::UNIX_EPOCH) }),
            exhausted(Budget::Output { affordable: 1_000, least: 1_025 }),
            GatewayError::AddressRefused,
            GatewayError::RateLimited(limited),
            sent_before(SentBefore::Mismatch),
            sent_before(SentBefore::Running),
            sent_before(SentBefore::Ended),
            GatewayError::InvalidJson,
            GatewayError::TooDeep { deepest: DEEPEST },
            GatewayError::InvalidField { param: "n", message: "'n' must be a positive whole number.".into() },
            GatewayError::TooLarge { limit_bytes: MOST_BODY_BYTES },
            GatewayError::Crowded,
            GatewayError::NotFound { path: "/v1/nothing".into() },
            GatewayError::MethodNotAllowed { method: "PUT".into() },
            GatewayError::ReceiptNotFound { request_id: "x".into() },
            GatewayError::UpstreamUnreachable,
            GatewayError::UpstreamFailed { sent: false },
            GatewayError::UpstreamFailed { sent: true },
            GatewayError::UpstreamTimeout,
            GatewayError::UpstreamRateLimited { retry_after: Some("7".into()) },
            GatewayError::UpstreamRefused { status: 422, message: None, param: Some("tools".into()), code: None },
            GatewayError::UpstreamBroken,
            GatewayError::Leaving { sent: false },
            GatewayError::Leaving { sent: true },
            GatewayError::Unavailable,
            GatewayError::Internal,
        ];
        every.extend(Refused::ALL.map(GatewayError::Refused));
        every
    }

    /// Of a look at the database that failed: logged here, told to nobody.
    pub fn of_database(error: &dyn std::error::Error) -> GatewayError {
        tracing::error!(%error, source = ?error.source(), "database failed");
        GatewayError::Unavailable
    }

    /// Why a running call was ended: what the next one would be told too.
    pub fn of_switched_off(off: SwitchedOff, model: &str) -> GatewayError {
        match off {
            SwitchedOff::KeyDeleted => GatewayError::InvalidKey,
            SwitchedOff::KeyDisabled => GatewayError::KeyDisabled,
            SwitchedOff::KeyExpired => GatewayError::KeyExpired,
            SwitchedOff::AccountSuspended => GatewayError::AccountSuspended,
            SwitchedOff::Supplier => GatewayError::NoChannel { model: model.to_string() },
        }
    }

    pub fn status(&self) -> StatusCode {
        match self {
            GatewayError::InvalidKey | GatewayError::KeyDisabled | GatewayError::KeyExpired => StatusCode::UNAUTHORIZED,
            GatewayError::AccountSuspended | GatewayError::AddressRefused => StatusCode::FORBIDDEN,
            GatewayError::ModelNotFound { .. }
            | GatewayError::NoChannel { .. }
            | GatewayError::EndpointUnsupported { .. }
            | GatewayError::ReceiptNotFound { .. }
            | GatewayError::NotFound { .. } => StatusCode::NOT_FOUND,
            GatewayError::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            GatewayError::Exhausted(_) | GatewayError::RateLimited(_) | GatewayError::UpstreamRateLimited { .. } => {
                StatusCode::TOO_MANY_REQUESTS
            }
            GatewayError::SentBefore { state: SentBefore::Mismatch, .. } => StatusCode::UNPROCESSABLE_ENTITY,
            GatewayError::SentBefore { .. } => StatusCode::CONFLICT,
            GatewayError::InvalidJson | GatewayError::TooDeep { .. } | GatewayError::InvalidField { .. } => StatusCode::BAD_REQUEST,
            GatewayError::Refused(why) => why.status(),
            GatewayError::UpstreamRefused { status, .. } => StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST),
            GatewayError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            GatewayError::UpstreamUnreachable | GatewayError::UpstreamFailed { .. } | GatewayError::UpstreamBroken => {
                StatusCode::BAD_GATEWAY
            }
            GatewayError::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
            GatewayError::Leaving { .. } | GatewayError::Unavailable | GatewayError::Crowded => StatusCode::SERVICE_UNAVAILABLE,
            GatewayError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub fn kind(&self) -> &'static str {
        match self {
            GatewayError::AccountSuspended | GatewayError::AddressRefused => "permission_error",
            GatewayError::Exhausted(_) => "insufficient_quota",
            GatewayError::RateLimited(_) | GatewayError::UpstreamRateLimited { .. } => "rate_limit_error",
            GatewayError::UpstreamUnreachable
            | GatewayError::UpstreamFailed { .. }
            | GatewayError::UpstreamTimeout
            | GatewayError::UpstreamBroken
            | GatewayError::Leaving { .. }
            | GatewayError::Unavailable
            | GatewayError::Crowded
            | GatewayError::Refused(Refused::Connections)
            | GatewayError::Internal => "server_error",
            _ => "invalid_request_error",
        }
    }

    pub fn code(&self) -> Option<&str> {
        match self {
            GatewayError::UpstreamRefused { code, .. } => code.as_deref(),
            error => error.own_code(),
        }
    }

    /// The code where it is one of ours, of which there are few; a supplier's own word is none.
    pub fn own_code(&self) -> Option<&'static str> {
        Some(match self {
            GatewayError::InvalidKey | GatewayError::KeyDisabled | GatewayError::KeyExpired => "invalid_api_key",
            GatewayError::AccountSuspended => "account_suspended",
            GatewayError::ModelNotFound { .. } | GatewayError::NoChannel { .. } => "model_not_found",
            GatewayError::EndpointUnsupported { .. } => "endpoint_not_supported",
            GatewayError::Exhausted(_) => "insufficient_quota",
            GatewayError::AddressRefused => "ip_not_allowed",
            GatewayError::RateLimited(_) => "rate_limit_exceeded",
            GatewayError::SentBefore { state, .. } => match state {
                SentBefore::Mismatch => "idempotency_mismatch",
                SentBefore::Running => "idempotency_in_flight",
                SentBefore::Answered | SentBefore::Ended => "idempotency_ended",
            },
            GatewayError::InvalidJson | GatewayError::TooDeep { .. } => "invalid_json",
            GatewayError::Refused(why) => why.code(),
            GatewayError::TooLarge { .. } => "request_too_large",
            GatewayError::ReceiptNotFound { .. } => "receipt_not_found",
            GatewayError::NotFound { .. } => "unknown_url",
            GatewayError::MethodNotAllowed { .. } => "method_not_allowed",
            GatewayError::UpstreamUnreachable | GatewayError::UpstreamFailed { .. } => "upstream_unavailable",
            GatewayError::UpstreamTimeout => "upstream_timeout",
            GatewayError::UpstreamRateLimited { .. } => "upstream_rate_limited",
            GatewayError::UpstreamBroken => "upstream_error",
            GatewayError::Leaving { .. } | GatewayError::Unavailable | GatewayError::Crowded => "service_unavailable",
            GatewayError::Internal => "internal_error",
            GatewayError::UpstreamRefused { .. } | GatewayError::InvalidField { .. } => return None,
        })
    }

    fn param(&self) -> Option<&str> {
        match self {
            GatewayError::ModelNotFound { .. } | GatewayError::NoChannel { .. } | GatewayError::EndpointUnsupported { .. } => Some("model"),
            GatewayError::InvalidField { param, .. } => Some(param),
            GatewayError::UpstreamRefused { param, .. } => param.as_deref(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_its_row() {
        let rows: Vec<String> = GatewayError::every()
            .iter()
            .map(|error| {
                let headers = error.extra_headers();
                let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or("?"))).collect();
                let (param, code) = (error.param().unwrap_or("null"), error.code().unwrap_or("null"));
                let anthropic = error.anthropic(RequestId::generate())["error"]["type"].clone();
                let row = format!("{} {} {param} {code} {anthropic} {}", error.status().as_u16(), error.kind(), headers.join(", "));
                row.trim_end().to_string()
            })
            .collect();
        insta::assert_snapshot!(rows.join("\n"), @r#"
        401 invalid_request_error null invalid_api_key "authentication_error" www-authenticate: Bearer
        401 invalid_request_error null invalid_api_key "authentication_error" www-authenticate: Bearer
        401 invalid_request_error null invalid_api_key "authentication_error" www-authenticate: Bearer
        403 permission_error null account_suspended "permission_error"
        404 invalid_request_error model model_not_found "not_found_error"
        404 invalid_request_error model model_not_found "not_found_error"
        404 invalid_request_error model endpoint_not_supported "not_found_error"
        429 insufficient_quota null insufficient_quota "rate_limit_error" x-should-retry: false
        429 insufficient_quota null insufficient_quota "rate_limit_error" x-should-retry: false
        429 insufficient_quota null insufficient_quota "rate_limit_error" x-should-retry: false
        429 insufficient_quota null insufficient_quota "rate_limit_error" x-should-retry: false
        429 insufficient_quota null insufficient_quota "rate_limit_error" x-should-retry: false
        429 insufficient_quota null insufficient_quota "rate_limit_error" x-should-retry: false
        403 permission_error null ip_not_allowed "permission_error"
        429 rate_limit_error null rate_limit_exceeded "rate_limit_error" retry-after: 2, retry-after-ms: 1200
        422 invalid_request_error null idempotency_mismatch "invalid_request_error" x-should-retry: false
        409 invalid_request_error null idempotency_in_flight "invalid_request_error" retry-after: 1
        409 invalid_request_error null idempotency_ended "invalid_request_error" x-should-retry: false
        400 invalid_request_error null invalid_json "invalid_request_error"
        400 invalid_request_error null invalid_json "invalid_request_error"
        400 invalid_request_error n null "invalid_request_error"
        413 invalid_request_error null request_too_large "request_too_large"
        503 server_error null service_unavailable "api_error" retry-after: 1
        404 invalid_request_error null unknown_url "not_found_error"
        405 invalid_request_error null method_not_allowed "invalid_request_error"
        404 invalid_request_error null receipt_not_found "not_found_error"
        502 server_error null upstream_unavailable "api_error"
        502 server_error null upstream_unavailable "api_error"
        502 server_error null upstream_unavailable "api_error" x-should-retry: false
        504 server_error null upstream_timeout "timeout_error" x-should-retry: false
        429 rate_limit_error null upstream_rate_limited "rate_limit_error" retry-after: 7
        422 invalid_request_error tools null "invalid_request_error"
        502 server_error null upstream_error "api_error" x-should-retry: false
        503 server_error null service_unavailable "api_error" retry-after: 1
        503 server_error null service_unavailable "api_error" x-should-retry: false
        503 server_error null service_unavailable "api_error" retry-after: 1
        500 server_error null internal_error "api_error" x-should-retry: false
        400 invalid_request_error null malformed_request "invalid_request_error"
        408 invalid_request_error null request_timeout "invalid_request_error"
        408 invalid_request_error null request_timeout "invalid_request_error"
        414 invalid_request_error null url_too_long "invalid_request_error"
        415 invalid_request_error null unsupported_encoding "invalid_request_error"
        431 invalid_request_error null headers_too_large "invalid_request_error"
        503 server_error null service_unavailable "api_error" retry-after: 1
        "#);
    }
}
