//! `toki audit`: recomputes every balance from the ledger and the usage records, and names each that differs. Reads only, in one
//! snapshot, so that a busy system audits as cleanly as an idle one.

mod causes;
mod charges;
pub mod holds;
mod marks;
pub mod nightly;
mod periods;
mod totals;

use crate::ids::AccountId;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use std::fmt;

/// What was looked at, and what did not add up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    pub accounts: i64,
    pub grants: i64,
    pub ledger_entries: i64,
    pub usage_records: i64,
    pub differences: Vec<Difference>,
}

/// One number that is not what the records behind it say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `grant <id>`, `key <id>`, `hold <id>`, `call <id>`, `order <id>`, `code <id>`, `receipts of <year>`,
    /// `hour <start> of key <id> for <model> of supplier <id>`, `day …`, `mark <entry> of account <id>`, `entry …`
    pub subject: String,
    pub what: String,
    pub expected: i64,
    pub found: i64,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: expected {}, found {}", self.subject, self.what, self.expected, self.found)
    }
}

/// Audits one account, or all of them.
pub async fn audit(db: &PgPool, account: Option<AccountId>) -> Result<AuditReport, sqlx::Error> {
    let account = account.map(|account| account.0);
    let mut tx = db.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    // A full recount takes as long as the history is; the pool's limit is meant for requests.
    sqlx::query!("SELECT set_config('statement_timeout', '0', true)").fetch_one(&mut *tx).await?;
    let counts = sqlx::query!(
        r#"SELECT (SELECT count(*) FROM accounts WHERE $1::uuid IS NULL OR account_id = $1) AS "accounts!",
                  (SELECT count(*) FROM grants WHERE $1::uuid IS NULL OR account_id = $1) AS "grants!",
                  (SELECT count(*) FROM ledger WHERE $1::uuid IS NULL OR account_id = $1) AS "ledger_entries!",
                  (SELECT count(*) FROM usage_records WHERE $1::uuid IS NULL OR account_id = $1) AS "usage_records!""#,
        account
    )
    .fetch_one(&mut *tx)
    .await?;
    let mut differences = Vec::new();
    differences.extend(grants_against_ledger(&mut tx, account).await?);
    differences.extend(entries_against_grants(&mut tx, account).await?);
    differences.extend(causes::causes_of_entries(&mut tx, account).await?);
    differences.extend(grants_against_holds(&mut tx, account).await?);
    differences.extend(holds_against_lines(&mut tx, account).await?);
    differences.extend(holds::overdue_holds(&mut tx, account).await?);
    differences.extend(keys_against_calls(&mut tx, account).await?);
    differences.extend(periods::periods_against_calls(&mut tx, account).await?);
    differences.extend(calls_without_key(&mut tx, account).await?);
    differences.extend(usage_against_ledger(&mut tx, account).await?);
    differences.extend(charges::charges_against_prices(&mut tx, account).await?);
    differences.extend(charges::payers_of_calls(&mut tx, account).await?);
    differences.extend(totals::totals_against_calls(&mut tx, account).await?);
    differences.extend(spending_without_usage(&mut tx, account).await?);
    differences.extend(orders_against_grants(&mut tx, account).await?);
    differences.extend(refunds_against_ledger(&mut tx, account).await?);
    differences.extend(codes_against_redemptions(&mut tx, account).await?);
    differences.extend(holds_of_settled_calls(&mut tx, account).await?);
    differences.extend(receipts_against_numbers(&mut tx, account).await?);
    differences.extend(marks::marks_against_ledger(&mut tx, account).await?);
    tx.rollback().await?;
    Ok(AuditReport {
        accounts: counts.accounts,
        grants: counts.grants,
        ledger_entries: counts.ledger_entries,
        usage_records: counts.usage_records,
        differences,
    })
}

type Account = Option<uuid::Uuid>;
type Found = Result<Vec<Difference>, sqlx::Error>;

/// A grant's issued, spent, expired and refunded Tokens are the sums of its entries, and what is left is the rest.
async fn grants_against_ledger(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"WITH books AS (
               SELECT l.grant_id,
                      coalesce(sum(l.tokens) FILTER (WHERE l.from_book = 'issued'), 0) AS issued,
                      coalesce(sum(l.tokens) FILTER (WHERE l.to_book = 'spent'), 0) AS spent,
                      coalesce(sum(l.tokens) FILTER (WHERE l.to_book = 'expired'), 0) AS expired,
                      coalesce(sum(l.tokens) FILTER (WHERE l.to_book = 'refunded'), 0)
                          - coalesce(sum(l.tokens) FILTER (WHERE l.from_book = 'refunded'), 0) AS refunded
                 FROM ledger l JOIN grants g USING (grant_id)
                WHERE $1::uuid IS NULL OR g.account_id = $1
                GROUP BY l.grant_id)
           , moved AS (
               SELECT m.grant_id, sum(m.tokens) AS tokens
                 FROM (SELECT grant_id, -tokens AS tokens FROM ledger WHERE to_grant_id IS NOT NULL
                        UNION ALL
                       SELECT to_grant_id, tokens FROM ledger WHERE to_grant_id IS NOT NULL) m
                GROUP BY m.grant_id)
           SELECT 'grant ' || g.grant_id AS "subject!", d.what AS "what!", d.expected::bigint AS "expected!", d.found AS "found!"
             FROM grants g
             LEFT JOIN books b USING (grant_id)
             LEFT JOIN moved m USING (grant_id)
            CROSS JOIN LATERAL (VALUES
                ('granted', coalesce(b.issued, 0) + coalesce(m.tokens, 0), g.tokens),
                ('spent', coalesce(b.spent, 0), g.spent),
                ('expired', coalesce(b.expired, 0), g.expired),
                ('refunded', coalesce(b.refunded, 0), g.refunded),
                ('left', coalesce(b.issued - b.spent - b.expired - b.refunded, 0) + coalesce(m.tokens, 0) - g.held, g.left_)
            ) AS d (what, expected, found)
            WHERE ($1::uuid IS NULL OR g.account_id = $1) AND d.expected <> d.found
            ORDER BY g.grant_id"#,
        account
    )
    .fetch_all(tx)
    .await
}

/// An entry names a grant, and belongs to the account of that grant. Tokens that an order moves go to its grant, or out of it.
async fn entries_against_grants(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"SELECT 'grant ' || l.grant_id AS "subject!",
                  CASE WHEN g.grant_id IS NULL THEN 'entries without a grant' ELSE 'entries of another account' END AS "what!",
                  0::bigint AS "expected!", count(*) AS "found!"
             FROM ledger l LEFT JOIN grants g USING (grant_id)
            WHERE l.account_id IS DISTINCT FROM g.account_id AND ($1::uuid IS NULL OR g.account_id = $1 OR l.account_id = $1)
            GROUP BY l.grant_id, g.grant_id
            UNION ALL
           SELECT 'grant ' || g.grant_id, 'moves to another account', 0::bigint, count(*)
             FROM ledger l JOIN grants g ON g.grant_id = l.to_grant_id
            WHERE l.to_account_id <> g.account_id AND ($1::uuid IS NULL OR g.account_id = $1 OR l.to_account_id = $1)
            GROUP BY g.grant_id
            UNION ALL
           SELECT 'grant ' || g.grant_id, 'moves for an order of neither grant', 0::bigint, count(*)
             FROM ledger l JOIN grants g ON g.grant_id = l.grant_id JOIN grants t ON t.grant_id = l.to_grant_id
            WHERE l.order_id IS NOT NULL AND l.order_id <> ALL (array_remove(ARRAY[g.order_id, t.order_id], NULL))
              AND ($1::uuid IS NULL OR g.account_id = $1)
            GROUP BY g.grant_id"#,
        account
    )
    .fetch_all(tx)
    .await
}

/// What a grant holds is what the calls in flight hold of it.
async fn grants_against_holds(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"WITH lines AS (
               SELECT line.grant_id, sum(line.tokens) AS tokens
                 FROM holds h CROSS JOIN LATERAL unnest(h.grant_ids, h.grant_tokens) AS line (grant_id, tokens)
                WHERE $1::uuid IS NULL OR h.account_id = $1
                GROUP BY line.grant_id),
           held AS (SELECT grant_id, held FROM grants WHERE $1::uuid IS NULL OR account_id = $1)
           SELECT 'grant ' || grant_id AS "subject!", 'held' AS "what!", coalesce(lines.tokens, 0)::bigint AS "expected!",
                  coalesce(held.held, 0) AS "found!"
             FROM held FULL JOIN lines USING (grant_id)
            WHERE coalesce(lines.tokens, 0) <> coalesce(held.held, 0)
            ORDER BY grant_id"#,
        account
    )
    .fetch_all(tx)
    .await
}

/// A hold is the sum of its lines.
async fn holds_against_lines(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"SELECT 'hold ' || h.request_id AS "subject!", 'held' AS "what!", line.tokens::bigint AS "expected!", h.tokens AS "found!"
             FROM holds h
            CROSS JOIN LATERAL (SELECT coalesce(sum(t.tokens), 0) AS tokens FROM unnest(h.grant_tokens) AS t (tokens)) AS line
            WHERE ($1::uuid IS NULL OR h.account_id = $1) AND line.tokens <> h.tokens
            ORDER BY h.request_id"#,
        account
    )
    .fetch_all(tx)
    .await
}

/// What a key holds is the sum of its holds, what it spent the sum of its charges, and both together fit into its quota.
async fn keys_against_calls(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"WITH held AS (
               SELECT key_id, sum(tokens) AS tokens, count(*) AS calls FROM holds WHERE $1::uuid IS NULL OR account_id = $1 GROUP BY key_id),
           spent AS (
               SELECT key_id, sum(charge) AS tokens FROM usage_records WHERE $1::uuid IS NULL OR account_id = $1 GROUP BY key_id)
           SELECT 'key ' || k.key_id AS "subject!", d.what AS "what!", d.expected::bigint AS "expected!", d.found AS "found!"
             FROM api_keys k
             LEFT JOIN held USING (key_id)
             LEFT JOIN spent USING (key_id)
            CROSS JOIN LATERAL (VALUES
                ('held', coalesce(held.tokens, 0), k.held),
                ('running calls', coalesce(held.calls, 0), k.running),
                ('spent', coalesce(spent.tokens, 0), k.spent),
                ('spent and held beyond the quota of ' || k.quota, 0, greatest(k.spent + k.held - k.quota, 0))
            ) AS d (what, expected, found)
            WHERE ($1::uuid IS NULL OR k.account_id = $1) AND d.expected <> d.found
            ORDER BY k.key_id"#,
        account
    )
    .fetch_all(tx)
    .await
}

/// Every recorded call was made with a key of its account.
async fn calls_without_key(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"SELECT 'key ' || u.key_id AS "subject!", 'calls without such a key' AS "what!", 0::bigint AS "expected!", count(*) AS "found!"
             FROM usage_records u LEFT JOIN api_keys k USING (key_id)
            WHERE u.account_id IS DISTINCT FROM k.account_id AND ($1::uuid IS NULL OR u.account_id = $1)
            GROUP BY u.key_id ORDER BY u.key_id"#,
        account
    )
    .fetch_all(tx)
    .await
}

/// A call's charge is what its entries took from the account that made it.
async fn usage_against_ledger(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"WITH spent AS (
               SELECT request_id, account_id, sum(tokens) AS tokens FROM ledger
                WHERE to_book = 'spent' AND ($1::uuid IS NULL OR account_id = $1)
                GROUP BY request_id, account_id)
           SELECT 'call ' || u.request_id AS "subject!", 'charge' AS "what!", coalesce(s.tokens, 0)::bigint AS "expected!",
                  u.charge AS "found!"
             FROM usage_records u
             LEFT JOIN spent s ON s.request_id = u.request_id AND s.account_id = u.account_id
            WHERE ($1::uuid IS NULL OR u.account_id = $1) AND coalesce(s.tokens, 0) <> u.charge
            ORDER BY u.request_id"#,
        account
    )
    .fetch_all(tx)
    .await
}

/// Nothing is spent but by a recorded call.
async fn spending_without_usage(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"SELECT 'call ' || l.request_id AS "subject!", 'spent without a usage record' AS "what!", 0::bigint AS "expected!",
                  sum(l.tokens)::bigint AS "found!"
             FROM ledger l
             LEFT JOIN usage_records u USING (request_id)
            WHERE l.to_book = 'spent' AND u.request_id IS NULL AND ($1::uuid IS NULL OR l.account_id = $1)
            GROUP BY l.request_id ORDER BY l.request_id"#,
        account
    )
    .fetch_all(tx)
    .await
}

/// An order that was fulfilled, whatever became of it since, has exactly one grant, of its own account and with its Tokens; any other
/// order has none.
async fn orders_against_grants(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"WITH granted AS (
               SELECT o.order_id, count(g.grant_id) AS grants,
                      coalesce(sum(l.tokens) FILTER (WHERE g.account_id = o.account_id), 0) AS tokens
                 FROM orders o LEFT JOIN grants g USING (order_id)
                 LEFT JOIN ledger l ON l.grant_id = g.grant_id AND l.from_book = 'issued'
                WHERE $1::uuid IS NULL OR o.account_id = $1
                GROUP BY o.order_id)
           SELECT 'order ' || o.order_id AS "subject!", d.what AS "what!", d.expected AS "expected!", d.found::bigint AS "found!"
             FROM orders o
             JOIN granted USING (order_id)
            CROSS JOIN LATERAL (SELECT o.status IN ('fulfilled', 'partly_refunded', 'refunded', 'disputed') AS so) AS paid
            CROSS JOIN LATERAL (VALUES
                ('grants', CASE WHEN paid.so THEN 1 ELSE 0 END::bigint, granted.grants::numeric),
                ('granted', CASE WHEN paid.so THEN o.tokens ELSE 0 END, granted.tokens)
            ) AS d (what, expected, found)
            WHERE d.expected <> d.found
            ORDER BY o.order_id"#,
        account
    )
    .fetch_all(tx)
    .await
}

/// A refund took what its entries say, and one that failed gave all of it back. No more went back than an order's price. A grant is
/// frozen while its order is disputed or refunded in whole, and never else.
async fn refunds_against_ledger(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"SELECT 'refund ' || r.refund_id AS "subject!", d.what AS "what!", d.expected::bigint AS "expected!", d.found::bigint AS "found!"
             FROM refunds r
             JOIN orders o USING (order_id)
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(l.tokens) FILTER (WHERE l.to_book = 'refunded'), 0) AS taken,
                       coalesce(sum(l.tokens) FILTER (WHERE l.from_book = 'refunded'), 0) AS returned
                  FROM ledger l WHERE l.refund_id = r.refund_id) AS l
            CROSS JOIN LATERAL (VALUES
                ('taken', coalesce(r.tokens, 0), l.taken),
                ('returned', CASE WHEN r.returned_at IS NULL THEN 0 ELSE coalesce(r.tokens, 0) END, l.returned)
            ) AS d (what, expected, found)
            WHERE ($1::uuid IS NULL OR o.account_id = $1) AND d.expected <> d.found
            UNION ALL
           SELECT 'order ' || o.order_id, 'refunded beyond its price', 0::bigint, sum(r.amount_minor)::bigint - o.price_minor
             FROM refunds r JOIN orders o USING (order_id)
            WHERE ($1::uuid IS NULL OR o.account_id = $1) AND r.status IN ('pending', 'succeeded')
            GROUP BY o.order_id HAVING sum(r.amount_minor) > o.price_minor
            UNION ALL
           SELECT 'grant ' || g.grant_id, 'frozen', (o.status IN ('disputed', 'refunded'))::integer, (g.frozen_at IS NOT NULL)::integer
             FROM grants g JOIN orders o USING (order_id)
            WHERE ($1::uuid IS NULL OR g.account_id = $1) AND (o.status IN ('disputed', 'refunded')) <> (g.frozen_at IS NOT NULL)"#,
        account
    )
    .fetch_all(tx)
    .await
}

/// A code was used as often as it was redeemed; each redemption of one that is worth Tokens issued them, once, and no other did.
async fn codes_against_redemptions(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"SELECT 'code ' || c.code_id AS "subject!", d.what AS "what!", d.expected::bigint AS "expected!", d.found::bigint AS "found!"
             FROM codes c
            CROSS JOIN LATERAL (
                SELECT count(*) AS redemptions, count(g.grant_id) AS grants, coalesce(sum(l.tokens), 0) AS granted
                  FROM code_redemptions r
                  LEFT JOIN grants g ON g.redemption_id = r.redemption_id AND g.account_id = r.account_id
                  LEFT JOIN ledger l ON l.grant_id = g.grant_id AND l.redemption_id = r.redemption_id
                 WHERE r.code_id = c.code_id AND ($1::uuid IS NULL OR r.account_id = $1)) AS r
            CROSS JOIN LATERAL (VALUES
                ('used', r.redemptions, CASE WHEN $1::uuid IS NULL THEN c.used ELSE r.redemptions END),
                ('grants', CASE WHEN c.kind = 'redemption' THEN r.redemptions ELSE 0 END, r.grants),
                ('granted', r.redemptions * coalesce(c.tokens, 0), r.granted)
            ) AS d (what, expected, found)
            WHERE d.expected <> d.found
            ORDER BY c.code_id"#,
        account
    )
    .fetch_all(tx)
    .await
}

/// A settled call holds nothing any more.
async fn holds_of_settled_calls(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"SELECT 'call ' || h.request_id AS "subject!", 'settled, and still holding' AS "what!", 0::bigint AS "expected!",
                  h.tokens AS "found!"
             FROM holds h JOIN usage_records u USING (request_id)
            WHERE ($1::uuid IS NULL OR h.account_id = $1)
              -- Asked for again after the reaper had settled it (admit_calls), such a call is settled again when it ends.
              AND NOT (u.outcome = 'interrupted' AND h.wanted IS NOT NULL)
            ORDER BY h.request_id"#,
        account
    )
    .fetch_all(tx)
    .await
}

/// No number of a receipt or credit note is missing: there are as many as were given. Numbers are of no one account.
async fn receipts_against_numbers(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"SELECT n.series || 's of ' || n.year AS "subject!", 'numbers' AS "what!", n.last AS "expected!", issued.count AS "found!"
             FROM receipt_numbers n
            CROSS JOIN LATERAL (
                SELECT CASE n.series WHEN 'receipt' THEN (SELECT count(*) FROM receipts r WHERE r.year = n.year)
                                     ELSE (SELECT count(*) FROM credit_notes c WHERE c.year = n.year) END AS count) AS issued
            WHERE $1::uuid IS NULL AND issued.count <> n.last
            ORDER BY n.series, n.year"#,
        account
    )
    .fetch_all(tx)
    .await
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
