//! What is remembered of calls that were sent under an Idempotency-Key; `admit_calls()` writes their rows and reads them.

use super::LedgerError;
use crate::ids::RequestId;
use sqlx::PgPool;

/// Keeps the answer of a call, if it was sent under a key.
pub async fn keep_answer(db: &PgPool, request_id: RequestId, answer: &[u8]) -> Result<(), LedgerError> {
    sqlx::query!("UPDATE idempotent_calls SET answer = $2 WHERE request_id = $1", request_id.0, answer).execute(db).await?;
    Ok(())
}

/// The answer that was kept of a call.
pub async fn kept_answer(db: &PgPool, request_id: RequestId) -> Result<Option<Vec<u8>>, LedgerError> {
    let answer = sqlx::query_scalar!("SELECT answer FROM idempotent_calls WHERE request_id = $1", request_id.0);
    Ok(answer.fetch_optional(db).await?.flatten())
}

/// Lets a call be sent again under its key.
pub async fn forget_idempotent_call(db: &PgPool, request_id: RequestId) -> Result<(), LedgerError> {
    sqlx::query!("DELETE FROM idempotent_calls WHERE request_id = $1", request_id.0).execute(db).await?;
    Ok(())
}

/// Forgets calls after their day. Returns how many.
pub async fn forget_old_idempotent_calls(db: &PgPool) -> Result<u64, LedgerError> {
    let gone = sqlx::query!("DELETE FROM idempotent_calls WHERE created_at < now() - interval '24 hours'").execute(db).await?;
    Ok(gone.rows_affected())
}
