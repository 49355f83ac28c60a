//! All SQL of `wallet`.

use crate::error::{ConsoleError, unavailable};
use crate::ids::AccountId;
use crate::tokens::Tokens;
use sqlx::PgPool;

#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    #[error("database failed")]
    Db(#[from] sqlx::Error),
}

impl From<WalletError> for ConsoleError {
    fn from(error: WalletError) -> ConsoleError {
        match error {
            WalletError::Db(error) => unavailable(&error),
        }
    }
}

/// What the account can spend now: left in grants that have begun and not expired. What calls hold is not in it.
pub async fn balance_of(db: &PgPool, account_id: AccountId) -> Result<Tokens, WalletError> {
    let balance = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(left_), 0)::bigint AS "balance!" FROM grants
            WHERE account_id = $1 AND swept_at IS NULL AND starts_at <= now() AND expires_at > now()"#,
        account_id.0
    )
    .fetch_one(db)
    .await?;
    Ok(Tokens(balance))
}
