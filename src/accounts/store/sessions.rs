//! SQL about a user's sessions as the user sees them: what is signed in, since when, and how it is ended. Their data is
//! `session_store`'s.

use super::AccountError;
use crate::accounts::rights::Member;
use crate::accounts::types_settings::SessionView;
use crate::ids::UserId;
use crate::utc::UtcTime;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// The user's sessions, the last seen first. `current` is the hash of the asking one.
pub async fn sessions_of(db: &PgPool, member: &Member, current: &[u8]) -> Result<Vec<SessionView>, AccountError> {
    let rows = sqlx::query!(
        r#"SELECT session_id, data->>'device' AS device, last_seen_at, created_at, session_hash = $2 AS "current!"
             FROM sessions WHERE user_id = $1 AND data ? 'user_id' AND expires_at > now() ORDER BY last_seen_at DESC, session_id LIMIT 100"#,
        member.user_id().0,
        current
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
pub async fn delete_session(db: &PgPool, member: &Member, session_id: Uuid) -> Result<(), AccountError> {
    let ended = sqlx::query!("DELETE FROM sessions WHERE session_id = $1 AND user_id = $2", session_id, member.user_id().0).execute(db);
    if ended.await?.rows_affected() == 0 { Err(AccountError::NotFound) } else { Ok(()) }
}

/// Ends every session of a user.
pub async fn delete_sessions_in(tx: &mut PgConnection, user_id: UserId) -> Result<(), AccountError> {
    sqlx::query!("DELETE FROM sessions WHERE user_id = $1", user_id.0).execute(tx).await?;
    Ok(())
}

/// Ends all of the user's sessions but the asking one.
pub async fn delete_other_sessions(db: &PgPool, member: &Member, current: &[u8]) -> Result<(), AccountError> {
    sqlx::query!("DELETE FROM sessions WHERE user_id = $1 AND session_hash <> $2", member.user_id().0, current).execute(db).await?;
    Ok(())
}
