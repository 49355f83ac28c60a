//! What of an account, and of what it can call, has a text in its name; keys by the end of their secret too, orders by how their number
//! begins.

use crate::accounts::rights::Reader;
use crate::checkout::types::OrderStatus;
use crate::error::{ConsoleError, unavailable};
use crate::ids::{KeyId, OrderId};
use crate::money::{Currency, Money};
use crate::search::types::Found;
use sqlx::PgExecutor;

#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error("a row holds {0}, which is none of ours")]
    Unreadable(String),
    #[error("database failed")]
    Db(#[from] sqlx::Error),
}

impl From<SearchError> for ConsoleError {
    fn from(error: SearchError) -> ConsoleError {
        match error {
            SearchError::Unreadable(_) => {
                tracing::error!(%error, "what was found cannot be read");
                ConsoleError::Internal
            }
            SearchError::Db(error) => unavailable(&error),
        }
    }
}

/// At most `most` of each kind, the newest first. `text` is looked for as it stands, in any case. One letter ends too many secrets, and
/// numbers begin with the day.
pub async fn find(db: impl PgExecutor<'_> + Copy, member: &Reader, text: &str, most: i64) -> Result<Vec<Found>, SearchError> {
    let account_id = member.account_id().0;
    let keys = sqlx::query!(
        "SELECT key_id, name, secret_hint FROM api_keys
          WHERE account_id = $1 AND status <> 'deleted'
            AND (position(lower($2) IN lower(name)) > 0
                 OR (length($2::text) > 1 AND right(lower(secret_hint), length($2::text)) = lower($2)))
          ORDER BY key_id DESC LIMIT $3",
        account_id,
        text,
        most
    );
    let orders = sqlx::query!(
        "SELECT order_id, package_name, created_at, price_minor, currency, status FROM orders
          WHERE account_id = $1
            AND (position(lower($2) IN lower(package_name)) > 0
                 OR (length($2::text) > 3 AND starts_with(order_id::text, lower($2))))
          ORDER BY order_id DESC LIMIT $3",
        account_id,
        text,
        most
    );
    let models = sqlx::query!(
        "SELECT m.model_id, s.name AS supplier_name
           FROM models m JOIN suppliers s ON s.supplier_id = m.supplier_id
          WHERE m.status = 'enabled' AND s.status = 'enabled' AND position(lower($1) IN lower(m.model_id)) > 0
          ORDER BY m.model_id LIMIT $2",
        text,
        most
    );
    let keys = keys.fetch_all(db).await?.into_iter();
    let mut found: Vec<_> = keys.map(|row| Found::Key { key_id: KeyId(row.key_id), name: row.name, hint: row.secret_hint }).collect();
    let orders = orders.fetch_all(db).await?.into_iter();
    for row in orders {
        let currency = Currency::parse(&row.currency).map_err(|_| SearchError::Unreadable(row.currency))?;
        found.push(Found::Order {
            order_id: OrderId(row.order_id),
            package_name: row.package_name,
            at: row.created_at.into(),
            price: Money::new(row.price_minor, currency),
            status: OrderStatus::parse(&row.status).ok_or(SearchError::Unreadable(row.status))?,
        });
    }
    let models = models.fetch_all(db).await?.into_iter();
    found.extend(models.map(|row| Found::Model { model_id: row.model_id, supplier_name: row.supplier_name }));
    Ok(found)
}
