//! The nightly self-check: `toki audit` once a day, by whichever replica begins it, with a result that `toki doctor` reads.

use crate::wallet::audit::{AuditReport, audit};
use crate::wallet::ledger::{LedgerError, reap_holds};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::PgPool;

/// Differences that are kept in words.
const EXAMPLES: usize = 20;
/// Holds that the reaper settles in one transaction.
const REAPED_AT_ONCE: i32 = 500;

/// Runs today's check if it is past 02:00 UTC and nobody has begun it; or somebody has, more than an hour ago, and it never ended: then
/// it failed, or its replica died. None = nothing to do.
pub async fn audit_once_a_day(db: &PgPool) -> Result<Option<AuditReport>, LedgerError> {
    let day = sqlx::query_scalar!(
        r#"SELECT utc::date AS "day!" FROM (SELECT clock_timestamp() AT TIME ZONE 'UTC' AS utc) AS clock WHERE extract(hour FROM utc) >= 2"#
    )
    .fetch_optional(db)
    .await?;
    match day {
        Some(day) => audit_of_day(db, day).await,
        None => Ok(None),
    }
}

async fn audit_of_day(db: &PgPool, day: NaiveDate) -> Result<Option<AuditReport>, LedgerError> {
    let begun = sqlx::query!(
        "INSERT INTO audit_runs AS r (day) VALUES ($1)
         ON CONFLICT ON CONSTRAINT audit_runs_pkey DO UPDATE
            SET started_at = clock_timestamp(),
                examples = CASE WHEN r.examples <> '{}' THEN r.examples
                                ELSE ARRAY['it was begun at ' || r.started_at || ' and never ended'] END
          WHERE r.finished_at IS NULL AND r.started_at < clock_timestamp() - interval '1 hour'
         RETURNING started_at, examples",
        day
    )
    .fetch_optional(db)
    .await?;
    let Some(run) = begun else { return Ok(None) };
    if let Some(why) = run.examples.first() {
        tracing::error!(%day, why, "THE NIGHTLY AUDIT DID NOT END, and is begun again");
    }
    let report = match look(db).await {
        Ok(report) => report,
        Err(error) => {
            note_failure(db, day, run.started_at, &error).await;
            return Err(error);
        }
    };
    let examples: Vec<String> = report.differences.iter().take(EXAMPLES).map(ToString::to_string).collect();
    // Not if it took so long that another run was begun in its place.
    sqlx::query!(
        "UPDATE audit_runs SET finished_at = clock_timestamp(), ledger_entries = $3, differences = $4, examples = $5
          WHERE day = $1 AND started_at = $2",
        day,
        run.started_at,
        report.ledger_entries,
        report.differences.len() as i64,
        &examples
    )
    .execute(db)
    .await?;
    Ok(Some(report))
}

/// Audits what the reaper leaves: after an outage this may run before it, and what is only late is no difference.
async fn look(db: &PgPool) -> Result<AuditReport, LedgerError> {
    while reap_holds(db, REAPED_AT_ONCE).await? > 0 {}
    Ok(audit(db, None).await?)
}

/// Why the run has no result, for the doctor; as far as the database takes it.
async fn note_failure(db: &PgPool, day: NaiveDate, started_at: DateTime<Utc>, error: &LedgerError) {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    let why = vec![format!("it failed: {error}{cause}")];
    tracing::error!(%day, why = why[0], "THE NIGHTLY AUDIT FAILED");
    let noted = sqlx::query!("UPDATE audit_runs SET examples = $3 WHERE day = $1 AND started_at = $2", day, started_at, &why);
    if let Err(error) = noted.execute(db).await {
        tracing::error!(%day, %error, "nor could that be noted");
    }
}

/// A self-check of the past.
pub struct AuditRun {
    pub day: NaiveDate,
    pub started_at: DateTime<Utc>,
    /// None = still running, cut short, or failed.
    pub differences: Option<i64>,
    /// The first of them; of a run without a result, why the one before it has none.
    pub examples: Vec<String>,
}

impl AuditRun {
    /// Whether it may still come to a result: no run before it failed, and it has not taken an hour.
    pub fn is_running(&self, now: DateTime<Utc>) -> bool {
        self.differences.is_none() && self.examples.is_empty() && now - self.started_at < TimeDelta::hours(1)
    }
}

/// The last one, if any was ever begun.
pub async fn last_audit_run(db: &PgPool) -> Result<Option<AuditRun>, sqlx::Error> {
    sqlx::query_as!(AuditRun, "SELECT day, started_at, differences, examples FROM audit_runs ORDER BY day DESC LIMIT 1")
        .fetch_optional(db)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::fixtures;

    fn some_day() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, 1).expect("a day")
    }

    async fn last(db: &PgPool) -> AuditRun {
        last_audit_run(db).await.expect("read").expect("a run")
    }

    /// An hour passes, and a little.
    async fn wait(db: &PgPool) {
        sqlx::query("UPDATE audit_runs SET started_at = started_at - interval '61 minutes'").execute(db).await.expect("passed");
    }

    #[sqlx::test]
    async fn one_check_a_day_and_its_result_stays(db: PgPool) {
        assert!(last_audit_run(&db).await.expect("read").is_none());
        let early = sqlx::query_scalar!("SELECT extract(hour FROM now() AT TIME ZONE 'UTC') < 2").fetch_one(&db).await.expect("clock");
        let ran = audit_once_a_day(&db).await.expect("audit");
        if early == Some(true) {
            assert!(ran.is_none());
            return;
        }
        assert_eq!(ran.map(|report| report.differences), Some(Vec::new()));
        assert!(audit_once_a_day(&db).await.expect("audit").is_none());
        let last = last(&db).await;
        assert_eq!((last.differences, last.examples), (Some(0), Vec::new()));
    }

    #[sqlx::test]
    async fn what_differs_is_kept(db: PgPool) {
        let ada = fixtures::member(&db, "ada").await;
        let grant_id = fixtures::credit(&db, ada.account_id(), 10, TimeDelta::days(1)).await;
        sqlx::query("UPDATE grants SET left_ = 9, spent = 1").execute(&db).await.expect("corruption");
        let report = audit_of_day(&db, some_day()).await.expect("audited").expect("a report");
        assert_eq!(report.differences.len(), 2);
        let run = last(&db).await;
        assert_eq!((run.differences, run.examples.len()), (Some(2), 2));
        assert!(run.examples.iter().all(|line| line.starts_with(&format!("grant {grant_id}: "))), "{:?}", run.examples);
        assert!(!run.is_running(Utc::now()));
    }

    #[sqlx::test]
    async fn a_run_that_was_cut_short_is_begun_again_after_an_hour(db: PgPool) {
        sqlx::query("INSERT INTO audit_runs (day) VALUES ($1)").bind(some_day()).execute(&db).await.expect("begun");
        assert!(audit_of_day(&db, some_day()).await.expect("asked").is_none(), "somebody is at it");
        assert!(last(&db).await.is_running(Utc::now()));
        wait(&db).await;
        assert!(!last(&db).await.is_running(Utc::now()));
        assert!(audit_of_day(&db, some_day()).await.expect("audited").is_some());
        let run = last(&db).await;
        assert_eq!((run.differences, run.examples), (Some(0), Vec::new()), "all is well in the end");
        wait(&db).await;
        assert!(audit_of_day(&db, some_day()).await.expect("asked").is_none(), "it has ended");
    }

    #[sqlx::test]
    async fn a_run_that_failed_says_why_until_another_ends(db: PgPool) {
        sqlx::query("ALTER TABLE code_redemptions RENAME TO away").execute(&db).await.expect("a broken schema");
        audit_of_day(&db, some_day()).await.expect_err("a table is missing");
        let run = last(&db).await;
        assert!(run.differences.is_none() && !run.is_running(Utc::now()), "it does not run");
        assert!(run.examples[0].starts_with("it failed: ") && run.examples[0].contains("code_redemptions"), "{:?}", run.examples);
        assert!(audit_of_day(&db, some_day()).await.expect("asked").is_none(), "not every ten minutes");
        wait(&db).await;
        audit_of_day(&db, some_day()).await.expect_err("it is still missing");
        sqlx::query("ALTER TABLE away RENAME TO code_redemptions").execute(&db).await.expect("mended");
        wait(&db).await;
        assert!(audit_of_day(&db, some_day()).await.expect("audited").is_some());
        let run = last(&db).await;
        assert_eq!((run.differences, run.examples), (Some(0), Vec::new()));
    }

    #[sqlx::test]
    async fn what_only_waits_for_the_reaper_is_no_difference(db: PgPool) {
        let ada = fixtures::member(&db, "ada").await;
        let supplier_id = fixtures::supplier(&db, "acme").await;
        fixtures::model(&db, "acme/m", supplier_id).await;
        fixtures::credit(&db, ada.account_id(), 100, TimeDelta::days(1)).await;
        let (_, secret) = fixtures::key(&db, &ada, fixtures::plain_key("bot")).await;
        fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
        sqlx::query("UPDATE holds SET deadline = now() - interval '3 hours'").execute(&db).await.expect("an outage");
        assert_eq!(audit(&db, None).await.expect("audited").differences.len(), 1);
        assert_eq!(audit_of_day(&db, some_day()).await.expect("audited").expect("a report").differences, []);
    }
}
