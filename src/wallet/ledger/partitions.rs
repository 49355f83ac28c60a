//! Usage records lie in a partition a month, by their ids, which are in the order of time.

use super::LedgerError;
use chrono::{DateTime, Utc};
use sqlx::PgPool;

/// Makes the partitions for the month of `now` and the three after it, as far as they are missing. Returns how many.
pub async fn create_usage_partitions(db: &PgPool, now: DateTime<Utc>) -> Result<i64, LedgerError> {
    let made = sqlx::query_scalar!(r#"SELECT create_usage_partitions($1) AS "made!""#, now).fetch_one(db).await?;
    Ok(i64::from(made))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::audit::audit;
    use crate::wallet::fixtures::{self, Used, plain_key};
    use chrono::{Datelike, Months, TimeDelta};
    use futures::future::join_all;

    /// Where the record of a call lies, by the name of its table.
    async fn places(db: &PgPool) -> Vec<String> {
        sqlx::query_scalar("SELECT tableoid::regclass::text FROM usage_records ORDER BY request_id").fetch_all(db).await.expect("places")
    }

    /// Makes calls that began at these moments.
    async fn call_at(db: &PgPool, moments: &[DateTime<Utc>]) {
        let ada = fixtures::member(db, "ada").await;
        let supplier_id = fixtures::supplier(db, "acme").await;
        fixtures::model(db, "acme/m", supplier_id).await;
        fixtures::credit(db, ada.account_id(), 1_000, TimeDelta::days(1)).await;
        let (_, secret) = fixtures::key(db, &ada, plain_key("bot")).await;
        for began in moments {
            fixtures::call_at(db, &secret, "acme/m", Used { input: 1, cached: 0, output: 1 }, *began).await;
        }
    }

    /// The name of a month's partition.
    fn partition_of(month: DateTime<Utc>) -> String {
        format!("usage_records_{}_{:02}", month.year(), month.month())
    }

    #[sqlx::test]
    async fn records_lie_in_the_partition_of_their_month(db: PgPool) {
        let now = Utc::now();
        let next = now + Months::new(1);
        call_at(&db, &[now - Months::new(1), now, next, now + Months::new(30)]).await;
        let month = partition_of(next);
        assert_eq!(places(&db).await, ["usage_records_first", "usage_records_first", month.as_str(), "usage_records_rest"]);
        assert_eq!(audit(&db, None).await.expect("audit").differences, []);
        for sql in [
            "TRUNCATE usage_records",
            "TRUNCATE usage_records_first",
            "DELETE FROM usage_records_first",
            "UPDATE usage_records SET charge = 0",
        ] {
            sqlx::raw_sql(sql).execute(&db).await.expect_err(sql);
        }
    }

    /// A gateway's clock may be months ahead, for one call.
    #[sqlx::test]
    async fn records_that_came_before_their_partition_move_into_it(db: PgPool) {
        let now = Utc::now();
        let ahead = now + Months::new(5);
        call_at(&db, &[ahead, now + Months::new(30)]).await;
        assert_eq!(places(&db).await, ["usage_records_rest"; 2]);
        assert_eq!(create_usage_partitions(&db, now + Months::new(3)).await.expect("made"), 3);
        assert_eq!(places(&db).await, [partition_of(ahead).as_str(), "usage_records_rest"]);
        // Nothing is added up twice, and nothing may be taken away afterwards.
        assert_eq!(audit(&db, None).await.expect("audit").differences, []);
        for sql in ["DELETE FROM usage_records_rest", "DELETE FROM usage_records"] {
            let refused = sqlx::raw_sql(sql).execute(&db).await.expect_err(sql);
            assert!(refused.to_string().contains("append-only"), "{sql}: {refused}");
        }
    }

    #[sqlx::test]
    async fn partitions_are_made_ahead_once_however_many_replicas_ask(db: PgPool) {
        assert_eq!(create_usage_partitions(&db, Utc::now()).await.expect("made"), 0, "the migration made them");
        let later = Utc::now() + Months::new(2);
        let made = join_all((0..4).map(|_| create_usage_partitions(&db, later))).await;
        assert_eq!(made.into_iter().map(|made| made.expect("made")).sum::<i64>(), 2);
    }
}
