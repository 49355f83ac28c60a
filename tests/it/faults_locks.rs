//! More calls than the pool has connections, while somebody holds the lock that they need. They wait, or are refused; none is lost.

use crate::support::installation::Installation;
use crate::support::supplier::CHARGE;

/// The pool of a replica has 32 connections.
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
