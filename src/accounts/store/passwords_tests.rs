//! Changing a password, against whatever ends the session that asks for it while the password is hashed; setting a forgotten one, against
//! whoever locks the same links.

use super::*;
use crate::accounts::store::sessions::{delete_other_sessions, delete_session};
use crate::accounts::store::{self, NewAccount, insert_account, owner_of, user_by_credentials};
use crate::wallet::fixtures::{begin_outlasting, outbox, session, until_waiting};
use sqlx::PgConnection;

const PASSWORD: &str = "correct horse battery";

fn password(text: &str) -> Password {
    Password::parse(text.into()).expect("a password")
}

async fn account(db: &PgPool, name: &str) -> (NewAccount, Email) {
    let email = Email::parse(&format!("{name}@example.com")).expect("an address");
    (insert_account(db, &email, password(PASSWORD), false).await.expect("an account"), email)
}

/// What ends a session.
#[derive(Clone, Copy, Debug)]
enum End {
    SignOut,
    FromElsewhere,
    AllOthersFromElsewhere,
    AccountSuspended,
    UserSuspended,
    /// And resumed, before the password is changed.
    UserSuspendedForAWhile,
}

async fn end(db: &PgPool, end: End, account: NewAccount, hash: &[u8]) {
    let member = owner_of(db, account.user_id).await.expect("read").expect("an owner");
    match end {
        End::SignOut => {
            // As `PgSessionStore` deletes it.
            let ended = sqlx::query("DELETE FROM sessions WHERE session_hash = $1").bind(hash).execute(db).await.expect("ended");
            assert_eq!(ended.rows_affected(), 1);
        }
        End::FromElsewhere => {
            let id = sqlx::query_scalar("SELECT session_id FROM sessions WHERE session_hash = $1").bind(hash);
            delete_session(db, &member, id.fetch_one(db).await.expect("an id")).await.expect("ended");
        }
        End::AllOthersFromElsewhere => {
            let elsewhere = session(db, account.user_id).await;
            delete_other_sessions(db, &member, &elsewhere).await.expect("ended");
        }
        End::AccountSuspended => {
            let mut tx = db.begin().await.expect("begin");
            assert!(store::set_account_suspended_in(&mut tx, account.account_id, true).await.expect("suspended"));
            tx.commit().await.expect("commit");
        }
        End::UserSuspended | End::UserSuspendedForAWhile => {
            let mut tx = db.begin().await.expect("begin");
            assert!(store::set_user_suspended_in(&mut tx, account.user_id, true).await.expect("suspended"));
            if matches!(end, End::UserSuspendedForAWhile) {
                assert!(store::set_user_suspended_in(&mut tx, account.user_id, false).await.expect("resumed"));
            }
            tx.commit().await.expect("commit");
        }
    }
}

async fn of_user(db: &PgPool, account: NewAccount) -> (String, i32) {
    let row = sqlx::query_as("SELECT password_hash, session_epoch FROM users WHERE user_id = $1").bind(account.user_id.0);
    row.fetch_one(db).await.expect("a user")
}

#[sqlx::test]
async fn whoever_was_signed_out_meanwhile_changes_no_password_and_is_not_signed_in(db: PgPool) {
    let ends = [
        End::SignOut,
        End::FromElsewhere,
        End::AllOthersFromElsewhere,
        End::AccountSuspended,
        End::UserSuspended,
        End::UserSuspendedForAWhile,
    ];
    for (n, how) in ends.into_iter().enumerate() {
        let (account, email) = account(&db, &format!("ada{n}")).await;
        let (member, hash) = (owner_of(&db, account.user_id).await.expect("read").expect("an owner"), session(&db, account.user_id).await);
        end(&db, how, account, &hash).await;
        let before = of_user(&db, account).await;
        let changed = change_password(&db, &outbox(), &member, &hash, password(PASSWORD), password("another good password")).await;
        assert!(matches!(changed, Err(AccountError::SignedOut)), "{how:?}: {changed:?}");
        assert_eq!(of_user(&db, account).await, before, "{how:?}");
        let signs_in = user_by_credentials(&db, &email, password(PASSWORD)).await.is_ok();
        assert_eq!(signs_in, !matches!(how, End::UserSuspended), "{how:?}");
    }
    for (sql, what) in [
        ("SELECT count(*) FROM mails WHERE kind = 'password_changed'", "nobody is told of what did not happen"),
        ("SELECT count(*) FROM journal WHERE kind = 'access.password_changed'", "nor is it written down"),
    ] {
        assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&db).await.expect(sql), 0, "{what}");
    }
}

#[sqlx::test]
async fn only_a_session_of_ones_own_changes_the_password_and_it_ends_with_the_others(db: PgPool) {
    let ((ada, _), (eve, _)) = (account(&db, "ada").await, account(&db, "eve").await);
    let member = owner_of(&db, ada.user_id).await.expect("read").expect("an owner");
    let (own, _other, of_eve) = (session(&db, ada.user_id).await, session(&db, ada.user_id).await, session(&db, eve.user_id).await);
    let next = || password("another good password");
    for foreign in [of_eve, Vec::new()] {
        let changed = change_password(&db, &outbox(), &member, &foreign, password(PASSWORD), next()).await;
        assert!(matches!(changed, Err(AccountError::SignedOut)), "{changed:?}");
    }
    change_password(&db, &outbox(), &member, &own, password(PASSWORD), next()).await.expect("changed");
    let left: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT user_id FROM sessions").fetch_all(&db).await.expect("sessions");
    assert_eq!(left, [eve.user_id.0]);
}

#[sqlx::test]
async fn a_suspended_user_changes_no_password_though_their_session_is_there(db: PgPool) {
    let (ada, _) = account(&db, "ada").await;
    let (member, hash) = (owner_of(&db, ada.user_id).await.expect("read").expect("an owner"), session(&db, ada.user_id).await);
    sqlx::query("UPDATE users SET suspended_at = now()").execute(&db).await.expect("suspended");
    let before = of_user(&db, ada).await;
    let changed = change_password(&db, &outbox(), &member, &hash, password(PASSWORD), password("another good password")).await;
    assert!(matches!(changed, Err(AccountError::SignedOut)), "{changed:?}");
    assert_eq!(of_user(&db, ada).await, before);
}

async fn lock_link(tx: &mut PgConnection, purpose: Purpose) {
    let sql = "SELECT 1 FROM mail_tokens WHERE purpose = $1 FOR UPDATE";
    sqlx::query(sql).bind(purpose.as_str()).execute(tx).await.expect("a lock");
}

/// Whoever follows a link takes it, and then all others of its user; here somebody else takes them in the other order.
#[sqlx::test]
async fn a_reset_that_loses_a_deadlock_is_made_all_the_same(db: PgPool) {
    let (ada, email) = account(&db, "ada").await;
    session(&db, ada.user_id).await;
    let mut tx = db.begin().await.expect("begin");
    issue_token_in(&mut tx, Purpose::Verify, ada.user_id, &email).await.expect("issued");
    let link = issue_token_in(&mut tx, Purpose::Reset, ada.user_id, &email).await.expect("issued");
    tx.commit().await.expect("commit");
    let mut tx = begin_outlasting(&db).await;
    lock_link(&mut tx, Purpose::Verify).await;
    let (box_, origin) = (outbox(), Origin::default());
    let (reset, ()) = tokio::join!(reset_password(&db, &box_, &link, password("another good password"), &origin), async {
        until_waiting(&db, 1).await;
        // The other is ended, and waits for us when it tries again.
        lock_link(&mut tx, Purpose::Reset).await;
        tx.commit().await.expect("unlocked");
    });
    assert_eq!(reset.expect("tried again"), email);
    let who = user_by_credentials(&db, &email, password("another good password")).await.expect("the password that was given");
    assert_eq!(who.epoch, 1, "sessions were ended once");
    for (sql, count) in [
        ("SELECT count(*) FROM mails WHERE kind = 'password_changed'", 1),
        ("SELECT count(*) FROM journal WHERE kind = 'access.password_reset'", 1),
        ("SELECT count(*) FROM sessions", 0),
        ("SELECT count(*) FROM mail_tokens WHERE used_at IS NULL", 0),
    ] {
        assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&db).await.expect(sql), count, "{sql}");
    }
}
