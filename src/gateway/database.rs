//! The gateway's own connections to Postgres. One may fall silent without a word, when a network forgets it or its server is gone; the
//! system notices after a quarter of an hour. So every question has a time limit, and what one question found out about the
//! connections, the next ones need not find out again.

use crate::wallet::ledger::LedgerError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool, Postgres};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A connection that was idle for so long is asked whether it lives.
const LONG: Duration = Duration::from_secs(30);
/// A living one answers within this time.
const PONG: Duration = Duration::from_millis(500);

/// How long a connection is used before the pool has a look at it, and how many are used so.
const OUT_FOR: Duration = Duration::from_secs(60);
const MOST_OUT: usize = 4;

#[derive(Clone)]
pub struct Database {
    pool: PgPool,
    silence: Silence,
    /// Those that answered last, the latest at the end. Each that is given back the pool asks whether it lives, a round trip for every
    /// question; so a few stay out of it from one question to the next.
    out: Arc<Mutex<Vec<Out>>>,
}

struct Out {
    connection: PoolConnection<Postgres>,
    since: Instant,
    answered_at: Instant,
}

/// When a question last got no answer: no connection that was idle then is used again.
#[derive(Clone, Default)]
struct Silence(Arc<Mutex<Option<Instant>>>);

impl Database {
    /// Few connections, so that the plans of the statements stay warm, and not the console's to exhaust. As a rule they are used
    /// without asking whether they live: every statement of the gateway is sent again when its connection turns out to be dead. A
    /// lock that somebody keeps is given up soon, since a batch carries many accounts (`gateway::batch::run_around_locks`).
    pub fn connect_lazy(options: PgConnectOptions) -> Database {
        let options = options.application_name("toki gateway").options([
            // Tables' statistics may be old and the sizes of arrays are unknown, so nothing is left to the planner: it would scan a
            // table for a lone call.
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("enable_seqscan", "off"),
            ("jit", "off"),
            ("lock_timeout", "1s"),
        ]);
        let silence = Silence::default();
        let suspicion = silence.clone();
        let pool = PgPoolOptions::new()
            .max_connections(10)
            .acquire_timeout(Duration::from_secs(5))
            .test_before_acquire(false)
            .before_acquire(move |connection, idle| {
                let suspicion = suspicion.clone();
                Box::pin(async move { Ok(suspicion.spares(connection, idle.idle_for).await) })
            })
            .connect_lazy_with(options);
        Database { pool, silence, out: Arc::default() }
    }

    /// For statements that may take as long as they take.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Asks on one connection. Where nothing comes `within` this time, the connection is dropped: given back, the pool would ask it
    /// whether it lives, and lose a place to it.
    pub async fn ask<T>(
        &self,
        within: Duration,
        question: impl AsyncFnOnce(&mut PgConnection) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let mut out = match self.still_out().await {
            Some(out) => out,
            None => Out { connection: self.pool.acquire().await?, since: Instant::now(), answered_at: Instant::now() },
        };
        match tokio::time::timeout(within, question(&mut out.connection)).await {
            Ok(answer) => {
                // What failed is the pool's to judge.
                if answer.is_ok() {
                    self.keep_out(out);
                }
                answer
            }
            Err(_) => {
                self.silence.begin();
                drop(out.connection.detach());
                Err(LedgerError::Db(sqlx::Error::PoolTimedOut))
            }
        }
    }

    /// A connection that is out of the pool, unless there is reason to doubt it: then it goes, and not to the pool, which would wait for
    /// its word.
    async fn still_out(&self) -> Option<Out> {
        loop {
            let mut out = self.out().pop()?;
            if self.silence.spares(&mut out.connection, out.answered_at.elapsed()).await {
                return Some(out);
            }
            drop(out.connection.detach());
        }
    }

    fn keep_out(&self, mut out: Out) {
        out.answered_at = Instant::now();
        let mut others = self.out();
        if others.len() < MOST_OUT && out.since.elapsed() < OUT_FOR && !self.pool.is_closed() {
            others.push(out);
        }
    }

    /// A panic while it was locked leaves it whole: each change is one push or pop.
    fn out(&self) -> MutexGuard<'_, Vec<Out>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub async fn close(&self) {
        let closed = self.pool.close();
        // From here on none is kept out.
        self.out().clear();
        closed.await;
    }
}

impl Silence {
    fn begin(&self) {
        *self.lock() = Some(Instant::now());
    }

    /// Whether a connection that was idle for so long can be used; one that was for long is asked.
    async fn spares(&self, connection: &mut PgConnection, idle_for: Duration) -> bool {
        let fell = self.lock().is_some_and(|since| since.elapsed() < idle_for);
        !fell && (idle_for < LONG || is_alive(connection).await)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a connection answers; one that does not within half a second is as good as dead.
pub async fn is_alive(connection: &mut PgConnection) -> bool {
    matches!(tokio::time::timeout(PONG, connection.ping()).await, Ok(Ok(())))
}
