//! The end of a user: what goes, and what stays because books are kept for longer than accounts.
//!
//! Ledger, usage records, orders, receipts, credit notes and the account log stay as they are: they prove what was paid and spent, and the
//! database lets nobody change them. They name the account and the user by their ids. What they were told in words stays, an address too:
//! to whom a receipt was made out, who was invited, for whom an operator made an account, and, in entries of the log that are older than
//! its looking users up, whom they are about. Address, password, second factor, sessions, links in mails, billing details and
//! memberships go, and so does every key. What is left in the wallet cannot be spent any more, and expires when it would have.
//!
//! Mails to the address go, those that wait too; the one that tells of the end is listed for as long as any other (`mail::outbox`).

use super::members::end_membership_in;
use super::sessions::delete_sessions_in;
use super::tokens::revoke_tokens_in;
use super::{AccountError, check_password, reader_of, two_factor};
use crate::accounts::letters;
use crate::accounts::rights::Reader;
use crate::accounts::types::Password;
use crate::accounts::types_deletion::DeletionView;
use crate::accounts::types_members::KeysLeft;
use crate::connections::again;
use crate::error::Blocker;
use crate::ids::{AccountId, UserId};
use crate::journal::record::{Actor, Entry, record_in};
use crate::journal::types::Kind;
use crate::keys::store::delete_all_keys_in;
use crate::mail::outbox::{Outbox, forget_mails_to_in};
use crate::notices;
use crate::tokens::Tokens;
use sqlx::{PgConnection, PgExecutor, PgPool};

/// What deleting the reader means, and what stands in its way.
pub async fn deletion_of(db: impl PgExecutor<'_> + Copy, reader: &Reader) -> Result<DeletionView, AccountError> {
    let row = sqlx::query!(
        r#"WITH owned AS (SELECT account_id FROM members WHERE user_id = $1 AND role = 'owner')
           SELECT (SELECT coalesce(sum(g.left_), 0)::bigint FROM grants g JOIN owned USING (account_id)
                    WHERE g.swept_at IS NULL AND g.expires_at > now()) AS "tokens!",
                  (SELECT count(*) FROM api_keys k WHERE k.created_by = $1 AND k.status <> 'deleted') AS "keys!",
                  (SELECT count(*) FROM members m WHERE m.user_id = $1 AND m.role <> 'owner') AS "memberships!""#,
        reader.user_id().0
    )
    .fetch_one(db)
    .await?;
    let blockers = blockers_of(db, reader).await?;
    Ok(DeletionView { email: reader.email().clone(), tokens: Tokens(row.tokens), keys: row.keys, memberships: row.memberships, blockers })
}

/// Deletes the reader: their own account, their memberships in others, and themselves.
pub async fn delete(db: &PgPool, outbox: &Outbox, reader: &Reader, password: Password) -> Result<(), AccountError> {
    check_password(db, reader.user_id(), password).await?;
    again(|| delete_once(db, outbox, reader)).await
}

async fn delete_once(db: &PgPool, outbox: &Outbox, reader: &Reader) -> Result<(), AccountError> {
    let user_id = reader.user_id();
    let mut tx = db.begin().await?;
    // Before the user, as whoever follows a link or gives a second factor locks these first. What comes until the user is locked goes in
    // the end, with all the rest of them.
    revoke_tokens_in(&mut tx, user_id).await?;
    two_factor::delete_in(&mut tx, user_id).await?;
    let (owned, others) = lock_in(&mut tx, user_id).await?;
    if let Some(blocker) = blockers_of(&mut *tx, reader).await?.first() {
        return Err(AccountError::NotDeletable(*blocker));
    }
    for account_id in others {
        let there = reader_of(db, user_id, Some(account_id)).await?.ok_or(AccountError::NotFound)?;
        let there = there.from(reader.origin().clone());
        // Whose keys they would become does not matter: none is handed over.
        let me = (user_id, there.role());
        end_membership_in(&mut tx, &there, me, (KeysLeft::Disabled, user_id)).await?;
    }
    for account_id in owned {
        let own = reader_of(db, user_id, Some(account_id)).await?.ok_or(AccountError::NotFound)?.from(reader.origin().clone());
        close_account_in(&mut tx, &own).await?;
    }
    forget_mails_to_in(&mut tx, reader.email()).await?;
    outbox.post_in(&mut tx, reader.email(), letters::deleted).await?;
    forget_user_in(&mut tx, reader).await?;
    tx.commit().await?;
    Ok(())
}

/// The accounts that a user owns, and those of others that they belong to. Locked with all keys that are concerned, in the order in which
/// everybody locks; the owned ones so that nobody joins meanwhile, and what is ordered was ordered before, or is refused after.
async fn lock_in(tx: &mut PgConnection, user_id: UserId) -> Result<(Vec<AccountId>, Vec<AccountId>), AccountError> {
    sqlx::query!("SELECT user_id FROM users WHERE user_id = $1 FOR UPDATE", user_id.0).fetch_one(&mut *tx).await?;
    let rows = sqlx::query!("SELECT account_id, role FROM members WHERE user_id = $1 ORDER BY account_id FOR UPDATE", user_id.0);
    let (owned, others): (Vec<_>, Vec<_>) = rows.fetch_all(&mut *tx).await?.into_iter().partition(|row| row.role == "owner");
    let owned_ids: Vec<_> = owned.iter().map(|row| row.account_id).collect();
    sqlx::query!(
        "SELECT key_id FROM api_keys WHERE account_id = ANY ($1) OR created_by = $2 ORDER BY key_id FOR NO KEY UPDATE",
        &owned_ids,
        user_id.0
    )
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query!("SELECT account_id FROM accounts WHERE account_id = ANY ($1) ORDER BY account_id FOR UPDATE", &owned_ids)
        .fetch_all(&mut *tx)
        .await?;
    Ok((owned.iter().map(|row| AccountId(row.account_id)).collect(), others.iter().map(|row| AccountId(row.account_id)).collect()))
}

/// Nothing is done behind the back of other members, of the payment provider, or of whoever runs the business.
async fn blockers_of(db: impl PgExecutor<'_>, reader: &Reader) -> Result<Vec<Blocker>, AccountError> {
    let row = sqlx::query!(
        r#"WITH owned AS (SELECT account_id FROM members WHERE user_id = $1 AND role = 'owner')
           SELECT (SELECT u.operator FROM users u WHERE u.user_id = $1) AS "operator!",
                  EXISTS (SELECT FROM members m JOIN owned USING (account_id) WHERE m.user_id <> $1) AS "members!",
                  EXISTS (SELECT FROM orders o JOIN owned USING (account_id)
                           WHERE o.status IN ('created', 'awaiting_payment', 'paid')) AS "orders!""#,
        reader.user_id().0
    )
    .fetch_one(db)
    .await?;
    let blockers = [(row.operator, Blocker::Operator), (row.members, Blocker::Members), (row.orders, Blocker::Orders)];
    Ok(blockers.into_iter().filter_map(|(stands, blocker)| stands.then_some(blocker)).collect())
}

/// Closes an account whose row is locked: nothing calls, nobody buys, nobody joins.
async fn close_account_in(tx: &mut PgConnection, own: &Reader) -> Result<(), AccountError> {
    let account_id = own.account_id();
    delete_all_keys_in(tx, own).await.map_err(|error| AccountError::Keys(Box::new(error)))?;
    sqlx::query!("DELETE FROM invitations WHERE account_id = $1", account_id.0).execute(&mut *tx).await?;
    sqlx::query!("DELETE FROM billing_details WHERE account_id = $1", account_id.0).execute(&mut *tx).await?;
    sqlx::query!(
        "UPDATE accounts SET name = 'Deleted account', suspended_at = coalesce(suspended_at, now()) WHERE account_id = $1",
        account_id.0
    )
    .execute(&mut *tx)
    .await?;
    record_in(tx, account_id, Actor::of(own), Entry::of(Kind::AccountDeleted)).await?;
    Ok(())
}

/// What is left of a user is an id. The address is one that no mail can reach (RFC 2606), so that theirs is free again.
async fn forget_user_in(tx: &mut PgConnection, reader: &Reader) -> Result<(), AccountError> {
    let user_id = reader.user_id();
    delete_sessions_in(tx, user_id).await?;
    sqlx::query!("DELETE FROM two_factors WHERE user_id = $1", user_id.0).execute(&mut *tx).await?;
    sqlx::query!("DELETE FROM mail_tokens WHERE user_id = $1", user_id.0).execute(&mut *tx).await?;
    notices::store::forget_user_in(tx, user_id).await?;
    sqlx::query!(
        "UPDATE users SET email = user_id || '@deleted.invalid', password_hash = '', email_verified_at = NULL, language = NULL,
                          suspended_at = coalesce(suspended_at, now())
          WHERE user_id = $1",
        user_id.0
    )
    .execute(tx)
    .await?;
    Ok(())
}

#[cfg(test)]
#[path = "deletion_tests.rs"]
mod tests;
