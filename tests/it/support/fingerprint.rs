//! What the database holds, as a number of rows and a hash for each table: two of them differ exactly where something changed.

use sqlx::PgPool;
use std::collections::BTreeMap;

/// By table.
pub type Fingerprint = BTreeMap<String, (i64, String)>;

/// Of every table but those named. That a session was seen, and when a payment provider was last asked about an order, are no changes.
pub async fn fingerprint(db: &PgPool, but: &[&str]) -> Fingerprint {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = 'public' AND c.relkind = 'r' ORDER BY 1",
    )
    .fetch_all(db)
    .await
    .expect("tables");
    let mut found = Fingerprint::new();
    for table in tables.into_iter().filter(|table| !but.contains(&table.as_str())) {
        let sql = format!(
            "SELECT count(*), coalesce(md5(string_agg(row_, '' ORDER BY row_)), '')
               FROM (SELECT md5((to_jsonb(t) - 'last_seen_at' - 'asked_at')::text) AS row_ FROM \"{table}\" t) rows_"
        );
        let of_table = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_one(db).await.expect("its rows");
        found.insert(table, of_table);
    }
    found
}

/// The tables in which two fingerprints differ.
pub fn changed<'a>(before: &'a Fingerprint, after: &'a Fingerprint) -> Vec<&'a str> {
    after.iter().filter(|(table, rows)| before.get(*table) != Some(*rows)).map(|(table, _)| table.as_str()).collect()
}
