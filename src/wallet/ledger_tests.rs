//! What the ledger decides about batches, late reports and forgotten holds.

use super::*;
use crate::accounts::rights::Owner;
use crate::ids::{KeyId, ReplicaId, SupplierId};
use crate::keys::secret::KeySecret;
use crate::wallet::audit::audit;
pub use crate::wallet::fixtures::forget_holds;
use crate::wallet::fixtures::{self, Used};
use chrono::Utc;

pub const HOLD_FOR: TimeDelta = TimeDelta::seconds(60);
pub const USED: Used = Used { input: 10, cached: 0, output: 5 };

/// An account with Tokens and a key, and `acme/m`: 1 × for input, 2 × for output.
pub async fn customer(db: &PgPool, name: &str, tokens: i64, quota: Option<i64>) -> (Owner, GrantId, KeyId, KeySecret) {
    let member = fixtures::member(db, name).await;
    let grant_id = fixtures::credit(db, member.account_id(), tokens, TimeDelta::days(30)).await;
    let mut new = fixtures::plain_key(name);
    new.quota = quota.map(Tokens);
    let (key_id, secret) = fixtures::key(db, &member, new).await;
    (member, grant_id, key_id, secret)
}

pub async fn acme(db: &PgPool) -> SupplierId {
    let supplier_id = fixtures::supplier(db, "acme").await;
    fixtures::model(db, "acme/m", supplier_id).await;
    supplier_id
}

/// left, held and spent of a grant.
pub async fn grant(db: &PgPool, grant_id: GrantId) -> (i64, i64, i64) {
    let row = sqlx::query!("SELECT left_, held, spent FROM grants WHERE grant_id = $1", grant_id.0).fetch_one(db).await.expect("a grant");
    (row.left_, row.held, row.spent)
}

pub async fn settled(db: &PgPool, settlements: &[Settlement]) -> Vec<(bool, i64)> {
    let settled = settle_calls(db, settlements).await.expect("settled");
    settled.into_iter().map(|settled| (settled.first, settled.charge.0)).collect()
}

pub async fn assert_exact(db: &PgPool) {
    let report = audit(db, None).await.expect("audit");
    assert!(report.differences.is_empty(), "{:?}", report.differences);
}

pub async fn decide(db: &PgPool, requests: &[AdmissionRequest], owner: ReplicaId, again: bool) -> Vec<Verdict> {
    let decisions = admit_calls(db, requests, owner, HOLD_FOR, again).await.expect("decisions");
    decisions.into_iter().map(|decision| decision.verdict).collect()
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Admitted(admission) => format!("{} held, output {}", admission.held.0, admission.output_limit),
        other => format!("{other:?}"),
    }
}

#[sqlx::test]
async fn a_batch_is_decided_in_its_order_and_nobody_pays_for_a_neighbour(db: PgPool) {
    acme(&db).await;
    let (_, ada, ada_key, ada_secret) = customer(&db, "ada", 100, Some(70)).await;
    let (_, bob, _, bob_secret) = customer(&db, "bob", 30, None).await;
    let owner = fixtures::replica(&db).await;
    let request = |secret: &KeySecret, model: &str, input, limit| fixtures::request(secret, model, input, limit);
    let requests = [
        request(&ada_secret, "acme/m", 10, 20),
        request(&bob_secret, "acme/m", 10, 20),
        request(&KeySecret::generate(), "acme/m", 1, 1),
        request(&ada_secret, "acme/none", 1, 1),
        // The key has 20 left of its quota: 10 for the input, and 5 of output at twice the price.
        request(&ada_secret, "acme/m", 10, 20),
        request(&ada_secret, "acme/m", 1, 1),
        request(&bob_secret, "acme/m", 1, 1),
    ];
    let verdicts = decide(&db, &requests, owner, false).await;
    assert_eq!(
        verdicts.iter().map(verdict).collect::<Vec<_>>(),
        [
            "50 held, output 20",
            "30 held, output 10",
            "UnknownKey",
            "ModelNotFound",
            "20 held, output 5",
            "QuotaExhausted",
            "BalanceExhausted"
        ]
    );
    assert_eq!((grant(&db, ada).await, grant(&db, bob).await), ((30, 70, 0), (0, 30, 0)));
    let admitted: Vec<_> =
        verdicts.into_iter().filter_map(|verdict| if let Verdict::Admitted(a) = verdict { Some(a) } else { None }).collect();
    let reports: Vec<_> = admitted.iter().map(|call| fixtures::settlement(call, USED, Utc::now())).collect();
    // Each costs 20; twice the same report is one charge.
    assert_eq!(
        settled(&db, &[reports[2].clone(), reports[0].clone(), reports[1].clone(), reports[0].clone()]).await,
        [(true, 20), (true, 20), (true, 20), (true, 20)]
    );
    assert_eq!(settled(&db, &reports).await, [(false, 20), (false, 20), (false, 20)]);
    assert_eq!((grant(&db, ada).await, grant(&db, bob).await), ((60, 0, 40), (10, 0, 20)));
    let key = sqlx::query!("SELECT spent, held FROM api_keys WHERE key_id = $1", ada_key.0).fetch_one(&db).await.expect("a key");
    assert_eq!((key.spent, key.held), (40, 0));
    assert_exact(&db).await;
}

#[sqlx::test]
async fn a_batch_burns_scoped_grants_first_then_what_ends_soonest(db: PgPool) {
    let acme = acme(&db).await;
    let (member, late, _, secret) = customer(&db, "ada", 100, None).await;
    let soon = fixtures::credit(&db, member.account_id(), 15, TimeDelta::days(2)).await;
    let scope = |supplier_id: SupplierId| Scope { supplier_ids: vec![supplier_id.0], model_ids: Vec::new() };
    let scoped = fixtures::credit_scoped(&db, member.account_id(), 10, TimeDelta::days(90), scope(acme)).await;
    let elsewhere = fixtures::supplier(&db, "other").await;
    let foreign = fixtures::credit_scoped(&db, member.account_id(), 1_000, TimeDelta::days(1), scope(elsewhere)).await;
    let owner = fixtures::replica(&db).await;
    let requests = [fixtures::request(&secret, "acme/m", 10, 5), fixtures::request(&secret, "acme/m", 10, 5)];
    let verdicts = decide(&db, &requests, owner, false).await;
    let grants = [scoped, soon, late, foreign];
    let mut now = Vec::new();
    for grant_id in grants {
        now.push(grant(&db, grant_id).await);
    }
    assert_eq!(now, [(0, 10, 0), (0, 15, 0), (85, 15, 0), (1_000, 0, 0)]);
    // The second call held 5 of `soon` and 15 of `late`, and cost 6.
    let Verdict::Admitted(second) = &verdicts[1] else { panic!("{:?}", verdicts[1]) };
    let used = Used { input: 4, cached: 0, output: 1 };
    assert_eq!(settled(&db, &[fixtures::settlement(second, used, Utc::now())]).await, [(true, 6)]);
    assert_eq!((grant(&db, soon).await, grant(&db, late).await), ((0, 10, 5), (99, 0, 1)));
    assert_exact(&db).await;
}

#[sqlx::test]
async fn a_report_after_the_reaper_is_charged_once_and_completes_the_record(db: PgPool) {
    acme(&db).await;
    let (_, grant_id, _, secret) = customer(&db, "ada", 100, None).await;
    let call = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    sqlx::query!("UPDATE holds SET deadline = now() - interval '1 second'").execute(&db).await.expect("silent");
    assert_eq!(reap_holds(&db, 10).await.expect("reaped"), 1);
    assert_eq!(grant(&db, grant_id).await, (100, 0, 0));
    let report = fixtures::settlement(&call, USED, Utc::now());
    assert_eq!(settled(&db, std::slice::from_ref(&report)).await, [(true, 20)]);
    assert_eq!(settled(&db, std::slice::from_ref(&report)).await, [(false, 20)]);
    assert_eq!(grant(&db, grant_id).await, (80, 0, 20));
    let record = sqlx::query!("SELECT outcome, charge, input_tokens FROM usage_records").fetch_one(&db).await.expect("one record");
    assert_eq!((record.outcome.as_str(), record.charge, record.input_tokens), ("ok", 20, 10));
    assert_exact(&db).await;
}

#[sqlx::test]
async fn a_report_after_the_reaper_is_charged_no_more_than_had_been_held(db: PgPool) {
    acme(&db).await;
    let (_, _, _, secret) = customer(&db, "ada", 1_000, None).await;
    let call = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    sqlx::query!("UPDATE holds SET deadline = now() - interval '1 second'").execute(&db).await.expect("silent");
    assert_eq!(reap_holds(&db, 10).await.expect("reaped"), 1);
    let report = fixtures::settlement(&call, Used { output: 100, ..USED }, Utc::now());
    assert_eq!(settled(&db, &[report]).await, [(true, 50)]);
    let sql = "SELECT held, charge, written_off FROM usage_records";
    assert_eq!(sqlx::query_as::<_, (i64, i64, i64)>(sql).fetch_one(&db).await.expect("one record"), (50, 50, 160));
    assert_exact(&db).await;
}

#[sqlx::test]
async fn only_an_interrupted_record_is_ever_completed(db: PgPool) {
    acme(&db).await;
    let (_, _, _, secret) = customer(&db, "ada", 100, None).await;
    let call = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    fixtures::settle(&db, &call, USED, Utc::now()).await;
    for sql in [
        "UPDATE usage_records SET charge = 0",
        "UPDATE usage_records SET outcome = 'interrupted'",
        "DELETE FROM usage_records",
        "UPDATE ledger SET tokens = 1",
        "DELETE FROM ledger",
    ] {
        let error = sqlx::raw_sql(sql).execute(&db).await.expect_err(sql);
        assert!(error.to_string().contains("append-only"), "{sql}: {error}");
    }
}

#[sqlx::test]
async fn holds_that_a_crash_forgot_are_put_back_before_anything_is_admitted(db: PgPool) {
    acme(&db).await;
    let (_, grant_id, _, secret) = customer(&db, "ada", 100, None).await;
    let owner = fixtures::replica(&db).await;
    let request = || fixtures::request(&secret, "acme/m", 10, 20);
    let verdicts = decide(&db, &[request()], owner, false).await;
    let Verdict::Admitted(call) = &verdicts[0] else { panic!("{:?}", verdicts[0]) };
    forget_holds(&db).await;
    assert!(!look_at_calls(&db, owner, &[]).await.expect("looked").known);
    let refused = decide(&db, &[request(), request()], owner, false).await;
    assert!(refused.iter().all(|verdict| matches!(verdict, Verdict::HoldsForgotten)), "{refused:?}");
    let running = call.hold("chat", false, Utc::now());
    assert_eq!(restore_holds(&db, owner, HOLD_FOR, std::slice::from_ref(&running)).await.expect("restored"), 1);
    assert_eq!(restore_holds(&db, owner, HOLD_FOR, &[running]).await.expect("restored"), 0);
    assert_eq!(grant(&db, grant_id).await, (50, 50, 0));
    assert!(look_at_calls(&db, owner, &[]).await.expect("looked").known);
    assert_eq!(settled(&db, &[fixtures::settlement(call, USED, Utc::now())]).await, [(true, 20)]);
    assert_eq!(grant(&db, grant_id).await, (80, 0, 20));
    assert_exact(&db).await;
}

#[sqlx::test]
async fn a_report_without_a_hold_is_charged_what_account_and_key_can_pay(db: PgPool) {
    acme(&db).await;
    let (_, grant_id, _, secret) = customer(&db, "ada", 100, Some(50)).await;
    let call = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    forget_holds(&db).await;
    sqlx::query!("UPDATE api_keys SET quota = 15").execute(&db).await.expect("a smaller quota");
    assert_eq!(settled(&db, &[fixtures::settlement(&call, USED, Utc::now())]).await, [(true, 15)]);
    assert_eq!(grant(&db, grant_id).await, (85, 0, 15));
    let record = sqlx::query!("SELECT charge, written_off, held FROM usage_records").fetch_one(&db).await.expect("one record");
    assert_eq!((record.charge, record.written_off, record.held), (15, 5, 50));
    assert_exact(&db).await;
}

#[sqlx::test]
async fn tokens_are_transferred_in_burn_order_with_scope_and_expiry(db: PgPool) {
    let supplier_id = acme(&db).await;
    let (ada, late, _, secret) = customer(&db, "ada", 100, None).await;
    let bob = fixtures::member(&db, "bob").await;
    let scope = Scope { supplier_ids: vec![supplier_id.0], model_ids: Vec::new() };
    let scoped = fixtures::credit_scoped(&db, ada.account_id(), 30, TimeDelta::days(90), scope).await;
    // A running call holds 10 of the scoped grant: these stay.
    fixtures::admit(&db, &secret, "acme/m", 8, 1).await;
    let operator = crate::operators::rights::Operator::command_line();
    let give =
        async |tokens| crate::operators::moves::transfer(&db, operator, ada.account_id(), bob.account_id(), Tokens(tokens), None).await;
    assert!(give(121).await.is_err(), "more than is left");
    assert_eq!(give(50).await.expect("given").len(), 2);
    assert_eq!((grant(&db, scoped).await, grant(&db, late).await), ((0, 10, 0), (70, 0, 0)));
    let received = sqlx::query!(
        "SELECT g.tokens, g.left_, g.source, g.scope_supplier_ids, g.expires_at = o.expires_at AS same_end FROM grants g
           JOIN ledger l ON l.to_grant_id = g.grant_id JOIN grants o ON o.grant_id = l.grant_id
          WHERE g.account_id = $1 ORDER BY g.scoped DESC",
        bob.account_id().0
    )
    .fetch_all(&db)
    .await
    .expect("grants");
    let received: Vec<_> =
        received.into_iter().map(|row| (row.tokens, row.left_, row.source, row.scope_supplier_ids, row.same_end)).collect();
    assert_eq!(
        received,
        [(20, 20, "transfer".into(), vec![supplier_id.0], Some(true)), (30, 30, "transfer".into(), Vec::new(), Some(true))]
    );
    let deeds = sqlx::query_scalar!("SELECT count(*) FROM operator_actions WHERE action = 'account.transfer'").fetch_one(&db).await;
    assert_eq!(deeds.expect("count"), Some(1), "a refused transfer leaves no trace");
    assert_exact(&db).await;
}

#[sqlx::test]
async fn what_is_neither_spent_nor_held_can_be_taken_back(db: PgPool) {
    acme(&db).await;
    let (_, grant_id, _, secret) = customer(&db, "ada", 100, None).await;
    fixtures::admit(&db, &secret, "acme/m", 8, 1).await;
    let operator = crate::operators::rights::Operator::command_line();
    let take = async |tokens| crate::operators::moves::take_back(&db, operator, grant_id, Tokens(tokens), Some("mistake")).await;
    assert!(take(91).await.is_err());
    assert!(take(0).await.is_err());
    take(90).await.expect("taken back");
    assert_eq!(grant(&db, grant_id).await, (0, 10, 0));
    assert!(crate::operators::moves::take_back(&db, operator, GrantId::generate(), Tokens(1), None).await.is_err());
    assert_exact(&db).await;
}

#[sqlx::test]
async fn a_batch_whose_answer_was_lost_is_decided_anew(db: PgPool) {
    acme(&db).await;
    let (_, grant_id, _, secret) = customer(&db, "ada", 100, Some(60)).await;
    let owner = fixtures::replica(&db).await;
    let requests = [fixtures::request(&secret, "acme/m", 10, 20), fixtures::request(&secret, "acme/m", 4, 3)];
    let first = decide(&db, &requests, owner, false).await;
    let again = decide(&db, &requests, owner, true).await;
    let shown = |verdicts: &[Verdict]| verdicts.iter().map(verdict).collect::<Vec<_>>();
    assert_eq!((shown(&first), shown(&again)), (vec!["50 held, output 20".into(), "10 held, output 3".into()], shown(&first)));
    assert_eq!(grant(&db, grant_id).await, (40, 60, 0));
    assert_exact(&db).await;
}

#[sqlx::test]
async fn a_hold_of_a_call_that_nobody_runs_passes_its_deadline(db: PgPool) {
    acme(&db).await;
    let (_, grant_id, _, secret) = customer(&db, "ada", 100, None).await;
    let owner = fixtures::replica(&db).await;
    let requests = [fixtures::request(&secret, "acme/m", 10, 20), fixtures::request(&secret, "acme/m", 4, 3)];
    decide(&db, &requests, owner, false).await;
    sqlx::query!("UPDATE holds SET deadline = now() - interval '1 second'").execute(&db).await.expect("late");
    extend_holds(&db, owner, HOLD_FOR, &[requests[1].request_id]).await.expect("extended");
    assert_eq!(reap_holds(&db, 10).await.expect("reaped"), 1);
    assert_eq!(grant(&db, grant_id).await, (90, 10, 0));
    assert_exact(&db).await;
}

/// While tables are empty all indexes look alike, and the plan of that moment is kept: what it reads must not grow with the table.
#[sqlx::test]
async fn calls_are_looked_for_by_their_id_on_the_first_day_too(db: PgPool) {
    sqlx::raw_sql("VACUUM ANALYZE usage_records").execute(&db).await.expect("statistics of an empty table");
    acme(&db).await;
    let (_, _, _, secret) = customer(&db, "ada", 1_000, None).await;
    let call = fixtures::admit(&db, &secret, "acme/m", 10, 10).await;
    let report = fixtures::settlement(&call, USED, Utc::now());
    let mut session = db.acquire().await.expect("a connection");
    // As the gateway's connections are.
    let settings =
        "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";
    sqlx::raw_sql(settings).execute(&mut *session).await.expect("settings");
    for first in [true, false] {
        let settled = settle_calls(&mut *session, std::slice::from_ref(&report)).await.expect("settled");
        assert_eq!(settled.into_iter().map(|settled| settled.first).collect::<Vec<_>>(), [first]);
    }
    sqlx::raw_sql("SELECT pg_stat_force_next_flush()").execute(&mut *session).await.expect("flushed");
    let used = "SELECT indexrelname::text FROM pg_stat_user_indexes WHERE relname LIKE 'usage_records%' AND idx_scan > 0";
    let used: Vec<String> = sqlx::query_scalar(used).fetch_all(&db).await.expect("statistics");
    assert_eq!(used, ["usage_records_first_pkey"], "one partition, by its key");
}

/// Writes an entry with these books, Tokens and call.
macro_rules! entry {
    ($values:literal) => {
        concat!(
            "INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, request_id) SELECT account_id, grant_id, ",
            $values,
            " FROM grants, (SELECT gen_random_uuid() AS request_id) call"
        )
    };
}

/// Writes the usage record that is there once more, with another id and this value.
macro_rules! record {
    ($column:literal, $value:literal) => {
        concat!(
            r#"INSERT INTO usage_records SELECT r.* FROM usage_records u,
                LATERAL jsonb_populate_record(u, jsonb_build_object('request_id', gen_random_uuid(), '"#,
            $column,
            "', '",
            $value,
            "')) r"
        )
    };
}

#[sqlx::test]
async fn a_row_that_breaks_a_rule_is_refused_by_its_name(db: PgPool) {
    acme(&db).await;
    let (_, _, _, secret) = customer(&db, "ada", 1_000, Some(500)).await;
    let call = fixtures::admit(&db, &secret, "acme/m", 10, 10).await;
    settled(&db, &[fixtures::settlement(&call, USED, Utc::now())]).await;
    for (sql, rule) in [
        ("UPDATE grants SET left_ = left_ - 1", "grants_adds_up_check"),
        ("UPDATE grants SET left_ = -1, tokens = tokens - left_ - 1", "grants_books_check"),
        ("UPDATE grants SET swept_at = now()", "grants_swept_check"),
        ("UPDATE grants SET expires_at = starts_at", "grants_expires_at_check"),
        ("UPDATE grants SET source = 'code'", "grants_cause_check"),
        ("UPDATE grants SET scope_model_ids = '{acme/m}'", "grants_scoped_check"),
        ("UPDATE api_keys SET running = -1", "api_keys_use_check"),
        ("UPDATE api_keys SET quota = spent - 1", "api_keys_within_quota_check"),
        ("UPDATE api_keys SET name = ''", "api_keys_name_check"),
        ("UPDATE api_keys SET period = 'day'", "api_keys_period_whole_check"),
        ("UPDATE api_keys SET status = 'deleted'", "api_keys_deleted_check"),
        (entry!("'grant', 'spent', 0, request_id"), "ledger_tokens_check"),
        (entry!("'spent', 'grant', 1, request_id"), "ledger_books_check"),
        (entry!("'grant', 'spent', 1, NULL"), "ledger_cause_check"),
        (entry!("'grant', 'grant', 1, NULL"), "ledger_cause_check"),
        (record!("outcome", "lost"), "usage_records_outcome_check"),
        (record!("basis", "guessed"), "usage_records_basis_check"),
        (record!("cached_tokens", "11"), "usage_records_tokens_check"),
        (record!("charge", "-1"), "usage_records_charge_check"),
    ] {
        let refused = sqlx::raw_sql(sql).execute(&db).await.expect_err(sql);
        assert_eq!(refused.as_database_error().and_then(|error| error.constraint()), Some(rule), "{sql}: {refused}");
    }
    assert_exact(&db).await;
}
