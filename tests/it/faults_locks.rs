//! More calls than there are connections, and then somebody holds the lock that they need, or has taken the connections. They wait,
//! or are refused; none is lost.

use crate::support::installation::Installation;
use crate::support::supplier::CHARGE;
use sqlx::{Connection, PgConnection};

/// The pools of a replica have 42 connections together.
const CALLS: usize = 80;

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_wait_for_a_lock() {
    let mut site = Installation::new().await;
    let replica = site.replica().serve(&[]);
    let other = site.customer("bob@example.com");
    site.serve_one(&replica).await;

    // Admission waits.
    let locks = site.lock_accounts().await;
    let calls: Vec<_> =
        (0..CALLS).map(|n| if n % 4 == 0 { site.call_with(&replica, false, &other) } else { site.call(&replica, false) }).collect();
    site.until_waiting(2).await;
    assert!(site.supplier.arrived().is_none());
    locks.rollback().await.expect("rollback");

    // Then settlement does.
    let mut arrived = Vec::new();
    for _ in 0..CALLS {
        arrived.push(site.supplier.accept().await);
    }
    let locks = site.lock_accounts().await;
    arrived.drain(..).for_each(|call| call.answer());
    site.until_waiting(2).await;
    assert!(calls.iter().all(|call| !call.is_finished()), "an answer left before its settlement");
    locks.rollback().await.expect("rollback");
    for call in calls {
        assert_eq!(call.await.expect("no panic").expect("an answer").status(), 200);
    }
    site.serve_one(&replica).await;
    site.assert_books(&[("ok", "measured", CHARGE); CALLS + 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_account_waits_alone() {
    let mut site = Installation::new().await;
    let replica = site.replica().serve(&[]);
    let bob = site.customer("bob@example.com");
    site.serve_one(&replica).await;
    let locks = site.lock_youngest_account().await;
    let waiting: Vec<_> = (0..CALLS).map(|_| site.call_with(&replica, false, &bob)).collect();
    site.until_waiting(1).await;
    for _ in 0..5 {
        site.serve_one(&replica).await;
    }
    locks.rollback().await.expect("rollback");
    // On a slow machine some may have waited long enough.
    let (served, refused) = site.serve_all(waiting).await;
    assert_eq!(served + refused, CALLS);
    site.assert_books(&vec![("ok", "measured", CHARGE); served + 6]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_have_taken_every_connection() {
    let mut site = Installation::with_connections(30).await;
    let replica = site.replica().with("TOKI_SETTLE_WAIT_MS", "300").serve(&[]);
    site.serve_one(&replica).await;
    let mut taken = Vec::new();
    while let Ok(connection) = PgConnection::connect(site.cluster.url()).await {
        taken.push(connection);
    }
    let calls = (0..CALLS).map(|_| site.call(&replica, false)).collect();
    let (served, refused) = site.serve_all(calls).await;
    assert_eq!(served + refused, CALLS);
    drop(taken);
    site.serve_one(&replica).await;
    site.assert_books(&vec![("ok", "measured", CHARGE); served + 2]).await;
}
