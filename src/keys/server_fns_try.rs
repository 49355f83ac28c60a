//! The server function that tries a key.

use crate::error::ConsoleError;
use crate::ui::form_input::Form;
use leptos::prelude::*;

/// Calls a model with a key's secret, which only its owner has, and shows on the key's page what came of it. With a script the page makes
/// the same call by itself.
#[server(endpoint = "keys/try", input = Form)]
pub async fn try_key(
    key_id: String,
    form_key: String,
    #[server(default)] secret: String,
    #[server(default)] model: String,
    #[server(default)] prompt: String,
) -> Result<(), ConsoleError> {
    use crate::error::{Field, Problem};
    use crate::ids::KeyId;
    use crate::keys::secret::KeySecret;
    use crate::keys::store;
    use crate::keys::trial::{FLASH, Kept, Trial};
    use crate::keys::types_try::{Tried, parse_prompt};
    use crate::server::request_ctx;
    use crate::ui::page_data::address_with;
    use uuid::Uuid;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let key_id = key_id.parse::<KeyId>().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    let key = store::key_of(&app.db, &member, key_id).await.map_err(|error| request_ctx::fail(error.into()))?;
    let parse = || {
        let form_key = form_key.parse::<Uuid>().map_err(|_| ConsoleError::BadRequest)?;
        let secret = KeySecret::parse(secret.trim()).ok_or(ConsoleError::invalid(Field::Secret, Problem::Malformed))?;
        if secret.hint() != key.hint {
            return Err(ConsoleError::invalid(Field::Secret, Problem::Unknown));
        }
        if model.is_empty() {
            return Err(ConsoleError::invalid(Field::Model, Problem::Empty));
        }
        Ok((form_key, secret, parse_prompt(&prompt)?))
    };
    let (form_key, secret, prompt) = parse().map_err(request_ctx::fail)?;
    let (server, caller) = (app.config.own_address(), request_ctx::origin().address);
    let trial = Trial { server, secret: &secret, caller, form_key, model_id: &model, prompt: &prompt };
    let (request_id, answer) = trial.call().await.map_err(request_ctx::fail)?;
    let kept = Kept::seal(app.hash_key.bytes(), key_id, &Tried { model_id: model, prompt, answer });
    request_ctx::put_flash(FLASH, &kept.map_err(|_| request_ctx::fail(ConsoleError::Internal))?).await?;
    let call = request_id.map(|id| id.to_string()).unwrap_or_default();
    request_ctx::go(&format!("{}#try", address_with(&format!("/keys/{key_id}"), [("call", call.as_str())])));
    Ok(())
}
