//! Members: an account always has its owner, and nobody keeps what was taken from them.

use super::*;
use crate::accounts::mail_token::MailToken;
use crate::accounts::rights::Member;
use crate::accounts::store::invitations::{accept, invitations_of, invite, revoke};
use crate::accounts::store::{insert_account, owner_of, reader_of};
use crate::ids::{InvitationId, KeyId};
use crate::keys::store::{KeyEdit, KeyError, KeyOwner, insert_key_once, update_key};
use crate::wallet::fixtures::{begin_outlasting, outbox, pepper, plain_key, until_waiting};

const PASSWORD: &str = "correct horse battery";

fn password() -> Password {
    Password::parse(PASSWORD.into()).expect("a password")
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
    assert!(matches!(hand_over(&db, &outbox(), &ada, eve.user_id(), password()).await, Err(AccountError::NotAllowed)), "it is over");

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

async fn admin(db: &PgPool, owner: &Owner, other: &Owner) -> Admin {
    joined(db, owner, other, Role::Admin).await.into_admin().expect("an admin")
}

async fn make_key(db: &PgPool, member: &Member) -> Result<KeyId, KeyError> {
    let key_id = KeyId::generate();
    insert_key_once(db, member, key_id, &pepper(), plain_key("bot")).await.map(|_| key_id)
}

async fn key_of(db: &PgPool, key_id: KeyId) -> (String, UserId) {
    let row = sqlx::query!("SELECT status, created_by FROM api_keys WHERE key_id = $1", key_id.0).fetch_one(db).await.expect("a key");
    (row.status, UserId(row.created_by))
}

async fn owners(db: &PgPool, account_id: AccountId) -> i64 {
    let owners = sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM members WHERE account_id = $1 AND role = 'owner'"#, account_id.0);
    owners.fetch_one(db).await.expect("owners")
}

#[sqlx::test]
async fn of_two_admins_who_remove_each_other_one_stays(db: PgPool) {
    let ada = owner(&db, "ada@example.com").await;
    let (bob, eve) = (owner(&db, "bob@example.com").await, owner(&db, "eve@example.com").await);
    let (bob, eve) = (admin(&db, &ada, &bob).await, admin(&db, &ada, &eve).await);
    let box_ = outbox();
    let (first, second) = tokio::join!(
        remove(&db, &box_, &bob, eve.user_id(), KeysLeft::Disabled),
        remove(&db, &box_, &eve, bob.user_id(), KeysLeft::Disabled)
    );
    let refused = |answer: &Result<(), AccountError>| matches!(answer, Err(AccountError::NotAllowed));
    assert!((first.is_ok() && refused(&second)) || (second.is_ok() && refused(&first)), "{first:?}, {second:?}");
    assert_eq!(members_of(&db, &ada).await.expect("members").len(), 2);
}

#[sqlx::test]
async fn an_owner_is_left_whoever_goes_at_the_same_time(db: PgPool) {
    let (ada, eve) = (owner(&db, "ada@example.com").await, owner(&db, "eve@example.com").await);
    for round in 0..6 {
        let bob = owner(&db, &format!("bob{round}@example.com")).await;
        let bob = joined(&db, &ada, &bob, Role::Member).await;
        let box_ = outbox();
        let (handed, removed, left) = tokio::join!(
            hand_over(&db, &box_, &ada, bob.user_id(), password()),
            remove(&db, &box_, &ada, bob.user_id(), KeysLeft::Disabled),
            leave(&db, &bob)
        );
        assert_eq!(owners(&db, ada.account_id()).await, 1, "{handed:?}, {removed:?}, {left:?}");
        if handed.is_ok() {
            let bob = owner_of_account(&db, ada.account_id(), bob.user_id()).await;
            hand_over(&db, &box_, &bob, ada.user_id(), password()).await.expect("given back");
        }
    }
    assert!(matches!(leave(&db, &ada).await, Err(AccountError::OwnerStays)));
    // Two who are handed the account at once: one has it, and the account one owner.
    let bob = owner(&db, "bob@example.com").await;
    joined(&db, &ada, &bob, Role::Member).await;
    joined(&db, &ada, &eve, Role::Member).await;
    let box_ = outbox();
    let (first, second) =
        tokio::join!(hand_over(&db, &box_, &ada, bob.user_id(), password()), hand_over(&db, &box_, &ada, eve.user_id(), password()));
    assert!(first.is_ok() != second.is_ok(), "{first:?}, {second:?}");
    assert_eq!(owners(&db, ada.account_id()).await, 1);
}

async fn owner_of_account(db: &PgPool, account_id: AccountId, user_id: UserId) -> Owner {
    reader_of(db, user_id, Some(account_id)).await.expect("read").expect("a member").into_owner().expect("the owner")
}

#[sqlx::test]
async fn whoever_lost_a_role_does_nothing_more_with_it(db: PgPool) {
    let (ada, eve) = (owner(&db, "ada@example.com").await, owner(&db, "eve@example.com").await);
    let was_admin = admin(&db, &ada, &eve).await;
    let friend = Email::parse("friend@example.com").expect("an address");
    invite(&db, &outbox(), &was_admin, &friend, Role::Admin).await.expect("invited");
    let (of_ada, of_eve) = (make_key(&db, &ada).await.expect("a key"), make_key(&db, &was_admin).await.expect("a key"));
    set_role(&db, &ada, eve.user_id(), Role::Member).await.expect("a member");
    assert!(invitations_of(&db, &ada).await.expect("invitations").is_empty(), "what they sent is taken back");

    // Their requests had begun before: the rights are those of an admin.
    let others = Email::parse("other@example.com").expect("an address");
    let refused = [
        invite(&db, &outbox(), &was_admin, &others, Role::Member).await,
        revoke(&db, &was_admin, InvitationId::generate()).await,
        set_role(&db, &was_admin, eve.user_id(), Role::Admin).await,
        remove(&db, &outbox(), &was_admin, ada.user_id(), KeysLeft::Disabled).await,
    ];
    assert!(refused.iter().all(|answer| matches!(answer, Err(AccountError::NotAllowed))), "{refused:?}");
    let edit = || KeyEdit { enabled: Some(false), ..KeyEdit::default() };
    assert!(matches!(update_key(&db, KeyOwner::Member(&was_admin), of_ada, edit()).await, Err(KeyError::NotYours)));

    // A member edits their own keys and no others; read-only and removed members none.
    let member = reader_of(&db, eve.user_id(), Some(ada.account_id())).await.expect("read").expect("a member");
    let member = member.into_member().expect("a member");
    assert!(matches!(update_key(&db, KeyOwner::Member(&member), of_ada, edit()).await, Err(KeyError::NotYours)));
    update_key(&db, KeyOwner::Member(&member), of_eve, KeyEdit::default()).await.expect("their own");
    set_role(&db, &ada, eve.user_id(), Role::ReadOnly).await.expect("read-only");
    assert!(matches!(update_key(&db, KeyOwner::Member(&member), of_eve, edit()).await, Err(KeyError::NotYours)));
    remove(&db, &outbox(), &ada, eve.user_id(), KeysLeft::HandedOver).await.expect("removed");
    assert!(matches!(update_key(&db, KeyOwner::Member(&member), of_eve, edit()).await, Err(KeyError::NotYours)));
    assert!(matches!(make_key(&db, &member).await, Err(KeyError::NotYours)));
    assert_eq!(key_of(&db, of_eve).await, ("enabled".into(), ada.user_id()));
}

async fn lock_member(tx: &mut PgConnection, account_id: AccountId, user_id: UserId) {
    let sql = "SELECT 1 FROM members WHERE account_id = $1 AND user_id = $2 FOR UPDATE";
    sqlx::query(sql).bind(account_id.0).bind(user_id.0).execute(tx).await.expect("a lock");
}

/// Both members are locked by a removal, the one with the lower id first; here by somebody else, in the other order.
#[sqlx::test]
async fn a_removal_that_loses_a_deadlock_is_made_all_the_same(db: PgPool) {
    let (ada, eve) = (owner(&db, "ada@example.com").await, owner(&db, "eve@example.com").await);
    let member = joined(&db, &ada, &eve, Role::Member).await.into_member().expect("a member");
    let key_id = make_key(&db, &member).await.expect("a key");
    let (one, other) = (ada.user_id().0, eve.user_id().0);
    let mut tx = begin_outlasting(&db).await;
    lock_member(&mut tx, ada.account_id(), UserId(one.max(other))).await;
    let box_ = outbox();
    let (removed, ()) = tokio::join!(remove(&db, &box_, &ada, eve.user_id(), KeysLeft::HandedOver), async {
        until_waiting(&db, 1).await;
        // The other is ended, and waits for us when it tries again.
        lock_member(&mut tx, ada.account_id(), UserId(one.min(other))).await;
        tx.commit().await.expect("unlocked");
    });
    removed.expect("tried again");
    assert_eq!(role_of(&db, ada.account_id(), eve.user_id()).await, None);
    assert_eq!(key_of(&db, key_id).await, ("enabled".into(), ada.user_id()));
    for once in ["SELECT count(*) FROM journal WHERE kind = 'member.removed'", "SELECT count(*) FROM mails WHERE kind = 'member_removed'"] {
        assert_eq!(sqlx::query_scalar::<_, i64>(once).fetch_one(&db).await.expect("count"), 1, "{once}");
    }
}

#[sqlx::test]
async fn a_key_that_is_made_during_the_removal_is_released_with_the_others(db: PgPool) {
    let ada = owner(&db, "ada@example.com").await;
    for round in 0..6 {
        let bob = owner(&db, &format!("bob{round}@example.com")).await;
        let bob = joined(&db, &ada, &bob, Role::Member).await.into_member().expect("a member");
        let box_ = outbox();
        let (made, removed) = tokio::join!(make_key(&db, &bob), remove(&db, &box_, &ada, bob.user_id(), KeysLeft::Disabled));
        removed.expect("removed");
        if let Ok(key_id) = made {
            assert_eq!(key_of(&db, key_id).await.0, "disabled");
        }
    }
}

#[sqlx::test]
async fn the_keys_of_whoever_leaves_end(db: PgPool) {
    let ada = owner(&db, "ada@example.com").await;
    let eve = owner(&db, "eve@example.com").await;
    let member = joined(&db, &ada, &eve, Role::Admin).await.into_admin().expect("an admin");
    let key_id = make_key(&db, &member).await.expect("a key");
    // Who removes themselves leaves, and hands nothing over.
    remove(&db, &outbox(), &member, eve.user_id(), KeysLeft::HandedOver).await.expect("gone");
    assert_eq!(key_of(&db, key_id).await, ("disabled".into(), eve.user_id()));
    assert!(matches!(leave(&db, &member).await, Err(AccountError::NotAllowed)), "once");
    assert!(reader_of(&db, eve.user_id(), Some(ada.account_id())).await.expect("read").is_none());
}

#[sqlx::test]
async fn an_account_is_chosen_by_those_who_belong_to_it(db: PgPool) {
    let (ada, eve) = (owner(&db, "ada@example.com").await, owner(&db, "eve@example.com").await);
    let acts_for = async || reader_of(&db, eve.user_id(), None).await.expect("read").expect("a member").account_id();
    assert!(matches!(choose(&db, &eve, ada.account_id()).await, Err(AccountError::NotFound)));
    assert!(reader_of(&db, eve.user_id(), Some(ada.account_id())).await.expect("read").is_none());
    let reader = joined(&db, &ada, &eve, Role::Member).await;
    assert_eq!(acts_for().await, ada.account_id(), "joining is choosing");
    choose(&db, &reader, eve.account_id()).await.expect("chosen");
    assert_eq!(acts_for().await, eve.account_id());
    let own = reader_of(&db, eve.user_id(), None).await.expect("read").expect("a member");
    let names: Vec<_> = accounts_of(&db, &own).await.expect("accounts").into_iter().map(|choice| (choice.name, choice.current)).collect();
    assert_eq!(names, [("eve@example.com".to_string(), true), ("ada@example.com".to_string(), false)]);
    assert_eq!(owner_of(&db, eve.user_id()).await.expect("read").expect("an owner").account_id(), eve.account_id());
}

#[sqlx::test]
async fn a_link_lets_one_in_of_any_number_at_once(db: PgPool) {
    let (ada, eve, token) = (owner(&db, "ada@example.com").await, owner(&db, "eve@example.com").await, MailToken::generate());
    invite(&db, &outbox(), &ada, eve.email(), Role::Member).await.expect("invited");
    sqlx::query!("UPDATE invitations SET token_hash = $1", &token.hash()[..]).execute(&db).await.expect("token");
    let answers = futures::future::join_all((0..4).map(|_| accept(&db, &eve, &token))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(AccountError::LinkOver))), "{answers:?}");
}
