//! The statement: ledger entries as the wallet's owner reads them, each with what was in the wallet after it.

use crate::accounts::rights::Reader;
use crate::ids::{AccountId, OrderId, RequestId};
use crate::tokens::Tokens;
use crate::wallet::store::WalletError;
use crate::wallet::types::{Cause, EntryView, Movement, Statement, Which};
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use std::collections::HashMap;
use uuid::Uuid;

/// Entries a page.
pub const PAGE: i64 = 25;

/// The entries older than `before` (none = the newest), a page of them.
///
/// What was in the wallet after an entry is what is in it now, less every entry since: the newest page costs a page, however long
/// the ledger is. It is said where all entries are shown; both come from one statement, so that no call settles in between.
pub async fn statement_of(db: &PgPool, member: &Reader, which: Which, before: Option<i64>) -> Result<Statement, WalletError> {
    let mut rows = rows_before(db, member.account_id(), which, before, PAGE + 1, which == Which::All).await?;
    let more = rows.len() as i64 > PAGE;
    rows.truncate(PAGE as usize);
    let mut after = rows.first().and_then(|row| row.in_wallet);
    let calls = calls_of(db, member.account_id(), &rows).await?;
    let entries: Vec<EntryView> = rows
        .into_iter()
        .map(|row| {
            let entry = entry_of(row, &calls, after.map(Tokens));
            after = after.map(|after| after - entry.tokens.0);
            entry
        })
        .collect();
    let older = entries.last().filter(|_| more).map(|entry| entry.entry_id);
    Ok(Statement { entries, older })
}

/// As many entries older than `before`, without what was in the wallet: for files, which are read over minutes.
pub async fn entries_before(
    db: &PgPool,
    account_id: AccountId,
    which: Which,
    before: Option<i64>,
    most: i64,
) -> Result<Vec<EntryView>, WalletError> {
    let rows = rows_before(db, account_id, which, before, most, false).await?;
    let calls = calls_of(db, account_id, &rows).await?;
    Ok(rows.into_iter().map(|row| entry_of(row, &calls, None)).collect())
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
    /// What was in the wallet, held Tokens included, before the entry that the page ends at; now, on the newest. Where all are shown.
    in_wallet: Option<i64>,
}

/// Given and received are two indexes; each gives its newest entries, in order. The condition is part of the text, since the index of
/// entries that are no calls is found by it.
macro_rules! entries {
    ($db:expr, $account_id:expr, $before:expr, $most:expr, $with_sum:expr, $condition:literal) => {
        sqlx::query_as!(
            EntryRow,
            r#"WITH page AS (
                   SELECT * FROM (
                       (SELECT l.*, CASE WHEN l.from_book IN ('issued', 'refunded') THEN l.tokens WHEN l.to_account_id = $1 THEN 0
                                         ELSE -l.tokens END AS signed
                          FROM ledger l
                         WHERE l.account_id = $1 AND l.entry_id < coalesce($2, 9223372036854775807) AND "#
                + $condition
                + r#"
                         ORDER BY l.entry_id DESC LIMIT $3)
                        UNION ALL
                       (SELECT l.*, l.tokens AS signed
                          FROM ledger l
                         WHERE l.to_account_id = $1 AND l.account_id <> $1 AND l.entry_id < coalesce($2, 9223372036854775807) AND "#
                + $condition
                + r#"
                         ORDER BY l.entry_id DESC LIMIT $3)) entries
                    ORDER BY entry_id DESC LIMIT $3
               )
               SELECT p.entry_id AS "entry_id!", p.at AS "at!", p.from_book AS "from_book!", p.to_book AS "to_book!", p.to_grant_id,
                      p.signed AS "signed!", p.order_id, p.request_id, p.action_id, p.redemption_id, g.note,
                      o.package_name AS "package_name?",
                      CASE WHEN $4 THEN
                          (SELECT (SELECT coalesce(sum(g.left_ + g.held), 0) FROM grants g WHERE g.account_id = $1)
                                - (SELECT coalesce(sum(CASE WHEN l.from_book IN ('issued', 'refunded') THEN l.tokens
                                                            WHEN l.to_account_id = $1 THEN 0 ELSE -l.tokens END), 0)
                                     FROM ledger l WHERE l.account_id = $1 AND l.entry_id >= $2)
                                - (SELECT coalesce(sum(l.tokens), 0)
                                     FROM ledger l WHERE l.to_account_id = $1 AND l.account_id <> $1 AND l.entry_id >= $2))::bigint
                      END AS in_wallet
                 FROM page p
                 JOIN grants g ON g.grant_id = p.grant_id
                 LEFT JOIN orders o ON o.order_id = p.order_id
                ORDER BY p.entry_id DESC"#,
            $account_id.0,
            $before,
            $most,
            $with_sum
        )
        .fetch_all($db)
        .await?
    };
}

/// `with_sum`: with what was in the wallet, for which every entry since is read.
async fn rows_before(
    db: &PgPool,
    account_id: AccountId,
    which: Which,
    before: Option<i64>,
    most: i64,
    with_sum: bool,
) -> Result<Vec<EntryRow>, WalletError> {
    Ok(match which {
        Which::All => entries!(db, account_id, before, most, with_sum, "true"),
        Which::Calls => entries!(db, account_id, before, most, with_sum, "l.to_book = 'spent'"),
        Which::Others => entries!(db, account_id, before, most, with_sum, "l.to_book <> 'spent'"),
    })
}

/// Model and key of each call among these entries. A statement of its own: its plan leaves out the months that none of them is in, and
/// together with the entries' it took longer to plan than both take to run.
async fn calls_of(db: &PgPool, account_id: AccountId, rows: &[EntryRow]) -> Result<HashMap<Uuid, (String, String)>, WalletError> {
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
