//! Whether somebody still is in an account what they were when their request began; asked by every domain, in its own transactions.

use crate::accounts::rights::Reader;
use crate::accounts::types_members::Role;
use sqlx::PgConnection;

/// Keeps whoever acts in the account, as what they are, until the transaction ends. False when they were removed, or lost the role that
/// their request needs, since it began.
pub async fn still_may_in(tx: &mut PgConnection, by: &Reader) -> sqlx::Result<bool> {
    let role =
        sqlx::query_scalar!("SELECT role FROM members WHERE account_id = $1 AND user_id = $2 FOR SHARE", by.account_id().0, by.user_id().0);
    let role = role.fetch_optional(tx).await?.and_then(|role| Role::parse(&role));
    Ok(role.is_some_and(|role| role >= by.role()))
}
