//! Server functions of API keys: who, parse, store, reply. Forms that stay on their page need no redirect of their own: a plain post
//! goes back to the page it came from.

use crate::error::ConsoleError;
use crate::keys::types::KeyDetails;
use crate::keys::types_limits::TypedLimits;
use crate::ui::form_input::Form;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// Makes a key and goes to its page, which shows the secret once. The same form posted twice makes one key.
#[server(endpoint = "keys/create", input = Form)]
pub async fn create_key(
    form_key: String,
    #[server(default)] name: String,
    #[server(default)] supplier: String,
    #[server(default)] quota: String,
    #[server(default)] expires: String,
    #[server(default)] expires_at: String,
    #[server(default)] status: String,
) -> Result<(), ConsoleError> {
    use crate::ids::KeyId;
    use crate::keys::expiration::parse_lasting;
    use crate::keys::secret::handover::{FLASH, Handover};
    use crate::keys::store::{self, KeyOwner, NewKey};
    use crate::keys::types::{KeyName, parse_enabled, parse_supplier};
    use crate::keys::types_limits::parse_quota;
    use crate::server::request_ctx;
    let member = request_ctx::member().await?;
    let app = request_ctx::app()?;
    let parse = || {
        let new = NewKey {
            name: KeyName::parse(&name)?,
            supplier_id: parse_supplier(&supplier)?,
            quota: parse_quota(&quota)?,
            expires_at: parse_lasting(&expires, &expires_at, crate::preferences::time_zone(), chrono::Utc::now())?,
            enabled: parse_enabled(&status)?,
        };
        Ok::<_, ConsoleError>((form_key.parse::<KeyId>().map_err(|_| ConsoleError::BadRequest)?, new))
    };
    let (key_id, new) = parse().map_err(request_ctx::fail)?;
    let failed = |error: store::KeyError| request_ctx::fail(error.into());
    match store::insert_key_once(&app.db, &member, key_id, &app.pepper, new).await.map_err(failed)? {
        Some(secret) => {
            let handover = Handover::seal(app.hash_key.bytes(), key_id, &secret);
            request_ctx::put_flash(FLASH, &handover.map_err(|_| request_ctx::fail(ConsoleError::Internal))?).await?;
        }
        // Posted before, if it is ours; an id taken by somebody else's key is not found.
        None => drop(store::key_by_id(&app.db, KeyOwner::Member(&member), key_id).await.map_err(failed)?),
    }
    request_ctx::go(&format!("/keys/{key_id}"));
    Ok(())
}

/// One key, its totals and last calls; `call`: one of its calls to show the receipt of. The first look at a new key also gets its secret,
/// and no other look does; that at a trial what came of it.
#[server(endpoint = "keys/show", input = GetUrl)]
pub async fn show_key(key_id: String, #[server(default)] call: String) -> Result<KeyDetails, ConsoleError> {
    use crate::docs::types::Reader;
    use crate::ids::KeyId;
    use crate::keys::expiration::preset_ends;
    use crate::keys::secret::handover::{FLASH, Handover};
    use crate::keys::types::ShownSecret;
    use crate::keys::types_try::Trials;
    use crate::keys::{store, trial};
    use crate::server::request_ctx;
    use crate::suppliers::directory;
    use crate::usage::filter::{CallFilter, Whose};
    use crate::usage::range::{Preset, Range};
    use crate::usage::store as usage;
    use crate::usage::types_totals::UsageTotals;
    use futures::TryFutureExt;
    use uuid::Uuid;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let key_id = key_id.parse::<KeyId>().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    let whose = Whose { key_id: Some(key_id), ..Whose::default() };
    let (zone, now) = (crate::preferences::time_zone(), chrono::Utc::now());
    let month = Range::of(Preset::Month, zone, now);
    let filter = CallFilter { whose: whose.clone(), ..CallFilter::default() };
    let receipt = async {
        let Ok(call) = call.parse() else { return Ok(None) };
        let filter = CallFilter { call: Some(call), ..filter.clone() };
        Ok(usage::calls_of(&app.db, &member, &filter, 1).await?.calls.pop())
    };
    let (whole, models, days, page, receipt) = tokio::try_join!(
        store::whole_key_of(&app.db, &member, key_id).err_into(),
        directory::models_of_key(&app.db, key_id).err_into(),
        usage::sums_of(&app.db, &member, &whose, &month).err_into(),
        usage::calls_of(&app.db, &member, &filter, 20).err_into(),
        receipt,
    )
    .map_err(request_ctx::fail)?;
    let hash_key = app.hash_key.bytes();
    let tried = request_ctx::take_flash_if(trial::FLASH, |kept: trial::Kept| kept.open(hash_key, key_id)).await?;
    // Last, so that no failure above can cost the only look at it.
    let new_secret = request_ctx::take_flash_if(FLASH, |handover: Handover| handover.open(hash_key, key_id)).await?;
    Ok(KeyDetails {
        key: whole.key.seen_by(&member),
        limits: whole.limits,
        suppliers: whole.suppliers,
        ends: preset_ends(zone, now),
        totals: UsageTotals::of_days(&days),
        spent: days.iter().map(|day| day.charged).collect(),
        month,
        key_ids: whole.key_ids,
        calls: page.calls,
        old_secret_until: whole.old_secret_until.map(Into::into),
        new_secret: new_secret.map(|secret| ShownSecret(secret.expose().to_string())),
        reader: Reader { server_url: app.config.public_url.as_str().trim_end_matches('/').to_string(), model_id: models.openai },
        anthropic_model_id: models.anthropic,
        trials: Trials { form_key: Uuid::new_v4(), models: models.chat, tried, receipt },
    })
}

/// Changes name, supplier, quota and expiration of a key.
#[server(endpoint = "keys/update", input = Form)]
pub async fn update_key(
    key_id: String,
    #[server(default)] name: String,
    #[server(default)] supplier: String,
    #[server(default)] quota: String,
    #[server(default)] expires: String,
    #[server(default)] expires_at: String,
) -> Result<(), ConsoleError> {
    use crate::ids::KeyId;
    use crate::keys::expiration::parse_lasting_edit;
    use crate::keys::store::{self, KeyEdit, KeyOwner};
    use crate::keys::types::{KeyName, parse_supplier};
    use crate::keys::types_limits::parse_quota;
    use crate::server::request_ctx;
    let member = request_ctx::member().await?;
    let app = request_ctx::app()?;
    let owner = KeyOwner::Member(&member);
    let key_id = key_id.parse::<KeyId>().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    let key = store::key_by_id(&app.db, owner, key_id).await.map_err(|error| request_ctx::fail(error.into()))?;
    let (zone, now) = (crate::preferences::time_zone(), chrono::Utc::now());
    let parse = || {
        Ok::<_, ConsoleError>(KeyEdit {
            name: Some(KeyName::parse(&name)?),
            supplier_id: Some(parse_supplier(&supplier)?),
            quota: Some(parse_quota(&quota)?),
            expires_at: parse_lasting_edit(&expires, &expires_at, key.expires_at, zone, now)?,
            enabled: None,
        })
    };
    let edit = parse().map_err(request_ctx::fail)?;
    store::update_key(&app.db, owner, key_id, edit).await.map_err(|error| request_ctx::fail(error.into()))
}

/// Sets all limits of a key beside its quota; what is empty is not limited.
#[server(endpoint = "keys/limit", input = Form)]
pub async fn limit_key(key_id: String, #[server(default)] limits: TypedLimits) -> Result<(), ConsoleError> {
    use crate::error::{Field, Problem};
    use crate::ids::KeyId;
    use crate::keys::store::{self, KeyOwner, LimitsEdit, parse_network};
    use crate::keys::types_limits::{parse_calls, parse_list, parse_period, parse_tokens_per_minute};
    use crate::server::request_ctx;
    let member = request_ctx::member().await?;
    let app = request_ctx::app()?;
    let key_id = key_id.parse::<KeyId>().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    let at_most = |list: Vec<String>, most, field| {
        if list.len() > most { Err(ConsoleError::invalid(field, Problem::TooLarge)) } else { Ok(list) }
    };
    let parse = || {
        let networks = at_most(parse_list(&limits.networks), 100, Field::Networks)?;
        let networks: Option<Vec<_>> = networks.iter().map(|network| parse_network(network)).collect();
        Ok::<_, ConsoleError>(LimitsEdit {
            requests_per_minute: Some(parse_calls(&limits.requests_per_minute, Field::RequestsPerMinute, 1_000_000)?),
            tokens_per_minute: Some(parse_tokens_per_minute(&limits.tokens_per_minute)?),
            concurrent_calls: Some(parse_calls(&limits.concurrent_calls, Field::ConcurrentCalls, 100_000)?),
            models: Some(at_most(parse_list(&limits.models), 200, Field::Models)?),
            networks: Some(networks.ok_or(ConsoleError::invalid(Field::Networks, Problem::Malformed))?),
            period: Some(parse_period(&limits.period, &limits.period_quota)?),
            time_zone: Some(limits.time_zone.trim().to_string()).filter(|zone| !zone.is_empty()),
        })
    };
    let edit = parse().map_err(request_ctx::fail)?;
    store::update_limits(&app.db, KeyOwner::Member(&member), key_id, edit).await.map_err(|error| request_ctx::fail(error.into()))
}

/// Enables or disables a key.
#[server(endpoint = "keys/set-status", input = Form)]
pub async fn set_key_status(key_id: String, status: String) -> Result<(), ConsoleError> {
    use crate::ids::KeyId;
    use crate::keys::store::{self, KeyEdit, KeyOwner};
    use crate::keys::types::parse_enabled;
    use crate::server::request_ctx;
    let member = request_ctx::member().await?;
    let app = request_ctx::app()?;
    let key_id = key_id.parse::<KeyId>().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    let edit = KeyEdit { enabled: Some(parse_enabled(&status).map_err(request_ctx::fail)?), ..KeyEdit::default() };
    store::update_key(&app.db, KeyOwner::Member(&member), key_id, edit).await.map_err(|error| request_ctx::fail(error.into()))
}

/// Deletes a key for good, and says so on the list of those that are left. `back`: the list as it was asked for.
#[server(endpoint = "keys/delete", input = Form)]
pub async fn delete_key(key_id: String, #[server(default)] back: String) -> Result<(), ConsoleError> {
    use crate::ids::KeyId;
    use crate::keys::store::{self, KeyOwner};
    use crate::keys::types_list::{CHANGED, KeysChange, KeysChanged, back_to_list};
    use crate::server::request_ctx;
    let member = request_ctx::member().await?;
    let app = request_ctx::app()?;
    let key_id = key_id.parse::<KeyId>().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    store::delete_key(&app.db, KeyOwner::Member(&member), key_id).await.map_err(|error| request_ctx::fail(error.into()))?;
    request_ctx::put_flash(CHANGED, &KeysChanged { change: KeysChange::Delete, keys: 1 }).await?;
    request_ctx::go(back_to_list(&back));
    Ok(())
}
