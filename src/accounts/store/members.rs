//! SQL about who belongs to an account, and as what.

use super::{AccountError, check_password};
use crate::accounts::letters_members as letters;
use crate::accounts::rights::{Admin, Owner, Reader};
use crate::accounts::types::{Email, Password};
use crate::accounts::types_members::{AccountChoice, KeysLeft, MemberView, Role};
use crate::ids::{AccountId, UserId};
use crate::journal::record::{Actor, Entry, record_in};
use crate::journal::types::Kind;
use crate::keys::store::release_keys_in;
use crate::mail::outbox::Outbox;
use sqlx::{PgConnection, PgPool};

/// The members of the reader's account, the owner first.
pub async fn members_of(db: &PgPool, reader: &Reader) -> Result<Vec<MemberView>, AccountError> {
    let rows = sqlx::query!(
        r#"SELECT m.user_id, u.email, m.role, m.created_at,
                  EXISTS (SELECT FROM two_factors f WHERE f.user_id = m.user_id AND f.confirmed_at IS NOT NULL) AS "two_factor!",
                  (SELECT count(*) FROM api_keys k
                    WHERE k.account_id = m.account_id AND k.created_by = m.user_id AND k.status <> 'deleted') AS "keys!"
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
                two_factor: row.two_factor,
                keys: row.keys,
                you: row.user_id == reader.user_id().0,
            })
        })
        .collect()
}

/// The accounts that a user belongs to, their own first.
pub async fn accounts_of(db: &PgPool, reader: &Reader) -> Result<Vec<AccountChoice>, AccountError> {
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

/// Gives a member another role. The owner keeps theirs.
pub async fn set_role(db: &PgPool, admin: &Admin, user_id: UserId, role: Role) -> Result<(), AccountError> {
    let mut tx = db.begin().await?;
    let (email, before) = lock_member_in(&mut tx, admin.account_id(), user_id).await?;
    if before == Role::Owner || role == Role::Owner {
        return Err(AccountError::OwnerStays);
    }
    if before != role {
        set_role_in(&mut tx, admin.account_id(), user_id, role).await?;
        let detail = format!("{} to {}", before.words(), role.words());
        let entry = Entry::of(Kind::RoleChanged).about(user_id.0, email.as_str()).saying(detail);
        record_in(&mut tx, admin.account_id(), Actor::of(admin), entry).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Ends a membership, the sessions that act for the account, and one way or the other the keys that the member made. Whoever belongs to
/// no account after it gets one of their own.
pub async fn remove(db: &PgPool, outbox: &Outbox, admin: &Admin, user_id: UserId, keys: KeysLeft) -> Result<(), AccountError> {
    let account_id = admin.account_id();
    let mut tx = db.begin().await?;
    // Keys are locked before anything else, as by every call.
    release_keys_in(&mut tx, admin, user_id, keys).await.map_err(|error| AccountError::Keys(Box::new(error)))?;
    let (email, role) = lock_member_in(&mut tx, account_id, user_id).await?;
    if role == Role::Owner {
        return Err(AccountError::OwnerStays);
    }
    sqlx::query!("DELETE FROM members WHERE account_id = $1 AND user_id = $2", account_id.0, user_id.0).execute(&mut *tx).await?;
    // A session that names no account acts for whichever is the first.
    sqlx::query!("DELETE FROM sessions WHERE user_id = $1 AND coalesce(data->>'account_id', $2) = $2", user_id.0, account_id.to_string())
        .execute(&mut *tx)
        .await?;
    keep_an_account_in(&mut tx, user_id, &email).await?;
    let entry = Entry::of(Kind::MemberRemoved).about(user_id.0, email.as_str());
    record_in(&mut tx, account_id, Actor::of(admin), entry).await?;
    let name = account_name_in(&mut tx, account_id).await?;
    outbox.post_in(&mut tx, &email, &letters::removed(&name)).await?;
    tx.commit().await?;
    Ok(())
}

/// Makes another member the owner; who was it stays as an admin. Both are told.
pub async fn hand_over(db: &PgPool, outbox: &Outbox, owner: &Owner, to: UserId, password: Password) -> Result<(), AccountError> {
    check_password(db, owner.user_id(), password).await?;
    let account_id = owner.account_id();
    let mut tx = db.begin().await?;
    let (_, role) = lock_member_in(&mut tx, account_id, owner.user_id()).await?;
    let (email, _) = lock_member_in(&mut tx, account_id, to).await?;
    if role != Role::Owner || to == owner.user_id() {
        return Err(AccountError::OwnerStays);
    }
    set_role_in(&mut tx, account_id, owner.user_id(), Role::Admin).await?;
    set_role_in(&mut tx, account_id, to, Role::Owner).await?;
    let entry = Entry::of(Kind::OwnerChanged).about(to.0, email.as_str());
    record_in(&mut tx, account_id, Actor::of(owner), entry).await?;
    let name = account_name_in(&mut tx, account_id).await?;
    outbox.post_in(&mut tx, &email, &letters::now_owner(outbox, &name)).await?;
    outbox.post_in(&mut tx, owner.email(), &letters::no_longer_owner(outbox, &name, &email)).await?;
    tx.commit().await?;
    Ok(())
}

/// A member, locked: their address and role. Members of one account are locked one after the other by whoever changes two.
async fn lock_member_in(tx: &mut PgConnection, account_id: AccountId, user_id: UserId) -> Result<(Email, Role), AccountError> {
    let row = sqlx::query!(
        "SELECT u.email, m.role FROM members m JOIN users u USING (user_id) WHERE m.account_id = $1 AND m.user_id = $2 FOR UPDATE OF m",
        account_id.0,
        user_id.0
    );
    let row = row.fetch_optional(tx).await?.ok_or(AccountError::NotFound)?;
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
