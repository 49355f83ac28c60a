//! A pool of connections to Postgres, a few of which stay in use from one statement to the next. Each that is given back the pool asks
//! whether it lives, a round trip for every statement; and it takes whichever waited longest, whose plans and caches are the coldest.

mod again;

pub use again::again;

use futures::TryStreamExt;
use futures::future::{BoxFuture, join_all};
use futures::stream::BoxStream;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Connection, Describe, Either, Execute, Executor, PgConnection, PgPool, Postgres, SqlStr};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A living connection answers within this time.
const PONG: Duration = Duration::from_millis(500);
/// How long a connection is used before the pool has a look at it.
const OUT_FOR: Duration = Duration::from_secs(60);
/// For so long a connection of the console is believed to live: a page has a dozen statements, each of which would wait for its answer.
pub const BELIEVED: Duration = Duration::from_secs(1);

/// Executes single statements, each on the connection that answered last. What needs a connection for longer, as a transaction does, asks
/// the pool that it derefs to.
#[derive(Clone)]
pub struct Connections {
    pool: PgPool,
    trust: Trust,
    /// Out of the pool; the one that answered last is at the end.
    out: Arc<Mutex<Vec<Out>>>,
    most_out: usize,
}

/// A connection that is in use, or waits for the next statement out of the pool. Dropped, it goes back there and is asked whether it lives.
pub struct Out {
    connection: PoolConnection<Postgres>,
    since: Instant,
    answered_at: Instant,
}

/// How many connections there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub in_use: usize,
    /// In the pool, or out of it and waiting for the next statement.
    pub idle: usize,
    pub most: usize,
}

/// Which connections are used without being asked whether they live.
#[derive(Clone)]
struct Trust {
    /// Those that were idle for less.
    believed_for: Duration,
    /// When one last fell silent: of those that were idle then, none.
    silent_since: Arc<Mutex<Option<Instant>>>,
}

impl Connections {
    /// Connects where a connection is asked for. One that was idle for longer than `believed_for` is asked whether it lives before it is
    /// used.
    pub fn lazy(options: PgPoolOptions, to: PgConnectOptions, believed_for: Duration) -> Connections {
        let trust = Trust { believed_for, silent_since: Arc::default() };
        let of_pool = trust.clone();
        // The pool's own test waits for ever for a connection that fell silent.
        let options = options.test_before_acquire(false).before_acquire(move |connection, idle| {
            let trust = of_pool.clone();
            Box::pin(async move { Ok(trust.allows(connection, idle.idle_for).await) })
        });
        Connections::over(options.connect_lazy_with(to), trust)
    }

    fn over(pool: PgPool, trust: Trust) -> Connections {
        // The others are for those who need one for themselves.
        let most_out = pool.options().get_max_connections() as usize * 2 / 5;
        Connections { pool, trust, out: Arc::default(), most_out }
    }

    /// One to use: that which answered last, unless there is reason to doubt it.
    pub async fn take(&self) -> sqlx::Result<Out> {
        loop {
            let Some(mut out) = self.out().pop() else { break };
            if self.trust.allows(&mut out.connection, out.answered_at.elapsed()).await {
                return Ok(out);
            }
            out.forget();
        }
        // Apart, since it takes 14 kB and seldom comes to that: every call, and every open stream, carries what it may have to wait for.
        let connection = Box::pin(self.pool.acquire()).await?;
        Ok(Out { connection, since: Instant::now(), answered_at: Instant::now() })
    }

    /// For the next statement, since this one was answered.
    pub fn keep(&self, mut out: Out) {
        out.answered_at = Instant::now();
        let mut others = self.out();
        if others.len() < self.most_out && out.since.elapsed() < OUT_FOR && !self.pool.is_closed() {
            others.push(out);
        }
    }

    pub fn count(&self) -> Count {
        let idle = self.pool.num_idle() + self.out().len();
        // Asked one after the other, the two need not fit.
        let in_use = (self.pool.size() as usize).saturating_sub(idle);
        Count { in_use, idle, most: self.pool.options().get_max_connections() as usize }
    }

    /// No more of one that fell silent, nor of those that have been idle since.
    pub fn give_up(&self, out: Out) {
        self.trust.begin_silence();
        out.forget();
    }

    /// A panic while it was locked leaves it whole: each change is one push or pop.
    fn out(&self) -> MutexGuard<'_, Vec<Out>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub async fn close(&self) {
        let closed = self.pool.close();
        // From here on none is kept out. Those that are end here: given back, they would do so beside the pool, which may not wait for them.
        let out = std::mem::take(&mut *self.out());
        // A connection that cannot say farewell is closed all the same.
        let _ = join_all(out.into_iter().map(|out| out.connection.close())).await;
        closed.await;
    }
}

impl From<PgPool> for Connections {
    fn from(pool: PgPool) -> Connections {
        Connections::over(pool, Trust { believed_for: BELIEVED, silent_since: Arc::default() })
    }
}

impl Deref for Connections {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        &self.pool
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connections").field(&self.pool).finish()
    }
}

/// What fails or is dropped half-way leaves its connection to the pool.
impl<'p> Executor<'p> for &'p Connections {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async_stream::try_stream! {
            let mut out = self.take().await?;
            let mut steps = out.fetch_many(query);
            while let Some(step) = steps.try_next().await? {
                yield step;
            }
            drop(steps);
            self.keep(out);
        })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let mut out = self.take().await?;
            let row = out.fetch_optional(query).await?;
            self.keep(out);
            Ok(row)
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'p: 'e,
    {
        self.pool.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
    where
        'p: 'e,
    {
        self.pool.describe(sql)
    }
}

impl Out {
    /// Given back, the pool would ask it whether it lives, and lose a place to it.
    fn forget(self) {
        drop(self.connection.detach());
    }
}

impl Deref for Out {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Out {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Trust {
    /// Whether a connection that was idle for so long can be used.
    async fn allows(&self, connection: &mut PgConnection, idle_for: Duration) -> bool {
        let fell = self.lock().is_some_and(|since| since.elapsed() < idle_for);
        !fell && (idle_for < self.believed_for || is_alive(connection).await)
    }

    fn begin_silence(&self) {
        *self.lock() = Some(Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.silent_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a connection answers; one that does not within half a second is as good as dead.
async fn is_alive(connection: &mut PgConnection) -> bool {
    matches!(tokio::time::timeout(PONG, connection.ping()).await, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn backend(db: &Connections) -> i32 {
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(db).await.expect("a number")
    }

    /// Every call, every open stream and every statement of a page carries one around.
    #[sqlx::test]
    async fn to_take_a_connection_is_a_small_thing(db: PgPool) {
        let connections = Connections::from(db);
        assert!(size_of_val(&connections.take()) < 1 << 10, "{}", size_of_val(&connections.take()));
    }

    #[sqlx::test]
    async fn one_statement_after_another_has_the_same_connection(pool: PgPool) {
        let db = Connections::from(pool);
        let [first, second] = [backend(&db).await, backend(&db).await];
        assert_eq!(first, second);
        let all: Vec<i32> = sqlx::query_scalar("SELECT pg_backend_pid() FROM generate_series(1, 3)").fetch_all(&db).await.expect("numbers");
        assert_eq!(all, [first; 3]);
    }

    #[sqlx::test]
    async fn statements_at_once_have_connections_of_their_own_and_some_are_left(pool: PgPool) {
        let db = Connections::from(pool);
        let slowly = || sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid() FROM pg_sleep(0.1)").fetch_one(&db);
        let (a, b, c) = tokio::try_join!(slowly(), slowly(), slowly()).expect("numbers");
        assert!(a != b && b != c && a != c);
        // Of the five of a test.
        assert_eq!((db.most_out, db.out().len()), (2, 2));
    }

    #[sqlx::test]
    async fn those_that_wait_out_of_the_pool_count_as_idle(pool: PgPool) {
        let db = Connections::from(pool);
        backend(&db).await;
        let held = db.acquire().await.expect("another");
        assert_eq!(db.count(), Count { in_use: 1, idle: 1, most: 5 });
        drop(held);
    }

    #[sqlx::test]
    async fn what_fails_or_breaks_off_goes_back_to_the_pool(pool: PgPool) {
        let db = Connections::from(pool);
        sqlx::query("SELECT 1 / 0").execute(&db).await.expect_err("no number");
        assert!(db.out().is_empty());
        let left = tokio::time::timeout(Duration::from_millis(20), sqlx::query("SELECT pg_sleep(0.2)").execute(&db)).await;
        assert!(left.is_err() && db.out().is_empty());
        let mut numbers = sqlx::query_scalar::<_, i32>("SELECT * FROM generate_series(1, 1000)").fetch(&db);
        assert_eq!(numbers.try_next().await.expect("a row"), Some(1));
        drop(numbers);
        assert!(db.out().is_empty());
        let one: i32 = sqlx::query_scalar("SELECT 1").fetch_one(&db).await.expect("a number");
        assert_eq!((one, db.out().len()), (1, 1));
    }

    #[sqlx::test]
    async fn a_dead_connection_is_not_used_again(pool: PgPool) {
        let mut db = Connections::from(pool);
        db.trust.believed_for = Duration::ZERO;
        let first = backend(&db).await;
        let mut other = db.acquire().await.expect("another");
        sqlx::query("SELECT pg_terminate_backend($1, 5000)").bind(first).execute(&mut *other).await.expect("ended");
        assert_ne!(backend(&db).await, first);
    }

    #[sqlx::test]
    async fn after_a_silence_no_connection_is_believed(pool: PgPool) {
        let db = Connections::from(pool);
        let first = backend(&db).await;
        let silent = db.pool.acquire().await.expect("another");
        tokio::time::sleep(Duration::from_millis(5)).await;
        db.give_up(Out { connection: silent, since: Instant::now(), answered_at: Instant::now() });
        assert_ne!(backend(&db).await, first);
    }

    #[sqlx::test]
    async fn it_closes_though_some_are_out(pool: PgPool) {
        let db = Connections::from(pool);
        backend(&db).await;
        tokio::time::timeout(Duration::from_secs(5), db.close()).await.expect("closed");
        assert!(db.out().is_empty() && db.take().await.is_err());
    }
}
