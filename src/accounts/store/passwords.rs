//! SQL about passwords: setting a forgotten one by a link, changing a known one. Either ends every session of the user.

use super::addresses::set_verified_in;
use super::sessions::give_up_session_in;
use super::tokens::{Of, email_of_token, issue_token_in, revoke_tokens_in, take_token_in};
use super::{AccountError, SignIn, check_password, set_password_in};
use crate::accounts::letters;
use crate::accounts::mail_token::{MailToken, Purpose};
use crate::accounts::password;
use crate::accounts::rights::{Origin, Reader};
use crate::accounts::types::{Email, Password};
use crate::connections::again;
use crate::ids::UserId;
use crate::journal::record::{Actor, Entry, record_of_user_in};
use crate::journal::types::Kind;
use crate::mail::outbox::Outbox;
use sqlx::PgPool;

/// Sends the user of this address a link, if there is one. Whoever asked cannot tell, as long as nobody makes them wait for this.
pub async fn send_reset(db: &PgPool, outbox: &Outbox, email: &Email) -> Result<(), AccountError> {
    let mut tx = db.begin().await?;
    let user = sqlx::query_scalar!("SELECT user_id FROM users WHERE email = $1 AND suspended_at IS NULL", email.as_str());
    let Some(user_id) = user.fetch_optional(&mut *tx).await? else { return Ok(()) };
    let token = issue_token_in(&mut tx, Purpose::Reset, UserId(user_id), email).await?;
    outbox.post_in(&mut tx, email, || letters::reset_password(outbox, &token)).await?;
    tx.commit().await?;
    Ok(())
}

/// Sets the password of the user whom the link was sent to, ends their sessions and whatever other link they had, and tells them.
/// Returns the address.
pub async fn reset_password(
    db: &PgPool,
    outbox: &Outbox,
    token: &MailToken,
    password: Password,
    origin: &Origin,
) -> Result<Email, AccountError> {
    // Asked first: hashing is dear.
    let email = email_of_token(db, token, Purpose::Reset).await?;
    password::refuse_common(&password, &email).await?;
    let password_hash = password::hash(password).await?;
    again(|| reset_password_once(db, outbox, token, &password_hash, origin)).await
}

async fn reset_password_once(
    db: &PgPool,
    outbox: &Outbox,
    token: &MailToken,
    password_hash: &str,
    origin: &Origin,
) -> Result<Email, AccountError> {
    let mut tx = db.begin().await?;
    let taken = take_token_in(&mut tx, token, &[Purpose::Reset]).await?;
    let Of::User(user_id) = taken.of else { return Err(AccountError::LinkOver) };
    set_password_in(&mut tx, user_id, password_hash).await?;
    revoke_tokens_in(&mut tx, user_id).await?;
    set_verified_in(&mut tx, user_id, &taken.email).await?;
    outbox.post_in(&mut tx, &taken.email, || letters::password_changed(outbox)).await?;
    record_of_user_in(&mut tx, user_id, Actor::User(user_id, origin), Entry::of(Kind::PasswordReset)).await?;
    tx.commit().await?;
    Ok(taken.email)
}

/// Replaces a password that the user knows, ends all their sessions, this one too, and tells them. They may sign in with what comes back:
/// `session_hash` is of the asking session, which must be there still. Hashing takes a while, and whoever signed out meanwhile is out.
pub async fn change_password(
    db: &PgPool,
    outbox: &Outbox,
    member: &Reader,
    session_hash: &[u8],
    current: Password,
    password: Password,
) -> Result<SignIn, AccountError> {
    check_password(db, member.user_id(), current).await?;
    password::refuse_common(&password, member.email()).await?;
    let password_hash = password::hash(password).await?;
    again(|| change_password_once(db, outbox, member, session_hash, &password_hash)).await
}

async fn change_password_once(
    db: &PgPool,
    outbox: &Outbox,
    member: &Reader,
    session_hash: &[u8],
    password_hash: &str,
) -> Result<SignIn, AccountError> {
    let mut tx = db.begin().await?;
    revoke_tokens_in(&mut tx, member.user_id()).await?;
    give_up_session_in(&mut tx, member.user_id(), session_hash).await?;
    let who = set_password_in(&mut tx, member.user_id(), password_hash).await?;
    outbox.post_in(&mut tx, member.email(), || letters::password_changed(outbox)).await?;
    record_of_user_in(&mut tx, member.user_id(), Actor::of(member), Entry::of(Kind::PasswordChanged)).await?;
    tx.commit().await?;
    Ok(who)
}

#[cfg(test)]
#[path = "passwords_tests.rs"]
mod tests;
