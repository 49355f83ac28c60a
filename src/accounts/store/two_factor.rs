//! SQL about second factors: setting one up, giving it, doing without it again. Every change is told to its user by mail.

use super::sessions::note_access;
use super::{AccountError, check_password};
use crate::accounts::letters;
use crate::accounts::rights::{Origin, Reader};
use crate::accounts::second_factor::{RECOVERY_CODES, RecoveryCode, Seed, Vault};
use crate::accounts::types::{Email, Password};
use crate::connections::again;
use crate::ids::UserId;
use crate::journal::record::{Actor, Entry, record_of_user_in};
use crate::journal::types::Kind;
use crate::mail::outbox::Outbox;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool, Postgres, Transaction};

/// For how long a seed waits for its first code. Whoever finds the page open later is not to use it.
const BEGUN_FOR_MINUTES: i32 = 30;

/// How somebody's second factor stands.
#[derive(Debug)]
pub enum TwoFactor {
    Off,
    Begun(Seed),
    On { since: DateTime<Utc>, recovery_codes_left: i64 },
}

/// What proves once more that it is the user.
#[derive(Debug)]
pub enum Proof {
    Password(Password),
    Code(GivenCode),
}

/// What was given as a second factor.
#[derive(Debug)]
pub enum GivenCode {
    /// Six digits, one hopes.
    Authenticator(String),
    Recovery(RecoveryCode),
}

impl GivenCode {
    pub fn parse(text: &str) -> GivenCode {
        match RecoveryCode::parse(text) {
            Some(code) => GivenCode::Recovery(code),
            None => GivenCode::Authenticator(text.chars().filter(|c| !c.is_whitespace()).collect()),
        }
    }
}

impl Proof {
    /// A password has eight characters or more, so six digits are a code.
    pub fn parse(text: String) -> Result<Proof, AccountError> {
        match GivenCode::parse(&text) {
            GivenCode::Authenticator(code) if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) => {
                Password::parse(text).map(Proof::Password).map_err(|_| AccountError::WrongProof)
            }
            code => Ok(Proof::Code(code)),
        }
    }
}

pub async fn standing_of(db: impl PgExecutor<'_>, vault: &Vault, member: &Reader) -> Result<TwoFactor, AccountError> {
    let row = sqlx::query!(
        r#"SELECT seed_sealed, confirmed_at, created_at > now() - make_interval(mins => $2) AS "fresh!",
                  (SELECT count(*) FROM recovery_codes c
                    WHERE c.user_id = f.user_id AND NOT EXISTS (
                          SELECT 1 FROM recovery_code_uses u WHERE u.user_id = c.user_id AND u.code_hash = c.code_hash)) AS "left!"
             FROM two_factors f WHERE user_id = $1"#,
        member.user_id().0,
        BEGUN_FOR_MINUTES
    );
    Ok(match row.fetch_optional(db).await? {
        Some(row) if row.fresh && row.confirmed_at.is_none() => TwoFactor::Begun(vault.open(member.user_id(), &row.seed_sealed)?),
        Some(row) => match row.confirmed_at {
            Some(since) => TwoFactor::On { since, recovery_codes_left: row.left },
            None => TwoFactor::Off,
        },
        None => TwoFactor::Off,
    })
}

pub async fn is_on(db: impl PgExecutor<'_>, user_id: UserId) -> Result<bool, AccountError> {
    let on = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM two_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL) AS "on!""#,
        user_id.0
    );
    Ok(on.fetch_one(db).await?)
}

/// Makes a seed that counts for nothing until its first code is typed. It replaces one that waits for that.
pub async fn begin(db: &PgPool, vault: &Vault, member: &Reader, password: Password) -> Result<(), AccountError> {
    check_password(db, member.user_id(), password).await?;
    let begun = sqlx::query!(
        "INSERT INTO two_factors (user_id, seed_sealed) VALUES ($1, $2)
         ON CONFLICT (user_id) DO UPDATE SET seed_sealed = excluded.seed_sealed, created_at = now(), last_step = 0
          WHERE two_factors.confirmed_at IS NULL",
        member.user_id().0,
        vault.seal(member.user_id(), &Seed::generate())?
    );
    if begun.execute(db).await?.rows_affected() == 0 { Err(AccountError::TwoFactorChanged) } else { Ok(()) }
}

/// Takes the first code: from now on a second factor is asked for. Returns the recovery codes, which are not to be had again.
pub async fn confirm(db: &PgPool, outbox: &Outbox, vault: &Vault, member: &Reader, code: &str) -> Result<Vec<RecoveryCode>, AccountError> {
    again(|| confirm_once(db, outbox, vault, member, code)).await
}

async fn confirm_once(db: &PgPool, outbox: &Outbox, vault: &Vault, member: &Reader, code: &str) -> Result<Vec<RecoveryCode>, AccountError> {
    let user_id = member.user_id();
    let mut tx = db.begin().await?;
    let sealed = sqlx::query_scalar!(
        "SELECT seed_sealed FROM two_factors
          WHERE user_id = $1 AND confirmed_at IS NULL AND created_at > now() - make_interval(mins => $2) FOR UPDATE",
        user_id.0,
        BEGUN_FOR_MINUTES
    );
    let sealed = sealed.fetch_optional(&mut *tx).await?.ok_or(AccountError::TwoFactorChanged)?;
    let step = vault.open(user_id, &sealed)?.step_of(code, Utc::now().timestamp()).ok_or(AccountError::WrongCode)?;
    sqlx::query!("UPDATE two_factors SET confirmed_at = now(), last_step = $2 WHERE user_id = $1", user_id.0, step)
        .execute(&mut *tx)
        .await?;
    let codes = renew_codes_in(&mut tx, vault, user_id).await?;
    outbox.post_in(&mut tx, member.email(), || letters::two_factor_on(outbox)).await?;
    record_of_user_in(&mut tx, user_id, Actor::of(member), Entry::of(Kind::TwoFactorOn)).await?;
    tx.commit().await?;
    Ok(codes)
}

/// New recovery codes in place of all there were.
pub async fn renew_codes(
    db: &PgPool,
    outbox: &Outbox,
    vault: &Vault,
    member: &Reader,
    proof: Proof,
) -> Result<Vec<RecoveryCode>, AccountError> {
    let code = code_of(db, member, proof).await?;
    again(|| renew_codes_once(db, outbox, vault, member, code.as_ref())).await
}

async fn renew_codes_once(
    db: &PgPool,
    outbox: &Outbox,
    vault: &Vault,
    member: &Reader,
    code: Option<&GivenCode>,
) -> Result<Vec<RecoveryCode>, AccountError> {
    let mut tx = begin_proven(db, outbox, vault, member, code).await?;
    let codes = renew_codes_in(&mut tx, vault, member.user_id()).await?;
    outbox.post_in(&mut tx, member.email(), || letters::recovery_codes_renewed(outbox)).await?;
    record_of_user_in(&mut tx, member.user_id(), Actor::of(member), Entry::of(Kind::RecoveryCodesRenewed)).await?;
    tx.commit().await?;
    Ok(codes)
}

/// Asks for no second factor any more.
pub async fn turn_off(db: &PgPool, outbox: &Outbox, vault: &Vault, member: &Reader, proof: Proof) -> Result<(), AccountError> {
    let code = code_of(db, member, proof).await?;
    again(|| turn_off_once(db, outbox, vault, member, code.as_ref())).await
}

async fn turn_off_once(db: &PgPool, outbox: &Outbox, vault: &Vault, member: &Reader, code: Option<&GivenCode>) -> Result<(), AccountError> {
    let mut tx = begin_proven(db, outbox, vault, member, code).await?;
    delete_in(&mut tx, member.user_id()).await?;
    outbox.post_in(&mut tx, member.email(), || letters::two_factor_off(outbox)).await?;
    record_of_user_in(&mut tx, member.user_id(), Actor::of(member), Entry::of(Kind::TwoFactorOff)).await?;
    tx.commit().await?;
    Ok(())
}

/// Takes a user's second factor away; whether there was one.
pub async fn delete_in(tx: &mut PgConnection, user_id: UserId) -> Result<bool, AccountError> {
    let deleted = sqlx::query_scalar!("DELETE FROM two_factors WHERE user_id = $1 RETURNING confirmed_at IS NOT NULL", user_id.0);
    Ok(deleted.fetch_optional(tx).await?.flatten().unwrap_or(false))
}

/// The code that is to be taken in the transaction which it proves; a password is checked here, once.
async fn code_of(db: &PgPool, member: &Reader, proof: Proof) -> Result<Option<GivenCode>, AccountError> {
    match proof {
        Proof::Password(password) => {
            check_password(db, member.user_id(), password).await.map_err(wrong_proof)?;
            Ok(None)
        }
        Proof::Code(code) => Ok(Some(code)),
    }
}

/// A transaction of somebody who has proven once more who they are, while two-factor is on: by this code, or else before.
async fn begin_proven(
    db: &PgPool,
    outbox: &Outbox,
    vault: &Vault,
    member: &Reader,
    code: Option<&GivenCode>,
) -> Result<Transaction<'static, Postgres>, AccountError> {
    let mut tx = db.begin().await?;
    let on =
        sqlx::query!("SELECT 1 AS one FROM two_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL FOR UPDATE", member.user_id().0);
    on.fetch_optional(&mut *tx).await?.ok_or(AccountError::TwoFactorChanged)?;
    if let Some(code) = code {
        let user = (member.user_id(), member.email());
        accept_in(&mut tx, outbox, vault, user, Actor::of(member), code).await.map_err(wrong_proof)?;
    }
    Ok(tx)
}

fn wrong_proof(error: AccountError) -> AccountError {
    match error {
        AccountError::WrongCode | AccountError::WrongPassword => AccountError::WrongProof,
        error => error,
    }
}

/// Takes the second factor of somebody who signs in, once: a code of the authenticator or a recovery code. One that is refused is in
/// the account log too: whoever gave it knows the password.
pub async fn sign_in(
    db: &PgPool,
    outbox: &Outbox,
    vault: &Vault,
    user_id: UserId,
    email: &Email,
    code: &GivenCode,
    origin: &Origin,
) -> Result<(), AccountError> {
    let signed_in = again(|| sign_in_once(db, outbox, vault, (user_id, email), code, origin)).await;
    if matches!(signed_in, Err(AccountError::WrongCode)) {
        note_access(db, user_id, Kind::CodeRefused, origin).await?;
    }
    signed_in
}

async fn sign_in_once(
    db: &PgPool,
    outbox: &Outbox,
    vault: &Vault,
    (user_id, email): (UserId, &Email),
    code: &GivenCode,
    origin: &Origin,
) -> Result<(), AccountError> {
    let actor = Actor::User(user_id, origin);
    let mut tx = db.begin().await?;
    accept_in(&mut tx, outbox, vault, (user_id, email), actor, code).await?;
    record_of_user_in(&mut tx, user_id, actor, Entry::of(Kind::SignedIn).saying("with a second factor")).await?;
    tx.commit().await?;
    Ok(())
}

async fn accept_in(
    tx: &mut PgConnection,
    outbox: &Outbox,
    vault: &Vault,
    (user_id, email): (UserId, &Email),
    actor: Actor<'_>,
    code: &GivenCode,
) -> Result<(), AccountError> {
    match code {
        GivenCode::Authenticator(code) => accept_step_in(tx, vault, user_id, code).await,
        GivenCode::Recovery(code) => {
            let hash = vault.hash(user_id, code);
            // There is no such code, or it was used: constraints say so, whoever else tries at the same time.
            sqlx::query!("INSERT INTO recovery_code_uses (user_id, code_hash) VALUES ($1, $2)", user_id.0, &hash[..])
                .execute(&mut *tx)
                .await?;
            outbox.post_in(tx, email, || letters::recovery_code_used(outbox)).await?;
            record_of_user_in(tx, user_id, actor, Entry::of(Kind::RecoveryCodeUsed)).await?;
            Ok(())
        }
    }
}

/// A code of the authenticator; none of a step that one was accepted of, and none before.
async fn accept_step_in(tx: &mut PgConnection, vault: &Vault, user_id: UserId, code: &str) -> Result<(), AccountError> {
    let sealed = sqlx::query_scalar!("SELECT seed_sealed FROM two_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL", user_id.0);
    let sealed = sealed.fetch_optional(&mut *tx).await?.ok_or(AccountError::WrongCode)?;
    let step = vault.open(user_id, &sealed)?.step_of(code, Utc::now().timestamp()).ok_or(AccountError::WrongCode)?;
    let accepted = sqlx::query!("UPDATE two_factors SET last_step = $2 WHERE user_id = $1 AND last_step < $2", user_id.0, step);
    if accepted.execute(tx).await?.rows_affected() == 1 { Ok(()) } else { Err(AccountError::WrongCode) }
}

async fn renew_codes_in(tx: &mut PgConnection, vault: &Vault, user_id: UserId) -> Result<Vec<RecoveryCode>, AccountError> {
    let codes: Vec<RecoveryCode> = (0..RECOVERY_CODES).map(|_| RecoveryCode::generate()).collect();
    let hashes: Vec<Vec<u8>> = codes.iter().map(|code| vault.hash(user_id, code).to_vec()).collect();
    sqlx::query!("DELETE FROM recovery_codes WHERE user_id = $1", user_id.0).execute(&mut *tx).await?;
    sqlx::query!("INSERT INTO recovery_codes (user_id, code_hash) SELECT $1, unnest($2::bytea[])", user_id.0, &hashes).execute(tx).await?;
    Ok(codes)
}

/// Operators without a second factor, for whoever looks after the installation.
pub async fn operators_without(db: &PgPool) -> Result<Vec<String>, AccountError> {
    let emails = sqlx::query_scalar!(
        "SELECT email FROM users u
          WHERE operator AND suspended_at IS NULL
            AND NOT EXISTS (SELECT 1 FROM two_factors f WHERE f.user_id = u.user_id AND f.confirmed_at IS NOT NULL)
          ORDER BY email"
    );
    Ok(emails.fetch_all(db).await?)
}

#[cfg(test)]
#[path = "two_factor_tests.rs"]
mod tests;
