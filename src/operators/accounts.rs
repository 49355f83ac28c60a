//! What operators do to accounts and users: create, suspend, resume, set a password, take a second factor away. Each with its row in
//! the audit log.

use crate::accounts::letters;
use crate::accounts::password;
use crate::accounts::store::addresses::set_verified_in;
use crate::accounts::store::tokens::revoke_tokens_in;
use crate::accounts::store::{self, AccountError, NewAccount, sessions, two_factor};
use crate::accounts::types::{Email, Password};
use crate::connections::again;
use crate::ids::{AccountId, UserId};
use crate::journal::record::{Entry, record_in, record_of_user_in};
use crate::journal::types::Kind;
use crate::mail::outbox::Outbox;
use crate::operators::audit::{Action, insert_action_in};
use crate::operators::credit::OperatorError;
use crate::operators::rights::Operator;
use serde_json::json;
use sqlx::PgPool;

/// Makes a user and an account of their own, whose address the operator vouches for; `is_operator` = the user runs the business.
pub async fn create_account(
    db: &PgPool,
    operator: Operator,
    email: &Email,
    password: Password,
    is_operator: bool,
) -> Result<NewAccount, OperatorError> {
    password::refuse_common(&password, email).await.map_err(AccountError::from)?;
    let password_hash = password::hash(password).await.map_err(AccountError::from)?;
    let mut tx = db.begin().await?;
    let new = store::insert_account_in(&mut tx, email, &password_hash, is_operator).await?;
    set_verified_in(&mut tx, new.user_id, email).await?;
    let action = Action {
        action: "account.create",
        subject_id: new.account_id.to_string(),
        after: Some(json!({ "user_id": new.user_id, "email": email, "operator": is_operator })),
        ..Action::default()
    };
    insert_action_in(&mut tx, operator, action).await?;
    record_in(&mut tx, new.account_id, operator.into(), Entry::of(Kind::AccountCreated)).await?;
    tx.commit().await?;
    Ok(new)
}

/// Suspends or resumes an account. Doing it twice is no error, and no second row in the audit log.
pub async fn set_account_suspended(db: &PgPool, operator: Operator, account_id: AccountId, suspended: bool) -> Result<(), OperatorError> {
    again(|| set_account_suspended_once(db, operator, account_id, suspended)).await
}

async fn set_account_suspended_once(db: &PgPool, operator: Operator, account_id: AccountId, suspended: bool) -> Result<(), OperatorError> {
    let mut tx = db.begin().await?;
    if store::set_account_suspended_in(&mut tx, account_id, suspended).await? {
        let action = if suspended { "account.suspend" } else { "account.resume" };
        insert_action_in(&mut tx, operator, suspension(action, account_id, suspended)).await?;
        let kind = if suspended { Kind::AccountSuspended } else { Kind::AccountResumed };
        record_in(&mut tx, account_id, operator.into(), Entry::of(kind)).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Suspends or resumes a user, whatever accounts they belong to. Suspension ends all their sessions and the links in their mailbox. Doing it
/// twice is no error, and no second row in the audit log.
pub async fn set_user_suspended(db: &PgPool, operator: Operator, user_id: UserId, suspended: bool) -> Result<(), OperatorError> {
    again(|| set_user_suspended_once(db, operator, user_id, suspended)).await
}

async fn set_user_suspended_once(db: &PgPool, operator: Operator, user_id: UserId, suspended: bool) -> Result<(), OperatorError> {
    let mut tx = db.begin().await?;
    if store::set_user_suspended_in(&mut tx, user_id, suspended).await? {
        let action = if suspended { "user.suspend" } else { "user.resume" };
        insert_action_in(&mut tx, operator, suspension(action, user_id, suspended)).await?;
        let kind = if suspended { Kind::UserSuspended } else { Kind::UserResumed };
        record_of_user_in(&mut tx, user_id, operator.into(), Entry::of(kind).about_user(user_id)).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn suspension(action: &str, subject: impl ToString, suspended: bool) -> Action<'_> {
    let standing = |suspended: bool| Some(json!({ "suspended": suspended }));
    Action { action, subject_id: subject.to_string(), before: standing(!suspended), after: standing(suspended), reason: None }
}

/// Sets a user's password, and ends all their sessions and the links in their mailbox.
pub async fn set_password(db: &PgPool, operator: Operator, user_id: UserId, password: Password) -> Result<(), OperatorError> {
    let password_hash = password::hash(password).await.map_err(AccountError::from)?;
    again(|| set_password_once(db, operator, user_id, &password_hash)).await
}

async fn set_password_once(db: &PgPool, operator: Operator, user_id: UserId, password_hash: &str) -> Result<(), OperatorError> {
    let mut tx = db.begin().await?;
    revoke_tokens_in(&mut tx, user_id).await?;
    store::set_password_in(&mut tx, user_id, password_hash).await?;
    let action = Action { action: "user.set_password", subject_id: user_id.to_string(), ..Action::default() };
    insert_action_in(&mut tx, operator, action).await?;
    record_of_user_in(&mut tx, user_id, operator.into(), Entry::of(Kind::PasswordChanged)).await?;
    tx.commit().await?;
    Ok(())
}

/// Takes the second factor of a user away who lost authenticator and recovery codes, ends all their sessions, and tells them.
pub async fn reset_two_factor(
    db: &PgPool,
    operator: Operator,
    outbox: &Outbox,
    user_id: UserId,
    email: &Email,
    reason: &str,
) -> Result<(), OperatorError> {
    again(|| async {
        let mut tx = db.begin().await?;
        if !two_factor::delete_in(&mut tx, user_id).await? {
            return Err(OperatorError::NoTwoFactor);
        }
        sessions::delete_sessions_in(&mut tx, user_id).await?;
        let action = Action { action: "user.reset_two_factor", subject_id: user_id.to_string(), reason: Some(reason), ..Action::default() };
        insert_action_in(&mut tx, operator, action).await?;
        record_of_user_in(&mut tx, user_id, operator.into(), Entry::of(Kind::TwoFactorReset).about_user(user_id)).await?;
        outbox.post_in(&mut tx, email, || letters::two_factor_reset(outbox)).await.map_err(AccountError::from)?;
        tx.commit().await?;
        Ok::<_, OperatorError>(())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::parse(text.into()).expect("long enough")
    }

    async fn deeds(db: &PgPool) -> Vec<String> {
        sqlx::query_scalar!("SELECT action FROM operator_actions ORDER BY at, action_id").fetch_all(db).await.expect("deeds")
    }

    #[sqlx::test]
    async fn every_deed_is_written_down_once(db: PgPool) {
        let (operator, email) = (Operator::command_line(), Email::parse("ada@example.com").expect("email"));
        let new = create_account(&db, operator, &email, password("correct horse"), true).await.expect("create");
        let again = create_account(&db, operator, &email, password("correct horse"), true).await;
        assert!(matches!(again, Err(OperatorError::Account(AccountError::EmailTaken))));
        for suspended in [true, true, false, false] {
            set_account_suspended(&db, operator, new.account_id, suspended).await.expect("suspend");
        }
        set_password(&db, operator, new.user_id, password("battery staple")).await.expect("set");
        assert!(store::user_by_credentials(&db, &email, password("correct horse")).await.is_err());
        let who = store::user_by_credentials(&db, &email, password("battery staple")).await.expect("sign in");
        for suspended in [true, true, false, false] {
            set_user_suspended(&db, operator, new.user_id, suspended).await.expect("suspend");
            let signed_in = store::user_by_credentials(&db, &email, password("battery staple")).await;
            assert_eq!(signed_in.is_err(), suspended);
        }
        assert!(store::reader_of_session(&db, who, None).await.expect("read").is_none(), "what was proven before is over");
        assert!(set_password(&db, operator, UserId::generate(), password("battery staple")).await.is_err());
        let said = operator.because(Some("asked by phone".into()));
        set_account_suspended(&db, said, new.account_id, true).await.expect("suspend");
        let reasons: Vec<Option<String>> =
            sqlx::query_scalar("SELECT reason FROM operator_actions ORDER BY at DESC, action_id DESC LIMIT 2")
                .fetch_all(&db)
                .await
                .expect("reasons");
        assert_eq!(reasons, [Some("asked by phone".to_string()), None]);
        let reader = store::reader_of(&db, new.user_id, None).await.expect("read").expect("a member");
        let of_console = Operator::of(&reader).expect("an operator");
        set_account_suspended(&db, of_console, new.account_id, false).await.expect("resume");
        let all = [
            "account.create",
            "account.suspend",
            "account.resume",
            "user.set_password",
            "user.suspend",
            "user.resume",
            "account.suspend",
            "account.resume",
        ];
        assert_eq!(deeds(&db).await, all);
        let mut actors: Vec<(Option<uuid::Uuid>, Option<String>)> =
            sqlx::query_as("SELECT actor_user_id, system_user_name FROM operator_actions ORDER BY at, action_id")
                .fetch_all(&db)
                .await
                .expect("actors");
        assert_eq!(actors.pop(), Some((Some(new.user_id.0), None)), "a user of the console");
        let runs_this = operator.system_user_name().map(str::to_string);
        assert!(runs_this.is_some() && actors.iter().all(|actor| *actor == (None, runs_this.clone())), "{actors:?}");
        let common = create_account(&db, operator, &Email::parse("bob@example.com").expect("email"), password("password1"), false).await;
        assert!(matches!(common, Err(OperatorError::Account(AccountError::CommonPassword))));
    }
}
