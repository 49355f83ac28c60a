//! The nightly self-check: `toki audit` once a day, by whichever replica begins it, with a result that `toki doctor` reads.

use crate::wallet::audit::{AuditReport, audit};
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgPool;

/// Differences that are kept in words.
const EXAMPLES: usize = 20;

/// Runs today's check if it is past 02:00 UTC and nobody has begun it. None = nothing to do.
pub async fn audit_once_a_day(db: &PgPool) -> Result<Option<AuditReport>, sqlx::Error> {
    let begun = sqlx::query_scalar!(
        "INSERT INTO audit_runs (day)
         SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date WHERE extract(hour FROM clock_timestamp() AT TIME ZONE 'UTC') >= 2
         ON CONFLICT ON CONSTRAINT audit_runs_pkey DO NOTHING RETURNING day"
    )
    .fetch_optional(db)
    .await?;
    let Some(day) = begun else { return Ok(None) };
    let report = audit(db, None).await?;
    let examples: Vec<String> = report.differences.iter().take(EXAMPLES).map(ToString::to_string).collect();
    sqlx::query!(
        "UPDATE audit_runs SET finished_at = clock_timestamp(), ledger_entries = $2, differences = $3, examples = $4 WHERE day = $1",
        day,
        report.ledger_entries,
        report.differences.len() as i64,
        &examples
    )
    .execute(db)
    .await?;
    Ok(Some(report))
}

/// A self-check of the past.
pub struct AuditRun {
    pub day: NaiveDate,
    pub started_at: DateTime<Utc>,
    /// None = still running, or cut short.
    pub differences: Option<i64>,
    pub examples: Vec<String>,
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
        let last = last_audit_run(&db).await.expect("read").expect("a run");
        assert_eq!((last.differences, last.examples), (Some(0), Vec::new()));
    }
}
