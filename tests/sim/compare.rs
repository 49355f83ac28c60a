//! The database as lines of text, worded like the model's, and the difference of the two.

use crate::clock;
use sqlx::PgPool;
use std::collections::BTreeSet;
use toki::ids::{AccountId, RequestId};
use toki::wallet::store as wallet;
use uuid::Uuid;

/// Everything of these accounts, and these calls' records. The sums of the ledger stand beside the balances they prove.
pub async fn lines(db: &PgPool, accounts: &[AccountId], calls: &[RequestId]) -> Vec<String> {
    let accounts: Vec<Uuid> = accounts.iter().map(|account| account.0).collect();
    let calls: Vec<Uuid> = calls.iter().map(|call| call.0).collect();
    let mut lines: Vec<String> = sqlx::query_scalar(
        "SELECT format('account %s suspended %s', account_id, CASE WHEN suspended_at IS NULL THEN 'false' ELSE 'true' END)
           FROM accounts WHERE account_id = ANY ($1)
         UNION ALL
         SELECT format('grant %s tokens %s left %s held %s spent %s expired %s refunded %s swept %s from %s to %s ledger %s %s %s %s',
                       g.grant_id, g.tokens, g.left_, g.held, g.spent, g.expired, g.refunded,
                       CASE WHEN g.swept_at IS NULL THEN 'false' ELSE 'true' END,
                       CASE WHEN g.swept_at IS NULL THEN round(extract(epoch FROM g.starts_at - clock_timestamp()) / 1800) END,
                       CASE WHEN g.swept_at IS NULL THEN round(extract(epoch FROM g.expires_at - clock_timestamp()) / 1800) END,
                       b.issued, b.spent, b.expired, b.refunded)
           FROM grants g
          CROSS JOIN LATERAL (
                SELECT coalesce(sum(l.tokens) FILTER (WHERE l.from_book = 'issued'), 0)
                           - coalesce(sum(l.tokens) FILTER (WHERE l.to_grant_id IS NOT NULL), 0)
                           + (SELECT coalesce(sum(m.tokens), 0) FROM ledger m WHERE m.to_grant_id = g.grant_id) AS issued,
                       coalesce(sum(l.tokens) FILTER (WHERE l.to_book = 'spent'), 0) AS spent,
                       coalesce(sum(l.tokens) FILTER (WHERE l.to_book = 'expired'), 0) AS expired,
                       coalesce(sum(l.tokens) FILTER (WHERE l.to_book = 'refunded'), 0)
                           - coalesce(sum(l.tokens) FILTER (WHERE l.from_book = 'refunded'), 0) AS refunded
                  FROM ledger l WHERE l.grant_id = g.grant_id) AS b
          WHERE g.account_id = ANY ($1)
         UNION ALL
         SELECT format('key %s quota %s spent %s held %s %s ends %s period %s', key_id, coalesce(quota::text, 'none'), spent, held, status,
                       CASE WHEN status <> 'deleted' THEN round(extract(epoch FROM expires_at - clock_timestamp()) / 1800) END,
                       CASE WHEN period IS NULL THEN 'none' ELSE format('%s %s used %s since %s', period, period_quota, period_used,
                                                                        round(extract(epoch FROM period_began - $3) / 60)) END)
           FROM api_keys WHERE account_id = ANY ($1)
         UNION ALL
         SELECT format('hold %s key %s model %s version %s tokens %s half hours %s of %s from %s', request_id, key_id, model_id,
                       price_version, tokens, round(extract(epoch FROM deadline - clock_timestamp()) / 1800), owner,
                       (SELECT string_agg(line.grant_id || ':' || line.tokens, ',' ORDER BY line.at)
                          FROM unnest(grant_ids, grant_tokens) WITH ORDINALITY AS line (grant_id, tokens, at)))
           FROM holds WHERE account_id = ANY ($1)
         UNION ALL
         SELECT format('limits of %s: %s full %s, Tokens %s full %s, at once %s of %s', l.subject,
                       l.requests_per_minute, round(extract(epoch FROM l.requests_full_at - $3) * 1000000),
                       l.tokens_per_minute, round(extract(epoch FROM l.tokens_full_at - $3) * 1000000), l.running, l.concurrent_calls)
           FROM (SELECT key_id AS subject, requests_per_minute, requests_full_at, tokens_per_minute, tokens_full_at, running,
                        concurrent_calls
                   FROM api_keys WHERE account_id = ANY ($1)
                 UNION ALL
                 SELECT account_id, requests_per_minute, requests_full_at, tokens_per_minute, tokens_full_at,
                        (SELECT coalesce(sum(k.running), 0) FROM api_keys k WHERE k.account_id = a.account_id), concurrent_calls
                   FROM accounts a WHERE account_id = ANY ($1)) AS l
          WHERE num_nonnulls(l.requests_per_minute, l.tokens_per_minute, l.concurrent_calls) > 0
         UNION ALL
         SELECT format('sent %s key %s hour %s answered %s', i.request_id, i.key_id, round(extract(epoch FROM i.created_at - $3) / 3600),
                       CASE WHEN i.answer IS NULL THEN 'false' ELSE 'true' END)
           FROM idempotent_calls i JOIN api_keys k ON k.key_id = i.key_id WHERE k.account_id = ANY ($1)
         UNION ALL
         SELECT format('call %s key %s outcome %s basis %s held %s charge %s written off %s', request_id, key_id, outcome, basis,
                       held, charge, written_off)
           FROM usage_records WHERE request_id = ANY ($2)",
    )
    .bind(&accounts)
    .bind(&calls)
    .bind(clock::at(0))
    .fetch_all(db)
    .await
    .expect("the state");
    lines.sort();
    lines
}

/// What the wallet's page shows of an account.
pub async fn shown(db: &PgPool, account: AccountId) -> String {
    let standing = wallet::standing_of(db, account).await.expect("a standing");
    let grants = wallet::grants_of(db, account).await.expect("grants");
    let (balance, totals) = (wallet::balance_in(&grants), wallet::totals_in(&grants));
    assert_eq!(standing.balance, balance, "every page's frame and the wallet's own");
    let live: Vec<String> = grants.iter().filter(|grant| grant.live).map(|grant| grant.grant_id.to_string()).collect();
    let [granted, spent, held, left, expired, refunded] =
        [totals.granted, totals.spent, totals.held, totals.left, totals.expired, totals.refunded].map(|tokens| tokens.0);
    let balance = balance.0;
    format!("shown {balance}: {granted} = {spent} + {held} + {left} + {expired} + {refunded}, burning {}", live.join(", "))
}

/// What only one side says; empty = equal.
pub fn difference(model: &[String], product: &[String]) -> String {
    if model == product {
        return String::new();
    }
    let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) = (model.iter().collect(), product.iter().collect());
    let only = |title: &str, lines: Vec<&&String>| lines.iter().map(|line| format!("  {title}: {line}\n")).collect::<String>();
    let text = only("model  ", ours.difference(&theirs).collect()) + &only("product", theirs.difference(&ours).collect());
    if text.is_empty() { format!("  the same lines, in another order or number: {model:?} and {product:?}\n") } else { text }
}
