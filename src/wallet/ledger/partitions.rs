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

    #[sqlx::test]
    async fn records_lie_in_the_partition_of_their_month(db: PgPool) {
        let ada = fixtures::member(&db, "ada").await;
        let supplier_id = fixtures::supplier(&db, "acme").await;
        fixtures::model(&db, "acme/m", supplier_id).await;
        fixtures::credit(&db, ada.account_id(), 1_000, TimeDelta::days(1)).await;
        let (_, secret) = fixtures::key(&db, &ada, plain_key("bot")).await;
        let now = Utc::now();
        let next = now + Months::new(1);
        for began in [now - Months::new(1), now, next, now + Months::new(30)] {
            fixtures::call_at(&db, &secret, "acme/m", Used { input: 1, cached: 0, output: 1 }, began).await;
        }
        let month = format!("usage_records_{}_{:02}", next.year(), next.month());
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

    #[sqlx::test]
    async fn partitions_are_made_ahead_once_however_many_replicas_ask(db: PgPool) {
        assert_eq!(create_usage_partitions(&db, Utc::now()).await.expect("made"), 0, "the migration made them");
        let later = Utc::now() + Months::new(2);
        let made = join_all((0..4).map(|_| create_usage_partitions(&db, later))).await;
        assert_eq!(made.into_iter().map(|made| made.expect("made")).sum::<i64>(), 2);
    }
}
