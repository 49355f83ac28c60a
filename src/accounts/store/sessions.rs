//! SQL about a user's sessions as the user sees them: what is signed in, since when, and how it is ended. Their data is
//! `session_store`'s.

use super::{AccountError, SignIn};
use crate::accounts::rights::{Origin, Reader};
use crate::accounts::session_store::IDLE_DAYS;
use crate::accounts::types::Email;
use crate::accounts::types_settings::SessionView;
use crate::connections::again;
use crate::ids::UserId;
use crate::journal::record::{Actor, Entry, record_of_user_in};
use crate::journal::types::Kind;
use crate::utc::UtcTime;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

/// Writes down that a user signed in by the password alone, or out, or was refused.
pub async fn note_access(db: &PgPool, user_id: UserId, kind: Kind, origin: &Origin) -> Result<(), AccountError> {
    let mut tx = db.begin().await?;
    record_of_user_in(&mut tx, user_id, Actor::User(user_id, origin), Entry::of(kind)).await?;
    tx.commit().await?;
    Ok(())
}

/// Writes down that somebody had a user's address and not their password; nothing, where no user has it.
pub async fn note_refusal(db: &PgPool, email: &Email, origin: &Origin) -> Result<(), AccountError> {
    let user = sqlx::query_scalar!("SELECT user_id FROM users WHERE email = $1", email.as_str()).fetch_optional(db).await?;
    let Some(user_id) = user else { return Ok(()) };
    note_access(db, UserId(user_id), Kind::PasswordRefused, origin).await
}

/// The user's sessions, the last seen first. `current` is the hash of the asking one.
pub async fn sessions_of(db: impl PgExecutor<'_>, member: &Reader, current: &[u8]) -> Result<Vec<SessionView>, AccountError> {
    let rows = sqlx::query!(
        r#"SELECT session_id, data->>'device' AS device, last_seen_at, created_at, session_hash = $2 AS "current!"
             FROM sessions
            WHERE user_id = $1 AND data ? 'user_id' AND expires_at > now() AND last_seen_at > now() - make_interval(days => $3)
            ORDER BY last_seen_at DESC, session_id LIMIT 100"#,
        member.user_id().0,
        current,
        IDLE_DAYS
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|row| SessionView {
            session_id: row.session_id.to_string(),
            device: row.device.unwrap_or_default(),
            signed_in: UtcTime::from(row.created_at),
            last_seen: UtcTime::from(row.last_seen_at),
            current: row.current,
        })
        .collect())
}

/// Ends one of the user's sessions.
pub async fn delete_session(db: &PgPool, member: &Reader, session_id: Uuid) -> Result<(), AccountError> {
    again(|| async {
        let mut tx = db.begin().await?;
        let ended = sqlx::query!(
            r#"DELETE FROM sessions WHERE session_id = $1 AND user_id = $2 RETURNING data->>'device' AS device"#,
            session_id,
            member.user_id().0
        );
        let ended = ended.fetch_optional(&mut *tx).await?.ok_or(AccountError::NotFound)?;
        let device = ended.device.unwrap_or_default();
        let entry = Entry::of(Kind::SessionEnded).about(session_id, &device);
        record_of_user_in(&mut tx, member.user_id(), Actor::of(member), entry).await?;
        tx.commit().await?;
        Ok(())
    })
    .await
}

/// Ends every session of a user, and the sign-ins that are under way. Whoever did it may sign in with what comes back.
pub async fn delete_sessions_in(tx: &mut PgConnection, user_id: UserId) -> Result<SignIn, AccountError> {
    let epoch =
        sqlx::query_scalar!("UPDATE users SET session_epoch = session_epoch + 1 WHERE user_id = $1 RETURNING session_epoch", user_id.0);
    let epoch = epoch.fetch_optional(&mut *tx).await?.ok_or(AccountError::NotFound)?;
    sqlx::query!("DELETE FROM sessions WHERE user_id = $1", user_id.0).execute(tx).await?;
    Ok(SignIn { user_id, epoch })
}

/// Ends the session that a request began with, for it to go on as another. Refused when that one ended meanwhile, whoever ended it, or its
/// user is suspended. Being there, it is of the epoch that it began in: what begins another deletes them all, and locks the user first too.
pub(super) async fn give_up_session_in(tx: &mut PgConnection, user_id: UserId, session_hash: &[u8]) -> Result<(), AccountError> {
    let user = sqlx::query!("SELECT user_id FROM users WHERE user_id = $1 AND suspended_at IS NULL FOR NO KEY UPDATE", user_id.0);
    user.fetch_optional(&mut *tx).await?.ok_or(AccountError::SignedOut)?;
    let given_up = sqlx::query!("DELETE FROM sessions WHERE session_hash = $1 AND user_id = $2", session_hash, user_id.0);
    if given_up.execute(tx).await?.rows_affected() == 1 { Ok(()) } else { Err(AccountError::SignedOut) }
}

/// Ends all of the user's sessions but the asking one.
pub async fn delete_other_sessions(db: &PgPool, member: &Reader, current: &[u8]) -> Result<(), AccountError> {
    again(|| async {
        let mut tx = db.begin().await?;
        let ended = sqlx::query!("DELETE FROM sessions WHERE user_id = $1 AND session_hash <> $2", member.user_id().0, current);
        ended.execute(&mut *tx).await?;
        record_of_user_in(&mut tx, member.user_id(), Actor::of(member), Entry::of(Kind::OtherSessionsEnded)).await?;
        tx.commit().await?;
        Ok(())
    })
    .await
}
