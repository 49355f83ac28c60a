//! SQL about invitations: a link by mail, for one address, which its reader joins an account with.

use super::addresses::set_verified_in;
use super::members::{account_name_in, lock_member_in, stored_role};
use super::{AccountError, NewAccount, insert_account_in};
use crate::accounts::letters_members as letters;
use crate::accounts::mail_token::MailToken;
use crate::accounts::password;
use crate::accounts::rights::{Admin, Origin, Reader};
use crate::accounts::types::{Email, Password};
use crate::accounts::types_members::{InvitationView, Role};
use crate::connections::again;
use crate::ids::{AccountId, InvitationId, UserId};
use crate::journal::record::{Actor, Entry, record_in, record_of_user_in};
use crate::journal::types::Kind;
use crate::mail::outbox::Outbox;
use chrono::TimeDelta;
use sqlx::{PgConnection, PgExecutor, PgPool};

/// For how long the link works.
pub const LIVES_FOR: TimeDelta = TimeDelta::days(7);

/// What somebody with the link is invited to.
#[derive(Debug)]
pub struct Invitation {
    pub account: String,
    pub email: Email,
    pub role: Role,
    pub invited_by: String,
    /// Whether the address has a user.
    pub known: bool,
}

/// Invites an address, by a mail with a link. Another invitation of it replaces the one before.
pub async fn invite(db: &PgPool, outbox: &Outbox, admin: &Admin, email: &Email, role: Role) -> Result<(), AccountError> {
    if role == Role::Owner {
        return Err(AccountError::OwnerStays);
    }
    again(|| invite_once(db, outbox, admin, email, role)).await
}

async fn invite_once(db: &PgPool, outbox: &Outbox, admin: &Admin, email: &Email, role: Role) -> Result<(), AccountError> {
    let (account_id, token) = (admin.account_id(), MailToken::generate());
    let mut tx = db.begin().await?;
    lock_member_in(&mut tx, admin, admin.user_id()).await?;
    let belongs = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM members JOIN users USING (user_id) WHERE account_id = $1 AND email = $2) AS "belongs!""#,
        account_id.0,
        email.as_str()
    );
    if belongs.fetch_one(&mut *tx).await? {
        return Err(AccountError::AlreadyMember);
    }
    let invitation_id = sqlx::query_scalar!(
        "INSERT INTO invitations (invitation_id, account_id, email, role, invited_by, token_hash, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, now() + $7::bigint * interval '1 second')
         ON CONFLICT ON CONSTRAINT invitations_email_key DO UPDATE
            SET role = excluded.role, invited_by = excluded.invited_by, token_hash = excluded.token_hash, created_at = now(),
                expires_at = excluded.expires_at
         RETURNING invitation_id",
        InvitationId::generate().0,
        account_id.0,
        email.as_str(),
        role.as_str(),
        admin.user_id().0,
        &token.hash()[..],
        LIVES_FOR.num_seconds()
    );
    let invitation_id = invitation_id.fetch_one(&mut *tx).await?;
    let entry = Entry::of(Kind::MemberInvited).about(invitation_id, email.as_str()).saying(role.words());
    record_in(&mut tx, account_id, Actor::of(admin), entry).await?;
    let account = account_name_in(&mut tx, account_id).await?;
    outbox.post_in(&mut tx, email, || letters::invitation(outbox, &account, admin.email(), &token)).await?;
    tx.commit().await?;
    Ok(())
}

/// Takes an invitation back.
pub async fn revoke(db: &PgPool, admin: &Admin, invitation_id: InvitationId) -> Result<(), AccountError> {
    again(|| revoke_once(db, admin, invitation_id)).await
}

async fn revoke_once(db: &PgPool, admin: &Admin, invitation_id: InvitationId) -> Result<(), AccountError> {
    let mut tx = db.begin().await?;
    lock_member_in(&mut tx, admin, admin.user_id()).await?;
    let email = sqlx::query_scalar!(
        "DELETE FROM invitations WHERE invitation_id = $1 AND account_id = $2 RETURNING email",
        invitation_id.0,
        admin.account_id().0
    );
    let email = email.fetch_optional(&mut *tx).await?.ok_or(AccountError::NotFound)?;
    let entry = Entry::of(Kind::InvitationRevoked).about(invitation_id.0, &email);
    record_in(&mut tx, admin.account_id(), Actor::of(admin), entry).await?;
    tx.commit().await?;
    Ok(())
}

/// Takes back what a member has sent, when they may send none any more: nobody comes in by somebody who is out.
pub(super) async fn withdraw_invitations_of_in(tx: &mut PgConnection, by: &Reader, invited_by: UserId) -> Result<(), AccountError> {
    let rows = sqlx::query!(
        "DELETE FROM invitations WHERE account_id = $1 AND invited_by = $2 RETURNING invitation_id, email",
        by.account_id().0,
        invited_by.0
    );
    for row in rows.fetch_all(&mut *tx).await? {
        let entry = Entry::of(Kind::InvitationRevoked).about(row.invitation_id, &row.email);
        record_in(tx, by.account_id(), Actor::of(by), entry).await?;
    }
    Ok(())
}

/// Whoever is invited to the reader's account and has not joined.
pub async fn invitations_of(db: impl PgExecutor<'_>, reader: &Reader) -> Result<Vec<InvitationView>, AccountError> {
    let rows = sqlx::query!(
        "SELECT i.invitation_id, i.email, i.role, u.email AS invited_by, i.expires_at
           FROM invitations i JOIN users u ON u.user_id = i.invited_by
          WHERE i.account_id = $1 AND i.expires_at > now() ORDER BY i.email",
        reader.account_id().0
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(InvitationView {
                invitation_id: InvitationId(row.invitation_id),
                role: stored_role(&row.role)?,
                email: row.email,
                invited_by: row.invited_by,
                expires_at: row.expires_at.into(),
            })
        })
        .collect()
}

/// What a link invites to, while it works.
pub async fn invitation_by_token(db: impl PgExecutor<'_>, token: &MailToken) -> Result<Invitation, AccountError> {
    let row = sqlx::query!(
        r#"SELECT a.name, i.email, i.role, u.email AS invited_by, EXISTS (SELECT FROM users k WHERE k.email = i.email) AS "known!"
             FROM invitations i JOIN accounts a USING (account_id) JOIN users u ON u.user_id = i.invited_by
            WHERE i.token_hash = $1 AND i.expires_at > now()"#,
        &token.hash()[..]
    );
    let row = row.fetch_optional(db).await?.ok_or(AccountError::LinkOver)?;
    Ok(Invitation {
        account: row.name,
        email: Email::parse(&row.email).map_err(|_| AccountError::LinkOver)?,
        role: stored_role(&row.role)?,
        invited_by: row.invited_by,
        known: row.known,
    })
}

/// A signed-in user joins, if it is their address that was invited. Returns the account.
pub async fn accept(db: &PgPool, reader: &Reader, token: &MailToken) -> Result<AccountId, AccountError> {
    again(|| accept_once(db, reader, token)).await
}

async fn accept_once(db: &PgPool, reader: &Reader, token: &MailToken) -> Result<AccountId, AccountError> {
    let mut tx = db.begin().await?;
    let account_id = join_in(&mut tx, token, (reader.user_id(), reader.email()), reader.origin()).await?;
    set_verified_in(&mut tx, reader.user_id(), reader.email()).await?;
    tx.commit().await?;
    Ok(account_id)
}

/// Somebody new signs up from the link, with an account of their own, and joins. Whoever has the link reads the mailbox.
pub async fn sign_up(db: &PgPool, token: &MailToken, password: Password, origin: &Origin) -> Result<(UserId, AccountId), AccountError> {
    // Asked first: hashing is dear.
    let email = invitation_by_token(db, token).await?.email;
    password::refuse_common(&password, &email).await?;
    let password_hash = password::hash(password).await?;
    again(|| sign_up_once(db, token, &email, &password_hash, origin)).await
}

async fn sign_up_once(
    db: &PgPool,
    token: &MailToken,
    email: &Email,
    password_hash: &str,
    origin: &Origin,
) -> Result<(UserId, AccountId), AccountError> {
    let mut tx = db.begin().await?;
    let NewAccount { user_id, .. } = insert_account_in(&mut tx, email, password_hash, false).await?;
    set_verified_in(&mut tx, user_id, email).await?;
    record_of_user_in(&mut tx, user_id, Actor::User(user_id, origin), Entry::of(Kind::AccountCreated)).await?;
    let account_id = join_in(&mut tx, token, (user_id, email), origin).await?;
    tx.commit().await?;
    Ok((user_id, account_id))
}

/// Takes the invitation, once: of any number at the same time one finds it.
async fn join_in(
    tx: &mut PgConnection,
    token: &MailToken,
    (user_id, email): (UserId, &Email),
    origin: &Origin,
) -> Result<AccountId, AccountError> {
    let invitation = sqlx::query!(
        "DELETE FROM invitations WHERE token_hash = $1 AND expires_at > now() RETURNING account_id, email, role",
        &token.hash()[..]
    );
    let invitation = invitation.fetch_optional(&mut *tx).await?.ok_or(AccountError::LinkOver)?;
    if invitation.email != email.as_str() {
        return Err(AccountError::OtherAddress);
    }
    sqlx::query!("INSERT INTO members (account_id, user_id, role) VALUES ($1, $2, $3)", invitation.account_id, user_id.0, invitation.role)
        .execute(&mut *tx)
        .await?;
    let role = stored_role(&invitation.role)?;
    let entry = Entry::of(Kind::MemberJoined).about_user(user_id).saying(role.words());
    record_in(tx, AccountId(invitation.account_id), Actor::User(user_id, origin), entry).await?;
    Ok(AccountId(invitation.account_id))
}

/// Deletes what is past its time. Returns how many.
pub async fn delete_expired_invitations(db: &PgPool) -> sqlx::Result<u64> {
    Ok(sqlx::query!("DELETE FROM invitations WHERE expires_at < now() - interval '1 day'").execute(db).await?.rows_affected())
}
