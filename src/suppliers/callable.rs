//! Which models a key may call, for `/v1/models`. The same conditions as admission, in the same words.

use crate::suppliers::store::Protocol;
use chrono::{DateTime, Utc};
use sqlx::PgPool;

pub struct CallableModel {
    pub model_id: String,
    pub supplier_slug: String,
    pub created_at: DateTime<Utc>,
}

pub enum KeyAnswer {
    Unknown,
    Disabled,
    Expired,
    Suspended,
    Models(Vec<CallableModel>),
}

/// What the key with this digest may call, or why it may not call at all.
pub async fn models_of_key(db: &PgPool, secret_hash: [u8; 32]) -> sqlx::Result<KeyAnswer> {
    let key = sqlx::query!(
        r#"SELECT k.supplier_id, k.status, coalesce(k.expires_at <= now(), false) AS "expired!", a.suspended_at
             FROM api_keys k JOIN accounts a USING (account_id) WHERE k.secret_hash = $1"#,
        &secret_hash[..]
    )
    .fetch_optional(db)
    .await?;
    let Some(key) = key.filter(|key| key.status != "deleted") else { return Ok(KeyAnswer::Unknown) };
    if key.status != "enabled" {
        return Ok(KeyAnswer::Disabled);
    }
    if key.expired {
        return Ok(KeyAnswer::Expired);
    }
    if key.suspended_at.is_some() {
        return Ok(KeyAnswer::Suspended);
    }
    let models = sqlx::query_as!(
        CallableModel,
        "SELECT m.model_id, s.slug AS supplier_slug, m.created_at FROM models m JOIN suppliers s USING (supplier_id)
          WHERE m.status = 'enabled' AND s.status = 'enabled' AND ($1::uuid IS NULL OR m.supplier_id = $1)
          ORDER BY m.model_id",
        key.supplier_id
    )
    .fetch_all(db)
    .await?;
    Ok(KeyAnswer::Models(models))
}

/// What the channels of the model's supplier speak; for saying which endpoint to use when it was the wrong one.
pub async fn protocols_of_model(db: &PgPool, model_id: &str) -> sqlx::Result<Vec<Protocol>> {
    let protocols = sqlx::query_scalar!(
        "SELECT DISTINCT c.protocol FROM channels c JOIN models m USING (supplier_id) WHERE m.model_id = $1 AND c.status = 'enabled'",
        model_id
    );
    Ok(protocols.fetch_all(db).await?.iter().map(|text| Protocol::of_column(text)).collect())
}
