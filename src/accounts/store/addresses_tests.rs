//! Signing up by mail and changing an address, against a real Postgres.

use super::*;
use crate::accounts::rights::Owner;
use crate::accounts::session_store::PgSessionStore;
use crate::accounts::store::passwords::{change_password, reset_password, send_reset};
use crate::accounts::store::sessions::{delete_other_sessions, delete_session, sessions_of};
use crate::accounts::store::{insert_account, owner_of, user_by_credentials};
use crate::wallet::fixtures::{outbox, session};
use tower_sessions::SessionStore;
use tower_sessions::cookie::time::{Duration, OffsetDateTime};
use tower_sessions::session::{Id, Record};

const PASSWORD: &str = "correct horse battery";

fn email(text: &str) -> Email {
    Email::parse(text).expect("an e-mail")
}

fn password(text: &str) -> Password {
    Password::parse(text.into()).expect("a password")
}

async fn account(db: &PgPool, address: &str) -> Owner {
    let new = insert_account(db, &email(address), password(PASSWORD), false).await.expect("an account");
    member(db, new.user_id).await
}

async fn member(db: &PgPool, user_id: UserId) -> Owner {
    owner_of(db, user_id).await.expect("member").expect("is one")
}

/// The mails that wait, as `recipient kind`, and the tokens in them.
async fn mails(db: &PgPool) -> (Vec<String>, Vec<MailToken>) {
    let (mut kinds, mut tokens) = (Vec::new(), Vec::new());
    while let Some(mail) = outbox().take(db).await.expect("take") {
        kinds.push(format!("{} {}", mail.recipient, mail.kind));
        let text = mail.body.expect("opens").text;
        tokens.extend(text.split("?token=").nth(1).and_then(|rest| MailToken::parse(rest.lines().next()?)));
    }
    (kinds, tokens)
}

/// A sign-up that was answered.
async fn asked_for(db: &PgPool, sign_up_id: Uuid, address: &str, text: &str) {
    let place = Place::take().expect("a place");
    sign_up_by_mail(db, &outbox(), sign_up_id, &email(address), password(text), place).await.expect("asked");
}

#[sqlx::test]
async fn a_sign_up_by_mail_makes_a_verified_user_when_its_link_is_used(db: PgPool) {
    let id = Uuid::new_v4();
    asked_for(&db, id, "ada@example.com", PASSWORD).await;
    assert!(user_by_credentials(&db, &email("ada@example.com"), password(PASSWORD)).await.is_err(), "nobody yet");
    let (kinds, tokens) = mails(&db).await;
    assert_eq!(kinds, ["ada@example.com confirm_sign_up"]);
    let confirmed = confirm(&db, &outbox(), &tokens[0], &Origin::default()).await.expect("confirmed");
    let user_id = user_by_credentials(&db, &email("ada@example.com"), password(PASSWORD)).await.expect("signs in").user_id;
    assert_eq!(confirmed, Confirmed::SignUp { sign_up_id: id, user_id });
    assert!(member(&db, user_id).await.is_verified());
    assert!(matches!(confirm(&db, &outbox(), &tokens[0], &Origin::default()).await, Err(AccountError::LinkOver)));
}

#[sqlx::test]
async fn a_sign_up_with_a_known_address_tells_its_owner_only(db: PgPool) {
    account(&db, "ada@example.com").await;
    asked_for(&db, Uuid::new_v4(), "ada@example.com", PASSWORD).await;
    let (kinds, tokens) = mails(&db).await;
    assert_eq!((kinds, tokens.len()), (vec!["ada@example.com account_exists".to_string()], 0));
}

#[sqlx::test]
async fn of_two_sign_ups_with_one_address_the_first_confirmed_is_made(db: PgPool) {
    for text in ["somebody else's password", PASSWORD] {
        asked_for(&db, Uuid::new_v4(), "ada@example.com", text).await;
    }
    let (_, tokens) = mails(&db).await;
    confirm(&db, &outbox(), &tokens[1], &Origin::default()).await.expect("the owner's");
    assert!(matches!(confirm(&db, &outbox(), &tokens[0], &Origin::default()).await, Err(AccountError::EmailTaken)));
    assert!(user_by_credentials(&db, &email("ada@example.com"), password(PASSWORD)).await.is_ok());
}

#[sqlx::test]
async fn an_address_changes_when_the_new_one_confirms_and_old_links_are_worth_nothing(db: PgPool) {
    let ada = account(&db, "ada@example.com").await;
    let refused = ask_email_change(&db, &outbox(), &ada, &email("eve@example.com"), password("not the password")).await;
    assert!(matches!(refused, Err(AccountError::WrongPassword)));
    send_reset(&db, &outbox(), ada.email()).await.expect("a link to the old address");
    let (_, resets) = mails(&db).await;
    ask_email_change(&db, &outbox(), &ada, &email("lovelace@example.com"), password(PASSWORD)).await.expect("asked");
    let (kinds, tokens) = mails(&db).await;
    assert_eq!(kinds, ["lovelace@example.com confirm_new_address", "ada@example.com address_change_asked"]);
    assert_eq!(member(&db, ada.user_id()).await.email().as_str(), "ada@example.com");
    confirm(&db, &outbox(), &tokens[0], &Origin::default()).await.expect("confirmed");
    let now = member(&db, ada.user_id()).await;
    assert_eq!((now.email().as_str(), now.is_verified()), ("lovelace@example.com", true));
    assert_eq!(mails(&db).await.0, ["ada@example.com address_changed"]);
    let reset = reset_password(&db, &outbox(), &resets[0], password("another good password"), &Origin::default()).await;
    assert!(matches!(reset, Err(AccountError::LinkOver)));
    let name: String = sqlx::query_scalar("SELECT name FROM accounts").fetch_one(&db).await.expect("row");
    assert_eq!(name, "lovelace@example.com");
}

#[sqlx::test]
async fn a_new_password_takes_back_a_change_of_address_and_a_known_address_is_not_told(db: PgPool) {
    let ada = account(&db, "ada@example.com").await;
    account(&db, "eve@example.com").await;
    ask_email_change(&db, &outbox(), &ada, &email("eve@example.com"), password(PASSWORD)).await.expect("the same answer");
    assert_eq!(mails(&db).await.0, ["eve@example.com account_exists", "ada@example.com address_change_asked"]);
    ask_email_change(&db, &outbox(), &ada, &email("thief@example.com"), password(PASSWORD)).await.expect("asked");
    let (_, tokens) = mails(&db).await;
    let session = session(&db, ada.user_id()).await;
    let common = change_password(&db, &outbox(), &ada, &session, password(PASSWORD), password("password1")).await;
    assert!(matches!(common, Err(AccountError::CommonPassword)));
    change_password(&db, &outbox(), &ada, &session, password(PASSWORD), password("another good password")).await.expect("changed");
    assert!(matches!(confirm(&db, &outbox(), &tokens[0], &Origin::default()).await, Err(AccountError::LinkOver)));
    assert_eq!(mails(&db).await.0, ["ada@example.com password_changed"]);
}

#[sqlx::test]
async fn send_reset_of_nobody_and_of_a_suspended_user_sends_nothing(db: PgPool) {
    account(&db, "ada@example.com").await;
    sqlx::query("UPDATE users SET suspended_at = now()").execute(&db).await.expect("suspended");
    for address in ["ada@example.com", "nobody@example.com"] {
        send_reset(&db, &outbox(), &email(address)).await.expect("no error");
    }
    assert!(mails(&db).await.0.is_empty());
}

#[sqlx::test]
async fn sessions_are_listed_and_ended_by_their_own_user_only(db: PgPool) {
    let (ada, eve) = (account(&db, "ada@example.com").await, account(&db, "eve@example.com").await);
    let store = PgSessionStore::new(db.clone());
    let mut hashes = Vec::new();
    for (user, device) in [(&ada, "Firefox on Linux"), (&ada, "Safari on iPhone"), (&ada, "curl"), (&eve, "Edge on Windows")] {
        let data = [("user_id".to_string(), serde_json::json!(user.user_id())), ("device".to_string(), serde_json::json!(device))].into();
        let mut record = Record { id: Id::default(), data, expiry_date: OffsetDateTime::now_utc() + Duration::HOUR };
        store.create(&mut record).await.expect("create");
        hashes.push((record.id, crate::accounts::session_store::digest(&record.id)));
    }
    let mut listed = sessions_of(&db, &ada, &hashes[0].1).await.expect("listed");
    listed.sort_by(|a, b| a.device.cmp(&b.device));
    let seen: Vec<_> = listed.iter().map(|session| (session.device.as_str(), session.current)).collect();
    assert_eq!(seen, [("Firefox on Linux", true), ("Safari on iPhone", false), ("curl", false)]);

    let iphone: Uuid = listed[1].session_id.parse().expect("an id");
    assert!(matches!(delete_session(&db, &eve, iphone).await, Err(AccountError::NotFound)));
    delete_session(&db, &ada, iphone).await.expect("ended");
    assert!(store.load(&hashes[1].0).await.expect("load").is_none());
    delete_other_sessions(&db, &ada, &hashes[0].1).await.expect("ended");
    assert_eq!(sessions_of(&db, &ada, &hashes[0].1).await.expect("listed").len(), 1);
    assert_eq!(sessions_of(&db, &eve, &hashes[3].1).await.expect("listed").len(), 1);
}

#[sqlx::test]
async fn load_writes_down_once_a_minute_that_a_session_was_seen(db: PgPool) {
    let store = PgSessionStore::new(db.clone());
    let mut record = Record { id: Id::default(), data: Default::default(), expiry_date: OffsetDateTime::now_utc() + Duration::HOUR };
    store.create(&mut record).await.expect("create");
    let seen = async || -> i64 {
        sqlx::query_scalar("SELECT extract(epoch FROM now() - last_seen_at)::bigint FROM sessions").fetch_one(&db).await.expect("row")
    };
    for (ago, then) in [(50, 50), (70, 0)] {
        sqlx::query("UPDATE sessions SET last_seen_at = now() - $1 * interval '1 second'").bind(ago).execute(&db).await.expect("ago");
        store.load(&record.id).await.expect("load");
        assert!((then..then + 5).contains(&seen().await), "{ago} s ago");
    }
}
