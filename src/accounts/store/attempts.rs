//! SQL about how often something may be tried. Each limit is a rate with a burst (GCRA), one row for each who and what, decided in
//! Postgres and so for all replicas together. A limit makes people wait; none locks anybody out for good.

use super::AccountError;
use crate::accounts::types::Email;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tokio::sync::Semaphore;

/// `burst` at once, then one every `refill_s`.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub name: &'static str,
    pub burst: i64,
    pub refill_s: i64,
}

/// Sign-ins of one address from one place.
const SIGN_IN: Limit = Limit { name: "sign_in", burst: 10, refill_s: 60 };
/// Sign-ins from one place, whoever they are for.
const SIGN_IN_FROM: Limit = Limit { name: "sign_in_from", burst: 50, refill_s: 10 };
/// Sign-ins of one address from all places together, where its owner has not been.
const SIGN_IN_OF: Limit = Limit { name: "sign_in_of", burst: 100, refill_s: 36 };
/// Second factors of one user from one place, after the right password.
const CODE: Limit = Limit { name: "code", burst: 10, refill_s: 60 };
/// Second factors of one user from all places together, where they have not been. Whoever tries has the password, and a million codes
/// are not many.
const CODE_OF: Limit = Limit { name: "code_of", burst: 20, refill_s: 300 };
/// Where the owner of an address has been, others' tries elsewhere are not counted against them, for so long.
const TRUST_DAYS: i32 = 30;

/// Sign-ups from one place. Offices have many people behind one.
pub const SIGN_UP_FROM: Limit = Limit { name: "sign_up_from", burst: 100, refill_s: 36 };
/// Mails to one address, whoever asks for them.
pub const MAIL_TO: Limit = Limit { name: "mail_to", burst: 5, refill_s: 600 };
/// Links for a new password to one address. Counted for themselves, so that whoever has other mails sent there keeps nobody out.
pub const RESET_TO: Limit = Limit { name: "reset_to", burst: 5, refill_s: 600 };
/// Mails asked for from one place.
pub const MAIL_FROM: Limit = Limit { name: "mail_from", burst: 30, refill_s: 60 };
/// Links followed from one place.
pub const LINK_FROM: Limit = Limit { name: "link_from", burst: 30, refill_s: 10 };
/// A signed-in user's tries at the password.
pub const PASSWORD_OF: Limit = Limit { name: "password_of", burst: 10, refill_s: 60 };
/// Orders of one account. Each is a session at the payment provider; a double click is one order and many tries.
pub const ORDER_OF: Limit = Limit { name: "order_of", burst: 40, refill_s: 60 };

/// One is counted at a time: a flood of tries, each a commit of its own, would keep the database from the calls.
static TURNS: Semaphore = Semaphore::const_new(1);

/// Counts a try, and refuses it when there were too many.
pub async fn take_attempt(db: &PgPool, limit: Limit, who: &[&str]) -> Result<(), AccountError> {
    let hash = hash(limit.name, who);
    let _turn = TURNS.acquire().await;
    let taken = sqlx::query!(
        "INSERT INTO attempts (attempt_hash, free_at) VALUES ($1, now() + $2::bigint * interval '1 second')
         ON CONFLICT (attempt_hash) DO UPDATE SET free_at = greatest(attempts.free_at, now()) + $2::bigint * interval '1 second'
          WHERE attempts.free_at <= now() + $2::bigint * ($3::bigint - 1) * interval '1 second'",
        &hash[..],
        limit.refill_s,
        limit.burst
    );
    if taken.execute(db).await?.rows_affected() == 1 {
        return Ok(());
    }
    let wait_s = sqlx::query_scalar!(
        r#"SELECT ceil(extract(epoch FROM free_at - now()))::bigint AS "wait_s!" FROM attempts WHERE attempt_hash = $1"#,
        &hash[..]
    );
    let wait_s = wait_s.fetch_optional(db).await?.unwrap_or_default() - limit.refill_s * (limit.burst - 1);
    Err(AccountError::TooManyAttempts { wait_s: u32::try_from(wait_s).unwrap_or(0).max(1) })
}

/// Takes a try back: it was none.
async fn give_back(db: &PgPool, limit: Limit, who: &[&str]) -> Result<(), AccountError> {
    sqlx::query!(
        "UPDATE attempts SET free_at = free_at - $2::bigint * interval '1 second' WHERE attempt_hash = $1",
        &hash(limit.name, who)[..],
        limit.refill_s
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Counts a sign-in before its password is looked at, so that any number at once are counted too. Whether the address has a user makes
/// no difference.
pub async fn begin_sign_in(db: &PgPool, email: &Email, from: &str) -> Result<(), AccountError> {
    take_attempt(db, SIGN_IN, &[email.as_str(), from]).await?;
    take_attempt(db, SIGN_IN_FROM, &[from]).await?;
    if !is_trusted(db, email, from).await? {
        take_attempt(db, SIGN_IN_OF, &[email.as_str()]).await?;
    }
    Ok(())
}

/// It was the owner: nothing was counted, and from here they get in whatever others try elsewhere.
pub async fn end_sign_in(db: &PgPool, email: &Email, from: &str) -> Result<(), AccountError> {
    sqlx::query!("DELETE FROM attempts WHERE attempt_hash = $1", &hash(SIGN_IN.name, &[email.as_str(), from])[..]).execute(db).await?;
    give_back(db, SIGN_IN_FROM, &[from]).await?;
    if !is_trusted(db, email, from).await? {
        give_back(db, SIGN_IN_OF, &[email.as_str()]).await?;
    }
    trust(db, email, from).await
}

/// Counts a try at the second factor of whoever has given this address and its password.
pub async fn begin_code(db: &PgPool, email: &Email, from: &str) -> Result<(), AccountError> {
    take_attempt(db, CODE, &[email.as_str(), from]).await?;
    if !is_trusted(db, email, from).await? {
        take_attempt(db, CODE_OF, &[email.as_str()]).await?;
    }
    Ok(())
}

/// It was the owner: none of their tries at the code counts any more.
pub async fn end_code(db: &PgPool, email: &Email, from: &str) -> Result<(), AccountError> {
    sqlx::query!("DELETE FROM attempts WHERE attempt_hash = $1", &hash(CODE.name, &[email.as_str(), from])[..]).execute(db).await?;
    if !is_trusted(db, email, from).await? {
        give_back(db, CODE_OF, &[email.as_str()]).await?;
    }
    end_sign_in(db, email, from).await
}

/// The owner of this address was here.
pub async fn trust(db: &PgPool, email: &Email, from: &str) -> Result<(), AccountError> {
    sqlx::query!(
        "INSERT INTO attempts (attempt_hash, free_at) VALUES ($1, now() + make_interval(days => $2))
         ON CONFLICT (attempt_hash) DO UPDATE SET free_at = excluded.free_at",
        &hash("trust", &[email.as_str(), from])[..],
        TRUST_DAYS
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn is_trusted(db: &PgPool, email: &Email, from: &str) -> Result<bool, AccountError> {
    let hash = hash("trust", &[email.as_str(), from]);
    let trusted = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM attempts WHERE attempt_hash = $1 AND free_at > now()) AS "trusted!""#,
        &hash[..]
    );
    Ok(trusted.fetch_one(db).await?)
}

/// Deletes what counts no more. Returns how many.
pub async fn delete_old_attempts(db: &PgPool) -> sqlx::Result<u64> {
    Ok(sqlx::query!("DELETE FROM attempts WHERE free_at < now()").execute(db).await?.rows_affected())
}

/// Addresses and places are not kept, only told apart.
fn hash(name: &str, who: &[&str]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in std::iter::once(&name).chain(who) {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    digest.finalize().into()
}

#[cfg(test)]
#[path = "attempts_tests.rs"]
mod tests;
