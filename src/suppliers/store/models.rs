//! All SQL that changes or lists models and their price book. A price is never changed: a new version follows it.

use super::{Status, SupplierError, edited, json, supplier_by_slug};
use crate::operators::audit::{Action, insert_action_in};
use crate::operators::rights::Operator;
use crate::wallet::ledger::Price;
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor, PgPool};

pub struct NewModel {
    /// `vendor/name`
    pub model_id: String,
    pub supplier_slug: String,
    pub upstream_id: String,
    pub context_tokens: i64,
    pub max_output_tokens: i64,
    pub input_kinds: Vec<String>,
    pub output_kinds: Vec<String>,
    pub price: Price,
}

#[derive(Clone, Debug, Serialize)]
pub struct ModelRow {
    pub model_id: String,
    pub supplier: String,
    pub upstream_id: String,
    pub context_tokens: i64,
    pub max_output_tokens: i64,
    pub input_kinds: Vec<String>,
    pub output_kinds: Vec<String>,
    pub price_version: i32,
    pub input_ppm: i64,
    pub cached_ppm: i64,
    pub output_ppm: i64,
    pub status: Status,
}

/// What to change; none = leave it.
#[derive(Clone, Debug, Default)]
pub struct ModelEdit {
    pub supplier_slug: Option<String>,
    pub upstream_id: Option<String>,
    pub context_tokens: Option<i64>,
    pub max_output_tokens: Option<i64>,
    pub input_kinds: Option<Vec<String>>,
    pub output_kinds: Option<Vec<String>>,
    pub input_ppm: Option<i64>,
    /// None follows the input's multiplier where the two were the same.
    pub cached_ppm: Option<i64>,
    pub output_ppm: Option<i64>,
    pub status: Option<Status>,
}

pub async fn insert_model(db: &PgPool, operator: Operator, new: NewModel) -> Result<(), SupplierError> {
    let supplier_id = supplier_by_slug(db, &new.supplier_slug).await?;
    let mut tx = db.begin().await?;
    sqlx::query!(
        "INSERT INTO models (model_id, supplier_id, upstream_id, context_tokens, max_output_tokens, input_kinds, output_kinds)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        new.model_id,
        supplier_id.0,
        new.upstream_id,
        new.context_tokens,
        new.max_output_tokens,
        &new.input_kinds,
        &new.output_kinds
    )
    .execute(&mut *tx)
    .await?;
    insert_price_in(&mut tx, &new.model_id, 1, new.price).await?;
    let after = model_by_id(&mut *tx, &new.model_id).await?;
    let action = Action { action: "model.add", subject_id: new.model_id.clone(), after: json(&after), ..Action::default() };
    insert_action_in(&mut tx, operator, action).await?;
    tx.commit().await?;
    Ok(())
}

async fn insert_price_in(tx: &mut PgConnection, model_id: &str, version: i32, price: Price) -> Result<(), SupplierError> {
    sqlx::query!(
        "INSERT INTO model_prices (model_id, version, input_ppm, cached_ppm, output_ppm) VALUES ($1, $2, $3, $4, $5)",
        model_id,
        version,
        price.input_ppm,
        price.cached_ppm,
        price.output_ppm
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub async fn all_models(db: &PgPool) -> Result<Vec<ModelRow>, SupplierError> {
    Ok(model_rows(db, None).await?)
}

async fn model_by_id(db: impl PgExecutor<'_>, model_id: &str) -> Result<ModelRow, SupplierError> {
    model_rows(db, Some(model_id)).await?.pop().ok_or(SupplierError::UnknownModel)
}

/// One model with the price it has now, or all of them.
async fn model_rows(db: impl PgExecutor<'_>, model_id: Option<&str>) -> sqlx::Result<Vec<ModelRow>> {
    let rows = sqlx::query!(
        "SELECT m.model_id, s.slug, m.upstream_id, m.context_tokens, m.max_output_tokens, m.input_kinds, m.output_kinds,
                m.price_version, p.input_ppm, p.cached_ppm, p.output_ppm, m.status
           FROM models m
           JOIN suppliers s USING (supplier_id)
           JOIN model_prices p ON p.model_id = m.model_id AND p.version = m.price_version
          WHERE $1::text IS NULL OR m.model_id = $1
          ORDER BY m.model_id",
        model_id
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ModelRow {
            model_id: row.model_id,
            supplier: row.slug,
            upstream_id: row.upstream_id,
            context_tokens: row.context_tokens,
            max_output_tokens: row.max_output_tokens,
            input_kinds: row.input_kinds,
            output_kinds: row.output_kinds,
            price_version: row.price_version,
            input_ppm: row.input_ppm,
            cached_ppm: row.cached_ppm,
            output_ppm: row.output_ppm,
            status: Status::of_column(&row.status),
        })
        .collect())
}

/// Changes a model. Calls admitted after the commit see it; a call keeps the price version it was admitted under.
pub async fn update_model(db: &PgPool, operator: Operator, model_id: &str, edit: ModelEdit) -> Result<(), SupplierError> {
    let mut tx = db.begin().await?;
    // Edits of one model, and with them its price versions, come one after the other. Locked first and read after: a row whose
    // lock had to be waited for joins the price version from before the wait.
    sqlx::query!("SELECT 1 AS one FROM models WHERE model_id = $1 FOR UPDATE", model_id).fetch_optional(&mut *tx).await?;
    let before = model_by_id(&mut *tx, model_id).await?;
    let mut after = edit.applied_to(&before);
    if price_of(&after) != price_of(&before) {
        after.price_version = before.price_version + 1;
        insert_price_in(&mut tx, model_id, after.price_version, price_of(&after)).await?;
    }
    let supplier_id = supplier_by_slug(&mut *tx, &after.supplier).await?;
    sqlx::query!(
        "UPDATE models SET supplier_id = $2, upstream_id = $3, context_tokens = $4, max_output_tokens = $5, input_kinds = $6,
                           output_kinds = $7, price_version = $8, status = $9
          WHERE model_id = $1",
        model_id,
        supplier_id.0,
        after.upstream_id,
        after.context_tokens,
        after.max_output_tokens,
        &after.input_kinds,
        &after.output_kinds,
        after.price_version,
        after.status.as_str()
    )
    .execute(&mut *tx)
    .await?;
    insert_action_in(&mut tx, operator, edited("model.edit", model_id, &before, &after)).await?;
    tx.commit().await?;
    Ok(())
}

fn price_of(row: &ModelRow) -> Price {
    Price { input_ppm: row.input_ppm, cached_ppm: row.cached_ppm, output_ppm: row.output_ppm }
}

impl ModelEdit {
    fn applied_to(self, before: &ModelRow) -> ModelRow {
        let input_ppm = self.input_ppm.unwrap_or(before.input_ppm);
        let followed = if before.cached_ppm == before.input_ppm { input_ppm } else { before.cached_ppm };
        ModelRow {
            model_id: before.model_id.clone(),
            supplier: self.supplier_slug.unwrap_or_else(|| before.supplier.clone()),
            upstream_id: self.upstream_id.unwrap_or_else(|| before.upstream_id.clone()),
            context_tokens: self.context_tokens.unwrap_or(before.context_tokens),
            max_output_tokens: self.max_output_tokens.unwrap_or(before.max_output_tokens),
            input_kinds: self.input_kinds.unwrap_or_else(|| before.input_kinds.clone()),
            output_kinds: self.output_kinds.unwrap_or_else(|| before.output_kinds.clone()),
            price_version: before.price_version,
            input_ppm,
            cached_ppm: self.cached_ppm.unwrap_or(followed),
            output_ppm: self.output_ppm.unwrap_or(before.output_ppm),
            status: self.status.unwrap_or(before.status),
        }
    }
}
