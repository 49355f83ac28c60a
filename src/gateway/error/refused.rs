//! What whoever serves us refuses before a handler of ours sees it, in the words and the form of `/v1` all the same.

use super::GatewayError;
use crate::gateway::wire::protocol_of;
use crate::ids::RequestId;
use crate::suppliers::store::Protocol;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No HTTP, or such that two servers might read it differently.
    Framing,
    HeadTimeout,
    BodyTimeout,
    TargetTooLong,
    /// Compressed; a few bytes could become any number.
    Encoding,
    HeadTooLarge,
    /// There are as many as there may be.
    Connections,
}

impl Refused {
    pub const ALL: [Refused; 7] = [
        Refused::Framing,
        Refused::HeadTimeout,
        Refused::BodyTimeout,
        Refused::TargetTooLong,
        Refused::Encoding,
        Refused::HeadTooLarge,
        Refused::Connections,
    ];

    pub fn status(self) -> StatusCode {
        match self {
            Refused::Framing => StatusCode::BAD_REQUEST,
            Refused::HeadTimeout | Refused::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Refused::TargetTooLong => StatusCode::URI_TOO_LONG,
            Refused::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refused::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Refused::Connections => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Refused::Framing => "malformed_request",
            Refused::HeadTimeout | Refused::BodyTimeout => "request_timeout",
            Refused::TargetTooLong => "url_too_long",
            Refused::Encoding => "unsupported_encoding",
            Refused::HeadTooLarge => "headers_too_large",
            Refused::Connections => "service_unavailable",
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Refused::Framing => "The request is malformed, or can be read in more than one way.",
            Refused::HeadTimeout => "The headers of the request took too long.",
            Refused::BodyTimeout => "The body of the request took too long.",
            Refused::TargetTooLong => "The URL is too long.",
            Refused::Encoding => "The body must not be compressed: send it without Content-Encoding.",
            Refused::HeadTooLarge => "The headers of the request are too large, or too many.",
            Refused::Connections => "Too many connections are open. Wait a moment, and try again.",
        }
    }
}

/// The answer on a path of `/v1`, with what `handler::finish` gives to every other. Nothing of the request was processed.
pub fn refused(why: Refused, path: &str, headers: &HeaderMap) -> Response {
    let (request_id, protocol) = (RequestId::generate(), protocol_of(path, headers));
    let mut response = GatewayError::Refused(why).response(protocol, request_id);
    response.headers_mut().insert(HeaderName::from_static("openai-processing-ms"), HeaderValue::from_static("0"));
    let names = if protocol == Protocol::Anthropic { &["x-request-id", "request-id"][..] } else { &["x-request-id"] };
    if let Ok(id) = HeaderValue::from_str(&request_id.to_string()) {
        for name in names {
            response.headers_mut().insert(HeaderName::from_static(name), id.clone());
        }
    }
    response
}
