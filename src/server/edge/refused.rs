//! The answers to requests that no handler sees, in the form of whoever asks.

use crate::gateway::{self, GatewayError, Labels, Refused};
use crate::ids::RequestId;
use crate::server::edge::framing::{self, MOST_HEADERS, MOST_TARGET_BYTES};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// A request whose head is refused. The parser never sees it: it is given [`STAND_IN`], and the answer to that is the refusal. So
/// answers keep their order, and the connection is closed, by the code that does both for every other request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    why: Refused,
    path: String,
}

/// What the parser is given in place of a head that is refused, and the path in it.
pub const STAND_IN_PATH: &str = "/refused";
pub const STAND_IN: &[u8] = b"GET /refused HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

impl Refusal {
    pub fn of(why: Refused, head: &[u8]) -> Refusal {
        Refusal { why, path: framing::path_of(head) }
    }

    pub fn answer(&self) -> Response {
        closing(answer(self.why, &self.path, &HeaderMap::new()), Version::HTTP_11)
    }
}

/// What a request must not be, whichever way it came.
pub fn refuse<B>(request: &Request<B>) -> Option<Response> {
    let headers = request.headers();
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let is_plain = |encoding: &HeaderValue| encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    let why = if target > MOST_TARGET_BYTES {
        Refused::TargetTooLong
    } else if headers.len() > MOST_HEADERS {
        Refused::HeadTooLarge
    } else if !headers.get_all(header::CONTENT_ENCODING).iter().all(is_plain) {
        Refused::Encoding
    } else {
        return None;
    };
    Some(answer(why, request.uri().path(), headers))
}

/// Protocols' JSON on `/v1`, a plain sentence elsewhere. It remembers why.
pub fn answer(why: Refused, path: &str, headers: &HeaderMap) -> Response {
    let mut response = if path == "/v1" || path.starts_with("/v1/") {
        gateway::refused(why, path, headers)
    } else {
        (why.status(), why.message()).into_response()
    };
    response.extensions_mut().insert(why);
    response
}

/// How many requests and connections were refused, by the code of the error. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Refusals(pub Family<Labels<1>, Counter>);

impl Refusals {
    pub fn count(&self, why: Refused) {
        self.0.get_or_create(&[("code", why.code())]).inc();
    }

    /// Counts an answer of [`answer`].
    pub fn count_answer(&self, response: &Response) {
        if let Some(why) = response.extensions().get() {
            self.count(*why);
        }
    }
}

/// The answer, after which the connection is closed. HTTP/2 has no word for that in an answer, and no need: the request alone ends.
pub fn closing(mut response: Response, version: Version) -> Response {
    if version < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What a connection beyond the most that there may be is told, before it has said anything: in OpenAI's form, with the headers of every
/// answer.
pub fn too_many_connections() -> Vec<u8> {
    let error = GatewayError::Refused(Refused::Connections);
    let (status, body, id) = (error.status(), error.openai().to_string(), RequestId::generate());
    let head =
        format!("content-type: application/json\r\nretry-after: 1\r\nx-request-id: {id}\r\nopenai-processing-ms: 0\r\nconnection: close");
    format!("HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A body beyond what a page of the console posts.
pub fn too_large() -> Response {
    (StatusCode::PAYLOAD_TOO_LARGE, Body::from("The body is too large.")).into_response()
}
