//! Totals of calls of a member, whom a call does not name itself but by its key, or of a supplier, who is asked for by another name. In a
//! statement of their own, so that those of every page are planned without them.

use super::UsageError;
use super::totals::PartRow;
use crate::accounts::rights::Reader;
use crate::usage::filter::Whose;
use crate::usage::range::Range;
use crate::usage::types_totals::Group;
use sqlx::PgExecutor;

/// What totals of the range add up to by what they have in common, of an indirect filter. A key that was handed over is counted as in
/// [`super::parts_of`].
pub(super) async fn rows_by(
    db: impl PgExecutor<'_>,
    member: &Reader,
    whose: &Whose,
    range: &Range,
    group: Group,
) -> Result<Vec<PartRow>, UsageError> {
    let rows = sqlx::query_as!(
        PartRow,
        r#"SELECT width_bucket(t.starts_at, $4::timestamptz[]) - 1 AS "bucket!",
                  CASE WHEN $6::text = 'model' THEN t.model_id WHEN $6 = 'key' THEN t.key_id::text WHEN $6 = 'supplier' THEN s.slug
                       WHEN t.starts_at < k.inherited_at THEN '' ELSE k.created_by::text END AS "id!",
                  min(CASE WHEN $6 = 'model' THEN t.model_id WHEN $6 = 'key' THEN k.name WHEN $6 = 'supplier' THEN s.name
                           WHEN t.starts_at < k.inherited_at THEN '' ELSE o.email END) AS "name!",
                  sum(t.calls)::bigint AS "calls!", sum(t.failed)::bigint AS "failed!", sum(t.input_tokens)::bigint AS "input!",
                  sum(t.cached_tokens)::bigint AS "cached!", sum(t.output_tokens)::bigint AS "output!", sum(t.charge)::bigint AS "charged!"
             FROM (SELECT d.* FROM usage_totals d
                    WHERE d.account_id = $1 AND d.unit = $7::text AND d.starts_at >= ($4::timestamptz[])[1] AND d.starts_at < $5
                   UNION ALL
                   SELECT h.* FROM api_keys i
                     JOIN usage_totals h ON h.account_id = i.account_id AND h.unit = 'hour' AND h.key_id = i.key_id
                          AND h.starts_at >= date_trunc('day', i.inherited_at, 'UTC')
                          AND h.starts_at < date_trunc('day', i.inherited_at, 'UTC') + interval '24 hours'
                    WHERE $7 = 'day' AND i.account_id = $1 AND i.inherited_at >= ($4::timestamptz[])[1] AND i.inherited_at < $5) t
             JOIN api_keys k ON k.key_id = t.key_id
             JOIN users o ON o.user_id = k.created_by
             JOIN suppliers s ON s.supplier_id = t.supplier_id
            WHERE ($2::uuid IS NULL OR t.key_id = $2) AND ($3::text IS NULL OR t.model_id = $3) AND t.calls > 0
              AND ($8::uuid IS NULL OR k.created_by = $8 AND (k.inherited_at IS NULL OR t.starts_at >= k.inherited_at))
              AND ($9::text IS NULL OR s.slug = $9)
              AND (t.unit = 'hour' OR t.starts_at IS DISTINCT FROM date_trunc('day', k.inherited_at, 'UTC'))
            GROUP BY 1, 2"#,
        member.account_id().0,
        whose.key_id.map(|id| id.0),
        whose.model_id,
        &range.starts,
        range.end,
        group.as_str(),
        range.totals_unit(),
        whose.member.map(|id| id.0),
        whose.supplier
    )
    .fetch_all(db)
    .await?;
    Ok(rows)
}

#[cfg(test)]
#[path = "indirect_tests.rs"]
mod tests;
