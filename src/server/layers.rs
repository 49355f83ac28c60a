//! The layers around the console. `/v1` and the webhook have none of them: no session, no CSRF check, no CSP.

use crate::accounts::session_store::PgSessionStore;
use crate::changes::hub::Changes;
use crate::error::ConsoleError;
use crate::preferences::types::Preferences;
use crate::server::edge::body::Limited;
use crate::server::edge::refused::too_large;
use crate::server::request_ctx::of_request;
use crate::server::state::AppState;
use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use leptos::nonce::Nonce;
use leptos::prelude::provide_context;
use leptos::server_fn::error::SERVER_FN_ERROR_HEADER;
use std::sync::atomic::Ordering;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};
use tower_http::compression::{CompressionLayer, CompressionLevel};
use tower_http::csrf::CsrfLayer;
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::Duration;
use tower_sessions::{Expiry, SessionManagerLayer};

/// How long a browser keeps a session. Without a visit it ends sooner (`accounts::session_store`).
const SESSION_KEPT: Duration = Duration::days(14);

/// No form of the console is larger, by far.
pub(super) const MOST_BODY_BYTES: usize = 256 << 10;

/// No [`ConsoleError`] is longer, by far.
const MOST_ERROR_BYTES: usize = 4 << 10;

/// The one page that shows a secret as often as it is asked for. How well a page packs tells what it has twice (BREACH), so this one goes
/// as it is; others hold no secret, or once.
const SHOWS_A_SECRET: &str = "/settings/two-factor";
const UNPACKED: HeaderValue = HeaderValue::from_static("no-store, no-transform");

/// Sessions in Postgres. Over https the cookie is `__Host-`, so that no sibling domain can plant it.
pub fn sessions(app: &AppState) -> SessionManagerLayer<PgSessionStore> {
    let secure = app.config.secure_cookies();
    SessionManagerLayer::new(PgSessionStore::new(app.db.clone()))
        .with_name(if secure { "__Host-toki" } else { "toki" })
        .with_secure(secure)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_path("/")
        .with_expiry(Expiry::OnInactivity(SESSION_KEPT))
}

/// Packs pages for browsers that ask for it: on a slow line half of what one waits for is the page itself. As fast as it goes, since a page
/// is packed each time; static files are packed when they are built.
pub fn compression() -> CompressionLayer<impl Predicate> {
    let may_be = |_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions| headers.get(header::CACHE_CONTROL) != Some(&UNPACKED);
    CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest).compress_when(DefaultPredicate::new().and(may_be))
}

/// Refuses every cross-site request that could change something (server functions have no protection of their own).
pub fn csrf() -> CsrfLayer {
    CsrfLayer::new()
}

/// Refuses what could change something and does not say where it comes from, as every browser says: [`csrf`] lets that through, for
/// programs that are no browsers, and what somebody typed into the address line.
pub async fn from_our_pages(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let ours = match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => headers.contains_key(header::ORIGIN),
    };
    if ours || request.method().is_safe() { next.run(request).await } else { StatusCode::FORBIDDEN.into_response() }
}

/// Refuses what is larger than any form; axum's own limit does not reach server functions.
pub async fn body_limit(request: Request, next: Next) -> Response {
    if request.body().size_hint().lower() > MOST_BODY_BYTES as u64 {
        return too_large();
    }
    let (parts, body) = request.into_parts();
    let (body, exceeded) = Limited::new(body, MOST_BODY_BYTES);
    let response = next.run(Request::from_parts(parts, Body::new(body))).await;
    if exceeded.load(Ordering::Relaxed) { too_large() } else { response }
}

/// Gives what a server function failed with its HTTP status; Leptos answers 500 whatever it was, also where the function never ran, since
/// its fields could not be read. A browser's form post is a redirect by now, to the page that shows the error, and stays one.
pub async fn error_status(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response.status() != StatusCode::INTERNAL_SERVER_ERROR || !response.headers().contains_key(SERVER_FN_ERROR_HEADER) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, MOST_ERROR_BYTES).await.unwrap_or_default();
    let error = serde_json::from_slice::<ConsoleError>(&body).ok();
    parts.status = error.and_then(|error| StatusCode::from_u16(error.http_status()).ok()).unwrap_or(parts.status);
    Response::from_parts(parts, Body::from(body))
}

/// Headers of every console answer. A page gets the policy with the nonce of its inline scripts, made here and handed to the page
/// by [`provide_noted`]; what is not a page gets one that allows nothing.
pub async fn security_headers(mut request: Request, next: Next) -> Response {
    // File names under /pkg carry a hash of the content; everything else may show secrets or balances.
    let caching = match request.uri().path() {
        SHOWS_A_SECRET => UNPACKED,
        path if path.starts_with("/pkg/") => HeaderValue::from_static("public, max-age=31536000, immutable"),
        _ => HeaderValue::from_static("no-store"),
    };
    let nonce = Nonce::new();
    request.extensions_mut().insert(nonce.clone());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        is_page.then(|| page_policy(&nonce)).flatten().unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    );
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    );
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding, Accept-Language, Cookie"));
    headers.insert(header::CACHE_CONTROL, caching);
    response
}

/// Over https, browsers are told to come by nothing else for two years, here and on hosts below (RFC 6797).
pub async fn strict_transport(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000; includeSubDomains"));
    response
}

fn page_policy(nonce: &Nonce) -> Option<HeaderValue> {
    let policy = format!(
        "default-src 'self'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; \
         form-action 'self' https://checkout.stripe.com"
    );
    HeaderValue::from_str(&policy).ok()
}

/// Gives a page that is about to be rendered how its reader wants it.
pub fn provide_preferences() {
    let read = of_request(|parts| {
        // A browser may send its cookies in several lines (RFC 9113, 8.2.3).
        let line = |name| parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>();
        Some(Preferences::read(&line(header::COOKIE).join("; "), &line(header::ACCEPT_LANGUAGE).join(",")))
    });
    let Some(preferences) = read else { return };
    provide_context(preferences.language);
    provide_context(preferences);
}

/// Notes when a page began to be read, before anything is.
pub async fn note_moment(State(changes): State<Changes>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(changes.moment());
    next.run(request).await
}

/// Gives a page that is about to be rendered what a layer noted in its request.
pub fn provide_noted<T: Clone + Send + Sync + 'static>() {
    if let Some(noted) = of_request(|parts| parts.extensions.get::<T>().cloned()) {
        provide_context(noted);
    }
}
