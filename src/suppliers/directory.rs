//! What customers may read about suppliers and models: those that are enabled. Setting them up is in `store`.

use crate::error::{ConsoleError, unavailable};
use crate::ids::SupplierId;
use crate::suppliers::store::Protocol;
use crate::suppliers::types::{ModelView, Multipliers, SupplierChoice};
use crate::tokens::Tokens;
use sqlx::PgPool;

#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error("database failed")]
    Db(#[source] sqlx::Error),
}

impl From<sqlx::Error> for DirectoryError {
    fn from(error: sqlx::Error) -> DirectoryError {
        DirectoryError::Db(error)
    }
}

impl From<DirectoryError> for ConsoleError {
    fn from(error: DirectoryError) -> ConsoleError {
        match error {
            DirectoryError::Db(error) => unavailable(&error),
        }
    }
}

/// Every model that can be called, by supplier and id, at its current multipliers.
pub async fn models(db: &PgPool) -> Result<Vec<ModelView>, DirectoryError> {
    let rows = sqlx::query!(
        "SELECT m.model_id, s.name AS supplier_name, m.context_tokens, m.max_output_tokens, m.input_kinds, m.output_kinds,
                p.input_ppm, p.cached_ppm, p.output_ppm
           FROM models m
           JOIN suppliers s ON s.supplier_id = m.supplier_id
           JOIN model_prices p ON p.model_id = m.model_id AND p.version = m.price_version
          WHERE m.status = 'enabled' AND s.status = 'enabled'
          ORDER BY s.name, m.model_id"
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ModelView {
            model_id: row.model_id,
            supplier_name: row.supplier_name,
            context: Tokens(row.context_tokens),
            max_output: Tokens(row.max_output_tokens),
            input_kinds: row.input_kinds,
            output_kinds: row.output_kinds,
            price: Multipliers { input_ppm: row.input_ppm, cached_ppm: row.cached_ppm, output_ppm: row.output_ppm },
        })
        .collect())
}

/// The suppliers that a key can be tied to.
pub async fn enabled_suppliers(db: &PgPool) -> Result<Vec<SupplierChoice>, DirectoryError> {
    let rows = sqlx::query!("SELECT supplier_id, name FROM suppliers WHERE status = 'enabled' ORDER BY name").fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| SupplierChoice { supplier_id: SupplierId(row.supplier_id), name: row.name }).collect())
}

/// A model to show in an example: one that gives text, of this supplier if one is named. In the sandbox it is the one that answers;
/// the others rehearse failures.
pub async fn example_model(db: &PgPool, supplier_id: Option<SupplierId>) -> Result<Option<String>, DirectoryError> {
    example_model_for(db, supplier_id, &[], None).await
}

/// What a key may show in examples, in OpenAI's protocol and in Anthropic's. `models`: the only ones it may call, unless there are none.
pub async fn example_models(
    db: &PgPool,
    supplier_id: Option<SupplierId>,
    models: &[String],
) -> Result<[Option<String>; 2], DirectoryError> {
    let openai = example_model_for(db, supplier_id, models, Some(Protocol::Openai)).await?;
    Ok([openai, example_model_for(db, supplier_id, models, Some(Protocol::Anthropic)).await?])
}

/// The same as [`example_model`] among these models, unless there are none, and among those that can be called in this protocol.
async fn example_model_for(
    db: &PgPool,
    supplier_id: Option<SupplierId>,
    models: &[String],
    protocol: Option<Protocol>,
) -> Result<Option<String>, DirectoryError> {
    Ok(sqlx::query_scalar!(
        "SELECT m.model_id FROM models m JOIN suppliers s ON s.supplier_id = m.supplier_id
          WHERE m.status = 'enabled' AND s.status = 'enabled' AND ($1::uuid IS NULL OR m.supplier_id = $1)
            AND ($2::text[] = '{}' OR m.model_id = ANY ($2))
            AND EXISTS (SELECT 1 FROM channels c WHERE c.supplier_id = m.supplier_id AND c.status = 'enabled'
                                                   AND ($3::text IS NULL OR c.protocol = $3))
          ORDER BY 'text' = ANY (m.output_kinds) DESC, m.created_at, m.model_id <> 'sandbox/echo', m.model_id LIMIT 1",
        supplier_id.map(|id| id.0),
        models,
        protocol.map(Protocol::as_str)
    )
    .fetch_optional(db)
    .await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::fixtures;

    #[sqlx::test]
    async fn only_enabled_models_of_enabled_suppliers_are_listed(db: PgPool) {
        let (alpha, beta) = (fixtures::supplier(&db, "alpha").await, fixtures::supplier(&db, "beta").await);
        for (model, supplier) in [("alpha/one", alpha), ("alpha/two", alpha), ("beta/one", beta)] {
            fixtures::model(&db, model, supplier).await;
        }
        sqlx::query!("UPDATE models SET status = 'disabled' WHERE model_id = 'alpha/two'").execute(&db).await.expect("disabled");
        fixtures::disable_supplier(&db, beta).await;

        let models: Vec<String> = models(&db).await.expect("models").into_iter().map(|model| model.model_id).collect();
        assert_eq!(models, ["alpha/one"]);
        let suppliers = enabled_suppliers(&db).await.expect("suppliers");
        assert_eq!(suppliers.iter().map(|supplier| supplier.supplier_id).collect::<Vec<_>>(), [alpha]);
        assert_eq!(example_model(&db, None).await.expect("a model").as_deref(), Some("alpha/one"));
        assert_eq!(example_model(&db, Some(beta)).await.expect("none"), None);
        let among = async |models: &[&str]| {
            let models: Vec<String> = models.iter().map(|model| model.to_string()).collect();
            example_models(&db, None, &models).await.expect("a search")
        };
        // Its supplier speaks OpenAI's protocol alone.
        assert_eq!(among(&[]).await, [Some("alpha/one".to_string()), None]);
        assert_eq!(among(&["alpha/one", "alpha/two"]).await, [Some("alpha/one".to_string()), None]);
        assert_eq!(among(&["alpha/two"]).await, [None, None]);
    }
}
