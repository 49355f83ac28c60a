//! SQL about codes: redeeming one here; operators' work in `batches`, what one takes off an order in `promotions`, its text in `plain`.

pub mod batches;
pub mod plain;
pub mod promotions;

use crate::accounts::membership::still_may_in;
use crate::accounts::rights::Member;
use crate::connections::again;
use crate::error::{CodeProblem, ConsoleError, unavailable};
use crate::ids::{CodeId, GrantId, OrderId, RedemptionId};
use crate::journal::record::{Actor, Entry, record_in};
use crate::journal::types::Kind;
use crate::tokens::Tokens;
use crate::wallet::ledger::{GrantCause, LedgerError, NewGrant, Scope, issue_grant_in};
use chrono::TimeDelta;
use sqlx::{PgConnection, PgPool};

/// Tries that come to nothing an account has in an hour.
pub const TRIES_MOST: i64 = 10;

#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    #[error("{0:?}")]
    Problem(CodeProblem),
    #[error("too many tries, wait {wait_s} s")]
    TooManyTries { wait_s: u32 },
    #[error("the account is suspended")]
    AccountSuspended,
    #[error("the role does not allow this any more")]
    NotAllowed,
    #[error("no such code")]
    NotFound,
    #[error(
        "out of range: 1 to 10,000 codes, of 1 to 1,000,000 uses; 1 to 10^15 Tokens for 1 minute to 3650 days, or 1 to 99 percent, or at least one minor unit off; an end in the future; a note of 1 to 200 characters"
    )]
    OutOfRange,
    #[error(transparent)]
    Ledger(LedgerError),
    #[error("database failed")]
    Db(#[source] sqlx::Error),
}

impl From<CodeProblem> for CodeError {
    fn from(problem: CodeProblem) -> CodeError {
        CodeError::Problem(problem)
    }
}

impl From<sqlx::Error> for CodeError {
    fn from(error: sqlx::Error) -> CodeError {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("code_redemptions_pkey") => CodeProblem::AlreadyUsed.into(),
            Some("codes_used_check") => CodeProblem::UsedUp.into(),
            Some(
                "codes_uses_check"
                | "codes_tokens_check"
                | "codes_valid_for_s_check"
                | "codes_percent_off_check"
                | "codes_amount_off_minor_check"
                | "codes_note_check",
            ) => CodeError::OutOfRange,
            _ => CodeError::Db(error),
        }
    }
}

impl From<LedgerError> for CodeError {
    fn from(error: LedgerError) -> CodeError {
        match error {
            LedgerError::Db(error) => CodeError::Db(error),
            other => CodeError::Ledger(other),
        }
    }
}

impl From<CodeError> for ConsoleError {
    fn from(error: CodeError) -> ConsoleError {
        match error {
            CodeError::Problem(problem) => ConsoleError::Code(problem),
            CodeError::TooManyTries { wait_s } => ConsoleError::TooManyAttempts { wait_s },
            CodeError::AccountSuspended => ConsoleError::AccountSuspended,
            CodeError::NotAllowed => ConsoleError::NotAllowed,
            CodeError::NotFound => ConsoleError::NotFound,
            CodeError::OutOfRange | CodeError::Ledger(_) => {
                tracing::error!(%error, "codes failed");
                ConsoleError::Internal
            }
            CodeError::Db(error) => unavailable(&error),
        }
    }
}

/// Redeems a code into the member's wallet: its use, the grant and the ledger's entry in one transaction.
pub async fn redeem(db: &PgPool, member: &Member, code_hash: &[u8; 32]) -> Result<GrantId, CodeError> {
    let attempt = begin_try(db, member).await?;
    again(|| redeem_once(db, member, code_hash, attempt)).await
}

async fn redeem_once(db: &PgPool, member: &Member, code_hash: &[u8; 32], attempt: Try) -> Result<GrantId, CodeError> {
    let mut tx = db.begin().await?;
    let grant_id = redeem_in(&mut tx, member, code_hash).await?;
    forget_try_in(&mut tx, attempt).await?;
    tx.commit().await?;
    Ok(grant_id)
}

async fn redeem_in(tx: &mut PgConnection, member: &Member, code_hash: &[u8; 32]) -> Result<GrantId, CodeError> {
    // Their request may have begun before they were removed.
    if !still_may_in(tx, member).await? {
        return Err(CodeError::NotAllowed);
    }
    lock_account_in(tx, member).await?;
    let code = sqlx::query!(
        r#"SELECT code_id, kind, tokens, valid_for_s, scope_supplier_ids, scope_model_ids, note, disabled_at IS NOT NULL AS "disabled!",
                  coalesce(expires_at <= clock_timestamp(), false) AS "expired!"
             FROM codes WHERE code_hash = $1 FOR NO KEY UPDATE"#,
        &code_hash[..]
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(CodeProblem::Unknown)?;
    let (Some(tokens), Some(valid_for_s)) = (code.tokens, code.valid_for_s) else { return Err(CodeProblem::TakesOffAPrice.into()) };
    if code.disabled {
        return Err(CodeProblem::Disabled.into());
    }
    let redemption_id = take_use_in(tx, member, CodeId(code.code_id), None).await?;
    // Only now: whoever has its Tokens already is told that, and not that it has expired since.
    if code.expired {
        return Err(CodeProblem::Expired.into());
    }
    let grant = NewGrant {
        account_id: member.account_id(),
        cause: GrantCause::Code(redemption_id),
        tokens: Tokens(tokens),
        scope: Scope { supplier_ids: code.scope_supplier_ids, model_ids: code.scope_model_ids },
        valid_for: TimeDelta::try_seconds(valid_for_s).unwrap_or(TimeDelta::MAX),
        note: code.note,
    };
    let grant_id = issue_grant_in(tx, &grant).await?;
    record_in(tx, member.account_id(), Actor::of(member), Entry::of(Kind::CodeRedeemed).saying(Tokens(tokens).exact())).await?;
    Ok(grant_id)
}

/// Takes a use of a locked code, if there is one, and this account has had none. The table's constraints say so.
async fn take_use_in(
    tx: &mut PgConnection,
    member: &Member,
    code_id: CodeId,
    order_id: Option<OrderId>,
) -> Result<RedemptionId, CodeError> {
    let redemption_id = RedemptionId::generate();
    sqlx::query!(
        "INSERT INTO code_redemptions (redemption_id, code_id, account_id, user_id, order_id) VALUES ($1, $2, $3, $4, $5)",
        redemption_id.0,
        code_id.0,
        member.account_id().0,
        member.user_id().0,
        order_id.map(|id| id.0)
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("UPDATE codes SET used = used + 1 WHERE code_id = $1", code_id.0).execute(tx).await?;
    Ok(redemption_id)
}

/// A try that counts as failed until it is forgotten.
#[derive(Clone, Copy)]
struct Try(i64);

/// Begins a try, in a transaction of its own: it counts whatever becomes of what follows, and many at once cannot be more than there
/// may be.
async fn begin_try(db: &PgPool, member: &Member) -> Result<Try, CodeError> {
    let mut tx = db.begin().await?;
    lock_account_in(&mut tx, member).await?;
    let account_id = member.account_id().0;
    sqlx::query!("DELETE FROM code_tries WHERE account_id = $1 AND at <= clock_timestamp() - interval '1 hour'", account_id)
        .execute(&mut *tx)
        .await?;
    let tries = sqlx::query!(
        r#"SELECT count(*) AS "count!",
                  coalesce(ceil(extract(epoch FROM min(at) + interval '1 hour' - clock_timestamp())), 0)::integer AS "wait_s!"
             FROM code_tries WHERE account_id = $1"#,
        account_id
    )
    .fetch_one(&mut *tx)
    .await?;
    if tries.count >= TRIES_MOST {
        return Err(CodeError::TooManyTries { wait_s: u32::try_from(tries.wait_s).unwrap_or(1).max(1) });
    }
    let try_id = sqlx::query_scalar!("INSERT INTO code_tries (account_id) VALUES ($1) RETURNING try_id", account_id).fetch_one(&mut *tx);
    let attempt = Try(try_id.await?);
    tx.commit().await?;
    Ok(attempt)
}

async fn forget_try_in(tx: &mut PgConnection, attempt: Try) -> Result<(), CodeError> {
    sqlx::query!("DELETE FROM code_tries WHERE try_id = $1", attempt.0).execute(tx).await?;
    Ok(())
}

/// Whoever changes the grants of an account holds its lock; codes are locked after it.
async fn lock_account_in(tx: &mut PgConnection, member: &Member) -> Result<(), CodeError> {
    let suspended = sqlx::query_scalar!(
        r#"SELECT suspended_at IS NOT NULL AS "suspended!" FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE"#,
        member.account_id().0
    );
    if suspended.fetch_one(tx).await? { Err(CodeError::AccountSuspended) } else { Ok(()) }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
