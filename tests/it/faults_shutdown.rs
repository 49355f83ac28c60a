//! A replica is asked to end while streams run: they come to their end, and so does it.

use crate::support::installation::{Installation, eventually};
use crate::support::supplier::CHARGE;
use std::time::Duration;

const MEASURED: (&str, &str, i64) = ("ok", "measured", CHARGE);

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_it_serves_what_runs_and_nothing_more() {
    let mut site = Installation::new().await;
    let mut replica = site.replica().serve(&[]);
    let (first, mut first_reader) = site.stream(&replica).await;
    let (second, mut second_reader) = site.stream(&replica).await;
    let whole = site.call(&replica, false);
    let arrived = site.supplier.accept().await;

    replica.ask_to_end();
    eventually("no new connection", async || replica.refuses_connections()).await;
    assert!(site.supplier.arrived().is_none());
    first.word("more");
    first_reader.until("more").await;
    first.end();
    assert!(first_reader.saw_the_end().await);
    arrived.answer();
    assert_eq!(whole.await.expect("no panic").expect("an answer").status(), 200);
    assert_eq!(replica.ended(), None, "a stream still runs");
    assert_eq!(site.number("SELECT count(*) FROM holds").await, 1);
    second.end();
    assert!(second_reader.saw_the_end().await);
    eventually("it ends", async || replica.ended().is_some()).await;
    assert_eq!(replica.ended(), Some(Some(0)));
    assert_eq!(site.number("SELECT count(*) FROM holds").await, 0);
    site.assert_books(&[MEASURED; 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_calls_whose_callers_have_left() {
    let mut site = Installation::new().await;
    let mut replica = site.replica().with("TOKI_SETTLE_WAIT_MS", "100").serve(&[]);
    let whole = site.call(&replica, false);
    let arrived = site.supplier.accept().await;
    whole.abort();
    assert!(whole.await.expect_err("given up").is_cancelled());
    replica.ask_to_end();
    eventually("no new connection", async || replica.refuses_connections()).await;
    // Longer than anything else is waited for that is not a call.
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(replica.ended(), None, "a call still runs");
    arrived.answer();
    eventually("it ends", async || replica.ended().is_some()).await;
    assert_eq!(replica.ended(), Some(Some(0)));
    assert_eq!(site.number("SELECT count(*) FROM holds").await, 0);
    site.assert_books(&[("client_left", "measured", CHARGE)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outlasts_its_patience_is_told_to_come_back_and_not_charged() {
    let mut site = Installation::new().await;
    let mut replica = site.replica().with("TOKI_DRAIN_MS", "300").serve(&[]);
    let (_answering, mut reader) = site.stream(&replica).await;
    let whole = site.call(&replica, false);
    let _arrived = site.supplier.accept().await;
    replica.ask_to_end();
    assert!(!reader.saw_the_end().await);
    assert!(reader.text.contains("This server is restarting."), "{}", reader.text);
    let whole = whole.await.expect("no panic").expect("an answer");
    assert_eq!(whole.status(), 503);
    // The supplier had it, and may have worked on it.
    assert_eq!(whole.headers().get("x-should-retry").map(|value| value.as_bytes()), Some(&b"false"[..]));
    assert!(!whole.headers().contains_key("retry-after"));
    eventually("it ends", async || replica.ended().is_some()).await;
    assert_eq!(replica.ended(), Some(Some(0)));
    assert_eq!(site.number("SELECT count(*) FROM holds").await, 0);
    site.assert_books(&[("interrupted", "waived", 0); 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_twice_it_ends_at_once_and_what_ran_is_not_charged() {
    let mut site = Installation::new().await;
    let mut replica = site.replica().serve(&[]);
    let (answering, mut reader) = site.stream(&replica).await;
    replica.ask_to_end();
    eventually("no new connection", async || replica.refuses_connections()).await;
    replica.ask_to_end();
    eventually("it ends", async || replica.ended().is_some()).await;
    assert_eq!(replica.ended(), Some(Some(1)));
    assert!(!reader.saw_the_end().await);
    answering.end();
    site.expire_holds().await;
    let _replica = site.replica().serve(&[]);
    site.assert_books(&[("interrupted", "waived", 0)]).await;
}
