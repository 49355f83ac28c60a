//! What the ledger makes of quotas of a period, and of a clock that is set back. The product has one clock, the database's, which nobody
//! can set; so all that is compared with it moves the other way.

use super::tests::{HOLD_FOR, USED, acme, assert_exact, customer, decide, forget_holds, settled};
use super::*;
use crate::ids::{KeyId, ReplicaId};
use crate::keys::store::{KeyOwner, LimitsEdit, update_limits};
use crate::keys::types_limits::Period;
use crate::operators::rights::Operator;
use crate::wallet::fixtures::{self, Used};
use chrono::TimeZone;

/// Sets the clock back by so many days, or forward by fewer than none.
async fn set_back(db: &PgPool, days: i32) {
    let mut tx = db.begin().await.expect("begin");
    sqlx::query("SET LOCAL session_replication_role = replica").execute(&mut *tx).await.expect("no triggers");
    for sql in [
        "UPDATE api_keys SET period_began = period_began + $1 * interval '1 day'",
        "UPDATE holds SET created_at = created_at + $1 * interval '1 day'",
        "UPDATE usage_records SET started_at = started_at + $1 * interval '1 day', recorded_at = recorded_at + $1 * interval '1 day'",
    ] {
        sqlx::query(sql).bind(days).execute(&mut *tx).await.expect("another time");
    }
    let totals = "INSERT INTO usage_totals
                  SELECT r.account_id, u.unit, date_trunc(u.unit, r.started_at, 'UTC'), r.key_id, r.model_id, r.supplier_id, count(*),
                         count(*) FILTER (WHERE is_failure(r.outcome)), sum(r.input_tokens), sum(r.cached_tokens), sum(r.output_tokens),
                         sum(r.charge)
                    FROM usage_records r CROSS JOIN (VALUES ('hour'), ('day')) AS u (unit) GROUP BY 1, 2, 3, 4, 5, 6";
    for sql in ["DELETE FROM usage_totals", totals] {
        sqlx::query(sql).execute(&mut *tx).await.expect("totals");
    }
    tx.commit().await.expect("commit");
}

/// Limits a key to 100 Tokens a day (UTC).
async fn a_hundred_a_day(db: &PgPool, key_id: KeyId) {
    let edit = LimitsEdit { period: Some(Some((Period::Day, Tokens(100)))), ..LimitsEdit::default() };
    update_limits(db, KeyOwner::Operator(Operator::command_line()), key_id, edit).await.expect("limited");
}

/// What of the day is used, and how many days after today it began.
async fn used_of_day(db: &PgPool) -> (i64, i32) {
    let sql = "SELECT period_used, extract(day FROM period_began - date_trunc('day', now(), 'UTC'))::integer FROM api_keys";
    sqlx::query_as(sql).fetch_one(db).await.expect("a key")
}

/// What the calls before it in its batch hold is taken from the period and from the wallet.
#[sqlx::test]
async fn a_call_of_a_batch_is_told_which_quota_refuses_it(db: PgPool) {
    acme(&db).await;
    let (_, _, key_id, secret) = customer(&db, "ada", 130, None).await;
    a_hundred_a_day(&db, key_id).await;
    let owner = fixtures::replica(&db).await;
    let verdicts = decide(&db, &[40, 1].map(|limit| fixtures::request(&secret, "acme/m", 10, limit)), owner, false).await;
    // The first holds 90 of the day's 100, and leaves 40 in the wallet.
    assert!(matches!(&verdicts[..], [Verdict::Admitted(_), Verdict::PeriodExhausted { .. }]), "{verdicts:?}");
}

#[sqlx::test]
async fn a_day_that_began_before_the_clock_was_set_back_goes_on(db: PgPool) {
    acme(&db).await;
    let (_, _, key_id, secret) = customer(&db, "ada", 1_000, None).await;
    a_hundred_a_day(&db, key_id).await;
    let first = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    set_back(&db, 1).await;
    // It is yesterday again. Of today's 100, each of two calls holds 50.
    let second = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    let refused = fixtures::try_admit(&db, &secret, "acme/m", 10, 20).await;
    assert!(matches!(refused, Verdict::PeriodExhausted { .. }), "{refused:?}");
    assert_eq!(used_of_day(&db).await, (100, 1));
    a_hundred_a_day(&db, key_id).await;
    assert_eq!(used_of_day(&db).await, (100, 1), "an edit does not begin it anew");
    // What either did not use goes back to it, whenever it was admitted.
    let reports = [fixtures::settlement(&first, USED, Utc::now()), fixtures::settlement(&second, USED, Utc::now())];
    assert_eq!(settled(&db, &reports[..1]).await, [(true, 20)]);
    assert_eq!(settled(&db, &reports[1..]).await, [(true, 20)]);
    assert_eq!(used_of_day(&db).await, (40, 1));
    // A report without a hold counts in it, too.
    let third = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    sqlx::query("UPDATE holds SET deadline = now() - interval '1 second'").execute(&db).await.expect("silent");
    assert_eq!(reap_holds(&db, 10).await.expect("reaped"), 1);
    assert_eq!(used_of_day(&db).await, (40, 1));
    assert_eq!(settled(&db, &[fixtures::settlement(&third, USED, Utc::now())]).await, [(true, 20)]);
    assert_eq!(used_of_day(&db).await, (60, 1));
    // The day comes a second time, with what was used of it.
    set_back(&db, -1).await;
    let last = fixtures::admit(&db, &secret, "acme/m", 10, 15).await;
    assert_eq!((last.held, used_of_day(&db).await), (Tokens(40), (100, 0)));
    assert_eq!(settled(&db, &[fixtures::settlement(&last, USED, Utc::now())]).await, [(true, 20)]);
    // And the day after it.
    set_back(&db, -1).await;
    assert_eq!(fixtures::admit(&db, &secret, "acme/m", 10, 45).await.held, Tokens(100));
    assert_eq!(used_of_day(&db).await, (100, 0));
    assert_exact(&db).await;
}

/// Whatever made it so: a settlement that is refused can never be written.
#[sqlx::test]
async fn what_goes_back_to_a_period_never_makes_it_negative(db: PgPool) {
    acme(&db).await;
    let (_, _, key_id, secret) = customer(&db, "ada", 1_000, None).await;
    a_hundred_a_day(&db, key_id).await;
    let owner = fixtures::replica(&db).await;
    let request = fixtures::request(&secret, "acme/m", 10, 45);
    let lose = async || sqlx::raw_sql("UPDATE api_keys SET period_used = 3").execute(&db).await.expect("lost");
    // Given back when its admission is asked for again, by its settlement, and by the reaper.
    decide(&db, std::slice::from_ref(&request), owner, false).await;
    lose().await;
    let verdicts = decide(&db, &[request], owner, true).await;
    let [Verdict::Admitted(again)] = &verdicts[..] else { panic!("{verdicts:?}") };
    assert_eq!(used_of_day(&db).await, (100, 0));
    lose().await;
    assert_eq!(settled(&db, &[fixtures::settlement(again, USED, Utc::now())]).await, [(true, 20)]);
    assert_eq!(used_of_day(&db).await, (0, 0));
    let call = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    lose().await;
    assert_eq!(settled(&db, &[fixtures::settlement(&call, USED, Utc::now())]).await, [(true, 20)]);
    fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    lose().await;
    sqlx::query("UPDATE holds SET deadline = now() - interval '1 second'").execute(&db).await.expect("silent");
    assert_eq!(reap_holds(&db, 10).await.expect("reaped"), 1);
    assert_eq!(used_of_day(&db).await, (0, 0));
    // What was lost comes back, for the audit finds it.
    sqlx::raw_sql("UPDATE api_keys SET period_used = 40").execute(&db).await.expect("found");
    assert_exact(&db).await;
}

#[sqlx::test]
async fn a_hold_that_comes_back_counts_in_the_day_that_runs(db: PgPool) {
    acme(&db).await;
    let (_, _, key_id, secret) = customer(&db, "ada", 1_000, None).await;
    a_hundred_a_day(&db, key_id).await;
    let call = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    set_back(&db, 1).await;
    // The crash forgot the hold and what it counted, but not that the day had begun.
    forget_holds(&db).await;
    sqlx::raw_sql("UPDATE api_keys SET period_used = 0").execute(&db).await.expect("forgotten");
    let running = call.hold("chat", false, Utc::now());
    assert_eq!(restore_holds(&db, ReplicaId::generate(), HOLD_FOR, &[running]).await.expect("restored"), 1);
    assert_eq!(used_of_day(&db).await, (50, 1));
    assert_eq!(settled(&db, &[fixtures::settlement(&call, USED, Utc::now())]).await, [(true, 20)]);
    assert_eq!(used_of_day(&db).await, (20, 1));
    assert_exact(&db).await;
}

/// As long as the clock was set back, it would be refused.
#[sqlx::test]
async fn requests_of_a_minute_do_not_wait_for_a_clock_that_was_set_back(db: PgPool) {
    acme(&db).await;
    let (_, _, key_id, secret) = customer(&db, "ada", 1_000, None).await;
    let edit = LimitsEdit { requests_per_minute: Some(Some(2)), ..LimitsEdit::default() };
    update_limits(&db, KeyOwner::Operator(Operator::command_line()), key_id, edit).await.expect("limited");
    for _ in 0..2 {
        fixtures::admit(&db, &secret, "acme/m", 10, 5).await;
    }
    let limited = async || matches!(fixtures::try_admit(&db, &secret, "acme/m", 10, 5).await, Verdict::Limited(_));
    assert!(limited().await);
    let sql = "UPDATE api_keys SET requests_full_at = requests_full_at + interval '3 hours'";
    sqlx::raw_sql(sql).execute(&db).await.expect("three hours ago");
    // One goes, as if the minute were nearly used; another does not.
    assert!(!limited().await);
    assert!(limited().await);
    let sql = "SELECT requests_full_at <= now() + interval '61 seconds' FROM api_keys";
    assert!(sqlx::query_scalar::<_, bool>(sql).fetch_one(&db).await.expect("a key"));
    assert_exact(&db).await;
}

/// A call counts in the month in which its replica says that it began, and from the moment in which it is charged.
#[sqlx::test]
async fn a_month_has_what_calls_of_a_clock_ahead_were_charged(db: PgPool) {
    acme(&db).await;
    let (ada, _, key_id, secret) = customer(&db, "ada", 1_000, None).await;
    let at = |day, hour| Utc.with_ymd_and_hms(2031, 5, day, hour, 0, 0).single().expect("a moment");
    for (day, hour) in [(10, 1), (11, 1), (31, 23)] {
        fixtures::call_at(&db, &secret, "acme/m", Used { input: 10, cached: 0, output: 5 }, at(day, hour)).await;
    }
    for (now, charged) in [(at(10, 12), 40), (at(9, 12), 20), (at(31, 1), 60), (at(31, 1) + TimeDelta::days(1), 0)] {
        let sql = "SELECT charged_in_month($1, $2, $3)";
        let found: i64 = sqlx::query_scalar(sql).bind(ada.account_id().0).bind(key_id.0).bind(now).fetch_one(&db).await.expect("a sum");
        assert_eq!(found, charged, "{now}");
    }
}
