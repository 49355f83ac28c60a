//! Which models may be called, for `/v1/models`, and through what. The same conditions as admission, in the same words.

use crate::ids::SupplierId;
use crate::suppliers::store::Protocol;
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

pub struct CallableModel {
    pub model_id: String,
    pub supplier_slug: String,
    pub created_at: DateTime<Utc>,
}

/// The models of one supplier that may be called, of every supplier where a key is for all; of these models only, unless there are none.
pub async fn models_of(db: impl PgExecutor<'_>, supplier_id: Option<SupplierId>, models: &[String]) -> sqlx::Result<Vec<CallableModel>> {
    sqlx::query_as!(
        CallableModel,
        "SELECT m.model_id, s.slug AS supplier_slug, m.created_at FROM models m JOIN suppliers s USING (supplier_id)
          WHERE m.status = 'enabled' AND s.status = 'enabled' AND ($1::uuid IS NULL OR m.supplier_id = $1)
            AND ($2::text[] = '{}' OR m.model_id = ANY ($2))
          ORDER BY m.model_id",
        supplier_id.map(|id| id.0),
        models
    )
    .fetch_all(db)
    .await
}

/// What the channels of the model's supplier speak; for saying which endpoint to use when it was the wrong one.
pub async fn protocols_of_model(db: impl PgExecutor<'_>, model_id: &str) -> sqlx::Result<Vec<Protocol>> {
    let protocols = sqlx::query_scalar!(
        "SELECT DISTINCT c.protocol FROM channels c JOIN models m USING (supplier_id) WHERE m.model_id = $1 AND c.status = 'enabled'",
        model_id
    );
    Ok(protocols.fetch_all(db).await?.iter().map(|text| Protocol::of_column(text)).collect())
}
