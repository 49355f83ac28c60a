//! The calls that run on this replica: their holds are extended while they run, and they are told to end within a second when
//! their key, account or supplier is switched off.

use crate::gateway::admission::HOLD_FOR;
use crate::ids::{ReplicaId, RequestId};
use crate::wallet::ledger;
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often the database is asked. Twice a second keeps "within 1 s" true with room for the answer.
const PERIOD: Duration = Duration::from_millis(400);

#[derive(Clone, Default)]
pub struct LiveCalls(Arc<Mutex<HashMap<RequestId, CancellationToken>>>);

/// Registered for as long as this lives.
pub struct LiveCall {
    calls: LiveCalls,
    request_id: RequestId,
    pub ended: CancellationToken,
}

impl LiveCalls {
    pub fn register(&self, request_id: RequestId) -> LiveCall {
        let ended = CancellationToken::new();
        self.lock().insert(request_id, ended.clone());
        LiveCall { calls: self.clone(), request_id, ended }
    }

    /// A panic while the map was locked leaves it whole: every change is one insert or remove.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RequestId, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the holds of running calls alive until `stop`, which comes after the last call has settled.
    pub fn spawn_heartbeat(&self, tasks: &TaskTracker, db: PgPool, owner: ReplicaId, stop: CancellationToken) {
        let calls = self.clone();
        tasks.spawn(async move {
            let mut ticks = tokio::time::interval(PERIOD);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                if calls.lock().is_empty() {
                    continue;
                }
                match ledger::extend_holds(&db, owner, HOLD_FOR).await {
                    Ok(ended) => {
                        let running = calls.lock();
                        ended.iter().filter_map(|request_id| running.get(request_id)).for_each(CancellationToken::cancel);
                    }
                    Err(error) => tracing::error!(%error, source = ?std::error::Error::source(&error), "extending holds failed"),
                }
            }
        });
    }
}

impl Drop for LiveCall {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.request_id);
    }
}
