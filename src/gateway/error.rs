//! Every failure a caller of `/v1` can meet, and its form on the wire: OpenAI's `{"error":{message,type,param,code}}`, or Anthropic's
//! `{"type":"error","error":{type,message},"request_id"}`.
//!
//! The table is asserted whole in the tests below; the rows are those of OpenAI's API reference where it has one.

use crate::ids::RequestId;
use crate::suppliers::store::Protocol;
use crate::wallet::ledger::SwitchedOff;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

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
    InvalidJson,
    InvalidField {
        param: &'static str,
        message: String,
    },
    TooLarge {
        limit_bytes: usize,
    },
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
            GatewayError::AccountSuspended => StatusCode::FORBIDDEN,
            GatewayError::ModelNotFound { .. }
            | GatewayError::NoChannel { .. }
            | GatewayError::EndpointUnsupported { .. }
            | GatewayError::ReceiptNotFound { .. }
            | GatewayError::NotFound { .. } => StatusCode::NOT_FOUND,
            GatewayError::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            GatewayError::BalanceExhausted { .. } | GatewayError::QuotaExhausted | GatewayError::UpstreamRateLimited { .. } => {
                StatusCode::TOO_MANY_REQUESTS
            }
            GatewayError::InvalidJson | GatewayError::InvalidField { .. } => StatusCode::BAD_REQUEST,
            GatewayError::UpstreamRefused { status, .. } => StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST),
            GatewayError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            GatewayError::UpstreamUnreachable | GatewayError::UpstreamFailed | GatewayError::UpstreamBroken => StatusCode::BAD_GATEWAY,
            GatewayError::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
            GatewayError::Leaving | GatewayError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            GatewayError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            GatewayError::AccountSuspended => "permission_error",
            GatewayError::BalanceExhausted { .. } | GatewayError::QuotaExhausted => "insufficient_quota",
            GatewayError::UpstreamRateLimited { .. } => "rate_limit_error",
            GatewayError::UpstreamUnreachable
            | GatewayError::UpstreamFailed
            | GatewayError::UpstreamTimeout
            | GatewayError::UpstreamBroken
            | GatewayError::Leaving
            | GatewayError::Unavailable
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
            GatewayError::BalanceExhausted { .. } | GatewayError::QuotaExhausted => "insufficient_quota",
            GatewayError::InvalidJson => "invalid_json",
            GatewayError::TooLarge { .. } => "request_too_large",
            GatewayError::ReceiptNotFound { .. } => "receipt_not_found",
            GatewayError::NotFound { .. } => "unknown_url",
            GatewayError::MethodNotAllowed { .. } => "method_not_allowed",
            GatewayError::UpstreamUnreachable | GatewayError::UpstreamFailed => "upstream_unavailable",
            GatewayError::UpstreamTimeout => "upstream_timeout",
            GatewayError::UpstreamRateLimited { .. } => "upstream_rate_limited",
            GatewayError::UpstreamBroken => "upstream_error",
            GatewayError::Leaving | GatewayError::Unavailable => "service_unavailable",
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

    fn message(&self) -> String {
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
            GatewayError::InvalidJson => "The body is not a JSON object.".into(),
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
        if let Some((name, value)) = self.extra_header() {
            response.headers_mut().insert(name, value);
        }
        response
    }

    fn extra_header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            GatewayError::InvalidKey | GatewayError::KeyDisabled | GatewayError::KeyExpired => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
            // Trying again would not help, or the supplier has spent Tokens on this already.
            GatewayError::BalanceExhausted { .. }
            | GatewayError::QuotaExhausted
            | GatewayError::UpstreamTimeout
            | GatewayError::UpstreamBroken => Some((HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"))),
            GatewayError::UpstreamRateLimited { retry_after: Some(after) } => {
                Some((header::RETRY_AFTER, HeaderValue::from_str(after).ok()?))
            }
            GatewayError::Leaving | GatewayError::Unavailable => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => None,
        }
    }
}

/// What it looks like depends on whom it goes to: `handler::finish` sees to it.
impl IntoResponse for GatewayError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_its_row() {
        let model = || "a/b".to_string();
        let rows: Vec<String> = [
            GatewayError::InvalidKey,
            GatewayError::KeyDisabled,
            GatewayError::KeyExpired,
            GatewayError::AccountSuspended,
            GatewayError::ModelNotFound { model: model() },
            GatewayError::NoChannel { model: model() },
            GatewayError::EndpointUnsupported { model: model(), instead: vec!["messages"] },
            GatewayError::BalanceExhausted { public_url: "https://toki.example".into() },
            GatewayError::QuotaExhausted,
            GatewayError::InvalidJson,
            GatewayError::InvalidField { param: "n", message: "n".into() },
            GatewayError::TooLarge { limit_bytes: 1 },
            GatewayError::NotFound { path: "/v1/x".into() },
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
        ]
        .iter()
        .map(|error| {
            let header = error.extra_header().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or("?")));
            let (param, code) = (error.param().unwrap_or("null"), error.code().unwrap_or("null"));
            let anthropic = error.anthropic(RequestId::generate())["error"]["type"].clone();
            let row = format!("{} {} {param} {code} {anthropic} {}", error.status().as_u16(), error.kind(), header.unwrap_or_default());
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
        400 invalid_request_error null invalid_json "invalid_request_error"
        400 invalid_request_error n null "invalid_request_error"
        413 invalid_request_error null request_too_large "request_too_large"
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
        "#);
    }
}
