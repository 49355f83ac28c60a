//! Settlement: each finished call exactly once, many in one durable commit. While the database is away, settlements go to the spool
//! on this machine's disk, and from there to the database as soon as it is back.

use crate::gateway::batch::{Batcher, Locked, run_around_locks};
use crate::gateway::database::Database;
use crate::gateway::metrics::BatchMeter;
use crate::gateway::spool::{Spool, Taken};
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
const REPLAY_EACH: Duration = Duration::from_secs(1);
/// Records of one write to the spool, and of one commit of its replay.
const MOST: usize = 256;

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
        let Ok(record) = serde_json::to_vec(settlement) else { return false };
        let (written, result) = oneshot::channel();
        // Before the write, since the replay may be faster than we are.
        self.spooled.announce(hold.clone());
        let write = Write { request_id: settlement.request_id, record, written };
        self.spool.send(write).is_ok() && result.await.unwrap_or(false)
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
    let mut results: Vec<_> = settle_apart(db, &settlements).await.into_iter().map(Result::ok).collect();
    results.resize(settlements.len(), None);
    Ok(results)
}

/// Settles one by one what failed together. A call that the database refuses is no reason to leave out its neighbours, nor is one that
/// fails in a way that we do not know; where a second one fails so, it is the database that takes nothing, and no more are tried.
async fn settle_apart(db: &Database, settlements: &[Settlement]) -> Vec<Result<Settled, LedgerError>> {
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

/// Brings what is in the spool to the database, what other processes left there included.
async fn replay_until(db: Database, spool: Arc<Mutex<Spool>>, spooled: Spooled, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(REPLAY_EACH);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match replay(&db, &spool, &spooled, &stop).await {
            Ok(0) => {}
            Ok(settled) => tracing::info!(settled, "settlements from the spool are in the database"),
            Err(error) => tracing::error!(%error, source = ?std::error::Error::source(&error), "replaying the spool failed"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("the database took no settlement")]
    Ledger(#[from] LedgerError),
    #[error("the spool could not be read or written")]
    Disk(#[from] std::io::Error),
}

/// Replays every segment that is there, until `stop`. Breaks off at the first sign that the database is still away: nothing is lost by
/// waiting, and a segment is there for the next round until all of it is settled or set aside.
async fn replay(db: &Database, spool: &Arc<Mutex<Spool>>, spooled: &Spooled, stop: &CancellationToken) -> Result<usize, ReplayError> {
    let mut settled = 0;
    let written = spooled.written();
    // One that the database takes nothing of, for no reason that we know, stays locked for this round, so that those behind it have
    // their turn.
    let mut stuck: Option<(Taken, LedgerError)> = None;
    while let Some(taken) = on_disk(spool, Spool::take).await? {
        match replay_segment(db, &taken, spooled, stop).await {
            Ok(Some((count, refused))) => {
                settled += count;
                on_disk(spool, move |_| taken.finish(&refused)).await?;
            }
            Ok(None) => return Ok(settled),
            // With a second one it is not the segment.
            Err(error) if error.is_transient() || stuck.is_some() => return Err(error.into()),
            Err(error) => stuck = Some((taken, error)),
        }
    }
    if let Some((_, error)) = stuck {
        return Err(error.into());
    }
    // What was on the disk before this round, and now is neither here nor with another process of this folder, was lost to damage or
    // settled elsewhere. No replay will ever name it, and its hold must not be kept for that.
    if on_disk(spool, |spool| spool.is_alone()).await? {
        spooled.forget(&written);
    }
    Ok(settled)
}

/// How many records of a segment are settled now, and where those are that are refused; None where `stop` came first.
async fn replay_segment(
    db: &Database,
    taken: &Taken,
    spooled: &Spooled,
    stop: &CancellationToken,
) -> Result<Option<(usize, Vec<usize>)>, LedgerError> {
    let (mut settled, mut refused) = (0, Vec::new());
    for (chunk, records) in taken.records().chunks(MOST).enumerate() {
        if stop.is_cancelled() {
            return Ok(None);
        }
        let replayed = replay_records(db, records).await?;
        spooled.forget(&replayed.calls);
        settled += records.len() - replayed.refused.len();
        refused.extend(replayed.refused.into_iter().map(|place| chunk * MOST + place));
    }
    Ok(Some((settled, refused)))
}

/// What became of some records of a segment.
struct Replayed {
    /// Whose holds need not be kept any more.
    calls: Vec<RequestId>,
    /// Where the records are that are to be set aside. Someone must look at them: a call was delivered and could not be charged.
    refused: Vec<usize>,
}

/// Settles what the records say. Only what is wrong with a record itself has it set aside, which is for ever; whatever else fails is
/// an error, and for the next round.
async fn replay_records(db: &Database, records: &[Vec<u8>]) -> Result<Replayed, LedgerError> {
    let (mut places, mut settlements, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for (place, record) in records.iter().enumerate() {
        match serde_json::from_slice::<Settlement>(record) {
            Ok(settlement) => {
                places.push(place);
                settlements.push(settlement);
            }
            Err(error) => {
                tracing::error!(%error, "a record of the spool is no settlement of ours; it will be kept beside it");
                refused.push(place);
            }
        }
    }
    let calls = settlements.iter().map(|settlement| settlement.request_id).collect();
    match settle_in_time(db, &settlements).await {
        Ok(_) => return Ok(Replayed { calls, refused }),
        Err(error) if error.is_transient() => return Err(error),
        Err(error) => tracing::error!(%error, source = ?std::error::Error::source(&error), calls = settlements.len(), "replay failed"),
    }
    // It ends early only with a failure that ends us, too.
    for (place, result) in places.into_iter().zip(settle_apart(db, &settlements).await) {
        match result {
            Ok(_) => {}
            Err(error) if error.is_refusal() => {
                tracing::error!("the database refuses a settlement of the spool; it will be kept beside it");
                refused.push(place);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Replayed { calls, refused })
}

#[cfg(test)]
#[path = "settlement_tests.rs"]
mod tests;
