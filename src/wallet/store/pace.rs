//! How fast an account spends.

use crate::ids::AccountId;
use crate::tokens::Tokens;
use crate::wallet::store::WalletError;
use sqlx::PgPool;

/// What was charged on each of the last `days` full days (UTC), the oldest first.
pub async fn charges_by_day(db: &PgPool, account_id: AccountId, days: i32) -> Result<Vec<Tokens>, WalletError> {
    let charges = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(t.charge), 0)::bigint AS "charge!"
             FROM generate_series(1, $2::integer) AS back
             LEFT JOIN usage_totals t
               ON t.account_id = $1 AND t.unit = 'day' AND t.starts_at = date_trunc('day', now(), 'UTC') - back * interval '24 hours'
            GROUP BY back ORDER BY back DESC"#,
        account_id.0,
        days
    )
    .fetch_all(db)
    .await?;
    Ok(charges.into_iter().map(Tokens).collect())
}
