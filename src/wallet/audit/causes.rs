//! Why Tokens moved that no call spent. Entries have no foreign keys, which every call would pay for; so what they name is looked for here.

use super::{Account, Difference, Found};
use sqlx::PgConnection;

/// What an entry names as its cause is there, as is the grant that it moves to; and what was issued was issued for what its grant is for.
/// A call's record is looked for where spending is (`spending_without_usage`).
pub(super) async fn causes_of_entries(tx: &mut PgConnection, account: Account) -> Found {
    sqlx::query_as!(
        Difference,
        r#"SELECT 'entry ' || l.entry_id || ' of account ' || l.account_id AS "subject!", d.what AS "what!", 0::bigint AS "expected!",
                  l.tokens AS "found!"
             FROM ledger l
             LEFT JOIN grants g ON g.grant_id = l.grant_id
             LEFT JOIN operator_actions a ON a.action_id = l.action_id
             LEFT JOIN orders o ON o.order_id = l.order_id
             LEFT JOIN code_redemptions c ON c.redemption_id = l.redemption_id
             LEFT JOIN refunds r ON r.refund_id = l.refund_id
             LEFT JOIN grants t ON t.grant_id = l.to_grant_id
            CROSS JOIN LATERAL (VALUES
                ('for an operator action that is not there', l.action_id IS NOT NULL AND a.action_id IS NULL),
                ('for an order that is not there', l.order_id IS NOT NULL AND o.order_id IS NULL),
                ('for a redemption that is not there', l.redemption_id IS NOT NULL AND c.redemption_id IS NULL),
                ('for a refund that is not there', l.refund_id IS NOT NULL AND r.refund_id IS NULL),
                ('to a grant that is not there', l.to_grant_id IS NOT NULL AND t.grant_id IS NULL),
                ('issued for something else than its grant',
                 l.from_book = 'issued' AND g.grant_id IS NOT NULL
                 AND (l.order_id, l.action_id, l.redemption_id) IS DISTINCT FROM (g.order_id, g.action_id, g.redemption_id))
            ) AS d (what, wrong)
            WHERE l.to_book <> 'spent' AND d.wrong AND ($1::uuid IS NULL OR l.account_id = $1)
            ORDER BY l.entry_id, d.what"#,
        account
    )
    .fetch_all(tx)
    .await
}
