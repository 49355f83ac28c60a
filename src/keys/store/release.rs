//! What becomes of somebody's keys when they leave the account.

use super::KeyError;
use crate::accounts::rights::Admin;
use crate::accounts::types_members::KeysLeft;
use crate::ids::UserId;
use crate::journal::record::{Actor, Entry, record_in};
use crate::journal::types::Kind;
use sqlx::PgConnection;

/// Disables the keys that a user made in the admin's account, or makes them the admin's. The next call with them sees it.
pub async fn release_keys_in(tx: &mut PgConnection, admin: &Admin, of: UserId, keys: KeysLeft) -> Result<(), KeyError> {
    let rows = sqlx::query!(
        "SELECT key_id, name, status FROM api_keys WHERE account_id = $1 AND created_by = $2 AND status <> 'deleted'
          ORDER BY key_id FOR NO KEY UPDATE",
        admin.account_id().0,
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
                sqlx::query!("UPDATE api_keys SET created_by = $2 WHERE key_id = $1", row.key_id, admin.user_id().0)
                    .execute(&mut *tx)
                    .await?;
                Kind::KeyHandedOver
            }
        };
        let entry = Entry::of(kind).about(row.key_id, &row.name);
        record_in(tx, admin.account_id(), Actor::of(admin), entry).await?;
    }
    Ok(())
}
