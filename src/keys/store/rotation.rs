//! A new secret for a key that stays what it is: same id, same quota, same history.

use super::deeds::{Deed, write_down_in};
use super::{KeyError, KeyOwner, lock_key_in};
use crate::connections::again;
use crate::ids::KeyId;
use crate::journal::types::Kind;
use crate::keys::secret::{KeySecret, Pepper};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::{PgExecutor, PgPool};

/// What the audit log keeps of a rotation.
#[derive(Serialize)]
struct Rotated<'a> {
    secret_hint: &'a str,
    /// Until when the one before still works.
    valid_until: Option<DateTime<Utc>>,
}

/// Gives a key a new secret, returned this once. The one it had works for `grace` yet; those before it work no longer than they did.
pub async fn rotate_key(db: &PgPool, owner: KeyOwner<'_>, key_id: KeyId, pepper: &Pepper, grace: TimeDelta) -> Result<KeySecret, KeyError> {
    again(|| rotate_key_once(db, owner, key_id, pepper, grace)).await
}

async fn rotate_key_once(
    db: &PgPool,
    owner: KeyOwner<'_>,
    key_id: KeyId,
    pepper: &Pepper,
    grace: TimeDelta,
) -> Result<KeySecret, KeyError> {
    let secret = KeySecret::generate();
    let valid_until = (grace > TimeDelta::zero()).then(|| Utc::now() + grace);
    let mut tx = db.begin().await?;
    let key = lock_key_in(&mut tx, owner, key_id).await?;
    let before = sqlx::query!("SELECT secret_hash, secret_hint FROM api_keys WHERE key_id = $1", key_id.0).fetch_one(&mut *tx).await?;
    if let Some(valid_until) = valid_until {
        sqlx::query!(
            "INSERT INTO retired_secrets (secret_hash, key_id, retired_at, valid_until) VALUES ($1, $2, least(now(), $3), $3)",
            before.secret_hash,
            key_id.0,
            valid_until
        )
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query!("UPDATE api_keys SET secret_hash = $2, secret_hint = $3 WHERE key_id = $1", key_id.0, &secret.hash(pepper), secret.hint())
        .execute(&mut *tx)
        .await?;
    let (old, new) =
        (Rotated { secret_hint: &before.secret_hint, valid_until }, Rotated { secret_hint: &secret.hint(), valid_until: None });
    let (kind, account_id) = (Kind::KeyRotated, key.account_id);
    let deed = Deed { action: "key.rotate", kind, account_id, key_id, name: &key.name, before: Some(&old), after: Some(&new) };
    write_down_in(&mut tx, owner, deed).await?;
    tx.commit().await?;
    Ok(secret)
}

/// Ends the secrets that the key had before; the one it has stays.
pub async fn end_old_secrets(db: &PgPool, owner: KeyOwner<'_>, key_id: KeyId) -> Result<(), KeyError> {
    again(|| end_old_secrets_once(db, owner, key_id)).await
}

async fn end_old_secrets_once(db: &PgPool, owner: KeyOwner<'_>, key_id: KeyId) -> Result<(), KeyError> {
    let mut tx = db.begin().await?;
    let key = lock_key_in(&mut tx, owner, key_id).await?;
    sqlx::query!("UPDATE retired_secrets SET valid_until = now() WHERE key_id = $1 AND valid_until > now()", key_id.0)
        .execute(&mut *tx)
        .await?;
    let (kind, account_id) = (Kind::KeyOldSecretsEnded, key.account_id);
    let deed = Deed::<Rotated<'_>> { action: "key.end-old-secrets", kind, account_id, key_id, name: &key.name, before: None, after: None };
    write_down_in(&mut tx, owner, deed).await?;
    tx.commit().await?;
    Ok(())
}

/// What a secret that a key had before has been replaced by, while it still works.
pub async fn replacement_of(db: impl PgExecutor<'_>, secret_hash: [u8; 32]) -> Result<Option<[u8; 32]>, sqlx::Error> {
    let hash = sqlx::query_scalar!(
        "SELECT k.secret_hash FROM retired_secrets r JOIN api_keys k USING (key_id) WHERE r.secret_hash = $1 AND r.valid_until > now()",
        &secret_hash[..]
    )
    .fetch_optional(db)
    .await?;
    Ok(hash.and_then(|hash| hash.try_into().ok()))
}
