//! Postgres hangs: connections stay open and nothing answers. Answers still end, and their settlements wait on the disk.

use crate::support::installation::{Installation, eventually, is_spool_empty, spooled};
use crate::support::supplier::CHARGE;
use std::time::{Duration, Instant};

const MEASURED: (&str, &str, i64) = ("ok", "measured", CHARGE);

#[tokio::test(flavor = "multi_thread")]
async fn answers_end_while_the_database_hangs() {
    let mut site = Installation::new().await;
    let home = site.replica().with("TOKI_SETTLE_WAIT_MS", "300");
    let replica = home.serve(&[]);
    let (answering, mut reader) = site.stream(&replica).await;
    let whole = site.call(&replica, false);
    let arrived = site.supplier.accept().await;

    site.cluster.pause();
    let paused = Instant::now();
    answering.end();
    arrived.answer();
    assert!(reader.saw_the_end().await);
    let whole = whole.await.expect("no panic").expect("an answer");
    assert!(whole.status() == 200 && whole.headers().get("x-toki-charged-tokens").is_none(), "{whole:?}");
    assert!(paused.elapsed() < Duration::from_secs(3), "{:?}", paused.elapsed());
    assert!(spooled(&home) > 0);

    // Nobody can decide about a new call, so the supplier does not hear of it.
    let new = site.call(&replica, false);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(site.supplier.arrived().is_none());
    let refused = new.is_finished();
    site.cluster.resume();
    if !refused {
        site.supplier.accept().await.answer();
    }
    assert_eq!(new.await.expect("no panic").expect("an answer").status(), if refused { 503 } else { 200 });

    eventually("an empty spool", async || is_spool_empty(&home)).await;
    site.assert_books(&vec![MEASURED; if refused { 2 } else { 3 }]).await;
    // What the spool replays must not come a second time from the statement that hung.
    drop(replica);
    let replica = home.serve(&[]);
    site.serve_one(&replica).await;
    site.assert_books(&vec![MEASURED; if refused { 3 } else { 4 }]).await;
}

/// What is to be remembered of a call under an Idempotency-Key is in the same database, and holds nothing up.
#[tokio::test(flavor = "multi_thread")]
async fn calls_under_a_key_end_while_the_database_hangs() {
    let mut site = Installation::new().await;
    let home = site.replica().with("TOKI_SETTLE_WAIT_MS", "300");
    let replica = home.serve(&[]);
    let whole = site.call_under(&replica, "whole");
    let answered = site.supplier.accept().await;
    let failed = site.call_under(&replica, "failed");
    let failing = site.supplier.accept().await;

    site.cluster.pause();
    let paused = Instant::now();
    answered.answer();
    drop(failing);
    assert_eq!(whole.await.expect("no panic").expect("an answer").status(), 200);
    assert_eq!(failed.await.expect("no panic").expect("an answer").status(), 502);
    assert!(paused.elapsed() < Duration::from_secs(3), "{:?}", paused.elapsed());
    assert!(spooled(&home) > 0);
    site.cluster.resume();
    eventually("an empty spool", async || is_spool_empty(&home)).await;
    site.assert_books(&[MEASURED, ("upstream_error", "waived", 0)]).await;

    // Whether its answer was kept in time or not, it is not sent again.
    let again = site.call_under(&replica, "whole").await.expect("no panic").expect("an answer");
    assert!(matches!(again.status().as_u16(), 200 | 409) && site.supplier.arrived().is_none(), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_ends_in_order_while_the_database_hangs() {
    let mut site = Installation::new().await;
    let home = site.replica().with("TOKI_SETTLE_WAIT_MS", "300");
    let mut replica = home.serve(&[]);
    let (answering, mut reader) = site.stream(&replica).await;
    site.cluster.pause();
    replica.ask_to_end();
    answering.end();
    assert!(reader.saw_the_end().await);
    assert!(spooled(&home) > 0);
    site.cluster.resume();
    eventually("the replica ends", async || replica.ended().is_some()).await;
    assert_eq!(replica.ended(), Some(Some(0)));
    let _replica = home.serve(&[]);
    eventually("an empty spool", async || is_spool_empty(&home)).await;
    site.assert_books(&[MEASURED]).await;
}
