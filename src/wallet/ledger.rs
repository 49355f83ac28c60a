//! The only writer of the ledger, grants and holds. Here: what is issued, taken back, moved and expires; in `admission`: whether
//! calls may run; in `calls`: what they hold; in `settlements`: what they spend; in `refunds`: what goes back with the money; in
//! `renewals`: what buying again does; in `rolled`: whose the Tokens are after it; in `marks`: what spares pages its entries; in `error`:
//! what can fail. Every decision is made inside Postgres, on locked rows, keys before accounts before grants; nothing is remembered here
//! between calls.

mod admission;
mod calls;
mod error;
mod idempotency;
mod marks;
mod partitions;
pub mod refunds;
pub mod renewals;
pub mod rolled;
mod settlements;

pub use admission::{
    Admission, AdmissionRequest, Channel, Decision, Idempotency, Limit, Limited, Price, Rate, Rates, SentBefore, Verdict, admit_calls,
};
pub use calls::{
    Looked, RunningCall, RunningHold, SwitchedOff, extend_holds, look_at_calls, overdue_holds, reap_holds, reap_overdue_holds,
    restore_holds,
};
pub use error::LedgerError;
pub use idempotency::{forget_idempotent_call, forget_old_idempotent_calls, keep_answer, kept_answer};
pub use marks::mark_ledger;
pub use partitions::create_usage_partitions;
pub use settlements::{Basis, Outcome, Settled, Settlement, settle_calls};

use crate::ids::{AccountId, ActionId, GrantId, OrderId, RedemptionId};
use crate::tokens::Tokens;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::types::PgInterval;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// Why Tokens were granted.
#[derive(Clone, Copy, Debug)]
pub enum GrantCause {
    Order(OrderId),
    Credit(ActionId),
    Code(RedemptionId),
}

/// Why Tokens moved from one grant to another.
#[derive(Clone, Copy, Debug)]
pub enum MoveCause {
    /// The package was bought again, and takes over what was left; or its grant gives that back.
    Renewal(OrderId),
    /// An operator moved them to another account.
    Transfer(ActionId),
}

/// Where Tokens may be spent; an empty list = everywhere.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    pub supplier_ids: Vec<Uuid>,
    pub model_ids: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct NewGrant {
    pub account_id: AccountId,
    pub cause: GrantCause,
    pub tokens: Tokens,
    pub scope: Scope,
    pub valid_for: TimeDelta,
    pub note: Option<String>,
}

/// Issues Tokens: a grant and its ledger entry. Spendable by the first call admitted after the transaction commits.
pub async fn issue_grant_in(tx: &mut PgConnection, new: &NewGrant) -> Result<GrantId, LedgerError> {
    issue_in(tx, new, None).await
}

/// `starts_at`: none = now.
async fn issue_in(tx: &mut PgConnection, new: &NewGrant, starts_at: Option<DateTime<Utc>>) -> Result<GrantId, LedgerError> {
    let grant_id = GrantId::generate();
    let (source, order_id, action_id, redemption_id) = match new.cause {
        GrantCause::Order(order_id) => ("order", Some(order_id.0), None, None),
        GrantCause::Credit(action_id) => ("credit", None, Some(action_id.0), None),
        GrantCause::Code(redemption_id) => ("code", None, None, Some(redemption_id.0)),
    };
    sqlx::query!(
        "INSERT INTO grants (grant_id, account_id, source, order_id, action_id, redemption_id, tokens, left_, scope_supplier_ids,
                             scope_model_ids, note, starts_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10, coalesce($12, now()), coalesce($12, now()) + $11)",
        grant_id.0,
        new.account_id.0,
        source,
        order_id,
        action_id,
        redemption_id,
        new.tokens.0,
        &new.scope.supplier_ids,
        &new.scope.model_ids,
        new.note,
        interval(new.valid_for),
        starts_at
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, order_id, action_id, redemption_id)
         VALUES ($1, $2, 'issued', 'grant', $3, $4, $5, $6)",
        new.account_id.0,
        grant_id.0,
        new.tokens.0,
        order_id,
        action_id,
        redemption_id
    )
    .execute(&mut *tx)
    .await?;
    Ok(grant_id)
}

fn interval(span: TimeDelta) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: span.num_microseconds().unwrap_or(i64::MAX) }
}

/// Writes the expiry of grants whose time is over. Returns how many it visited.
pub async fn sweep_expired_grants(db: &PgPool, most: i32) -> Result<i32, LedgerError> {
    Ok(sqlx::query_scalar!(r#"SELECT sweep_expired_grants($1) AS "swept!""#, most).fetch_one(db).await?)
}

/// Takes Tokens back from a grant, as far as they are neither spent nor held.
pub async fn take_back_in(tx: &mut PgConnection, grant_id: GrantId, tokens: Tokens, action_id: ActionId) -> Result<(), LedgerError> {
    let account_id = account_of_in(tx, grant_id).await?;
    lock_accounts_in(tx, &[account_id]).await?;
    let taken = sqlx::query!(
        "UPDATE grants SET left_ = left_ - $2, refunded = refunded + $2
          WHERE grant_id = $1 AND left_ >= $2 AND expires_at > clock_timestamp()",
        grant_id.0,
        tokens.0
    )
    .execute(&mut *tx)
    .await?;
    if taken.rows_affected() == 0 {
        return Err(LedgerError::NotEnoughLeft);
    }
    sqlx::query!(
        "INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, action_id) VALUES ($1, $2, 'grant', 'refunded', $3, $4)",
        account_id.0,
        grant_id.0,
        tokens.0,
        action_id.0
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What of a grant is left to take back, and what running calls hold of it. Its account is locked, so this is so until the end.
pub async fn left_and_held_in(tx: &mut PgConnection, grant_id: GrantId) -> Result<(Tokens, Tokens), LedgerError> {
    let account_id = account_of_in(tx, grant_id).await?;
    lock_accounts_in(tx, &[account_id]).await?;
    let row = sqlx::query!(
        r#"SELECT CASE WHEN expires_at > clock_timestamp() THEN left_ ELSE 0 END AS "left!", held FROM grants WHERE grant_id = $1"#,
        grant_id.0
    )
    .fetch_one(tx)
    .await?;
    Ok((Tokens(row.left), Tokens(row.held)))
}

/// Moves Tokens between accounts: out of the giver's grants in burn order, each into a grant of the receiver's with the same scope
/// and expiry. All or nothing.
pub async fn transfer_in(
    tx: &mut PgConnection,
    from: AccountId,
    to: AccountId,
    tokens: Tokens,
    action_id: ActionId,
    note: Option<&str>,
) -> Result<Vec<GrantId>, LedgerError> {
    lock_accounts_in(tx, &[from, to]).await?;
    let mut rest = tokens;
    let mut made = Vec::new();
    for given in grants_left_in(tx, from).await? {
        let part = rest.min(given.left);
        if part == Tokens(0) {
            break;
        }
        let grant_id = GrantId::generate();
        // It is granted what it receives.
        sqlx::query!(
            "INSERT INTO grants (grant_id, account_id, source, action_id, tokens, left_, scope_supplier_ids, scope_model_ids, note,
                                 starts_at, expires_at)
             SELECT $2, $3, 'transfer', $4, 0, 0, scope_supplier_ids, scope_model_ids, $5, now(), expires_at
               FROM grants WHERE grant_id = $1",
            given.grant_id.0,
            grant_id.0,
            to.0,
            action_id.0,
            note
        )
        .execute(&mut *tx)
        .await?;
        move_in(tx, (from, given.grant_id), (to, grant_id), part, MoveCause::Transfer(action_id)).await?;
        made.push(grant_id);
        rest = Tokens(rest.0 - part.0);
    }
    if rest == Tokens(0) { Ok(made) } else { Err(LedgerError::NotEnoughLeft) }
}

/// One entry. Both accounts are locked.
async fn move_in(
    tx: &mut PgConnection,
    (from_account, from_grant): (AccountId, GrantId),
    (to_account, to_grant): (AccountId, GrantId),
    tokens: Tokens,
    cause: MoveCause,
) -> Result<(), LedgerError> {
    let (order_id, action_id) = match cause {
        MoveCause::Renewal(order_id) => (Some(order_id.0), None),
        MoveCause::Transfer(action_id) => (None, Some(action_id.0)),
    };
    for (grant_id, change) in [(from_grant, -tokens.0), (to_grant, tokens.0)] {
        sqlx::query!("UPDATE grants SET tokens = tokens + $2, left_ = left_ + $2 WHERE grant_id = $1", grant_id.0, change)
            .execute(&mut *tx)
            .await?;
    }
    sqlx::query!(
        "INSERT INTO ledger (account_id, grant_id, to_account_id, to_grant_id, from_book, to_book, tokens, order_id, action_id)
         VALUES ($1, $2, $3, $4, 'grant', 'grant', $5, $6, $7)",
        from_account.0,
        from_grant.0,
        to_account.0,
        to_grant.0,
        tokens.0,
        order_id,
        action_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

struct GrantLeft {
    grant_id: GrantId,
    left: Tokens,
}

/// What an account can still spend, in burn order.
async fn grants_left_in(tx: &mut PgConnection, account_id: AccountId) -> Result<Vec<GrantLeft>, LedgerError> {
    let rows = sqlx::query!(
        "SELECT grant_id, left_ FROM grants
          WHERE account_id = $1 AND swept_at IS NULL AND left_ > 0 AND starts_at <= clock_timestamp() AND expires_at > clock_timestamp()
          ORDER BY scoped DESC, expires_at, created_at, grant_id",
        account_id.0
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| GrantLeft { grant_id: GrantId(row.grant_id), left: Tokens(row.left_) }).collect())
}

/// Whose grant it is.
pub async fn account_of_in(tx: &mut PgConnection, grant_id: GrantId) -> Result<AccountId, LedgerError> {
    let account_id = sqlx::query_scalar!("SELECT account_id FROM grants WHERE grant_id = $1", grant_id.0).fetch_optional(tx).await?;
    account_id.map(AccountId).ok_or(LedgerError::NoGrant)
}

/// Whoever changes the grants of an account holds its lock; more than one in the order of ids. What rolls over to them is there then,
/// whether or not the sweep has run.
async fn lock_accounts_in(tx: &mut PgConnection, accounts: &[AccountId]) -> Result<(), LedgerError> {
    let accounts: Vec<Uuid> = accounts.iter().map(|account| account.0).collect();
    sqlx::query!("SELECT account_id FROM accounts WHERE account_id = ANY ($1) ORDER BY account_id FOR NO KEY UPDATE", &accounts)
        .fetch_all(&mut *tx)
        .await?;
    // In a statement of its own: it sees what whoever held the lock before us did, and takes the time after that.
    sqlx::query_scalar!("SELECT roll_over_ended_grants($1, clock_timestamp())", &accounts).fetch_one(tx).await?;
    Ok(())
}

#[cfg(test)]
#[path = "ledger_alike_tests.rs"]
mod alike_tests;
#[cfg(test)]
#[path = "ledger_clock_tests.rs"]
mod clock_tests;
#[cfg(test)]
#[path = "ledger_large_tests.rs"]
mod large_tests;
#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
