//! The list of an account's keys, a page at a time.

use super::KeyError;
use super::views::{KeyRow, Row};
use crate::accounts::rights::Reader;
use crate::ids::{KeyId, SupplierId};
use crate::keys::types_list::KeyFilter;
use crate::suppliers::types::SupplierChoice;
use sqlx::PgExecutor;

/// At most `most` of the keys that fit, and the last of them if more come after it.
///
/// A key's place is a word, a time, a number and its id. The keys of one account are read and sorted for each page: what most orders are made of
/// changes with every call, and an index that every call writes to would cost more than such pages do.
pub async fn keys_of(
    db: impl PgExecutor<'_>,
    reader: &Reader,
    filter: &KeyFilter,
    most: i64,
) -> Result<(Vec<KeyRow>, Option<KeyId>), KeyError> {
    let rows = sqlx::query_as!(
        Row,
        r#"WITH placed AS NOT MATERIALIZED (
               SELECT k.*, CASE WHEN $6::text = 'name' THEN lower(k.name) ELSE '' END AS word,
                      CASE $6 WHEN 'newest' THEN 'epoch' - k.created_at
                              WHEN 'oldest' THEN k.created_at - 'epoch'
                              WHEN 'used' THEN coalesce('epoch' - k.last_used_at, '0')
                              WHEN 'unused' THEN coalesce(k.last_used_at - 'epoch', '0')
                              ELSE '0' END AS span,
                      CASE $6 WHEN 'least' THEN coalesce(k.quota - k.spent - k.held, 9223372036854775807)
                              WHEN 'most' THEN - coalesce(k.quota - k.spent - k.held, 9223372036854775807)
                              ELSE 0 END AS number
                 FROM api_keys k WHERE k.account_id = $1)
           SELECT k.key_id AS "key_id!", k.name AS "name!", k.secret_hint AS "secret_hint!", k.supplier_id,
                  s.slug AS "supplier_slug?", s.name AS "supplier_name?", k.quota, k.spent AS "spent!", k.held AS "held!",
                  k.status AS "status!", coalesce(k.expires_at <= now(), false) AS "expired!", k.expires_at, k.last_used_at,
                  k.created_at AS "created_at!", k.created_by AS "created_by!", u.email AS "email!", k.inherited_at
             FROM placed k
             JOIN users u ON u.user_id = k.created_by
             LEFT JOIN suppliers s ON s.supplier_id = k.supplier_id
            WHERE k.status <> 'deleted'
              AND ($2::text IS NULL OR position(lower($2) IN lower(k.name)) > 0 OR position($2 IN k.secret_hint) > 0)
              AND ($3::text IS NULL OR $3 = CASE WHEN k.status = 'enabled' AND k.expires_at <= now() THEN 'expired' ELSE k.status END)
              AND (NOT $4 OR k.supplier_id IS NOT DISTINCT FROM $5)
              AND ($7::uuid IS NULL
                   OR (k.word, k.span, k.number, k.key_id) >
                      (SELECT l.word, l.span, l.number, l.key_id FROM placed l WHERE l.key_id = $7))
            ORDER BY k.word, k.span, k.number, k.key_id
            LIMIT $8"#,
        reader.account_id().0,
        filter.search,
        filter.status.map(|status| status.as_str()),
        filter.supplier_id.is_some(),
        filter.supplier_id.flatten().map(|id| id.0),
        filter.order.as_str(),
        filter.after.map(|id| id.0),
        most + 1
    )
    .fetch_all(db)
    .await?;
    let shown = usize::try_from(most).unwrap_or_default();
    let more = rows.len() > shown;
    let rows: Vec<KeyRow> = rows.into_iter().take(shown).map(KeyRow::from).collect();
    let more_after = rows.last().filter(|_| more).map(|row| row.key_id);
    Ok((rows, more_after))
}

/// Those of these keys that the account has, by name.
pub async fn chosen_keys_of(db: impl PgExecutor<'_>, reader: &Reader, key_ids: &[KeyId]) -> Result<Vec<KeyRow>, KeyError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT k.key_id, k.name, k.secret_hint, k.supplier_id, s.slug AS "supplier_slug?", s.name AS "supplier_name?",
                  k.quota, k.spent, k.held, k.status, coalesce(k.expires_at <= now(), false) AS "expired!",
                  k.expires_at, k.last_used_at, k.created_at, k.created_by, u.email, k.inherited_at
             FROM api_keys k
             JOIN users u ON u.user_id = k.created_by
             LEFT JOIN suppliers s ON s.supplier_id = k.supplier_id
            WHERE k.account_id = $1 AND k.key_id = ANY ($2) AND k.status <> 'deleted'
            ORDER BY lower(k.name), k.key_id"#,
        reader.account_id().0,
        &key_ids.iter().map(|id| id.0).collect::<Vec<_>>()
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(KeyRow::from).collect())
}

/// Whether the account has any key.
pub async fn has_keys(db: impl PgExecutor<'_>, reader: &Reader) -> Result<bool, KeyError> {
    let any = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM api_keys WHERE account_id = $1 AND status <> 'deleted') AS "any!""#,
        reader.account_id().0
    );
    Ok(any.fetch_one(db).await?)
}

/// The suppliers that keys of the account are tied to, by name.
pub async fn suppliers_of_keys(db: impl PgExecutor<'_>, reader: &Reader) -> Result<Vec<SupplierChoice>, KeyError> {
    let rows = sqlx::query!(
        "SELECT s.supplier_id, s.name FROM suppliers s
          WHERE s.supplier_id IN (SELECT k.supplier_id FROM api_keys k WHERE k.account_id = $1 AND k.status <> 'deleted')
          ORDER BY lower(s.name)",
        reader.account_id().0
    );
    let rows = rows.fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| SupplierChoice { supplier_id: SupplierId(row.supplier_id), name: row.name }).collect())
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
