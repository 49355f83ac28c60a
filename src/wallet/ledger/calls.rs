//! What running calls hold: whether they must end, extended, restored, reaped. Thin over the functions of the migrations.

use super::{Admission, LedgerError, interval};
use crate::ids::{AccountId, KeyId, ReplicaId, RequestId, SupplierId};
use crate::tokens::Tokens;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::types::Json;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

/// The hold of a running call, as its replica remembers it. The names are columns of `holds`.
#[derive(Clone, Debug, Serialize)]
pub struct RunningHold {
    pub request_id: RequestId,
    pub account_id: AccountId,
    pub key_id: KeyId,
    pub model_id: String,
    pub supplier_id: SupplierId,
    pub price_version: i32,
    pub endpoint: &'static str,
    pub streamed: bool,
    pub tokens: Tokens,
    pub created_at: DateTime<Utc>,
}

impl Admission {
    /// What its replica remembers of it; the request says the rest.
    pub fn hold(&self, endpoint: &'static str, streamed: bool, created_at: DateTime<Utc>) -> RunningHold {
        RunningHold {
            request_id: self.request_id,
            account_id: self.account_id,
            key_id: self.key_id,
            model_id: self.model_id.clone(),
            supplier_id: self.supplier_id,
            price_version: self.price_version,
            endpoint,
            streamed,
            tokens: self.held,
            created_at,
        }
    }
}

/// Makes the replica known to the database, and puts back those of its holds that a crash forgot. Returns how many.
pub async fn restore_holds(
    db: impl PgExecutor<'_>,
    owner: ReplicaId,
    hold_for: TimeDelta,
    running: &[RunningHold],
) -> Result<i32, LedgerError> {
    let restored =
        sqlx::query_scalar!(r#"SELECT restore_holds($1, $2, $3) AS "restored!""#, owner.0, interval(hold_for), Json(running) as _);
    Ok(restored.fetch_one(db).await?)
}

/// A running call, and what may be switched off under it.
#[derive(Clone, Copy, Debug)]
pub struct RunningCall {
    pub request_id: RequestId,
    pub account_id: AccountId,
    pub key_id: KeyId,
    pub supplier_id: SupplierId,
}

impl From<&RunningHold> for RunningCall {
    fn from(hold: &RunningHold) -> RunningCall {
        RunningCall { request_id: hold.request_id, account_id: hold.account_id, key_id: hold.key_id, supplier_id: hold.supplier_id }
    }
}

/// What was switched off under a running call, so that it must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchedOff {
    KeyDisabled,
    KeyDeleted,
    KeyExpired,
    AccountSuspended,
    Supplier,
}

/// What the database says about a replica's running calls.
#[derive(Debug)]
pub struct Looked {
    /// Calls that must end now.
    pub ended: Vec<(RequestId, SwitchedOff)>,
    /// False when the database does not know the replica, as after a crash that forgot its holds.
    pub known: bool,
}

/// Which of these calls must end, also where the database has their holds no more. Waits for no lock, so that nothing delays the end of a
/// call.
pub async fn look_at_calls(db: impl PgExecutor<'_>, owner: ReplicaId, calls: &[RunningCall]) -> Result<Looked, LedgerError> {
    let column = |of: fn(&RunningCall) -> Uuid| calls.iter().map(of).collect::<Vec<_>>();
    let rows = sqlx::query!(
        r#"SELECT r.known AS "known!", e.request_id AS "request_id?", e.off AS "off?"
             FROM (SELECT EXISTS (SELECT 1 FROM replicas WHERE owner = $1) AS known) r
             LEFT JOIN (SELECT c.request_id,
                               CASE WHEN k.status = 'deleted' THEN 'key_deleted'
                                    WHEN k.status <> 'enabled' THEN 'key_disabled'
                                    WHEN k.expires_at <= clock_timestamp() THEN 'key_expired'
                                    WHEN a.suspended_at IS NOT NULL THEN 'account_suspended'
                                    WHEN s.status <> 'enabled' THEN 'supplier' END AS off
                          FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[]) AS c (request_id, account_id, key_id, supplier_id)
                          JOIN api_keys k ON k.key_id = c.key_id
                          JOIN accounts a ON a.account_id = c.account_id
                          JOIN suppliers s ON s.supplier_id = c.supplier_id) e ON e.off IS NOT NULL"#,
        owner.0,
        &column(|call| call.request_id.0),
        &column(|call| call.account_id.0),
        &column(|call| call.key_id.0),
        &column(|call| call.supplier_id.0)
    )
    .fetch_all(db)
    .await?;
    let known = rows.first().is_some_and(|row| row.known);
    let ended = rows.into_iter().filter_map(|row| Some((RequestId(row.request_id?), row.off?)));
    let ended = ended.map(|(call, off)| match off.as_str() {
        "key_deleted" => Ok((call, SwitchedOff::KeyDeleted)),
        "key_disabled" => Ok((call, SwitchedOff::KeyDisabled)),
        "key_expired" => Ok((call, SwitchedOff::KeyExpired)),
        "account_suspended" => Ok((call, SwitchedOff::AccountSuspended)),
        "supplier" => Ok((call, SwitchedOff::Supplier)),
        _ => Err(LedgerError::BatchMismatch),
    });
    Ok(Looked { ended: ended.collect::<Result<_, _>>()?, known })
}

/// Moves the deadline of the holds of these calls, of which half the time is over. A hold that is locked is being settled, and is
/// left alone. What this replica holds for calls that it does not know, since their admission never reached it, is left to the reaper.
pub async fn extend_holds(db: impl PgExecutor<'_>, owner: ReplicaId, hold_for: TimeDelta, calls: &[RequestId]) -> Result<(), LedgerError> {
    sqlx::query!(
        "UPDATE holds SET deadline = now() + $2::interval
          WHERE request_id IN (SELECT request_id FROM holds
                                WHERE owner = $1 AND deadline < now() + $2::interval * 0.5 AND request_id = ANY ($3)
                                ORDER BY request_id FOR NO KEY UPDATE SKIP LOCKED)",
        owner.0,
        interval(hold_for),
        &calls.iter().map(|call| call.0).collect::<Vec<_>>()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Settles, as interrupted and free of charge, calls whose owner let their deadline pass. Returns how many. A hold that cannot be settled
/// stays, in nobody's way, and is named in each round until somebody has mended it.
pub async fn reap_holds(db: &PgPool, most: i32) -> Result<i32, LedgerError> {
    let round = sqlx::query!(r#"SELECT reaped AS "reaped!", failures AS "failures!" FROM reap_round($1)"#, most).fetch_one(db).await?;
    name_failures(&round.failures);
    Ok(round.reaped)
}

fn name_failures(failures: &[String]) {
    for failure in failures {
        tracing::error!(%failure, of = failures.len(), "A HOLD CANNOT BE GIVEN BACK");
    }
}

/// The same for what is long past its deadline, since a round passes over what is locked, and some locks are hardly ever free: waits for
/// them, a key and its account at a time. Half of the turns are of who waits longest and half are drawn, so that a lock that somebody
/// keeps, or a hold that cannot be settled, which each round names, is in nobody's way.
pub async fn reap_overdue_holds(db: &PgPool, most: i32) -> Result<i32, LedgerError> {
    let turns = sqlx::query!(
        r#"WITH overdue AS (SELECT key_id, account_id, min(deadline) AS since FROM holds
                             WHERE deadline < clock_timestamp() - interval '30 seconds' GROUP BY key_id, account_id),
                longest AS (SELECT * FROM overdue ORDER BY since LIMIT 4),
                drawn AS (SELECT * FROM overdue ORDER BY random() LIMIT 4)
           SELECT key_id AS "key_id!", account_id AS "account_id!" FROM (TABLE longest UNION TABLE drawn) turns ORDER BY since"#
    )
    .fetch_all(db)
    .await?;
    let (mut reaped, mut failed) = (0, None);
    for turn in turns {
        let done = sqlx::query!(
            r#"SELECT reaped AS "reaped!", failures AS "failures!" FROM reap_waiting($1, $2, $3)"#,
            turn.key_id,
            turn.account_id,
            most
        );
        match done.fetch_one(db).await.map_err(LedgerError::from) {
            Ok(done) => {
                name_failures(&done.failures);
                reaped += done.reaped;
            }
            Err(error) if error.is_locked() => {
                tracing::warn!(account_id = %turn.account_id, "a hold is overdue, and its locks were not to be had");
            }
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(reaped), Err)
}

/// How many holds have been past their deadline for longer than a running server leaves them.
pub async fn overdue_holds(db: &PgPool) -> Result<i64, LedgerError> {
    let overdue = sqlx::query_scalar!(r#"SELECT count(*) AS "overdue!" FROM holds WHERE deadline < now() - interval '1 minute'"#);
    Ok(overdue.fetch_one(db).await?)
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
