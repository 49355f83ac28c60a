//! Settlement: each finished call exactly once, many in one durable commit. While the database is away, settlements go to the spool
//! on this machine's disk, and from there to the database as soon as it is back (`replay`).

use crate::gateway::batch::{Batcher, Locked, run_around_locks};
use crate::gateway::database::Database;
use crate::gateway::metrics::BatchMeter;
use crate::gateway::replay::replay_until;
use crate::gateway::spool::{LONGEST, Spool};
use crate::gateway::spooled::Spooled;
use crate::ids::{AccountId, RequestId};
use crate::wallet::ledger::{self, LedgerError, RunningHold, Settled, Settlement};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A statement that takes longer is on a dead connection.
const STUCK: Duration = Duration::from_secs(30);
/// How often the spool is looked at.
pub(super) const REPLAY_EACH: Duration = Duration::from_secs(1);
/// Records of one write to the spool, and of one commit of its replay.
pub(super) const MOST: usize = 256;

#[derive(Clone)]
pub struct Settlements {
    batches: Batcher<AccountId, Settlement, Option<Settled>>,
    spool: mpsc::UnboundedSender<Write>,
    spooled: Spooled,
    /// How long an answer waits for the database before it is content with the spool.
    pub wait: Duration,
}

/// A record on its way to the disk.
struct Write {
    request_id: RequestId,
    record: Vec<u8>,
    written: oneshot::Sender<bool>,
}

impl Settlements {
    /// Opens the spool in `folder`, and starts what settles, spools and replays; `stop` ends the replay.
    pub fn spawn(
        tasks: &TaskTracker,
        db: Database,
        folder: &Path,
        wait: Duration,
        spooled: Spooled,
        stop: CancellationToken,
    ) -> std::io::Result<Settlements> {
        let spool = Arc::new(Mutex::new(Spool::open(folder)?));
        let (queue, writes) = mpsc::unbounded_channel();
        tasks.spawn(write_spool(spool.clone(), writes, spooled.clone()));
        tasks.spawn(replay_until(db.clone(), spool, spooled.clone(), stop));
        let batches = Batcher::spawn(tasks, move |settlements| {
            let db = db.clone();
            async move { settle(&db, settlements).await }
        });
        Ok(Settlements { batches, spool: queue, spooled, wait })
    }

    pub fn meter(&self) -> &BatchMeter {
        self.batches.meter()
    }

    /// How many of this replica's wait in the spool.
    pub fn spooled(&self) -> usize {
        self.spooled.count()
    }

    /// Returns once the settlement is durable: with what it came to when it is in the database, None when it is in the spool. Until it is
    /// in the database, `hold` is kept as that of a running call.
    pub async fn settle(&self, settlement: Settlement, hold: RunningHold) -> Option<Settled> {
        let request_id = settlement.request_id;
        let in_database = self.settle_in_database(&settlement);
        tokio::pin!(in_database);
        if let Ok(settled) = tokio::time::timeout(self.wait, &mut in_database).await {
            return Some(settled);
        }
        // The database is still asked: it may be back before a disk that hangs or is full.
        loop {
            tokio::select! {
                settled = &mut in_database => {
                    self.spooled.forget(&[request_id]);
                    return Some(settled);
                }
                kept = self.keep(&settlement, &hold) => {
                    if kept {
                        tracing::warn!(%request_id, "the database is away; the settlement is in the spool");
                        return None;
                    }
                }
            }
            // Neither database nor disk: the answer has to wait, or the call would be lost.
            tracing::error!(%request_id, "a settlement could be written nowhere; trying again");
            if let Ok(settled) = tokio::time::timeout(REPLAY_EACH, &mut in_database).await {
                self.spooled.forget(&[request_id]);
                return Some(settled);
            }
        }
    }

    /// Asks until it is done.
    async fn settle_in_database(&self, settlement: &Settlement) -> Settled {
        let mut pause = Duration::from_millis(5);
        loop {
            // What is locked, what failed, and what panicked may all come right: another batch has other company.
            if let Ok(Some(settled)) = self.batches.ask(settlement.account_id, settlement.clone()).await {
                return settled;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Whether it is on the disk.
    async fn keep(&self, settlement: &Settlement, hold: &RunningHold) -> bool {
        let Some(record) = record_of(settlement, LONGEST) else { return false };
        let (written, result) = oneshot::channel();
        // Before the write, since the replay may be faster than we are.
        self.spooled.announce(hold.clone());
        let write = Write { request_id: settlement.request_id, record, written };
        self.spool.send(write).is_ok() && result.await.unwrap_or(false)
    }
}

/// A settlement as the spool keeps it; where that is longer than the spool takes, without what the supplier reported, the one part that
/// we did not make ourselves.
fn record_of(settlement: &Settlement, longest: usize) -> Option<Vec<u8>> {
    let record = serde_json::to_vec(settlement).ok()?;
    if record.len() <= longest {
        return Some(record);
    }
    let (request_id, bytes) = (settlement.request_id, record.len());
    tracing::error!(%request_id, bytes, "a settlement is too long for the spool; kept without what the supplier reported");
    serde_json::to_vec(&Settlement { upstream_usage: None, ..settlement.clone() }).ok()
}

/// Settles a batch. None where it is worth asking again.
async fn settle(db: &Database, settlements: Vec<Settlement>) -> Vec<Result<Option<Settled>, Locked>> {
    run_around_locks(settlements, |settlement| settlement.account_id, |part| settle_together(db, part)).await
}

/// Settles calls in one commit, and each by itself where they are refused together.
async fn settle_together(db: &Database, settlements: Arc<[Settlement]>) -> Result<Vec<Option<Settled>>, Locked> {
    let error = match settle_in_time(db, &settlements).await {
        Ok(settled) => return Ok(settled.into_iter().map(Some).collect()),
        Err(error) if error.is_locked() => return Err(Locked),
        Err(error) => error,
    };
    tracing::error!(%error, source = ?std::error::Error::source(&error), calls = settlements.len(), "settlement failed");
    if error.is_transient() {
        return Ok(settlements.iter().map(|_| None).collect());
    }
    let mut results: Vec<_> = settle_apart(db, &settlements).await.into_iter().map(Result::ok).collect();
    results.resize(settlements.len(), None);
    Ok(results)
}

/// Settles one by one what failed together. A call that the database refuses is no reason to leave out its neighbours, nor is one that
/// fails in a way that we do not know; where a second one fails so, it is the database that takes nothing, and no more are tried.
pub(super) async fn settle_apart(db: &Database, settlements: &[Settlement]) -> Vec<Result<Settled, LedgerError>> {
    let mut results = Vec::with_capacity(settlements.len());
    let mut failures = 0;
    for settlement in settlements {
        let result = settle_alone(db, settlement.clone()).await;
        failures += usize::from(result.as_ref().is_err_and(|error| !error.is_refusal()));
        results.push(result);
        if failures > 1 {
            break;
        }
    }
    results
}

/// Settles one call, as it is; where that is refused, without what the supplier reported: the one part that we did not make ourselves,
/// and that a column may refuse.
pub async fn settle_alone(db: &Database, mut settlement: Settlement) -> Result<Settled, LedgerError> {
    let mut settled = settle_in_time(db, std::slice::from_ref(&settlement)).await;
    if settlement.upstream_usage.is_some() && settled.as_ref().is_err_and(|error| error.is_refusal() || error.is_too_much()) {
        tracing::error!(request_id = %settlement.request_id, "a settlement is refused; trying without what the supplier reported");
        settlement.upstream_usage = None;
        settled = settle_in_time(db, std::slice::from_ref(&settlement)).await;
    }
    if let Err(error) = &settled {
        tracing::error!(%error, source = ?std::error::Error::source(error), request_id = %settlement.request_id, "settlement failed alone");
    }
    settled?.pop().ok_or(LedgerError::BatchMismatch)
}

pub(super) async fn settle_in_time(db: &Database, settlements: &[Settlement]) -> Result<Vec<Settled>, LedgerError> {
    db.ask(STUCK, async |db| ledger::settle_calls(db, settlements).await).await
}

/// Does file work off the runtime's threads: a disk may take its time.
pub(super) async fn on_disk<T: Send + 'static>(
    spool: &Arc<Mutex<Spool>>,
    work: impl FnOnce(&mut Spool) -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let spool = spool.clone();
    // A panic in the middle of a write leaves at worst a torn record, which the replay sees.
    let done = tokio::task::spawn_blocking(move || work(&mut spool.lock().unwrap_or_else(PoisonError::into_inner)));
    done.await.map_err(std::io::Error::other)?
}

/// Writes what comes, as many records at once as wait, until every [`Settlements`] is gone.
async fn write_spool(spool: Arc<Mutex<Spool>>, mut writes: mpsc::UnboundedReceiver<Write>, spooled: Spooled) {
    let mut batch = Vec::with_capacity(MOST);
    while writes.recv_many(&mut batch, MOST).await > 0 {
        let mut records = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        for Write { request_id, record, written } in batch.drain(..) {
            records.push(record);
            waiting.push((request_id, written));
        }
        let written = on_disk(&spool, move |spool| spool.append(&records)).await;
        match &written {
            Ok(()) => spooled.mark_written(waiting.iter().map(|(request_id, _)| *request_id)),
            Err(error) => tracing::error!(%error, "writing to the spool failed"),
        }
        for (_, answer) in waiting {
            // Whoever asked may have left.
            let _ = answer.send(written.is_ok());
        }
    }
}

#[cfg(test)]
#[path = "settlement_tests.rs"]
mod tests;
