//! All SQL about finished calls and their totals. Reads only; records are written by `wallet::ledger`.

mod indirect;
mod places;
mod receipt;
mod rows;
mod totals;

pub use receipt::{Receipt, receipt_of};
use rows::{newest_of, rows_of};
pub use totals::{parts_of, sums_of};

use crate::accounts::rights::Reader;
use crate::error::{ConsoleError, unavailable};
use crate::ids::{AccountId, GrantId, KeyId, OrderId, RequestId};
use crate::suppliers::types::Multipliers;
use crate::tokens::Tokens;
use crate::usage::filter::{CallFilter, Whose};
use crate::usage::types::{CallOutcome, CallPage, CallView, ChargeBasis, Draw, KeyChoice};
use crate::wallet::types::GrantSource;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use std::collections::HashMap;

#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    #[error("database failed")]
    Db(#[source] sqlx::Error),
}

impl From<sqlx::Error> for UsageError {
    fn from(error: sqlx::Error) -> UsageError {
        UsageError::Db(error)
    }
}

impl From<UsageError> for ConsoleError {
    fn from(error: UsageError) -> ConsoleError {
        match error {
            UsageError::Db(error) => unavailable(&error),
        }
    }
}

/// One finished call. Flat, so that it is a line of CSV.
#[derive(Clone, Debug, Serialize)]
pub struct UsageRow {
    pub request_id: RequestId,
    pub started_at: DateTime<Utc>,
    pub key_id: KeyId,
    pub key_name: String,
    pub model_id: String,
    pub supplier: String,
    pub endpoint: String,
    pub streamed: bool,
    pub outcome: CallOutcome,
    pub basis: ChargeBasis,
    pub http_status: i32,
    pub input_tokens: i64,
    pub cached_tokens: i64,
    pub output_tokens: i64,
    pub price_version: i32,
    pub input_ppm: i64,
    pub cached_ppm: i64,
    pub output_ppm: i64,
    pub held: Tokens,
    pub charge: Tokens,
    pub written_off: Tokens,
    pub first_byte_ms: Option<i64>,
    pub latency_ms: i64,
    /// The address of the member whose key it was, as totals by member name them: none before the key was handed over.
    pub member: String,
}

/// Calls of one question to the database.
const CHUNK: i64 = 1_000;

/// The account's calls, newest first: of one key or of all, since a moment or ever. Their charges add up to the ledger's.
pub async fn usage_rows(
    db: impl PgExecutor<'_> + Copy,
    account_id: AccountId,
    key_id: Option<KeyId>,
    since: Option<DateTime<Utc>>,
) -> Result<Vec<UsageRow>, UsageError> {
    let mut filter = CallFilter { whose: Whose { key_id, ..Whose::default() }, since, ..CallFilter::default() };
    let mut all = Vec::new();
    while let Some(rows) = next_rows(db, account_id, &mut filter).await? {
        all.extend(rows);
    }
    Ok(all)
}

/// The next rows that the filter lets through, of which it then lets none through any more; none when there are no more.
pub async fn next_rows(
    db: impl PgExecutor<'_> + Copy,
    account_id: AccountId,
    filter: &mut CallFilter,
) -> Result<Option<Vec<UsageRow>>, UsageError> {
    loop {
        let places::Found { ids, rest } = places::ids_of(db, account_id, filter, CHUNK).await?;
        let Some(next) = rest.or(ids.last().copied()) else { return Ok(None) };
        filter.before = Some(RequestId(next));
        if !ids.is_empty() {
            return rows_of(db, account_id, &ids).await.map(Some);
        }
    }
}

/// A page of the member's calls. One that is asked for by its id comes with the grants it was paid from.
pub async fn calls_of(db: impl PgExecutor<'_> + Copy, member: &Reader, filter: &CallFilter, most: i64) -> Result<CallPage, UsageError> {
    let account_id = member.account_id();
    let (mut rows, rest) = match newest_of(db, account_id, filter, most + 1).await? {
        Some(rows) => (rows, None),
        None => {
            let places::Found { ids, rest } = places::ids_of(db, account_id, filter, most + 1).await?;
            (rows_of(db, account_id, &ids).await?, rest)
        }
    };
    let more = rows.len() as i64 > most;
    rows.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    let ids: Vec<RequestId> = rows.iter().map(|row| row.request_id).collect();
    let mut drawn = match filter.call {
        Some(_) => draws_of(db, account_id, &ids).await?,
        None => HashMap::new(),
    };
    let calls = rows.into_iter().map(|row| view_of(drawn.remove(&row.request_id).unwrap_or_default(), row)).collect();
    let older = if more { ids.last().copied() } else { rest.map(RequestId) };
    Ok(CallPage { calls, older, cut_short: rest.is_some() })
}

fn view_of(drawn: Vec<Draw>, row: UsageRow) -> CallView {
    CallView {
        request_id: row.request_id,
        started_at: row.started_at.into(),
        key_id: row.key_id,
        key_name: row.key_name,
        model_id: row.model_id,
        endpoint: row.endpoint,
        streamed: row.streamed,
        outcome: row.outcome,
        http_status: row.http_status,
        basis: row.basis,
        input: Tokens(row.input_tokens),
        cached: Tokens(row.cached_tokens),
        output: Tokens(row.output_tokens),
        price: Multipliers { input_ppm: row.input_ppm, cached_ppm: row.cached_ppm, output_ppm: row.output_ppm },
        price_version: row.price_version,
        held: row.held,
        charge: row.charge,
        written_off: row.written_off,
        first_byte_ms: row.first_byte_ms,
        latency_ms: row.latency_ms,
        drawn,
    }
}

/// What the ledger says these calls were paid with, in the order it was taken.
async fn draws_of(
    db: impl PgExecutor<'_>,
    account_id: AccountId,
    calls: &[RequestId],
) -> Result<HashMap<RequestId, Vec<Draw>>, UsageError> {
    let ids: Vec<_> = calls.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"SELECT l.request_id AS "request_id!", l.grant_id, l.tokens, g.source, g.order_id, g.expires_at,
                  o.package_name AS "package_name?"
             FROM ledger l JOIN grants g ON g.grant_id = l.grant_id LEFT JOIN orders o ON o.order_id = g.order_id
            WHERE l.account_id = $1 AND l.request_id = ANY ($2) AND l.to_book = 'spent'
            ORDER BY l.entry_id"#,
        account_id.0,
        &ids
    )
    .fetch_all(db)
    .await?;
    let mut drawn: HashMap<RequestId, Vec<Draw>> = HashMap::new();
    for row in rows {
        drawn.entry(RequestId(row.request_id)).or_default().push(Draw {
            grant_id: GrantId(row.grant_id),
            tokens: Tokens(row.tokens),
            source: GrantSource::from_column(&row.source),
            order_id: row.order_id.map(OrderId),
            package_name: row.package_name,
            expires_at: row.expires_at.into(),
        });
    }
    Ok(drawn)
}

/// Whether the account ever made a call.
pub async fn has_calls(db: impl PgExecutor<'_>, member: &Reader) -> Result<bool, UsageError> {
    let has = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM usage_totals WHERE account_id = $1) AS "has!""#, member.account_id().0);
    Ok(has.fetch_one(db).await?)
}

/// What to filter by: the account's keys, deleted ones too, and the models, disabled ones too, since they may have been called. The oldest
/// first: in this order charts give them their colours, on every page.
pub async fn choices_of(db: impl PgExecutor<'_>, member: &Reader) -> Result<(Vec<KeyChoice>, Vec<String>), UsageError> {
    let row = sqlx::query!(
        r#"SELECT coalesce(array_agg(k.key_id), '{}') AS "key_ids!", coalesce(array_agg(k.name), '{}') AS "names!",
                  coalesce(array_agg(k.deleted), '{}') AS "deleted!",
                  ARRAY(SELECT m.model_id FROM models m ORDER BY m.created_at, m.model_id) AS "models!"
             FROM (SELECT a.key_id, a.name, a.status = 'deleted' AS deleted FROM api_keys a
                    WHERE a.account_id = $1 ORDER BY a.created_at, a.key_id) k"#,
        member.account_id().0
    )
    .fetch_one(db)
    .await?;
    let keys = row.key_ids.into_iter().zip(row.names).zip(row.deleted);
    Ok((keys.map(|((id, name), deleted)| KeyChoice { key_id: KeyId(id), name, deleted }).collect(), row.models))
}

/// Suppliers by slug and name, the oldest first, for their colours.
pub async fn supplier_names(db: impl PgExecutor<'_>) -> Result<Vec<(String, String)>, UsageError> {
    let rows = sqlx::query!("SELECT slug, name FROM suppliers ORDER BY created_at, supplier_id").fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| (row.slug, row.name)).collect())
}

/// Whoever has made a key of the account, by id and address, in the order of their first keys, for their colours.
pub async fn member_names(db: impl PgExecutor<'_>, member: &Reader) -> Result<Vec<(String, String)>, UsageError> {
    let rows = sqlx::query!(
        r#"SELECT u.user_id::text AS "id!", u.email AS "email!" FROM api_keys k JOIN users u ON u.user_id = k.created_by
            WHERE k.account_id = $1 GROUP BY u.user_id, u.email ORDER BY min(k.created_at), u.user_id"#,
        member.account_id().0
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.email)).collect())
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
