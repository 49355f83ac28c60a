//! SQL about the addresses of users: signing up with one, confirming it, replacing it. Every letter is posted in the transaction of its
//! cause.

use super::tokens::{Of, issue_sign_up_token_in, issue_token_in, revoke_tokens_in, take_token_in};
use super::{AccountError, NewAccount, check_password, insert_account_in};
use crate::accounts::letters;
use crate::accounts::mail_token::{MailToken, Purpose};
use crate::accounts::password::{self, Place};
use crate::accounts::rights::{Origin, Reader};
use crate::accounts::types::{Email, Password};
use crate::connections::again;
use crate::ids::UserId;
use crate::journal::record::{Actor, Entry, record_of_user_in};
use crate::journal::types::Kind;
use crate::mail::outbox::Outbox;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// What a link confirmed.
#[derive(Debug, PartialEq, Eq)]
pub enum Confirmed {
    Address,
    /// A sign-up, whose browser may be signed in.
    SignUp {
        sign_up_id: Uuid,
        user_id: UserId,
    },
}

/// Makes a user and an account of their own, whose address is to be confirmed while they use it.
pub async fn sign_up_at_once(
    db: &PgPool,
    outbox: &Outbox,
    email: &Email,
    password: Password,
    origin: &Origin,
) -> Result<NewAccount, AccountError> {
    let password_hash = password::hash(password).await?;
    let mut tx = db.begin().await?;
    let new = insert_account_in(&mut tx, email, &password_hash, false).await?;
    record_of_user_in(&mut tx, new.user_id, Actor::User(new.user_id, origin), Entry::of(Kind::AccountCreated)).await?;
    ask_to_confirm_in(&mut tx, outbox, new.user_id, email).await?;
    tx.commit().await?;
    Ok(new)
}

/// Signs up by mail: the owner of the address gets a link, or, having an account, is told that. Whoever asked cannot tell which, as long
/// as nobody makes them wait for this. They were told that mail is coming, and so have a place where passwords are hashed.
pub async fn sign_up_by_mail(
    db: &PgPool,
    outbox: &Outbox,
    sign_up_id: Uuid,
    email: &Email,
    password: Password,
    place: Place,
) -> Result<(), AccountError> {
    let password_hash = password::hash_promised(place, password).await?;
    let mut tx = db.begin().await?;
    let known = sqlx::query_scalar!("SELECT user_id FROM users WHERE email = $1", email.as_str()).fetch_optional(&mut *tx).await?.is_some();
    let token = if known { None } else { Some(issue_sign_up_token_in(&mut tx, sign_up_id, email, &password_hash).await?) };
    let letter = || token.map_or_else(|| letters::account_exists(outbox), |token| letters::confirm_sign_up(outbox, &token));
    outbox.post_in(&mut tx, email, letter).await?;
    tx.commit().await?;
    Ok(())
}

/// Sends a user the link that confirms their address, unless it is.
pub async fn send_confirmation(db: &PgPool, outbox: &Outbox, member: &Reader) -> Result<(), AccountError> {
    if member.is_verified() {
        return Ok(());
    }
    let mut tx = db.begin().await?;
    ask_to_confirm_in(&mut tx, outbox, member.user_id(), member.email()).await?;
    tx.commit().await?;
    Ok(())
}

async fn ask_to_confirm_in(tx: &mut PgConnection, outbox: &Outbox, user_id: UserId, email: &Email) -> Result<(), AccountError> {
    let token = issue_token_in(tx, Purpose::Verify, user_id, email).await?;
    outbox.post_in(tx, email, || letters::confirm_address(outbox, &token)).await?;
    Ok(())
}

/// Asks the next address to confirm, and tells the present one. The next one's owner, having an account, is told that instead, and whoever
/// asked learns nothing.
pub async fn ask_email_change(
    db: &PgPool,
    outbox: &Outbox,
    member: &Reader,
    email: &Email,
    password: Password,
) -> Result<(), AccountError> {
    check_password(db, member.user_id(), password).await?;
    let mut tx = db.begin().await?;
    let known = sqlx::query_scalar!("SELECT user_id FROM users WHERE email = $1", email.as_str()).fetch_optional(&mut *tx).await?.is_some();
    let token = if known { None } else { Some(issue_token_in(&mut tx, Purpose::ChangeEmail, member.user_id(), email).await?) };
    let letter = || token.map_or_else(|| letters::account_exists(outbox), |token| letters::confirm_new_address(outbox, &token));
    outbox.post_in(&mut tx, email, letter).await?;
    outbox.post_in(&mut tx, member.email(), || letters::address_change_asked(outbox)).await?;
    // Which address it is, is the user's alone until it is theirs: admins of all their accounts read this.
    record_of_user_in(&mut tx, member.user_id(), Actor::of(member), Entry::of(Kind::EmailAsked)).await?;
    tx.commit().await?;
    Ok(())
}

/// Takes a link that confirms something, and does what it confirms.
pub async fn confirm(db: &PgPool, outbox: &Outbox, token: &MailToken, origin: &Origin) -> Result<Confirmed, AccountError> {
    again(|| confirm_once(db, outbox, token, origin)).await
}

async fn confirm_once(db: &PgPool, outbox: &Outbox, token: &MailToken, origin: &Origin) -> Result<Confirmed, AccountError> {
    let mut tx = db.begin().await?;
    let taken = take_token_in(&mut tx, token, &[Purpose::SignUp, Purpose::Verify, Purpose::ChangeEmail]).await?;
    let confirmed = match taken.of {
        Of::SignUp { sign_up_id, password_hash } => {
            let new = insert_account_in(&mut tx, &taken.email, &password_hash, false).await?;
            set_verified_in(&mut tx, new.user_id, &taken.email).await?;
            record_of_user_in(&mut tx, new.user_id, Actor::User(new.user_id, origin), Entry::of(Kind::AccountCreated)).await?;
            Confirmed::SignUp { sign_up_id, user_id: new.user_id }
        }
        Of::User(user_id) => {
            let changes = taken.purpose == Purpose::ChangeEmail;
            if changes {
                replace_email_in(&mut tx, outbox, user_id, &taken.email).await?;
            }
            set_verified_in(&mut tx, user_id, &taken.email).await?;
            let entry = Entry::of(if changes { Kind::EmailChanged } else { Kind::EmailConfirmed }).about_user(user_id);
            record_of_user_in(&mut tx, user_id, Actor::User(user_id, origin), entry).await?;
            Confirmed::Address
        }
    };
    tx.commit().await?;
    Ok(confirmed)
}

/// Whoever has read mail at this address has it. Says nothing about another address that the user has meanwhile.
pub async fn set_verified_in(tx: &mut PgConnection, user_id: UserId, email: &Email) -> Result<(), AccountError> {
    sqlx::query!("UPDATE users SET email_verified_at = now() WHERE user_id = $1 AND email = $2", user_id.0, email.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

async fn replace_email_in(tx: &mut PgConnection, outbox: &Outbox, user_id: UserId, email: &Email) -> Result<(), AccountError> {
    let old = sqlx::query_scalar!("SELECT email FROM users WHERE user_id = $1 FOR UPDATE", user_id.0).fetch_one(&mut *tx).await?;
    // While it is theirs still: it says in which language they read.
    let old_address = Email::parse(&old).map_err(|_| AccountError::NotFound)?;
    outbox.post_in(tx, &old_address, || letters::address_changed(email)).await?;
    sqlx::query!("UPDATE users SET email = $2 WHERE user_id = $1", user_id.0, email.as_str()).execute(&mut *tx).await?;
    sqlx::query!(
        "UPDATE accounts SET name = $2 FROM members m
          WHERE m.account_id = accounts.account_id AND m.user_id = $1 AND m.role = 'owner' AND accounts.name = $3",
        user_id.0,
        email.as_str(),
        old
    )
    .execute(&mut *tx)
    .await?;
    // Links that were sent to the old address are its reader's.
    revoke_tokens_in(tx, user_id).await?;
    Ok(())
}

#[cfg(test)]
#[path = "addresses_tests.rs"]
mod tests;
