//! All SQL of `home`: reads only, each a glance at what another domain owns.

use crate::accounts::rights::Reader;
use crate::error::{ConsoleError, unavailable};
use crate::home::types::{CallOutcome, DayUsage, FirstSteps, ModelCharge, RecentCall, Teaser};
use crate::ids::{KeyId, RequestId};
use crate::money::{Currency, CurrencyError, Money};
use crate::tokens::Tokens;
use crate::usage::range::Range;
use sqlx::PgExecutor;

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
pub async fn packages_on_sale(db: impl PgExecutor<'_>, most: i64) -> Result<Vec<Teaser>, HomeError> {
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

/// How far a new account has come. Tokens that were spent and keys that were deleted still count.
pub async fn first_steps(db: impl PgExecutor<'_>, member: &Reader) -> Result<FirstSteps, HomeError> {
    Ok(glance(db, member, false).await?.0)
}

/// The same, and every model, the oldest first, disabled ones too: they may have been called.
pub async fn steps_and_models(db: impl PgExecutor<'_>, member: &Reader) -> Result<(FirstSteps, Vec<String>), HomeError> {
    glance(db, member, true).await
}

/// In one statement. Of models, none without `with_models`: few pages show them.
async fn glance(db: impl PgExecutor<'_>, member: &Reader, with_models: bool) -> Result<(FirstSteps, Vec<String>), HomeError> {
    let row = sqlx::query!(
        r#"SELECT EXISTS (SELECT 1 FROM grants WHERE account_id = $1) AS "has_tokens!",
                  EXISTS (SELECT 1 FROM api_keys WHERE account_id = $1) AS "has_key!",
                  EXISTS (SELECT 1 FROM usage_totals WHERE account_id = $1) AS "has_called!",
                  (SELECT key_id FROM api_keys WHERE account_id = $1 AND status = 'enabled' ORDER BY created_at DESC LIMIT 1) AS key_id,
                  ARRAY(SELECT model_id FROM models WHERE $2 ORDER BY created_at, model_id) AS "models!""#,
        member.account_id().0,
        with_models
    )
    .fetch_one(db)
    .await?;
    let steps = FirstSteps {
        has_tokens: row.has_tokens,
        has_key: row.has_key,
        has_called: row.has_called,
        key_id: row.key_id.map(KeyId),
        role: member.role(),
    };
    Ok((steps, row.models))
}

/// What happened in each bucket of the range, also in those in which nothing did. Of grants, each is in the wallet from when it can be spent
/// until it can no more, whenever that was written.
pub async fn days_of(db: impl PgExecutor<'_>, member: &Reader, range: &Range) -> Result<Vec<DayUsage>, HomeError> {
    let rows = sqlx::query!(
        r#"SELECT width_bucket(t.starts_at, $2) - 1 AS "place!", t.model_id, sum(t.calls)::bigint AS "calls!",
                  sum(t.failed)::bigint AS "failed!", sum(t.charge)::bigint AS "tokens!"
             FROM usage_totals t
            WHERE t.account_id = $1 AND t.unit = $4 AND t.starts_at >= ($2::timestamptz[])[1] AND t.starts_at < $3
            GROUP BY 1, t.model_id
           UNION ALL
           SELECT width_bucket(m.at, $2) - 1, NULL, 0, 0, sum(m.tokens)::bigint
             FROM (SELECT CASE WHEN l.to_book = 'expired' THEN least(l.at, g.expires_at) ELSE greatest(l.at, g.starts_at) END AS at,
                          CASE WHEN l.from_book = 'grant' THEN -l.tokens ELSE l.tokens END AS tokens
                     FROM ledger l JOIN grants g ON g.grant_id = l.grant_id
                    WHERE l.account_id = $1 AND l.to_book <> 'spent'
                    UNION ALL
                   SELECT greatest(l.at, g.starts_at), l.tokens
                     FROM ledger l JOIN grants g ON g.grant_id = l.to_grant_id
                    WHERE l.to_account_id = $1
                    UNION ALL
                   SELECT least(g.expires_at, g.frozen_at), -g.left_
                     FROM grants g
                    WHERE g.account_id = $1 AND g.left_ > 0 AND (g.expires_at <= now() OR g.frozen_at IS NOT NULL)) m
            WHERE m.at >= ($2::timestamptz[])[1] AND m.at <= now()
            GROUP BY 1
            ORDER BY 1, 2"#,
        member.account_id().0,
        &range.starts,
        range.end,
        range.totals_unit()
    )
    .fetch_all(db)
    .await?;
    let mut days: Vec<DayUsage> = range.starts.iter().map(|start| DayUsage::empty((*start).into())).collect();
    for row in rows {
        let Some(day) = usize::try_from(row.place).ok().and_then(|place| days.get_mut(place)) else { continue };
        let Some(model_id) = row.model_id else {
            day.others = Tokens(row.tokens);
            continue;
        };
        day.calls += row.calls;
        day.failed += row.failed;
        day.charge = Tokens(day.charge.0.saturating_add(row.tokens));
        day.models.push(ModelCharge { model_id, charge: Tokens(row.tokens) });
    }
    Ok(days)
}

/// The latest calls, five at most.
pub async fn recent_calls(db: impl PgExecutor<'_>, member: &Reader) -> Result<Vec<RecentCall>, HomeError> {
    let rows = sqlx::query!(
        // Found first: to plan a join with every month of calls takes longer than all the rest. Of a limit that is a parameter, Postgres
        // expects the worst, and plans anew each time.
        "SELECT u.request_id, u.started_at, k.name AS key_name, u.model_id, u.charge, u.outcome
           FROM (SELECT request_id, started_at, key_id, model_id, charge, outcome FROM usage_records
                  WHERE account_id = $1 ORDER BY request_id DESC LIMIT 5) u
           JOIN api_keys k ON k.key_id = u.key_id
          ORDER BY u.request_id DESC",
        member.account_id().0
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
