//! SQL about the tokens in mails: made with the letter that carries them, taken once.

use super::AccountError;
use crate::accounts::mail_token::{MailToken, Purpose};
use crate::accounts::types::Email;
use crate::ids::UserId;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

/// What a token stood for, once it is taken.
#[derive(Debug)]
pub struct Taken {
    pub purpose: Purpose,
    /// The mailbox that it was sent to.
    pub email: Email,
    pub of: Of,
}

#[derive(Debug)]
pub enum Of {
    User(UserId),
    SignUp { sign_up_id: Uuid, password_hash: String },
}

/// A token for a user. The one of this purpose before it is worth nothing any more.
pub async fn issue_token_in(tx: &mut PgConnection, purpose: Purpose, user_id: UserId, email: &Email) -> Result<MailToken, AccountError> {
    let token = MailToken::generate();
    sqlx::query!(
        "INSERT INTO mail_tokens (token_hash, purpose, user_id, email, expires_at)
         VALUES ($1, $2, $3, $4, now() + $5::bigint * interval '1 second')
         ON CONFLICT (user_id, purpose) WHERE used_at IS NULL
         DO UPDATE SET token_hash = excluded.token_hash, email = excluded.email, created_at = now(), expires_at = excluded.expires_at",
        &token.hash()[..],
        purpose.as_str(),
        user_id.0,
        email.as_str(),
        purpose.lives_for().num_seconds()
    )
    .execute(tx)
    .await?;
    Ok(token)
}

/// A token that makes a user when it is taken. Until then the address is anybody's.
pub async fn issue_sign_up_token_in(
    tx: &mut PgConnection,
    sign_up_id: Uuid,
    email: &Email,
    password_hash: &str,
) -> Result<MailToken, AccountError> {
    let token = MailToken::generate();
    sqlx::query!(
        "INSERT INTO mail_tokens (token_hash, purpose, sign_up_id, email, password_hash, expires_at)
         VALUES ($1, $2, $3, $4, $5, now() + $6::bigint * interval '1 second')",
        &token.hash()[..],
        Purpose::SignUp.as_str(),
        sign_up_id,
        email.as_str(),
        password_hash,
        Purpose::SignUp.lives_for().num_seconds()
    )
    .execute(tx)
    .await?;
    Ok(token)
}

/// Takes a token for one of these purposes, once: of any number at the same time one finds it, and the others when that one fails.
pub async fn take_token_in(tx: &mut PgConnection, token: &MailToken, purposes: &[Purpose]) -> Result<Taken, AccountError> {
    let row = sqlx::query!(
        "UPDATE mail_tokens SET used_at = now()
          WHERE token_hash = $1 AND purpose = ANY($2) AND used_at IS NULL AND expires_at > now()
          RETURNING purpose, user_id, email, sign_up_id, password_hash",
        &token.hash()[..],
        &purposes.iter().map(|purpose| purpose.as_str().to_string()).collect::<Vec<_>>()
    )
    .fetch_optional(tx)
    .await?
    .ok_or(AccountError::LinkOver)?;
    let of = match (row.user_id, row.sign_up_id, row.password_hash) {
        (Some(user_id), ..) => Of::User(UserId(user_id)),
        (None, Some(sign_up_id), Some(password_hash)) => Of::SignUp { sign_up_id, password_hash },
        // A constraint of the table rules it out.
        _ => return Err(AccountError::LinkOver),
    };
    let purpose = Purpose::parse(&row.purpose).ok_or(AccountError::LinkOver)?;
    let email = Email::parse(&row.email).map_err(|_| AccountError::LinkOver)?;
    Ok(Taken { purpose, email, of })
}

/// The address of a token that could be taken for this purpose, and is left.
pub async fn email_of_token(db: impl PgExecutor<'_>, token: &MailToken, purpose: Purpose) -> Result<Email, AccountError> {
    let email = sqlx::query_scalar!(
        "SELECT email FROM mail_tokens WHERE token_hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > now()",
        &token.hash()[..],
        purpose.as_str()
    );
    let email = email.fetch_optional(db).await?.ok_or(AccountError::LinkOver)?;
    Email::parse(&email).map_err(|_| AccountError::LinkOver)
}

/// Whoever changed the password, or lost the address, is not to be undone by a link from before.
pub async fn revoke_tokens_in(tx: &mut PgConnection, user_id: UserId) -> Result<(), AccountError> {
    sqlx::query!("DELETE FROM mail_tokens WHERE user_id = $1 AND used_at IS NULL", user_id.0).execute(tx).await?;
    Ok(())
}

/// Deletes what is past its time. Returns how many.
pub async fn delete_expired_tokens(db: &PgPool) -> sqlx::Result<u64> {
    Ok(sqlx::query!("DELETE FROM mail_tokens WHERE expires_at < now() - interval '1 day'").execute(db).await?.rows_affected())
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
