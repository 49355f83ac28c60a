//! All reads of wallets: their standing, their grants and what those add up to. Nothing is written here; that is `ledger`. The statement is in `statement`.

pub mod statement;

use crate::error::{ConsoleError, unavailable};
use crate::ids::{AccountId, GrantId, OrderId};
use crate::tokens::Tokens;
pub use crate::wallet::types::AccountTotals;
use crate::wallet::types::{GrantSource, GrantTurn, GrantView, Standing, Warning};
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use std::collections::HashMap;

#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    #[error("database failed")]
    Db(#[source] sqlx::Error),
}

impl From<sqlx::Error> for WalletError {
    fn from(error: sqlx::Error) -> WalletError {
        WalletError::Db(error)
    }
}

impl From<WalletError> for ConsoleError {
    fn from(error: WalletError) -> ConsoleError {
        match error {
            WalletError::Db(error) => unavailable(&error),
        }
    }
}

/// The balance, and what should be known about it, from one look.
pub async fn standing_of(db: impl PgExecutor<'_>, account_id: AccountId) -> Result<Standing, WalletError> {
    let row = sqlx::query_as!(
        StandingRow,
        r#"SELECT balance AS "balance!", brought AS "brought!", ending AS "ending!", ends_at, ever AS "ever!" FROM standings($1)"#,
        account_id.0
    );
    Ok(row.fetch_one(db).await?.standing())
}

/// A row of `standings()` of the migrations.
pub struct StandingRow {
    pub balance: i64,
    pub brought: i64,
    pub ending: i64,
    pub ends_at: Option<DateTime<Utc>>,
    pub ever: bool,
}

impl StandingRow {
    pub fn standing(self) -> Standing {
        let amount = match self.balance {
            0 => self.ever.then_some(Warning::Empty),
            left => (i128::from(left) * 10 <= i128::from(self.brought)).then_some(Warning::Low(Tokens(left))),
        };
        // Of what is low, the rest may be lost to time as well.
        let time = self.ends_at.map(|at| Warning::EndsSoon(Tokens(self.ending), at.into()));
        Standing { balance: Tokens(self.balance), warnings: amount.into_iter().chain(time).collect() }
    }
}

/// One grant at one moment. What is left when its time is over counts as expired, as in [`AccountTotals`]; while it is frozen, its time
/// stands still.
#[derive(Clone, Debug, Serialize)]
pub struct GrantRow {
    pub grant_id: GrantId,
    pub source: GrantSource,
    pub order_id: Option<OrderId>,
    /// Of its order, as it was bought.
    pub package_name: Option<String>,
    pub note: Option<String>,
    pub tokens: Tokens,
    pub left: Tokens,
    pub held: Tokens,
    pub spent: Tokens,
    pub expired: Tokens,
    pub refunded: Tokens,
    pub starts_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// Slugs of the suppliers it may be spent on; empty = all.
    pub scope_suppliers: Vec<String>,
    /// Models it may be spent on; empty = all.
    pub scope_models: Vec<String>,
    /// Whether it has begun, its time is not over, and its payment is not disputed.
    pub current: bool,
    /// Whether its payment is disputed, or went back.
    pub frozen: bool,
    /// Whether anything of it may still be spent, now or later.
    pub live: bool,
}

/// The account's grants: those that may still pay first, in burn order; then the others, the last to end first.
pub async fn grants_of(db: impl PgExecutor<'_>, account_id: AccountId) -> Result<Vec<GrantRow>, WalletError> {
    Ok(grants_and_charges(db, account_id, 0).await?.0)
}

/// The same, and what was charged on each of the last `days` full days (UTC), the oldest first; in one statement, since who foretells how
/// long grants last needs both. Without a grant nothing was charged.
pub async fn grants_and_charges(
    db: impl PgExecutor<'_>,
    account_id: AccountId,
    days: i32,
) -> Result<(Vec<GrantRow>, Vec<Tokens>), WalletError> {
    let today = Utc::now().date_naive().and_time(NaiveTime::MIN).and_utc();
    let first = today - TimeDelta::days(i64::from(days));
    let rows = sqlx::query!(
        r#"SELECT g.grant_id, g.source, g.order_id, g.note, g.tokens, g.held, g.spent, g.refunded, g.starts_at, g.expires_at,
                  g.scope_model_ids, o.package_name AS "package_name?",
                  ARRAY (SELECT s.slug FROM suppliers s WHERE s.supplier_id = ANY (g.scope_supplier_ids) ORDER BY s.slug)
                      AS "scope_suppliers!",
                  CASE WHEN t.has_time THEN g.left_ ELSE 0 END AS "left!",
                  CASE WHEN t.has_time THEN g.expired ELSE g.expired + g.left_ END AS "expired!",
                  g.starts_at <= now() AND g.expires_at > now() AND g.frozen_at IS NULL AS "current!",
                  g.frozen_at IS NOT NULL AS "frozen!",
                  v.live AS "live!",
                  CASE WHEN row_number() OVER () = 1 THEN c.days END AS days, CASE WHEN row_number() OVER () = 1 THEN c.charges END AS charges
             FROM grants g LEFT JOIN orders o ON o.order_id = g.order_id,
                  LATERAL (SELECT g.expires_at > least(now(), g.frozen_at) AS has_time) t,
                  LATERAL (SELECT t.has_time AND g.left_ + g.held > 0 AS live) v,
                  (SELECT array_agg(d.starts_at) AS days, array_agg(d.charge) AS charges
                     FROM (SELECT u.starts_at, sum(u.charge)::bigint AS charge FROM usage_totals u
                            WHERE u.account_id = $1 AND u.unit = 'day' AND u.starts_at >= $2 AND u.starts_at < $3
                            GROUP BY u.starts_at) d) c
            WHERE g.account_id = $1
            ORDER BY v.live DESC, CASE WHEN NOT v.live THEN g.expires_at END DESC,
                     g.scoped DESC, g.expires_at, g.created_at, g.grant_id"#,
        account_id.0,
        first,
        today
    )
    .fetch_all(db)
    .await?;
    // One of them has these.
    let charged = rows.iter().find_map(|row| Some((row.days.as_ref()?, row.charges.as_ref()?)));
    let charged: HashMap<_, _> = charged.map(|(days, charges)| days.iter().zip(charges).collect()).unwrap_or_default();
    let charges =
        (0..days).map(|day| Tokens(charged.get(&(first + TimeDelta::days(i64::from(day)))).map_or(0, |charge| **charge))).collect();
    let grants = rows
        .into_iter()
        .map(|row| GrantRow {
            grant_id: GrantId(row.grant_id),
            source: GrantSource::from_column(&row.source),
            order_id: row.order_id.map(OrderId),
            package_name: row.package_name,
            note: row.note,
            tokens: Tokens(row.tokens),
            left: Tokens(row.left),
            held: Tokens(row.held),
            spent: Tokens(row.spent),
            expired: Tokens(row.expired),
            refunded: Tokens(row.refunded),
            starts_at: row.starts_at,
            expires_at: row.expires_at,
            scope_suppliers: row.scope_suppliers,
            scope_models: row.scope_model_ids,
            current: row.current,
            frozen: row.frozen,
            live: row.live,
        })
        .collect();
    Ok((grants, charges))
}

/// What can be spent now: left in the grants that have begun and are not over. What calls hold is not in it.
pub fn balance_in(grants: &[GrantRow]) -> Tokens {
    sum(grants.iter().filter(|grant| grant.current).map(|grant| grant.left))
}

/// Where every Token of these grants is. What is left in a grant whose time is over counts as expired, whether or not the sweep has written
/// it yet.
pub fn totals_in(grants: &[GrantRow]) -> AccountTotals {
    let each = |amount: fn(&GrantRow) -> Tokens| sum(grants.iter().map(amount));
    AccountTotals {
        granted: each(|grant| grant.tokens),
        spent: each(|grant| grant.spent),
        held: each(|grant| grant.held),
        left: each(|grant| grant.left),
        expired: each(|grant| grant.expired),
        refunded: each(|grant| grant.refunded),
    }
}

fn sum(amounts: impl Iterator<Item = Tokens>) -> Tokens {
    Tokens(amounts.fold(0, |sum, amount| sum.saturating_add(amount.0)))
}

/// Grants in the order of [`grants_of`], each with the part it plays: the first that can pay, and when its scope is narrow also the
/// first that pays for everything else.
pub fn with_turns(rows: Vec<GrantRow>) -> Vec<GrantView> {
    let now = Utc::now();
    let mut scoped_turn_taken = false;
    let mut turn_taken = false;
    rows.into_iter()
        .map(|row| {
            let scoped = !row.scope_suppliers.is_empty() || !row.scope_models.is_empty();
            let can_pay = row.current && row.left.0 > 0;
            let turn = match () {
                () if !row.live && row.expired.0 + row.held.0 > 0 => GrantTurn::Expired,
                () if !row.live => GrantTurn::UsedUp,
                () if row.frozen => GrantTurn::Frozen,
                () if !row.current => GrantTurn::NotStarted,
                () if can_pay && scoped && !scoped_turn_taken => GrantTurn::PaysNextInScope,
                () if can_pay && !scoped && !turn_taken => GrantTurn::PaysNext,
                () => GrantTurn::Waiting,
            };
            scoped_turn_taken |= turn == GrantTurn::PaysNextInScope;
            turn_taken |= turn == GrantTurn::PaysNext;
            view_of(row, turn, now)
        })
        .collect()
}

fn view_of(row: GrantRow, turn: GrantTurn, now: DateTime<Utc>) -> GrantView {
    GrantView {
        grant_id: row.grant_id,
        source: row.source,
        order_id: row.order_id,
        package_name: row.package_name,
        note: row.note,
        tokens: row.tokens,
        left: row.left,
        held: row.held,
        spent: row.spent,
        expired: row.expired,
        refunded: row.refunded,
        starts_at: row.starts_at.into(),
        expires_at: row.expires_at.into(),
        ends_in_s: (row.expires_at - now).num_seconds(),
        scope: row.scope_suppliers.into_iter().chain(row.scope_models).collect(),
        turn,
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
