//! Every failure a caller of `/v1` can meet: its status, type, code and sentence. `form` puts them on the wire.
//!
//! The table is asserted whole in the tests below; the rows are those of OpenAI's API reference where it has one.

mod form;
mod refused;

pub use refused::{Refused, refused, refused_body};

use crate::gateway::bodies::MOST_BODY_BYTES;
use crate::gateway::wire::depth::DEEPEST;
use crate::ids::RequestId;
use crate::wallet::ledger::{Limit, Limited, Rates, SentBefore, SwitchedOff};
use axum::http::StatusCode;
use chrono::{DateTime, SecondsFormat, Utc};
use std::time::Duration;
use uuid::Uuid;

/// Where a refusal for lack of Tokens sends people.
const BUY_PATH: &str = "/products";

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
    BalanceExhausted {
        public_url: String,
    },
    QuotaExhausted,
    /// The key's quota of the day, week or month, until the next begins.
    PeriodExhausted {
        ends_at: DateTime<Utc>,
    },
    /// The key may not be used from the caller's address.
    AddressRefused,
    RateLimited(Limited),
    /// Sent before under the same Idempotency-Key.
    SentBefore {
        original: RequestId,
        state: SentBefore,
    },
    InvalidJson,
    TooDeep,
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
    /// The supplier answered with a failure of its own.
    UpstreamFailed,
    UpstreamTimeout,
    UpstreamRateLimited {
        retry_after: Option<String>,
    },
    /// The supplier refused the request as such; its words, where it gave any.
    UpstreamRefused {
        status: u16,
        message: Option<String>,
        param: Option<String>,
    },
    /// The answer broke off after its first byte.
    UpstreamBroken,
    /// This replica goes down.
    Leaving,
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
        let mut every = vec![
            GatewayError::InvalidKey,
            GatewayError::KeyDisabled,
            GatewayError::KeyExpired,
            GatewayError::AccountSuspended,
            GatewayError::ModelNotFound { model: model() },
            GatewayError::NoChannel { model: model() },
            GatewayError::EndpointUnsupported { model: model(), instead: vec!["messages"] },
            GatewayError::BalanceExhausted { public_url: "https://toki.example".into() },
            GatewayError::QuotaExhausted,
            GatewayError::PeriodExhausted { ends_at: DateTime::UNIX_EPOCH },
            GatewayError::AddressRefused,
            GatewayError::RateLimited(limited),
            sent_before(SentBefore::Mismatch),
            sent_before(SentBefore::Running),
            sent_before(SentBefore::Ended),
            GatewayError::InvalidJson,
            GatewayError::TooDeep,
            GatewayError::InvalidField { param: "n", message: "'n' must be a positive whole number.".into() },
            GatewayError::TooLarge { limit_bytes: MOST_BODY_BYTES },
            GatewayError::Crowded,
            GatewayError::NotFound { path: "/v1/nothing".into() },
            GatewayError::MethodNotAllowed { method: "PUT".into() },
            GatewayError::ReceiptNotFound { request_id: "x".into() },
            GatewayError::UpstreamUnreachable,
            GatewayError::UpstreamFailed,
            GatewayError::UpstreamTimeout,
            GatewayError::UpstreamRateLimited { retry_after: Some("7".into()) },
            GatewayError::UpstreamRefused { status: 422, message: None, param: Some("tools".into()) },
            GatewayError::UpstreamBroken,
            GatewayError::Leaving,
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
            GatewayError::BalanceExhausted { .. }
            | GatewayError::QuotaExhausted
            | GatewayError::PeriodExhausted { .. }
            | GatewayError::RateLimited(_)
            | GatewayError::UpstreamRateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            GatewayError::SentBefore { state: SentBefore::Mismatch, .. } => StatusCode::UNPROCESSABLE_ENTITY,
            GatewayError::SentBefore { .. } => StatusCode::CONFLICT,
            GatewayError::InvalidJson | GatewayError::TooDeep | GatewayError::InvalidField { .. } => StatusCode::BAD_REQUEST,
            GatewayError::Refused(why) => why.status(),
            GatewayError::UpstreamRefused { status, .. } => StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST),
            GatewayError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            GatewayError::UpstreamUnreachable | GatewayError::UpstreamFailed | GatewayError::UpstreamBroken => StatusCode::BAD_GATEWAY,
            GatewayError::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
            GatewayError::Leaving | GatewayError::Unavailable | GatewayError::Crowded => StatusCode::SERVICE_UNAVAILABLE,
            GatewayError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub fn kind(&self) -> &'static str {
        match self {
            GatewayError::AccountSuspended | GatewayError::AddressRefused => "permission_error",
            GatewayError::BalanceExhausted { .. } | GatewayError::QuotaExhausted | GatewayError::PeriodExhausted { .. } => {
                "insufficient_quota"
            }
            GatewayError::RateLimited(_) | GatewayError::UpstreamRateLimited { .. } => "rate_limit_error",
            GatewayError::UpstreamUnreachable
            | GatewayError::UpstreamFailed
            | GatewayError::UpstreamTimeout
            | GatewayError::UpstreamBroken
            | GatewayError::Leaving
            | GatewayError::Unavailable
            | GatewayError::Crowded
            | GatewayError::Refused(Refused::Connections)
            | GatewayError::Internal => "server_error",
            _ => "invalid_request_error",
        }
    }

    pub fn code(&self) -> Option<&'static str> {
        Some(match self {
            GatewayError::InvalidKey | GatewayError::KeyDisabled | GatewayError::KeyExpired => "invalid_api_key",
            GatewayError::AccountSuspended => "account_suspended",
            GatewayError::ModelNotFound { .. } | GatewayError::NoChannel { .. } => "model_not_found",
            GatewayError::EndpointUnsupported { .. } => "endpoint_not_supported",
            GatewayError::BalanceExhausted { .. } | GatewayError::QuotaExhausted | GatewayError::PeriodExhausted { .. } => {
                "insufficient_quota"
            }
            GatewayError::AddressRefused => "ip_not_allowed",
            GatewayError::RateLimited(_) => "rate_limit_exceeded",
            GatewayError::SentBefore { state, .. } => match state {
                SentBefore::Mismatch => "idempotency_mismatch",
                SentBefore::Running => "idempotency_in_flight",
                SentBefore::Answered | SentBefore::Ended => "idempotency_ended",
            },
            GatewayError::InvalidJson | GatewayError::TooDeep => "invalid_json",
            GatewayError::Refused(why) => why.code(),
            GatewayError::TooLarge { .. } => "request_too_large",
            GatewayError::ReceiptNotFound { .. } => "receipt_not_found",
            GatewayError::NotFound { .. } => "unknown_url",
            GatewayError::MethodNotAllowed { .. } => "method_not_allowed",
            GatewayError::UpstreamUnreachable | GatewayError::UpstreamFailed => "upstream_unavailable",
            GatewayError::UpstreamTimeout => "upstream_timeout",
            GatewayError::UpstreamRateLimited { .. } => "upstream_rate_limited",
            GatewayError::UpstreamBroken => "upstream_error",
            GatewayError::Leaving | GatewayError::Unavailable | GatewayError::Crowded => "service_unavailable",
            GatewayError::Internal => "internal_error",
            GatewayError::InvalidField { .. } | GatewayError::UpstreamRefused { .. } => return None,
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

    pub fn message(&self) -> String {
        match self {
            GatewayError::InvalidKey => {
                "No valid API key. Send one as 'Authorization: Bearer sk-toki-…'; keys are made in the console.".into()
            }
            GatewayError::KeyDisabled => "This API key is disabled. Enable it in the console, or use another.".into(),
            GatewayError::KeyExpired => "This API key has expired. Extend it in the console, or use another.".into(),
            GatewayError::AccountSuspended => "This account is suspended. Contact support.".into(),
            GatewayError::ModelNotFound { model } => {
                format!("The model '{model}' does not exist, or this API key may not use it. GET /v1/models lists what it may use.")
            }
            GatewayError::NoChannel { model } => {
                format!("The supplier of '{model}' is switched off at the moment.")
            }
            GatewayError::EndpointUnsupported { model, instead } if instead.is_empty() => {
                format!("The supplier of '{model}' does not serve this endpoint for it.")
            }
            GatewayError::EndpointUnsupported { model, instead } => {
                format!("The supplier of '{model}' does not speak this endpoint's protocol. Use POST /v1/{}.", instead.join(" or /v1/"))
            }
            GatewayError::BalanceExhausted { public_url } => {
                format!("The wallet has too few Tokens left for this call. Buy a package at {public_url}{BUY_PATH}.")
            }
            GatewayError::QuotaExhausted => {
                "This API key has too little of its quota left for this call. Raise the quota in the console, or use another key.".into()
            }
            GatewayError::PeriodExhausted { ends_at } => format!(
                "This API key has too little left for this call of its quota, which begins anew at {}. Raise it in the console, or use \
                 another key.",
                ends_at.to_rfc3339_opts(SecondsFormat::Secs, true)
            ),
            GatewayError::AddressRefused => "This API key may not be used from this address. Its networks are set in the console.".into(),
            GatewayError::RateLimited(limited) => match limited.by {
                Limit::RequestsPerMinute => "Too many requests this minute. Wait, as 'retry-after' says.".into(),
                Limit::TokensPerMinute => {
                    "Too many Tokens this minute. Wait, as 'retry-after' says, or ask for a lower output limit.".into()
                }
                Limit::ConcurrentCalls => "Too many calls at once. Wait until one of them has ended.".into(),
            },
            GatewayError::SentBefore { original, state } => match state {
                SentBefore::Mismatch => "This Idempotency-Key was sent with another request. Use a new one.".into(),
                SentBefore::Running => format!("The call {original} with this Idempotency-Key still runs."),
                SentBefore::Answered | SentBefore::Ended => format!(
                    "The call {original} with this Idempotency-Key has ended, and its answer was not kept. GET /v1/receipts/{original} \
                     says what it cost."
                ),
            },
            GatewayError::InvalidJson => "The body is not a JSON object.".into(),
            GatewayError::TooDeep => format!("The body nests too deep: {DEEPEST} levels are the depth that is read."),
            GatewayError::Refused(why) => why.message().into(),
            GatewayError::Crowded => "Too many large requests at once. Nothing was sent or charged; send it again.".into(),
            GatewayError::InvalidField { message, .. } => message.clone(),
            GatewayError::TooLarge { limit_bytes } => format!("The body is larger than {limit_bytes} bytes."),
            GatewayError::NotFound { path } => format!("There is no {path} here. See GET /v1/models and POST /v1/chat/completions."),
            GatewayError::MethodNotAllowed { method } => format!("{method} is not possible here."),
            GatewayError::ReceiptNotFound { request_id } => format!("No finished call of this account has the id '{request_id}'."),
            GatewayError::UpstreamUnreachable => "The model's supplier cannot be reached. Nothing was charged.".into(),
            GatewayError::UpstreamFailed => "The model's supplier failed. Nothing was charged.".into(),
            GatewayError::UpstreamTimeout => "The model's supplier took too long. Nothing was charged.".into(),
            GatewayError::UpstreamRateLimited { .. } => {
                "The model's supplier is limiting requests at the moment. Nothing was charged.".into()
            }
            GatewayError::UpstreamRefused { message, .. } => {
                message.clone().unwrap_or_else(|| "The model's supplier refused the request. Nothing was charged.".into())
            }
            GatewayError::UpstreamBroken => "The model's supplier broke off. What was delivered is charged, nothing else.".into(),
            GatewayError::Leaving => "This server is restarting. Nothing of this call is charged; send it again.".into(),
            GatewayError::Unavailable => "The service is unavailable at the moment. Nothing was sent or charged.".into(),
            GatewayError::Internal => "Something went wrong on our side.".into(),
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
        504 server_error null upstream_timeout "timeout_error" x-should-retry: false
        429 rate_limit_error null upstream_rate_limited "rate_limit_error" retry-after: 7
        422 invalid_request_error tools null "invalid_request_error"
        502 server_error null upstream_error "api_error" x-should-retry: false
        503 server_error null service_unavailable "api_error" retry-after: 1
        503 server_error null service_unavailable "api_error" retry-after: 1
        500 server_error null internal_error "api_error"
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
