//! Whether the marks of the ledger say what its entries add up to.

use super::{Account, Difference, Found};
use sqlx::PgConnection;

/// Each mark is the one before it and what the entries from that to its own moved.
pub(super) async fn marks_against_ledger(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"SELECT 'mark ' || m.entry_id || ' of account ' || m.account_id AS "subject!", 'in the wallet' AS "what!",
                  e.tokens AS "expected!", m.tokens AS "found!"
             FROM (SELECT account_id, entry_id, tokens, lag(entry_id) OVER of_account AS last_id, lag(tokens) OVER of_account AS last_tokens
                     FROM ledger_marks WHERE $1::uuid IS NULL OR account_id = $1
                   WINDOW of_account AS (PARTITION BY account_id ORDER BY entry_id)) m,
                  LATERAL (SELECT coalesce(m.last_tokens, 0) + moved_between(
                               m.account_id, coalesce(m.last_id, '-9223372036854775808'), m.entry_id + 1) AS tokens) e
            WHERE m.tokens <> e.tokens
            ORDER BY m.account_id, m.entry_id"#,
        account
    )
    .fetch_all(tx)
    .await
}

#[cfg(test)]
mod tests {
    use super::super::audit;
    use crate::wallet::fixtures;
    use chrono::TimeDelta;
    use sqlx::PgPool;

    #[sqlx::test]
    async fn marks_that_the_entries_do_not_add_up_to_are_found(db: PgPool) {
        let ada = fixtures::member(&db, "ada").await;
        let bob = fixtures::member(&db, "bob").await;
        for _ in 0..4 {
            fixtures::credit(&db, ada.account_id(), 10, TimeDelta::days(1)).await;
        }
        sqlx::query("SELECT mark_ledger(account_id, 2, clock_timestamp()) FROM accounts").execute(&db).await.expect("marks");
        assert_eq!(audit(&db, None).await.expect("audit").differences, []);
        sqlx::query("UPDATE ledger_marks SET tokens = tokens + 1 WHERE tokens = 40").execute(&db).await.expect("wrong");
        let found = audit(&db, Some(ada.account_id())).await.expect("audit").differences;
        let said: Vec<_> = found.iter().map(|found| (found.what.as_str(), found.expected, found.found)).collect();
        assert_eq!(said, [("in the wallet", 40, 41)]);
        assert!(found[0].subject.ends_with(&format!(" of account {}", ada.account_id())), "{}", found[0].subject);
        assert_eq!(audit(&db, Some(bob.account_id())).await.expect("audit").differences, []);
        sqlx::query("DELETE FROM ledger_marks WHERE tokens = 20").execute(&db).await.expect("gone");
        let found = audit(&db, None).await.expect("audit").differences;
        assert_eq!(found.iter().map(|found| found.expected).collect::<Vec<_>>(), [40], "the entries before it are counted all the same");
    }
}
