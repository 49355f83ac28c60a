//! One listener a process, however many pages are open; and one voice, however many calls are settled.

use crate::changes::heard::Heard;
use crate::changes::store::{Listener, notify_changes};
use crate::ids::AccountId;
use sqlx::PgPool;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often calls that were settled are announced, at most.
const ANNOUNCE_EACH: Duration = Duration::from_millis(500);
/// After the database was lost.
const LISTEN_AGAIN: Duration = Duration::from_secs(2);
/// Changes that a slow page may be behind; one that is further behind asks again anyway.
const BACKLOG: usize = 256;

/// When a page began to be read, before anything was: what changes from then on, it may not show.
#[derive(Clone, Debug, Default)]
pub struct Moment(pub String);

/// Where pages hear of changes.
#[derive(Clone)]
pub struct Changes {
    told: broadcast::Sender<Option<AccountId>>,
    heard: Arc<Heard>,
    settled: Arc<Mutex<HashSet<AccountId>>>,
}

impl Default for Changes {
    fn default() -> Changes {
        Changes { told: broadcast::channel(BACKLOG).0, heard: Arc::default(), settled: Arc::default() }
    }
}

impl Changes {
    /// Starts listening and announcing; both end with `shutdown`.
    pub fn spawn(&self, tasks: &TaskTracker, db: &PgPool, shutdown: &CancellationToken) {
        let (hub, listening, end) = (self.clone(), db.clone(), shutdown.clone());
        tasks.spawn(async move { end.run_until_cancelled(hub.listen(listening)).await });
        let (hub, announcing, end) = (self.clone(), db.clone(), shutdown.clone());
        tasks.spawn(async move { end.run_until_cancelled(hub.announce(announcing)).await });
    }

    /// Notes that a call of this account was settled.
    pub fn settled(&self, account_id: AccountId) {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).insert(account_id);
    }

    /// Changes from now on: an account's, or none when any may have changed.
    pub fn subscribe(&self) -> broadcast::Receiver<Option<AccountId>> {
        self.told.subscribe()
    }

    /// Now, for a page that begins to be read.
    pub fn moment(&self) -> Moment {
        Moment(self.heard.moment())
    }

    /// Whether a page of this account that began to be read at that moment need not be read again. To be asked after [`Changes::subscribe`].
    pub fn is_quiet_since(&self, account_id: AccountId, moment: &str) -> bool {
        self.heard.is_quiet_since(account_id, moment)
    }

    /// Whether changes are heard of now. Where they are not, pages ask again from time to time.
    pub fn is_listening(&self) -> bool {
        self.heard.is_listening()
    }

    async fn listen(&self, db: PgPool) {
        loop {
            if let Err(error) = self.hear(&db).await {
                tracing::warn!(%error, "changes are not heard of for a moment");
            }
            self.heard.listens(false);
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    }

    async fn hear(&self, db: &PgPool) -> Result<(), sqlx::Error> {
        let mut listener = Listener::listen(db).await?;
        self.heard.listens(true);
        // Whatever changed while nobody listened. Without an open page nobody receives, which is no error.
        let _ = self.told.send(None);
        loop {
            let change = listener.next().await?;
            match change {
                Some(account_id) => self.heard.note(account_id),
                None => self.heard.listens(true),
            }
            let _ = self.told.send(change);
        }
    }

    async fn announce(&self, db: PgPool) {
        loop {
            tokio::time::sleep(ANNOUNCE_EACH).await;
            let settled: Vec<_> = self.settled.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
            if !settled.is_empty()
                && let Err(error) = notify_changes(&db, &settled).await
            {
                tracing::debug!(%error, "settled calls were not announced");
            }
        }
    }
}
