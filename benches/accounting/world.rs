//! A database of the benchmark's own, with all that a call needs, and one replica's batches on the pool of its gateway.

use crate::history;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, PgPool};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use toki::gateway::{Admissions, Database, LiveCalls, Request, Settlements, Spooled, chat};
use toki::ids::ReplicaId;
use toki::server::run::MIGRATIONS;
use toki::wallet::audit::{Difference, audit};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Hashes of API keys, one an account.
pub type Keys = Arc<[[u8; 32]]>;

/// Long enough that nothing goes to the spool.
const PATIENCE: Duration = Duration::from_secs(60);

/// A small chat completion, as a client sends it.
const BODY: &[u8] = br#"{"model":"bench/model","messages":[{"role":"system","content":"You answer in one paragraph, without lists."},{"role":"user","content":"Why do databases write to a log before they write to their tables, and what would be lost if they did not?"}],"max_tokens":256}"#;

#[derive(Clone)]
pub struct World {
    name: &'static str,
    pub db: PgPool,
    pub admissions: Admissions,
    pub settlements: Settlements,
    pub request: Arc<Request<'static>>,
    keys: Keys,
    gateway: Database,
    /// As commands connect: the gateway's connections leave the planner no choice.
    pub plain: PgPool,
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
        history::accounts(&db, accounts).await?;
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
            plain: PgPool::connect_lazy_with(cluster.clone().database(name)),
            db,
        })
    }

    pub fn keys(&self, accounts: Range<usize>) -> Keys {
        self.keys[accounts].into()
    }

    /// What the calls left behind that does not add up.
    pub async fn audit(&self) -> sqlx::Result<Vec<Difference>> {
        history::settle_down(&self.db).await?;
        Ok(audit(&self.plain, None).await?.differences)
    }

    pub async fn drop(self, server: &PgPool) -> sqlx::Result<()> {
        self.plain.close().await;
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
