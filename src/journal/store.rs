//! SQL that reads the account log. It is written by `record` alone.

use crate::accounts::rights::Reader;
use crate::error::{ConsoleError, unavailable};
use crate::ids::JournalEntryId;
use crate::journal::filter::Filter;
use crate::journal::types::{EntryView, Kind, Who};
use sqlx::PgExecutor;

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("a row holds {0}, which is none of ours")]
    Unreadable(String),
    #[error("database failed")]
    Db(#[from] sqlx::Error),
}

impl From<JournalError> for ConsoleError {
    fn from(error: JournalError) -> ConsoleError {
        match error {
            JournalError::Unreadable(_) => {
                tracing::error!(%error, "the account log cannot be read");
                ConsoleError::Internal
            }
            JournalError::Db(error) => unavailable(&error),
        }
    }
}

/// Entries of the member's account, the newest first; only those before `before`. Whoever looks after it sees all, others what they did
/// themselves.
pub async fn entries_of(
    db: impl PgExecutor<'_>,
    member: &Reader,
    filter: &Filter,
    before: Option<JournalEntryId>,
    most: i64,
) -> Result<Vec<EntryView>, JournalError> {
    let rows = sqlx::query!(
        r#"SELECT j.entry_id, j.at, j.kind, j.actor, u.email AS "email?", j.address, j.device, j.subject_id,
                  coalesce(j.name, s.email) AS name, j.detail
             FROM journal j LEFT JOIN users u ON u.user_id = j.user_id AND j.actor = 'user'
                  LEFT JOIN users s ON s.user_id = j.subject_id
            WHERE j.account_id = $1 AND ($8 OR j.user_id = $9)
              AND ($2::uuid IS NULL OR j.entry_id < $2)
              AND ($3::text IS NULL OR split_part(j.kind, '.', 1) = $3)
              AND ($4::timestamptz IS NULL OR j.at >= $4)
              AND ($5::timestamptz IS NULL OR j.at < $5)
              AND ($6 = '' OR strpos(lower(concat_ws(' ', u.email, translate(j.kind, '._', '  '), j.actor, j.address, j.device,
                                                         coalesce(j.name, s.email), j.detail, j.subject_id)), $6) > 0)
            ORDER BY j.entry_id DESC LIMIT $7"#,
        member.account_id().0,
        before.map(|id| id.0),
        filter.group.map(|group| group.as_str()),
        filter.since,
        filter.until,
        filter.search,
        most,
        member.is_admin(),
        member.user_id().0
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let who = match (row.actor.as_str(), row.email) {
                ("user", Some(email)) => Who::User(email),
                ("operator", _) => Who::Operator,
                _ => Who::System,
            };
            Ok(EntryView {
                entry_id: JournalEntryId(row.entry_id),
                at: row.at.into(),
                kind: Kind::parse(&row.kind).ok_or(JournalError::Unreadable(row.kind))?,
                who,
                address: row.address,
                device: row.device,
                subject_id: row.subject_id,
                name: row.name,
                detail: row.detail,
            })
        })
        .collect()
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
