//! The only writer of the table `mails`. A letter is posted in the transaction of its cause, so it exists exactly when that does.
//!
//! Taking a mail for delivery gives the taker a lease; nobody else takes it before that is over. A replica that dies after the mail
//! server took a mail, and before that is written down, leaves it to be sent once more: twice at most a crash, never not at all.

use crate::accounts::types::Email;
use crate::i18n::{Language, language, speaking};
use crate::ids::MailId;
use crate::mail::letter::{Body, Letter};
use crate::seal::{Seal, SealError, SecretKeys};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use std::sync::Arc;
use url::Url;

/// For how long a taken mail is nobody else's. Delivery gives up long before (`mail::delivery`).
const LEASE_S: i64 = 300;

/// The pause after a first failure; each further one doubles it.
const FIRST_PAUSE_S: i64 = 30;
const LONGEST_PAUSE_S: i64 = 3_600;

/// For how long one can see afterwards that a mail was sent or given up. Whoever deletes their account is told so.
const KEPT_DAYS: i32 = 30;

#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error("a letter could not be sealed")]
    Sealing,
    #[error("database failed")]
    Db(#[from] sqlx::Error),
}

/// Where letters are posted.
#[derive(Clone)]
pub struct Outbox {
    seal: Seal,
    /// Without a slash at the end.
    home: Arc<str>,
}

/// A mail that its taker is to deliver.
#[derive(Debug)]
pub struct Taken {
    pub mail_id: MailId,
    pub recipient: String,
    pub kind: String,
    pub subject: String,
    /// Counting this one.
    pub attempts: i32,
    /// None: it was sealed under another key.
    pub body: Option<Body>,
}

/// A mail that was never delivered.
#[derive(Debug)]
pub struct GivenUp {
    pub mail_id: MailId,
    pub kind: String,
    pub attempts: i32,
    pub last_error: Option<String>,
}

/// How the outbox stands, for whoever looks after it.
#[derive(Clone, Copy, Debug)]
pub struct Census {
    pub waiting: i64,
    pub oldest_waiting: Option<DateTime<Utc>>,
    /// In the last seven days.
    pub given_up: i64,
}

impl Outbox {
    /// `public_url` is what links in letters begin with.
    pub fn new<'a>(keys: impl Into<SecretKeys<'a>>, public_url: &Url) -> Outbox {
        let seal = Seal::derive(keys, b"toki letters v1");
        Outbox { seal, home: public_url.as_str().trim_end_matches('/').into() }
    }

    /// The address of a page of ours.
    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.home)
    }

    /// Posts a letter in the caller's transaction, written in the language of whoever gets it; to an address that is no user's, in that
    /// of whoever asked for it.
    pub async fn post_in(&self, tx: &mut PgConnection, to: &Email, letter: impl FnOnce() -> Letter + Send) -> Result<MailId, OutboxError> {
        let asked_in = language();
        let theirs =
            sqlx::query_scalar!("SELECT language FROM users WHERE email = $1", to.as_str()).fetch_optional(&mut *tx).await?.flatten();
        let language = theirs.and_then(|tag| Language::from_tag(&tag)).unwrap_or(asked_in);
        let (letter, body) = speaking(language, || {
            let letter = letter();
            let body = letter.body(&self.home);
            (letter, body)
        });
        let mail_id = MailId::generate();
        sqlx::query!(
            "INSERT INTO mails (mail_id, recipient, kind, subject, body_sealed, useful_until)
             VALUES ($1, $2, $3, $4, $5, now() + $6::bigint * interval '1 second')",
            mail_id.0,
            to.as_str(),
            letter.kind,
            letter.subject,
            self.seal(mail_id, &body)?,
            letter.useful_for.num_seconds()
        )
        .execute(tx)
        .await?;
        Ok(mail_id)
    }

    /// Takes the mail that is due for longest, if any is.
    pub async fn take(&self, db: &PgPool) -> Result<Option<Taken>, OutboxError> {
        let row = sqlx::query!(
            r#"WITH due AS (
                   SELECT mail_id FROM mails WHERE sent_at IS NULL AND given_up_at IS NULL AND not_before <= now()
                    ORDER BY not_before LIMIT 1 FOR UPDATE SKIP LOCKED)
               UPDATE mails SET attempts = attempts + 1, not_before = now() + $1::bigint * interval '1 second'
                 FROM due WHERE mails.mail_id = due.mail_id
               RETURNING mails.mail_id, recipient, kind, subject, attempts, body_sealed AS "body_sealed!""#,
            LEASE_S
        )
        .fetch_optional(db)
        .await?;
        Ok(row.map(|row| {
            let mail_id = MailId(row.mail_id);
            let body = self.open(mail_id, &row.body_sealed);
            Taken { mail_id, recipient: row.recipient, kind: row.kind, subject: row.subject, attempts: row.attempts, body }
        }))
    }

    /// The same letter, sealed with the current key.
    pub fn reseal(&self, mail_id: MailId, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.seal.reseal(mail_id.0.as_bytes(), sealed)
    }

    fn seal(&self, mail_id: MailId, body: &Body) -> Result<Vec<u8>, OutboxError> {
        let plain = serde_json::to_vec(body).map_err(|_| OutboxError::Sealing)?;
        self.seal.seal(mail_id.0.as_bytes(), &plain).map_err(|_| OutboxError::Sealing)
    }

    fn open(&self, mail_id: MailId, sealed: &[u8]) -> Option<Body> {
        serde_json::from_slice(&self.seal.open(mail_id.0.as_bytes(), sealed).ok()?).ok()
    }
}

/// The mail server has it.
pub async fn note_sent(db: &PgPool, mail_id: MailId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE mails SET sent_at = now(), body_sealed = NULL, last_error = NULL
          WHERE mail_id = $1 AND sent_at IS NULL AND given_up_at IS NULL",
        mail_id.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// It was not delivered, and may be later.
pub async fn postpone(db: &PgPool, mail_id: MailId, attempts: i32, error: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE mails SET not_before = now() + $2::bigint * interval '1 second', last_error = $3
          WHERE mail_id = $1 AND sent_at IS NULL AND given_up_at IS NULL",
        mail_id.0,
        pause_s(attempts),
        shortened(error)
    )
    .execute(db)
    .await?;
    Ok(())
}

/// It cannot be delivered at all.
pub async fn give_up(db: &PgPool, mail_id: MailId, error: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE mails SET given_up_at = now(), body_sealed = NULL, last_error = $2
          WHERE mail_id = $1 AND sent_at IS NULL AND given_up_at IS NULL",
        mail_id.0,
        shortened(error)
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Gives up what is worth nothing any more. Who calls this says so, loudly.
pub async fn give_up_useless(db: &PgPool) -> sqlx::Result<Vec<GivenUp>> {
    let rows = sqlx::query!(
        "UPDATE mails SET given_up_at = now(), body_sealed = NULL
          WHERE sent_at IS NULL AND given_up_at IS NULL AND not_before <= now() AND useful_until <= now()
          RETURNING mail_id, kind, attempts, last_error"
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|row| GivenUp { mail_id: MailId(row.mail_id), kind: row.kind, attempts: row.attempts, last_error: row.last_error })
        .collect())
}

pub async fn census(db: &PgPool) -> sqlx::Result<Census> {
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE sent_at IS NULL AND given_up_at IS NULL) AS "waiting!",
                  min(created_at) FILTER (WHERE sent_at IS NULL AND given_up_at IS NULL) AS oldest_waiting,
                  count(*) FILTER (WHERE given_up_at > now() - interval '7 days') AS "given_up!" FROM mails"#
    )
    .fetch_one(db)
    .await?;
    Ok(Census { waiting: row.waiting, oldest_waiting: row.oldest_waiting, given_up: row.given_up })
}

/// Forgets what was sent or given up long ago. Returns how many.
pub async fn forget_old_mails(db: &PgPool) -> sqlx::Result<u64> {
    let forgotten = sqlx::query!(
        "DELETE FROM mails WHERE created_at < now() - make_interval(days => $1) AND (sent_at IS NOT NULL OR given_up_at IS NOT NULL)",
        KEPT_DAYS
    );
    Ok(forgotten.execute(db).await?.rows_affected())
}

/// Forgets every mail to an address, those too that wait: its reader is no user any more. What is being delivered arrives all the same.
pub async fn forget_mails_to_in(tx: &mut PgConnection, to: &Email) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM mails WHERE recipient = $1", to.as_str()).execute(tx).await?;
    Ok(())
}

fn pause_s(attempts: i32) -> i64 {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(20);
    (FIRST_PAUSE_S << doublings).min(LONGEST_PAUSE_S)
}

fn shortened(error: &str) -> String {
    error.chars().take(1000).collect()
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
