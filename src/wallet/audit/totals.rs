//! Whether the totals that pages show are what the calls add up to.

use super::{Account, Difference, Found};
use sqlx::PgConnection;

/// Each hour and each day of a key, a model and the supplier that answered says what its calls do.
pub(super) async fn totals_against_calls(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"WITH hours AS (
               SELECT account_id, date_trunc('hour', started_at, 'UTC') AS starts_at, key_id, model_id, supplier_id,
                      count(*) AS calls, count(*) FILTER (WHERE is_failure(outcome)) AS failed, sum(input_tokens) AS input,
                      sum(cached_tokens) AS cached, sum(output_tokens) AS output, sum(charge) AS charge
                 FROM usage_records WHERE $1::uuid IS NULL OR account_id = $1
                GROUP BY 1, 2, 3, 4, 5),
           counted AS (
               SELECT 'hour' AS unit, * FROM hours
                UNION ALL
               SELECT 'day', account_id, date_trunc('day', starts_at, 'UTC'), key_id, model_id, supplier_id, sum(calls), sum(failed),
                      sum(input), sum(cached), sum(output), sum(charge)
                 FROM hours GROUP BY 2, 3, 4, 5, 6),
           kept AS (SELECT * FROM usage_totals WHERE $1::uuid IS NULL OR account_id = $1)
           SELECT unit || ' ' || to_char(starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') || ' of key ' || key_id
                      || ' for ' || model_id || ' of supplier ' || supplier_id AS "subject!",
                  d.what AS "what!", coalesce(d.expected, 0)::bigint AS "expected!", coalesce(d.found, 0) AS "found!"
             FROM counted c FULL JOIN kept k USING (account_id, unit, starts_at, key_id, model_id, supplier_id)
            CROSS JOIN LATERAL (VALUES
                ('calls', c.calls, k.calls),
                ('failed', c.failed, k.failed),
                ('input', c.input, k.input_tokens),
                ('cached', c.cached, k.cached_tokens),
                ('output', c.output, k.output_tokens),
                ('charge', c.charge, k.charge)
            ) AS d (what, expected, found)
            WHERE coalesce(d.expected, 0) <> coalesce(d.found, 0)
            ORDER BY 1, 2"#,
        account
    )
    .fetch_all(tx)
    .await
}

#[cfg(test)]
#[path = "totals_tests.rs"]
mod tests;
