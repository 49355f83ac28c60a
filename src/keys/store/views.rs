//! Keys as pages and commands show them.

use super::{KeyError, KeyOwner, limits};
use crate::accounts::rights::Reader;
use crate::accounts::types_members::Role;
use crate::ids::{AccountId, KeyId, SupplierId, UserId};
use crate::keys::types::{KeyStatus, KeyView};
use crate::keys::types_limits::KeyLimits;
use crate::suppliers::types::SupplierChoice;
use crate::tokens::Tokens;
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

/// A key and its standing, at one moment.
#[derive(Clone, Debug)]
pub struct KeyRow {
    pub key_id: KeyId,
    pub name: String,
    pub hint: String,
    /// The supplier's id, slug and name are there together, or none is: then the key is for all.
    pub supplier_id: Option<SupplierId>,
    pub supplier_slug: Option<String>,
    pub supplier_name: Option<String>,
    pub quota: Option<Tokens>,
    pub spent: Tokens,
    pub held: Tokens,
    pub status: KeyStatus,
    /// Whether its time is over, whatever its status.
    pub expired: bool,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// Whose it is: who made it, or to whom it was handed over.
    pub created_by: UserId,
    pub created_by_email: String,
    /// When it was handed over last. None = never.
    pub handed_over_at: Option<DateTime<Utc>>,
}

impl KeyRow {
    /// As a member of its account sees it.
    pub fn seen_by(self, reader: &Reader) -> KeyView {
        let row = self;
        let editable = reader.is_admin() || (reader.role() >= Role::Member && row.created_by == reader.user_id());
        let supplier = row.supplier_id.zip(row.supplier_name).map(|(supplier_id, name)| SupplierChoice { supplier_id, name });
        KeyView {
            key_id: row.key_id,
            name: row.name,
            hint: row.hint,
            supplier,
            quota: row.quota,
            spent: row.spent,
            held: row.held,
            status: row.status,
            expired: row.expired,
            expires_at: row.expires_at.map(Into::into),
            last_used_at: row.last_used_at.map(Into::into),
            created_at: row.created_at.into(),
            created_by: row.created_by_email,
            handed_over_at: row.handed_over_at.map(Into::into),
            editable,
        }
    }
}

/// A key's row, and who it is about.
pub(super) struct Row {
    pub(super) key_id: Uuid,
    pub(super) name: String,
    pub(super) secret_hint: String,
    pub(super) supplier_id: Option<Uuid>,
    pub(super) supplier_slug: Option<String>,
    pub(super) supplier_name: Option<String>,
    pub(super) quota: Option<i64>,
    pub(super) spent: i64,
    pub(super) held: i64,
    pub(super) status: String,
    pub(super) expired: bool,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) last_used_at: Option<DateTime<Utc>>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) created_by: Uuid,
    pub(super) email: String,
    pub(super) inherited_at: Option<DateTime<Utc>>,
}

impl From<Row> for KeyRow {
    fn from(row: Row) -> KeyRow {
        KeyRow {
            key_id: KeyId(row.key_id),
            name: row.name,
            hint: row.secret_hint,
            supplier_id: row.supplier_id.map(SupplierId),
            supplier_slug: row.supplier_slug,
            supplier_name: row.supplier_name,
            quota: row.quota.map(Tokens),
            spent: Tokens(row.spent),
            held: Tokens(row.held),
            status: match (row.status.as_str(), row.expired) {
                ("enabled", false) => KeyStatus::Enabled,
                ("enabled", true) => KeyStatus::Expired,
                _ => KeyStatus::Disabled,
            },
            expired: row.expired,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            created_at: row.created_at,
            created_by: UserId(row.created_by),
            created_by_email: row.email,
            handed_over_at: row.inherited_at,
        }
    }
}

/// One key.
pub async fn key_by_id(db: impl PgExecutor<'_>, owner: KeyOwner<'_>, key_id: KeyId) -> Result<KeyRow, KeyError> {
    key_row(db, owner.account_id(), key_id).await
}

/// One key of the reader's account.
pub async fn key_of(db: impl PgExecutor<'_>, reader: &Reader, key_id: KeyId) -> Result<KeyRow, KeyError> {
    key_row(db, Some(reader.account_id()), key_id).await
}

async fn key_row(db: impl PgExecutor<'_>, account_id: Option<AccountId>, key_id: KeyId) -> Result<KeyRow, KeyError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT k.key_id, k.name, k.secret_hint, k.supplier_id, s.slug AS "supplier_slug?", s.name AS "supplier_name?",
                  k.quota, k.spent, k.held, k.status, coalesce(k.expires_at <= now(), false) AS "expired!",
                  k.expires_at, k.last_used_at, k.created_at, k.created_by, u.email, k.inherited_at
             FROM api_keys k
             JOIN users u ON u.user_id = k.created_by
             LEFT JOIN suppliers s ON s.supplier_id = k.supplier_id
            WHERE k.key_id = $2 AND ($1::uuid IS NULL OR k.account_id = $1) AND k.status <> 'deleted'"#,
        account_id.map(|id| id.0),
        key_id.0
    );
    row.fetch_optional(db).await?.map(KeyRow::from).ok_or(KeyError::NotFound)
}

/// A key as its page shows it, with what stands beside it there.
pub struct WholeKey {
    pub key: KeyRow,
    pub limits: KeyLimits,
    /// Until when a secret that the key had before still works, if one does.
    pub old_secret_until: Option<DateTime<Utc>>,
    /// All keys of the account, in the order in which charts give them their colours (`usage::store::choices_of`).
    pub key_ids: Vec<KeyId>,
    /// Those that a key can be for.
    pub suppliers: Vec<SupplierChoice>,
}

/// One key of the reader's account, and all that its page asks of it, in one round trip.
pub async fn whole_key_of(db: impl PgExecutor<'_>, reader: &Reader, key_id: KeyId) -> Result<WholeKey, KeyError> {
    let row = sqlx::query!(
        r#"SELECT k.key_id, k.name, k.secret_hint, k.supplier_id, s.slug AS "supplier_slug?", s.name AS "supplier_name?",
                  k.quota, k.spent, k.held, k.status, coalesce(k.expires_at <= now(), false) AS "expired!",
                  k.expires_at, k.last_used_at, k.created_at, k.created_by, u.email, k.inherited_at,
                  k.requests_per_minute, k.tokens_per_minute, k.concurrent_calls, coalesce(k.allowed_models, '{}') AS "models!",
                  coalesce(k.allowed_networks, '{}')::text[] AS "networks!", k.period, k.period_zone, k.period_quota,
                  used_of_period(k, now()) AS "period_used!", period_end(k.period, k.period_zone, now()) AS period_ends,
                  (SELECT max(r.valid_until) FROM retired_secrets r WHERE r.key_id = k.key_id AND r.valid_until > now())
                      AS old_secret_until,
                  ARRAY(SELECT o.key_id FROM api_keys o WHERE o.account_id = $1 ORDER BY o.created_at, o.key_id) AS "key_ids!",
                  ARRAY(SELECT e.supplier_id FROM suppliers e WHERE e.status = 'enabled' ORDER BY e.name) AS "suppliers!",
                  ARRAY(SELECT e.name FROM suppliers e WHERE e.status = 'enabled' ORDER BY e.name) AS "names!"
             FROM api_keys k
             JOIN users u ON u.user_id = k.created_by
             LEFT JOIN suppliers s ON s.supplier_id = k.supplier_id
            WHERE k.key_id = $2 AND k.account_id = $1 AND k.status <> 'deleted'"#,
        reader.account_id().0,
        key_id.0
    )
    .fetch_optional(db)
    .await?
    .ok_or(KeyError::NotFound)?;
    let suppliers = row.suppliers.into_iter().zip(row.names);
    Ok(WholeKey {
        old_secret_until: row.old_secret_until,
        key_ids: row.key_ids.into_iter().map(KeyId).collect(),
        suppliers: suppliers.map(|(id, name)| SupplierChoice { supplier_id: SupplierId(id), name }).collect(),
        limits: KeyLimits::from(limits::Row {
            requests_per_minute: row.requests_per_minute,
            tokens_per_minute: row.tokens_per_minute,
            concurrent_calls: row.concurrent_calls,
            models: row.models,
            networks: row.networks,
            period: row.period,
            period_zone: row.period_zone,
            period_quota: row.period_quota,
            period_used: row.period_used,
            period_ends: row.period_ends,
        }),
        key: KeyRow::from(Row {
            key_id: row.key_id,
            name: row.name,
            secret_hint: row.secret_hint,
            supplier_id: row.supplier_id,
            supplier_slug: row.supplier_slug,
            supplier_name: row.supplier_name,
            quota: row.quota,
            spent: row.spent,
            held: row.held,
            status: row.status,
            expired: row.expired,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            created_at: row.created_at,
            created_by: row.created_by,
            email: row.email,
            inherited_at: row.inherited_at,
        }),
    })
}
