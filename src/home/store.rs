//! All SQL of `home`: reads only, each a glance at what another domain owns.

use crate::accounts::rights::Reader;
use crate::error::{ConsoleError, unavailable};
use crate::home::types::{CallOutcome, DayUsage, Expiry, FirstSteps, ModelCharge, RecentCall, Teaser};
use crate::ids::RequestId;
use crate::money::{Currency, CurrencyError, Money};
use crate::tokens::Tokens;
use sqlx::PgPool;

#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error("a stored currency cannot be read")]
    Currency(#[from] CurrencyError),
    #[error("database failed")]
    Db(#[from] sqlx::Error),
}

impl From<HomeError> for ConsoleError {
    fn from(error: HomeError) -> ConsoleError {
        match error {
            HomeError::Currency(_) => ConsoleError::Internal,
            HomeError::Db(error) => unavailable(&error),
        }
    }
}

/// The cheapest packages on sale.
pub async fn packages_on_sale(db: &PgPool, most: i64) -> Result<Vec<Teaser>, HomeError> {
    let rows = sqlx::query!(
        "SELECT name, tokens, price_minor, currency, valid_for_s FROM packages
          WHERE status = 'on_sale' ORDER BY price_minor, tokens DESC, name LIMIT $1",
        most
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let price = Money::new(row.price_minor, Currency::parse(&row.currency)?);
            Ok(Teaser { name: row.name, tokens: Tokens(row.tokens), price, valid_for_s: row.valid_for_s })
        })
        .collect()
}

/// The balance, and the parts of it that end first. Balance and parts come from one statement, so they agree.
pub async fn balance_and_expiries(db: &PgPool, member: &Reader, most: i64) -> Result<(Tokens, Vec<Expiry>), HomeError> {
    let rows = sqlx::query!(
        r#"SELECT expires_at, sum(left_)::bigint AS "tokens!", (sum(sum(left_)) OVER ())::bigint AS "balance!" FROM grants
            WHERE account_id = $1 AND swept_at IS NULL AND starts_at <= now() AND expires_at > now() AND left_ > 0
            GROUP BY expires_at ORDER BY expires_at LIMIT $2"#,
        member.account_id().0,
        most
    )
    .fetch_all(db)
    .await?;
    let balance = rows.first().map_or(Tokens(0), |row| Tokens(row.balance));
    Ok((balance, rows.into_iter().map(|row| Expiry { tokens: Tokens(row.tokens), at: row.expires_at.into() }).collect()))
}

/// How far a new account has come. Tokens that were spent and keys that were deleted still count.
pub async fn first_steps(db: &PgPool, member: &Reader) -> Result<FirstSteps, HomeError> {
    let row = sqlx::query!(
        r#"SELECT EXISTS (SELECT 1 FROM grants WHERE account_id = $1) AS "has_tokens!",
                  EXISTS (SELECT 1 FROM api_keys WHERE account_id = $1) AS "has_key!",
                  EXISTS (SELECT 1 FROM usage_totals WHERE account_id = $1) AS "has_called!""#,
        member.account_id().0
    )
    .fetch_one(db)
    .await?;
    Ok(FirstSteps { has_tokens: row.has_tokens, has_key: row.has_key, has_called: row.has_called })
}

/// Calls and charges of the last `days` days in UTC, today included, days without a call too.
pub async fn usage_by_day(db: &PgPool, member: &Reader, days: i32) -> Result<Vec<DayUsage>, HomeError> {
    // '24 hours', not '1 day': the length of a day depends on the time zone of the database session.
    let rows = sqlx::query!(
        r#"SELECT d.day AS "day!", u.model_id AS "model_id?", coalesce(sum(u.calls), 0)::bigint AS "calls!",
                  coalesce(sum(u.charge), 0)::bigint AS "charge!", coalesce(sum(u.failed), 0)::bigint AS "failed!"
             FROM generate_series(0, $2 - 1) AS back,
                  LATERAL (SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - back * interval '24 hours' AS day) d
             LEFT JOIN usage_totals u ON u.account_id = $1 AND u.unit = 'day' AND u.starts_at = d.day
            GROUP BY d.day, u.model_id ORDER BY d.day, u.model_id"#,
        member.account_id().0,
        days
    )
    .fetch_all(db)
    .await?;
    let mut by_day: Vec<DayUsage> = Vec::new();
    for row in rows {
        let begin = row.day.into();
        if by_day.last().is_none_or(|day| day.day != begin) {
            by_day.push(DayUsage { day: begin, calls: 0, failed: 0, charge: Tokens(0), models: Vec::new() });
        }
        if let (Some(day), Some(model_id)) = (by_day.last_mut(), row.model_id) {
            day.calls += row.calls;
            day.failed += row.failed;
            day.charge = Tokens(day.charge.0.saturating_add(row.charge));
            day.models.push(ModelCharge { model_id, charge: Tokens(row.charge) });
        }
    }
    Ok(by_day)
}

/// Every model, the oldest first, disabled ones too: they may have been called.
pub async fn models_by_age(db: &PgPool) -> Result<Vec<String>, HomeError> {
    Ok(sqlx::query_scalar!("SELECT model_id FROM models ORDER BY created_at, model_id").fetch_all(db).await?)
}

/// The latest calls.
pub async fn recent_calls(db: &PgPool, member: &Reader, most: i64) -> Result<Vec<RecentCall>, HomeError> {
    let rows = sqlx::query!(
        "SELECT u.request_id, u.started_at, k.name AS key_name, u.model_id, u.charge, u.outcome
           FROM usage_records u JOIN api_keys k ON k.key_id = u.key_id AND k.account_id = u.account_id
          WHERE u.account_id = $1 ORDER BY u.request_id DESC LIMIT $2",
        member.account_id().0,
        most
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| RecentCall {
            request_id: RequestId(row.request_id),
            started_at: row.started_at.into(),
            key_name: row.key_name,
            model_id: row.model_id,
            charge: Tokens(row.charge),
            outcome: match row.outcome.as_str() {
                "ok" => CallOutcome::Completed,
                "client_left" | "key_ended" => CallOutcome::Stopped,
                _ => CallOutcome::Failed,
            },
        })
        .collect())
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
