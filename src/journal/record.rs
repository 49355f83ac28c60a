//! The only writer of the account log. An entry is written in the transaction of its cause, and so is there exactly when that is.

use crate::accounts::rights::{Origin, Reader};
use crate::ids::{AccountId, JournalEntryId, UserId};
use crate::journal::types::Kind;
use crate::operators::rights::Operator;
use sqlx::PgConnection;
use uuid::Uuid;

/// Who did something.
#[derive(Clone, Copy, Debug)]
pub enum Actor<'a> {
    User(UserId, &'a Origin),
    /// None = the command line.
    Operator(Option<UserId>),
    /// Nobody of ours: a payment provider, a clock.
    System,
}

impl<'a> Actor<'a> {
    /// Somebody who is signed in, whatever they may do.
    pub fn of(reader: &'a Reader) -> Actor<'a> {
        Actor::User(reader.user_id(), reader.origin())
    }
}

impl From<Operator> for Actor<'_> {
    fn from(operator: Operator) -> Self {
        Actor::Operator(operator.user_id())
    }
}

/// What happened. No secret, and nothing that somebody else wrote but names.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    kind: Kind,
    subject_id: Option<Uuid>,
    name: Option<&'a str>,
    detail: Option<String>,
}

impl<'a> Entry<'a> {
    pub fn of(kind: Kind) -> Entry<'a> {
        Entry { kind, subject_id: None, name: None, detail: None }
    }

    /// What it is about: its id, and its name as it is now.
    pub fn about(self, subject_id: Uuid, name: &'a str) -> Entry<'a> {
        Entry { subject_id: Some(subject_id), name: Some(name), ..self }
    }

    /// Whom it is about. The address is looked up by whoever reads it: one that is written down here could never go with its user.
    pub fn about_user(self, user_id: UserId) -> Entry<'a> {
        Entry { subject_id: Some(user_id.0), ..self }
    }

    /// More, in words of ours.
    pub fn saying(self, detail: impl Into<String>) -> Entry<'a> {
        Entry { detail: Some(detail.into()), ..self }
    }
}

/// Writes an entry into the log of an account.
pub async fn record_in(tx: &mut PgConnection, account_id: AccountId, actor: Actor<'_>, entry: Entry<'_>) -> sqlx::Result<()> {
    insert_in(tx, &[account_id.0], actor, entry).await
}

/// Writes what happened to a user into the logs of all accounts that they belong to.
pub async fn record_of_user_in(tx: &mut PgConnection, user_id: UserId, actor: Actor<'_>, entry: Entry<'_>) -> sqlx::Result<()> {
    let accounts = sqlx::query_scalar!("SELECT account_id FROM members WHERE user_id = $1 ORDER BY account_id", user_id.0);
    let accounts = accounts.fetch_all(&mut *tx).await?;
    insert_in(tx, &accounts, actor, entry).await
}

async fn insert_in(tx: &mut PgConnection, accounts: &[Uuid], actor: Actor<'_>, entry: Entry<'_>) -> sqlx::Result<()> {
    let (word, user_id, origin) = match actor {
        Actor::User(user_id, origin) => ("user", Some(user_id.0), Some(origin)),
        Actor::Operator(user_id) => ("operator", user_id.map(|id| id.0), None),
        Actor::System => ("system", None, None),
    };
    let entries: Vec<Uuid> = accounts.iter().map(|_| JournalEntryId::generate().0).collect();
    // A name that is too long is no reason to fail what it is about.
    sqlx::query!(
        "INSERT INTO journal (entry_id, account_id, kind, actor, user_id, address, device, subject_id, name, detail)
         SELECT entry_id, account_id, $3, $4, $5, $6, $7, $8, left($9, 254), left($10, 500)
           FROM unnest($1::uuid[], $2::uuid[]) AS of (entry_id, account_id)",
        &entries,
        accounts,
        entry.kind.as_str(),
        word,
        user_id,
        origin.and_then(|origin| origin.address).map(|address| address.to_string()),
        origin.map(|origin| origin.device.as_str()).filter(|device| !device.is_empty()),
        entry.subject_id,
        entry.name,
        entry.detail.filter(|detail| !detail.is_empty())
    )
    .execute(tx)
    .await?;
    Ok(())
}
