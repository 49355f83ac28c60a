//! What becomes of the keys of whoever leaves, and of an account that ends.

use super::KeyError;
use crate::accounts::rights::Reader;
use crate::accounts::types_members::KeysLeft;
use crate::ids::UserId;
use crate::journal::record::{Actor, Entry, record_in};
use crate::journal::types::Kind;
use sqlx::PgConnection;

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
                sqlx::query!(
                    "UPDATE api_keys SET created_by = $2, inherited_at = now(), inherited_spent = spent,
                                         inherited_in_month = charged_in_month(account_id, key_id, now())
                      WHERE key_id = $1",
                    row.key_id,
                    heir.0
                )
                .execute(&mut *tx)
                .await?;
                Kind::KeyHandedOver
            }
        };
        record_in(tx, by.account_id(), Actor::of(by), Entry::of(kind).about(row.key_id, &row.name)).await?;
    }
    Ok(())
}
