//! Remembers the last form of a session, for the page that comes after it (`ui::last_form`). In the session and not in an address, which
//! anybody can write; by time and not by forgetting it when it is read, since showing a page changes nothing.

use crate::accounts::session_store::Found;
use crate::checkout::server_fns::{PlaceOrder, TypeCode};
use crate::codes::server_fns::RedeemCode;
use crate::ids::UserId;
use crate::seal::Seal;
use crate::server::layers::MOST_BODY_BYTES;
use crate::server::request_ctx::{TYPED_FOR, USER_ID, of_request};
use crate::server::state::AppState;
use crate::ui::last_form::LastForm;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::Utc;
use leptos::prelude::provide_context;
use leptos::server_fn::ServerFn;
use serde::{Deserialize, Serialize};
use tower_sessions::{Expiry, Session};

/// For how many seconds a page may say that a form was taken, and show what one failed with.
const DONE_FOR_S: i64 = 15;
const FAILED_FOR_S: i64 = 600;

const LAST_FORM: &str = "last_form";

/// Fields that are never kept, beside those with a password in their name.
const SECRET: [&str; 3] = ["current", "token", "secret"];

/// Where a `code` is one that Tokens or a discount are had for, which is checked letter by letter; anywhere else it is a second factor.
const SHOP_CODES: [&str; 3] = [RedeemCode::PATH, TypeCode::PATH, PlaceOrder::PATH];

/// As it is kept. What was typed is sealed: it may be what somebody asks of a model, which is nobody's but theirs and the supplier's.
#[derive(Serialize, Deserialize)]
struct Kept {
    path: String,
    at: i64,
    typed: Option<String>,
}

impl Kept {
    fn of(last: LastForm, seal: &Seal) -> Option<Kept> {
        let typed = match &last.typed {
            Some(typed) => Some(BASE64.encode(seal.seal(last.path.as_bytes(), &serde_json::to_vec(typed).ok()?).ok()?)),
            None => None,
        };
        Some(Kept { path: last.path, at: last.at, typed })
    }

    fn open(self, seal: &Seal) -> Option<LastForm> {
        let typed = match &self.typed {
            Some(sealed) => {
                let typed = seal.open(self.path.as_bytes(), &BASE64.decode(sealed).ok()?).ok()?;
                Some(serde_json::from_slice(&typed).ok()?)
            }
            None => None,
        };
        Some(LastForm { path: self.path, at: self.at, typed })
    }
}

/// What seals them. Nothing of it lasts, so a rotation of the configured key moves nothing.
pub fn seal(app: &AppState) -> Seal {
    Seal::derive(app.hash_key.bytes(), b"toki typed forms v1")
}

/// Inside of the session's layer.
pub async fn remember(State(seal): State<Seal>, request: Request, next: Next) -> Response {
    let Some(session) = request.extensions().get::<Session>().cloned() else { return next.run(request).await };
    let is_form = request.method() == Method::POST
        && starts_with(request.headers(), header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        && contains(request.headers(), header::ACCEPT, "text/html");
    if is_form { after_form(request, next, &session, &seal).await } else { before_page(request, next, &session, &seal).await }
}

async fn before_page(mut request: Request, next: Next, session: &Session, seal: &Seal) -> Response {
    let failed = request.uri().query().is_some_and(|query| query.contains("__err="));
    // Without a cookie there is no session, and nothing to look up.
    if request.method() != Method::GET || !request.headers().contains_key(header::COOKIE) || !is_page(request.uri().path()) {
        return next.run(request).await;
    }
    let found = Found::default();
    let kept = found.while_loading(session.get::<Kept>(LAST_FORM)).await;
    request.extensions_mut().insert(found);
    if let Ok(Some(kept)) = kept
        && let Some(last) = kept.open(seal)
        && let age = Utc::now().timestamp() - last.at
        && (last.typed.is_some() == failed && age <= if failed { FAILED_FOR_S } else { DONE_FOR_S })
    {
        request.extensions_mut().insert(last);
    }
    next.run(request).await
}

/// Files have a dot in their names, pages none.
fn is_page(path: &str) -> bool {
    !path.starts_with("/api/") && !path.contains('.') && path != "/live"
}

async fn after_form(request: Request, next: Next, session: &Session, seal: &Seal) -> Response {
    let path = request.uri().path().to_string();
    let (parts, body) = request.into_parts();
    let body = match to_bytes(body, MOST_BODY_BYTES).await {
        Ok(body) => body,
        Err(error) => return (axum::http::StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let response = next.run(Request::from_parts(parts, Body::from(body.clone()))).await;
    if !response.status().is_redirection() {
        return response;
    }
    let typed = contains(response.headers(), header::LOCATION, "__err=").then(|| {
        url::form_urlencoded::parse(&body)
            .filter(|(name, _)| is_kept(&path, name))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect()
    });
    // The page is right without it, so a failure here is only told.
    let kept = Kept::of(LastForm { path, at: Utc::now().timestamp(), typed }, seal);
    if let Some(kept) = kept
        && let Err(error) = keep(session, kept).await
    {
        tracing::error!(%error, "what a form led to was not kept");
    }
    response
}

fn is_kept(path: &str, name: &str) -> bool {
    !name.contains("password") && !SECRET.contains(&name) && (name != "code" || SHOP_CODES.contains(&path))
}

/// A visitor has a session only for what a form failed with, and no longer than that takes. Never one for a form that was taken: it may
/// have ended the session.
async fn keep(session: &Session, last: Kept) -> Result<(), tower_sessions::session::Error> {
    if session.get::<UserId>(USER_ID).await?.is_none() {
        if last.typed.is_none() {
            return Ok(());
        }
        if session.is_empty().await {
            session.set_expiry(Some(Expiry::OnInactivity(TYPED_FOR)));
        }
    }
    session.insert(LAST_FORM, last).await
}

/// Gives a page that is about to be rendered the form that led to it.
pub fn provide() {
    if let Some(last) = of_request(|parts| parts.extensions.get::<LastForm>().cloned()) {
        provide_context(last);
    }
}

fn starts_with(headers: &HeaderMap, name: header::HeaderName, start: &str) -> bool {
    headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.starts_with(start))
}

fn contains(headers: &HeaderMap, name: header::HeaderName, part: &str) -> bool {
    headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::server_fns_two_factor::{ConfirmTwoFactor, SignInCode};

    #[test]
    fn codes_of_the_shop_are_kept_and_second_factors_and_secrets_are_not() {
        for path in [RedeemCode::PATH, TypeCode::PATH, PlaceOrder::PATH] {
            assert!(is_kept(path, "code"), "{path}");
        }
        for path in [SignInCode::PATH, ConfirmTwoFactor::PATH, "/api/whatever/comes"] {
            assert!(!is_kept(path, "code") && is_kept(path, "name"), "{path}");
            for secret in ["password", "renew_password", "current", "token", "secret"] {
                assert!(!is_kept(path, secret), "{path} {secret}");
            }
        }
    }
}
