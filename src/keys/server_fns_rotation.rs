//! Server functions that replace a key's secret.

use crate::error::ConsoleError;
use crate::ui::form_input::Form;
use leptos::prelude::*;

/// Gives a key a new secret, which its page shows once. `grace`: for how many hours the old one works yet.
#[server(endpoint = "keys/rotate", input = Form)]
pub async fn rotate_key(key_id: String, grace: String) -> Result<(), ConsoleError> {
    use crate::ids::KeyId;
    use crate::keys::secret::handover::{FLASH, Handover};
    use crate::keys::store::{self, KeyOwner};
    use crate::keys::types::Grace;
    use crate::server::request_ctx;
    use chrono::TimeDelta;
    let member = request_ctx::member().await?;
    let app = request_ctx::app()?;
    let key_id = key_id.parse::<KeyId>().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    let grace = Grace::parse(&grace).ok_or_else(|| request_ctx::fail(ConsoleError::BadRequest))?;
    let rotated = store::rotate_key(&app.db, KeyOwner::Member(&member), key_id, &app.pepper, TimeDelta::hours(grace.hours())).await;
    let secret = rotated.map_err(|error| request_ctx::fail(error.into()))?;
    let handover = Handover::seal(app.hash_key.bytes(), key_id, &secret);
    request_ctx::put_flash(FLASH, &handover.map_err(|_| request_ctx::fail(ConsoleError::Internal))?).await?;
    request_ctx::go(&format!("/keys/{key_id}"));
    Ok(())
}

/// Ends the secrets that a key had before the one it has.
#[server(endpoint = "keys/end_old_secrets", input = Form)]
pub async fn end_old_secrets(key_id: String) -> Result<(), ConsoleError> {
    use crate::ids::KeyId;
    use crate::keys::store::{self, KeyOwner};
    use crate::server::request_ctx;
    let member = request_ctx::member().await?;
    let app = request_ctx::app()?;
    let key_id = key_id.parse::<KeyId>().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    store::end_old_secrets(&app.db, KeyOwner::Member(&member), key_id).await.map_err(|error| request_ctx::fail(error.into()))
}
