//! A key as whoever calls with it sees it.

use super::{KeyError, limits_of, replacement_of};
use crate::ids::{AccountId, KeyId, SupplierId};
use crate::keys::types_limits::KeyLimits;
use crate::tokens::Tokens;
use crate::wallet::ledger::Rates;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use std::net::IpAddr;

/// A key that may call, and what is left to it.
#[derive(Clone, Debug)]
pub struct CallerKey {
    pub key_id: KeyId,
    pub account_id: AccountId,
    pub name: String,
    /// Id and slug are there together, or neither is: then the key is for every supplier.
    pub supplier_id: Option<SupplierId>,
    pub supplier_slug: Option<String>,
    pub quota: Option<Tokens>,
    pub spent: Tokens,
    pub held: Tokens,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    /// The balance of the account's wallet.
    pub wallet_left: Tokens,
    pub limits: KeyLimits,
    /// How far its rates and its account's are used.
    pub rates: Rates,
    /// What the member whose key it is may still spend, where a limit is set.
    pub member_left: MemberLeft,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct MemberLeft {
    pub ever: Option<Tokens>,
    pub this_month: Option<Tokens>,
}

impl CallerKey {
    /// What of its own quota no call has spent or holds; none = it has no quota.
    pub fn quota_left(&self) -> Option<Tokens> {
        self.quota.map(|quota| Tokens(quota.0 - self.spent.0 - self.held.0))
    }
}

/// Whether a secret may call: the conditions of admission, in the same order.
#[derive(Clone, Debug)]
pub enum Caller {
    Unknown,
    Disabled,
    Expired,
    Suspended,
    /// Not from this address.
    Elsewhere,
    Key(Box<CallerKey>),
}

/// Who presents the secret with this digest; one that was replaced counts while it still works.
pub async fn caller_by_hash(db: &mut PgConnection, secret_hash: [u8; 32], address: IpAddr) -> Result<Caller, KeyError> {
    match caller_now(db, secret_hash, address).await? {
        Caller::Unknown => match replacement_of(&mut *db, secret_hash).await? {
            Some(secret_hash) => caller_now(db, secret_hash, address).await,
            None => Ok(Caller::Unknown),
        },
        caller => Ok(caller),
    }
}

async fn caller_now(db: &mut PgConnection, secret_hash: [u8; 32], address: IpAddr) -> Result<Caller, KeyError> {
    let row = sqlx::query!(
        r#"SELECT k.key_id, k.account_id, k.name, k.supplier_id, s.slug AS "supplier_slug?", k.quota, k.spent, k.held, k.status, k.expires_at,
                  coalesce(k.expires_at <= now(), false) AS "expired!", k.last_used_at, a.suspended_at,
                  k.allowed_networks IS NULL OR EXISTS (SELECT 1 FROM unnest(k.allowed_networks) n WHERE $2::text::inet <<= n) AS "here!",
                  (SELECT coalesce(sum(g.left_), 0)::bigint FROM grants g
                    WHERE g.account_id = k.account_id AND g.swept_at IS NULL AND g.starts_at <= now() AND g.expires_at > now())
                      AS "wallet_left!",
                  left_ever(b) AS member_left, left_this_month(b, now()) AS month_left,
                  tighter_rate(tighter_rate(NULL, k.requests_per_minute, now(), k.requests_full_at),
                               a.requests_per_minute, now(), a.requests_full_at) AS rate_requests,
                  tighter_rate(tighter_rate(NULL, k.tokens_per_minute, now(), k.tokens_full_at),
                               a.tokens_per_minute, now(), a.tokens_full_at) AS rate_tokens
             FROM api_keys k
             JOIN accounts a USING (account_id)
             LEFT JOIN suppliers s USING (supplier_id)
             LEFT JOIN members b ON b.account_id = k.account_id AND b.user_id = k.created_by
            WHERE k.secret_hash = $1 AND k.status <> 'deleted'"#,
        &secret_hash[..],
        address.to_string()
    )
    .fetch_optional(&mut *db)
    .await?;
    Ok(match row {
        None => Caller::Unknown,
        Some(row) if row.status != "enabled" => Caller::Disabled,
        Some(row) if row.expired => Caller::Expired,
        Some(row) if row.suspended_at.is_some() => Caller::Suspended,
        Some(row) if !row.here => Caller::Elsewhere,
        Some(row) => Caller::Key(Box::new(CallerKey {
            key_id: KeyId(row.key_id),
            account_id: AccountId(row.account_id),
            name: row.name,
            supplier_id: row.supplier_id.map(SupplierId),
            supplier_slug: row.supplier_slug,
            quota: row.quota.map(Tokens),
            spent: Tokens(row.spent),
            held: Tokens(row.held),
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            wallet_left: Tokens(row.wallet_left),
            rates: Rates::of_columns(row.rate_requests.as_deref(), row.rate_tokens.as_deref()),
            limits: limits_of(db, KeyId(row.key_id)).await?,
            member_left: MemberLeft { ever: row.member_left.map(Tokens), this_month: row.month_left.map(Tokens) },
        })),
    })
}
