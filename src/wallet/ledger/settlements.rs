//! How calls end in the books: each settled once, with the record that its charge can be recomputed from.

use super::LedgerError;
use crate::ids::{AccountId, ChannelId, KeyId, RequestId, SupplierId};
use crate::tokens::Tokens;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::{Oid, PgRecordEncoder};
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo};
use sqlx::{Encode, PgExecutor, Postgres, Type};
use std::borrow::Cow;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    /// The supplier refused or failed before anything was delivered.
    UpstreamError,
    UpstreamTimeout,
    /// The answer broke off, or could not be read.
    UpstreamCut,
    ClientLeft,
    /// Key, account or supplier was switched off while the answer ran.
    KeyEnded,
    /// The replica went down first.
    Interrupted,
}

/// What a charge rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Basis {
    /// The supplier's own usage report.
    Measured,
    /// Our tokenizer, over what was sent and what came back.
    Counted,
    /// Nothing was delivered, nothing is charged.
    Waived,
}

/// A finished call, as its usage record will say it. The names are the columns of `usage_records`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settlement {
    pub request_id: RequestId,
    pub account_id: AccountId,
    pub key_id: KeyId,
    pub model_id: String,
    pub supplier_id: SupplierId,
    pub channel_id: Option<ChannelId>,
    pub price_version: i32,
    pub endpoint: Cow<'static, str>,
    pub streamed: bool,
    pub outcome: Outcome,
    pub basis: Basis,
    pub http_status: i32,
    pub input_tokens: i64,
    pub cached_tokens: i64,
    pub output_tokens: i64,
    /// What its hold was at first: the most that it is charged where a crash forgot that. None in what replicas of before left in the spool.
    #[serde(default)]
    pub held: Option<Tokens>,
    /// What the call cost; beyond its hold it is written off.
    pub charge: Tokens,
    /// The supplier's report, word for word.
    pub upstream_usage: Option<Box<RawValue>>,
    pub started_at: DateTime<Utc>,
    pub first_byte_ms: Option<i64>,
    pub latency_ms: i64,
}

/// The composite type `settlement` of the database, which has all but `held`: replicas of before still send it.
impl Type<Postgres> for Settlement {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("settlement")
    }
}

impl PgHasArrayType for Settlement {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::array_of("settlement")
    }
}

impl Encode<'_, Postgres> for Settlement {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        // In the order of the type's attributes.
        let mut record = PgRecordEncoder::new(buffer);
        record.encode(self.request_id.0)?;
        record.encode(self.account_id.0)?;
        record.encode(self.key_id.0)?;
        record.encode(self.model_id.as_str())?;
        record.encode(self.supplier_id.0)?;
        record.encode(self.channel_id.map(|channel| channel.0))?;
        record.encode(self.price_version)?;
        record.encode(self.endpoint.as_ref())?;
        record.encode(self.streamed)?;
        record.encode(self.outcome)?;
        record.encode(self.basis)?;
        record.encode(self.http_status)?;
        record.encode(self.input_tokens)?;
        record.encode(self.cached_tokens)?;
        record.encode(self.output_tokens)?;
        record.encode(self.charge.0)?;
        record.encode(self.upstream_usage.as_deref().map(Verbatim))?;
        record.encode(self.started_at)?;
        record.encode(self.first_byte_ms)?;
        record.encode(self.latency_ms)?;
        record.finish();
        Ok(IsNull::No)
    }
}

/// A value of type `json`, which keeps the text as it is; sqlx's own wrapper makes a `jsonb` of it.
struct Verbatim<'a>(&'a RawValue);

impl Type<Postgres> for Verbatim<'_> {
    fn type_info() -> PgTypeInfo {
        /// Of `json` in every database (`pg_type.dat`).
        const OID: Oid = Oid(114);
        PgTypeInfo::with_oid(OID)
    }
}

impl Encode<'_, Postgres> for Verbatim<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <&str as Encode<Postgres>>::encode(self.0.get(), buffer)
    }
}

/// What a settlement came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// False when the call had been settled before: that record stands.
    pub first: bool,
    pub charge: Tokens,
    pub balance_left: Tokens,
    /// What the key's quota, its period and its member's limits leave it, the least of them; none = nothing limits it but the wallet.
    pub quota_left: Option<Tokens>,
}

/// Settles calls, each exactly once, durably. Results come in the order given.
///
/// A procedure that commits twice, so that nobody waits for the disk behind the locks of these calls: it cannot be part of a
/// transaction. (The macros ask for the plan of a statement, and a CALL has none.)
pub async fn settle_calls(db: impl PgExecutor<'_>, settlements: &[Settlement]) -> Result<Vec<Settled>, LedgerError> {
    let helds: Vec<_> = settlements.iter().map(|settlement| settlement.held.map(|held| held.0)).collect();
    type Answer = (Vec<bool>, Vec<i64>, Vec<i64>, Vec<Option<i64>>);
    let (firsts, charges, balances, quotas): Answer =
        sqlx::query_as("CALL settle_calls_durably($1, $2, NULL, NULL, NULL, NULL)").bind(settlements).bind(helds).fetch_one(db).await?;
    if [firsts.len(), charges.len(), balances.len(), quotas.len()] != [settlements.len(); 4] {
        return Err(LedgerError::BatchMismatch);
    }
    let columns = firsts.into_iter().zip(charges).zip(balances).zip(quotas);
    let settled = columns.map(|(((first, charge), balance), quota)| Settled {
        first,
        charge: Tokens(charge),
        balance_left: Tokens(balance),
        // A limit may have been set below what is used.
        quota_left: quota.map(|left| Tokens(left.max(0))),
    });
    Ok(settled.collect())
}
