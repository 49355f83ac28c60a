//! Values that one request leaves in the session, never in an address, for a later one to read.

use super::{session, session_failed};
use crate::error::ConsoleError;
use crate::islands::IN_PART;
use axum::http::Method;
use axum::http::request::Parts;
use leptos::prelude::with_context;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Leaves a value for the next page to read once.
pub async fn put_flash<T: Serialize>(name: &'static str, value: &T) -> Result<(), ConsoleError> {
    session()?.insert(name, value).await.map_err(session_failed)
}

/// Reads the value left under `name`, which stays.
pub async fn kept<T: DeserializeOwned>(name: &'static str) -> Result<Option<T>, ConsoleError> {
    session()?.get(name).await.map_err(session_failed)
}

/// Reads the value left under `name`, and forgets it; none where nobody would see it, and there it stays.
pub async fn take_flash<T: DeserializeOwned>(name: &'static str) -> Result<Option<T>, ConsoleError> {
    take_flash_if(name, Some).await
}

/// Reads what `open` finds in the value left under `name`, and forgets it. What does not open stays: it waits for another page, or was left
/// by a server of another version, which can read it.
pub async fn take_flash_if<T: DeserializeOwned, U>(
    name: &'static str,
    open: impl FnOnce(T) -> Option<U>,
) -> Result<Option<U>, ConsoleError> {
    if !is_seen() {
        return Ok(None);
    }
    let value = session()?.get_value(name).await.map_err(session_failed)?;
    let opened = value.and_then(|value| open(serde_json::from_value(value).ok()?));
    if opened.is_some() {
        forget(name).await?;
    }
    Ok(opened)
}

/// Forgets the value left under `name`.
pub async fn forget(name: &'static str) -> Result<(), ConsoleError> {
    let session = session()?;
    // Removing what is not there counts as a change: each look at a page would store the session anew, for two weeks more, and over what
    // another request had just put into it.
    if session.get_value(name).await.map_err(session_failed)?.is_some() {
        session.remove_value(name).await.map_err(session_failed)?;
    }
    Ok(())
}

/// Whether somebody sees what the request is answered with. A refresh that falls between a form and the page that the browser is sent on to
/// must not cost the only look at a secret.
fn is_seen() -> bool {
    with_context(|parts: &Parts| parts.method != Method::HEAD && !parts.headers.contains_key(IN_PART)).unwrap_or(true)
}
