//! Accounts and sessions against a real Postgres: who gets in, who stays out, what a sign-out ends.

use crate::accounts::session_store::{PgSessionStore, delete_expired_sessions};
use crate::accounts::store::passwords::change_password;
use crate::accounts::store::{self, AccountError, NewAccount};
use crate::accounts::types::{Email, Password};
use crate::wallet::fixtures;
use sqlx::PgPool;
use std::collections::HashMap;
use tower_sessions::SessionStore;
use tower_sessions::cookie::time::{Duration, OffsetDateTime};
use tower_sessions::session::{Id, Record};

fn email(text: &str) -> Email {
    Email::parse(text).expect("an e-mail")
}

fn password(text: &str) -> Password {
    Password::parse(text.into()).expect("a password")
}

async fn account(db: &PgPool, address: &str) -> NewAccount {
    store::insert_account(db, &email(address), password("correct horse"), false).await.expect("a new account")
}

async fn suspend(db: &PgPool, account: NewAccount, suspended: bool) -> bool {
    let mut tx = db.begin().await.expect("begin");
    let changed = store::set_account_suspended_in(&mut tx, account.account_id, suspended).await.expect("suspend");
    tx.commit().await.expect("commit");
    changed
}

async fn sessions_of(db: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM sessions").fetch_one(db).await.expect("count")
}

fn record(user: Option<NewAccount>, expires_in: Duration) -> Record {
    let data = user.map(|user| ("user_id".to_string(), serde_json::json!(user.user_id))).into_iter().collect();
    Record { id: Id::default(), data, expiry_date: OffsetDateTime::now_utc() + expires_in }
}

#[sqlx::test]
async fn insert_account_makes_an_owner_who_can_sign_in(db: PgPool) {
    let new = account(&db, "ada@example.com").await;
    let who = store::user_by_credentials(&db, &email(" ADA@example.com "), password("correct horse")).await.expect("sign-in");
    assert_eq!(who.user_id, new.user_id);
    let member = store::owner_of(&db, who.user_id).await.expect("member").expect("is a member");
    assert_eq!((member.account_id(), member.email().as_str()), (new.account_id, "ada@example.com"));
    assert!(!member.is_operator());
    let found = store::account_by_email(&db, &email("ada@example.com")).await.expect("found");
    assert_eq!((found.user_id, found.account_id), (new.user_id, new.account_id));
}

#[sqlx::test]
async fn insert_account_twice_at_once_makes_one_user(db: PgPool) {
    let (typed, retyped) = (email("ada@example.com"), email("Ada@Example.com"));
    let (first, second) = tokio::join!(
        store::insert_account(&db, &typed, password("first password"), false),
        store::insert_account(&db, &retyped, password("second password"), false),
    );
    assert!(first.is_ok() != second.is_ok());
    let refused = if first.is_ok() { second } else { first };
    assert!(matches!(refused, Err(AccountError::EmailTaken)));
    // The refused sign-up left no account without an owner behind.
    let accounts: i64 = sqlx::query_scalar("SELECT count(*) FROM accounts").fetch_one(&db).await.expect("count");
    assert_eq!(accounts, 1);
}

#[sqlx::test]
async fn user_by_credentials_refuses_unknown_wrong_and_suspended_alike(db: PgPool) {
    let new = account(&db, "ada@example.com").await;
    let sign_in = async |address: &str, text: &str| store::user_by_credentials(&db, &email(address), password(text)).await;
    assert!(matches!(sign_in("eve@example.com", "correct horse").await, Err(AccountError::WrongCredentials)));
    assert!(matches!(sign_in("ada@example.com", "correct horsf").await, Err(AccountError::WrongCredentials)));
    sqlx::query("UPDATE users SET suspended_at = now() WHERE user_id = $1").bind(new.user_id.0).execute(&db).await.expect("suspend");
    assert!(matches!(sign_in("ada@example.com", "correct horse").await, Err(AccountError::WrongCredentials)));
    assert!(store::owner_of(&db, new.user_id).await.expect("member").is_none());
}

#[sqlx::test]
async fn what_was_proven_before_all_sessions_ended_opens_none(db: PgPool) {
    let new = account(&db, "ada@example.com").await;
    // A sign-in whose password was right, and whose session is yet to be made.
    let before = store::user_by_credentials(&db, &email("ada@example.com"), password("correct horse")).await.expect("sign-in");
    let reader = store::reader_of_session(&db, before, None).await.expect("read").expect("a member");
    let (outbox, session) = (fixtures::outbox(), fixtures::session(&db, new.user_id).await);
    let now = change_password(&db, &outbox, &reader, &session, password("correct horse"), password("battery staple")).await;
    let now = now.expect("changed");
    assert!(store::reader_of_session(&db, before, None).await.expect("read").is_none());
    assert_eq!(store::reader_of_session(&db, now, None).await.expect("read").map(|reader| reader.user_id()), Some(new.user_id));
    let again = store::user_by_credentials(&db, &email("ada@example.com"), password("battery staple")).await.expect("sign-in");
    assert_eq!(again, now);
}

#[sqlx::test]
async fn set_account_suspended_ends_only_that_accounts_sessions(db: PgPool) {
    let (ada, eve) = (account(&db, "ada@example.com").await, account(&db, "eve@example.com").await);
    let sessions = PgSessionStore::new(db.clone());
    let (mut of_ada, mut of_eve) = (record(Some(ada), Duration::HOUR), record(Some(eve), Duration::HOUR));
    sessions.create(&mut of_ada).await.expect("create");
    sessions.create(&mut of_eve).await.expect("create");
    assert!(suspend(&db, ada, true).await);
    assert!(!suspend(&db, ada, true).await);
    assert!(sessions.load(&of_ada.id).await.expect("load").is_none());
    assert!(sessions.load(&of_eve.id).await.expect("load").is_some());
    assert!(suspend(&db, ada, false).await);
}

#[sqlx::test]
async fn account_by_email_of_nobody_is_not_found(db: PgPool) {
    assert!(matches!(store::account_by_email(&db, &email("eve@example.com")).await, Err(AccountError::NotFound)));
}

#[sqlx::test]
async fn load_returns_what_create_and_save_stored(db: PgPool) {
    let ada = account(&db, "ada@example.com").await;
    let sessions = PgSessionStore::new(db.clone());
    let mut visit = record(None, Duration::HOUR);
    sessions.create(&mut visit).await.expect("create");
    visit.data = HashMap::from([("user_id".to_string(), serde_json::json!(ada.user_id))]);
    sessions.save(&visit).await.expect("save");
    let loaded = sessions.load(&visit.id).await.expect("load").expect("is there");
    assert_eq!((loaded.id, &loaded.data), (visit.id, &visit.data));
    let user: Option<uuid::Uuid> = sqlx::query_scalar("SELECT user_id FROM sessions").fetch_one(&db).await.expect("row");
    assert_eq!(user, Some(ada.user_id.0), "the column that revoking goes by");
}

#[sqlx::test]
async fn save_after_delete_does_not_bring_the_session_back(db: PgPool) {
    let sessions = PgSessionStore::new(db.clone());
    let mut visit = record(None, Duration::HOUR);
    sessions.create(&mut visit).await.expect("create");
    // A slow request loaded the session; its user signs out; then the slow request ends.
    let in_flight = sessions.load(&visit.id).await.expect("load").expect("is there");
    sessions.delete(&visit.id).await.expect("delete");
    sessions.save(&in_flight).await.expect("save");
    assert!(sessions.load(&visit.id).await.expect("load").is_none());
    assert_eq!(sessions_of(&db).await, 0);
}

#[sqlx::test]
async fn load_of_an_expired_session_is_nothing(db: PgPool) {
    let sessions = PgSessionStore::new(db.clone());
    let (mut over, mut live) = (record(None, -Duration::MINUTE), record(None, Duration::HOUR));
    sessions.create(&mut over).await.expect("create");
    sessions.create(&mut live).await.expect("create");
    assert!(sessions.load(&over.id).await.expect("load").is_none());
    assert_eq!(delete_expired_sessions(&db).await.expect("clean-up"), 1);
    assert!(sessions.load(&live.id).await.expect("load").is_some());
}

#[sqlx::test]
async fn a_session_without_a_visit_ends_sooner(db: PgPool) {
    let sessions = PgSessionStore::new(db.clone());
    let mut visit = record(None, Duration::days(14));
    sessions.create(&mut visit).await.expect("create");
    for (days, there) in [(6, true), (8, false)] {
        let unseen = sqlx::query("UPDATE sessions SET last_seen_at = now() - make_interval(days => $1)").bind(days);
        unseen.execute(&db).await.expect("unseen");
        assert_eq!(sessions.load(&visit.id).await.expect("load").is_some(), there, "{days} days");
    }
    assert_eq!(delete_expired_sessions(&db).await.expect("clean-up"), 1);
}

#[sqlx::test]
async fn create_never_writes_the_id_in_clear(db: PgPool) {
    let sessions = PgSessionStore::new(db.clone());
    let mut visit = record(None, Duration::HOUR);
    sessions.create(&mut visit).await.expect("create");
    let row: String = sqlx::query_scalar("SELECT sessions::text FROM sessions").fetch_one(&db).await.expect("row");
    for form in [visit.id.to_string(), visit.id.0.to_string(), format!("{:032x}", visit.id.0)] {
        assert!(!row.contains(&form), "{form} in {row}");
    }
}

#[sqlx::test]
async fn create_with_an_id_in_use_fails(db: PgPool) {
    let sessions = PgSessionStore::new(db.clone());
    let mut visit = record(None, Duration::HOUR);
    sessions.create(&mut visit).await.expect("create");
    assert!(sessions.create(&mut visit).await.is_err());
    assert_eq!(sessions_of(&db).await, 1);
}
