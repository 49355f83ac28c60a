//! The gateway's own connections to Postgres. One may fall silent without a word, when a network forgets it or its server is gone; the
//! system notices after a quarter of an hour. So every question has a time limit, and what one question found out about the
//! connections, the next ones need not find out again.

use crate::connections::{Connections, Count};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A connection that was idle for so long is asked whether it lives.
const LONG: Duration = Duration::from_secs(30);

/// Tables' statistics may be old and the sizes of arrays are unknown, so nothing is left to the planner: it would scan a table for a lone
/// call.
pub const PLANNER: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
];

#[derive(Clone)]
pub struct Database {
    connections: Connections,
}

impl Database {
    /// Few connections, so that the plans of the statements stay warm, and not the console's to exhaust. As a rule they are used
    /// without asking whether they live: every statement of the gateway is sent again when its connection turns out to be dead. A
    /// lock that somebody keeps is given up soon, since a batch carries many accounts (`gateway::batch::run_around_locks`).
    pub fn connect_lazy(options: PgConnectOptions) -> Database {
        let options = options.application_name("toki gateway").options(PLANNER).options([("lock_timeout", "1s")]);
        let pool = PgPoolOptions::new().max_connections(10).acquire_timeout(Duration::from_secs(5));
        Database { connections: Connections::lazy(pool, options, LONG) }
    }

    /// For who prepares a database to measure it: its statements may take as long as they take. No call's may.
    pub fn pool(&self) -> &PgPool {
        &self.connections
    }

    /// Asks on one connection. Where nothing comes `within` this time, to get the connection included, that is dropped.
    pub async fn ask<T, E: From<sqlx::Error>>(
        &self,
        within: Duration,
        question: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let until = Instant::now() + within;
        let taken = timeout_at(until, self.connections.take()).await;
        let mut connection = taken.map_err(|_| sqlx::Error::PoolTimedOut)??;
        match timeout_at(until, question(&mut connection)).await {
            Ok(answer) => {
                // What failed is the pool's to judge.
                if answer.is_ok() {
                    self.connections.keep(connection);
                }
                answer
            }
            Err(_) => {
                self.connections.give_up(connection);
                Err(sqlx::Error::PoolTimedOut.into())
            }
        }
    }

    pub fn count(&self) -> Count {
        self.connections.count()
    }

    pub async fn close(&self) {
        self.connections.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(100);

    async fn sleep(db: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query("SELECT pg_sleep(5)").execute(db).await.map(drop)
    }

    /// Neither a statement that does not end, nor connections of which none is left.
    #[sqlx::test]
    async fn no_question_takes_longer_than_its_time(pool: PgPool) {
        let db = Database::connect_lazy(pool.connect_options().as_ref().clone());
        let begun = Instant::now();
        assert!(matches!(db.ask(SHORT, sleep).await, Err(sqlx::Error::PoolTimedOut)));
        let mut taken = Vec::new();
        for _ in 0..10 {
            taken.push(db.pool().acquire().await.expect("a connection"));
        }
        assert!(matches!(db.ask(SHORT, sleep).await, Err(sqlx::Error::PoolTimedOut)));
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    }
}
