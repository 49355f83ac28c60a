//! The key that API keys, codes and recovery codes are hashed with: made once for a database, kept there sealed, the same for ever.

use crate::seal::{Seal, SealError, SecretKeys};
use secrecy::{ExposeSecret, SecretBox};
use sqlx::PgPool;
use std::sync::Arc;
use uuid::Uuid;

const PLACE: &[u8] = b"hash_keys.key_sealed";

#[derive(Clone)]
pub struct HashKey(Arc<SecretBox<[u8; 32]>>);

#[derive(Debug, thiserror::Error)]
pub enum HashKeyError {
    #[error(
        "TOKI_SECRET_KEY is not the key that this database was used with; set that one, or, if you replace it, set it as TOKI_SECRET_KEY_OLD beside the new one"
    )]
    WrongKey,
    #[error(
        "this database is from before TOKI_SECRET_KEY could be replaced; start once with the key that it was used with, and without TOKI_SECRET_KEY_OLD"
    )]
    Undecided,
    #[error("the key that hashes are made with could not be sealed")]
    Sealing(#[from] SealError),
    #[error("database failed")]
    Db(#[from] sqlx::Error),
}

impl HashKey {
    /// The key of a database, which gets one where it has none. Replicas that start at the same time agree on one.
    pub async fn of(db: &PgPool, keys: SecretKeys<'_>) -> Result<HashKey, HashKeyError> {
        if let Some(hash_key) = HashKey::find(db, keys).await? {
            return Ok(hash_key);
        }
        let made = first(db, keys).await?;
        let sealed = sealer(keys).seal(PLACE, &made)?;
        let insert = sqlx::query!(
            "INSERT INTO hash_keys (hash_key_id, key_sealed) VALUES ($1, $2) ON CONFLICT ON CONSTRAINT hash_keys_pkey DO NOTHING",
            Uuid::nil(),
            sealed
        );
        insert.execute(db).await?;
        HashKey::find(db, keys).await?.ok_or(HashKeyError::WrongKey)
    }

    /// The key of a database, if it has one.
    pub async fn find(db: &PgPool, keys: SecretKeys<'_>) -> Result<Option<HashKey>, HashKeyError> {
        let Some(sealed) = sqlx::query_scalar!("SELECT key_sealed FROM hash_keys").fetch_optional(db).await? else { return Ok(None) };
        let plain = sealer(keys).open(PLACE, &sealed).map_err(|_| HashKeyError::WrongKey)?;
        let bytes = <[u8; 32]>::try_from(plain).map_err(|_| HashKeyError::WrongKey)?;
        Ok(Some(HashKey(Arc::new(SecretBox::new(Box::new(bytes))))))
    }

    pub fn bytes(&self) -> &[u8; 32] {
        self.0.expose_secret()
    }
}

pub fn reseal(keys: SecretKeys<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    sealer(keys).reseal(PLACE, sealed)
}

fn sealer(keys: SecretKeys<'_>) -> Seal {
    Seal::derive(keys, b"toki hash key v1")
}

/// A random one, so that TOKI_SECRET_KEY alone tells nothing of hashes; but where there are some already, they were made with that.
async fn first(db: &PgPool, keys: SecretKeys<'_>) -> Result<[u8; 32], HashKeyError> {
    let used = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM api_keys) OR EXISTS (SELECT FROM codes) OR EXISTS (SELECT FROM recovery_codes) AS "used!""#
    );
    match (used.fetch_one(db).await?, keys.old) {
        (false, _) => Ok(rand::random()),
        (true, None) => Ok(*keys.current),
        (true, Some(_)) => Err(HashKeyError::Undecided),
    }
}
