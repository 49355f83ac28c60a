//! What members and their keys have to do with each other: none is touched by somebody who has left, and what becomes of them then.

use super::KeyError;
use crate::accounts::rights::{Member, Reader};
use crate::accounts::types_members::{KeysLeft, Role};
use crate::ids::UserId;
use crate::journal::record::{Actor, Entry, record_in};
use crate::journal::types::Kind;
use sqlx::PgConnection;

/// Keeps a member in the account, as what they are, until the transaction ends. Their request may have begun before they were removed or
/// lost the role that it needs: then it is refused.
pub(super) async fn keep_member_in(tx: &mut PgConnection, member: &Member) -> Result<(), KeyError> {
    let role = sqlx::query_scalar!(
        "SELECT role FROM members WHERE account_id = $1 AND user_id = $2 FOR SHARE",
        member.account_id().0,
        member.user_id().0
    );
    let role = role.fetch_optional(tx).await?.and_then(|role| Role::parse(&role));
    if role.is_some_and(|role| role >= member.role()) { Ok(()) } else { Err(KeyError::NotYours) }
}

/// Deletes every key of the account. The next call with one is refused.
pub async fn delete_all_keys_in(tx: &mut PgConnection, by: &Reader) -> Result<(), KeyError> {
    let rows = sqlx::query!(
        "SELECT key_id, name FROM api_keys WHERE account_id = $1 AND status <> 'deleted' ORDER BY key_id FOR NO KEY UPDATE",
        by.account_id().0
    );
    for row in rows.fetch_all(&mut *tx).await? {
        sqlx::query!("UPDATE api_keys SET status = 'deleted', deleted_at = now() WHERE key_id = $1", row.key_id).execute(&mut *tx).await?;
        record_in(tx, by.account_id(), Actor::of(by), Entry::of(Kind::KeyDeleted).about(row.key_id, &row.name)).await?;
    }
    Ok(())
}

/// Disables the keys that a user made in an account, or makes them the heir's. The next call with them sees it.
pub async fn release_keys_in(tx: &mut PgConnection, by: &Reader, of: UserId, keys: KeysLeft, heir: UserId) -> Result<(), KeyError> {
    let rows = sqlx::query!(
        "SELECT key_id, name, status FROM api_keys WHERE account_id = $1 AND created_by = $2 AND status <> 'deleted'
          ORDER BY key_id FOR NO KEY UPDATE",
        by.account_id().0,
        of.0
    )
    .fetch_all(&mut *tx)
    .await?;
    for row in rows {
        let kind = match keys {
            KeysLeft::Disabled if row.status == "enabled" => {
                sqlx::query!("UPDATE api_keys SET status = 'disabled' WHERE key_id = $1", row.key_id).execute(&mut *tx).await?;
                Kind::KeyDisabled
            }
            KeysLeft::Disabled => continue,
            KeysLeft::HandedOver => {
                sqlx::query!("UPDATE api_keys SET created_by = $2 WHERE key_id = $1", row.key_id, heir.0).execute(&mut *tx).await?;
                Kind::KeyHandedOver
            }
        };
        record_in(tx, by.account_id(), Actor::of(by), Entry::of(kind).about(row.key_id, &row.name)).await?;
    }
    Ok(())
}
