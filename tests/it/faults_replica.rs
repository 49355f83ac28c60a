//! A replica is killed, at every point of a call. What the database had not been told of is not charged, and what it had is charged
//! once.

use crate::support::installation::{Installation, Reader};
use crate::support::supplier::CHARGE;
use crate::support::toki::Served;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const INTERRUPTED: (&str, &str, i64) = ("interrupted", "waived", 0);
const MEASURED: (&str, &str, i64) = ("ok", "measured", CHARGE);

/// A replica starts after a crash, and reaps what that left once it is due.
async fn recover(site: &Installation) -> Served {
    site.expire_holds().await;
    let replica = site.replica().serve(&[]);
    site.until("SELECT count(*) FROM holds", |holds| holds == 0).await;
    replica
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_there_is_a_hold() {
    let mut site = Installation::new().await;
    let key = site.customer("bob@example.com");

    // In the middle of the request: nobody was asked yet.
    let replica = site.replica().serve(&[]);
    let mut caller = TcpStream::connect(replica.url.trim_start_matches("http://")).await.expect("connected");
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: toki\r\nauthorization: Bearer {key}\r\n");
    let body = "content-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"model\": \"acme/large\", ";
    caller.write_all((head + body).as_bytes()).await.expect("sent");
    // It is read meanwhile.
    tokio::time::sleep(Duration::from_millis(300)).await;
    replica.kill();
    let mut heard = Vec::new();
    drop(caller.read_to_end(&mut heard).await);
    assert!(heard.is_empty(), "{}", String::from_utf8_lossy(&heard));
    let replica = site.replica().serve(&[]);
    site.assert_books(&[]).await;

    // In the middle of admission, which is lost with its connection.
    let locks = site.lock_accounts().await;
    let call = site.call(&replica, true);
    site.until_waiting(1).await;
    replica.kill();
    lose_what_waits(&site).await;
    locks.rollback().await.expect("rollback");
    assert!(call.await.expect("no panic").is_err(), "the caller heard of an answer");
    assert_eq!(site.number("SELECT count(*) FROM holds").await, 0);
    let replica = site.replica().serve(&[]);
    site.assert_books(&[]).await;
    assert!(site.supplier.arrived().is_none(), "a call that nobody sent");

    site.serve_one(&replica).await;
    site.assert_books(&[MEASURED]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_anything_was_delivered() {
    let mut site = Installation::new().await;

    // In the middle of admission. The statement is under way, and Postgres finishes it for a replica that is gone.
    let replica = site.replica().serve(&[]);
    let locks = site.lock_accounts().await;
    let call = site.call(&replica, true);
    site.until_waiting(1).await;
    replica.kill();
    // At once: the statement waits for a second at most.
    locks.rollback().await.expect("rollback");
    assert!(call.await.expect("no panic").is_err(), "the caller heard of an answer");
    site.until("SELECT count(*) FROM holds", |holds| holds == 1).await;
    let replica = recover(&site).await;
    assert!(site.supplier.arrived().is_none(), "a call that nobody sent");
    site.assert_books(&[INTERRUPTED]).await;

    // With the request at the supplier.
    let call = site.call(&replica, true);
    let arrived = site.supplier.accept().await;
    assert_eq!(site.number("SELECT count(*) FROM holds").await, 1);
    replica.kill();
    assert!(call.await.expect("no panic").is_err());
    arrived.answer();
    let replica = recover(&site).await;
    site.assert_books(&[INTERRUPTED; 2]).await;

    site.serve_one(&replica).await;
    site.assert_books(&[INTERRUPTED, INTERRUPTED, MEASURED]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_an_answer_runs() {
    let mut site = Installation::new().await;

    // With the headers delivered.
    let replica = site.replica().serve(&[]);
    let call = site.call(&replica, true);
    let answering = site.supplier.accept().await.begin();
    let mut reader = Reader::of(call).await;
    replica.kill();
    assert!(!reader.saw_the_end().await);
    answering.end();
    let replica = recover(&site).await;
    site.assert_books(&[INTERRUPTED]).await;

    // With some of the words delivered.
    let (answering, mut reader) = site.stream(&replica).await;
    answering.word("second");
    reader.until("second").await;
    replica.kill();
    assert!(!reader.saw_the_end().await);
    answering.end();
    let replica = recover(&site).await;
    site.assert_books(&[INTERRUPTED; 2]).await;

    site.serve_one(&replica).await;
    site.assert_books(&[INTERRUPTED, INTERRUPTED, MEASURED]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_around_the_settlement() {
    let mut site = Installation::new().await;

    // Settlement sent, and lost.
    let replica = site.replica().serve(&[]);
    killed_while_settling(&mut site, replica, true).await;
    let replica = recover(&site).await;
    site.assert_books(&[INTERRUPTED]).await;

    // Settlement sent, and finished by Postgres for a replica that is gone.
    killed_while_settling(&mut site, replica, false).await;
    site.assert_books(&[INTERRUPTED, MEASURED]).await;
    let replica = recover(&site).await;
    site.assert_books(&[INTERRUPTED, MEASURED]).await;

    // The caller has seen the end, so the settlement is durable.
    let (answering, mut reader) = site.stream(&replica).await;
    answering.end();
    reader.until("[DONE]").await;
    replica.kill();
    let replica = recover(&site).await;
    site.assert_books(&[INTERRUPTED, MEASURED, MEASURED]).await;

    site.serve_one(&replica).await;
    site.assert_books(&[INTERRUPTED, MEASURED, MEASURED, MEASURED]).await;
}

/// Kills a replica whose settlement waits for a lock, with every word delivered and the end kept back.
async fn killed_while_settling(site: &mut Installation, replica: Served, lost: bool) {
    let (answering, mut reader) = site.stream(&replica).await;
    let locks = site.lock_accounts().await;
    answering.word("last");
    answering.end();
    site.until_waiting(1).await;
    reader.read_for(Duration::from_millis(200)).await;
    assert!(reader.text.contains("last") && !reader.text.contains("[DONE]"), "{}", reader.text);
    replica.kill();
    if lost {
        lose_what_waits(site).await;
    }
    locks.rollback().await.expect("rollback");
    assert!(!reader.saw_the_end().await);
}

/// Ends every statement that waits for a lock, and waits until none does.
async fn lose_what_waits(site: &Installation) {
    site.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").await;
    site.until("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'", |waiting| waiting == 0).await;
}
