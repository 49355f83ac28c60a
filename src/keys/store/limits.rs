//! What limits the calls of a key beside its quota. Decided with each call's hold, in `admit_groups()`; here it is set and read.

use super::deeds::{Deed, write_down_in};
use super::{KeyError, KeyOwner, lock_key_in};
use crate::connections::again;
use crate::ids::KeyId;
use crate::journal::types::Kind;
use crate::keys::types_limits::{KeyLimits, Period, PeriodQuota};
use crate::tokens::Tokens;
use chrono::{DateTime, Utc};
use ipnet::IpNet;
use sqlx::PgPool;
use std::net::IpAddr;

/// What to change; none = leave it, `Some(None)` and an empty list = take the limit away.
#[derive(Clone, Debug, Default)]
pub struct LimitsEdit {
    pub requests_per_minute: Option<Option<i32>>,
    pub tokens_per_minute: Option<Option<Tokens>>,
    pub concurrent_calls: Option<Option<i32>>,
    pub models: Option<Vec<String>>,
    pub networks: Option<Vec<IpNet>>,
    /// Its Tokens and its period; the zone stays, or is UTC.
    pub period: Option<Option<(Period, Tokens)>>,
    pub time_zone: Option<String>,
}

impl LimitsEdit {
    pub fn is_nothing(&self) -> bool {
        let LimitsEdit { requests_per_minute, tokens_per_minute, concurrent_calls, models, networks, period, time_zone } = self;
        requests_per_minute.is_none()
            && tokens_per_minute.is_none()
            && concurrent_calls.is_none()
            && (models.is_none() && networks.is_none() && period.is_none() && time_zone.is_none())
    }
}

/// A network, or one address as a network of its own.
pub fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// The row of `api_keys`, as far as limits go.
pub(super) struct Row {
    pub(super) requests_per_minute: Option<i32>,
    pub(super) tokens_per_minute: Option<i64>,
    pub(super) concurrent_calls: Option<i32>,
    pub(super) models: Vec<String>,
    pub(super) networks: Vec<String>,
    pub(super) period: Option<String>,
    pub(super) period_zone: Option<String>,
    pub(super) period_quota: Option<i64>,
    pub(super) period_used: i64,
    pub(super) period_ends: Option<DateTime<Utc>>,
}

impl From<Row> for KeyLimits {
    fn from(row: Row) -> KeyLimits {
        let period = || {
            Some(PeriodQuota {
                period: Period::parse(row.period.as_deref()?)?,
                time_zone: row.period_zone?,
                quota: Tokens(row.period_quota?),
                used: Tokens(row.period_used),
                ends_at: row.period_ends?.into(),
            })
        };
        KeyLimits {
            requests_per_minute: row.requests_per_minute,
            tokens_per_minute: row.tokens_per_minute.map(Tokens),
            concurrent_calls: row.concurrent_calls,
            models: row.models,
            networks: row.networks,
            period: period(),
        }
    }
}

/// The limits of a key that is there.
pub async fn limits_of(db: impl sqlx::PgExecutor<'_>, key_id: KeyId) -> Result<KeyLimits, KeyError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT requests_per_minute, tokens_per_minute, concurrent_calls, coalesce(allowed_models, '{}') AS "models!",
                  coalesce(allowed_networks, '{}')::text[] AS "networks!", period, period_zone, period_quota,
                  used_of_period(k, now()) AS "period_used!", period_end(period, period_zone, now()) AS period_ends
             FROM api_keys k WHERE key_id = $1"#,
        key_id.0
    );
    Ok(row.fetch_optional(db).await?.ok_or(KeyError::NotFound)?.into())
}

/// Changes the limits of a key; the next call with it sees them.
pub async fn update_limits(db: &PgPool, owner: KeyOwner<'_>, key_id: KeyId, edit: LimitsEdit) -> Result<(), KeyError> {
    again(|| update_limits_once(db, owner, key_id, edit.clone())).await
}

async fn update_limits_once(db: &PgPool, owner: KeyOwner<'_>, key_id: KeyId, edit: LimitsEdit) -> Result<(), KeyError> {
    let mut tx = db.begin().await?;
    let key = lock_key_in(&mut tx, owner, key_id).await?;
    let before = limits_of(&mut *tx, key_id).await?;
    let period = edit.period.unwrap_or_else(|| before.period.as_ref().map(|period| (period.period, period.quota)));
    let zone = edit.time_zone.or_else(|| before.period.as_ref().map(|period| period.time_zone.clone())).unwrap_or_else(|| "UTC".into());
    let zone = period.is_some().then_some(zone);
    let models = edit.models.unwrap_or_else(|| before.models.clone());
    let networks = edit.networks.map(|networks| networks.iter().map(|network| network.trunc().to_string()).collect());
    let networks: Vec<String> = networks.unwrap_or_else(|| before.networks.clone());
    // The list of all zones is read from files, 30 ms in which the key's calls would wait: not for one that was found there before.
    let is_known = |zone: &&String| *zone == "UTC" || before.period.as_ref().is_some_and(|period| period.time_zone == **zone);
    let known = sqlx::query!(
        r#"SELECT NOT EXISTS (SELECT 1 FROM unnest($1::text[]) w WHERE w NOT IN (SELECT model_id FROM models)) AS "models!",
                  $2::text IS NULL OR EXISTS (SELECT 1 FROM pg_timezone_names WHERE name = $2) AS "zone!""#,
        &models,
        zone.as_ref().filter(|zone| !is_known(zone))
    )
    .fetch_one(&mut *tx)
    .await?;
    match known {
        _ if !known.models => return Err(KeyError::UnknownModel),
        _ if !known.zone => return Err(KeyError::UnknownTimeZone),
        _ => {}
    }
    // Of a period that is new, what was spent and is held in it already counts.
    sqlx::query!(
        "UPDATE api_keys k
            SET requests_per_minute = $2, tokens_per_minute = $3, concurrent_calls = $4,
                allowed_models = nullif($5::text[], '{}'), allowed_networks = nullif($6::text[], '{}')::cidr[],
                period = $7, period_zone = $8, period_quota = $9,
                period_began = CASE
                    WHEN (k.period, k.period_zone) = ($7, $8) THEN greatest(k.period_began, period_start($7, $8, now()))
                    ELSE period_start($7, $8, now()) END,
                period_used = CASE
                    WHEN $7::text IS NULL THEN 0
                    WHEN (k.period, k.period_zone) = ($7, $8) THEN used_of_period(k, now())
                    ELSE (SELECT coalesce(sum(u.charge), 0) FROM usage_records u
                           WHERE u.key_id = k.key_id AND u.started_at >= period_start($7, $8, now())
                             AND u.request_id >= first_request_id(period_start($7, $8, now()) - interval '10 minutes'))
                       + (SELECT coalesce(sum(h.tokens), 0) FROM holds h
                           WHERE h.key_id = k.key_id AND h.created_at >= period_start($7, $8, now())) END
          WHERE key_id = $1",
        key_id.0,
        edit.requests_per_minute.unwrap_or(before.requests_per_minute),
        edit.tokens_per_minute.unwrap_or(before.tokens_per_minute).map(|tokens| tokens.0),
        edit.concurrent_calls.unwrap_or(before.concurrent_calls),
        &models,
        &networks,
        period.map(|(period, _)| period.as_str()),
        zone,
        period.map(|(_, quota)| quota.0)
    )
    .execute(&mut *tx)
    .await?;
    let after = limits_of(&mut *tx, key_id).await?;
    let deed = Deed {
        action: "key.limit",
        kind: Kind::KeyLimited,
        account_id: key.account_id,
        key_id,
        name: &key.name,
        before: Some(&before),
        after: Some(&after),
    };
    write_down_in(&mut tx, owner, deed).await?;
    tx.commit().await?;
    Ok(())
}
