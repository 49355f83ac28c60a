//! The nightly self-check is loud: what differs, and what keeps it from a result, is in the log of a replica, in the table of runs, and
//! fails the doctor.

use crate::support::installation::eventually;
use crate::support::toki::{Served, Toki};
use serde_json::Value;
use sqlx::PgPool;

const ADA: &str = "ada@example.com";

/// A customer with ten Tokens, and a clock that stands at noon for whoever connects from now on: the check begins after 02:00 UTC, and
/// tests run at any time.
async fn at_noon(db: &PgPool) -> Toki {
    let toki = Toki::new(db);
    toki.json_with_input(&["account", "create", "--email", ADA, "--password-stdin"], "correct horse battery\n");
    toki.json(&["account", "credit", "--email", ADA, "--tokens", "10"]);
    for sql in [
        "CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS
         $$ SELECT date_trunc('day', pg_catalog.clock_timestamp(), 'UTC') + interval '12 hours' $$",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path TO public, pg_catalog', current_database()); END $$",
    ] {
        sqlx::raw_sql(sql).execute(db).await.expect("noon");
    }
    toki
}

async fn until_ended(db: &PgPool) {
    let ended = "SELECT count(*) FROM audit_runs WHERE finished_at IS NOT NULL";
    eventually("the check has ended", async || sqlx::query_scalar::<_, i64>(ended).fetch_one(db).await.expect("a count") == 1).await;
}

/// Waits until the replica's log says this, as an error.
async fn until_logged(replica: &Served, what: &str) {
    eventually(what, async || replica.log().lines().any(|line| line.contains("ERROR") && line.contains(what))).await;
}

/// What the doctor says of this, and the exit code.
fn doctor(toki: &Toki, name: &str) -> (Option<i32>, String, String) {
    let ran = toki.run(&["doctor", "--json"]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let checks = document["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name} is not in {document}"));
    let text = |field: &str| check[field].as_str().unwrap_or_default().to_string();
    (ran.code, text("status"), text("detail"))
}

#[sqlx::test]
async fn a_difference_is_logged_kept_and_fails_the_doctor(db: PgPool) {
    let toki = at_noon(&db).await;
    assert_eq!(doctor(&toki, "nightly audit").1, "ok", "it has not run");
    sqlx::query("UPDATE grants SET left_ = 9, spent = 1").execute(&db).await.expect("corruption");
    let replica = toki.serve(&[]);
    until_ended(&db).await;
    until_logged(&replica, "THE BOOKS DO NOT ADD UP").await;
    until_logged(&replica, ": spent: expected 0, found 1").await;
    until_logged(&replica, "the nightly audit found 2 differences").await;
    let kept: (i64, Vec<String>) = sqlx::query_as("SELECT differences, examples FROM audit_runs").fetch_one(&db).await.expect("one run");
    assert!(kept.0 == 2 && kept.1.len() == 2 && kept.1[0].ends_with(": spent: expected 0, found 1"), "{kept:?}");
    let (code, status, detail) = doctor(&toki, "nightly audit");
    assert_eq!((code, status.as_str()), (Some(1), "fail"));
    assert!(detail.contains("found 2 differences") && detail.contains("spent: expected 0, found 1"), "{detail}");
    replica.kill();
}

#[sqlx::test]
async fn a_check_without_a_result_fails_the_doctor_and_is_begun_again_by_a_replica(db: PgPool) {
    let toki = at_noon(&db).await;
    let begun = "INSERT INTO audit_runs (day, started_at)
                 SELECT (noon AT TIME ZONE 'UTC')::date, noon - interval '2 hours'
                   FROM (SELECT date_trunc('day', now(), 'UTC') + interval '12 hours' AS noon) AS clock";
    sqlx::query(begun).execute(&db).await.expect("begun, and never ended");
    sqlx::query("UPDATE audit_runs SET started_at = now() - interval '2 hours'").execute(&db).await.expect("long ago, by any clock");
    let (code, status, detail) = doctor(&toki, "nightly audit");
    assert_eq!((code, status.as_str()), (Some(1), "fail"));
    assert!(detail.contains("cut short"), "{detail}");
    sqlx::query("UPDATE audit_runs SET started_at = now(), examples = '{it failed: no disk}'").execute(&db).await.expect("begun again");
    let (code, status, detail) = doctor(&toki, "nightly audit");
    assert_eq!((code, status.as_str()), (Some(1), "fail"));
    assert!(detail.contains("it failed: no disk"), "{detail}");

    sqlx::query("UPDATE audit_runs SET started_at = now() - interval '1 day'").execute(&db).await.expect("long ago, by any clock");
    let replica = toki.serve(&[]);
    until_ended(&db).await;
    until_logged(&replica, "THE NIGHTLY AUDIT DID NOT END").await;
    assert_eq!(doctor(&toki, "nightly audit").1, "ok");
    replica.kill();
}

#[sqlx::test]
async fn a_hold_that_is_left_over_fails_the_doctor(db: PgPool) {
    let toki = Toki::new(&db);
    assert_eq!(doctor(&toki, "holds").1, "ok");
    let left_over = "INSERT INTO holds (request_id, account_id, key_id, model_id, supplier_id, price_version, endpoint, streamed, tokens,
                                        grant_ids, grant_tokens, owner, deadline)
                     SELECT id, id, id, 'acme/m', id, 1, 'chat', false, 0, '{}', '{}', id, now() - interval '11 minutes'
                       FROM gen_random_uuid() AS id";
    sqlx::query(left_over).execute(&db).await.expect("a hold of nobody");
    let (code, status, detail) = doctor(&toki, "holds");
    assert_eq!((code, status.as_str()), (Some(1), "fail"));
    assert!(detail.starts_with("1 more than ten minutes past"), "{detail}");
}
