//! A crash of the database that forgets the last admissions, as far as statements can do what it would.

use crate::clock;
use crate::model::Full;
use sqlx::PgPool;
use std::collections::BTreeMap;
use toki::ids::{AccountId, KeyId, RequestId};

/// Gives back what these holds hold, and deletes them: what is left of transactions that a crash lost.
///
/// `periods`: the beginning of the period of each of their keys, and what was used of it, before the first of them. `rates`: how those of
/// their keys and accounts stood then.
pub async fn forget(
    db: &PgPool,
    request_ids: &[RequestId],
    periods: &BTreeMap<KeyId, (Option<i64>, i64)>,
    rates: &(BTreeMap<KeyId, Full>, BTreeMap<AccountId, Full>),
) {
    let ids: Vec<_> = request_ids.iter().map(|request_id| request_id.0).collect();
    let mut tx = db.begin().await.expect("begin");
    for sql in [
        "UPDATE grants g SET left_ = g.left_ + lost.tokens, held = g.held - lost.tokens
           FROM (SELECT line.grant_id, sum(line.tokens)::bigint AS tokens
                   FROM holds h CROSS JOIN LATERAL unnest(h.grant_ids, h.grant_tokens) AS line (grant_id, tokens)
                  WHERE h.request_id = ANY ($1) GROUP BY line.grant_id) AS lost WHERE lost.grant_id = g.grant_id",
        "UPDATE api_keys k SET held = k.held - lost.tokens, running = k.running - lost.calls
           FROM (SELECT key_id, sum(tokens)::bigint AS tokens, count(*) AS calls FROM holds WHERE request_id = ANY ($1) GROUP BY key_id) AS lost
          WHERE lost.key_id = k.key_id",
        "DELETE FROM holds WHERE request_id = ANY ($1)",
    ] {
        sqlx::query(sql).bind(&ids).execute(&mut *tx).await.expect("forgotten");
    }
    for (key_id, (began, used)) in periods {
        let began = began.map(clock::at);
        let sql = "UPDATE api_keys SET period_began = $2, period_used = $3 WHERE key_id = $1 AND period IS NOT NULL";
        sqlx::query(sql).bind(key_id.0).bind(began).bind(used).execute(&mut *tx).await.expect("forgotten");
    }
    let of_keys = "UPDATE api_keys SET requests_full_at = $2, tokens_full_at = $3 WHERE key_id = $1";
    let of_accounts = "UPDATE accounts SET requests_full_at = $2, tokens_full_at = $3 WHERE account_id = $1";
    let keys = rates.0.iter().map(|(key_id, full)| (of_keys, key_id.0, full));
    for (sql, id, full) in keys.chain(rates.1.iter().map(|(account_id, full)| (of_accounts, account_id.0, full))) {
        let [requests, tokens] = [full.requests, full.tokens].map(|full| full.map(clock::at_micros));
        sqlx::query(sql).bind(id).bind(requests).bind(tokens).execute(&mut *tx).await.expect("forgotten");
    }
    sqlx::query("TRUNCATE replicas").execute(&mut *tx).await.expect("recovered");
    tx.commit().await.expect("commit");
}
