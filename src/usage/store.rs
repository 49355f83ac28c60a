//! All SQL about finished calls and their totals. Reads only; records are written by `wallet::ledger`.

mod receipt;

pub use receipt::{Receipt, receipt_of};

use crate::accounts::rights::Reader;
use crate::error::{ConsoleError, unavailable};
use crate::ids::{AccountId, GrantId, KeyId, OrderId, RequestId};
use crate::suppliers::types::Multipliers;
use crate::tokens::Tokens;
use crate::usage::types::{CallFilter, CallOutcome, CallPage, CallView, ChargeBasis, Draw, KeyChoice, PeriodTotals, UsageTotals};
use crate::wallet::types::GrantSource;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
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
}

/// The account's calls, newest first: of one key or of all, since a moment or ever. Their charges add up to the ledger's.
pub async fn usage_rows(
    db: &PgPool,
    account_id: AccountId,
    key: Option<KeyId>,
    since: Option<DateTime<Utc>>,
) -> Result<Vec<UsageRow>, UsageError> {
    let filter = CallFilter { key_id: key, ..CallFilter::default() };
    filtered_rows(db, account_id, &filter, since, None).await
}

/// `before` names the call where the last page ended. One of another account names no place, and the newest page comes.
async fn filtered_rows(
    db: &PgPool,
    account_id: AccountId,
    filter: &CallFilter,
    since: Option<DateTime<Utc>>,
    most: Option<i64>,
) -> Result<Vec<UsageRow>, UsageError> {
    let rows = sqlx::query!(
        r#"WITH cursor AS (SELECT started_at, request_id FROM usage_records WHERE account_id = $1 AND request_id = $5)
           SELECT u.request_id, u.started_at, u.key_id, k.name AS key_name, u.model_id, s.slug AS supplier, u.endpoint, u.streamed,
                  u.outcome, u.basis, u.http_status, u.input_tokens, u.cached_tokens, u.output_tokens, u.price_version,
                  p.input_ppm, p.cached_ppm, p.output_ppm, u.held, u.charge, u.written_off, u.first_byte_ms, u.latency_ms
             FROM usage_records u
             JOIN api_keys k ON k.key_id = u.key_id
             JOIN suppliers s ON s.supplier_id = u.supplier_id
             JOIN model_prices p ON p.model_id = u.model_id AND p.version = u.price_version
            WHERE u.account_id = $1
              AND ($2::uuid IS NULL OR u.key_id = $2)
              AND ($3::text IS NULL OR u.model_id = $3)
              AND ($4::uuid IS NULL OR u.request_id = $4)
              AND u.started_at <= coalesce((SELECT started_at FROM cursor), 'infinity')
              AND (u.started_at < coalesce((SELECT started_at FROM cursor), 'infinity')
                   OR u.request_id > (SELECT request_id FROM cursor))
              AND u.started_at >= coalesce($6::timestamptz, '-infinity')
            ORDER BY u.started_at DESC, u.request_id
            LIMIT $7"#,
        account_id.0,
        filter.key_id.map(|id| id.0),
        filter.model_id,
        filter.call.map(|id| id.0),
        filter.before.map(|id| id.0),
        since,
        most
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| UsageRow {
            request_id: RequestId(row.request_id),
            started_at: row.started_at,
            key_id: KeyId(row.key_id),
            key_name: row.key_name,
            model_id: row.model_id,
            supplier: row.supplier,
            endpoint: row.endpoint,
            streamed: row.streamed,
            outcome: outcome_of(&row.outcome),
            basis: basis_of(&row.basis),
            http_status: row.http_status,
            input_tokens: row.input_tokens,
            cached_tokens: row.cached_tokens,
            output_tokens: row.output_tokens,
            price_version: row.price_version,
            input_ppm: row.input_ppm,
            cached_ppm: row.cached_ppm,
            output_ppm: row.output_ppm,
            held: Tokens(row.held),
            charge: Tokens(row.charge),
            written_off: Tokens(row.written_off),
            first_byte_ms: row.first_byte_ms,
            latency_ms: row.latency_ms,
        })
        .collect())
}

/// `usage_records_outcome_check` allows no other words.
fn outcome_of(text: &str) -> CallOutcome {
    match text {
        "ok" => CallOutcome::Ok,
        "upstream_error" => CallOutcome::UpstreamError,
        "upstream_timeout" => CallOutcome::UpstreamTimeout,
        "upstream_cut" => CallOutcome::UpstreamCut,
        "client_left" => CallOutcome::ClientLeft,
        "key_ended" => CallOutcome::KeyEnded,
        _ => CallOutcome::Interrupted,
    }
}

/// `usage_records_basis_check` allows no other words.
fn basis_of(text: &str) -> ChargeBasis {
    match text {
        "measured" => ChargeBasis::Measured,
        "counted" => ChargeBasis::Counted,
        _ => ChargeBasis::Waived,
    }
}

/// A page of the member's calls, each with the grants it was paid from.
pub async fn calls_of(db: &PgPool, member: &Reader, filter: &CallFilter, most: i64) -> Result<CallPage, UsageError> {
    let account_id = member.account_id();
    let mut rows = filtered_rows(db, account_id, filter, None, Some(most + 1)).await?;
    let more = rows.len() as i64 > most;
    rows.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    let ids: Vec<RequestId> = rows.iter().map(|row| row.request_id).collect();
    let mut drawn = draws_of(db, account_id, &ids).await?;
    let calls = rows.into_iter().map(|row| view_of(drawn.remove(&row.request_id).unwrap_or_default(), row)).collect();
    Ok(CallPage { calls, older: ids.last().copied().filter(|_| more) })
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
async fn draws_of(db: &PgPool, account_id: AccountId, calls: &[RequestId]) -> Result<HashMap<RequestId, Vec<Draw>>, UsageError> {
    let ids: Vec<_> = calls.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"SELECT l.request_id AS "request_id!", l.grant_id, l.tokens, g.source, g.order_id, g.expires_at
             FROM ledger l JOIN grants g ON g.grant_id = l.grant_id
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
            expires_at: row.expires_at.into(),
        });
    }
    Ok(drawn)
}

/// Today (in UTC), the last 7 and the last 30 days of the member's calls that the filter lets through.
pub async fn totals_of(db: &PgPool, member: &Reader, filter: &CallFilter) -> Result<UsageTotals, UsageError> {
    let rows = sqlx::query!(
        r#"SELECT p.period AS "period!", count(u.request_id) AS "calls!", coalesce(sum(u.input_tokens), 0)::bigint AS "input!",
                  coalesce(sum(u.output_tokens), 0)::bigint AS "output!", coalesce(sum(u.charge), 0)::bigint AS "charged!"
             FROM (VALUES (1, date_trunc('day', now(), 'UTC')), (7, now() - interval '7 days'), (30, now() - interval '30 days'))
                      AS p (period, since)
             LEFT JOIN usage_records u
               ON u.account_id = $1 AND u.started_at >= p.since
              AND ($2::uuid IS NULL OR u.key_id = $2) AND ($3::text IS NULL OR u.model_id = $3)
            GROUP BY p.period ORDER BY p.period"#,
        member.account_id().0,
        filter.key_id.map(|id| id.0),
        filter.model_id
    )
    .fetch_all(db)
    .await?;
    let period = |days: i32| {
        rows.iter().find(|row| row.period == days).map_or_else(PeriodTotals::default, |row| PeriodTotals {
            calls: row.calls,
            input: Tokens(row.input),
            output: Tokens(row.output),
            charged: Tokens(row.charged),
        })
    };
    Ok(UsageTotals { today: period(1), last_7_days: period(7), last_30_days: period(30) })
}

/// The keys to filter by, those that can still call first.
pub async fn key_choices(db: &PgPool, member: &Reader) -> Result<Vec<KeyChoice>, UsageError> {
    let rows = sqlx::query!(
        r#"SELECT key_id, name, status = 'deleted' AS "deleted!" FROM api_keys WHERE account_id = $1 ORDER BY 3, name, key_id"#,
        member.account_id().0
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| KeyChoice { key_id: KeyId(row.key_id), name: row.name, deleted: row.deleted }).collect())
}

/// The models to filter by, disabled ones too: they may have been called.
pub async fn model_choices(db: &PgPool) -> Result<Vec<String>, UsageError> {
    Ok(sqlx::query_scalar!("SELECT model_id FROM models ORDER BY model_id").fetch_all(db).await?)
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
