//! The cookie that tells a browser which has signed in before from one that has not. It opens nothing.

use crate::error::ConsoleError;
use crate::ids::UserId;
use crate::notices::store::note_device;
use crate::server::request_ctx::{app, fail, of_request, origin, set_cookie};
use axum::http::header;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// As long as browsers keep any cookie (RFC 6265bis).
const KEPT_S: u32 = 400 * 24 * 3_600;

/// Notes that a user signs in from this browser, and has it remembered.
pub async fn note(user_id: UserId) -> Result<(), ConsoleError> {
    let app = app()?;
    let name = if app.config.secure_cookies() { "__Host-device" } else { "device" };
    let device = known(name).unwrap_or_else(Uuid::new_v4);
    let secure = if app.config.secure_cookies() { "; Secure" } else { "" };
    set_cookie(&format!("{name}={}; Path=/; Max-Age={KEPT_S}; SameSite=Lax; HttpOnly{secure}", device.simple()))?;
    let device_hash = Sha256::digest(device.as_bytes()).into();
    note_device(&app.db, &app.outbox, user_id, &device_hash, &origin()).await.map_err(|error| fail(error.into()))
}

/// What the browser was given before. A browser may send its cookies in several lines (RFC 9113, 8.2.3).
fn known(name: &str) -> Option<Uuid> {
    of_request(|parts| {
        let lines = parts.headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
        cookies.find(|(named, _)| *named == name).and_then(|(_, value)| Uuid::try_parse(value).ok())
    })
}
