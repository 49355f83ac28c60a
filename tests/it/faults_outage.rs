//! The database is out of reach for new calls: they are refused, in time, and the supplier does not hear of them. When it is back,
//! calls are admitted again, whatever became of the connections.

use crate::support::installation::{Installation, eventually, is_spool_empty, set_aside, spooled};
use crate::support::silent_proxy::SilentProxy;
use crate::support::supplier::CHARGE;
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

const MEASURED: (&str, &str, i64) = ("ok", "measured", CHARGE);
/// Nobody waits longer for a refusal.
const IN_TIME: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn new_calls_are_refused_while_the_database_is_down() {
    let mut site = Installation::new().await;
    let replica = site.replica().serve(&[]);
    site.serve_one(&replica).await;
    site.cluster.kill();
    let begun = Instant::now();
    let calls: Vec<_> = (0..4).map(|n| site.call(&replica, n % 2 == 0)).collect();
    for call in calls {
        let answer = tokio::time::timeout(IN_TIME.saturating_sub(begun.elapsed()), call).await.expect("a refusal in time");
        assert_eq!(answer.expect("no panic").expect("an answer").status(), 503);
    }
    assert!(site.supplier.arrived().is_none());
    site.cluster.restart();
    site.serve_one(&replica).await;
    site.assert_books(&[MEASURED; 2]).await;
}

/// A call whose admission was under way when its connection fell silent is refused. Its hold, of which the replica never heard, is
/// reaped like any other, although the replica lives and has calls that run.
#[tokio::test(flavor = "multi_thread")]
async fn connections_fall_silent_and_calls_go_on() {
    let mut site = Installation::new().await;
    let proxy = SilentProxy::start(site.cluster.url());
    let replica = site.replica_at(&proxy.url()).with("TOKI_SETTLE_WAIT_MS", "300").serve(&[]);
    let (answering, mut reader) = site.stream(&replica).await;
    let locks = site.lock_accounts().await;
    let lost = site.call(&replica, false);
    site.until_waiting(1).await;
    proxy.silence();
    locks.rollback().await.expect("rollback");
    site.until("SELECT count(*) FROM holds", |holds| holds == 2).await;

    // What the lost call found out, no other finds out again.
    assert_eq!(tokio::time::timeout(IN_TIME, lost).await.expect("in time").expect("no panic").expect("an answer").status(), 503);
    site.serve_one(&replica).await;
    eventually("the lost hold is reaped", async || {
        site.execute("UPDATE holds SET deadline = now() - interval '1 second' WHERE NOT streamed").await;
        site.number("SELECT count(*) FROM holds").await == 1
    })
    .await;

    answering.end();
    assert!(reader.saw_the_end().await);
    site.assert_books(&[MEASURED, ("interrupted", "waived", 0), MEASURED]).await;
}

/// It answers, and takes nothing from anybody: its disk is full, or it is the standby now. What is owed waits, and is not given up.
#[tokio::test(flavor = "multi_thread")]
async fn settlements_wait_for_a_database_that_is_only_read() {
    let mut site = Installation::new().await;
    let home = site.replica().with("TOKI_SETTLE_WAIT_MS", "300");
    let replica = home.serve(&[]);
    let (answering, mut reader) = site.stream(&replica).await;
    site.execute("ALTER SYSTEM SET default_transaction_read_only = on").await;
    site.execute("SELECT pg_reload_conf()").await;
    // Every server hears of it with its next statement, once it has its signal.
    tokio::time::sleep(Duration::from_secs(1)).await;
    answering.end();
    assert!(reader.saw_the_end().await);
    // Some rounds of the replay, and the end of the replica.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(replica.terminate(), Some(0));
    assert_eq!((spooled(&home), set_aside(&home)), (1, 0));
    site.execute("ALTER SYSTEM RESET default_transaction_read_only").await;
    site.execute("SELECT pg_reload_conf()").await;
    let writable = "SELECT count(*) FROM pg_settings WHERE name = 'default_transaction_read_only' AND setting = 'off'";
    site.until(writable, |settings| settings == 1).await;
    let _replica = home.serve(&[]);
    eventually("an empty spool", async || is_spool_empty(&home)).await;
    site.assert_books(&[MEASURED]).await;
}

/// What the database refuses for what it says waits for somebody who mends what is wrong, and is charged then, once.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_listed_and_replayed_when_it_is_taken() {
    let mut site = Installation::new().await;
    let home = site.replica().with("TOKI_SETTLE_WAIT_MS", "300");
    assert_eq!(home.json(&["spool", "list"]), json!({ "records": [] }), "there is no folder yet");
    let replica = home.serve(&[]);
    let (answering, mut reader) = site.stream(&replica).await;
    // As many Tokens as the supplier reports.
    site.execute("ALTER TABLE usage_records ADD CONSTRAINT refused_check CHECK (output_tokens <> 5)").await;
    answering.end();
    assert!(reader.saw_the_end().await);
    eventually("it is set aside", async || (spooled(&home), set_aside(&home)) == (0, 1)).await;
    assert_eq!(replica.terminate(), Some(0));
    let folder = home.folder().join(".data/spool");
    fs::write(folder.join("torn.0.rejected"), "{\"request_id\":").expect("damage");

    let list = home.json(&["spool", "list"]);
    let records = list["records"].as_array().expect("records");
    let record = records.iter().find(|record| record["state"] == "refused").expect("the call");
    let account: String = sqlx::query_scalar("SELECT account_id::text FROM accounts").fetch_one(&site.db).await.expect("the customer");
    assert_eq!((&record["account_id"], &record["charge"], &record["model_id"]), (&json!(account), &json!(CHARGE), &json!("acme/large")));
    assert!(records.len() == 2 && records.iter().any(|record| record["state"] == "unreadable" && record["request_id"].is_null()), "{list}");
    let request_id = record["request_id"].as_str().expect("an id");
    assert!(home.text(&["spool", "list"]).contains(request_id));

    let replay = || {
        let ran = home.run(&["spool", "replay", "--json"]);
        let document: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        let records = document["records"].as_array().expect("records");
        let found = records.iter().find(|record| record["request_id"] == request_id).cloned().unwrap_or_default();
        (ran.code, ran.stderr, document["left"].clone(), found)
    };
    let (code, stderr, left, found) = replay();
    assert_eq!((code, stderr.as_str(), left), (Some(1), "toki: 2 records of the spool are left\n", json!(2)));
    assert!(found["state"] == "refused" && found["why"].as_str().is_some_and(|why| why.contains("refused_check")), "{found}");
    assert_eq!(set_aside(&home), 2);

    let path = folder.join(record["file"].as_str().expect("a name"));
    let kept = fs::read(&path).expect("the record");
    site.execute("ALTER TABLE usage_records DROP CONSTRAINT refused_check").await;
    let (code, stderr, left, found) = replay();
    assert_eq!((code, stderr.as_str(), left), (Some(1), "toki: 1 record of the spool is left\n", json!(1)));
    assert_eq!((&found["state"], &found["charged"]), (&json!("settled"), &json!(CHARGE)));
    site.assert_books(&[MEASURED]).await;

    // As if the one that settled it had died before the file went.
    fs::write(&path, kept).expect("the record again");
    fs::remove_file(folder.join("torn.0.rejected")).expect("removed by hand");
    let (code, stderr, left, found) = replay();
    assert_eq!((code, stderr.as_str(), left), (Some(0), "", json!(0)));
    assert_eq!((&found["state"], &found["charged"]), (&json!("settled_before"), &json!(CHARGE)));
    assert!(is_spool_empty(&home));
    site.assert_books(&[MEASURED]).await;
}
