//! The statement: ledger entries as the wallet's owner reads them, each with what was in the wallet after it.

use crate::accounts::rights::Reader;
use crate::ids::{AccountId, OrderId, RequestId};
use crate::tokens::Tokens;
use crate::wallet::filter::EntryFilter;
use crate::wallet::store::WalletError;
use crate::wallet::types::{Cause, EntryView, Movement, Statement, Which};
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use std::collections::HashMap;
use uuid::Uuid;

/// Entries a page.
pub const PAGE: i64 = 25;

/// A page of the entries that the filter lets through.
///
/// What was in the wallet after an entry is what is in it now, less every entry since. Of before last night, marks (`ledger::mark_ledger`)
/// say that: the newest page costs a page, an older one what lies between two marks besides, however long the ledger is. It is said where
/// entries of every kind are shown; both come from one statement, so that no call settles in between.
pub async fn statement_of(db: impl PgExecutor<'_> + Copy, member: &Reader, filter: EntryFilter) -> Result<Statement, WalletError> {
    let mut entries = next_entries(db, member.account_id(), filter, None, PAGE + 1).await?;
    let more = entries.len() as i64 > PAGE;
    entries.truncate(PAGE as usize);
    let older = entries.last().filter(|_| more).map(|entry| entry.entry_id);
    Ok(Statement { entries, older })
}

/// The page that begins with the entry in which an order's Tokens came; none when none came into this account.
pub async fn statement_from_order(
    db: impl PgExecutor<'_> + Copy,
    member: &Reader,
    filter: EntryFilter,
    order_id: OrderId,
) -> Result<Option<Statement>, WalletError> {
    let issued = sqlx::query!(
        "SELECT l.entry_id FROM grants g JOIN ledger l ON l.grant_id = g.grant_id AND l.from_book = 'issued'
          WHERE g.order_id = $1 AND g.account_id = $2 AND l.account_id = $2",
        order_id.0,
        member.account_id().0
    );
    let Some(issued) = issued.fetch_optional(db).await? else { return Ok(None) };
    statement_of(db, member, EntryFilter { before: Some(issued.entry_id.saturating_add(1)), ..filter }).await.map(Some)
}

/// The next entries that the filter lets through, after `last`, which was the last before them: for files, which are read over minutes.
/// What is in the wallet is read with the first of them. Calls' entries of an account are written one after the other, under its lock, so that
/// none ever comes in before one that was read.
pub async fn next_entries(
    db: impl PgExecutor<'_> + Copy,
    account_id: AccountId,
    filter: EntryFilter,
    last: Option<&EntryView>,
    most: i64,
) -> Result<Vec<EntryView>, WalletError> {
    let before = last.map(|entry| entry.entry_id);
    let sum_to = (filter.which == Which::All).then_some(before.unwrap_or(i64::MAX));
    let rows = rows_of(db, account_id, EntryFilter { before: before.or(filter.before), ..filter }, most, sum_to).await?;
    let calls = calls_of(db, account_id, &rows).await?;
    let mut in_wallet = match last {
        Some(last) => last.after.map(|after| after.0 - last.tokens.0),
        None => rows.first().and_then(|row| row.in_wallet),
    };
    let entries = rows.into_iter().map(|row| {
        let after = in_wallet.zip(row.since).map(|(in_wallet, since)| in_wallet - since);
        in_wallet = after.map(|after| after - row.signed);
        entry_of(row, &calls, after.map(Tokens))
    });
    Ok(entries.collect())
}

/// An entry as it is stored, with what its cause is called.
struct EntryRow {
    entry_id: i64,
    at: DateTime<Utc>,
    from_book: String,
    to_book: String,
    to_grant_id: Option<Uuid>,
    /// Positive = into the wallet.
    signed: i64,
    order_id: Option<Uuid>,
    request_id: Option<Uuid>,
    action_id: Option<Uuid>,
    redemption_id: Option<Uuid>,
    note: Option<String>,
    package_name: Option<String>,
    /// What is in the wallet now, held Tokens included. Where it is asked for.
    in_wallet: Option<i64>,
    /// What all entries between this one and the next newer one here come to; of the newest, all that came since. Where it is asked for.
    since: Option<i64>,
}

/// The newest of these entries, each with what came since. Entries are numbered in the order in which they are written and are as old as
/// their transactions, so that between two of a day there may be one of the day before, which counts in what was in the wallet all the same.
macro_rules! entries {
    ($db:expr, $between:literal, [$($source:literal)+], $($value:expr),+) => {
        sqlx::query_as!(
            EntryRow,
            r#"WITH page AS (
                   SELECT *, lag(entry_id) OVER (ORDER BY entry_id DESC) AS newer_id FROM ("#
                + $($source +)+
                r#") entries ORDER BY entry_id DESC LIMIT $3
               )
               SELECT p.entry_id AS "entry_id!", p.at AS "at!", p.from_book AS "from_book!", p.to_book AS "to_book!", p.to_grant_id,
                      p.signed AS "signed!", p.order_id, p.request_id, p.action_id, p.redemption_id, g.note,
                      o.package_name AS "package_name?",
                      CASE WHEN $4::bigint IS NOT NULL THEN
                          (SELECT coalesce(sum(w.left_ + w.held), 0) FROM grants w WHERE w.account_id = $1)::bigint
                      END AS in_wallet,
                      CASE WHEN $4::bigint IS NULL THEN NULL "#
                + $between
                + r#" WHEN p.newer_id IS NULL AND $4::bigint = 9223372036854775807 THEN moved_since($1, p.entry_id)
                           ELSE moved_between($1, p.entry_id, coalesce(p.newer_id, $4::bigint)) END AS since
                 FROM page p
                 JOIN grants g ON g.grant_id = p.grant_id
                 LEFT JOIN orders o ON o.order_id = p.order_id
                ORDER BY p.entry_id DESC"#,
            $($value),+
        )
        .fetch_all($db)
        .await?
    };
}

/// Given and received are two indexes; each gives its newest entries, in order. The condition is part of the text, since the index of
/// entries that are no calls is found by it.
macro_rules! newest {
    ($db:expr, $account_id:expr, $before:expr, $most:expr, $sum_to:expr, $condition:literal) => {
        entries!(
            $db,
            // Nothing lies between two of them, and nothing came after the newest of all.
            "WHEN p.newer_id IS NOT NULL OR $2::bigint IS NULL THEN 0",
            [
                "(SELECT l.*, CASE WHEN l.from_book IN ('issued', 'refunded') THEN l.tokens WHEN l.to_account_id = $1 THEN 0
                                   ELSE -l.tokens END AS signed
                    FROM ledger l
                   WHERE l.account_id = $1 AND l.entry_id < coalesce($2, 9223372036854775807) AND "
                $condition
                " ORDER BY l.entry_id DESC LIMIT $3)
                  UNION ALL
                 (SELECT l.*, l.tokens AS signed
                    FROM ledger l
                   WHERE l.to_account_id = $1 AND l.account_id <> $1 AND l.entry_id < coalesce($2, 9223372036854775807) AND "
                $condition
                " ORDER BY l.entry_id DESC LIMIT $3)"
            ],
            $account_id.0,
            $before,
            $most,
            $sum_to
        )
    };
}

/// `sum_to`: with what was in the wallet, for which what lies between the newest entry here and this one is counted; the largest number is
/// now.
async fn rows_of(
    db: impl PgExecutor<'_> + Copy,
    account_id: AccountId,
    filter: EntryFilter,
    most: i64,
    sum_to: Option<i64>,
) -> Result<Vec<EntryRow>, WalletError> {
    if filter.since.is_some() || filter.until.is_some() {
        return Ok(entries!(
            db,
            "",
            ["SELECT l.*, CASE WHEN l.from_book IN ('issued', 'refunded') OR l.account_id <> $1 THEN l.tokens
                               WHEN l.to_account_id = $1 THEN 0 ELSE -l.tokens END AS signed
                FROM entries_of_days($1, $5, coalesce($2, 9223372036854775807), coalesce($6::timestamptz, '-infinity'),
                                     coalesce($7::timestamptz, 'infinity'), $3) l"],
            account_id.0,
            filter.before,
            most,
            sum_to,
            filter.which.as_str(),
            filter.since,
            filter.until
        ));
    }
    Ok(match filter.which {
        Which::All => newest!(db, account_id, filter.before, most, sum_to, "true"),
        Which::Calls => newest!(db, account_id, filter.before, most, sum_to, "l.to_book = 'spent'"),
        Which::Others => newest!(db, account_id, filter.before, most, sum_to, "l.to_book <> 'spent'"),
    })
}

/// Model and key of each call among these entries. A statement of its own: its plan leaves out the months that none of them is in, and
/// together with the entries' it took longer to plan than both take to run.
async fn calls_of(
    db: impl PgExecutor<'_>,
    account_id: AccountId,
    rows: &[EntryRow],
) -> Result<HashMap<Uuid, (String, String)>, WalletError> {
    let ids: Vec<Uuid> = rows.iter().filter_map(|row| row.request_id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let calls = sqlx::query!(
        "SELECT u.request_id, u.model_id, k.name FROM usage_records u JOIN api_keys k ON k.key_id = u.key_id
          WHERE u.account_id = $1 AND u.request_id = ANY ($2)",
        account_id.0,
        &ids
    );
    Ok(calls.fetch_all(db).await?.into_iter().map(|call| (call.request_id, (call.model_id, call.name))).collect())
}

fn entry_of(row: EntryRow, calls: &HashMap<Uuid, (String, String)>, after: Option<Tokens>) -> EntryView {
    let movement = movement_of(&row);
    let cause = match (row.order_id, row.request_id) {
        (Some(order_id), _) => Cause::Order { order_id: OrderId(order_id), package_name: row.package_name.unwrap_or_default() },
        (None, Some(request_id)) => {
            // A call that drew on several grants has an entry for each.
            let (model_id, key_name) = calls.get(&request_id).cloned().unwrap_or_default();
            Cause::Call { request_id: RequestId(request_id), model_id, key_name }
        }
        (None, None) if row.to_book == "expired" => Cause::Expiry,
        (None, None) if row.redemption_id.is_some() => Cause::Code { note: row.note },
        (None, None) => Cause::Operator { note: row.note },
    };
    EntryView { entry_id: row.entry_id, at: row.at.into(), movement, tokens: Tokens(row.signed), after, cause }
}

fn movement_of(row: &EntryRow) -> Movement {
    match row.to_book.as_str() {
        _ if row.from_book == "refunded" => Movement::Returned,
        "spent" => Movement::Spent,
        "expired" => Movement::Expired,
        "refunded" if row.action_id.is_some() => Movement::TakenBack,
        "refunded" => Movement::Refunded,
        _ if row.to_grant_id.is_some() => match row.signed {
            0 => Movement::RolledOver,
            1.. => Movement::Received,
            _ => Movement::Transferred,
        },
        _ if row.order_id.is_some() => Movement::Bought,
        _ if row.action_id.is_some() => Movement::Credited,
        _ => Movement::Redeemed,
    }
}
