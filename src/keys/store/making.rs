//! Keys that are made. Each try makes another secret; the one that is returned is the one that was kept.

use super::deeds::{Deed, write_down_in};
use super::{KeyError, KeyOwner, NewKey, Settings, require_enabled_supplier_in, status_text, stay_in};
use crate::accounts::rights::Member;
use crate::connections::again;
use crate::ids::{AccountId, KeyId, UserId};
use crate::keys::secret::{KeySecret, Pepper};
use crate::operators::rights::Operator;
use sqlx::{PgConnection, PgPool};

/// Inserts a key, in the name of the account's user. The secret is returned this once and stored only as a hash.
pub async fn insert_key(
    db: &PgPool,
    operator: Operator,
    account_id: AccountId,
    created_by: UserId,
    pepper: &Pepper,
    new: NewKey,
) -> Result<(KeyId, KeySecret), KeyError> {
    again(|| insert_by_operator(db, operator, account_id, created_by, pepper, &new)).await
}

async fn insert_by_operator(
    db: &PgPool,
    operator: Operator,
    account_id: AccountId,
    created_by: UserId,
    pepper: &Pepper,
    new: &NewKey,
) -> Result<(KeyId, KeySecret), KeyError> {
    let key_id = KeyId::generate();
    let after = Settings::of_new(account_id, new);
    let mut tx = db.begin().await?;
    // A fresh id that is taken already is not a key we made.
    let secret = insert_key_in(&mut tx, key_id, account_id, created_by, pepper, new).await?.ok_or(KeyError::NotFound)?;
    let deed = Deed::created(account_id, key_id, &after);
    write_down_in(&mut tx, KeyOwner::Operator(operator), deed).await?;
    tx.commit().await?;
    Ok((key_id, secret))
}

/// Inserts a member's key under an id made with the form; none when that key exists already, because the form was posted before.
pub async fn insert_key_once(
    db: &PgPool,
    member: &Member,
    key_id: KeyId,
    pepper: &Pepper,
    new: NewKey,
) -> Result<Option<KeySecret>, KeyError> {
    again(|| insert_by_member(db, member, key_id, pepper, &new)).await
}

async fn insert_by_member(
    db: &PgPool,
    member: &Member,
    key_id: KeyId,
    pepper: &Pepper,
    new: &NewKey,
) -> Result<Option<KeySecret>, KeyError> {
    let mut tx = db.begin().await?;
    stay_in(&mut tx, member).await?;
    let after = Settings::of_new(member.account_id(), new);
    let secret = insert_key_in(&mut tx, key_id, member.account_id(), member.user_id(), pepper, new).await?;
    if secret.is_some() {
        write_down_in(&mut tx, KeyOwner::Member(member), Deed::created(member.account_id(), key_id, &after)).await?;
    }
    tx.commit().await?;
    Ok(secret)
}

/// None when there is a key with this id.
async fn insert_key_in(
    tx: &mut PgConnection,
    key_id: KeyId,
    account_id: AccountId,
    created_by: UserId,
    pepper: &Pepper,
    new: &NewKey,
) -> Result<Option<KeySecret>, KeyError> {
    let secret = KeySecret::generate();
    if let Some(supplier_id) = new.supplier_id {
        require_enabled_supplier_in(tx, supplier_id).await?;
    }
    let inserted = sqlx::query!(
        "INSERT INTO api_keys (key_id, account_id, created_by, name, secret_hash, secret_hint, supplier_id, quota, expires_at, status)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT ON CONSTRAINT api_keys_pkey DO NOTHING",
        key_id.0,
        account_id.0,
        created_by.0,
        new.name.as_str(),
        &secret.hash(pepper),
        secret.hint(),
        new.supplier_id.map(|id| id.0),
        new.quota.map(|quota| quota.0),
        new.expires_at,
        status_text(new.enabled)
    )
    .execute(tx)
    .await?
    .rows_affected();
    Ok((inserted == 1).then_some(secret))
}
