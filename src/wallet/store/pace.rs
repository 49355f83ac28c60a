//! How fast an account spends.

use crate::ids::AccountId;
use crate::tokens::Tokens;
use crate::wallet::store::WalletError;
use chrono::{NaiveTime, TimeDelta, Utc};
use sqlx::PgExecutor;
use std::collections::HashMap;

/// What was charged on each of the last `days` full days (UTC), the oldest first.
pub async fn charges_by_day(db: impl PgExecutor<'_>, account_id: AccountId, days: i32) -> Result<Vec<Tokens>, WalletError> {
    let today = Utc::now().date_naive().and_time(NaiveTime::MIN).and_utc();
    let first = today - TimeDelta::days(i64::from(days));
    let rows = sqlx::query!(
        r#"SELECT t.starts_at, sum(t.charge)::bigint AS "charge!" FROM usage_totals t
            WHERE t.account_id = $1 AND t.unit = 'day' AND t.starts_at >= $2 AND t.starts_at < $3
            GROUP BY t.starts_at"#,
        account_id.0,
        first,
        today
    )
    .fetch_all(db)
    .await?;
    let charged: HashMap<_, _> = rows.into_iter().map(|row| (row.starts_at, Tokens(row.charge))).collect();
    let days = (0..days).map(|day| first + TimeDelta::days(i64::from(day)));
    Ok(days.map(|day| charged.get(&day).copied().unwrap_or_default()).collect())
}
