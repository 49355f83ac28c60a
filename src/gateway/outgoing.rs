//! A call as it goes out: the same to whichever of a supplier's channels it is sent.

use crate::gateway::auth::API_KEY;
use crate::gateway::forms::Form;
use crate::gateway::wire::{ANTHROPIC_BETA, ANTHROPIC_VERSION, Request};
use crate::suppliers::store::Protocol;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, InvalidHeaderValue, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The headers of a caller that a supplier gets to see, by protocol. No other of a caller's ever leaves.
const PASSED_ON: [(Protocol, HeaderName); 2] = [(Protocol::Anthropic, ANTHROPIC_VERSION), (Protocol::Anthropic, ANTHROPIC_BETA)];

pub struct Outgoing<'a> {
    pub request: &'a Request<'a>,
    pub upstream_id: Arc<str>,
    pub headers: HeaderMap,
    output_limit: i64,
    /// In the usual form.
    body: Bytes,
    sent: AtomicBool,
}

impl<'a> Outgoing<'a> {
    /// `callers`: the headers that the caller sent.
    pub fn new(request: &'a Request<'a>, callers: HeaderMap, upstream_id: Arc<str>, output_limit: i64) -> Outgoing<'a> {
        let accept = if request.stream { "text/event-stream" } else { "application/json" };
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ACCEPT, HeaderValue::from_static(accept)),
            (USER_AGENT, HeaderValue::from_static(concat!("toki/", env!("CARGO_PKG_VERSION")))),
        ]);
        for (_, name) in PASSED_ON.iter().filter(|(protocol, _)| *protocol == request.endpoint.protocol) {
            callers.get_all(name).iter().for_each(|value| {
                headers.append(name, value.clone());
            });
        }
        let body = request.upstream_body(Form::default(), &upstream_id, output_limit).into();
        Outgoing { request, upstream_id, headers, output_limit, body, sent: AtomicBool::new(false) }
    }

    pub fn body(&self, form: Form) -> Bytes {
        if form == Form::default() {
            return self.body.clone();
        }
        self.request.upstream_body(form, &self.upstream_id, self.output_limit).into()
    }

    /// Notes that a supplier may be at work on it, or that none is.
    pub fn note_sent(&self, sent: bool) {
        self.sent.store(sent, Ordering::Relaxed);
    }

    /// Whether a supplier may have worked on it.
    pub fn was_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }
}

/// How a supplier of this protocol is shown its secret.
pub fn credential(protocol: Protocol, secret: &SecretString) -> Result<(HeaderName, HeaderValue), InvalidHeaderValue> {
    let secret = secret.expose_secret();
    Ok(match protocol {
        Protocol::Openai => (AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {secret}"))?),
        Protocol::Anthropic => (API_KEY, HeaderValue::from_str(secret)?),
    })
}
