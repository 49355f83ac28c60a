//! What reaping takes and what it leaves, what comes back of holds that a crash forgot, and what ends running calls.

use super::*;
use crate::ids::GrantId;
use crate::wallet::fixtures::{self, Used};
use crate::wallet::ledger::tests::{HOLD_FOR, USED, acme, assert_exact, customer, decide, forget_holds, grant, settled};
use crate::wallet::ledger::{AdmissionRequest, Settlement, Verdict, settle_calls};
use chrono::Utc;
use futures::future::join_all;
use std::time::Duration;

/// Lets the deadlines of all holds pass.
async fn fall_silent(db: &PgPool) {
    sqlx::query("UPDATE holds SET deadline = now() - interval '2 minutes'").execute(db).await.expect("silent");
}

async fn reaped(db: &PgPool, most: i32) -> i32 {
    // Whoever waits for a lock has not skipped it.
    tokio::time::timeout(Duration::from_secs(5), reap_holds(db, most)).await.expect("no wait").expect("reaped")
}

async fn admitted(db: &PgPool, request: AdmissionRequest, owner: ReplicaId, again: bool) -> Admission {
    match decide(db, &[request], owner, again).await.pop() {
        Some(Verdict::Admitted(call)) => call,
        verdict => panic!("not admitted: {verdict:?}"),
    }
}

#[sqlx::test]
async fn what_cannot_be_settled_stays_and_is_in_nobodys_way(db: PgPool) {
    acme(&db).await;
    let (_, of_ada, _, ada) = customer(&db, "ada", 1_000, None).await;
    let (_, of_bob, _, bob) = customer(&db, "bob", 1_000, None).await;
    let poisoned = fixtures::admit(&db, &ada, "acme/m", 10, 20).await;
    fixtures::admit(&db, &ada, "acme/m", 10, 10).await;
    fixtures::admit(&db, &bob, "acme/m", 10, 5).await;
    let change = async |tokens: i64| {
        let sql = "UPDATE holds SET tokens = tokens + $2 WHERE request_id = $1";
        sqlx::query(sql).bind(poisoned.request_id.0).bind(tokens).execute(&db).await.expect("changed");
    };
    change(1_000).await;
    fall_silent(&db).await;
    assert_eq!(reaped(&db, 500).await, 2);
    assert_eq!((grant(&db, of_ada).await, grant(&db, of_bob).await), ((950, 50, 0), (1_000, 0, 0)));
    // It is named in each round.
    let failures: Vec<String> =
        sqlx::query_scalar("SELECT unnest(failures) FROM reap_round(500)").fetch_all(&db).await.expect("another round");
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].contains(&poisoned.request_id.to_string()) && failures[0].contains("_check"), "{failures:?}");
    assert_eq!(overdue_holds(&db).await.expect("counted"), 1);
    change(-1_000).await;
    assert_eq!(reaped(&db, 500).await, 1);
    assert_eq!((grant(&db, of_ada).await, overdue_holds(&db).await.expect("counted")), ((1_000, 0, 0), 0));
    assert_exact(&db).await;
}

#[sqlx::test]
async fn what_somebody_has_locked_is_left_and_hides_nobody(db: PgPool) {
    acme(&db).await;
    let (_, _, locked_key, ada) = customer(&db, "ada", 1_000, None).await;
    let (bob_owner, _, _, bob) = customer(&db, "bob", 1_000, None).await;
    let (_, of_cy, _, cy) = customer(&db, "cy", 1_000, None).await;
    for _ in 0..20 {
        fixtures::admit(&db, &ada, "acme/m", 10, 5).await;
    }
    fixtures::admit(&db, &bob, "acme/m", 10, 5).await;
    fixtures::admit(&db, &cy, "acme/m", 10, 5).await;
    fall_silent(&db).await;
    // The oldest are those of a key that is locked, more than a round takes.
    let sql = "UPDATE holds SET deadline = deadline - interval '1 hour' WHERE key_id = $1";
    sqlx::query(sql).bind(locked_key.0).execute(&db).await.expect("older");
    let mut tx = db.begin().await.expect("begin");
    let sql = "SELECT 1 FROM api_keys WHERE key_id = $1 FOR NO KEY UPDATE";
    sqlx::query(sql).bind(locked_key.0).execute(&mut *tx).await.expect("a locked key");
    let sql = "SELECT 1 FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE";
    sqlx::query(sql).bind(bob_owner.account_id().0).execute(&mut *tx).await.expect("a locked account");
    assert_eq!(reaped(&db, 10).await, 1);
    assert_eq!(grant(&db, of_cy).await, (1_000, 0, 0));
    assert_eq!(reaped(&db, 10).await, 0);
    tx.rollback().await.expect("unlocked");
    let mut rest = 0;
    for _ in 0..3 {
        rest += reaped(&db, 10).await;
    }
    assert_eq!(rest, 21);
    assert_exact(&db).await;
}

#[sqlx::test]
async fn reapers_at_once_settle_each_call_once(db: PgPool) {
    acme(&db).await;
    for name in ["ada", "bob", "cy", "dan"] {
        let (_, _, _, secret) = customer(&db, name, 1_000, None).await;
        for _ in 0..10 {
            fixtures::admit(&db, &secret, "acme/m", 10, 5).await;
        }
    }
    fall_silent(&db).await;
    let mut settled = 0;
    while overdue_holds(&db).await.expect("counted") > 0 {
        settled += join_all((0..4).map(|_| reaped(&db, 7))).await.into_iter().sum::<i32>();
    }
    let records: i64 =
        sqlx::query_scalar("SELECT count(*) FROM usage_records WHERE outcome = 'interrupted'").fetch_one(&db).await.expect("a count");
    assert_eq!((settled, records), (40, 40));
    assert_exact(&db).await;
}

/// However it came there: what it holds goes back, and the call stays what it was.
#[sqlx::test]
async fn a_hold_beside_its_calls_record_is_given_back_and_the_record_stands(db: PgPool) {
    acme(&db).await;
    let (_, grant_id, _, secret) = customer(&db, "ada", 1_000, None).await;
    let call = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    sqlx::raw_sql("CREATE TABLE copies AS SELECT * FROM holds").execute(&db).await.expect("a copy");
    fixtures::settle(&db, &call, USED, Utc::now()).await;
    let mut tx = db.begin().await.expect("begin");
    for sql in [
        "INSERT INTO holds SELECT * FROM copies",
        "UPDATE grants SET left_ = left_ - 50, held = held + 50",
        "UPDATE api_keys SET held = held + 50, running = running + 1",
    ] {
        sqlx::raw_sql(sql).execute(&mut *tx).await.expect(sql);
    }
    tx.commit().await.expect("commit");
    fixtures::admit(&db, &secret, "acme/m", 10, 5).await;
    fall_silent(&db).await;
    assert_eq!(reaped(&db, 500).await, 2);
    assert_eq!(grant(&db, grant_id).await, (980, 0, 20));
    let sql = "SELECT outcome, charge FROM usage_records WHERE request_id = $1";
    let record: (String, i64) = sqlx::query_as(sql).bind(call.request_id.0).fetch_one(&db).await.expect("one record");
    assert_eq!(record, ("ok".into(), 20));
    assert_exact(&db).await;
}

#[sqlx::test]
async fn a_call_that_was_reaped_before_it_was_admitted_again_completes_its_record(db: PgPool) {
    acme(&db).await;
    let (_, grant_id, _, secret) = customer(&db, "ada", 100, None).await;
    let owner = fixtures::replica(&db).await;
    let request = fixtures::request(&secret, "acme/m", 10, 20);
    admitted(&db, request.clone(), owner, false).await;
    fall_silent(&db).await;
    assert_eq!(reaped(&db, 500).await, 1);
    let call = admitted(&db, request, owner, true).await;
    let report = fixtures::settlement(&call, USED, Utc::now());
    assert_eq!(settled(&db, &[report.clone(), report]).await, [(true, 20), (true, 20)]);
    assert_eq!(grant(&db, grant_id).await, (80, 0, 20));
    let records: Vec<(String, i64)> = sqlx::query_as("SELECT outcome, charge FROM usage_records").fetch_all(&db).await.expect("records");
    assert_eq!(records, [("ok".into(), 20)]);
    assert_exact(&db).await;
}

/// Between the two admissions its price doubled, and so did its hold.
#[sqlx::test]
async fn a_record_that_a_late_report_completes_says_what_it_was_charged_by(db: PgPool) {
    acme(&db).await;
    let (_, grant_id, _, secret) = customer(&db, "ada", 1_000, None).await;
    let owner = fixtures::replica(&db).await;
    let request = fixtures::request(&secret, "acme/m", 10, 20);
    assert_eq!(admitted(&db, request.clone(), owner, false).await.held, Tokens(50));
    fall_silent(&db).await;
    assert_eq!(reaped(&db, 500).await, 1);
    let mut tx = db.begin().await.expect("begin");
    for sql in [
        "INSERT INTO model_prices (model_id, version, input_ppm, cached_ppm, output_ppm) VALUES ('acme/m', 2, 2000000, 1000000, 4000000)",
        "UPDATE models SET price_version = 2",
    ] {
        sqlx::raw_sql(sql).execute(&mut *tx).await.expect(sql);
    }
    tx.commit().await.expect("a new price");
    let call = admitted(&db, request, owner, true).await;
    assert_eq!((call.held, call.price_version), (Tokens(100), 2));
    let used = Used { input: 10, cached: 0, output: 15 };
    let report = Settlement { charge: Tokens(2 * used.charge()), ..fixtures::settlement(&call, used, Utc::now()) };
    assert_eq!(settled(&db, &[report]).await, [(true, 80)]);
    let sql = "SELECT outcome, price_version, input_tokens, output_tokens, held, charge, written_off FROM usage_records";
    let record: (String, i32, i64, i64, i64, i64, i64) = sqlx::query_as(sql).fetch_one(&db).await.expect("one record");
    assert_eq!(record, ("ok".into(), 2, 10, 15, 100, 80, 0));
    assert_eq!(grant(&db, grant_id).await, (920, 0, 80));
    assert_exact(&db).await;
}

/// The reaper took the hold for good: its record says what had been held, which the late report leaves, and is charged no more than.
#[sqlx::test]
async fn a_record_that_is_completed_without_a_hold_can_be_recomputed_too(db: PgPool) {
    acme(&db).await;
    let (_, grant_id, _, secret) = customer(&db, "ada", 1_000, None).await;
    let call = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    fall_silent(&db).await;
    assert_eq!(reaped(&db, 500).await, 1);
    // More than was held.
    let report = fixtures::settlement(&call, Used { input: 10, cached: 4, output: 40 }, Utc::now());
    assert_eq!(settled(&db, &[report]).await, [(true, 50)]);
    let sql = "SELECT outcome, price_version, held, charge, written_off, input_tokens - cached_tokens, cached_tokens, output_tokens
                 FROM usage_records";
    let record: (String, i32, i64, i64, i64, i64, i64, i64) = sqlx::query_as(sql).fetch_one(&db).await.expect("one record");
    assert_eq!(record, ("ok".into(), 1, 50, 50, 38, 6, 4, 40), "6 + 4 / 2 + 2 * 40 = 88");
    assert_eq!(grant(&db, grant_id).await, (950, 0, 50));
    assert_exact(&db).await;
}

/// What the replica of an admitted call remembers of it.
fn running(call: &Admission) -> RunningHold {
    call.hold("chat", false, Utc::now())
}

/// Of 100 Tokens, a call held 50 until a crash forgot them; then another took 80 before they were put back. Answers both calls.
async fn half_forgotten(db: &PgPool, taken: i64) -> (Admission, Admission, GrantId) {
    acme(db).await;
    let (_, grant_id, _, secret) = customer(db, "ada", 100, None).await;
    let forgotten = fixtures::admit(db, &secret, "acme/m", 10, 20).await;
    forget_holds(db).await;
    let other = fixtures::admit(db, &secret, "acme/m", 10, (taken - 10) / 2).await;
    let owner = ReplicaId::generate();
    assert_eq!(restore_holds(db, owner, HOLD_FOR, &[running(&forgotten)]).await.expect("restored"), 1);
    assert_eq!(grant(db, grant_id).await, (0, 100, 0));
    (forgotten, other, grant_id)
}

#[sqlx::test]
async fn what_a_hold_lost_in_a_crash_is_paid_from_what_the_account_has_at_the_end(db: PgPool) {
    let (forgotten, other, grant_id) = half_forgotten(&db, 80).await;
    // 20 came back. The call used 40, and the other gives 60 back in the same commit.
    let used = Used { input: 10, cached: 0, output: 15 };
    let reports = [fixtures::settlement(&forgotten, used, Utc::now()), fixtures::settlement(&other, USED, Utc::now())];
    assert_eq!(settled(&db, &reports).await, [(true, 40), (true, 20)]);
    assert_eq!(settled(&db, &reports).await, [(false, 40), (false, 20)]);
    assert_eq!(grant(&db, grant_id).await, (40, 0, 60));
    let written_off: i64 = sqlx::query_scalar("SELECT sum(written_off)::bigint FROM usage_records").fetch_one(&db).await.expect("a sum");
    assert_eq!(written_off, 0);
    assert_exact(&db).await;
}

#[sqlx::test]
async fn what_nobody_has_left_is_written_off_and_no_more_is_charged_than_was_held(db: PgPool) {
    let (forgotten, other, grant_id) = half_forgotten(&db, 80).await;
    // While the other holds all else, there is nothing beside the 20 that came back.
    let mut report = fixtures::settlement(&forgotten, Used { input: 10, cached: 0, output: 15 }, Utc::now());
    assert_eq!(settled(&db, std::slice::from_ref(&report)).await, [(true, 20)]);
    assert_eq!(settled(&db, &[fixtures::settlement(&other, USED, Utc::now())]).await, [(true, 20)]);
    assert_eq!(grant(&db, grant_id).await, (60, 0, 40));
    let sql = "SELECT held, charge, written_off FROM usage_records WHERE request_id = $1";
    let record: (i64, i64, i64) = sqlx::query_as(sql).bind(report.request_id.0).fetch_one(&db).await.expect("a record");
    assert_eq!(record, (20, 20, 20));

    // One that comes back with nothing, beside a supplier who reports more than was held.
    let secret = customer(&db, "bob", 100, None).await.3;
    let forgotten = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    forget_holds(&db).await;
    let other = fixtures::admit(&db, &secret, "acme/m", 10, 45).await;
    assert_eq!(restore_holds(&db, ReplicaId::generate(), HOLD_FOR, &[running(&forgotten)]).await.expect("restored"), 1);
    report = fixtures::settlement(&forgotten, Used { input: 10, cached: 0, output: 40 }, Utc::now());
    assert_eq!(settled(&db, &[fixtures::settlement(&other, USED, Utc::now())]).await, [(true, 20)]);
    assert_eq!(settled(&db, std::slice::from_ref(&report)).await, [(true, 50)]);
    let record: (i64, i64, i64) = sqlx::query_as(sql).bind(report.request_id.0).fetch_one(&db).await.expect("a record");
    assert_eq!(record, (50, 50, 40));
    assert_exact(&db).await;
}

/// The reaper took its hold while the replica was silent; the call runs on, and is looked at all the same.
#[sqlx::test]
async fn a_call_ends_when_its_key_is_switched_off_also_without_a_hold(db: PgPool) {
    acme(&db).await;
    let (_, _, _, secret) = customer(&db, "ada", 100, None).await;
    let call = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    let owner = fixtures::replica(&db).await;
    fall_silent(&db).await;
    assert_eq!(reaped(&db, 500).await, 1);
    let calls = [RunningCall::from(&running(&call))];
    let ended = async || look_at_calls(&db, owner, &calls).await.expect("looked").ended;
    assert_eq!(ended().await, []);
    for (sql, off) in [
        ("UPDATE suppliers SET status = 'disabled'", SwitchedOff::Supplier),
        ("UPDATE accounts SET suspended_at = now()", SwitchedOff::AccountSuspended),
        ("UPDATE api_keys SET expires_at = now()", SwitchedOff::KeyExpired),
        ("UPDATE api_keys SET status = 'disabled'", SwitchedOff::KeyDisabled),
    ] {
        sqlx::raw_sql(sql).execute(&db).await.expect(sql);
        assert_eq!(ended().await, [(call.request_id, off)], "{sql}");
    }
}

/// Also where the server's default is not to wait for its disk.
#[sqlx::test]
async fn a_settlement_is_on_the_disk_when_it_is_answered(db: PgPool) {
    acme(&db).await;
    let (_, _, _, secret) = customer(&db, "ada", 100, None).await;
    let call = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    let mut session = db.acquire().await.expect("a connection");
    sqlx::raw_sql("SET synchronous_commit = off").execute(&mut *session).await.expect("as the server's default");
    let before: String = sqlx::query_scalar("SELECT pg_current_wal_insert_lsn()::text").fetch_one(&mut *session).await.expect("a place");
    let report = fixtures::settlement(&call, USED, Utc::now());
    assert!(settle_calls(&mut *session, std::slice::from_ref(&report)).await.expect("settled")[0].first);
    let on_disk: bool = sqlx::query_scalar("SELECT pg_current_wal_flush_lsn() > $1::pg_lsn")
        .bind(before)
        .fetch_one(&mut *session)
        .await
        .expect("a comparison");
    assert!(on_disk);
    assert_exact(&db).await;
}

#[path = "overdue_tests.rs"]
mod overdue;

#[sqlx::test]
async fn a_report_without_a_hold_is_charged_no_more_than_had_been_held(db: PgPool) {
    acme(&db).await;
    let (_, grant_id, _, secret) = customer(&db, "ada", 1_000, None).await;
    // Replicas of before do not say what was held.
    for (known, charge, held) in [(true, 50, 50), (false, 210, 0)] {
        let call = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
        forget_holds(&db).await;
        let mut report = fixtures::settlement(&call, Used { output: 100, ..USED }, Utc::now());
        report.held = report.held.filter(|_| known);
        assert_eq!(settled(&db, &[report]).await, [(true, charge)]);
        let sql = "SELECT held, charge, written_off FROM usage_records WHERE request_id = $1";
        let record = sqlx::query_as::<_, (i64, i64, i64)>(sql).bind(call.request_id.0).fetch_one(&db).await;
        assert_eq!(record.expect("a record"), (held, charge, 210 - charge));
    }
    assert_eq!(grant(&db, grant_id).await, (740, 0, 260));
    assert_exact(&db).await;
}
