//! Tokens in mails against a real Postgres: each works once, whoever else tries at the same time, and none can be read from the table.

use super::*;
use crate::accounts::store::{AccountError, NewAccount, insert_account};
use crate::accounts::types::Password;
use tokio::task::JoinSet;

async fn account(db: &PgPool) -> (NewAccount, Email) {
    let email = Email::parse("ada@example.com").expect("an e-mail");
    let password = Password::parse("correct horse battery".into()).expect("a password");
    (insert_account(db, &email, password, false).await.expect("an account"), email)
}

async fn issue(db: &PgPool, purpose: Purpose, user: NewAccount, email: &Email) -> MailToken {
    issue_token_in(&mut db.acquire().await.expect("connection"), purpose, user.user_id, email).await.expect("issued")
}

async fn take(db: &PgPool, token: &MailToken, purpose: Purpose) -> Result<Taken, AccountError> {
    take_token_in(&mut db.acquire().await.expect("connection"), token, &[purpose]).await
}

#[sqlx::test]
async fn take_by_many_at_once_succeeds_once(db: PgPool) {
    let (user, email) = account(&db).await;
    let text = issue(&db, Purpose::Reset, user, &email).await.expose().to_string();
    let takers: JoinSet<_> = (0..16)
        .map(|_| {
            let (db, text) = (db.clone(), text.clone());
            async move {
                let mut tx = db.begin().await.expect("begin");
                let token = MailToken::parse(&text).expect("a token");
                let taken = take_token_in(&mut tx, &token, &[Purpose::Reset]).await.is_ok();
                tx.commit().await.expect("commit");
                taken
            }
        })
        .collect();
    assert_eq!(takers.join_all().await.into_iter().filter(|taken| *taken).count(), 1);
}

#[sqlx::test]
async fn a_take_that_came_to_nothing_leaves_the_token(db: PgPool) {
    let (user, email) = account(&db).await;
    let token = issue(&db, Purpose::Verify, user, &email).await;
    let mut tx = db.begin().await.expect("begin");
    take_token_in(&mut tx, &token, &[Purpose::Verify]).await.expect("taken");
    tx.rollback().await.expect("rollback");
    let taken = take(&db, &token, Purpose::Verify).await.expect("still there");
    assert!(matches!(taken.of, Of::User(user_id) if user_id == user.user_id));
    assert_eq!(taken.email, email);
}

#[sqlx::test]
async fn a_token_is_for_one_purpose_and_a_new_one_replaces_it(db: PgPool) {
    let (user, email) = account(&db).await;
    let (first, other) = (issue(&db, Purpose::Reset, user, &email).await, issue(&db, Purpose::Verify, user, &email).await);
    let second = issue(&db, Purpose::Reset, user, &email).await;
    assert!(matches!(take(&db, &first, Purpose::Reset).await, Err(AccountError::LinkOver)));
    assert!(matches!(take(&db, &second, Purpose::Verify).await, Err(AccountError::LinkOver)));
    assert_eq!(email_of_token(&db, &second, Purpose::Reset).await.expect("is live"), email);
    assert!(take(&db, &second, Purpose::Reset).await.is_ok());
    assert!(email_of_token(&db, &second, Purpose::Reset).await.is_err());
    assert!(take(&db, &other, Purpose::Verify).await.is_ok());
    // A used one does not stand in the way of the next.
    assert!(take(&db, &issue(&db, Purpose::Reset, user, &email).await, Purpose::Reset).await.is_ok());
}

#[sqlx::test]
async fn a_token_past_its_time_is_refused_and_later_deleted(db: PgPool) {
    let (user, email) = account(&db).await;
    let token = issue(&db, Purpose::Reset, user, &email).await;
    let minutes: i64 = sqlx::query_scalar("SELECT ceil(extract(epoch FROM expires_at - now()) / 60)::bigint FROM mail_tokens")
        .fetch_one(&db)
        .await
        .expect("row");
    assert_eq!(minutes, 30);
    sqlx::query("UPDATE mail_tokens SET expires_at = now()").execute(&db).await.expect("late");
    assert!(matches!(take(&db, &token, Purpose::Reset).await, Err(AccountError::LinkOver)));
    assert_eq!(delete_expired_tokens(&db).await.expect("clean-up"), 0);
    sqlx::query("UPDATE mail_tokens SET expires_at = now() - interval '2 days'").execute(&db).await.expect("later");
    assert_eq!(delete_expired_tokens(&db).await.expect("clean-up"), 1);
}

#[sqlx::test]
async fn a_token_is_never_written_in_clear(db: PgPool) {
    let (user, email) = account(&db).await;
    let token = issue(&db, Purpose::Reset, user, &email).await;
    let row: String =
        sqlx::query_scalar("SELECT mail_tokens::text || encode(token_hash, 'escape') FROM mail_tokens").fetch_one(&db).await.expect("row");
    assert!(!row.contains(token.expose()), "{row}");
}
