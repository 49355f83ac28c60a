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
/// Whatever their channels speak: who calls such a model at the wrong endpoint is told the right one.
pub async fn models_of(db: impl PgExecutor<'_>, supplier_id: Option<SupplierId>, models: &[String]) -> sqlx::Result<Vec<CallableModel>> {
    sqlx::query_as!(
        CallableModel,
        "SELECT m.model_id, s.slug AS supplier_slug, m.created_at FROM models m JOIN suppliers s USING (supplier_id)
          WHERE m.status = 'enabled' AND s.status = 'enabled' AND ($1::uuid IS NULL OR m.supplier_id = $1)
            AND ($2::text[] = '{}' OR m.model_id = ANY ($2))
            AND EXISTS (SELECT 1 FROM channels c WHERE c.supplier_id = m.supplier_id AND c.status = 'enabled')
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::fixtures;
    use sqlx::PgPool;

    #[sqlx::test]
    async fn a_model_is_listed_while_its_supplier_has_a_channel_switched_on(db: PgPool) {
        let (alpha, beta) = (fixtures::supplier(&db, "alpha").await, fixtures::supplier(&db, "beta").await);
        fixtures::model(&db, "alpha/one", alpha).await;
        fixtures::model(&db, "beta/one", beta).await;
        let listed = async || {
            let models = models_of(&db, None, &[]).await.expect("models");
            models.into_iter().map(|model| model.model_id).collect::<Vec<_>>()
        };
        assert_eq!(listed().await, ["alpha/one", "beta/one"]);
        for (edit, expected) in [
            ("UPDATE channels SET status = 'disabled' WHERE supplier_id = $1", &["beta/one"][..]),
            ("UPDATE channels SET status = 'enabled', protocol = 'anthropic' WHERE supplier_id = $1", &["alpha/one", "beta/one"][..]),
            ("DELETE FROM channels WHERE supplier_id = $1", &["beta/one"][..]),
        ] {
            sqlx::query(edit).bind(alpha.0).execute(&db).await.expect(edit);
            assert_eq!(listed().await, expected, "{edit}");
        }
        let of_alpha = models_of(&db, Some(alpha), &["alpha/one".into()]).await.expect("models");
        assert!(of_alpha.is_empty(), "nor where the key names it");
    }
}
