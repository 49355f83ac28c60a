//! What limits the calls of an account, all its keys together. Set by operators; decided with each call's hold.

use crate::ids::AccountId;
use crate::journal::record::{Entry, record_in};
use crate::journal::types::Kind;
use crate::operators::audit::{Action, insert_action_in};
use crate::operators::credit::OperatorError;
use crate::operators::rights::Operator;
use crate::tokens::Tokens;
use serde::Serialize;
use sqlx::PgPool;

/// None = no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AccountLimits {
    pub requests_per_minute: Option<i32>,
    pub tokens_per_minute: Option<Tokens>,
    pub concurrent_calls: Option<i32>,
}

/// What to change; none = leave it, `Some(None)` = take the limit away.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccountLimitsEdit {
    pub requests_per_minute: Option<Option<i32>>,
    pub tokens_per_minute: Option<Option<Tokens>>,
    pub concurrent_calls: Option<Option<i32>>,
}

/// Changes the limits of an account; the next call sees them. Returns all of them, as they are then.
pub async fn limit_account(
    db: &PgPool,
    operator: Operator,
    account_id: AccountId,
    edit: AccountLimitsEdit,
) -> Result<AccountLimits, OperatorError> {
    let mut tx = db.begin().await?;
    let row = sqlx::query!(
        "SELECT requests_per_minute, tokens_per_minute, concurrent_calls FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE",
        account_id.0
    )
    .fetch_one(&mut *tx)
    .await?;
    let before = AccountLimits {
        requests_per_minute: row.requests_per_minute,
        tokens_per_minute: row.tokens_per_minute.map(Tokens),
        concurrent_calls: row.concurrent_calls,
    };
    let after = AccountLimits {
        requests_per_minute: edit.requests_per_minute.unwrap_or(before.requests_per_minute),
        tokens_per_minute: edit.tokens_per_minute.unwrap_or(before.tokens_per_minute),
        concurrent_calls: edit.concurrent_calls.unwrap_or(before.concurrent_calls),
    };
    if after != before {
        sqlx::query!(
            "UPDATE accounts SET requests_per_minute = $2, tokens_per_minute = $3, concurrent_calls = $4 WHERE account_id = $1",
            account_id.0,
            after.requests_per_minute,
            after.tokens_per_minute.map(|tokens| tokens.0),
            after.concurrent_calls
        )
        .execute(&mut *tx)
        .await?;
        let json = |limits: &AccountLimits| serde_json::to_value(limits).ok();
        let (before, after) = (json(&before), json(&after));
        let action = Action { action: "account.limit", subject_id: account_id.to_string(), before, after, ..Action::default() };
        insert_action_in(&mut tx, operator, action).await?;
        record_in(&mut tx, account_id, operator.into(), Entry::of(Kind::AccountLimited)).await?;
    }
    tx.commit().await?;
    Ok(after)
}
