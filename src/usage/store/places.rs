//! Where the calls of a filter lie. Request ids are UUIDv7, in the order of their calls, and records are kept by them; so a page of calls
//! is one or a few stretches of ids, of which only the end is read.

use crate::ids::AccountId;
use crate::usage::filter::CallFilter;
use crate::usage::store::UsageError;
use crate::usage::store::totals::hours_with_calls;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

/// A call may have started later than its id was made: it waited to be admitted, or for a database that was away.
const SLACK: TimeDelta = TimeDelta::minutes(10);

/// Calls that were found.
pub(super) struct Found {
    /// The newest first.
    pub ids: Vec<Uuid>,
    /// Where to look on, when fewer were found than asked for and not all was looked through: all before this id.
    pub rest: Option<Uuid>,
}

/// The latest calls that the filter lets through, at most so many.
pub(super) async fn ids_of(
    db: impl PgExecutor<'_> + Copy,
    account_id: AccountId,
    filter: &CallFilter,
    most: i64,
) -> Result<Found, UsageError> {
    if let Some(call) = filter.call {
        return Ok(Found { ids: vec![call.0], rest: None });
    }
    let mut ids = Vec::new();
    let (stretches, rest) = stretches(db, account_id, filter, most).await?;
    for (first, until) in stretches {
        let missing = most - ids.len() as i64;
        if missing <= 0 {
            break;
        }
        ids.extend(ids_within(db, account_id, filter, first, until, missing).await?);
    }
    let full = ids.len() as i64 >= most;
    Ok(Found { ids, rest: rest.filter(|_| !full) })
}

/// Those of them from one id up to another. A statement for each stretch: where its ends are known to the plan, it reads an index from the
/// end and stops; of ends that come out of a table it guesses that little lies between, and reads and sorts all of it.
async fn ids_within(
    db: impl PgExecutor<'_>,
    account_id: AccountId,
    filter: &CallFilter,
    first: Uuid,
    until: Uuid,
    most: i64,
) -> Result<Vec<Uuid>, UsageError> {
    // Several statements, since no plan is good for all: one reads the account's index, another the key's, and what is indirect is planned
    // only where it is asked for. A call is of the member as in totals: of a key that was handed over, by its hour.
    let ids = match filter.whose.key_id {
        key_id if filter.whose.is_indirect() => {
            sqlx::query_scalar!(
                r#"SELECT u.request_id AS "request_id!" FROM usage_records u
                   LEFT JOIN api_keys k ON k.key_id = u.key_id AND k.account_id = $1 AND k.created_by = $11
                        AND (k.inherited_at IS NULL OR date_trunc('hour', u.started_at, 'UTC') >= k.inherited_at)
                  WHERE u.account_id = $1 AND u.request_id >= $4 AND u.request_id < $5
                    AND ($11::uuid IS NULL OR k.key_id IS NOT NULL)
                    AND ($2::uuid IS NULL OR u.key_id = $2) AND ($3::text IS NULL OR u.model_id = $3)
                    AND ($10::text IS NULL OR u.supplier_id = (SELECT s.supplier_id FROM suppliers s WHERE s.slug = $10))
                    AND u.started_at >= coalesce($6::timestamptz, '-infinity') AND u.started_at < coalesce($7::timestamptz, 'infinity')
                    AND (NOT $9::boolean OR is_failure(u.outcome))
                  ORDER BY u.request_id DESC LIMIT $8"#,
                account_id.0,
                key_id.map(|id| id.0),
                filter.whose.model_id,
                first,
                until,
                filter.since,
                filter.until,
                most,
                filter.only_failed,
                filter.whose.supplier,
                filter.whose.member.map(|id| id.0)
            )
            .fetch_all(db)
            .await?
        }
        None => {
            sqlx::query_scalar!(
                "SELECT u.request_id FROM usage_records u
                  WHERE u.account_id = $1 AND u.request_id >= $3 AND u.request_id < $4 AND ($2::text IS NULL OR u.model_id = $2)
                    AND u.started_at >= coalesce($5::timestamptz, '-infinity') AND u.started_at < coalesce($6::timestamptz, 'infinity')
                    AND (NOT $8::boolean OR is_failure(u.outcome))
                  ORDER BY u.request_id DESC LIMIT $7",
                account_id.0,
                filter.whose.model_id,
                first,
                until,
                filter.since,
                filter.until,
                most,
                filter.only_failed
            )
            .fetch_all(db)
            .await?
        }
        Some(key_id) => {
            sqlx::query_scalar!(
                "SELECT u.request_id FROM usage_records u
                  WHERE u.key_id = $2 AND u.account_id = $1 AND u.request_id >= $4 AND u.request_id < $5
                    AND ($3::text IS NULL OR u.model_id = $3)
                    AND u.started_at >= coalesce($6::timestamptz, '-infinity') AND u.started_at < coalesce($7::timestamptz, 'infinity')
                    AND (NOT $9::boolean OR is_failure(u.outcome))
                  ORDER BY u.request_id DESC LIMIT $8",
                account_id.0,
                key_id.0,
                filter.whose.model_id,
                first,
                until,
                filter.since,
                filter.until,
                most,
                filter.only_failed
            )
            .fetch_all(db)
            .await?
        }
    };
    Ok(ids)
}

/// From an id up to another, which is not included.
type Stretch = (Uuid, Uuid);

/// Stretches of ids that hold the latest calls of the filter, and before which id more may lie. Calls of one model, supplier or member, and
/// such as failed, may be far between, so the hours that have some are looked up first.
async fn stretches(
    db: impl PgExecutor<'_>,
    account_id: AccountId,
    filter: &CallFilter,
    most: i64,
) -> Result<(Vec<Stretch>, Option<Uuid>), UsageError> {
    let first = filter.since.map_or(Uuid::nil(), |since| first_id(since - SLACK));
    let until = filter.until.map_or(Uuid::max(), |until| first_id(until + SLACK));
    let until = filter.before.map_or(until, |before| until.min(before.0));
    if filter.whose.model_id.is_none() && !filter.whose.is_indirect() && !filter.only_failed {
        return Ok((vec![(first, until)], None));
    }
    let hours = hours_with_calls(db, account_id.0, filter, moment_of(first), moment_of(until) + SLACK, most).await?;
    let mut stretches: Vec<Stretch> = Vec::new();
    for hour in hours.starts {
        let (from, to) = (first_id(hour - SLACK).max(first), first_id(hour + TimeDelta::hours(1) + SLACK).min(until));
        match stretches.last_mut() {
            // The latest come first, so this one is before the last and may reach into it.
            Some(last) if to >= last.0 => last.0 = from,
            _ => stretches.push((from, to)),
        }
    }
    let looked_through = stretches.last().map(|stretch| stretch.0);
    Ok((stretches, looked_through.filter(|rest| hours.more && *rest > first)))
}

/// The first id of a moment, to the millisecond (RFC 9562).
fn first_id(moment: DateTime<Utc>) -> Uuid {
    Uuid::from_u128(u128::from(moment.timestamp_millis().max(0).unsigned_abs()) << 80)
}

/// When an id was made.
fn moment_of(id: Uuid) -> DateTime<Utc> {
    let millis = i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX);
    DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RequestId;

    #[test]
    fn ids_say_when_they_were_made() {
        let before = Utc::now();
        let id = RequestId::generate();
        let made = moment_of(id.0);
        assert!(made >= before - TimeDelta::milliseconds(1) && made <= Utc::now(), "{made}");
        assert!(first_id(made) <= id.0 && id.0 < first_id(made + TimeDelta::milliseconds(1)));
        assert_eq!(moment_of(Uuid::nil()), DateTime::UNIX_EPOCH);
        assert!(moment_of(Uuid::max()) > Utc::now());
    }
}
