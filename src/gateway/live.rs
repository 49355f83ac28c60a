//! The calls that run on this replica: their holds are extended while they run, put back when a crash of the database forgot them,
//! and they are told to end within a second when their key, account or supplier is switched off.

use crate::gateway::admission::{HOLD_FOR, SILENT};
use crate::gateway::database::Database;
use crate::gateway::spooled::Spooled;
use crate::ids::{ReplicaId, RequestId};
use crate::wallet::ledger::{self, LedgerError, RunningCall, RunningHold, SwitchedOff};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often the database is asked. "Within 1 s" leaves the rest for a busy database and the settlement.
const PERIOD: Duration = Duration::from_millis(250);

#[derive(Clone, Default)]
pub struct LiveCalls {
    running: Arc<Mutex<HashMap<RequestId, Running>>>,
    /// Those that ended, and whose settlements the database has not taken.
    spooled: Spooled,
    leaving: CancellationToken,
    /// Tells that one has ended.
    ended: Arc<Notify>,
}

struct Running {
    ended: watch::Sender<Option<SwitchedOff>>,
    /// None until the call is admitted.
    hold: Option<RunningHold>,
}

/// Registered for as long as this lives.
pub struct LiveCall {
    calls: LiveCalls,
    request_id: RequestId,
    ended: watch::Receiver<Option<SwitchedOff>>,
    /// The replica goes down and waits no longer.
    pub leaving: CancellationToken,
}

impl LiveCalls {
    pub fn new(spooled: Spooled) -> LiveCalls {
        LiveCalls { spooled, ..LiveCalls::default() }
    }

    pub fn register(&self, request_id: RequestId) -> LiveCall {
        let (sender, ended) = watch::channel(None);
        self.lock().insert(request_id, Running { ended: sender, hold: None });
        LiveCall { calls: self.clone(), request_id, ended, leaving: self.leaving.clone() }
    }

    /// How many run, or wait for their admission.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Comes when none runs any more, as when the last has settled.
    pub async fn all_ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Every call must end now, those included that come only now.
    pub fn end_all(&self) {
        self.leaving.cancel();
    }

    /// A panic while the map was locked leaves it whole: every change is one insert or remove.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RequestId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes this replica known to a database that does not know it, with the holds of the calls that run or wait in the spool.
    pub async fn restore(&self, db: &Database, owner: ReplicaId) -> Result<(), LedgerError> {
        let running: Vec<RunningHold> = self.lock().values().filter_map(|running| running.hold.clone()).collect();
        // Read after those that run, so that none is missed on its way; one that is there already is named once all the same.
        let waiting = self.spooled.holds().into_iter();
        let holds: HashMap<RequestId, RunningHold> = waiting.chain(running).map(|hold| (hold.request_id, hold)).collect();
        let holds: Vec<RunningHold> = holds.into_values().collect();
        let restored = db.ask(SILENT, async |db| ledger::restore_holds(db, owner, HOLD_FOR, &holds).await).await?;
        if restored > 0 {
            tracing::warn!(restored, "the database had forgotten holds of this replica's calls; they are back");
        }
        Ok(())
    }

    /// Keeps the holds of running calls, and of those that wait in the spool, alive until `stop`, which comes after the last call has
    /// settled.
    pub fn spawn_heartbeat(&self, tasks: &TaskTracker, db: Database, owner: ReplicaId, stop: CancellationToken) {
        let calls = self.clone();
        tasks.spawn(async move {
            let mut ticks = tokio::time::interval(PERIOD);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                let mut running: Vec<RequestId> = calls.lock().keys().copied().collect();
                running.extend(calls.spooled.calls());
                if running.is_empty() {
                    continue;
                }
                if let Err(error) = calls.beat(&db, owner, &running).await {
                    tracing::error!(%error, source = ?std::error::Error::source(&error), "extending holds failed");
                }
            }
        });
    }

    async fn beat(&self, db: &Database, owner: ReplicaId, running: &[RequestId]) -> Result<(), LedgerError> {
        let calls: Vec<RunningCall> = self.lock().values().filter_map(|running| running.hold.as_ref()).map(RunningCall::from).collect();
        let looked = db.ask(SILENT, async |db| ledger::look_at_calls(db, owner, &calls).await).await?;
        for (request_id, off) in looked.ended {
            if let Some(running) = self.lock().get(&request_id) {
                running.ended.send_replace(Some(off));
            }
        }
        // A lock that one account's hold waits for must not let those of others run out.
        let restored = if looked.known { Ok(()) } else { self.restore(db, owner).await };
        db.ask(SILENT, async |db| ledger::extend_holds(db, owner, HOLD_FOR, running).await).await?;
        restored
    }
}

impl LiveCall {
    /// Comes when its key, account or supplier was switched off.
    pub async fn ended(&self) -> SwitchedOff {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await.ok().and_then(|off| *off) {
            Some(off) => off,
            // The sender lives in the map until this call is dropped.
            None => std::future::pending().await,
        }
    }

    /// From here on the hold is put back should the database forget it.
    pub fn admitted(&self, hold: RunningHold) {
        if let Some(running) = self.calls.lock().get_mut(&self.request_id) {
            running.hold = Some(hold);
        }
    }
}

impl Drop for LiveCall {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.request_id);
        self.calls.ended.notify_waiters();
    }
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
