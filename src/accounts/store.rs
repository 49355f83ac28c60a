//! SQL about users, accounts and members. In `addresses` what confirms and replaces an e-mail, in `passwords` what replaces a password,
//! in `tokens` the links for both; in `two_factor` the second factor, in `members` and `invitations` who belongs to an account, in
//! `sessions` what a user sees of theirs, in `deletion` their end, in `attempts` how often anything may be tried.

pub mod addresses;
pub mod attempts;
pub mod deletion;
pub mod invitations;
pub mod members;
pub mod passwords;
pub mod sessions;
pub mod tokens;
pub mod two_factor;

use crate::accounts::password::{self, PasswordError};
use crate::accounts::rights::{Origin, Owner, Reader};
use crate::accounts::types::{Email, Password};
use crate::error::{Blocker, ConsoleError, Field, Problem, unavailable};
use crate::i18n::Language;
use crate::ids::{AccountId, UserId};
use crate::keys::store::KeyError;
use crate::mail::outbox::OutboxError;
use crate::seal::SealError;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("a user with this e-mail exists")]
    EmailTaken,
    #[error("no such account")]
    NotFound,
    #[error("wrong e-mail or password")]
    WrongCredentials,
    #[error("wrong password")]
    WrongPassword,
    #[error("the session ended while its request waited")]
    SignedOut,
    #[error("the code is not right, or was used")]
    WrongCode,
    #[error("neither the password nor a code of the second factor")]
    WrongProof,
    #[error("the role does not allow this, or does no longer")]
    NotAllowed,
    #[error("this address belongs to the account already")]
    AlreadyMember,
    #[error("the invitation is for another address")]
    OtherAddress,
    #[error("an account keeps its owner until they hand it over")]
    OwnerStays,
    #[error("something has to be settled before the account can be deleted: {0:?}")]
    NotDeletable(Blocker),
    #[error("the member's keys could not be given up")]
    Keys(#[source] Box<KeyError>),
    #[error("two-factor is not as the page said when it was opened")]
    TwoFactorChanged,
    #[error("the password is among those that are tried first")]
    CommonPassword,
    #[error("the link was used or is too old")]
    LinkOver,
    #[error("too many attempts, wait {wait_s} s")]
    TooManyAttempts { wait_s: u32 },
    #[error("too many passwords are being hashed")]
    Busy,
    #[error("password hashing failed")]
    Hashing,
    #[error("a letter or a seed could not be sealed or opened")]
    Sealing,
    #[error("database failed")]
    Db(#[source] sqlx::Error),
}

impl From<sqlx::Error> for AccountError {
    fn from(error: sqlx::Error) -> AccountError {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("members_pkey") => AccountError::AlreadyMember,
            Some("users_email_key") => AccountError::EmailTaken,
            Some("recovery_code_uses_pkey" | "recovery_code_uses_code_fkey") => AccountError::WrongCode,
            _ => AccountError::Db(error),
        }
    }
}

impl From<PasswordError> for AccountError {
    fn from(error: PasswordError) -> AccountError {
        match error {
            PasswordError::Failed => AccountError::Hashing,
            PasswordError::Busy => AccountError::Busy,
            PasswordError::Common => AccountError::CommonPassword,
        }
    }
}

impl From<OutboxError> for AccountError {
    fn from(error: OutboxError) -> AccountError {
        match error {
            OutboxError::Sealing => AccountError::Sealing,
            OutboxError::Db(error) => error.into(),
        }
    }
}

impl From<SealError> for AccountError {
    fn from(_: SealError) -> AccountError {
        AccountError::Sealing
    }
}

impl From<AccountError> for ConsoleError {
    fn from(error: AccountError) -> ConsoleError {
        match error {
            AccountError::EmailTaken => ConsoleError::EmailUnavailable,
            AccountError::NotFound => ConsoleError::NotFound,
            AccountError::WrongCredentials => ConsoleError::WrongCredentials,
            AccountError::WrongPassword => ConsoleError::WrongPassword,
            AccountError::SignedOut => ConsoleError::SignInRequired,
            AccountError::WrongCode => ConsoleError::WrongCode,
            AccountError::WrongProof => ConsoleError::WrongProof,
            AccountError::NotAllowed => ConsoleError::NotAllowed,
            AccountError::AlreadyMember => ConsoleError::AlreadyMember,
            AccountError::OtherAddress => ConsoleError::OtherAddress,
            AccountError::OwnerStays => ConsoleError::OwnerStays,
            AccountError::NotDeletable(blocker) => ConsoleError::NotDeletable(blocker),
            AccountError::Keys(error) => (*error).into(),
            AccountError::TwoFactorChanged => ConsoleError::TwoFactorChanged,
            AccountError::CommonPassword => ConsoleError::invalid(Field::Password, Problem::TooCommon),
            AccountError::LinkOver => ConsoleError::LinkOver,
            AccountError::TooManyAttempts { wait_s } => ConsoleError::TooManyAttempts { wait_s },
            AccountError::Busy => ConsoleError::Unavailable,
            AccountError::Hashing | AccountError::Sealing => ConsoleError::Internal,
            AccountError::Db(error) => unavailable(&error),
        }
    }
}

/// A new user and the account that comes with them.
#[derive(Clone, Copy, Debug)]
pub struct NewAccount {
    pub user_id: UserId,
    pub account_id: AccountId,
}

/// Inserts a user, an account of their own, and their ownership of it.
pub async fn insert_account(db: &PgPool, email: &Email, password: Password, operator: bool) -> Result<NewAccount, AccountError> {
    let password_hash = password::hash(password).await?;
    let mut tx = db.begin().await?;
    let new = insert_account_in(&mut tx, email, &password_hash, operator).await?;
    tx.commit().await?;
    Ok(new)
}

/// As [`insert_account`], in the caller's transaction.
pub async fn insert_account_in(
    tx: &mut PgConnection,
    email: &Email,
    password_hash: &str,
    operator: bool,
) -> Result<NewAccount, AccountError> {
    let user_id = UserId::generate();
    sqlx::query!(
        "INSERT INTO users (user_id, email, password_hash, operator) VALUES ($1, $2, $3, $4)",
        user_id.0,
        email.as_str(),
        password_hash,
        operator
    )
    .execute(&mut *tx)
    .await?;
    let account_id = insert_own_account_in(tx, user_id, email).await?;
    Ok(NewAccount { user_id, account_id })
}

/// An account that a user owns, named after their address.
async fn insert_own_account_in(tx: &mut PgConnection, user_id: UserId, email: &Email) -> Result<AccountId, AccountError> {
    let account_id = AccountId::generate();
    sqlx::query!("INSERT INTO accounts (account_id, name) VALUES ($1, $2)", account_id.0, email.as_str()).execute(&mut *tx).await?;
    sqlx::query!("INSERT INTO members (account_id, user_id, role) VALUES ($1, $2, 'owner')", account_id.0, user_id.0).execute(tx).await?;
    Ok(account_id)
}

/// Whoever has proven who they are, and in which epoch of their sessions that was. What ends all of them begins the next, and so ends those
/// too that begin only now from what was right before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignIn {
    pub user_id: UserId,
    pub epoch: i32,
}

impl SignIn {
    /// The first one of a user who was made just now.
    pub fn first(user_id: UserId) -> SignIn {
        SignIn { user_id, epoch: 0 }
    }
}

/// Replaces a user's password and ends their sessions. Whoever did it may sign in with what comes back.
pub async fn set_password_in(tx: &mut PgConnection, user_id: UserId, password_hash: &str) -> Result<SignIn, AccountError> {
    let changed =
        sqlx::query!("UPDATE users SET password_hash = $2 WHERE user_id = $1", user_id.0, password_hash).execute(&mut *tx).await?;
    if changed.rows_affected() == 0 {
        return Err(AccountError::NotFound);
    }
    sessions::delete_sessions_in(tx, user_id).await
}

/// The user whose e-mail and password these are. Unknown user, wrong password and suspended user look and take the same.
pub async fn user_by_credentials(db: &PgPool, email: &Email, password: Password) -> Result<SignIn, AccountError> {
    let row = sqlx::query!("SELECT user_id, session_epoch, password_hash, suspended_at FROM users WHERE email = $1", email.as_str());
    let (user, stored) = match row.fetch_optional(db).await? {
        Some(row) => {
            let who = SignIn { user_id: UserId(row.user_id), epoch: row.session_epoch };
            (row.suspended_at.is_none().then_some(who), Some(row.password_hash))
        }
        None => (None, None),
    };
    let matches = password::verify(password, stored).await?;
    user.filter(|_| matches).ok_or(AccountError::WrongCredentials)
}

/// Whether a signed-in user knows their password.
pub(super) async fn check_password(db: &PgPool, user_id: UserId, password: Password) -> Result<(), AccountError> {
    let stored = sqlx::query_scalar!("SELECT password_hash FROM users WHERE user_id = $1", user_id.0).fetch_optional(db).await?;
    if password::verify(password, stored).await? { Ok(()) } else { Err(AccountError::WrongPassword) }
}

/// The user a session stands for, in the account that it names, or else in the one that they chose last. None when they are gone or
/// suspended, when all their sessions have been ended, or when they belong to the named account no longer: what they send was not meant for
/// another.
pub async fn reader_of_session(
    db: impl PgExecutor<'_>,
    who: SignIn,
    account_id: Option<AccountId>,
) -> Result<Option<Reader>, AccountError> {
    reader_in(db, who.user_id, Some(who.epoch), account_id).await
}

/// The same user without a session.
pub async fn reader_of(db: impl PgExecutor<'_>, user_id: UserId, account_id: Option<AccountId>) -> Result<Option<Reader>, AccountError> {
    reader_in(db, user_id, None, account_id).await
}

async fn reader_in(
    db: impl PgExecutor<'_>,
    user_id: UserId,
    epoch: Option<i32>,
    account_id: Option<AccountId>,
) -> Result<Option<Reader>, AccountError> {
    let row = sqlx::query_as!(
        ReaderRow,
        r#"SELECT user_id AS "user_id!", email AS "email!", operator AS "operator!", account_id AS "account_id!", role AS "role!",
                  verified AS "verified!", two_factor AS "two_factor!", several_accounts AS "several_accounts!"
             FROM readers($1, $2, $3)"#,
        user_id.0,
        epoch,
        account_id.map(|id| id.0)
    );
    row.fetch_optional(db).await?.map(ReaderRow::reader).transpose()
}

/// A row of `readers()` of the migrations.
pub(super) struct ReaderRow {
    pub(super) user_id: Uuid,
    pub(super) email: String,
    pub(super) operator: bool,
    pub(super) account_id: Uuid,
    pub(super) role: String,
    pub(super) verified: bool,
    pub(super) two_factor: bool,
    pub(super) several_accounts: bool,
}

impl ReaderRow {
    pub(super) fn reader(self) -> Result<Reader, AccountError> {
        Ok(Reader {
            user_id: UserId(self.user_id),
            account_id: AccountId(self.account_id),
            role: members::stored_role(&self.role)?,
            email: Email::parse(&self.email).map_err(|_| AccountError::NotFound)?,
            verified: self.verified,
            operator: self.operator,
            two_factor: self.two_factor,
            several_accounts: self.several_accounts,
            origin: Origin::default(),
        })
    }
}

/// A user as the owner of the first account that is theirs; none when they are gone, suspended, or own none.
pub async fn owner_of(db: &PgPool, user_id: UserId) -> Result<Option<Owner>, AccountError> {
    let own = sqlx::query_scalar!(
        "SELECT account_id FROM members WHERE user_id = $1 AND role = 'owner' ORDER BY created_at, account_id LIMIT 1",
        user_id.0
    );
    let Some(account_id) = own.fetch_optional(db).await? else { return Ok(None) };
    Ok(reader_of(db, user_id, Some(AccountId(account_id))).await?.and_then(Reader::into_owner))
}

/// The user with this e-mail. For the command line.
pub async fn user_by_email(db: &PgPool, email: &Email) -> Result<UserId, AccountError> {
    let user_id = sqlx::query_scalar!("SELECT user_id FROM users WHERE email = $1", email.as_str());
    user_id.fetch_optional(db).await?.map(UserId).ok_or(AccountError::NotFound)
}

/// The account that the user with this e-mail owns, and the user. For the command line.
pub async fn account_by_email(db: &PgPool, email: &Email) -> Result<NewAccount, AccountError> {
    let row = sqlx::query!(
        "SELECT u.user_id, m.account_id FROM users u JOIN members m USING (user_id)
          WHERE u.email = $1 AND m.role = 'owner' ORDER BY m.created_at, m.account_id LIMIT 1",
        email.as_str()
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| NewAccount { user_id: UserId(row.user_id), account_id: AccountId(row.account_id) }).ok_or(AccountError::NotFound)
}

/// Suspends or resumes a user. Suspension ends all their sessions, and the links that wait in their mailbox. False when it already was so;
/// whoever deleted themselves stays as they are.
pub async fn set_user_suspended_in(tx: &mut PgConnection, user_id: UserId, suspended: bool) -> Result<bool, AccountError> {
    let changed = sqlx::query!(
        "UPDATE users SET suspended_at = CASE WHEN $2 THEN now() END
          WHERE user_id = $1 AND (suspended_at IS NOT NULL) <> $2 AND password_hash <> ''",
        user_id.0,
        suspended
    );
    if suspended {
        // First, as whoever follows a link takes it before they become its user.
        tokens::revoke_tokens_in(tx, user_id).await?;
        sessions::delete_sessions_in(tx, user_id).await?;
    }
    Ok(changed.execute(tx).await?.rows_affected() > 0)
}

/// Keeps in which language a user reads. One that they did not choose replaces none.
pub async fn note_language(db: &PgPool, user_id: UserId, language: Language, chosen: bool) -> Result<(), AccountError> {
    let noted = sqlx::query!(
        "UPDATE users SET language = $2 WHERE user_id = $1 AND suspended_at IS NULL AND (language IS NULL OR $3 AND language <> $2)",
        user_id.0,
        language.tag(),
        chosen
    );
    noted.execute(db).await?;
    Ok(())
}

/// Suspends or resumes an account: its keys stop or work again with the next call. Suspension also ends the sessions of its
/// owners. False when it already was so.
pub async fn set_account_suspended_in(tx: &mut PgConnection, account_id: AccountId, suspended: bool) -> Result<bool, AccountError> {
    let changed = sqlx::query!(
        "UPDATE accounts SET suspended_at = CASE WHEN $2 THEN now() END WHERE account_id = $1 AND (suspended_at IS NOT NULL) <> $2",
        account_id.0,
        suspended
    )
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if suspended {
        sqlx::query!(
            "DELETE FROM sessions WHERE user_id IN (SELECT user_id FROM members WHERE account_id = $1 AND role = 'owner')",
            account_id.0
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(changed > 0)
}
