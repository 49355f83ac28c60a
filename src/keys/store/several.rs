//! Several keys changed at once: all of them or none.

use super::deeds::{Deed, write_down_in};
use super::{KeyError, KeyOwner, Settings, lock_keys_in, status_text};
use crate::accounts::rights::Member;
use crate::connections::again;
use crate::ids::KeyId;
use crate::journal::types::Kind;
use crate::keys::types_list::KeysChange;
use sqlx::{PgConnection, PgPool};

/// Enables, disables or deletes keys. One that is not there any more, or not this member's to change, and nothing is changed; one that is
/// already what it is to become leaves no entry in the log.
pub async fn change_keys(db: &PgPool, member: &Member, key_ids: &[KeyId], change: KeysChange) -> Result<(), KeyError> {
    again(|| change_keys_once(db, member, key_ids, change)).await
}

async fn change_keys_once(db: &PgPool, member: &Member, key_ids: &[KeyId], change: KeysChange) -> Result<(), KeyError> {
    let mut tx = db.begin().await?;
    let owner = KeyOwner::Member(member);
    let locked = lock_keys_in(&mut tx, owner, key_ids).await?;
    let changed = locked.iter().filter(|(_, before)| match change {
        KeysChange::Enable => !before.enabled,
        KeysChange::Disable => before.enabled,
        KeysChange::Delete => true,
    });
    let changed: Vec<&(KeyId, Settings)> = changed.collect();
    write_in(&mut tx, member, &changed, change).await?;
    for (key_id, before) in changed {
        let after = match change {
            KeysChange::Enable | KeysChange::Disable => Some(Settings { enabled: change == KeysChange::Enable, ..before.clone() }),
            KeysChange::Delete => None,
        };
        let (action, kind) = match change {
            KeysChange::Enable => ("key.edit", Kind::KeyEnabled),
            KeysChange::Disable => ("key.edit", Kind::KeyDisabled),
            KeysChange::Delete => ("key.delete", Kind::KeyDeleted),
        };
        let (key_id, account_id) = (*key_id, before.account_id);
        let deed = Deed { action, kind, account_id, key_id, name: &before.name, before: Some(before), after: after.as_ref() };
        write_down_in(&mut tx, owner, deed).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn write_in(tx: &mut PgConnection, member: &Member, keys: &[&(KeyId, Settings)], change: KeysChange) -> Result<(), KeyError> {
    let ids: Vec<_> = keys.iter().map(|(key_id, _)| key_id.0).collect();
    let account_id = member.account_id().0;
    let written = match change {
        KeysChange::Enable | KeysChange::Disable => sqlx::query!(
            "UPDATE api_keys SET status = $3 WHERE account_id = $1 AND key_id = ANY ($2)",
            account_id,
            &ids,
            status_text(change == KeysChange::Enable)
        ),
        KeysChange::Delete => sqlx::query!(
            "UPDATE api_keys SET status = 'deleted', deleted_at = now() WHERE account_id = $1 AND key_id = ANY ($2)",
            account_id,
            &ids
        ),
    };
    written.execute(tx).await?;
    Ok(())
}
