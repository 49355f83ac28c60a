//! All SQL of `catalog`: the packages, read by everybody, written by operators.

use crate::catalog::types::{PackageCard, rank};
use crate::error::{ConsoleError, Field, Problem, unavailable};
use crate::ids::PackageId;
use crate::money::{Currency, Money};
use crate::operators::audit::{Action, insert_action_in};
use crate::operators::rights::Operator;
use crate::tokens::Tokens;
use crate::utc::UtcTime;
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("a package with this name exists")]
    NameTaken,
    #[error("no supplier is called {0}")]
    UnknownSupplier(String),
    #[error("no such package")]
    NotFound,
    /// Free packages are out of range too: a payment provider moves no money for them, and a credit grants Tokens without one.
    #[error(
        "out of range: a name has 1 to 100 characters, Tokens are 1 to 10^15, a price is at least one minor unit, validity is 1 minute to 3650 days, a purchase limit is at least 1, its period and a refund window 1 minute to 3650 days"
    )]
    OutOfRange,
    #[error("a period limits nothing without a purchase limit")]
    PeriodWithoutLimit,
    #[error("database failed")]
    Db(#[source] sqlx::Error),
}

impl From<sqlx::Error> for CatalogError {
    fn from(error: sqlx::Error) -> CatalogError {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("packages_name_key") => CatalogError::NameTaken,
            Some(
                "packages_name_check"
                | "packages_tokens_check"
                | "packages_price_minor_check"
                | "packages_valid_for_s_check"
                | "packages_purchase_limit_check"
                | "packages_limit_period_s_check"
                | "packages_refund_window_s_check",
            ) => CatalogError::OutOfRange,
            Some("packages_limit_period_of_limit_check") => CatalogError::PeriodWithoutLimit,
            _ => CatalogError::Db(error),
        }
    }
}

impl From<CatalogError> for ConsoleError {
    fn from(error: CatalogError) -> ConsoleError {
        match error {
            CatalogError::NameTaken => ConsoleError::invalid(Field::Name, Problem::Unknown),
            CatalogError::UnknownSupplier(_) => ConsoleError::invalid(Field::Supplier, Problem::Unknown),
            CatalogError::NotFound => ConsoleError::NotFound,
            CatalogError::OutOfRange | CatalogError::PeriodWithoutLimit => ConsoleError::invalid(Field::Package, Problem::Malformed),
            CatalogError::Db(error) => unavailable(&error),
        }
    }
}

/// What is on sale, cheapest Token first, the best value marked.
pub async fn packages_on_sale(db: impl PgExecutor<'_>) -> Result<Vec<PackageCard>, CatalogError> {
    let rows = sqlx::query!(
        r#"SELECT package_id, name, tokens, price_minor, currency, valid_for_s, scope_model_ids, purchase_limit, limit_period_s, rolls_over,
                  refund_window_s,
                  ARRAY(SELECT s.name FROM suppliers s WHERE s.supplier_id = ANY (p.scope_supplier_ids) ORDER BY s.name)
                      AS "supplier_names!"
             FROM packages p WHERE status = 'on_sale'"#
    )
    .fetch_all(db)
    .await?;
    let mut cards = rows
        .into_iter()
        .map(|row| {
            Ok(PackageCard {
                package_id: PackageId(row.package_id),
                name: row.name,
                tokens: Tokens(row.tokens),
                price: Money::new(row.price_minor, stored_currency(&row.currency)?),
                valid_for_s: row.valid_for_s,
                supplier_names: row.supplier_names,
                model_ids: row.scope_model_ids,
                purchase_limit: row.purchase_limit,
                limit_period_s: row.limit_period_s,
                rolls_over: row.rolls_over,
                refund_window_s: row.refund_window_s,
                best_value: false,
            })
        })
        .collect::<Result<Vec<_>, CatalogError>>()?;
    rank(&mut cards);
    Ok(cards)
}

/// One package on sale, marked as [`packages_on_sale`] marks it: a handful of rows, and one definition of "best value".
pub async fn package_on_sale(db: impl PgExecutor<'_>, id: PackageId) -> Result<PackageCard, CatalogError> {
    packages_on_sale(db).await?.into_iter().find(|card| card.package_id == id).ok_or(CatalogError::NotFound)
}

/// A package to put on sale.
#[derive(Clone, Debug)]
pub struct NewPackage {
    pub name: String,
    pub tokens: Tokens,
    pub price: Money,
    pub valid_for_s: i64,
    /// Empty = every supplier.
    pub supplier_slugs: Vec<String>,
    pub purchase_limit: Option<i32>,
    pub limit_period_s: Option<i64>,
    pub rolls_over: bool,
    pub refund_window_s: Option<i64>,
}

impl NewPackage {
    /// For every supplier, and with nothing that a package need not have.
    pub fn plain(name: &str, tokens: Tokens, price: Money, valid_for_s: i64) -> NewPackage {
        NewPackage {
            name: name.into(),
            tokens,
            price,
            valid_for_s,
            supplier_slugs: Vec::new(),
            purchase_limit: None,
            limit_period_s: None,
            rolls_over: false,
            refund_window_s: None,
        }
    }
}

/// Puts a package on sale.
pub async fn insert_package(db: &PgPool, operator: Operator, new: NewPackage) -> Result<PackageId, CatalogError> {
    if new.price.minor < 1 {
        return Err(CatalogError::OutOfRange);
    }
    let package_id = PackageId::generate();
    let mut tx = db.begin().await?;
    let supplier_ids = supplier_ids_in(&mut tx, &new.supplier_slugs).await?;
    sqlx::query!(
        "INSERT INTO packages (package_id, name, tokens, price_minor, currency, valid_for_s, scope_supplier_ids, purchase_limit,
                               limit_period_s, rolls_over, refund_window_s)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        package_id.0,
        new.name.trim(),
        new.tokens.0,
        new.price.minor,
        new.price.currency.code(),
        new.valid_for_s,
        &supplier_ids,
        new.purchase_limit,
        new.limit_period_s,
        new.rolls_over,
        new.refund_window_s
    )
    .execute(&mut *tx)
    .await?;
    let after = package_in(&mut tx, package_id).await?;
    let action = Action { action: "package.add", subject_id: package_id.to_string(), after: Some(json!(after)), ..Action::default() };
    insert_action_in(&mut tx, operator, action).await?;
    tx.commit().await?;
    Ok(package_id)
}

async fn supplier_ids_in(tx: &mut PgConnection, slugs: &[String]) -> Result<Vec<Uuid>, CatalogError> {
    let rows = sqlx::query!("SELECT supplier_id, slug FROM suppliers WHERE slug = ANY ($1) ORDER BY slug", slugs).fetch_all(tx).await?;
    match slugs.iter().find(|slug| !rows.iter().any(|row| row.slug == **slug)) {
        Some(unknown) => Err(CatalogError::UnknownSupplier(unknown.clone())),
        None => Ok(rows.into_iter().map(|row| row.supplier_id).collect()),
    }
}

/// What to change of a package; none = leave it. Orders keep what they were confirmed with.
#[derive(Clone, Debug, Default)]
pub struct PackageEdit {
    pub name: Option<String>,
    pub tokens: Option<Tokens>,
    pub price: Option<Money>,
    pub valid_for_s: Option<i64>,
    /// Some(none) = no limit.
    pub purchase_limit: Option<Option<i32>>,
    /// Some(none) = for ever.
    pub limit_period_s: Option<Option<i64>>,
    pub rolls_over: Option<bool>,
    /// Some(none) = only an operator refunds it.
    pub refund_window_s: Option<Option<i64>>,
    pub on_sale: Option<bool>,
}

/// Changes a package, for whoever confirms it from now on.
pub async fn update_package(db: &PgPool, operator: Operator, id: PackageId, edit: PackageEdit) -> Result<(), CatalogError> {
    if edit.price.as_ref().is_some_and(|price| price.minor < 1) {
        return Err(CatalogError::OutOfRange);
    }
    let mut tx = db.begin().await?;
    sqlx::query!("SELECT package_id FROM packages WHERE package_id = $1 FOR UPDATE", id.0)
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(CatalogError::NotFound)?;
    let before = package_in(&mut tx, id).await?;
    sqlx::query!(
        "UPDATE packages SET name = coalesce($2, name), tokens = coalesce($3, tokens), price_minor = coalesce($4, price_minor),
                             currency = coalesce($5, currency), valid_for_s = coalesce($6, valid_for_s),
                             status = coalesce($7, status), rolls_over = coalesce($8, rolls_over),
                             purchase_limit = CASE WHEN $9 THEN $10 ELSE purchase_limit END,
                             limit_period_s = CASE WHEN $11 THEN $12 ELSE limit_period_s END,
                             refund_window_s = CASE WHEN $13 THEN $14 ELSE refund_window_s END, updated_at = now()
          WHERE package_id = $1",
        id.0,
        edit.name.as_deref().map(str::trim),
        edit.tokens.map(|tokens| tokens.0),
        edit.price.as_ref().map(|price| price.minor),
        edit.price.as_ref().map(|price| price.currency.code()),
        edit.valid_for_s,
        edit.on_sale.map(|on_sale| if on_sale { "on_sale" } else { "disabled" }),
        edit.rolls_over,
        edit.purchase_limit.is_some(),
        edit.purchase_limit.flatten(),
        edit.limit_period_s.is_some(),
        edit.limit_period_s.flatten(),
        edit.refund_window_s.is_some(),
        edit.refund_window_s.flatten()
    )
    .execute(&mut *tx)
    .await?;
    let after = package_in(&mut tx, id).await?;
    let action = Action {
        action: "package.edit",
        subject_id: id.to_string(),
        before: Some(json!(before)),
        after: Some(json!(after)),
        ..Action::default()
    };
    insert_action_in(&mut tx, operator, action).await?;
    tx.commit().await?;
    Ok(())
}

/// A package as operators see it, on sale or not. Also what the audit log keeps of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageRow {
    pub package_id: PackageId,
    pub name: String,
    pub tokens: Tokens,
    pub price_minor: i64,
    pub currency: String,
    pub valid_for_s: i64,
    /// Slugs; empty = every supplier.
    pub suppliers: Vec<String>,
    pub scope_supplier_ids: Vec<Uuid>,
    pub scope_model_ids: Vec<String>,
    pub purchase_limit: Option<i32>,
    pub limit_period_s: Option<i64>,
    pub rolls_over: bool,
    pub refund_window_s: Option<i64>,
    pub status: String,
    pub created_at: UtcTime,
    pub updated_at: UtcTime,
}

/// Every package, oldest first.
pub async fn all_packages(db: &PgPool) -> Result<Vec<PackageRow>, CatalogError> {
    let mut connection = db.acquire().await?;
    package_rows(&mut connection, None).await
}

async fn package_in(tx: &mut PgConnection, id: PackageId) -> Result<PackageRow, CatalogError> {
    package_rows(tx, Some(id)).await?.pop().ok_or(CatalogError::NotFound)
}

async fn package_rows(connection: &mut PgConnection, only: Option<PackageId>) -> Result<Vec<PackageRow>, CatalogError> {
    let rows = sqlx::query!(
        r#"SELECT p.*, ARRAY(SELECT s.slug FROM suppliers s WHERE s.supplier_id = ANY (p.scope_supplier_ids) ORDER BY s.slug)
                           AS "suppliers!"
             FROM packages p WHERE $1::uuid IS NULL OR package_id = $1 ORDER BY created_at, package_id"#,
        only.map(|id| id.0)
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| PackageRow {
            package_id: PackageId(row.package_id),
            name: row.name,
            tokens: Tokens(row.tokens),
            price_minor: row.price_minor,
            currency: row.currency,
            valid_for_s: row.valid_for_s,
            suppliers: row.suppliers,
            scope_supplier_ids: row.scope_supplier_ids,
            scope_model_ids: row.scope_model_ids,
            purchase_limit: row.purchase_limit,
            limit_period_s: row.limit_period_s,
            rolls_over: row.rolls_over,
            refund_window_s: row.refund_window_s,
            status: row.status,
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
        })
        .collect())
}

fn stored_currency(code: &str) -> Result<Currency, CatalogError> {
    Currency::parse(code).map_err(|error| CatalogError::Db(sqlx::Error::Decode(error.into())))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
