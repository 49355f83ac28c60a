//! Marks in the ledger: what was in a wallet after some of its entries, so that a page of long ago need not add up all that came since.

use super::LedgerError;
use sqlx::PgPool;

/// Entries from a mark to the next. A page reads so many at most for what was in the wallet, in some 10 ms.
const EVERY: i64 = 10_000;

/// Marks the entries of all accounts that came since their last marks, but for those of the last hour: a transaction that began before may
/// still have one to commit. Reads what is not marked yet, one account after the other, so that what is done stays done. Returns how many
/// marks it made; nothing but the time of pages depends on it.
pub async fn mark_ledger(db: &PgPool) -> Result<i64, LedgerError> {
    mark_older(db, EVERY, 60).await
}

/// `minutes`: since when an entry must be there.
async fn mark_older(db: &PgPool, every: i64, minutes: i64) -> Result<i64, LedgerError> {
    let mut made = 0;
    for account_id in sqlx::query_scalar!("SELECT account_id FROM accounts ORDER BY account_id").fetch_all(db).await? {
        let mut tx = db.begin().await?;
        // The first time it reads all of an account's ledger; the pool's limit is meant for requests.
        sqlx::query!("SELECT set_config('statement_timeout', '0', true)").fetch_one(&mut *tx).await?;
        let marks = sqlx::query_scalar!(
            r#"SELECT mark_ledger($1, $2, clock_timestamp() - $3::bigint * interval '1 minute') AS "made!""#,
            account_id,
            every,
            minutes
        );
        made += marks.fetch_one(&mut *tx).await?;
        tx.commit().await?;
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::audit::audit;
    use crate::wallet::fixtures;
    use chrono::TimeDelta;

    async fn marks(db: &PgPool) -> Vec<i64> {
        sqlx::query_scalar("SELECT tokens FROM ledger_marks ORDER BY account_id, entry_id").fetch_all(db).await.expect("marks")
    }

    #[sqlx::test]
    async fn every_so_many_entries_are_marked_once_and_none_that_is_new(db: PgPool) {
        let [ada, bob] = [fixtures::member(&db, "ada").await, fixtures::member(&db, "bob").await];
        for tokens in 1..=7 {
            fixtures::credit(&db, ada.account_id(), tokens, TimeDelta::days(1)).await;
            fixtures::credit(&db, bob.account_id(), 1, TimeDelta::days(1)).await;
        }
        assert_eq!(mark_ledger(&db).await.expect("marks"), 0, "all are of the last hour, and few");
        assert_eq!(mark_older(&db, 3, 60).await.expect("marks"), 0, "all are of the last hour");
        assert_eq!(mark_older(&db, 3, 0).await.expect("marks"), 4);
        let mut made = marks(&db).await;
        made.sort_unstable();
        assert_eq!(made, [3, 6, 1 + 2 + 3, 1 + 2 + 3 + 4 + 5 + 6]);
        assert_eq!(mark_older(&db, 3, 0).await.expect("marks"), 0);

        fixtures::credit(&db, ada.account_id(), 100, TimeDelta::days(1)).await;
        fixtures::credit(&db, ada.account_id(), 100, TimeDelta::days(1)).await;
        assert_eq!(mark_older(&db, 3, 0).await.expect("marks"), 1, "it goes on after the last");
        let all = marks(&db).await;
        assert!(all.contains(&(21 + 7 + 200)), "{all:?}");
        assert_eq!(audit(&db, None).await.expect("audit").differences, []);
        sqlx::query("DELETE FROM ledger_marks").execute(&db).await.expect("deleted");
        assert_eq!(mark_older(&db, 3, 0).await.expect("marks"), 5, "and is made again");
        assert_eq!(marks(&db).await, all);
    }
}
