//! What becomes of settlements that are refused, panic, or wait on a disk, with a database that takes them or takes nothing.

use super::*;
use crate::gateway::live::LiveCalls;
use crate::gateway::rejected::{Rejected, settle_rejected};
use crate::gateway::replay::{ReplayError, replay};
use crate::gateway::spool::Census;
use crate::ids::ReplicaId;
use crate::tokens::Tokens;
use crate::wallet::audit::audit;
use crate::wallet::fixtures::{self, Used};
use chrono::{TimeDelta, Utc};
use serde_json::value::RawValue;
use sqlx::PgPool;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

const USED: Used = Used { input: 10, cached: 0, output: 5 };
const CHARGE: i64 = 20;
const USAGE: &str = r#"{"prompt_tokens": 10, "completion_tokens": 5}"#;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The reports of so many calls that have run.
async fn reports(db: &PgPool, calls: usize) -> Vec<Settlement> {
    let supplier_id = fixtures::supplier(db, "acme").await;
    fixtures::model(db, "acme/m", supplier_id).await;
    reports_of(db, "ada", calls).await
}

/// The same of another customer.
async fn reports_of(db: &PgPool, name: &str, calls: usize) -> Vec<Settlement> {
    let member = fixtures::member(db, name).await;
    fixtures::credit(db, member.account_id(), 10_000, TimeDelta::days(30)).await;
    let (_, secret) = fixtures::key(db, &member, fixtures::plain_key(name)).await;
    let mut reports = Vec::with_capacity(calls);
    for _ in 0..calls {
        let call = fixtures::admit(db, &secret, "acme/m", USED.input, USED.output).await;
        reports.push(Settlement { upstream_usage: Some(usage(USAGE)), ..fixtures::settlement(&call, USED, Utc::now()) });
    }
    reports
}

/// What its replica remembers of a call that was held to the Token.
fn hold(report: &Settlement) -> RunningHold {
    RunningHold {
        request_id: report.request_id,
        account_id: report.account_id,
        key_id: report.key_id,
        model_id: report.model_id.clone(),
        supplier_id: report.supplier_id,
        price_version: report.price_version,
        endpoint: "chat",
        streamed: report.streamed,
        tokens: report.charge,
        created_at: report.started_at,
    }
}

fn usage(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_string()).expect("JSON")
}

/// JSON that no column takes: reading it needs more stack than Postgres has.
fn too_deep() -> Box<RawValue> {
    usage(&("[".repeat(200_000) + &"]".repeat(200_000)))
}

fn gateway(db: &PgPool) -> Database {
    Database::connect_lazy(db.connect_options().as_ref().clone())
}

/// A database that answers, and takes nothing.
fn read_only(db: &PgPool) -> Database {
    Database::connect_lazy(db.connect_options().as_ref().clone().options([("default_transaction_read_only", "on")]))
}

/// A spool with these records.
fn spool_of(folder: &TempDir, records: &[Vec<u8>]) -> Arc<Mutex<Spool>> {
    let mut spool = Spool::open(folder.path()).expect("a spool");
    spool.append(records).expect("durable");
    Arc::new(Mutex::new(spool))
}

fn records(reports: &[Settlement]) -> Vec<Vec<u8>> {
    reports.iter().map(|report| serde_json::to_vec(report).expect("JSON")).collect()
}

/// What a crash in the middle of a write leaves behind the last record.
fn tear(folder: &TempDir) {
    let segment = fs::read_dir(folder.path()).expect("readable").next().expect("a segment").expect("readable").path();
    OpenOptions::new().append(true).open(segment).expect("a segment").write_all(b"torn").expect("written");
}

fn census(folder: &TempDir) -> (usize, usize) {
    let Census { segments, rejected } = Census::of(folder.path()).expect("readable");
    (segments, rejected)
}

/// Charge and usage of every record, in the order of the calls.
async fn recorded(db: &PgPool) -> Vec<(i64, Option<String>)> {
    let sql = "SELECT charge, upstream_usage::text FROM usage_records ORDER BY request_id";
    sqlx::query_as(sql).fetch_all(db).await.expect("records")
}

fn whole() -> (i64, Option<String>) {
    (CHARGE, Some(USAGE.to_string()))
}

async fn assert_exact(db: &PgPool) {
    let report = audit(db, None).await.expect("audit");
    assert!(report.differences.is_empty(), "{:?}", report.differences);
}

#[sqlx::test]
async fn a_report_that_no_column_takes_costs_its_neighbours_nothing(db: PgPool) {
    let gateway = gateway(&db);
    let mut reports = reports(&db, 3).await;
    reports[1].upstream_usage = Some(too_deep());
    let settled = settle(&gateway, reports).await;
    assert!(settled.iter().all(|result| matches!(result, Ok(Some(Settled { first: true, charge: Tokens(CHARGE), .. })))), "{settled:?}");
    assert_eq!(recorded(&db).await, [whole(), (CHARGE, None), whole()]);
    assert_exact(&db).await;
    gateway.close().await;
}

#[sqlx::test]
async fn a_replay_sets_aside_what_is_refused_for_itself_and_nothing_else(db: PgPool) {
    let (gateway, folder) = (gateway(&db), TempDir::new().expect("a folder"));
    let mut reports = reports(&db, 4).await;
    reports[1].upstream_usage = Some(too_deep());
    reports[2].input_tokens = -1;
    let spool = spool_of(&folder, &records(&reports));
    let spooled = Spooled::default();
    reports.iter().for_each(|report| spooled.announce(hold(report)));
    assert_eq!(replay(&gateway, &spool, &spooled, &CancellationToken::new()).await.expect("replayed"), 3);
    assert_eq!(recorded(&db).await, [whole(), (CHARGE, None), whole()]);
    assert_eq!(census(&folder), (0, 1));
    assert!(spooled.calls().is_empty() && spooled.holds().is_empty(), "its hold is the reaper's");
    gateway.close().await;
}

#[sqlx::test]
async fn what_was_set_aside_is_settled_once_when_the_database_takes_it(db: PgPool) {
    let (gateway, folder) = (gateway(&db), TempDir::new().expect("a folder"));
    let missing = folder.path().join("not there yet");
    assert!(Rejected::all(&missing).expect("nothing").is_empty());
    let reports = reports(&db, 1).await;
    let spool = spool_of(&folder, &records(&reports));
    tear(&folder);
    sqlx::raw_sql("ALTER TABLE usage_records ADD CONSTRAINT refused_check CHECK (output_tokens <> 5)").execute(&db).await.expect("a rule");
    assert_eq!(replay(&gateway, &spool, &Spooled::default(), &CancellationToken::new()).await.expect("replayed"), 0);
    let rejected = Rejected::all(folder.path()).expect("readable");
    let [Rejected { path, settlement: Ok(report) }, Rejected { settlement: Err(_), .. }] = &rejected[..] else {
        panic!("{} files", rejected.len())
    };
    assert_eq!(report.request_id, reports[0].request_id);

    let refused = settle_rejected(&gateway, path, report).await.expect_err("still refused");
    assert!(matches!(&refused, ReplayError::Ledger(error) if error.is_refusal()), "{refused:?}");
    assert_eq!((census(&folder), recorded(&db).await), ((0, 2), Vec::new()));
    sqlx::raw_sql("ALTER TABLE usage_records DROP CONSTRAINT refused_check").execute(&db).await.expect("no rule");
    let settled = settle_rejected(&gateway, path, report).await.expect("settled");
    assert_eq!((settled.first, settled.charge, census(&folder)), (true, Tokens(CHARGE), (0, 1)));
    // Somebody else had read the file before it went.
    let again = settle_rejected(&gateway, path, report).await.expect("found settled");
    assert_eq!((again.first, again.charge), (false, Tokens(CHARGE)));
    assert_eq!(recorded(&db).await, [whole()]);
    assert_exact(&db).await;
    gateway.close().await;
}

#[sqlx::test]
async fn a_database_that_takes_nothing_has_nothing_set_aside(db: PgPool) {
    let (gateway, read_only, folder) = (gateway(&db), read_only(&db), TempDir::new().expect("a folder"));
    let reports = reports(&db, 2).await;
    let [first, second] = <[Vec<u8>; 2]>::try_from(records(&reports)).expect("two");
    let spool = spool_of(&folder, &[first, b"{\"no\": \"settlement\"}".to_vec(), second]);
    tear(&folder);
    let (spooled, stop) = (Spooled::default(), CancellationToken::new());
    let closed = Database::connect_lazy(db.connect_options().as_ref().clone());
    closed.close().await;
    for away in [&read_only, &closed, &read_only, &closed] {
        let refused = replay(away, &spool, &spooled, &stop).await.expect_err("nothing is taken");
        assert!(matches!(&refused, ReplayError::Ledger(error) if error.is_transient()), "{refused:?}");
        assert_eq!(census(&folder), (1, 0));
    }
    // What is no settlement, and what is no record.
    assert_eq!(replay(&gateway, &spool, &spooled, &stop).await.expect("replayed"), 2);
    assert_eq!((census(&folder), recorded(&db).await), ((0, 2), vec![whole(), whole()]));
    assert_eq!(replay(&gateway, &spool, &spooled, &stop).await.expect("replayed"), 0);
    assert_exact(&db).await;
    gateway.close().await;
    read_only.close().await;
}

#[sqlx::test]
async fn a_replay_that_is_asked_to_end_leaves_the_rest_where_it_is(db: PgPool) {
    let (gateway, folder) = (gateway(&db), TempDir::new().expect("a folder"));
    let spool = spool_of(&folder, &records(&reports(&db, 1).await));
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(replay(&gateway, &spool, &Spooled::default(), &stop).await.expect("ended"), 0);
    assert_eq!((census(&folder), recorded(&db).await), ((1, 0), Vec::new()));
    assert_eq!(replay(&gateway, &spool, &Spooled::default(), &CancellationToken::new()).await.expect("replayed"), 1);
    gateway.close().await;
}

#[sqlx::test]
async fn a_locked_account_keeps_nobody_elses_settlement_in_the_spool(db: PgPool) {
    let (gateway, folder) = (gateway(&db), TempDir::new().expect("a folder"));
    let (adas, bobs) = (reports(&db, 2).await, reports_of(&db, "bob", 3).await);
    let spooled = Spooled::default();
    adas.iter().chain(&bobs).for_each(|report| spooled.announce(hold(report)));
    spooled.mark_written(adas.iter().chain(&bobs).map(|report| report.request_id));
    // A segment of both, one of bob's alone, one of both again; each process that wrote has ended.
    let waiting = [vec![bobs[0].clone(), adas[0].clone()], vec![bobs[1].clone()], vec![bobs[2].clone(), adas[1].clone()]];
    for reports in &waiting {
        drop(spool_of(&folder, &records(reports)));
    }
    let spool = Arc::new(Mutex::new(Spool::open(folder.path()).expect("a spool")));
    let mut locks = db.begin().await.expect("begin");
    let lock = sqlx::query("SELECT 1 FROM accounts WHERE account_id = $1 FOR UPDATE").bind(bobs[0].account_id.0);
    lock.execute(&mut *locks).await.expect("locked");

    let stop = CancellationToken::new();
    let settled = tokio::time::timeout(PATIENCE, replay(&gateway, &spool, &spooled, &stop)).await.expect("a round ends");
    assert_eq!((settled.expect("replayed"), recorded(&db).await), (2, vec![whole(), whole()]));
    assert_eq!(census(&folder), (3, 0), "a segment stays for the next round as long as something of it is left");
    let mut held: Vec<RequestId> = spooled.calls();
    held.sort_unstable();
    assert_eq!(held, bobs.iter().map(|report| report.request_id).collect::<Vec<_>>());

    locks.rollback().await.expect("rollback");
    replay(&gateway, &spool, &spooled, &stop).await.expect("replayed");
    assert_eq!((census(&folder), spooled.count()), ((0, 0), 0));
    assert_eq!(recorded(&db).await, [whole(), whole(), whole(), whole(), whole()]);
    assert_exact(&db).await;
    gateway.close().await;
}

#[sqlx::test]
async fn calls_that_were_lost_to_damage_are_not_held_for_ever(db: PgPool) {
    let (gateway, read_only, folder) = (gateway(&db), read_only(&db), TempDir::new().expect("a folder"));
    let reports = reports(&db, 2).await;
    let spool = spool_of(&folder, &records(&reports[..1]));
    tear(&folder);
    let [lost, on_its_way] = [RequestId::generate(), RequestId::generate()];
    let spooled = Spooled::default();
    let of = |request_id| RunningHold { request_id, ..hold(&reports[0]) };
    [reports[0].request_id, lost, on_its_way].into_iter().for_each(|call| spooled.announce(of(call)));
    spooled.mark_written([reports[0].request_id, lost].into_iter());
    replay(&read_only, &spool, &spooled, &CancellationToken::new()).await.expect_err("nothing is taken");
    assert_eq!(spooled.calls().len(), 3, "all may still be replayed");
    // Another process has a segment, for all we know one of ours.
    let mut other = Spool::open(folder.path()).expect("a spool");
    other.append(&records(&reports[1..])).expect("durable");
    assert_eq!(replay(&gateway, &spool, &spooled, &CancellationToken::new()).await.expect("replayed"), 1);
    assert!(spooled.calls().len() == 2 && spooled.calls().contains(&lost));
    drop(other);
    assert_eq!(replay(&gateway, &spool, &spooled, &CancellationToken::new()).await.expect("replayed"), 1);
    assert_eq!(spooled.calls(), [on_its_way]);
    // Written only now that it was replayed: it stays forgotten.
    spooled.mark_written([lost].into_iter());
    assert_eq!(spooled.calls(), [on_its_way]);
    gateway.close().await;
    read_only.close().await;
}

/// What the supplier reported is all that can be so long.
#[sqlx::test]
async fn a_settlement_that_is_too_long_for_the_spool_is_kept_without_the_report(db: PgPool) {
    let mut report = reports(&db, 1).await.remove(0);
    let whole = record_of(&report, LONGEST).expect("a record");
    assert_eq!(record_of(&report, whole.len()).as_deref(), Some(&whole[..]));
    report.upstream_usage = Some(usage(&format!(r#"{{"note": "{}"}}"#, "x".repeat(2 * whole.len()))));
    let short = record_of(&report, whole.len()).expect("a record");
    let kept: Settlement = serde_json::from_slice(&short).expect("readable");
    assert!(short.len() < whole.len() && kept.upstream_usage.is_none());
    assert_eq!((kept.request_id, kept.charge), (report.request_id, report.charge));
}

#[sqlx::test]
async fn a_disk_that_takes_nothing_leaves_the_database_to_be_asked_again(db: PgPool) {
    let (gateway, folder) = (gateway(&db), TempDir::new().expect("a folder"));
    let (tasks, spooled, stop) = (TaskTracker::new(), Spooled::default(), CancellationToken::new());
    let wait = Duration::from_millis(100);
    let settlements = Settlements::spawn(&tasks, gateway.clone(), folder.path(), wait, spooled.clone(), stop.clone()).expect("a spool");
    let report = reports(&db, 1).await.remove(0);
    // Whoever the tests run as, no file is made in a folder that is gone.
    fs::remove_dir(folder.path()).expect("removed");
    let mut locks = db.begin().await.expect("begin");
    sqlx::query("SELECT 1 FROM accounts FOR UPDATE").execute(&mut *locks).await.expect("locked");

    let hold = hold(&report);
    let mut settling = Box::pin(settlements.settle(report, hold));
    assert!(tokio::time::timeout(Duration::from_millis(1_500), &mut settling).await.is_err(), "settled nowhere");
    locks.rollback().await.expect("rollback");
    let settled = tokio::time::timeout(PATIENCE, settling).await.expect("the database is asked again").expect("it is in the database");
    assert_eq!((settled.first, settled.charge), (true, Tokens(CHARGE)));
    assert!(spooled.calls().is_empty());
    assert_exact(&db).await;

    stop.cancel();
    drop(settlements);
    tasks.close();
    tasks.wait().await;
    gateway.close().await;
}

#[sqlx::test]
async fn a_settlement_whose_batch_panicked_is_asked_for_again(db: PgPool) {
    let tried = Arc::new(AtomicUsize::new(0));
    let of_batches = tried.clone();
    let batches = Batcher::spawn(&TaskTracker::new(), move |settlements: Vec<Settlement>| {
        let tried = of_batches.clone();
        async move {
            assert!(tried.fetch_add(1, Ordering::Relaxed) > 1, "this batch panics, as it should");
            let settled = Settled { first: true, charge: Tokens(CHARGE), balance_left: Tokens(0), quota_left: None };
            settlements.iter().map(|_| Ok(Some(settled))).collect()
        }
    });
    let (spool, _writes) = mpsc::unbounded_channel();
    let settlements = Settlements { batches, spool, spooled: Spooled::default(), wait: PATIENCE };
    let report = reports(&db, 1).await.remove(0);
    let hold = hold(&report);
    let settled = tokio::time::timeout(PATIENCE / 2, settlements.settle(report, hold)).await.expect("an answer");
    assert!(settled.is_some_and(|settled| settled.charge == Tokens(CHARGE)));
    assert_eq!(tried.load(Ordering::Relaxed), 3);
}

/// Until a settlement is in the database, nobody else gets what its call held.
#[sqlx::test]
async fn a_call_whose_settlement_waits_on_the_disk_is_held_again_after_a_crash_of_the_database(db: PgPool) {
    let (gateway, folder) = (gateway(&db), TempDir::new().expect("a folder"));
    let (tasks, spooled) = (TaskTracker::new(), Spooled::default());
    let live = LiveCalls::new(spooled.clone());
    let spool = Arc::new(Mutex::new(Spool::open(folder.path()).expect("a spool")));
    let (queue, writes) = mpsc::unbounded_channel();
    tasks.spawn(write_spool(spool.clone(), writes, spooled.clone()));
    // The database takes nothing, and nothing is replayed but by us.
    let batches = Batcher::spawn(&tasks, |reports: Vec<Settlement>| async move { reports.iter().map(|_| Ok(None)).collect() });
    let settlements = Settlements { batches, spool: queue, spooled: spooled.clone(), wait: Duration::from_millis(100) };
    let mut reports = reports(&db, 2).await;
    let (running, report) = (reports.remove(1), reports.remove(0));
    let call = live.register(running.request_id);
    call.admitted(hold(&running));
    let waiting = hold(&report);
    assert_eq!(settlements.settle(report.clone(), waiting.clone()).await, None, "it is in the spool");

    fixtures::forget_holds(&db).await;
    let owner = ReplicaId::generate();
    // One that still runs while its settlement is written is one call.
    spooled.announce(hold(&running));
    live.restore(&gateway, owner).await.expect("restored");
    let held: Vec<(uuid::Uuid, i64)> =
        sqlx::query_as("SELECT request_id, tokens FROM holds ORDER BY request_id").fetch_all(&db).await.expect("holds");
    assert_eq!(held, [(report.request_id.0, CHARGE), (running.request_id.0, CHARGE)]);
    assert_exact(&db).await;

    assert_eq!(replay(&gateway, &spool, &spooled, &CancellationToken::new()).await.expect("replayed"), 1);
    spooled.forget(&[running.request_id]);
    assert_eq!((recorded(&db).await, spooled.holds().len()), (vec![whole()], 0));
    // What is settled is held no more, whoever asks for it.
    spooled.announce(waiting);
    fixtures::forget_holds(&db).await;
    drop(call);
    live.restore(&gateway, owner).await.expect("restored");
    let held: i64 = sqlx::query_scalar("SELECT count(*) FROM holds").fetch_one(&db).await.expect("a count");
    assert_eq!(held, 0);
    assert_exact(&db).await;
    gateway.close().await;
}
