//! Postgres is killed while calls run. Each is charged once, whether its hold survived or not, and whoever else dies.

use crate::support::installation::{Installation, eventually, is_spool_empty, spooled};
use crate::support::supplier::{CHARGE, INPUT, OUTPUT};
use chrono::{DateTime, Utc};
use toki::ids::{AccountId, KeyId, RequestId, SupplierId};
use toki::tokens::Tokens;
use toki::wallet::ledger::{Basis, Outcome, Settlement, settle_calls};
use uuid::Uuid;

const MEASURED: (&str, &str, i64) = ("ok", "measured", CHARGE);

/// A durable commit takes the holds before it along.
async fn keep_holds(site: &Installation) {
    site.execute("CREATE TABLE IF NOT EXISTS durable (at timestamptz)").await;
    site.execute("INSERT INTO durable VALUES (now())").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_stream_runs() {
    let mut site = Installation::new().await;
    let (one, two) = (site.replica().serve(&[]), site.replica().serve(&[]));

    // With a hold that the crash forgets: its owner puts it back, and the other replica admits meanwhile.
    site.serve_one(&two).await;
    let (answering, mut reader) = site.stream(&one).await;
    assert_eq!(site.number("SELECT count(*) FROM holds").await, 1);
    site.cluster.kill();
    site.cluster.restart();
    site.serve_one(&two).await;
    site.until("SELECT count(*) FROM holds", |holds| holds == 1).await;
    answering.end();
    assert!(reader.saw_the_end().await);
    site.assert_books(&[MEASURED; 3]).await;

    // With one that survives.
    let (answering, mut reader) = site.stream(&one).await;
    keep_holds(&site).await;
    site.cluster.kill();
    site.cluster.restart();
    assert_eq!(site.number("SELECT count(*) FROM holds").await, 1);
    site.serve_one(&two).await;
    answering.end();
    assert!(reader.saw_the_end().await);
    site.assert_books(&[MEASURED; 5]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_settlement() {
    let mut site = Installation::new().await;
    let (one, two) = (site.replica().serve(&[]), site.replica().serve(&[]));
    for kept in [false, true] {
        let (answering, mut reader) = site.stream(&one).await;
        if kept {
            keep_holds(&site).await;
        }
        let locks = site.lock_accounts().await;
        answering.end();
        site.until_waiting(1).await;
        site.cluster.kill();
        drop(locks);
        site.cluster.restart();
        assert!(reader.saw_the_end().await);
        site.serve_one(&two).await;
    }
    site.assert_books(&[MEASURED; 4]).await;
}

/// The report of the one call that is held.
async fn report_of_held_call(site: &Installation) -> Settlement {
    type Hold = (Uuid, Uuid, Uuid, String, Uuid, i32, String, bool, DateTime<Utc>);
    let sql = "SELECT request_id, account_id, key_id, model_id, supplier_id, price_version, endpoint, streamed, created_at FROM holds";
    let (request_id, account_id, key_id, model_id, supplier_id, price_version, endpoint, streamed, started_at): Hold =
        sqlx::query_as(sql).fetch_one(&site.db).await.expect("a hold");
    Settlement {
        request_id: RequestId(request_id),
        account_id: AccountId(account_id),
        key_id: KeyId(key_id),
        model_id,
        supplier_id: SupplierId(supplier_id),
        channel_id: None,
        price_version,
        endpoint: endpoint.into(),
        streamed,
        outcome: Outcome::Ok,
        basis: Basis::Measured,
        http_status: 200,
        input_tokens: INPUT,
        cached_tokens: 0,
        output_tokens: OUTPUT,
        held: None,
        charge: Tokens(CHARGE),
        upstream_usage: None,
        started_at,
        first_byte_ms: None,
        latency_ms: 1,
    }
}

/// The first of the two commits of a settlement, which releases its locks and waits for no disk.
async fn settle_without_waiting(site: &Installation, report: &Settlement) {
    let mut tx = site.db.begin().await.expect("begin");
    sqlx::query("SET LOCAL synchronous_commit = off").execute(&mut *tx).await.expect("set");
    let firsts: Vec<bool> = sqlx::query_scalar("SELECT firsts FROM settle_calls($1)")
        .bind(std::slice::from_ref(report))
        .fetch_one(&mut *tx)
        .await
        .expect("settled");
    assert_eq!(firsts, [true]);
    tx.commit().await.expect("commit");
}

/// Everybody sees what the first commit wrote, and a crash may still forget it. Whoever settles was not told that it is durable, so asks
/// again.
#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_two_commits_of_a_settlement() {
    let mut site = Installation::new().await;
    let mut settled = 0;
    for (hold_kept, record_kept) in [(true, false), (false, false), (true, true)] {
        let replica = site.replica().serve(&[]);
        let (_answering, _reader) = site.stream(&replica).await;
        // From here on nobody commits anything but this test.
        replica.kill();
        let report = report_of_held_call(&site).await;
        if hold_kept {
            keep_holds(&site).await;
        }
        settle_without_waiting(&site, &report).await;
        assert_eq!(site.number("SELECT count(*) FROM usage_records").await, settled + 1);
        assert_eq!(site.number("SELECT count(*) FROM holds").await, 0);
        if record_kept {
            keep_holds(&site).await;
        }
        site.cluster.kill();
        site.cluster.restart();
        assert_eq!(site.number("SELECT count(*) FROM usage_records").await, settled + i64::from(record_kept));
        for first in [!record_kept, false] {
            let again = settle_calls(&site.db, std::slice::from_ref(&report)).await.expect("settled");
            assert_eq!(again.iter().map(|again| (again.first, again.charge)).collect::<Vec<_>>(), [(first, Tokens(CHARGE))]);
        }
        settled += 1;
        site.assert_books(&vec![MEASURED; settled as usize]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_with_the_replica_whose_spool_is_replayed_at_its_start() {
    let mut site = Installation::new().await;
    let home = site.replica().with("TOKI_SETTLE_WAIT_MS", "300");
    let mut replica = home.serve(&[]);
    for (served, kept) in [(1, false), (2, true)] {
        let (answering, mut reader) = site.stream(&replica).await;
        if kept {
            keep_holds(&site).await;
        }
        site.cluster.kill();
        answering.end();
        assert!(reader.saw_the_end().await, "the spool lets the answer go");
        assert_eq!(spooled(&home), 1);
        replica.kill();
        site.cluster.restart();
        // Unless something else committed durably meanwhile, as a job of the replica may, the other hold is forgotten.
        assert!(site.number("SELECT count(*) FROM holds").await >= i64::from(kept));
        replica = home.serve(&[]);
        eventually("an empty spool", async || is_spool_empty(&home)).await;
        site.assert_books(&vec![MEASURED; served]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_with_a_replica_whose_calls_another_one_reaps_before_its_spool_is_replayed() {
    let mut site = Installation::new().await;
    let home = site.replica().with("TOKI_SETTLE_WAIT_MS", "300");
    let (one, two) = (home.serve(&[]), site.replica().serve(&[]));
    let (answering, mut reader) = site.stream(&one).await;
    let whole = site.call(&one, false);
    let arrived = site.supplier.accept().await;
    keep_holds(&site).await;
    site.cluster.kill();
    answering.end();
    arrived.answer();
    assert!(reader.saw_the_end().await);
    assert!(whole.await.expect("no panic").expect("an answer").status().is_success());
    one.kill();
    site.cluster.restart();
    site.expire_holds().await;
    site.assert_books(&[("interrupted", "waived", 0); 2]).await;
    let one = home.serve(&[]);
    eventually("an empty spool", async || is_spool_empty(&home)).await;
    site.assert_books(&[MEASURED; 2]).await;
    site.serve_one(&one).await;
    site.serve_one(&two).await;
    site.assert_books(&[MEASURED; 4]).await;
}

/// Nothing is spooled that is not owed, and nothing owed is spooled twice: a caller who left while the database was away.
#[tokio::test(flavor = "multi_thread")]
async fn killed_while_callers_leave() {
    let mut site = Installation::new().await;
    let home = site.replica().with("TOKI_SETTLE_WAIT_MS", "300");
    let replica = home.serve(&[]);
    let (_answering, reader) = site.stream(&replica).await;
    let refused = site.call(&replica, true);
    let arrived = site.supplier.accept().await;
    keep_holds(&site).await;
    site.cluster.kill();
    drop(reader);
    // The supplier fails: the hold has to go back although nobody can be told.
    drop(arrived);
    assert_eq!(refused.await.expect("no panic").expect("an answer").status(), 502);
    eventually("both are spooled", async || spooled(&home) > 0).await;
    site.cluster.restart();
    eventually("an empty spool", async || is_spool_empty(&home)).await;
    site.until("SELECT count(*) FROM usage_records", |records| records == 2).await;
    let charged = site.number("SELECT charge FROM usage_records WHERE outcome = 'client_left' AND basis = 'counted'").await;
    assert!(charged > 0);
    site.assert_books(&[("client_left", "counted", charged), ("upstream_error", "waived", 0)]).await;
}
