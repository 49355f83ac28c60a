//! Holds of a replica that a crash of the database made unknown.

use super::*;
use crate::wallet::fixtures;
use crate::wallet::ledger::Admission;
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

/// A call of a member of this name, with an account of their own.
async fn admitted(db: &PgPool, name: &str) -> Admission {
    let member = fixtures::member(db, name).await;
    fixtures::credit(db, member.account_id(), 1_000, TimeDelta::days(30)).await;
    let (_, secret) = fixtures::key(db, &member, fixtures::plain_key(name)).await;
    fixtures::admit(db, &secret, "acme/m", 10, 20).await
}

/// Whose holds there are, each with whether its deadline is far.
async fn holds(db: &PgPool) -> Vec<(uuid::Uuid, bool)> {
    let sql = "SELECT request_id, deadline > now() + interval '40 seconds' FROM holds ORDER BY request_id";
    sqlx::query_as(sql).fetch_all(db).await.expect("holds")
}

#[sqlx::test]
async fn one_locked_account_lets_no_other_hold_run_out(db: PgPool) {
    let supplier_id = fixtures::supplier(&db, "acme").await;
    fixtures::model(&db, "acme/m", supplier_id).await;
    let ada = admitted(&db, "ada").await;
    fixtures::forget_holds(&db).await;
    let bob = admitted(&db, "bob").await;
    let owner = fixtures::replica(&db).await;
    let soon_over = "UPDATE holds SET owner = $1, deadline = now() + interval '5 seconds'";
    sqlx::query(soon_over).bind(owner.0).execute(&db).await.expect("soon over");
    sqlx::query("DELETE FROM replicas").execute(&db).await.expect("unknown");

    let gateway = Database::connect_lazy(db.connect_options().as_ref().clone());
    let live = LiveCalls::default();
    let calls = [&ada, &bob].map(|call| {
        let running = live.register(call.request_id);
        running.admitted(call.hold("chat", false, Utc::now()));
        running
    });
    let mut lock = db.begin().await.expect("begin");
    fixtures::lock_account(&mut lock, ada.account_id).await;
    let beaten = live.beat(&gateway, owner, &[ada.request_id, bob.request_id]).await;
    assert!(beaten.is_err_and(|error| error.is_locked()), "Ada's hold cannot come back yet");
    assert_eq!(holds(&db).await, [(bob.request_id.0, true)]);

    lock.commit().await.expect("unlocked");
    live.beat(&gateway, owner, &[ada.request_id, bob.request_id]).await.expect("all are back");
    assert_eq!(holds(&db).await, [(ada.request_id.0, true), (bob.request_id.0, true)]);
    drop(calls);
    gateway.close().await;
}
