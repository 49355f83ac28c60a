//! Members: an account always has its owner, and nobody keeps what was taken from them.

use super::*;
use crate::accounts::mail_token::MailToken;
use crate::accounts::store::invitations::{accept, invite};
use crate::accounts::store::{insert_account, owner_of, reader_of};

const PASSWORD: &str = "correct horse battery";

fn password() -> Password {
    Password::parse(PASSWORD.into()).expect("a password")
}

fn outbox() -> Outbox {
    Outbox::new(&[7; 32], &"https://toki.example".parse().expect("URL"))
}

async fn owner(db: &PgPool, email: &str) -> Owner {
    let email = Email::parse(email).expect("an address");
    let user_id = insert_account(db, &email, password(), false).await.expect("account").user_id;
    owner_of(db, user_id).await.expect("read").expect("an owner")
}

/// Another owner joins this one's account, as this; how they act in it.
async fn joined(db: &PgPool, owner: &Owner, other: &Owner, role: Role) -> Reader {
    let token = MailToken::generate();
    invite(db, &outbox(), owner, other.email(), role).await.expect("invited");
    sqlx::query!("UPDATE invitations SET token_hash = $1 WHERE email = $2", &token.hash()[..], other.email().as_str())
        .execute(db)
        .await
        .expect("a token that the test knows");
    let account_id = accept(db, other, &token).await.expect("joined");
    reader_of(db, other.user_id(), Some(account_id)).await.expect("read").expect("a member")
}

async fn role_of(db: &PgPool, account_id: AccountId, user_id: UserId) -> Option<String> {
    let role = sqlx::query_scalar!("SELECT role FROM members WHERE account_id = $1 AND user_id = $2", account_id.0, user_id.0);
    role.fetch_optional(db).await.expect("role")
}

#[sqlx::test]
async fn roles_are_given_by_admins_and_the_owner_keeps_theirs(db: PgPool) {
    let (ada, eve) = (owner(&db, "ada@example.com").await, owner(&db, "eve@example.com").await);
    let reader = joined(&db, &ada, &eve, Role::ReadOnly).await;
    assert_eq!((reader.account_id(), reader.role()), (ada.account_id(), Role::ReadOnly));
    assert!(reader.clone().into_member().is_none() && reader.into_admin().is_none());
    set_role(&db, &ada, eve.user_id(), Role::Admin).await.expect("an admin");
    let reader = reader_of(&db, eve.user_id(), Some(ada.account_id())).await.expect("read").expect("a member");
    let admin = reader.into_admin().expect("an admin now");
    assert!(matches!(set_role(&db, &admin, ada.user_id(), Role::Member).await, Err(AccountError::OwnerStays)));
    assert!(matches!(set_role(&db, &admin, eve.user_id(), Role::Owner).await, Err(AccountError::OwnerStays)));
    let gone = remove(&db, &outbox(), &admin, ada.user_id(), KeysLeft::Disabled).await;
    assert!(matches!(gone, Err(AccountError::OwnerStays)));
    let stranger = owner(&db, "bob@example.com").await;
    assert!(matches!(set_role(&db, &admin, stranger.user_id(), Role::Member).await, Err(AccountError::NotFound)));
    for sql in ["DELETE FROM members WHERE role = 'owner'", "UPDATE members SET role = 'admin' WHERE role = 'owner'"] {
        assert!(sqlx::query(sql).execute(&db).await.is_err(), "{sql}");
    }
}

#[sqlx::test]
async fn an_account_is_handed_over_with_the_password(db: PgPool) {
    let (ada, eve) = (owner(&db, "ada@example.com").await, owner(&db, "eve@example.com").await);
    joined(&db, &ada, &eve, Role::Member).await;
    let wrong = Password::parse("not the password".into()).expect("a password");
    assert!(matches!(hand_over(&db, &outbox(), &ada, eve.user_id(), wrong).await, Err(AccountError::WrongPassword)));
    assert!(matches!(hand_over(&db, &outbox(), &ada, ada.user_id(), password()).await, Err(AccountError::OwnerStays)));
    hand_over(&db, &outbox(), &ada, eve.user_id(), password()).await.expect("handed over");
    assert_eq!(role_of(&db, ada.account_id(), eve.user_id()).await.as_deref(), Some("owner"));
    assert_eq!(role_of(&db, ada.account_id(), ada.user_id()).await.as_deref(), Some("admin"));
    assert!(matches!(hand_over(&db, &outbox(), &ada, eve.user_id(), password()).await, Err(AccountError::OwnerStays)), "it is over");

    // Whoever is removed from the last of their accounts gets one of their own.
    let reader = reader_of(&db, eve.user_id(), Some(ada.account_id())).await.expect("read").expect("a member");
    remove(&db, &outbox(), &reader.into_admin().expect("the owner"), ada.user_id(), KeysLeft::Disabled).await.expect("removed");
    let own = owner_of(&db, ada.user_id()).await.expect("read").expect("an owner");
    assert_ne!(own.account_id(), ada.account_id());
}

#[sqlx::test]
async fn an_invitation_is_for_one_address_and_once(db: PgPool) {
    let (ada, eve) = (owner(&db, "ada@example.com").await, owner(&db, "eve@example.com").await);
    let (bob, token) = (owner(&db, "bob@example.com").await, MailToken::generate());
    invite(&db, &outbox(), &ada, eve.email(), Role::Member).await.expect("invited");
    sqlx::query!("UPDATE invitations SET token_hash = $1", &token.hash()[..]).execute(&db).await.expect("token");
    assert!(matches!(accept(&db, &bob, &token).await, Err(AccountError::OtherAddress)));
    accept(&db, &eve, &token).await.expect("joined");
    assert!(matches!(accept(&db, &eve, &token).await, Err(AccountError::LinkOver)));
    assert!(matches!(invite(&db, &outbox(), &ada, eve.email(), Role::Admin).await, Err(AccountError::AlreadyMember)));

    invite(&db, &outbox(), &ada, bob.email(), Role::Member).await.expect("invited");
    sqlx::query!("UPDATE invitations SET token_hash = $1, expires_at = now()", &token.hash()[..]).execute(&db).await.expect("late");
    assert!(matches!(accept(&db, &bob, &token).await, Err(AccountError::LinkOver)), "seven days are over");
}
