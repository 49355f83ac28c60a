//! What running calls do to the books: admit, extend, reap, restore. Thin over the functions of the migrations, which lock and decide.

use super::{LedgerError, interval};
use crate::ids::{AccountId, ChannelId, KeyId, ReplicaId, RequestId, SupplierId};
use crate::tokens::Tokens;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::types::Json;
use sqlx::{PgExecutor, PgPool};
use std::collections::HashMap;
use uuid::Uuid;

/// A call that asks to be admitted.
#[derive(Clone, Debug)]
pub struct AdmissionRequest {
    pub request_id: RequestId,
    pub secret_hash: [u8; 32],
    pub model_id: String,
    pub protocol: &'static str,
    /// Upper bound of the input, in Tokens of the model.
    pub input_tokens: i64,
    /// Output limit asked for, a choice; none = the model's maximum.
    pub output_limit: Option<i64>,
    pub choices: i64,
    /// Whether `input_tokens` is a count. A cheap bound that would refuse or clamp is answered [`Verdict::CountInput`].
    pub exact: bool,
    pub endpoint: &'static str,
    pub streamed: bool,
}

/// What the database decided.
#[derive(Clone, Debug)]
pub enum Verdict {
    Admitted(Admission),
    /// Ask again with a count of the input: the cheap bound would have refused or clamped this call.
    CountInput,
    UnknownKey,
    KeyDisabled,
    KeyExpired,
    AccountSuspended,
    ModelNotFound,
    BalanceExhausted,
    QuotaExhausted,
    /// The supplier has no enabled channel that speaks this protocol.
    NoChannel,
    /// Nothing was decided: this database does not know the replica. It is new, or a crash forgot its holds. [`restore_holds`],
    /// then ask again.
    HoldsForgotten,
}

/// A verdict, and whose call it is about.
#[derive(Clone, Debug)]
pub struct Decision {
    /// None where the key is unknown, or nothing was decided.
    pub account_id: Option<AccountId>,
    pub verdict: Verdict,
}

/// A call that may run, with everything it needs, and the hold that pays for it.
#[derive(Clone, Debug)]
pub struct Admission {
    pub request_id: RequestId,
    pub account_id: AccountId,
    pub key_id: KeyId,
    pub supplier_id: SupplierId,
    pub model_id: String,
    pub upstream_id: String,
    pub price_version: i32,
    pub price: Price,
    pub held: Tokens,
    /// The output limit to send upstream, a choice: what the hold pays for.
    pub output_limit: i64,
    pub channels: Vec<Channel>,
}

/// Multipliers in parts per million: 1,000,000 charges one Token for one Token of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    pub input_ppm: i64,
    pub cached_ppm: i64,
    pub output_ppm: i64,
}

/// A way to a supplier.
#[derive(Clone, Debug)]
pub struct Channel {
    pub channel_id: ChannelId,
    pub base_url: String,
    pub secret_sealed: Option<Vec<u8>>,
    pub weight: i32,
}

/// Admits calls in one round trip, each on its own merits; decisions come in the order of the requests.
///
/// The transaction commits asynchronously: a hold is seen by every replica at once, and one that a crash of Postgres forgets
/// costs nobody anything (its settlement charges what the account can pay).
///
/// `again`: the same calls were sent before and their answer was lost, so that some may hold Tokens already. They are decided anew.
pub async fn admit_calls(
    db: impl PgExecutor<'_>,
    requests: &[AdmissionRequest],
    owner: ReplicaId,
    hold_for: TimeDelta,
    again: bool,
) -> Result<Vec<Decision>, LedgerError> {
    let rows = sqlx::query!(
        r#"SELECT request_id, verdict AS "verdict!", account_id, key_id, supplier_id, upstream_id, price_version, input_ppm, cached_ppm,
                  output_ppm, held, output_limit, channel_ids, base_urls,
                  secrets_sealed AS "secrets_sealed: Vec<Option<Vec<u8>>>", weights
             FROM (SELECT set_config('synchronous_commit', 'off', true)) AS async_commit,
                  admit_calls($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"#,
        &requests.iter().map(|r| r.request_id.0).collect::<Vec<_>>(),
        &requests.iter().map(|r| r.secret_hash.to_vec()).collect::<Vec<_>>(),
        &requests.iter().map(|r| r.model_id.clone()).collect::<Vec<_>>(),
        &requests.iter().map(|r| r.protocol.to_string()).collect::<Vec<_>>(),
        &requests.iter().map(|r| r.input_tokens).collect::<Vec<_>>(),
        &requests.iter().map(|r| r.output_limit).collect::<Vec<_>>() as &[Option<i64>],
        &requests.iter().map(|r| r.choices).collect::<Vec<_>>(),
        &requests.iter().map(|r| r.exact).collect::<Vec<_>>(),
        &requests.iter().map(|r| r.endpoint.to_string()).collect::<Vec<_>>(),
        &requests.iter().map(|r| r.streamed).collect::<Vec<_>>(),
        owner.0,
        interval(hold_for),
        again,
    )
    .fetch_all(db)
    .await?;
    if rows.len() != requests.len() {
        return Err(LedgerError::BatchMismatch);
    }
    // The database decides account by account.
    let mut rows: HashMap<Uuid, _> = rows.into_iter().filter_map(|row| Some((row.request_id?, row))).collect();
    requests
        .iter()
        .map(|request| {
            let row = rows.remove(&request.request_id.0).ok_or(LedgerError::BatchMismatch)?;
            let account_id = row.account_id.map(AccountId);
            let verdict = match row.verdict.as_str() {
                "admitted" => {
                    let channel_ids = row.channel_ids.unwrap_or_default().into_iter();
                    let rest = row
                        .base_urls
                        .unwrap_or_default()
                        .into_iter()
                        .zip(row.secrets_sealed.unwrap_or_default())
                        .zip(row.weights.unwrap_or_default());
                    let channels = channel_ids
                        .zip(rest)
                        .map(|(id, ((base_url, secret_sealed), weight))| Channel {
                            channel_id: ChannelId(id),
                            base_url,
                            secret_sealed,
                            weight,
                        })
                        .collect();
                    let admission = || {
                        Some(Admission {
                            request_id: request.request_id,
                            account_id: account_id?,
                            key_id: KeyId(row.key_id?),
                            supplier_id: SupplierId(row.supplier_id?),
                            model_id: request.model_id.clone(),
                            upstream_id: row.upstream_id?,
                            price_version: row.price_version?,
                            price: Price { input_ppm: row.input_ppm?, cached_ppm: row.cached_ppm?, output_ppm: row.output_ppm? },
                            held: Tokens(row.held?),
                            output_limit: row.output_limit?,
                            channels,
                        })
                    };
                    Verdict::Admitted(admission().ok_or(LedgerError::BatchMismatch)?)
                }
                "count_input" => Verdict::CountInput,
                "unknown_key" => Verdict::UnknownKey,
                "key_disabled" => Verdict::KeyDisabled,
                "key_expired" => Verdict::KeyExpired,
                "account_suspended" => Verdict::AccountSuspended,
                "model_not_found" => Verdict::ModelNotFound,
                "balance_exhausted" => Verdict::BalanceExhausted,
                "quota_exhausted" => Verdict::QuotaExhausted,
                "no_channel" => Verdict::NoChannel,
                "holds_forgotten" => Verdict::HoldsForgotten,
                _ => return Err(LedgerError::BatchMismatch),
            };
            Ok(Decision { account_id, verdict })
        })
        .collect()
}

/// The hold of a running call, as its replica remembers it. The names are columns of `holds`.
#[derive(Clone, Debug, Serialize)]
pub struct RunningHold {
    pub request_id: RequestId,
    pub account_id: AccountId,
    pub key_id: KeyId,
    pub model_id: String,
    pub supplier_id: SupplierId,
    pub price_version: i32,
    pub endpoint: &'static str,
    pub streamed: bool,
    pub tokens: Tokens,
    pub created_at: DateTime<Utc>,
}

/// Makes the replica known to the database, and puts back those of its holds that a crash forgot. Returns how many.
pub async fn restore_holds(
    db: impl PgExecutor<'_>,
    owner: ReplicaId,
    hold_for: TimeDelta,
    running: &[RunningHold],
) -> Result<i32, LedgerError> {
    let restored =
        sqlx::query_scalar!(r#"SELECT restore_holds($1, $2, $3) AS "restored!""#, owner.0, interval(hold_for), Json(running) as _);
    Ok(restored.fetch_one(db).await?)
}

/// What was switched off under a running call, so that it must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchedOff {
    KeyDisabled,
    KeyDeleted,
    KeyExpired,
    AccountSuspended,
    Supplier,
}

/// What the database says about a replica's running calls.
#[derive(Debug)]
pub struct Looked {
    /// Calls that must end now.
    pub ended: Vec<(RequestId, SwitchedOff)>,
    /// False when the database does not know the replica, as after a crash that forgot its holds.
    pub known: bool,
}

/// Which of these calls must end. Waits for no lock, so that nothing delays the end of a call.
pub async fn look_at_holds(db: impl PgExecutor<'_>, owner: ReplicaId, calls: &[RequestId]) -> Result<Looked, LedgerError> {
    let calls: Vec<Uuid> = calls.iter().map(|call| call.0).collect();
    let rows = sqlx::query!(
        r#"SELECT r.known AS "known!", e.request_id AS "request_id?", e.off AS "off?"
             FROM (SELECT EXISTS (SELECT 1 FROM replicas WHERE owner = $1) AS known) r
             LEFT JOIN (SELECT h.request_id,
                               CASE WHEN k.status = 'deleted' THEN 'key_deleted'
                                    WHEN k.status <> 'enabled' THEN 'key_disabled'
                                    WHEN k.expires_at <= clock_timestamp() THEN 'key_expired'
                                    WHEN a.suspended_at IS NOT NULL THEN 'account_suspended'
                                    WHEN s.status <> 'enabled' THEN 'supplier' END AS off
                          FROM holds h
                          JOIN api_keys k ON k.key_id = h.key_id
                          JOIN accounts a ON a.account_id = h.account_id
                          JOIN suppliers s ON s.supplier_id = h.supplier_id
                         WHERE h.request_id = ANY ($2)) e ON e.off IS NOT NULL"#,
        owner.0,
        &calls
    )
    .fetch_all(db)
    .await?;
    let known = rows.first().is_some_and(|row| row.known);
    let ended = rows.into_iter().filter_map(|row| Some((RequestId(row.request_id?), row.off?)));
    let ended = ended.map(|(call, off)| match off.as_str() {
        "key_deleted" => Ok((call, SwitchedOff::KeyDeleted)),
        "key_disabled" => Ok((call, SwitchedOff::KeyDisabled)),
        "key_expired" => Ok((call, SwitchedOff::KeyExpired)),
        "account_suspended" => Ok((call, SwitchedOff::AccountSuspended)),
        "supplier" => Ok((call, SwitchedOff::Supplier)),
        _ => Err(LedgerError::BatchMismatch),
    });
    Ok(Looked { ended: ended.collect::<Result<_, _>>()?, known })
}

/// Moves the deadline of the holds of these calls, of which half the time is over. A hold that is locked is being settled, and is
/// left alone. What this replica holds for calls that it does not know, since their admission never reached it, is left to the reaper.
pub async fn extend_holds(db: impl PgExecutor<'_>, owner: ReplicaId, hold_for: TimeDelta, calls: &[RequestId]) -> Result<(), LedgerError> {
    sqlx::query!(
        "UPDATE holds SET deadline = now() + $2::interval
          WHERE request_id IN (SELECT request_id FROM holds
                                WHERE owner = $1 AND deadline < now() + $2::interval * 0.5 AND request_id = ANY ($3)
                                ORDER BY request_id FOR NO KEY UPDATE SKIP LOCKED)",
        owner.0,
        interval(hold_for),
        &calls.iter().map(|call| call.0).collect::<Vec<_>>()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Settles, as interrupted and free of charge, calls whose owner let their deadline pass. Returns how many.
pub async fn reap_holds(db: &PgPool, most: i32) -> Result<i32, LedgerError> {
    Ok(sqlx::query_scalar!(r#"SELECT reap_holds($1) AS "reaped!""#, most).fetch_one(db).await?)
}
