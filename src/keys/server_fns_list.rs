//! Server functions of the list of keys.

use crate::error::ConsoleError;
use crate::keys::types::KeyView;
use crate::keys::types_list::KeyList;
use crate::ui::form_input::Form;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// A page of the account's keys, and what the create form needs.
#[server(endpoint = "keys/list", input = GetUrl)]
pub async fn list_keys(
    #[server(default)] search: String,
    #[server(default)] status: String,
    #[server(default)] supplier: String,
    #[server(default)] order: String,
    #[server(default)] after: String,
) -> Result<KeyList, ConsoleError> {
    use crate::accounts::types_members::Role;
    use crate::ids::KeyId;
    use crate::keys::expiration::preset_ends;
    use crate::keys::store::{self, KeyError};
    use crate::keys::types_list::{CHANGED, KeyFilter};
    use crate::server::request_ctx;
    use crate::suppliers::directory;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let mut filter = KeyFilter::parse(&search, &status, &supplier, &order, &after).map_err(request_ctx::fail)?;
    let failed = |error: KeyError| request_ctx::fail(error.into());
    let (mut keys, mut more_after) = store::keys_of(&app.db, &member, &filter, 50).await.map_err(failed)?;
    if keys.is_empty() && filter.after.is_some() {
        // The keys of a later page may all be deleted, which leads back to it: those before it are not to seem gone too.
        filter.after = None;
        (keys, more_after) = store::keys_of(&app.db, &member, &filter, 50).await.map_err(failed)?;
    }
    let any = !keys.is_empty() || store::has_keys(&app.db, &member).await.map_err(failed)?;
    Ok(KeyList {
        may_create: member.role() >= Role::Member,
        any,
        keys: keys.into_iter().map(|key| key.seen_by(&member)).collect(),
        from_start: filter.after.is_none(),
        more_after,
        suppliers: directory::enabled_suppliers(&app.db).await.map_err(|error| request_ctx::fail(error.into()))?,
        tied_to: store::suppliers_of_keys(&app.db, &member).await.map_err(failed)?,
        changed: request_ctx::kept(CHANGED).await?,
        ends: preset_ends(crate::preferences::time_zone(), chrono::Utc::now()),
        form_key: KeyId::generate(),
    })
}

/// The keys that are about to be deleted; all of them are there, and this member's to delete.
#[server(endpoint = "keys/chosen", input = GetUrl)]
pub async fn chosen_keys(#[server(default)] chosen: Vec<String>) -> Result<Vec<KeyView>, ConsoleError> {
    use crate::keys::store;
    use crate::keys::types_list::parse_chosen;
    use crate::server::request_ctx;
    let member = request_ctx::member().await?;
    let app = request_ctx::app()?;
    let ids = parse_chosen(&chosen).map_err(request_ctx::fail)?;
    let rows = store::chosen_keys_of(&app.db, &member, &ids).await.map_err(|error| request_ctx::fail(error.into()))?;
    if rows.len() != ids.len() {
        return Err(request_ctx::fail(ConsoleError::NotFound));
    }
    let keys: Vec<KeyView> = rows.into_iter().map(|row| row.seen_by(&member)).collect();
    if keys.iter().all(|key| key.editable) { Ok(keys) } else { Err(request_ctx::fail(ConsoleError::NotAllowed)) }
}

/// Enables, disables or deletes several keys, all of them or none, and says so on the list. `back`: the list as it was asked for.
#[server(endpoint = "keys/change", input = Form)]
pub async fn change_keys(
    #[server(default)] chosen: Vec<String>,
    #[server(default)] change: String,
    #[server(default)] back: String,
) -> Result<(), ConsoleError> {
    use crate::keys::store;
    use crate::keys::types_list::{CHANGED, KeysChange, KeysChanged, back_to_list, parse_chosen};
    use crate::server::request_ctx;
    let member = request_ctx::member().await?;
    let app = request_ctx::app()?;
    let change = KeysChange::parse(&change).ok_or_else(|| request_ctx::fail(ConsoleError::BadRequest))?;
    let ids = parse_chosen(&chosen).map_err(request_ctx::fail)?;
    store::change_keys(&app.db, &member, &ids, change).await.map_err(|error| request_ctx::fail(error.into()))?;
    request_ctx::put_flash(CHANGED, &KeysChanged { change, keys: ids.len() }).await?;
    if change == KeysChange::Delete {
        request_ctx::go(back_to_list(&back));
    }
    Ok(())
}
