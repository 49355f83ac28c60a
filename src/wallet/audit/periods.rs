//! Whether quotas of a day, week or month count what was used in it.

use super::{Account, Difference, Found};
use sqlx::PgConnection;

/// What a key used of the period that runs is what its calls of that period hold and were charged; of periods before, nothing is kept.
///
/// A hold says in which period it counts (`admit_groups()`); a record only when its replica saw the call admitted, and a late report counts
/// in the period in which it comes (`charge_unheld()`). So a call that was settled in the period and began before it, or in its first five
/// minutes by another clock than the database's, may count or not: what was used lies between the sums without such calls and with them.
///
/// What was counted in a period while the database's clock was set back behind its beginning, by more than five minutes, no record tells:
/// then this finds a difference until the period is over.
pub(super) async fn periods_against_calls(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"WITH running AS (
               SELECT k.key_id, k.period_began AS began, k.period_used AS used FROM api_keys k
                WHERE k.period_began = period_start(k.period, k.period_zone, now()) AND ($1::uuid IS NULL OR k.account_id = $1)),
           held AS (
               SELECT r.key_id, sum(h.tokens) AS tokens
                 FROM running r JOIN holds h USING (key_id) WHERE h.created_at >= r.began GROUP BY r.key_id),
           spent AS (
               SELECT r.key_id, sum(u.charge) AS at_most,
                      sum(u.charge) FILTER (WHERE u.started_at >= r.began + interval '5 minutes') AS at_least
                 FROM running r JOIN usage_records u USING (key_id)
                WHERE u.recorded_at >= r.began - interval '5 minutes' GROUP BY r.key_id)
           SELECT 'key ' || r.key_id AS "subject!", 'used of its period' AS "what!",
                  (CASE WHEN r.used < d.at_least THEN d.at_least ELSE d.at_most END)::bigint AS "expected!", r.used AS "found!"
             FROM running r
             LEFT JOIN held h USING (key_id)
             LEFT JOIN spent s USING (key_id)
            CROSS JOIN LATERAL (
                SELECT coalesce(h.tokens, 0) + coalesce(s.at_least, 0) AS at_least,
                       coalesce(h.tokens, 0) + coalesce(s.at_most, 0) AS at_most) AS d
            WHERE r.used NOT BETWEEN d.at_least AND d.at_most
            ORDER BY r.key_id"#,
        account
    )
    .fetch_all(tx)
    .await
}

#[cfg(test)]
mod tests {
    use crate::wallet::audit::audit;
    use crate::wallet::fixtures::{self, Used};
    use chrono::{DateTime, TimeDelta, Utc};
    use sqlx::PgPool;

    /// Costs 20.
    const USED: Used = Used { input: 10, cached: 0, output: 5 };
    const NOTHING: [(String, i64, i64); 0] = [];

    /// The differences of the whole audit, without their subject.
    async fn found(db: &PgPool) -> Vec<(String, i64, i64)> {
        let differences = audit(db, None).await.expect("audit").differences;
        differences.into_iter().map(|found| (found.what, found.expected, found.found)).collect()
    }

    async fn say_used(db: &PgPool, used: i64) {
        sqlx::query("UPDATE api_keys SET period_used = $1").bind(used).execute(db).await.expect("a number");
    }

    #[sqlx::test]
    async fn what_a_key_used_of_its_period_is_what_its_calls_did(db: PgPool) {
        let supplier_id = fixtures::supplier(&db, "acme").await;
        fixtures::model(&db, "acme/m", supplier_id).await;
        let ada = fixtures::member(&db, "ada").await;
        fixtures::credit(&db, ada.account_id(), 1_000, TimeDelta::days(30)).await;
        let (_, secret) = fixtures::key(&db, &ada, fixtures::plain_key("bot")).await;
        // A day that neither begins nor ends while this runs.
        let daily = "UPDATE api_keys SET period = 'day', period_quota = 1000, period_zone =
                         CASE WHEN extract(hour FROM now() AT TIME ZONE 'UTC') BETWEEN 1 AND 22 THEN 'UTC' ELSE 'Asia/Tokyo' END";
        sqlx::query(daily).execute(&db).await.expect("a quota of the day");

        let call = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
        fixtures::settle(&db, &call, USED, Utc::now()).await;
        let running = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
        assert_eq!(found(&db).await, NOTHING);
        for wrong in [69, 71] {
            say_used(&db, wrong).await;
            assert_eq!(found(&db).await, [("used of its period".to_string(), 70, wrong)]);
        }

        // The running call was of the day before, and so was its hold.
        say_used(&db, 20).await;
        let yesterday = "UPDATE holds h SET created_at = k.period_began - interval '1 hour' FROM api_keys k RETURNING h.created_at";
        let began: DateTime<Utc> = sqlx::query_scalar(yesterday).fetch_one(&db).await.expect("a hold");
        assert_eq!(found(&db).await, NOTHING);
        fixtures::settle(&db, &running, USED, began).await;
        assert_eq!(found(&db).await, NOTHING, "it counts in its own day");
        say_used(&db, 40).await;
        assert_eq!(found(&db).await, NOTHING, "a report without a hold would count in the day in which it came");
        for (wrong, nearest) in [(19, 20), (41, 40)] {
            say_used(&db, wrong).await;
            assert_eq!(found(&db).await, [("used of its period".to_string(), nearest, wrong)]);
        }
        // Of a day that is over nothing is kept.
        sqlx::query("UPDATE api_keys SET period_began = period_began - interval '1 day'").execute(&db).await.expect("over");
        assert_eq!(found(&db).await, NOTHING);
    }
}
