//! Settlement: each finished call exactly once, many in one durable commit. While the database is away, settlements go to the spool
//! on this machine's disk, and from there to the database as soon as it is back.

use crate::gateway::batch::{Batcher, Locked, NoAnswer, run_around_locks};
use crate::gateway::database::Database;
use crate::gateway::metrics::BatchMeter;
use crate::gateway::spool::Spool;
use crate::ids::{AccountId, RequestId};
use crate::wallet::ledger::{self, LedgerError, Settled, Settlement};
use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A statement that takes longer is on a dead connection.
const STUCK: Duration = Duration::from_secs(30);
/// How often the spool is looked at.
const REPLAY_EACH: Duration = Duration::from_secs(1);
/// Records of one write to the spool, and of one commit of its replay.
const MOST: usize = 256;

#[derive(Clone)]
pub struct Settlements {
    batches: Batcher<AccountId, Settlement, Option<Settled>>,
    spool: mpsc::UnboundedSender<(Vec<u8>, oneshot::Sender<bool>)>,
    spooled: Spooled,
    /// How long an answer waits for the database before it is content with the spool.
    wait: Duration,
}

/// The calls of this replica whose settlements wait in the spool: their holds must be kept.
#[derive(Clone, Default)]
pub struct Spooled(Arc<Mutex<HashSet<RequestId>>>);

impl Spooled {
    pub fn calls(&self) -> Vec<RequestId> {
        self.lock().iter().copied().collect()
    }

    /// A panic while the set was locked leaves it whole.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<RequestId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        tasks.spawn(write_spool(spool.clone(), writes));
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
        self.spooled.lock().len()
    }

    /// Returns once the settlement is durable: with what it came to when it is in the database, None when it is in the spool.
    pub async fn settle(&self, settlement: Settlement) -> Option<Settled> {
        let request_id = settlement.request_id;
        if let Ok(Some(settled)) = tokio::time::timeout(self.wait, self.settle_in_database(&settlement)).await {
            return Some(settled);
        }
        loop {
            if self.keep(&settlement).await {
                tracing::warn!(%request_id, "the database is away; the settlement is in the spool");
                return None;
            }
            // Neither database nor disk: the answer has to wait, or the call would be lost.
            tracing::error!(%request_id, "a settlement could be written nowhere; trying again");
            tokio::time::sleep(REPLAY_EACH).await;
        }
    }

    /// Asks until it is done. None when the process goes down.
    async fn settle_in_database(&self, settlement: &Settlement) -> Option<Settled> {
        let mut pause = Duration::from_millis(5);
        loop {
            match self.batches.ask(settlement.account_id, settlement.clone()).await {
                Ok(Some(settled)) => return Some(settled),
                Ok(None) | Err(NoAnswer::Locked) => tokio::time::sleep(pause).await,
                Err(NoAnswer::Closed) => return None,
            }
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn keep(&self, settlement: &Settlement) -> bool {
        let Ok(record) = serde_json::to_vec(settlement) else { return false };
        let (written, result) = oneshot::channel();
        // Before the write, since the replay may be faster than we are.
        self.spooled.lock().insert(settlement.request_id);
        self.spool.send((record, written)).is_ok() && result.await.unwrap_or(false)
    }
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
    let mut results = Vec::with_capacity(settlements.len());
    for settlement in settlements.iter() {
        results.push(settle_alone(db, settlement.clone()).await.ok());
    }
    Ok(results)
}

/// Settles one call that spoiled a batch. What the supplier reported is the one part that we did not make ourselves, and that a
/// column may refuse: it goes.
async fn settle_alone(db: &Database, mut settlement: Settlement) -> Result<Settled, LedgerError> {
    settlement.upstream_usage = None;
    let settled = settle_in_time(db, std::slice::from_ref(&settlement)).await;
    if let Err(error) = &settled {
        tracing::error!(%error, source = ?std::error::Error::source(error), request_id = %settlement.request_id, "settlement failed alone");
    }
    settled?.pop().ok_or(LedgerError::BatchMismatch)
}

async fn settle_in_time(db: &Database, settlements: &[Settlement]) -> Result<Vec<Settled>, LedgerError> {
    db.ask(STUCK, async |db| ledger::settle_calls(db, settlements).await).await
}

/// Does file work off the runtime's threads: a disk may take its time.
async fn on_disk<T: Send + 'static>(
    spool: &Arc<Mutex<Spool>>,
    work: impl FnOnce(&mut Spool) -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let spool = spool.clone();
    // A panic in the middle of a write leaves at worst a torn record, which the replay sees.
    let done = tokio::task::spawn_blocking(move || work(&mut spool.lock().unwrap_or_else(PoisonError::into_inner)));
    done.await.map_err(std::io::Error::other)?
}

/// Writes what comes, as many records at once as wait, until every [`Settlements`] is gone.
async fn write_spool(spool: Arc<Mutex<Spool>>, mut writes: mpsc::UnboundedReceiver<(Vec<u8>, oneshot::Sender<bool>)>) {
    let mut batch = Vec::with_capacity(MOST);
    while writes.recv_many(&mut batch, MOST).await > 0 {
        let (records, answers): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        let written = on_disk(&spool, move |spool| spool.append(&records)).await;
        if let Err(error) = &written {
            tracing::error!(%error, "writing to the spool failed");
        }
        for answer in answers {
            // Whoever asked may have left.
            let _ = answer.send(written.is_ok());
        }
    }
}

/// Brings what is in the spool to the database, what other processes left there included.
async fn replay_until(db: Database, spool: Arc<Mutex<Spool>>, spooled: Spooled, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(REPLAY_EACH);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match replay(&db, &spool, &spooled).await {
            Ok(0) => {}
            Ok(settled) => tracing::info!(settled, "settlements from the spool are in the database"),
            Err(error) => tracing::error!(%error, source = ?std::error::Error::source(&error), "replaying the spool failed"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error("the database took no settlement")]
    Ledger(#[from] LedgerError),
    #[error("the spool could not be read or written")]
    Disk(#[from] std::io::Error),
}

/// Replays every segment that is there. Stops at the first sign that the database is still away: nothing is lost by waiting.
async fn replay(db: &Database, spool: &Arc<Mutex<Spool>>, spooled: &Spooled) -> Result<usize, ReplayError> {
    let mut settled = 0;
    loop {
        let Some(taken) = on_disk(spool, Spool::take).await? else { return Ok(settled) };
        for records in taken.records().chunks(MOST) {
            for request_id in replay_records(db, spool, records).await? {
                spooled.lock().remove(&request_id);
            }
            settled += records.len();
        }
        taken.finish()?;
    }
}

/// Settles what the records say, and names the calls. When it returns, each is in the database or set aside.
async fn replay_records(db: &Database, spool: &Arc<Mutex<Spool>>, records: &[Vec<u8>]) -> Result<Vec<RequestId>, ReplayError> {
    let mut settlements = Vec::with_capacity(records.len());
    for record in records {
        match serde_json::from_slice::<Settlement>(record) {
            Ok(settlement) => settlements.push(settlement),
            Err(error) => set_aside(spool, record.clone(), &error).await?,
        }
    }
    let calls = settlements.iter().map(|settlement| settlement.request_id).collect();
    match settle_in_time(db, &settlements).await {
        Ok(_) => return Ok(calls),
        Err(error) if error.is_transient() => return Err(error.into()),
        Err(_) => {}
    }
    for settlement in settlements {
        let Ok(record) = serde_json::to_vec(&settlement) else { continue };
        match settle_alone(db, settlement).await {
            Ok(_) => {}
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => set_aside(spool, record, &error).await?,
        }
    }
    Ok(calls)
}

/// Someone must look at it: a call was delivered and could not be charged.
async fn set_aside(spool: &Arc<Mutex<Spool>>, record: Vec<u8>, error: &(dyn std::error::Error + Sync)) -> std::io::Result<()> {
    tracing::error!(%error, "the database refuses a settlement of the spool; it is kept beside it");
    on_disk(spool, move |spool| spool.set_aside(&record)).await
}
