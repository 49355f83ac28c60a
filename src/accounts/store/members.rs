//! SQL about who belongs to an account, and as what.

use super::invitations::withdraw_invitations_of_in;
use super::{AccountError, check_password};
use crate::accounts::letters_members as letters;
use crate::accounts::rights::{Admin, Owner, Reader};
use crate::accounts::types::{Email, Password};
use crate::accounts::types_members::{AccountChoice, KeysLeft, MemberLimits, MemberUse, MemberView, Role};
use crate::accounts::types_settings::Membership;
use crate::connections::again;
use crate::ids::{AccountId, UserId};
use crate::journal::record::{Actor, Entry, record_in};
use crate::journal::types::Kind;
use crate::keys::store::release_keys_in;
use crate::mail::outbox::Outbox;
use crate::tokens::Tokens;
use sqlx::{PgConnection, PgExecutor, PgPool};

/// The members of the reader's account, the owner first.
pub async fn members_of(db: impl PgExecutor<'_>, reader: &Reader) -> Result<Vec<MemberView>, AccountError> {
    let rows = sqlx::query!(
        r#"SELECT m.user_id, u.email, m.role, m.created_at,
                  EXISTS (SELECT FROM two_factors f WHERE f.user_id = m.user_id AND f.confirmed_at IS NOT NULL) AS "two_factor!",
                  (SELECT count(*) FROM api_keys k
                    WHERE k.account_id = m.account_id AND k.created_by = m.user_id AND k.status <> 'deleted') AS "keys!",
                  m.quota, m.month_quota, used_ever(m.account_id, m.user_id) AS "used!",
                  used_this_month(m.account_id, m.user_id, now()) AS "used_this_month!"
             FROM members m JOIN users u USING (user_id)
            WHERE m.account_id = $1 ORDER BY m.role = 'owner' DESC, u.email"#,
        reader.account_id().0
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(MemberView {
                user_id: UserId(row.user_id),
                role: stored_role(&row.role)?,
                email: row.email,
                since: row.created_at.into(),
                two_factor: reader.is_admin().then_some(row.two_factor),
                keys: row.keys,
                usage: MemberUse {
                    used: Tokens(row.used),
                    used_this_month: Tokens(row.used_this_month),
                    limits: MemberLimits { quota: row.quota.map(Tokens), month_quota: row.month_quota.map(Tokens) },
                },
                you: row.user_id == reader.user_id().0,
            })
        })
        .collect()
}

/// What the reader is in their account.
pub async fn membership_of(db: impl PgExecutor<'_>, reader: &Reader) -> Result<Membership, AccountError> {
    let row = sqlx::query!(
        "SELECT a.name, m.created_at FROM members m JOIN accounts a USING (account_id) WHERE m.account_id = $1 AND m.user_id = $2",
        reader.account_id().0,
        reader.user_id().0
    )
    .fetch_optional(db)
    .await?
    .ok_or(AccountError::NotFound)?;
    Ok(Membership { account_name: row.name, role: reader.role(), since: row.created_at.into() })
}

/// The accounts that a user belongs to, their own first; none where there is nothing to choose, which nearly everybody's pages find out
/// with who they are.
pub async fn accounts_of(db: impl PgExecutor<'_>, reader: &Reader) -> Result<Vec<AccountChoice>, AccountError> {
    if !reader.has_several_accounts() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        "SELECT a.account_id, a.name FROM members m JOIN accounts a USING (account_id)
          WHERE m.user_id = $1 ORDER BY m.role = 'owner' DESC, a.name, a.account_id LIMIT 100",
        reader.user_id().0
    )
    .fetch_all(db)
    .await?;
    let choice = |account_id, name| AccountChoice { account_id, name, current: account_id == reader.account_id() };
    Ok(rows.into_iter().map(|row| choice(AccountId(row.account_id), row.name)).collect())
}

/// Notes that a user acts for one of their accounts from now on, new sessions too.
pub async fn choose(db: &PgPool, reader: &Reader, account_id: AccountId) -> Result<(), AccountError> {
    let chosen =
        sqlx::query!("UPDATE members SET chosen_at = now() WHERE account_id = $1 AND user_id = $2", account_id.0, reader.user_id().0);
    match chosen.execute(db).await?.rows_affected() {
        0 => Err(AccountError::NotFound),
        _ => Ok(()),
    }
}

/// Gives a member another role. The owner keeps theirs; whoever invites no longer leaves no invitation behind.
pub async fn set_role(db: &PgPool, admin: &Admin, user_id: UserId, role: Role) -> Result<(), AccountError> {
    again(|| set_role_once(db, admin, user_id, role)).await
}

async fn set_role_once(db: &PgPool, admin: &Admin, user_id: UserId, role: Role) -> Result<(), AccountError> {
    let mut tx = db.begin().await?;
    let (_, before) = lock_member_in(&mut tx, admin, user_id).await?;
    if before == Role::Owner || role == Role::Owner {
        return Err(AccountError::OwnerStays);
    }
    if before != role {
        set_role_in(&mut tx, admin.account_id(), user_id, role).await?;
        let detail = format!("{} to {}", before.words(), role.words());
        let entry = Entry::of(Kind::RoleChanged).about_user(user_id).saying(detail);
        record_in(&mut tx, admin.account_id(), Actor::of(admin), entry).await?;
    }
    if role < Role::Admin {
        withdraw_invitations_of_in(&mut tx, admin, user_id).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Sets what a member may spend, from the next call on. Below what they have spent already, they spend nothing more.
pub async fn set_limits(db: &PgPool, admin: &Admin, user_id: UserId, limits: MemberLimits) -> Result<(), AccountError> {
    again(|| set_limits_once(db, admin, user_id, limits)).await
}

async fn set_limits_once(db: &PgPool, admin: &Admin, user_id: UserId, limits: MemberLimits) -> Result<(), AccountError> {
    let mut tx = db.begin().await?;
    lock_member_in(&mut tx, admin, user_id).await?;
    let MemberLimits { quota, month_quota } = limits;
    let changed = sqlx::query!(
        "UPDATE members SET quota = $3, month_quota = $4
          WHERE account_id = $1 AND user_id = $2 AND (quota, month_quota) IS DISTINCT FROM ($3, $4)",
        admin.account_id().0,
        user_id.0,
        quota.map(|tokens| tokens.0),
        month_quota.map(|tokens| tokens.0)
    );
    if changed.execute(&mut *tx).await?.rows_affected() > 0 {
        let said = |limit: Option<Tokens>| limit.map_or_else(|| "no limit".to_string(), Tokens::exact);
        let detail = format!("{} a month, {} in all", said(month_quota), said(quota));
        let entry = Entry::of(Kind::MemberLimited).about_user(user_id).saying(detail);
        record_in(&mut tx, admin.account_id(), Actor::of(admin), entry).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Removes a member. Keys that are handed over become the admin's.
pub async fn remove(db: &PgPool, outbox: &Outbox, admin: &Admin, user_id: UserId, keys: KeysLeft) -> Result<(), AccountError> {
    if user_id == admin.user_id() {
        return leave(db, admin).await;
    }
    again(|| remove_once(db, outbox, admin, user_id, keys)).await
}

async fn remove_once(db: &PgPool, outbox: &Outbox, admin: &Admin, user_id: UserId, keys: KeysLeft) -> Result<(), AccountError> {
    let mut tx = db.begin().await?;
    let (email, role) = lock_member_in(&mut tx, admin, user_id).await?;
    end_membership_in(&mut tx, admin, (user_id, role), (keys, admin.user_id())).await?;
    keep_an_account_in(&mut tx, user_id, &email).await?;
    let name = account_name_in(&mut tx, admin.account_id()).await?;
    outbox.post_in(&mut tx, &email, || letters::removed(&name)).await?;
    tx.commit().await?;
    Ok(())
}

/// A member goes. Their keys end: whoever leaves knows the secrets, and would spend on without the limits that were theirs.
pub async fn leave(db: &PgPool, reader: &Reader) -> Result<(), AccountError> {
    again(|| leave_once(db, reader)).await
}

async fn leave_once(db: &PgPool, reader: &Reader) -> Result<(), AccountError> {
    let mut tx = db.begin().await?;
    let (email, role) = lock_member_in(&mut tx, reader, reader.user_id()).await?;
    end_membership_in(&mut tx, reader, (reader.user_id(), role), (KeysLeft::Disabled, reader.user_id())).await?;
    keep_an_account_in(&mut tx, reader.user_id(), &email).await?;
    tx.commit().await?;
    Ok(())
}

/// Ends a membership, the sessions that act for the account, the invitations that the member sent, and one way or the other the keys
/// that they made.
pub(super) async fn end_membership_in(
    tx: &mut PgConnection,
    by: &Reader,
    (user_id, role): (UserId, Role),
    (keys, heir): (KeysLeft, UserId),
) -> Result<(), AccountError> {
    if role == Role::Owner {
        return Err(AccountError::OwnerStays);
    }
    let account_id = by.account_id();
    release_keys_in(tx, by, user_id, keys, heir).await.map_err(|error| AccountError::Keys(Box::new(error)))?;
    withdraw_invitations_of_in(tx, by, user_id).await?;
    sqlx::query!("DELETE FROM members WHERE account_id = $1 AND user_id = $2", account_id.0, user_id.0).execute(&mut *tx).await?;
    // A session that names no account acts for the one that was chosen last.
    sqlx::query!("DELETE FROM sessions WHERE user_id = $1 AND coalesce(data->>'account_id', $2) = $2", user_id.0, account_id.to_string())
        .execute(&mut *tx)
        .await?;
    let kind = if by.user_id() == user_id { Kind::MemberLeft } else { Kind::MemberRemoved };
    record_in(tx, account_id, Actor::of(by), Entry::of(kind).about_user(user_id)).await?;
    Ok(())
}

/// Makes another member the owner; who was it stays as an admin. Both are told.
pub async fn hand_over(db: &PgPool, outbox: &Outbox, owner: &Owner, to: UserId, password: Password) -> Result<(), AccountError> {
    check_password(db, owner.user_id(), password).await?;
    again(|| hand_over_once(db, outbox, owner, to)).await
}

async fn hand_over_once(db: &PgPool, outbox: &Outbox, owner: &Owner, to: UserId) -> Result<(), AccountError> {
    let account_id = owner.account_id();
    let mut tx = db.begin().await?;
    let (email, role) = lock_member_in(&mut tx, owner, to).await?;
    if role == Role::Owner {
        return Err(AccountError::OwnerStays);
    }
    set_role_in(&mut tx, account_id, owner.user_id(), Role::Admin).await?;
    set_role_in(&mut tx, account_id, to, Role::Owner).await?;
    let entry = Entry::of(Kind::OwnerChanged).about_user(to);
    record_in(&mut tx, account_id, Actor::of(owner), entry).await?;
    let name = account_name_in(&mut tx, account_id).await?;
    outbox.post_in(&mut tx, &email, || letters::now_owner(outbox, &name)).await?;
    outbox.post_in(&mut tx, owner.email(), || letters::no_longer_owner(outbox, &name, &email)).await?;
    tx.commit().await?;
    Ok(())
}

/// A member's address and role, locked together with whoever acts on them, always in the same order. Their request may have begun before
/// they lost the role that it needs: then it is refused.
pub(super) async fn lock_member_in(tx: &mut PgConnection, by: &Reader, user_id: UserId) -> Result<(Email, Role), AccountError> {
    let rows = sqlx::query!(
        "SELECT m.user_id, u.email, m.role FROM members m JOIN users u USING (user_id)
          WHERE m.account_id = $1 AND m.user_id IN ($2, $3) ORDER BY m.user_id FOR UPDATE OF m",
        by.account_id().0,
        by.user_id().0,
        user_id.0
    );
    let rows = rows.fetch_all(tx).await?;
    let acting = rows.iter().find(|row| row.user_id == by.user_id().0).ok_or(AccountError::NotAllowed)?;
    if stored_role(&acting.role)? < by.role() {
        return Err(AccountError::NotAllowed);
    }
    let row = rows.iter().find(|row| row.user_id == user_id.0).ok_or(AccountError::NotFound)?;
    Ok((Email::parse(&row.email).map_err(|_| AccountError::NotFound)?, stored_role(&row.role)?))
}

async fn set_role_in(tx: &mut PgConnection, account_id: AccountId, user_id: UserId, role: Role) -> Result<(), AccountError> {
    sqlx::query!("UPDATE members SET role = $3 WHERE account_id = $1 AND user_id = $2", account_id.0, user_id.0, role.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Everybody who can sign in belongs to some account.
async fn keep_an_account_in(tx: &mut PgConnection, user_id: UserId, email: &Email) -> Result<(), AccountError> {
    let left = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM members WHERE user_id = $1) AS "left!""#, user_id.0);
    if !left.fetch_one(&mut *tx).await? {
        super::insert_own_account_in(tx, user_id, email).await?;
    }
    Ok(())
}

pub(super) async fn account_name_in(tx: &mut PgConnection, account_id: AccountId) -> Result<String, AccountError> {
    Ok(sqlx::query_scalar!("SELECT name FROM accounts WHERE account_id = $1", account_id.0).fetch_one(tx).await?)
}

pub(super) fn stored_role(text: &str) -> Result<Role, AccountError> {
    Role::parse(text).ok_or(AccountError::NotFound)
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "member_limits_tests.rs"]
mod limits_tests;
