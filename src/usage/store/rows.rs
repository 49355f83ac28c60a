//! Finished calls as rows: of these ids, or the newest of all.

use super::{UsageError, UsageRow};
use crate::ids::{AccountId, KeyId, RequestId};
use crate::tokens::Tokens;
use crate::usage::filter::CallFilter;
use crate::usage::types::{CallOutcome, ChargeBasis};
use chrono::Utc;
use sqlx::PgExecutor;
use uuid::Uuid;

/// The rows of `$calls`, a part of a FROM, the newest first. Where a condition may be absent, or a limit is a parameter, Postgres plans the
/// statement anew each time, which takes longer than to find the calls: so there are several.
macro_rules! call_rows {
    ($db:expr, $calls:literal, $($parameter:expr),+) => {
        sqlx::query!(
            r#"SELECT u.request_id, u.started_at, u.key_id, k.name AS key_name, u.model_id, s.slug AS supplier, u.endpoint, u.streamed,
                      u.outcome, u.basis, u.http_status, u.input_tokens, u.cached_tokens, u.output_tokens, u.price_version,
                      p.input_ppm, p.cached_ppm, p.output_ppm, u.held, u.charge, u.written_off, u.first_byte_ms, u.latency_ms,
                      CASE WHEN date_trunc('hour', u.started_at, 'UTC') < k.inherited_at THEN '' ELSE o.email END AS "member!"
                 FROM "#
                + $calls
                + r#" u
                 JOIN api_keys k ON k.key_id = u.key_id
                 JOIN users o ON o.user_id = k.created_by
                 JOIN suppliers s ON s.supplier_id = u.supplier_id
                 JOIN model_prices p ON p.model_id = u.model_id AND p.version = u.price_version
                ORDER BY u.request_id DESC"#,
            $($parameter),+
        )
        .fetch_all($db)
        .await?
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
            member: row.member,
        })
        .collect::<Vec<_>>()
    };
}

/// The account's calls of these ids; an id of another account's is of none.
pub(super) async fn rows_of(db: impl PgExecutor<'_>, account_id: AccountId, ids: &[Uuid]) -> Result<Vec<UsageRow>, UsageError> {
    Ok(call_rows!(db, "(SELECT * FROM usage_records WHERE account_id = $1 AND request_id = ANY ($2))", account_id.0, ids))
}

/// As many calls as the fullest page shows, and one that tells of more.
const NEWEST: i64 = 26;

/// The calls that a filter asks for, where they are among the newest of all; none where that cannot be said. The first look at a busy
/// account is that.
pub(super) async fn newest_of(
    db: impl PgExecutor<'_>,
    account_id: AccountId,
    filter: &CallFilter,
    most: i64,
) -> Result<Option<Vec<UsageRow>>, UsageError> {
    let over = filter.until.is_some_and(|until| until <= Utc::now());
    let of_some = filter.whose.model_id.is_some() || filter.whose.is_indirect();
    let narrow = filter.only_failed || filter.call.is_some() || filter.before.is_some() || of_some;
    if most > NEWEST || over || narrow {
        return Ok(None);
    }
    let mut calls = newest_rows(db, account_id, filter.whose.key_id).await?;
    let all = (calls.len() as i64) < NEWEST;
    calls.retain(|call| {
        filter.since.is_none_or(|since| call.started_at >= since) && filter.until.is_none_or(|until| call.started_at < until)
    });
    calls.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    Ok((all || calls.len() as i64 == most).then_some(calls))
}

async fn newest_rows(db: impl PgExecutor<'_>, account_id: AccountId, key_id: Option<KeyId>) -> Result<Vec<UsageRow>, UsageError> {
    Ok(match key_id {
        None => call_rows!(db, "(SELECT * FROM usage_records WHERE account_id = $1 ORDER BY request_id DESC LIMIT 26)", account_id.0),
        Some(key_id) => call_rows!(
            db,
            "(SELECT * FROM usage_records WHERE key_id = $2 AND account_id = $1 ORDER BY request_id DESC LIMIT 26)",
            account_id.0,
            key_id.0
        ),
    })
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
