//! What buying a package again does to the grants of it that the account has: the new one begins beside them or after them, and takes
//! over what is left where the package rolls over. What rolls over into a grant that is queued does so when its time comes: in the sweep,
//! or before it when a call needs it (migration `rollovers_on_time`) or whoever changes the wallet has its lock (`lock_accounts_in`).

use super::{GrantLeft, LedgerError, MoveCause, NewGrant, issue_in, lock_accounts_in, move_in};
use crate::ids::{AccountId, GrantId, OrderId, PackageId};
use crate::tokens::Tokens;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// When the last of the account's grants of a package ends, of those that can be spent now or later; none = there is none. Whoever
/// decides by it holds the account's lock.
pub async fn last_end_in(
    connection: &mut PgConnection,
    account_id: AccountId,
    package_id: PackageId,
) -> Result<Option<DateTime<Utc>>, LedgerError> {
    Ok(sqlx::query_scalar!(
        "SELECT max(g.expires_at) FROM grants g JOIN orders o USING (order_id)
          WHERE g.account_id = $1 AND o.package_id = $2 AND g.swept_at IS NULL AND g.left_ + g.held > 0
            AND g.expires_at > clock_timestamp()",
        account_id.0,
        package_id.0
    )
    .fetch_one(connection)
    .await?)
}

/// Issues Tokens that begin when the last grant of the package ends. None = there is no such grant, and nothing was issued.
pub async fn issue_queued_grant_in(tx: &mut PgConnection, new: &NewGrant, package_id: PackageId) -> Result<Option<GrantId>, LedgerError> {
    lock_accounts_in(tx, &[new.account_id]).await?;
    match last_end_in(tx, new.account_id, package_id).await? {
        Some(end) => issue_in(tx, new, Some(end)).await.map(Some),
        None => Ok(None),
    }
}

/// Moves what is left of the account's running purchases of the same package to the grant of this order, where those purchases said
/// that they roll over. Those that are queued keep their time. Returns how much that was.
pub async fn roll_over_in(
    tx: &mut PgConnection,
    account_id: AccountId,
    package_id: PackageId,
    order_id: OrderId,
    into: GrantId,
) -> Result<Tokens, LedgerError> {
    lock_accounts_in(tx, &[account_id]).await?;
    let mut rolled = Tokens(0);
    for from in rolling_grants_in(tx, account_id, package_id).await?.into_iter().filter(|from| from.grant_id != into) {
        move_in(tx, (account_id, from.grant_id), (account_id, into), from.left, MoveCause::Renewal(order_id)).await?;
        rolled = Tokens(rolled.0 + from.left.0);
    }
    Ok(rolled)
}

/// How much would roll over if the package were bought now.
pub async fn rolls_over_now(connection: &mut PgConnection, account_id: AccountId, package_id: PackageId) -> Result<Tokens, LedgerError> {
    let grants = rolling_grants_in(connection, account_id, package_id).await?;
    Ok(Tokens(grants.into_iter().map(|grant| grant.left.0).sum()))
}

async fn rolling_grants_in(
    connection: &mut PgConnection,
    account_id: AccountId,
    package_id: PackageId,
) -> Result<Vec<GrantLeft>, LedgerError> {
    let rows = sqlx::query!(
        "SELECT g.grant_id, g.left_ FROM grants g JOIN orders o USING (order_id)
          WHERE g.account_id = $1 AND o.package_id = $2 AND o.rolls_over
            AND g.swept_at IS NULL AND g.left_ > 0 AND g.starts_at <= clock_timestamp() AND g.expires_at > clock_timestamp()
          ORDER BY g.expires_at, g.created_at, g.grant_id",
        account_id.0,
        package_id.0
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| GrantLeft { grant_id: GrantId(row.grant_id), left: Tokens(row.left_) }).collect())
}
