//! Asking whether calls may run. Thin over `admit_groups()` of the migrations, which locks and decides.

use super::{LedgerError, interval};
use crate::ids::{AccountId, ChannelId, KeyId, ReplicaId, RequestId, SupplierId};
use crate::tokens::Tokens;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgExecutor;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
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
    /// Where it came from.
    pub address: IpAddr,
    pub idempotency: Option<Idempotency>,
}

/// What tells a call that is sent twice: SHA-256 of its Idempotency-Key, and of all that it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idempotency {
    pub key_hash: [u8; 32],
    pub fingerprint: [u8; 32],
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
    /// The key's quota of the day, week or month, which ends then.
    PeriodExhausted {
        ends_at: DateTime<Utc>,
    },
    /// What the key's member may spend, ever or in the month that ends then.
    MemberExhausted {
        ends_at: Option<DateTime<Utc>>,
    },
    /// The key may not be used from this address.
    AddressRefused,
    Limited(Limited),
    /// Sent before under the same Idempotency-Key.
    SentBefore {
        original: RequestId,
        state: SentBefore,
    },
    /// The supplier has no enabled channel that speaks this protocol.
    NoChannel,
    /// Nothing was decided: this database does not know the replica. It is new, or a crash forgot its holds. [`restore_holds`],
    /// then ask again.
    HoldsForgotten,
}

/// A limit that was reached, and when the call may work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    pub by: Limit,
    pub retry_after: Duration,
    pub rates: Rates,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    RequestsPerMinute,
    TokensPerMinute,
    ConcurrentCalls,
}

/// The rates that limit a call: of key and account the one of which less remains. None = not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    pub requests: Option<Rate>,
    pub tokens: Option<Rate>,
}

impl Rates {
    /// Of `{limit, remaining, milliseconds until nothing is used}`, as `tighter_rate()` has them.
    pub fn of_columns(requests: Option<&[i64]>, tokens: Option<&[i64]>) -> Rates {
        Rates { requests: rate(requests), tokens: rate(tokens) }
    }
}

/// A limit per minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub limit: i64,
    pub remaining: i64,
    /// Until nothing of it is used any more.
    pub reset: Duration,
}

/// What became of the call that was sent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentBefore {
    /// It asked for something else.
    Mismatch,
    Running,
    /// Its answer is kept.
    Answered,
    /// Its answer is not kept: it was a stream, too long, or broke off.
    Ended,
}

/// A verdict, and whose call it is about.
#[derive(Clone, Debug)]
pub struct Decision {
    /// None where the key is unknown, or nothing was decided.
    pub account_id: Option<AccountId>,
    pub verdict: Verdict,
    /// What limits its key, where the decision came so far: admitted, limited or out of Tokens.
    pub rates: Rates,
}

/// A call that may run, with everything it needs, and the hold that pays for it.
#[derive(Clone, Debug)]
pub struct Admission {
    pub request_id: RequestId,
    pub account_id: AccountId,
    pub key_id: KeyId,
    pub supplier_id: SupplierId,
    pub model_id: String,
    pub upstream_id: Arc<str>,
    pub price_version: i32,
    pub price: Price,
    pub held: Tokens,
    /// The output limit to send upstream, a choice: no more than what the hold pays for.
    pub output_limit: i64,
    pub channels: Arc<[Channel]>,
    /// Whether the supplier's answer is read to its end when the caller leaves.
    pub drains: bool,
    /// Tokens that the supplier adds to the input of each call; the hold covers them.
    pub prompt_overhead: i64,
    /// What the model takes and puts out at most.
    pub context_tokens: i64,
    pub max_output_tokens: i64,
    pub rates: Rates,
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
    /// Those of the highest are tried first.
    pub priority: i32,
}

/// Admits calls in one round trip, each on its own merits; decisions come in the order of the requests.
///
/// The transaction commits asynchronously: a hold is seen by every replica at once, and one that a crash of Postgres forgets
/// costs nobody anything (its settlement charges what the account can pay). Tokens that rolled over for it are forgotten with it, and roll
/// over again with the next. That a call was sent under an Idempotency-Key may not be
/// forgotten, so a batch with such a call waits for the disk.
///
/// `again`: the same calls were sent before and their answer was lost, so that some may hold Tokens already. They are decided anew.
pub async fn admit_calls(
    db: impl PgExecutor<'_>,
    requests: &[AdmissionRequest],
    owner: ReplicaId,
    hold_for: TimeDelta,
    again: bool,
) -> Result<Vec<Decision>, LedgerError> {
    let hash = |of: fn(Idempotency) -> [u8; 32]| requests.iter().map(|r| r.idempotency.map(|i| of(i).to_vec())).collect::<Vec<_>>();
    let commit = if requests.iter().any(|request| request.idempotency.is_some()) { "on" } else { "off" };
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT request_ids AS "request_ids!", verdict AS "verdict!", account_id, key_id, supplier_id, upstream_id, price_version,
                  input_ppm, cached_ppm, output_ppm, helds AS "helds!: Vec<Option<i64>>", output_limits AS "output_limits!: Vec<Option<i64>>",
                  channel_ids, base_urls, secrets_sealed AS "secrets_sealed: Vec<Option<Vec<u8>>>", weights, priorities, on_leave,
                  prompt_overhead, original_id, period_ends, rate_requests, rate_tokens, retry_ms, context_tokens, max_output_tokens
             FROM (SELECT set_config('synchronous_commit', $17, true)) AS commit,
                  admit_groups($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text[]::inet[], $12, $13, $14, $15, $16)"#,
        &requests.iter().map(|r| r.request_id.0).collect::<Vec<_>>(),
        &requests.iter().map(|r| &r.secret_hash[..]).collect::<Vec<_>>() as &[&[u8]],
        &requests.iter().map(|r| r.model_id.as_str()).collect::<Vec<_>>() as &[&str],
        &requests.iter().map(|r| r.protocol).collect::<Vec<_>>() as &[&str],
        &requests.iter().map(|r| r.input_tokens).collect::<Vec<_>>(),
        &requests.iter().map(|r| r.output_limit).collect::<Vec<_>>() as &[Option<i64>],
        &requests.iter().map(|r| r.choices).collect::<Vec<_>>(),
        &requests.iter().map(|r| r.exact).collect::<Vec<_>>(),
        &requests.iter().map(|r| r.endpoint).collect::<Vec<_>>() as &[&str],
        &requests.iter().map(|r| r.streamed).collect::<Vec<_>>(),
        &requests.iter().map(|r| r.address.to_string()).collect::<Vec<_>>(),
        &hash(|idempotency| idempotency.key_hash) as &[Option<Vec<u8>>],
        &hash(|idempotency| idempotency.fingerprint) as &[Option<Vec<u8>>],
        owner.0,
        interval(hold_for),
        again,
        commit
    )
    .fetch_all(db)
    .await?;
    // The database decides account by account.
    let groups: Vec<Group> = rows.into_iter().map(Group::of).collect();
    let mut places = HashMap::with_capacity(requests.len());
    for group in &groups {
        for (place, request_id) in group.row.request_ids.iter().enumerate() {
            places.insert(*request_id, (group, place));
        }
    }
    let decided: usize = groups.iter().map(|group| group.row.request_ids.len()).sum();
    if [decided, places.len()] != [requests.len(); 2] {
        return Err(LedgerError::BatchMismatch);
    }
    let decision = |request: &AdmissionRequest| {
        let (group, place) = places.get(&request.request_id.0)?;
        group.decision(request, *place)
    };
    requests.iter().map(decision).collect::<Option<_>>().ok_or(LedgerError::BatchMismatch)
}

/// A row of `admit_groups()`: calls that were decided alike, what each holds, and its output limit.
struct Row {
    request_ids: Vec<Uuid>,
    verdict: String,
    account_id: Option<Uuid>,
    key_id: Option<Uuid>,
    supplier_id: Option<Uuid>,
    upstream_id: Option<String>,
    price_version: Option<i32>,
    input_ppm: Option<i64>,
    cached_ppm: Option<i64>,
    output_ppm: Option<i64>,
    helds: Vec<Option<i64>>,
    output_limits: Vec<Option<i64>>,
    channel_ids: Option<Vec<Uuid>>,
    base_urls: Option<Vec<String>>,
    secrets_sealed: Option<Vec<Option<Vec<u8>>>>,
    weights: Option<Vec<i32>>,
    priorities: Option<Vec<i32>>,
    on_leave: Option<String>,
    prompt_overhead: Option<i64>,
    original_id: Option<Uuid>,
    period_ends: Option<DateTime<Utc>>,
    rate_requests: Option<Vec<i64>>,
    rate_tokens: Option<Vec<i64>>,
    retry_ms: Option<i64>,
    context_tokens: Option<i64>,
    max_output_tokens: Option<i64>,
}

/// A row, and what its calls share.
struct Group {
    row: Row,
    upstream_id: Option<Arc<str>>,
    channels: Option<Arc<[Channel]>>,
}

impl Group {
    fn of(mut row: Row) -> Group {
        Group { upstream_id: row.upstream_id.take().map(Arc::from), channels: row.channels(), row }
    }

    /// None for a row that our function does not give.
    fn decision(&self, request: &AdmissionRequest, place: usize) -> Option<Decision> {
        let verdict = match self.row.verdict.as_str() {
            "admitted" => Verdict::Admitted(self.admission(request, place)?),
            _ => self.row.refusal()?,
        };
        Some(Decision { account_id: self.row.account_id.map(AccountId), rates: self.row.rates(), verdict })
    }

    fn admission(&self, request: &AdmissionRequest, place: usize) -> Option<Admission> {
        let row = &self.row;
        Some(Admission {
            request_id: request.request_id,
            account_id: AccountId(row.account_id?),
            key_id: KeyId(row.key_id?),
            supplier_id: SupplierId(row.supplier_id?),
            model_id: request.model_id.clone(),
            upstream_id: self.upstream_id.clone()?,
            price_version: row.price_version?,
            price: Price { input_ppm: row.input_ppm?, cached_ppm: row.cached_ppm?, output_ppm: row.output_ppm? },
            held: Tokens((*row.helds.get(place)?)?),
            output_limit: (*row.output_limits.get(place)?)?,
            drains: row.on_leave.as_deref() == Some("drain"),
            prompt_overhead: row.prompt_overhead?,
            // Not known of a model that was added while the call waited for its locks.
            context_tokens: row.context_tokens.unwrap_or(i64::MAX),
            max_output_tokens: row.max_output_tokens.unwrap_or(i64::MAX),
            rates: row.rates(),
            channels: self.channels.clone()?,
        })
    }
}

impl Row {
    fn refusal(&self) -> Option<Verdict> {
        Some(match self.verdict.as_str() {
            "count_input" => Verdict::CountInput,
            "unknown_key" => Verdict::UnknownKey,
            "key_disabled" => Verdict::KeyDisabled,
            "key_expired" => Verdict::KeyExpired,
            "account_suspended" => Verdict::AccountSuspended,
            "address_refused" => Verdict::AddressRefused,
            "model_not_found" => Verdict::ModelNotFound,
            "no_channel" => Verdict::NoChannel,
            "balance_exhausted" => Verdict::BalanceExhausted,
            "quota_exhausted" => Verdict::QuotaExhausted,
            "period_exhausted" => Verdict::PeriodExhausted { ends_at: self.period_ends? },
            "member_exhausted" => Verdict::MemberExhausted { ends_at: None },
            "member_month_exhausted" => Verdict::MemberExhausted { ends_at: Some(self.period_ends?) },
            "requests_limited" => self.limited(Limit::RequestsPerMinute)?,
            "tokens_limited" => self.limited(Limit::TokensPerMinute)?,
            "calls_limited" => self.limited(Limit::ConcurrentCalls)?,
            "idempotency_mismatch" => self.sent_before(SentBefore::Mismatch)?,
            "idempotency_running" => self.sent_before(SentBefore::Running)?,
            "idempotency_answered" => self.sent_before(SentBefore::Answered)?,
            "idempotency_ended" => self.sent_before(SentBefore::Ended)?,
            "holds_forgotten" => Verdict::HoldsForgotten,
            _ => return None,
        })
    }

    fn channels(&mut self) -> Option<Arc<[Channel]>> {
        let ranks = self.weights.take()?.into_iter().zip(self.priorities.take()?);
        let ways = self.base_urls.take()?.into_iter().zip(self.secrets_sealed.take()?);
        let channels = self.channel_ids.take()?.into_iter().zip(ways).zip(ranks);
        let channel = |((id, (base_url, secret_sealed)), (weight, priority))| Channel {
            channel_id: ChannelId(id),
            base_url,
            secret_sealed,
            weight,
            priority,
        };
        Some(channels.map(channel).collect())
    }

    fn limited(&self, by: Limit) -> Option<Verdict> {
        Some(Verdict::Limited(Limited { by, retry_after: milliseconds(self.retry_ms?), rates: self.rates() }))
    }

    fn sent_before(&self, state: SentBefore) -> Option<Verdict> {
        Some(Verdict::SentBefore { original: RequestId(self.original_id?), state })
    }

    fn rates(&self) -> Rates {
        Rates::of_columns(self.rate_requests.as_deref(), self.rate_tokens.as_deref())
    }
}

fn rate(columns: Option<&[i64]>) -> Option<Rate> {
    let [limit, remaining, reset_ms] = *columns? else { return None };
    Some(Rate { limit, remaining, reset: milliseconds(reset_ms) })
}

fn milliseconds(count: i64) -> Duration {
    Duration::from_millis(count.unsigned_abs())
}
