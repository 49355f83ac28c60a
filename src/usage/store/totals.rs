//! Totals of calls, read from what the settlements keep by the hour and the day: a page costs the same however many calls there were.

use crate::accounts::rights::Reader;
use crate::tokens::Tokens;
use crate::usage::filter::{CallFilter, Whose};
use crate::usage::range::Range;
use crate::usage::store::UsageError;
use crate::usage::store::indirect;
use crate::usage::types_totals::{Group, Part, Sums};
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use std::collections::HashMap;

/// The calls of one part in one bucket, added up.
pub(super) struct PartRow {
    pub(super) bucket: i32,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) calls: i64,
    pub(super) failed: i64,
    pub(super) input: i64,
    pub(super) cached: i64,
    pub(super) output: i64,
    pub(super) charged: i64,
}

impl PartRow {
    fn sums(&self) -> Sums {
        Sums {
            calls: self.calls,
            failed: self.failed,
            input: Tokens(self.input),
            cached: Tokens(self.cached),
            output: Tokens(self.output),
            charged: Tokens(self.charged),
        }
    }
}

/// What totals of the range add up to by `$of`, out of `$from` and where `$where`. A statement for each group: in one that is for all,
/// each would join, and have planned, what only the others need.
macro_rules! part_rows {
    ($db:expr, $member:expr, $whose:expr, $range:expr, $of:literal, $from:literal, $where:literal) => {
        sqlx::query_as!(
            PartRow,
            r#"SELECT width_bucket(t.starts_at, $4::timestamptz[]) - 1 AS "bucket!", "#
                + $of
                + r#", sum(t.calls)::bigint AS "calls!", sum(t.failed)::bigint AS "failed!", sum(t.input_tokens)::bigint AS "input!",
                      sum(t.cached_tokens)::bigint AS "cached!", sum(t.output_tokens)::bigint AS "output!",
                      sum(t.charge)::bigint AS "charged!"
                 FROM "#
                + $from
                + r#"
                WHERE t.account_id = $1 AND t.starts_at >= ($4::timestamptz[])[1] AND t.starts_at < $5 AND "#
                + $where
                + r#" AND ($2::uuid IS NULL OR t.key_id = $2) AND ($3::text IS NULL OR t.model_id = $3) AND t.calls > 0
                GROUP BY 1, 2"#,
            $member.account_id().0,
            $whose.key_id.map(|id| id.0),
            $whose.model_id,
            &$range.starts,
            $range.end,
            $range.totals_unit()
        )
        .fetch_all($db)
        .await?
    };
}

async fn rows_by(db: impl PgExecutor<'_>, member: &Reader, whose: &Whose, range: &Range, group: Group) -> Result<Vec<PartRow>, UsageError> {
    Ok(match group {
        Group::Model => {
            part_rows!(db, member, whose, range, r#"t.model_id AS "id!", t.model_id AS "name!""#, "usage_totals t", "t.unit = $6::text")
        }
        Group::Key => part_rows!(
            db,
            member,
            whose,
            range,
            r#"t.key_id::text AS "id!", min(k.name) AS "name!""#,
            "usage_totals t JOIN api_keys k ON k.key_id = t.key_id",
            "t.unit = $6::text"
        ),
        Group::Supplier => part_rows!(
            db,
            member,
            whose,
            range,
            r#"s.slug AS "id!", min(s.name) AS "name!""#,
            "usage_totals t JOIN suppliers s ON s.supplier_id = t.supplier_id",
            "t.unit = $6::text"
        ),
        Group::Member => part_rows!(
            db,
            member,
            whose,
            range,
            r#"CASE WHEN t.starts_at < k.inherited_at THEN '' ELSE k.created_by::text END AS "id!",
               min(CASE WHEN t.starts_at < k.inherited_at THEN '' ELSE u.email END) AS "name!""#,
            "(SELECT d.* FROM usage_totals d
               WHERE d.account_id = $1 AND d.unit = $6::text AND d.starts_at >= ($4::timestamptz[])[1] AND d.starts_at < $5
               UNION ALL
              SELECT h.* FROM api_keys i
                JOIN usage_totals h ON h.account_id = i.account_id AND h.unit = 'hour' AND h.key_id = i.key_id
                     AND h.starts_at >= date_trunc('day', i.inherited_at, 'UTC')
                     AND h.starts_at < date_trunc('day', i.inherited_at, 'UTC') + interval '24 hours'
               WHERE $6 = 'day' AND i.account_id = $1 AND i.inherited_at >= ($4::timestamptz[])[1] AND i.inherited_at < $5) t
               JOIN api_keys k ON k.key_id = t.key_id
               JOIN users u ON u.user_id = k.created_by",
            "(t.unit = 'hour' OR t.starts_at IS DISTINCT FROM date_trunc('day', k.inherited_at, 'UTC'))"
        ),
    })
}

/// What the member's calls in the range add up to, by what they have in common, the most charged first.
///
/// Of a key that was handed over, what was called before then is no member's of now ([`Part::before_handover`]), exact to the hour: the
/// hour of the handover counts as before. Where totals of days are read, that one day is made of its hours.
pub async fn parts_of(
    db: impl PgExecutor<'_>,
    member: &Reader,
    whose: &Whose,
    range: &Range,
    group: Group,
) -> Result<Vec<Part>, UsageError> {
    let rows = if whose.is_indirect() {
        indirect::rows_by(db, member, whose, range, group).await?
    } else {
        rows_by(db, member, whose, range, group).await?
    };
    let mut parts: HashMap<String, Part> = HashMap::new();
    for row in rows {
        let empty =
            || Part { id: row.id.clone(), name: row.name.clone(), charged: vec![Tokens(0); range.starts.len()], sums: Sums::default() };
        let part = parts.entry(row.id.clone()).or_insert_with(empty);
        if let Some(charged) = usize::try_from(row.bucket).ok().and_then(|bucket| part.charged.get_mut(bucket)) {
            *charged = Tokens(row.charged);
        }
        part.sums += row.sums();
    }
    let mut parts: Vec<Part> = parts.into_values().collect();
    parts.sort_by(|a, b| (b.sums.charged.0, b.sums.calls, &a.name, &a.id).cmp(&(a.sums.charged.0, a.sums.calls, &b.name, &b.id)));
    Ok(parts)
}

/// What the member's calls in each bucket of the range add up to.
pub async fn sums_of(db: impl PgExecutor<'_>, member: &Reader, whose: &Whose, range: &Range) -> Result<Vec<Sums>, UsageError> {
    if whose.is_indirect() {
        let mut sums = vec![Sums::default(); range.starts.len()];
        for row in indirect::rows_by(db, member, whose, range, Group::default()).await? {
            if let Some(sum) = usize::try_from(row.bucket).ok().and_then(|bucket| sums.get_mut(bucket)) {
                *sum += row.sums();
            }
        }
        return Ok(sums);
    }
    let rows = sqlx::query!(
        r#"SELECT width_bucket(t.starts_at, $4) - 1 AS "bucket!", sum(t.calls)::bigint AS "calls!", sum(t.failed)::bigint AS "failed!",
                  sum(t.input_tokens)::bigint AS "input!", sum(t.cached_tokens)::bigint AS "cached!",
                  sum(t.output_tokens)::bigint AS "output!", sum(t.charge)::bigint AS "charged!"
             FROM usage_totals t
            WHERE t.account_id = $1 AND t.unit = $6 AND t.starts_at >= ($4::timestamptz[])[1] AND t.starts_at < $5
              AND ($2::uuid IS NULL OR t.key_id = $2) AND ($3::text IS NULL OR t.model_id = $3)
            GROUP BY 1"#,
        member.account_id().0,
        whose.key_id.map(|id| id.0),
        whose.model_id,
        &range.starts,
        range.end,
        range.totals_unit()
    )
    .fetch_all(db)
    .await?;
    let mut sums = vec![Sums::default(); range.starts.len()];
    for row in rows {
        if let Some(sum) = usize::try_from(row.bucket).ok().and_then(|bucket| sums.get_mut(bucket)) {
            *sum = Sums {
                calls: row.calls,
                failed: row.failed,
                input: Tokens(row.input),
                cached: Tokens(row.cached),
                output: Tokens(row.output),
                charged: Tokens(row.charged),
            };
        }
    }
    Ok(sums)
}

/// Calls that one question looks through at most to find those it asks for; an hour is looked through whole, and two hours always are.
const MOST_LOOKED_THROUGH: i64 = 250_000;

/// Hours that have some of the calls that a filter asks for.
pub(super) struct Hours {
    /// Latest first.
    pub starts: Vec<DateTime<Utc>>,
    /// Whether there are more, further back.
    pub more: bool,
}

/// The latest hours before a moment with calls like these, as many as it takes for `most` calls beside those of the newest, which may be
/// cut; fewer where too many others lie among them. Those are calls of all keys, so the member's are joined and no others left out.
pub(super) async fn hours_with_calls(
    db: impl PgExecutor<'_>,
    account: uuid::Uuid,
    filter: &CallFilter,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    most: i64,
) -> Result<Hours, UsageError> {
    let limit = most.saturating_add(1);
    let rows = sqlx::query!(
        r#"SELECT h.starts_at AS "starts_at!", h.found AS "found!", h.among AS "among!"
             FROM (SELECT t.starts_at, sum(t.calls)::bigint AS among,
                          (sum(CASE WHEN $7::boolean THEN t.failed ELSE t.calls END)
                              FILTER (WHERE ($3::text IS NULL OR t.model_id = $3)
                                        AND ($8::text IS NULL
                                             OR t.supplier_id = (SELECT s.supplier_id FROM suppliers s WHERE s.slug = $8))
                                        AND ($9::uuid IS NULL OR k.key_id IS NOT NULL)))::bigint AS found
                     FROM usage_totals t
                     LEFT JOIN api_keys k ON k.key_id = t.key_id AND k.account_id = $1 AND k.created_by = $9
                          AND (k.inherited_at IS NULL OR t.starts_at >= k.inherited_at)
                    WHERE t.account_id = $1 AND t.unit = 'hour' AND t.starts_at >= $4 AND t.starts_at < $5
                      AND ($2::uuid IS NULL OR t.key_id = $2)
                    GROUP BY t.starts_at) h
            WHERE h.found > 0
            ORDER BY h.starts_at DESC LIMIT $6"#,
        account,
        filter.whose.key_id.map(|id| id.0),
        filter.whose.model_id,
        from,
        to,
        limit,
        filter.only_failed,
        filter.whose.supplier,
        filter.whose.member.map(|id| id.0)
    )
    .fetch_all(db)
    .await?;
    let last = rows.len().saturating_sub(1);
    let may_be_more = rows.len() as i64 >= limit;
    let mut hours = Hours { starts: Vec::new(), more: false };
    let (mut found, mut among) = (0_i64, 0_i64);
    for (place, row) in rows.into_iter().enumerate() {
        hours.starts.push(row.starts_at);
        if place > 0 {
            found = found.saturating_add(row.found);
            among = among.saturating_add(row.among);
        }
        if found >= most || among >= MOST_LOOKED_THROUGH {
            hours.more = place < last || may_be_more;
            break;
        }
    }
    Ok(hours)
}

#[cfg(test)]
#[path = "totals_tests.rs"]
mod tests;
