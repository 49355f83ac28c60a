//! Limits against a real Postgres: exact among many at once, never for ever, and not to be turned against the owner.

use super::*;
use tokio::task::JoinSet;

const LIMIT: Limit = Limit { name: "test", burst: 5, refill_s: 60 };

fn ada() -> Email {
    Email::parse("ada@example.com").expect("an e-mail")
}

async fn pass(db: &PgPool, s: i64) {
    sqlx::query("UPDATE attempts SET free_at = free_at - $1 * interval '1 second'").bind(s).execute(db).await.expect("time passes");
}

#[sqlx::test]
async fn a_burst_is_exact_among_many_at_once_and_refills(db: PgPool) {
    let tries: JoinSet<_> = (0..20)
        .map(|_| {
            let db = db.clone();
            async move { take_attempt(&db, LIMIT, &["ada"]).await.is_ok() }
        })
        .collect();
    assert_eq!(tries.join_all().await.into_iter().filter(|taken| *taken).count(), 5);
    let Err(AccountError::TooManyAttempts { wait_s }) = take_attempt(&db, LIMIT, &["ada"]).await else { panic!("a sixth") };
    assert!((1..=60).contains(&wait_s), "{wait_s}");
    assert!(take_attempt(&db, LIMIT, &["bob"]).await.is_ok(), "somebody else");
    pass(&db, i64::from(wait_s)).await;
    assert!(take_attempt(&db, LIMIT, &["ada"]).await.is_ok());
    assert!(take_attempt(&db, LIMIT, &["ada"]).await.is_err());
    pass(&db, 3_600).await;
    assert_eq!(delete_old_attempts(&db).await.expect("clean-up"), 2);
}

#[sqlx::test]
async fn who_is_who_does_not_run_together(db: PgPool) {
    for _ in 0..5 {
        take_attempt(&db, LIMIT, &["ab", "c"]).await.expect("counted");
    }
    assert!(take_attempt(&db, LIMIT, &["ab", "c"]).await.is_err());
    assert!(take_attempt(&db, LIMIT, &["a", "bc"]).await.is_ok());
}

#[sqlx::test]
async fn wrong_passwords_from_one_place_wait_and_the_right_one_is_not_counted(db: PgPool) {
    for _ in 0..30 {
        begin_sign_in(&db, &ada(), "10.0.0.1").await.expect("the owner");
        end_sign_in(&db, &ada(), "10.0.0.1").await.expect("is in");
    }
    for _ in 0..10 {
        begin_sign_in(&db, &ada(), "10.0.0.2").await.expect("a try");
    }
    assert!(matches!(begin_sign_in(&db, &ada(), "10.0.0.2").await, Err(AccountError::TooManyAttempts { wait_s: 1..=60 })));
    assert!(begin_sign_in(&db, &ada(), "10.0.0.1").await.is_ok(), "the owner is elsewhere");
}

#[sqlx::test]
async fn tries_from_everywhere_are_slowed_and_do_not_lock_the_owner_out(db: PgPool) {
    begin_sign_in(&db, &ada(), "10.0.0.1").await.expect("the owner");
    end_sign_in(&db, &ada(), "10.0.0.1").await.expect("is in");
    let mut let_try = 0;
    for n in 0..130 {
        let_try += usize::from(begin_sign_in(&db, &ada(), &format!("10.1.0.{n}")).await.is_ok());
    }
    assert_eq!(let_try, 100);
    assert!(begin_sign_in(&db, &ada(), "10.0.0.1").await.is_ok(), "where the owner has been");
    // Whoever sets a new password by mail gets in from a new place too.
    assert!(begin_sign_in(&db, &ada(), "10.0.0.9").await.is_err());
    trust(&db, &ada(), "10.0.0.9").await.expect("the owner was here");
    assert!(begin_sign_in(&db, &ada(), "10.0.0.9").await.is_ok());
}
