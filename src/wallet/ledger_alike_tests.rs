//! Calls of one key that travel together are decided in one row and settled by their sums: what each comes to is what it would have come to
//! alone.

use super::tests::{HOLD_FOR, USED, acme, assert_exact, customer, decide, grant, settled};
use super::*;
use crate::ids::KeyId;
use crate::keys::secret::KeySecret;
use crate::wallet::fixtures::{self, Used};
use chrono::{TimeZone, Utc};

/// What its calls came to, in the order of their input.
type Came = (i64, i64, i64, i64, Option<i64>);

/// spent, held and running.
async fn key_of(db: &PgPool, key_id: KeyId) -> (i64, i64, i32) {
    let sql = "SELECT spent, held, running FROM api_keys WHERE key_id = $1";
    sqlx::query_as(sql).bind(key_id.0).fetch_one(db).await.expect("a key")
}

/// Calls whose input is 10, 11, 12 …, admitted together; each holds its input and 40.
async fn admitted(db: &PgPool, secret: &KeySecret, calls: i64) -> Vec<Admission> {
    let requests: Vec<_> = (0..calls).map(|n| fixtures::request(secret, "acme/m", 10 + n, 20)).collect();
    let verdicts = decide(db, &requests, fixtures::replica(db).await, false).await;
    let admission = |verdict| if let Verdict::Admitted(admission) = verdict { admission } else { panic!("{verdict:?}") };
    verdicts.into_iter().map(admission).collect()
}

/// One that cost nothing, two that cost less than they held, and one that cost more.
fn reports(calls: &[Admission]) -> Vec<Settlement> {
    let outputs = [None, Some(5), Some(100), Some(0)];
    let report = |(n, (call, output)): (usize, (&Admission, Option<i64>))| {
        let used = output.map_or(Used { input: 0, cached: 0, output: 0 }, |output| Used { input: 10 + n as i64, cached: 0, output });
        fixtures::settlement(call, used, Utc.timestamp_opt(1_790_000_000 - n as i64, 0).unwrap())
    };
    calls.iter().zip(outputs).enumerate().map(report).collect()
}

#[sqlx::test]
async fn together_they_come_to_what_each_comes_to_alone(db: PgPool) {
    acme(&db).await;
    for (names, quota) in [(["ada", "bob"], Some(700)), (["cyd", "dan"], None)] {
        let mut came = Vec::new();
        for (name, size) in names.into_iter().zip([4, 1]) {
            let (member, grant_id, key_id, secret) = customer(&db, name, 1_000, quota).await;
            let reports = reports(&admitted(&db, &secret, 4).await);
            assert_eq!(grant(&db, grant_id).await, (794, 206, 0), "{name}");
            let mut answers = Vec::new();
            for batch in reports.chunks(size) {
                answers.extend(settle_calls(&db, batch).await.expect("settled"));
            }
            let charges: Vec<_> = answers.iter().map(|settled| (settled.first, settled.charge.0)).collect();
            assert_eq!(charges, [(true, 0), (true, 21), (true, 52), (true, 13)], "{name}");
            let last = answers.last().expect("four");
            assert_eq!((last.balance_left.0, last.quota_left), (914, quota.map(|quota| Tokens(quota - 86))), "{name}");
            assert_eq!(grant(&db, grant_id).await, (914, 0, 86), "{name}");
            assert_eq!(key_of(&db, key_id).await, (86, 0, 0), "{name}");
            let sql = "SELECT last_used_at FROM api_keys WHERE key_id = $1";
            let last_used_at: DateTime<Utc> = sqlx::query_scalar(sql).bind(key_id.0).fetch_one(&db).await.expect("used");
            assert_eq!(Some(last_used_at), reports.iter().map(|report| report.started_at).max(), "{name}");
            let sql = "SELECT u.input_tokens, u.held, u.charge, u.written_off, l.tokens
                         FROM usage_records u LEFT JOIN ledger l USING (request_id)
                        WHERE u.account_id = $1 ORDER BY u.request_id";
            let records: Vec<Came> = sqlx::query_as(sql).bind(member.account_id().0).fetch_all(&db).await.expect("records");
            came.push(records);
        }
        assert_eq!(came[0], [(0, 50, 0, 0, None), (11, 51, 21, 0, Some(21)), (12, 52, 52, 160, Some(52)), (13, 53, 13, 0, Some(13))]);
        assert_eq!(came[0], came[1]);
    }
    assert_exact(&db).await;
}

/// Batches of one key that are whole, and not of one grant: of two, one each; and of two, of which one call holds from both.
#[sqlx::test]
async fn calls_of_one_key_that_are_held_from_several_grants_draw_on_each(db: PgPool) {
    acme(&db).await;
    for (name, places, drawn) in [("ada", [0, 2], [(30, 10, 20), (939, 41, 20)]), ("bob", [1, 0], [(30, 0, 30), (938, 52, 10)])] {
        let (member, late, key_id, secret) = customer(&db, name, 1_000, Some(900)).await;
        let soon = fixtures::credit(&db, member.account_id(), 60, TimeDelta::days(2)).await;
        let calls = admitted(&db, &secret, 3).await;
        // 50, and 10 of the second call, are held from `soon`.
        assert_eq!((grant(&db, soon).await, grant(&db, late).await), ((0, 60, 0), (907, 93, 0)), "{name}");
        let batch = places.map(|place| fixtures::settlement(&calls[place], USED, Utc::now()));
        let answers = settle_calls(&db, &batch).await.expect("settled");
        let [first, second] = &answers[..] else { panic!("{name}: {answers:?}") };
        assert_eq!((first, first.charge, first.first), (second, Tokens(20), true), "{name}");
        assert_eq!([grant(&db, soon).await, grant(&db, late).await], drawn, "{name}");
        let held = drawn.iter().map(|(_, held, _)| held).sum();
        assert_eq!(key_of(&db, key_id).await, (40, held, 1), "{name}");
    }
    assert_exact(&db).await;
}

/// What each was charged is said once more, and charged once.
#[sqlx::test]
async fn calls_of_one_key_of_which_some_were_settled_before_are_charged_once(db: PgPool) {
    acme(&db).await;
    let (_, grant_id, key_id, secret) = customer(&db, "ada", 1_000, Some(900)).await;
    let reports: Vec<_> = admitted(&db, &secret, 3).await.iter().map(|call| fixtures::settlement(call, USED, Utc::now())).collect();
    let batch = [reports[1].clone(), reports[0].clone(), reports[1].clone()];
    assert_eq!(settled(&db, &batch).await, [(true, 20), (true, 20), (true, 20)]);
    let answers = settle_calls(&db, &[reports[0].clone(), reports[2].clone()]).await.expect("settled");
    let answers: Vec<_> =
        answers.iter().map(|settled| (settled.first, settled.charge.0, settled.balance_left.0, settled.quota_left)).collect();
    assert_eq!(answers, [(false, 20, 940, Some(Tokens(840))), (true, 20, 940, Some(Tokens(840)))]);
    assert_eq!((grant(&db, grant_id).await, key_of(&db, key_id).await), ((940, 0, 60), (60, 0, 0)));
    assert_exact(&db).await;
}

/// They ask `admit_calls()`, and expect all that they need in each row.
#[sqlx::test]
async fn replicas_of_before_are_answered_in_a_row_a_call(db: PgPool) {
    acme(&db).await;
    let (_, grant_id, key_id, secret) = customer(&db, "ada", 1_000, None).await;
    let owner = fixtures::replica(&db).await;
    let requests: Vec<_> = (0..3).map(|n| fixtures::request(&secret, "acme/m", 10 + n, 20)).collect();
    let ids: Vec<_> = requests.iter().map(|request| request.request_id.0).collect();
    let hash = &requests[0].secret_hash[..];
    let answers: Vec<(Uuid, String, Uuid, i64, i64, Vec<String>)> = sqlx::query_as(
        "SELECT request_id, verdict, key_id, held, output_limit, base_urls
           FROM admit_calls($1, array_fill($2::bytea, '{3}'), array_fill('acme/m'::text, '{3}'), array_fill('openai'::text, '{3}'),
                            '{10,11,12}', '{20,20,20}', '{1,1,1}', '{t,t,t}', '{chat,chat,chat}', '{f,f,f}',
                            array_fill('127.0.0.1'::inet, '{3}'), array_fill(NULL::bytea, '{3}'),
                            array_fill(NULL::bytea, '{3}'), $3, $4, false)",
    )
    .bind(&ids)
    .bind(hash)
    .bind(owner.0)
    .bind(interval(HOLD_FOR))
    .fetch_all(&db)
    .await
    .expect("decided");
    let expected = ids.iter().zip([50, 51, 52]).map(|(id, held)| (*id, "admitted".into(), key_id.0, held, 20, answers[0].5.clone()));
    assert_eq!(answers, expected.collect::<Vec<_>>());
    assert_eq!(answers[0].5.len(), 1);
    assert_eq!(grant(&db, grant_id).await, (847, 153, 0));
}
