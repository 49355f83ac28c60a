//! What customers may read about suppliers and models: those that are enabled. Setting them up is in `store`.

use crate::accounts::rights::Reader;
use crate::error::{ConsoleError, unavailable};
use crate::ids::{AccountId, KeyId, SupplierId};
use crate::suppliers::store::Protocol;
use crate::suppliers::types::{Means, ModelView, Multipliers, PayingGrant, SupplierChoice};
use crate::tokens::Tokens;
use crate::wallet::types::GrantSource;
use futures::TryFutureExt;
use sqlx::PgExecutor;
use std::collections::HashMap;
use uuid::Uuid;

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

/// The models that can be called and have this in their id or their supplier's name, by supplier and id, at their current multipliers;
/// and what the reader has for each.
pub async fn models(
    db: impl PgExecutor<'_> + Copy,
    search: Option<&str>,
    reader: Option<&Reader>,
) -> Result<Vec<ModelView>, DirectoryError> {
    let rows = sqlx::query!(
        r#"SELECT m.model_id, m.supplier_id, s.name AS supplier_name, m.context_tokens, m.max_output_tokens, m.input_kinds, m.output_kinds,
                  p.input_ppm, p.cached_ppm, p.output_ppm,
                  ARRAY (SELECT DISTINCT c.protocol FROM channels c WHERE c.supplier_id = m.supplier_id AND c.status = 'enabled')
                      AS "protocols!"
             FROM models m
             JOIN suppliers s ON s.supplier_id = m.supplier_id
             JOIN model_prices p ON p.model_id = m.model_id AND p.version = m.price_version
            WHERE m.status = 'enabled' AND s.status = 'enabled'
              AND ($1::text IS NULL OR position(lower($1) IN lower(m.model_id)) > 0 OR position(lower($1) IN lower(s.name)) > 0)
            ORDER BY s.name, m.model_id"#,
        search
    )
    .fetch_all(db);
    let means = async {
        match reader {
            Some(reader) => AccountMeans::read(db, reader.account_id()).await.map(Some),
            None => Ok(None),
        }
    };
    let (rows, account) = tokio::try_join!(rows.err_into(), means)?;
    let view = rows.into_iter().map(|row| ModelView {
        endpoints: endpoints(&row.protocols, &row.output_kinds),
        means: account.as_ref().map(|account| account.for_model(&row.model_id, SupplierId(row.supplier_id))),
        model_id: row.model_id,
        supplier_name: row.supplier_name,
        context: Tokens(row.context_tokens),
        max_output: Tokens(row.max_output_tokens),
        input_kinds: row.input_kinds,
        output_kinds: row.output_kinds,
        price: Multipliers { input_ppm: row.input_ppm, cached_ppm: row.cached_ppm, output_ppm: row.output_ppm },
    });
    Ok(view.collect())
}

/// Whether any model can be called.
pub async fn has_models(db: impl PgExecutor<'_>) -> Result<bool, DirectoryError> {
    let any = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM models m JOIN suppliers s USING (supplier_id) WHERE m.status = 'enabled' AND s.status = 'enabled')
               AS "any!""#
    );
    Ok(any.fetch_one(db).await?)
}

/// The endpoints that a model answers on, if its supplier's channels speak these protocols: one that gives embeddings has an endpoint of
/// its own.
fn endpoints(protocols: &[String], output_kinds: &[String]) -> Vec<String> {
    let speaks = |protocol: Protocol| protocols.iter().any(|spoken| spoken == protocol.as_str());
    let (embeds, writes) = (output_kinds.iter().any(|kind| kind == "embedding"), output_kinds.iter().any(|kind| kind != "embedding"));
    let groups: [(bool, &[&str]); 3] = [
        (writes && speaks(Protocol::Openai), &["chat/completions", "responses", "completions"]),
        (embeds && speaks(Protocol::Openai), &["embeddings"]),
        (writes && speaks(Protocol::Anthropic), &["messages"]),
    ];
    groups.into_iter().filter(|(has, _)| *has).flat_map(|(_, paths)| paths).map(|path| path.to_string()).collect()
}

/// What an account could pay with and call with, before a model is named.
struct AccountMeans {
    grants: HashMap<String, Vec<PayingGrant>>,
    keys: Vec<AlikeKeys>,
}

/// Keys that can call the same models. Of an account with thousands of keys there are few such groups.
struct AlikeKeys {
    supplier_id: Option<Uuid>,
    allowed_models: Option<Vec<String>>,
    count: i64,
    first_ids: Vec<Uuid>,
    first_names: Vec<String>,
}

impl AccountMeans {
    async fn read(db: impl PgExecutor<'_> + Copy, account_id: AccountId) -> Result<AccountMeans, DirectoryError> {
        let paying = sqlx::query!(
            r#"SELECT m.model_id AS "model_id!", o.package_name AS "package_name?", g.source AS "source!", sum(g.left_)::bigint AS "left!"
                 FROM grants g
                 JOIN models m ON pays_for(g, m.supplier_id, m.model_id)
                 LEFT JOIN orders o ON o.order_id = g.order_id
                WHERE g.account_id = $1 AND g.swept_at IS NULL AND g.left_ > 0 AND g.starts_at <= now() AND g.expires_at > now()
                GROUP BY m.model_id, o.package_name, g.source
                ORDER BY bool_or(g.scoped) DESC, min(g.expires_at), min(g.created_at)"#,
            account_id.0
        );
        let keys = sqlx::query_as!(
            AlikeKeys,
            r#"SELECT supplier_id, allowed_models, count(*) AS "count!",
                      (array_agg(key_id ORDER BY lower(name), key_id))[:$2] AS "first_ids!",
                      (array_agg(name ORDER BY lower(name), key_id))[:$2] AS "first_names!"
                 FROM api_keys
                WHERE account_id = $1 AND status = 'enabled' AND (expires_at IS NULL OR expires_at > now())
                  AND (quota IS NULL OR quota > spent + held)
                GROUP BY supplier_id, allowed_models"#,
            account_id.0,
            i32::from(Means::FIRST_KEYS)
        );
        let (paying, keys) = tokio::try_join!(paying.fetch_all(db), keys.fetch_all(db))?;
        let mut grants: HashMap<String, Vec<PayingGrant>> = HashMap::new();
        for row in paying {
            let grant =
                PayingGrant { package_name: row.package_name, source: GrantSource::from_column(&row.source), left: Tokens(row.left) };
            grants.entry(row.model_id).or_default().push(grant);
        }
        Ok(AccountMeans { grants, keys })
    }

    fn for_model(&self, model_id: &str, supplier_id: SupplierId) -> Means {
        let can_call = |keys: &&AlikeKeys| {
            keys.supplier_id.is_none_or(|only| only == supplier_id.0)
                && keys.allowed_models.as_ref().is_none_or(|models| models.iter().any(|model| model == model_id))
        };
        let keys: Vec<&AlikeKeys> = self.keys.iter().filter(can_call).collect();
        let named = keys.iter().flat_map(|keys| keys.first_ids.iter().zip(&keys.first_names));
        let mut first_keys: Vec<(KeyId, String)> = named.map(|(id, name)| (KeyId(*id), name.clone())).collect();
        first_keys.sort_by_cached_key(|(key_id, name)| (name.to_lowercase(), *key_id));
        first_keys.truncate(usize::from(Means::FIRST_KEYS));
        Means { grants: self.grants.get(model_id).cloned().unwrap_or_default(), keys: keys.iter().map(|keys| keys.count).sum(), first_keys }
    }
}

/// The suppliers that a key can be tied to.
pub async fn enabled_suppliers(db: impl PgExecutor<'_>) -> Result<Vec<SupplierChoice>, DirectoryError> {
    let rows = sqlx::query!("SELECT supplier_id, name FROM suppliers WHERE status = 'enabled' ORDER BY name").fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| SupplierChoice { supplier_id: SupplierId(row.supplier_id), name: row.name }).collect())
}

/// A model to show in an example: one that gives text, of this supplier if one is named. In the sandbox it is the one that answers;
/// the others rehearse failures.
pub async fn example_model(db: impl PgExecutor<'_>, supplier_id: Option<SupplierId>) -> Result<Option<String>, DirectoryError> {
    Ok(sqlx::query_scalar!(
        "SELECT m.model_id FROM models m JOIN suppliers s ON s.supplier_id = m.supplier_id
          WHERE m.status = 'enabled' AND s.status = 'enabled' AND ($1::uuid IS NULL OR m.supplier_id = $1)
            AND EXISTS (SELECT 1 FROM channels c WHERE c.supplier_id = m.supplier_id AND c.status = 'enabled')
          ORDER BY 'text' = ANY (m.output_kinds) DESC, m.created_at, m.model_id <> 'sandbox/echo', m.model_id LIMIT 1",
        supplier_id.map(|id| id.0)
    )
    .fetch_optional(db)
    .await?)
}

/// The models that one key can call.
pub struct KeyModels {
    /// To show in an example, as [`example_model`] chooses, in OpenAI's protocol and in Anthropic's.
    pub openai: Option<String>,
    pub anthropic: Option<String>,
    /// Those that answer at `chat/completions`, by id.
    pub chat: Vec<String>,
}

/// What a key can call, whatever its status: all that its supplier has, or everybody's, and of those the ones that it is limited to.
pub async fn models_of_key(db: impl PgExecutor<'_>, key_id: KeyId) -> Result<KeyModels, DirectoryError> {
    let rows = sqlx::query!(
        r#"SELECT m.model_id, m.output_kinds <@ '{embedding}' AS "embeds!", w.openai AS "openai!", w.anthropic AS "anthropic!"
             FROM models m
             JOIN suppliers s ON s.supplier_id = m.supplier_id
             JOIN (SELECT c.supplier_id, bool_or(c.protocol = 'openai') AS openai, bool_or(c.protocol = 'anthropic') AS anthropic
                     FROM channels c WHERE c.status = 'enabled' GROUP BY c.supplier_id) w ON w.supplier_id = m.supplier_id
             JOIN api_keys k ON k.key_id = $1
            WHERE m.status = 'enabled' AND s.status = 'enabled' AND (k.supplier_id IS NULL OR m.supplier_id = k.supplier_id)
              AND (k.allowed_models IS NULL OR m.model_id = ANY (k.allowed_models))
            ORDER BY 'text' = ANY (m.output_kinds) DESC, m.created_at, m.model_id <> 'sandbox/echo', m.model_id"#,
        key_id.0
    )
    .fetch_all(db)
    .await?;
    let mut chat: Vec<String> = rows.iter().filter(|row| row.openai && !row.embeds).map(|row| row.model_id.clone()).collect();
    chat.sort();
    Ok(KeyModels {
        openai: rows.iter().find(|row| row.openai).map(|row| row.model_id.clone()),
        anthropic: rows.into_iter().find(|row| row.anthropic).map(|row| row.model_id),
        chat,
    })
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
