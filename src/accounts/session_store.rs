//! The sessions of tower-sessions in our own Postgres. The id is hashed at rest, and `save` only ever updates: a request that is
//! still in flight when its user signs out cannot bring the session back.

use crate::accounts::rights::Reader;
use crate::accounts::store::ReaderRow;
use crate::connections::Connections;
use crate::wallet::store::StandingRow;
use crate::wallet::types::Standing;
use async_trait::async_trait;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use sqlx::types::Json;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use tower_sessions::SessionStore;
use tower_sessions::cookie::time::OffsetDateTime;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};
use uuid::Uuid;

/// However often it is used: whoever signed in signs in again after that.
const LONGEST_DAYS: i32 = 14;
/// Without a visit.
pub const IDLE_DAYS: i32 = 7;

#[derive(Clone, Debug)]
pub struct PgSessionStore {
    db: Connections,
}

impl PgSessionStore {
    pub fn new(db: impl Into<Connections>) -> PgSessionStore {
        PgSessionStore { db: db.into() }
    }
}

tokio::task_local! {
    static FOUND: Found;
}

/// Whom the session of a page stands for, and how their account does, read in the statement that loaded it: every page says both.
#[derive(Clone, Default)]
pub struct Found(Arc<OnceLock<Option<(Reader, Standing)>>>);

impl Found {
    /// Runs what is the first to look into the session, and keeps what that finds.
    pub async fn while_loading<F: Future>(&self, first_look: F) -> F::Output {
        FOUND.scope(self.clone(), first_look).await
    }

    /// None where no session was loaded, or it cannot be told.
    pub fn reader(&self) -> Option<Option<&Reader>> {
        Some(self.0.get()?.as_ref().map(|(reader, _)| reader))
    }

    /// None where it was not found with this reader, in this account.
    pub fn standing_of(&self, reader: &Reader) -> Option<&Standing> {
        let (found, standing) = self.0.get()?.as_ref()?;
        (found.account_id() == reader.account_id()).then_some(standing)
    }
}

/// Deletes what is past its time. Returns how many.
pub async fn delete_expired_sessions(db: &PgPool) -> sqlx::Result<u64> {
    let over = sqlx::query!("DELETE FROM sessions WHERE expires_at < now() OR last_seen_at < now() - make_interval(days => $1)", IDLE_DAYS);
    Ok(over.execute(db).await?.rows_affected())
}

/// Under which a session is stored.
pub fn digest(id: &Id) -> Vec<u8> {
    Sha256::digest(id.0.to_be_bytes()).to_vec()
}

/// Whose session it is, theirs who are yet to give a second factor included: it ends when their others do.
fn user_of(record: &Record) -> Option<Uuid> {
    let half = || record.data.get("half_signed_in")?.get("user_id");
    record.data.get("user_id").or_else(half).and_then(|id| id.as_str()).and_then(|id| Uuid::try_parse(id).ok())
}

fn expiry(record: &Record) -> Result<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::from_timestamp(record.expiry_date.unix_timestamp(), 0).ok_or_else(|| Error::Encode("expiry out of range".into()))
}

fn backend(error: sqlx::Error) -> Error {
    Error::Backend(error.to_string())
}

#[async_trait]
impl SessionStore for PgSessionStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        // A collision of two random 128-bit ids fails on the primary key, and the request with it.
        sqlx::query!(
            "INSERT INTO sessions (session_hash, user_id, data, expires_at) VALUES ($1, $2, $3, least($4, now() + make_interval(days => $5)))",
            digest(&record.id),
            user_of(record),
            Json(&record.data) as _,
            expiry(record)?,
            LONGEST_DAYS
        )
        .execute(&self.db)
        .await
        .map_err(backend)?;
        Ok(())
    }

    async fn save(&self, record: &Record) -> Result<()> {
        // A sign-in makes a new session, and so lasts two weeks: what is written into it makes it no younger.
        sqlx::query!(
            "UPDATE sessions
                SET user_id = $2, data = $3, expires_at = least($4, created_at + make_interval(days => $5)), last_seen_at = now()
              WHERE session_hash = $1",
            digest(&record.id),
            user_of(record),
            Json(&record.data) as _,
            expiry(record)?,
            LONGEST_DAYS
        )
        .execute(&self.db)
        .await
        .map_err(backend)?;
        Ok(())
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        // Where it is for no page, nobody listens.
        let found = FOUND.try_with(Found::clone).ok();
        let row = sqlx::query!(
            r#"SELECT s.data AS "data: Json<HashMap<String, serde_json::Value>>", s.expires_at,
                      s.last_seen_at < now() - interval '1 minute' AS "unseen!", r.user_id AS "user_id?", r.email AS "email?",
                      r.operator AS "operator?", r.account_id AS "account_id?", r.role AS "role?", r.verified AS "verified?",
                      r.two_factor AS "two_factor?", r.several_accounts AS "several_accounts?",
                      w.balance AS "balance!", w.brought AS "brought!", w.ending AS "ending!", w.ends_at, w.ever AS "ever!"
                 FROM sessions s
                 LEFT JOIN LATERAL readers((s.data ->> 'user_id')::uuid, coalesce((s.data ->> 'epoch')::integer, 0),
                                           (s.data ->> 'account_id')::uuid) r ON true,
                      LATERAL standings(CASE WHEN $3 THEN r.account_id END) w
                WHERE s.session_hash = $1 AND s.expires_at > now() AND s.last_seen_at > now() - make_interval(days => $2)"#,
            digest(id),
            IDLE_DAYS,
            found.is_some()
        )
        .fetch_optional(&self.db)
        .await
        .map_err(backend)?;
        if row.as_ref().is_some_and(|row| row.unseen) {
            // Once a minute is often enough for a list that people read.
            let seen = sqlx::query!("UPDATE sessions SET last_seen_at = now() WHERE session_hash = $1", digest(id));
            seen.execute(&self.db).await.map_err(backend)?;
        }
        let Some(row) = row else { return Ok(None) };
        let reader = || {
            Some(ReaderRow {
                user_id: row.user_id?,
                email: row.email?,
                operator: row.operator?,
                account_id: row.account_id?,
                role: row.role?,
                verified: row.verified?,
                two_factor: row.two_factor?,
                several_accounts: row.several_accounts?,
            })
        };
        let standing = StandingRow { balance: row.balance, brought: row.brought, ending: row.ending, ends_at: row.ends_at, ever: row.ever };
        // One that this program cannot make out is for whoever asks for the reader to fail on: a session can be left all the same.
        if let Some(found) = found
            && let Ok(reader) = reader().map(ReaderRow::reader).transpose()
        {
            let _ = found.0.set(reader.map(|reader| (reader, standing.standing())));
        }
        let expiry_date = OffsetDateTime::from_unix_timestamp(row.expires_at.timestamp()).map_err(|e| Error::Decode(e.to_string()))?;
        Ok(Some(Record { id: *id, data: row.data.0, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        sqlx::query!("DELETE FROM sessions WHERE session_hash = $1", digest(id)).execute(&self.db).await.map_err(backend)?;
        Ok(())
    }
}
