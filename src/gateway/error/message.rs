//! Each failure in a sentence: what happened, and what to do.

use super::GatewayError;
use crate::wallet::ledger::{Limit, SentBefore};

impl GatewayError {
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
            GatewayError::Exhausted(what) => what.message(),
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
            GatewayError::TooDeep { deepest } => format!("The body nests too deep: {deepest} levels are the depth that is read."),
            GatewayError::Refused(why) => why.message().into(),
            GatewayError::Crowded => "Too many large requests at once. Nothing was sent or charged; send it again.".into(),
            GatewayError::InvalidField { message, .. } => message.clone(),
            GatewayError::TooLarge { limit_bytes } => format!("The body is larger than {limit_bytes} bytes."),
            GatewayError::NotFound { path } => format!("There is no {path} here. See GET /v1/models and POST /v1/chat/completions."),
            GatewayError::MethodNotAllowed { method } => format!("{method} is not possible here."),
            GatewayError::ReceiptNotFound { request_id } => format!("No finished call of this account has the id '{request_id}'."),
            GatewayError::UpstreamUnreachable => "The model's supplier cannot be reached. Nothing was charged.".into(),
            GatewayError::UpstreamFailed { sent: false } => "The model's supplier failed. Nothing was charged.".into(),
            GatewayError::UpstreamFailed { sent: true } => {
                "The model's supplier failed, and may have worked on the call. Nothing was charged.".into()
            }
            GatewayError::UpstreamTimeout => "The model's supplier took too long. Nothing was charged.".into(),
            GatewayError::UpstreamRateLimited { .. } => {
                "The model's supplier is limiting requests at the moment. Nothing was charged.".into()
            }
            GatewayError::UpstreamRefused { message, .. } => {
                message.clone().unwrap_or_else(|| "The model's supplier refused the request. Nothing was charged.".into())
            }
            GatewayError::UpstreamBroken => "The model's supplier broke off. What was delivered is charged, nothing else.".into(),
            GatewayError::Leaving { sent: false } => "This server is restarting. Nothing of this call is charged; send it again.".into(),
            GatewayError::Leaving { sent: true } => {
                "This server is restarting. The call had been sent to the model's supplier; nothing of it is charged.".into()
            }
            GatewayError::Unavailable => "The service is unavailable at the moment. Nothing was sent or charged.".into(),
            GatewayError::Internal => "Something went wrong on our side.".into(),
        }
    }
}
