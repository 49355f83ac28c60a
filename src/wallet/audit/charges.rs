//! Whether each call was charged what its price says, and by grants that may pay for it.

use super::{Account, Difference, Found};
use sqlx::PgConnection;

/// What a call was charged and what of it was written off is the weighted sum of its Tokens, rounded up once, at the version of the
/// price that its record names (as `gateway::meter` reckons); and it was charged no more than had been held for it. A waived call is
/// charged nothing, whatever it used: the table says so.
///
/// A division of numerics rounds; `div` does not.
pub(super) async fn charges_against_prices(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"WITH priced AS (
               SELECT u.request_id, u.price_version, u.held, u.charge, u.charge + u.written_off AS owed, p.version IS NULL AS unpriced,
                      div((u.input_tokens - u.cached_tokens)::numeric * p.input_ppm + u.cached_tokens::numeric * p.cached_ppm
                          + u.output_tokens::numeric * p.output_ppm + 999999, 1000000) AS cost
                 FROM usage_records u
                 LEFT JOIN model_prices p ON p.model_id = u.model_id AND p.version = u.price_version
                WHERE u.basis <> 'waived' AND ($1::uuid IS NULL OR u.account_id = $1))
           SELECT 'call ' || p.request_id AS "subject!", d.what AS "what!",
                  least(d.expected, 9223372036854775807)::bigint AS "expected!", d.found AS "found!"
             FROM priced p
            CROSS JOIN LATERAL (VALUES
                ('charged at a price that there is not, of version ' || p.price_version, 0, p.owed, p.unpriced),
                ('charged and written off', p.cost, p.owed, p.cost <> p.owed),
                ('charged beyond its hold', p.held, p.charge, p.held > 0 AND p.charge > p.held)
            ) AS d (what, expected, found, differs)
            WHERE (p.unpriced OR p.cost <> p.owed OR p.charge > p.held) AND d.differs
            ORDER BY p.request_id, d.what"#,
        account
    )
    .fetch_all(tx)
    .await
}

/// A call is paid for by grants of its own account, for its supplier and model, that ran at some time between its start and its
/// settlement. A hold picks grants that run when the call is admitted; a hold that a crash forgot is picked anew when it is put back, and
/// a report that finds no hold draws on what runs when it comes, so a grant that began after the call may pay for it. What a grant is
/// for never changes, and its time only ever grows (`ledger::refunds`, `ledger::rolled`).
///
/// The start of a call is told by its replica's clock, and grants run by the database's. Five minutes are allowed for that: clocks that
/// are kept at all are within a second of each other, and five minutes is what others who compare clocks bear (RFC 4120 of Kerberos,
/// the signatures of webhooks). More than that after its end a grant has paid for a call that it had nothing to do with.
pub(super) async fn payers_of_calls(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"SELECT 'call ' || l.request_id AS "subject!", d.what AS "what!", 0::bigint AS "expected!", sum(l.tokens)::bigint AS "found!"
             FROM ledger l
             JOIN usage_records u ON u.request_id = l.request_id
             JOIN grants g ON g.grant_id = l.grant_id
            CROSS JOIN LATERAL (
                SELECT CASE
                    WHEN g.account_id <> u.account_id THEN 'paid by another account'
                    WHEN NOT pays_for(g, u.supplier_id, u.model_id) THEN 'paid by a grant for something else'
                    WHEN g.starts_at > greatest(u.started_at, l.at) + interval '5 minutes' THEN 'paid by a grant that had not begun'
                    WHEN g.expires_at <= least(u.started_at, l.at) - interval '5 minutes' THEN 'paid by a grant that had expired'
                    END AS what) AS d
            WHERE l.to_book = 'spent' AND d.what IS NOT NULL AND ($1::uuid IS NULL OR l.account_id = $1)
            GROUP BY l.request_id, d.what ORDER BY l.request_id, d.what"#,
        account
    )
    .fetch_all(tx)
    .await
}

#[cfg(test)]
#[path = "charges_tests.rs"]
mod tests;
