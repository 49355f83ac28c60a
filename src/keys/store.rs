//! All SQL about API keys' settings. What they spend and hold is written by `wallet::ledger`.

mod caller;
mod deeds;
mod limits;
mod list;
mod making;
mod release;
mod rotation;
mod several;
mod views;

pub use caller::{Caller, CallerKey, caller_by_hash};
pub use limits::{LimitsEdit, limits_of, parse_network, update_limits};
pub use list::{chosen_keys_of, has_keys, keys_of, suppliers_of_keys};
pub use making::{insert_key, insert_key_once};
pub use release::{delete_all_keys_in, release_keys_in};
pub use rotation::{end_old_secrets, replacement_of, rotate_key};
pub use several::change_keys;
pub use views::{KeyRow, WholeKey, key_by_id, key_of, whole_key_of};

use self::deeds::{Deed, write_down_in};
use crate::accounts::membership::still_may_in;
use crate::accounts::rights::Member;
use crate::connections::again;
use crate::error::{ConsoleError, Field, Problem, unavailable};
use crate::ids::{AccountId, KeyId, SupplierId, UserId};
use crate::journal::types::Kind;
use crate::keys::types::KeyName;
use crate::operators::rights::Operator;
use crate::tokens::Tokens;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("no such key")]
    NotFound,
    #[error("the key was made by another member, or the role does not allow this any more")]
    NotYours,
    #[error("the supplier does not exist or is disabled")]
    UnknownSupplier,
    #[error("the quota is below what the key has spent or holds")]
    QuotaBelowUse,
    #[error("a name, quota or limit out of range")]
    OutOfRange,
    #[error("there is no such model; `toki model list` has them")]
    UnknownModel,
    #[error("there is no such time zone; use a name like Europe/Zurich")]
    UnknownTimeZone,
    #[error("database failed")]
    Db(#[source] sqlx::Error),
}

impl From<sqlx::Error> for KeyError {
    fn from(error: sqlx::Error) -> KeyError {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("api_keys_within_quota_check") => KeyError::QuotaBelowUse,
            Some("api_keys_supplier_id_fkey") => KeyError::UnknownSupplier,
            Some(
                "api_keys_name_check"
                | "api_keys_quota_check"
                | "api_keys_requests_per_minute_check"
                | "api_keys_tokens_per_minute_check"
                | "api_keys_concurrent_calls_check"
                | "api_keys_allowed_models_check"
                | "api_keys_allowed_networks_check"
                | "api_keys_period_quota_check",
            ) => KeyError::OutOfRange,
            Some("api_keys_account_id_fkey" | "api_keys_created_by_fkey") => KeyError::NotFound,
            _ => KeyError::Db(error),
        }
    }
}

impl From<KeyError> for ConsoleError {
    fn from(error: KeyError) -> ConsoleError {
        match error {
            KeyError::NotFound => ConsoleError::NotFound,
            KeyError::NotYours => ConsoleError::NotAllowed,
            KeyError::UnknownSupplier => ConsoleError::SupplierUnavailable,
            KeyError::QuotaBelowUse => ConsoleError::QuotaBelowUse,
            KeyError::OutOfRange => ConsoleError::BadRequest,
            KeyError::UnknownModel => ConsoleError::invalid(Field::Models, Problem::Unknown),
            KeyError::UnknownTimeZone => ConsoleError::invalid(Field::TimeZone, Problem::Unknown),
            KeyError::Db(error) => unavailable(&error),
        }
    }
}

/// Who acts on a key: a member, on those that they made, an admin on all of the account, or an operator on any, leaving an audit row.
#[derive(Clone, Copy, Debug)]
pub enum KeyOwner<'a> {
    Member(&'a Member),
    Operator(Operator),
}

impl KeyOwner<'_> {
    /// The account that the key must be of; none = any.
    fn account_id(self) -> Option<AccountId> {
        match self {
            KeyOwner::Member(member) => Some(member.account_id()),
            KeyOwner::Operator(_) => None,
        }
    }

    /// Whether they may change a key that this user made.
    fn may_edit(self, created_by: UserId) -> bool {
        match self {
            KeyOwner::Member(member) => member.is_admin() || member.user_id() == created_by,
            KeyOwner::Operator(_) => true,
        }
    }
}

#[derive(Clone, Debug)]
pub struct NewKey {
    pub name: KeyName,
    /// None = every supplier, chosen on purpose.
    pub supplier_id: Option<SupplierId>,
    /// None = no limit of its own.
    pub quota: Option<Tokens>,
    /// None = never.
    pub expires_at: Option<DateTime<Utc>>,
    pub enabled: bool,
}

fn status_text(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

async fn require_enabled_supplier_in(tx: &mut PgConnection, supplier_id: SupplierId) -> Result<(), KeyError> {
    let enabled = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM suppliers WHERE supplier_id = $1 AND status = 'enabled') AS "enabled!""#,
        supplier_id.0
    )
    .fetch_one(tx)
    .await?;
    if enabled { Ok(()) } else { Err(KeyError::UnknownSupplier) }
}

/// What to change about a key; none = leave as it is.
#[derive(Clone, Debug, Default)]
pub struct KeyEdit {
    pub name: Option<KeyName>,
    /// `Some(None)` takes the quota away.
    pub quota: Option<Option<Tokens>>,
    /// `Some(None)` = never.
    pub expires_at: Option<Option<DateTime<Utc>>>,
    /// `Some(None)` = every supplier.
    pub supplier_id: Option<Option<SupplierId>>,
    pub enabled: Option<bool>,
}

/// What of a key can be edited. Also what the audit log keeps of before and after.
#[derive(Clone, Debug, Serialize)]
struct Settings {
    #[serde(skip)]
    account_id: AccountId,
    name: String,
    quota: Option<Tokens>,
    expires_at: Option<DateTime<Utc>>,
    supplier_id: Option<SupplierId>,
    enabled: bool,
}

impl Settings {
    fn of_new(account_id: AccountId, new: &NewKey) -> Settings {
        Settings {
            account_id,
            name: new.name.as_str().to_string(),
            quota: new.quota,
            expires_at: new.expires_at,
            supplier_id: new.supplier_id,
            enabled: new.enabled,
        }
    }

    fn edited(&self, edit: KeyEdit) -> Settings {
        Settings {
            account_id: self.account_id,
            name: edit.name.map_or_else(|| self.name.clone(), |name| name.as_str().to_string()),
            quota: edit.quota.unwrap_or(self.quota),
            expires_at: edit.expires_at.unwrap_or(self.expires_at),
            supplier_id: edit.supplier_id.unwrap_or(self.supplier_id),
            enabled: edit.enabled.unwrap_or(self.enabled),
        }
    }

    /// What was done to come here from there.
    fn kind_since(&self, before: &Settings) -> Kind {
        match (before.enabled, self.enabled) {
            (false, true) => Kind::KeyEnabled,
            (true, false) => Kind::KeyDisabled,
            _ => Kind::KeyEdited,
        }
    }
}

/// Their request may have begun before they were removed or lost the role that it needs: then it is refused.
async fn stay_in(tx: &mut PgConnection, member: &Member) -> Result<(), KeyError> {
    if still_may_in(tx, member).await? { Ok(()) } else { Err(KeyError::NotYours) }
}

/// Locks the key's row, as every call with it does, and reads its settings. A deleted key, and one of another account, is not found.
async fn lock_key_in(tx: &mut PgConnection, owner: KeyOwner<'_>, key_id: KeyId) -> Result<Settings, KeyError> {
    let locked = lock_keys_in(tx, owner, &[key_id]).await?.pop();
    locked.map(|(_, settings)| settings).ok_or(KeyError::NotFound)
}

/// The same of several keys, each named once, in the order in which calls lock them; all of them or none.
async fn lock_keys_in(tx: &mut PgConnection, owner: KeyOwner<'_>, key_ids: &[KeyId]) -> Result<Vec<(KeyId, Settings)>, KeyError> {
    if let KeyOwner::Member(member) = owner {
        stay_in(tx, member).await?;
    }
    let rows = sqlx::query!(
        "SELECT key_id, account_id, created_by, name, quota, expires_at, supplier_id, status FROM api_keys
          WHERE key_id = ANY ($1) AND ($2::uuid IS NULL OR account_id = $2) AND status <> 'deleted'
          ORDER BY key_id FOR NO KEY UPDATE",
        &key_ids.iter().map(|id| id.0).collect::<Vec<_>>(),
        owner.account_id().map(|id| id.0)
    )
    .fetch_all(tx)
    .await?;
    if rows.len() != key_ids.len() {
        return Err(KeyError::NotFound);
    }
    if rows.iter().any(|row| !owner.may_edit(UserId(row.created_by))) {
        return Err(KeyError::NotYours);
    }
    let settings = rows.into_iter().map(|row| {
        let settings = Settings {
            account_id: AccountId(row.account_id),
            name: row.name,
            quota: row.quota.map(Tokens),
            expires_at: row.expires_at,
            supplier_id: row.supplier_id.map(SupplierId),
            enabled: row.status == "enabled",
        };
        (KeyId(row.key_id), settings)
    });
    Ok(settings.collect())
}

/// Changes a key's settings; the next call with it sees them.
pub async fn update_key(db: &PgPool, owner: KeyOwner<'_>, key_id: KeyId, edit: KeyEdit) -> Result<(), KeyError> {
    again(|| update_key_once(db, owner, key_id, edit.clone())).await
}

async fn update_key_once(db: &PgPool, owner: KeyOwner<'_>, key_id: KeyId, edit: KeyEdit) -> Result<(), KeyError> {
    let mut tx = db.begin().await?;
    let before = lock_key_in(&mut tx, owner, key_id).await?;
    let after = before.edited(edit);
    // A key may keep a supplier that was disabled since, but not be given one.
    if let Some(supplier_id) = after.supplier_id.filter(|_| after.supplier_id != before.supplier_id) {
        require_enabled_supplier_in(&mut tx, supplier_id).await?;
    }
    sqlx::query!(
        "UPDATE api_keys SET name = $3, quota = $4, expires_at = $5, supplier_id = $6, status = $7
          WHERE key_id = $1 AND account_id = $2",
        key_id.0,
        before.account_id.0,
        after.name,
        after.quota.map(|quota| quota.0),
        after.expires_at,
        after.supplier_id.map(|id| id.0),
        status_text(after.enabled)
    )
    .execute(&mut *tx)
    .await?;
    let deed = Deed {
        action: "key.edit",
        kind: after.kind_since(&before),
        account_id: before.account_id,
        key_id,
        name: &after.name,
        before: Some(&before),
        after: Some(&after),
    };
    write_down_in(&mut tx, owner, deed).await?;
    tx.commit().await?;
    Ok(())
}

/// Ends a key for good. Its row stays: what it spent is history.
pub async fn delete_key(db: &PgPool, owner: KeyOwner<'_>, key_id: KeyId) -> Result<(), KeyError> {
    again(|| delete_key_once(db, owner, key_id)).await
}

async fn delete_key_once(db: &PgPool, owner: KeyOwner<'_>, key_id: KeyId) -> Result<(), KeyError> {
    let mut tx = db.begin().await?;
    let before = lock_key_in(&mut tx, owner, key_id).await?;
    sqlx::query!(
        "UPDATE api_keys SET status = 'deleted', deleted_at = now() WHERE key_id = $1 AND account_id = $2",
        key_id.0,
        before.account_id.0
    )
    .execute(&mut *tx)
    .await?;
    let deed = Deed {
        action: "key.delete",
        kind: Kind::KeyDeleted,
        account_id: before.account_id,
        key_id,
        name: &before.name,
        before: Some(&before),
        after: None,
    };
    write_down_in(&mut tx, owner, deed).await?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
