//! What becomes of a call whose batch failed for another's sake, or as a whole.

use super::*;
use crate::keys::secret::KeySecret;
use crate::wallet::fixtures;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

/// A replica, and the key of a member who may call `acme/m`.
async fn desk(db: &PgPool) -> (Desk, KeySecret) {
    let member = fixtures::member(db, "ada").await;
    fixtures::credit(db, member.account_id(), 1_000, TimeDelta::days(30)).await;
    let (_, secret) = fixtures::key(db, &member, fixtures::plain_key("ada")).await;
    let supplier_id = fixtures::supplier(db, "acme").await;
    fixtures::model(db, "acme/m", supplier_id).await;
    let gateway = Database::connect_lazy(db.connect_options().as_ref().clone());
    let owner = fixtures::replica(db).await;
    (Desk { db: gateway, owner, live: LiveCalls::default(), lanes: Lanes::default() }, secret)
}

#[sqlx::test]
async fn a_call_that_the_database_cannot_take_refuses_none_of_its_neighbours(db: PgPool) {
    let (desk, secret) = desk(&db).await;

    // No text of Postgres holds a NUL.
    let batch = ["acme/m", "acme/\0", "acme/m"].map(|model_id| fixtures::request(&secret, model_id, 10, 5));
    let answers = desk.decide(batch.into()).await;
    let admitted = |answer: &Result<Answer, Locked>| matches!(answer, Ok(Some(Decision { verdict: Verdict::Admitted(_), .. })));
    assert_eq!(answers.iter().map(admitted).collect::<Vec<_>>(), [true, false, true]);
    assert!(matches!(answers[1], Ok(None)), "{:?}", answers[1]);
    let holds: i64 = sqlx::query_scalar("SELECT count(*) FROM holds").fetch_one(&db).await.expect("a number");
    assert_eq!(holds, 2);
    desk.db.close().await;
}

#[sqlx::test]
async fn a_call_that_was_admitted_unheard_and_then_met_a_lock_is_admitted_once(db: PgPool) {
    let (desk, secret) = desk(&db).await;

    let request = fixtures::request(&secret, "acme/m", 10, 5);
    // Its answer is lost, and when it is asked for again, nobody knows any more that it was.
    ledger::admit_calls(&db, std::slice::from_ref(&request), desk.owner, HOLD_FOR, false).await.expect("admitted");
    let answers = desk.decide(vec![request]).await;
    assert!(matches!(&answers[..], [Ok(Some(Decision { verdict: Verdict::Admitted(_), .. }))]), "{answers:?}");
    let holds: i64 = sqlx::query_scalar("SELECT count(*) FROM holds").fetch_one(&db).await.expect("a number");
    assert_eq!(holds, 1);
    desk.db.close().await;
}

#[tokio::test]
async fn a_call_whose_batch_panicked_is_refused() {
    let db = Database::connect_lazy(PgConnectOptions::new());
    let batches = Batcher::spawn(&TaskTracker::new(), |requests: Vec<AdmissionRequest>| async move {
        assert!(requests.is_empty(), "this batch panics, as it should");
        Vec::new()
    });
    let admissions = Admissions { db, batches, lanes: Lanes::default() };
    let request = fixtures::request(&KeySecret::generate(), "acme/m", 10, 5);
    let refused = tokio::time::timeout(Duration::from_secs(5), admissions.ask(&request)).await.expect("an answer");
    assert!(matches!(refused, Err(GatewayError::Unavailable)));
}
