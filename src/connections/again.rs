//! Transactions tried again. Of two that wait for each other Postgres ends one, of which nothing is done then; our order of locks makes
//! that rare, and no promise.

use std::error::Error;
use std::iter::successors;
use std::time::Duration;

/// Before each further try.
const PAUSES: [Duration; 3] = [Duration::from_millis(10), Duration::from_millis(40), Duration::from_millis(160)];

/// Does a piece of work, and does it again where a deadlock or a serialization failure undid it. The work is a whole transaction, begun
/// anew each time.
pub async fn again<T, E, F>(mut work: impl FnMut() -> F) -> Result<T, E>
where
    E: Error + 'static,
    F: Future<Output = Result<T, E>>,
{
    for pause in PAUSES {
        let done = work().await;
        match &done {
            Err(error) if was_undone(error) => tracing::warn!(%error, cause = ?error.source(), "a transaction was undone; trying again"),
            _ => return done,
        }
        tokio::time::sleep(pause).await;
    }
    work().await
}

/// Whatever domain's error it is: somewhere behind it is what the database said.
fn was_undone(error: &(dyn Error + 'static)) -> bool {
    let said = successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref::<sqlx::Error>());
    let code = said.and_then(|error| error.as_database_error()).and_then(|error| error.code());
    // serialization_failure, deadlock_detected
    matches!(code.as_deref(), Some("40001" | "40P01"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::store::AccountError;
    use crate::checkout::store::CheckoutError;
    use crate::keys::store::KeyError;
    use crate::operators::credit::OperatorError;
    use crate::wallet::ledger::LedgerError;
    use sqlx::{AssertSqlSafe, PgPool};
    use std::cell::Cell;

    async fn raise(db: &PgPool, code: &str) -> Result<(), sqlx::Error> {
        let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'as asked' USING ERRCODE = '{code}'; END $$");
        sqlx::raw_sql(AssertSqlSafe(raise)).execute(db).await.map(drop)
    }

    #[sqlx::test]
    async fn only_what_was_undone_is_tried_again_and_not_for_ever(db: PgPool) {
        for (code, most) in [("40001", 4), ("40P01", 4), ("23505", 1), ("55P03", 1), ("57014", 1)] {
            let tries = Cell::new(0);
            let failed = again(|| {
                tries.set(tries.get() + 1);
                async { raise(&db, code).await.map_err(CheckoutError::from) }
            });
            assert!(failed.await.is_err(), "{code}");
            assert_eq!(tries.get(), most, "{code}");
        }
        let tries = Cell::new(0);
        let done = again(|| {
            tries.set(tries.get() + 1);
            async { if tries.get() < 3 { raise(&db, "40P01").await } else { Ok(()) } }
        });
        assert!(done.await.is_ok());
        assert_eq!(tries.get(), 3);
    }

    #[sqlx::test]
    async fn what_undid_it_is_found_behind_the_errors_of_domains(db: PgPool) {
        let deadlock = async || raise(&db, "40P01").await.expect_err("as asked");
        assert!(was_undone(&deadlock().await));
        assert!(was_undone(&OperatorError::Ledger(LedgerError::Db(deadlock().await))));
        assert!(was_undone(&CheckoutError::from(LedgerError::from(deadlock().await))));
        assert!(was_undone(&AccountError::Keys(Box::new(KeyError::from(deadlock().await)))));
        assert!(was_undone(&OperatorError::from(AccountError::from(deadlock().await))));
        assert!(!was_undone(&OperatorError::Ledger(LedgerError::NotEnoughLeft)));
    }
}
