//! The clock that model and product go by. The product has one, the database's, which nobody can set. So the names by which SQL asks for
//! it are found here first: functions in a schema that is searched before Postgres's own, ahead of the real clock by what a row says.
//! Real time goes on beside it: ten minutes at most, for a run is no longer. What decides about calls does not see it, for rates are of
//! minutes, and what is used of one must not depend on how fast a run is: it is told the latest that it could be.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use toki::gateway::PLANNER;

/// Minute 0 of the model, in seconds: 2026-06-01T00:00:00Z, a Monday.
const BEGINNING: i64 = 1_780_272_000;
/// Real time that may have passed since a run began, in minutes.
pub const MOST_REAL: i64 = 10;

/// A minute of the model.
pub fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(BEGINNING + minute * 60, 0).expect("a time")
}

/// What a replica's clock says in that minute: no less than the database's, which real time moves on.
pub fn of_replica(minute: i64) -> DateTime<Utc> {
    at(minute + MOST_REAL)
}

/// The same in microseconds since the beginning. It is what decisions about calls are told, too.
pub fn micros(minute: i64) -> i64 {
    start_of(minute + MOST_REAL)
}

/// When a minute begins, in microseconds.
pub fn start_of(minute: i64) -> i64 {
    minute * 60_000_000
}

pub fn at_micros(micros: i64) -> DateTime<Utc> {
    at(0) + TimeDelta::microseconds(micros)
}

pub fn micros_of(time: DateTime<Utc>) -> i64 {
    (time - at(0)).num_microseconds().expect("a time of the model")
}

/// The minute of the model that a time is in.
pub fn minute_of(time: DateTime<Utc>) -> i64 {
    (time - at(0)).num_minutes()
}

/// Connections that see it, with the planner as the gateway has it.
pub fn seen_by(connect: &PgConnectOptions) -> PgConnectOptions {
    let planner = PLANNER.iter().copied();
    connect.clone().options([("search_path", "public, sim, pg_catalog")].into_iter().chain(planner))
}

/// Makes it, on a connection that will see it.
pub async fn install(db: &PgPool) {
    for sql in [
        "CREATE SCHEMA sim",
        "CREATE TABLE sim.clock (ahead interval NOT NULL, minute timestamptz NOT NULL)",
        "INSERT INTO sim.clock VALUES ('0', now())",
        "CREATE FUNCTION sim.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
         'SELECT pg_catalog.clock_timestamp() + ahead FROM sim.clock'",
        "CREATE FUNCTION sim.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT pg_catalog.now() + ahead FROM sim.clock'",
        // A default means the function that its name led to when it was set. The age of a grant is compared with its start, and a replica
        // is forgotten after a month; all other defaults only tell what came first.
        "ALTER TABLE grants ALTER COLUMN created_at SET DEFAULT now()",
        "ALTER TABLE replicas ALTER COLUMN seen_at SET DEFAULT clock_timestamp()",
        "CREATE SCHEMA calls",
        "CREATE FUNCTION calls.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
         'SELECT minute + interval ''10 minutes'' FROM sim.clock'",
        "DO $$
         DECLARE
             v_function regprocedure;
         BEGIN
             FOR v_function IN
                 SELECT p.oid FROM pg_proc p
                  WHERE p.pronamespace = 'public'::regnamespace
                    AND p.proname IN ('admit_groups', 'settle_calls', 'restore_holds', 'reap_round', 'reap_waiting')
             LOOP
                 EXECUTE format('ALTER FUNCTION %s SET search_path = public, calls, sim, pg_catalog', v_function);
             END LOOP;
         END
         $$",
    ] {
        sqlx::query(sql).execute(db).await.expect("a clock");
    }
}

pub async fn set(db: &PgPool, minute: i64) {
    let sql = "UPDATE sim.clock SET ahead = $1 - pg_catalog.clock_timestamp(), minute = $1";
    sqlx::query(sql).bind(at(minute)).execute(db).await.expect("set");
}

/// On, or back.
pub async fn step(db: &PgPool, hours: i64) {
    let sql = "UPDATE sim.clock SET ahead = ahead + $1 * interval '1 hour', minute = minute + $1 * interval '1 hour'";
    sqlx::query(sql).bind(hours).execute(db).await.expect("stepped");
}
