//! What is long past its deadline goes back, however busy its account is.

use super::{fall_silent, reaped};
use crate::ids::{AccountId, KeyId};
use crate::wallet::fixtures::{self, lock_account, until_waiting};
use crate::wallet::ledger::reap_overdue_holds;
use crate::wallet::ledger::tests::{acme, assert_exact, customer, grant};
use futures::future::join;
use sqlx::{PgPool, Postgres, Transaction};

async fn locked(db: &PgPool, account_id: AccountId) -> Transaction<'static, Postgres> {
    let mut tx = db.begin().await.expect("begin");
    lock_account(&mut tx, account_id).await;
    tx
}

/// Two that settle calls of one account take turns at its lock, so that it is never free.
#[sqlx::test]
async fn what_is_overdue_goes_back_though_its_account_is_always_locked(db: PgPool) {
    acme(&db).await;
    let (owner, grant_id, _, secret) = customer(&db, "ada", 1_000, None).await;
    fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    fall_silent(&db).await;
    let account_id = owner.account_id();
    let one = locked(&db, account_id).await;
    let (other, ()) = join(locked(&db, account_id), async {
        until_waiting(&db, 1).await;
        assert_eq!(reaped(&db, 500).await, 0);
        one.commit().await.expect("unlocked");
    })
    .await;
    assert_eq!(reaped(&db, 500).await, 0, "it is locked again already");
    // Whoever waits has the next turn, before those who come later.
    let (overdue, later) = join(reap_overdue_holds(&db, 500), async {
        until_waiting(&db, 1).await;
        let (later, ()) = join(locked(&db, account_id), async {
            until_waiting(&db, 2).await;
            other.commit().await.expect("unlocked");
        })
        .await;
        later
    })
    .await;
    assert_eq!((overdue.expect("reaped"), grant(&db, grant_id).await), (1, (1_000, 0, 0)));
    later.rollback().await.expect("unlocked");
    assert_exact(&db).await;
}

#[sqlx::test]
async fn a_lock_that_somebody_keeps_is_in_nobodys_way(db: PgPool) {
    acme(&db).await;
    let (ada, of_ada, ada_key, secret) = customer(&db, "ada", 1_000, None).await;
    fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    let (_, of_bob, _, secret) = customer(&db, "bob", 1_000, None).await;
    fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    fall_silent(&db).await;
    age(&db, ada_key).await;
    let tx = locked(&db, ada.account_id()).await;
    assert_eq!(reap_overdue_holds(&db, 500).await.expect("reaped"), 1, "who waits longest came first");
    assert_eq!((grant(&db, of_ada).await, grant(&db, of_bob).await), ((950, 50, 0), (1_000, 0, 0)));
    tx.rollback().await.expect("unlocked");
    assert_eq!(reap_overdue_holds(&db, 500).await.expect("reaped"), 1);
    assert_eq!(grant(&db, of_ada).await, (1_000, 0, 0));
    assert_exact(&db).await;
}

/// Rounds take what has only just become due.
#[sqlx::test]
async fn what_is_not_overdue_for_long_is_not_waited_for(db: PgPool) {
    acme(&db).await;
    let (_, grant_id, _, secret) = customer(&db, "ada", 1_000, None).await;
    fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    sqlx::query("UPDATE holds SET deadline = now() - interval '20 seconds'").execute(&db).await.expect("silent");
    assert_eq!(reap_overdue_holds(&db, 500).await.expect("reaped"), 0);
    sqlx::query("UPDATE holds SET deadline = now() - interval '31 seconds'").execute(&db).await.expect("silent");
    assert_eq!(reap_overdue_holds(&db, 500).await.expect("reaped"), 1);
    assert_eq!(grant(&db, grant_id).await, (1_000, 0, 0));
}

/// Lets the holds of a key be the oldest.
async fn age(db: &PgPool, key_id: KeyId) {
    let sql = "UPDATE holds SET deadline = deadline - interval '1 hour' WHERE key_id = $1";
    sqlx::query(sql).bind(key_id.0).execute(db).await.expect("older");
}
