//! Statements that get no answer. A connection may fall silent without a word, when a network forgets it or its server is gone; the
//! system notices after a quarter of an hour.

use crate::wallet::ledger::LedgerError;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use tokio::time::error::Elapsed;

/// What came of statements under a timeout. Where nothing came in time, the connection is dropped: given back, the pool would ask it
/// whether it lives, and lose a place to it.
pub fn answered<T>(connection: PoolConnection<Postgres>, result: Result<Result<T, LedgerError>, Elapsed>) -> Result<T, LedgerError> {
    result.unwrap_or_else(|_| {
        drop(connection.detach());
        Err(LedgerError::Db(sqlx::Error::PoolTimedOut))
    })
}
