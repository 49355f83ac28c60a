//! A database of the benchmark's own, with all that a call needs, and one replica's batches on the pool of its gateway.

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, PgPool};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use toki::gateway::{Admissions, Database, LiveCalls, Request, Settlements, Spooled, chat};
use toki::ids::ReplicaId;
use toki::server::run::MIGRATIONS;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Hashes of API keys, one an account.
pub type Keys = Arc<[[u8; 32]]>;

/// Long enough that nothing goes to the spool.
const PATIENCE: Duration = Duration::from_secs(60);

/// A small chat completion, as a client sends it.
const BODY: &[u8] = br#"{"model":"bench/model","messages":[{"role":"system","content":"You answer in one paragraph, without lists."},{"role":"user","content":"Why do databases write to a log before they write to their tables, and what would be lost if they did not?"}],"max_tokens":256}"#;

/// Statements that make a supplier, a model, and `$accounts` accounts with a key and a grant each. Ids are random where the program
/// makes ordered ones, which only a table much larger than these would notice.
const SEED: &str = "
    INSERT INTO suppliers (supplier_id, slug, name) VALUES (gen_random_uuid(), 'bench', 'Bench');
    INSERT INTO channels (channel_id, supplier_id, base_url) SELECT gen_random_uuid(), supplier_id, 'http://127.0.0.1:9' FROM suppliers;
    BEGIN;
    INSERT INTO models (model_id, supplier_id, upstream_id, context_tokens, max_output_tokens)
        SELECT 'bench/model', supplier_id, 'model', 131072, 8192 FROM suppliers;
    INSERT INTO model_prices (model_id, version, input_ppm, cached_ppm, output_ppm) VALUES ('bench/model', 1, 1000000, 500000, 1000000);
    COMMIT;
    INSERT INTO users (user_id, email, password_hash) VALUES (gen_random_uuid(), 'bench@example.com', '');
    INSERT INTO operator_actions (action_id, action, subject_id) VALUES (gen_random_uuid(), 'account.credit', 'bench');
    INSERT INTO accounts (account_id, name) SELECT gen_random_uuid(), 'account ' || n FROM generate_series(1, $accounts) n;
    INSERT INTO members (account_id, user_id, role) SELECT account_id, user_id, 'owner' FROM accounts, users;
    INSERT INTO api_keys (key_id, account_id, created_by, name, secret_hash, secret_hint)
        SELECT gen_random_uuid(), account_id, user_id, 'key', sha256(account_id::text::bytea), '' FROM accounts, users;
    INSERT INTO grants (grant_id, account_id, source, action_id, tokens, left_, expires_at)
        SELECT gen_random_uuid(), account_id, 'credit', action_id, 1000000000000, 1000000000000, now() + '1 year'
          FROM accounts, operator_actions;
    INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, action_id)
        SELECT account_id, grant_id, 'issued', 'grant', tokens, action_id FROM grants;
    CREATE TABLE bench_floor (id bigint PRIMARY KEY, left_ bigint NOT NULL) WITH (fillfactor = 70);
    INSERT INTO bench_floor SELECT n, 1000000000000 FROM generate_series(0, 999) n;
    VACUUM ANALYZE;";

#[derive(Clone)]
pub struct World {
    name: &'static str,
    pub db: PgPool,
    pub admissions: Admissions,
    pub settlements: Settlements,
    pub request: Arc<Request<'static>>,
    keys: Keys,
    gateway: Database,
    _spool: Arc<TempDir>,
}

impl World {
    pub async fn create(server: &PgPool, cluster: &PgConnectOptions, name: &'static str, accounts: usize) -> Result<World, Failed> {
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(server).await?;
        let gateway = Database::connect_lazy(cluster.clone().database(name));
        let db = gateway.pool().clone();
        MIGRATIONS.run(&db).await?;
        if let Ok(file) = std::env::var("BENCH_SQL") {
            sqlx::raw_sql(AssertSqlSafe(std::fs::read_to_string(file)?)).execute(&db).await?;
        }
        let mut session = db.acquire().await?;
        for statement in SEED.replace("$accounts", &accounts.to_string()).split(';').filter(|statement| !statement.trim().is_empty()) {
            sqlx::raw_sql(AssertSqlSafe(statement.to_string())).execute(&mut *session).await?;
        }
        drop(session);
        let keys: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT k.secret_hash FROM api_keys k JOIN accounts a USING (account_id) ORDER BY length(a.name), a.name")
                .fetch_all(&db)
                .await?;
        let keys = keys.into_iter().filter_map(|hash| hash.try_into().ok()).collect();
        let spool = TempDir::new()?;
        // Its tasks end with this world; nothing here waits for them.
        let tasks = TaskTracker::new();
        Ok(World {
            name,
            admissions: Admissions::spawn(&tasks, gateway.clone(), ReplicaId::generate(), LiveCalls::default()),
            settlements: Settlements::spawn(&tasks, gateway.clone(), spool.path(), PATIENCE, Spooled::default(), CancellationToken::new())?,
            _spool: Arc::new(spool),
            request: Arc::new(Request::parse(&chat::ENDPOINT, BODY).map_err(|error| format!("{error:?}"))?),
            keys,
            gateway,
            db,
        })
    }

    pub fn keys(&self, accounts: Range<usize>) -> Keys {
        self.keys[accounts].into()
    }

    pub async fn drop(self, server: &PgPool) -> sqlx::Result<()> {
        self.gateway.close().await;
        sqlx::query(AssertSqlSafe(format!("DROP DATABASE {} WITH (FORCE)", self.name))).execute(server).await?;
        Ok(())
    }
}

type Failed = Box<dyn std::error::Error>;

/// The settings without which the figures mean nothing.
pub async fn settings(server: &PgPool) -> sqlx::Result<String> {
    sqlx::query_scalar(
        "SELECT current_setting('server_version') || ', fsync ' || current_setting('fsync') || ', full_page_writes '
                || current_setting('full_page_writes') || ', shared_buffers ' || current_setting('shared_buffers')",
    )
    .fetch_one(server)
    .await
}
