//! The statement: ledger entries as the wallet's owner reads them, each with what was in the wallet after it.

use crate::accounts::rights::Reader;
use crate::ids::{OrderId, RequestId};
use crate::tokens::Tokens;
use crate::wallet::store::WalletError;
use crate::wallet::types::{Cause, EntryView, Movement, Statement};
use sqlx::PgPool;

/// Entries a page.
pub const PAGE: i64 = 50;

/// The entries older than `before` (none = the newest), a page of them.
///
/// What was in the wallet after an entry is what is in it now, less every entry since: the newest page costs a page, however long
/// the ledger is. One statement, so that no call settles in between.
pub async fn statement_of(db: &PgPool, member: &Reader, before: Option<i64>) -> Result<Statement, WalletError> {
    let mut rows = sqlx::query!(
        r#"WITH wallet AS (
               SELECT coalesce(sum(g.left_ + g.held), 0) AS tokens FROM grants g WHERE g.account_id = $1
           ), since AS (
               SELECT coalesce(sum(signed), 0) AS tokens FROM (
                   SELECT CASE WHEN l.from_book IN ('issued', 'refunded') THEN l.tokens WHEN l.to_account_id = $1 THEN 0 ELSE -l.tokens END AS signed
                     FROM ledger l WHERE l.account_id = $1 AND l.entry_id >= $2
                    UNION ALL
                   SELECT l.tokens FROM ledger l WHERE l.to_account_id = $1 AND l.account_id <> $1 AND l.entry_id >= $2) entries
           ), page AS (
               -- Given and received are two indexes; each gives its newest page, in order.
               SELECT * FROM (
                   (SELECT l.*, CASE WHEN l.from_book IN ('issued', 'refunded') THEN l.tokens WHEN l.to_account_id = $1 THEN 0 ELSE -l.tokens END AS signed
                      FROM ledger l
                     WHERE l.account_id = $1 AND l.entry_id < coalesce($2, 9223372036854775807)
                     ORDER BY l.entry_id DESC LIMIT $3)
                    UNION ALL
                   (SELECT l.*, l.tokens AS signed
                      FROM ledger l
                     WHERE l.to_account_id = $1 AND l.account_id <> $1 AND l.entry_id < coalesce($2, 9223372036854775807)
                     ORDER BY l.entry_id DESC LIMIT $3)) entries
                ORDER BY entry_id DESC LIMIT $3
           )
           SELECT p.entry_id AS "entry_id!", p.at AS "at!", p.from_book AS "from_book!", p.to_book AS "to_book!", p.to_grant_id, p.signed AS "signed!", p.order_id, p.request_id, p.action_id, p.redemption_id,
                  (wallet.tokens - since.tokens
                   - coalesce(sum(p.signed) OVER (ORDER BY p.entry_id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0))::bigint
                      AS "after!",
                  g.note, o.package_name AS "package_name?", u.model_id AS "model_id?", k.name AS "key_name?"
             FROM wallet, since, page p
             JOIN grants g ON g.grant_id = p.grant_id
             LEFT JOIN orders o ON o.order_id = p.order_id
             LEFT JOIN usage_records u ON u.request_id = p.request_id
             LEFT JOIN api_keys k ON k.key_id = u.key_id
            ORDER BY p.entry_id DESC"#,
        member.account_id().0,
        before,
        PAGE + 1
    )
    .fetch_all(db)
    .await?;
    let more = rows.len() as i64 > PAGE;
    rows.truncate(PAGE as usize);
    let entries: Vec<EntryView> = rows
        .into_iter()
        .map(|row| {
            let cause = match (row.order_id, row.request_id) {
                (Some(order_id), _) => Cause::Order { order_id: OrderId(order_id), package_name: row.package_name.unwrap_or_default() },
                (None, Some(request_id)) => Cause::Call {
                    request_id: RequestId(request_id),
                    model_id: row.model_id.unwrap_or_default(),
                    key_name: row.key_name.unwrap_or_default(),
                },
                (None, None) if row.to_book == "expired" => Cause::Expiry,
                (None, None) if row.redemption_id.is_some() => Cause::Code { note: row.note },
                (None, None) => Cause::Operator { note: row.note },
            };
            let movement = match row.to_book.as_str() {
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
            };
            EntryView { entry_id: row.entry_id, at: row.at.into(), movement, tokens: Tokens(row.signed), after: Tokens(row.after), cause }
        })
        .collect();
    let older = entries.last().filter(|_| more).map(|entry| entry.entry_id);
    Ok(Statement { entries, older })
}
