//! From the spool to the database: each settlement that waits on this machine's disk is settled as soon as the database takes it, and
//! nobody's waits for a lock of somebody else's.

use crate::gateway::database::Database;
use crate::gateway::settlement::{MOST, REPLAY_EACH, on_disk, settle_apart, settle_in_time};
use crate::gateway::spool::{Spool, Taken};
use crate::gateway::spooled::Spooled;
use crate::ids::{AccountId, RequestId};
use crate::wallet::ledger::{LedgerError, Settlement};
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Brings what is in the spool to the database, what other processes left there included.
pub(super) async fn replay_until(db: Database, spool: Arc<Mutex<Spool>>, spooled: Spooled, stop: CancellationToken) {
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
pub(super) async fn replay(
    db: &Database,
    spool: &Arc<Mutex<Spool>>,
    spooled: &Spooled,
    stop: &CancellationToken,
) -> Result<usize, ReplayError> {
    let mut settled = 0;
    let written = spooled.written();
    let begun = Uuid::now_v7().to_string();
    // Segments that are left for the next round are passed over, so that those behind them have their turn: where somebody has locked an
    // account, and one that the database takes nothing of, for no reason that we know.
    let (mut last, mut locked, mut passed, mut stuck) = (PathBuf::new(), HashSet::new(), false, None);
    loop {
        let after = last.clone();
        let Some(taken) = on_disk(spool, move |spool| spool.take(&after)).await? else { break };
        // While an account is locked, its calls write new ones all the time, and this round would never end.
        if passed && taken.path.file_stem().is_some_and(|name| name > OsStr::new(&begun)) {
            break;
        }
        last.clone_from(&taken.path);
        match replay_segment(db, &taken, spooled, &mut locked, stop).await {
            Ok(Some(replayed)) => {
                settled += replayed.settled;
                if replayed.left > 0 {
                    passed = true;
                } else {
                    on_disk(spool, move |_| taken.finish(&replayed.refused)).await?;
                }
            }
            Ok(None) => return Ok(settled),
            // With a second one it is not the segment.
            Err(error) if error.is_transient() || stuck.is_some() => return Err(error.into()),
            Err(error) => (passed, stuck) = (true, Some(error)),
        }
    }
    if !locked.is_empty() {
        tracing::warn!(accounts = locked.len(), "somebody keeps locks of accounts; their settlements wait in the spool for the next round");
    }
    if let Some(error) = stuck {
        return Err(error.into());
    }
    // What was on the disk before this round, and now is neither here nor with another process of this folder, was lost to damage or
    // settled elsewhere. No replay will ever name it, and its hold must not be kept for that.
    if !passed && on_disk(spool, |spool| spool.is_alone()).await? {
        spooled.forget(&written);
    }
    Ok(settled)
}

/// What became of a segment, or of some of its records.
#[derive(Default)]
struct Replayed {
    settled: usize,
    /// Whose holds need not be kept any more.
    calls: Vec<RequestId>,
    /// Where the records are that are to be set aside. Someone must look at them: a call was delivered and could not be charged.
    refused: Vec<usize>,
    /// How many are for the next round. Those that are settled are named again then, which changes nothing.
    left: usize,
}

/// None where `stop` came first. `locked`: the accounts that were found locked in this round, which are not waited for again.
async fn replay_segment(
    db: &Database,
    taken: &Taken,
    spooled: &Spooled,
    locked: &mut HashSet<AccountId>,
    stop: &CancellationToken,
) -> Result<Option<Replayed>, LedgerError> {
    let mut all = Replayed::default();
    for (chunk, records) in taken.records().chunks(MOST).enumerate() {
        if stop.is_cancelled() {
            return Ok(None);
        }
        let replayed = replay_records(db, records, locked, stop).await?;
        spooled.forget(&replayed.calls);
        all.settled += replayed.settled;
        all.refused.extend(replayed.refused.into_iter().map(|place| chunk * MOST + place));
        all.left += replayed.left;
    }
    Ok(Some(all))
}

/// Settles what the records say: together, or account by account where that finds a lock. Only what is wrong with a record itself has it
/// set aside, which is for ever; whatever else fails is an error, and for the next round.
async fn replay_records(
    db: &Database,
    records: &[Vec<u8>],
    locked: &mut HashSet<AccountId>,
    stop: &CancellationToken,
) -> Result<Replayed, LedgerError> {
    let (mut replayed, mut together) = (Replayed::default(), Part::default());
    for (place, record) in records.iter().enumerate() {
        match serde_json::from_slice::<Settlement>(record) {
            Ok(settlement) if locked.contains(&settlement.account_id) => replayed.left += 1,
            Ok(settlement) => together.push(place, settlement),
            Err(error) => {
                tracing::error!(%error, "a record of the spool is no settlement of ours; it will be kept beside it");
                replayed.refused.push(place);
            }
        }
    }
    if replay_part(db, &together, &mut replayed).await? {
        return Ok(replayed);
    }
    let mut parts: HashMap<AccountId, Part> = HashMap::new();
    for (place, settlement) in together.places.into_iter().zip(together.settlements) {
        parts.entry(settlement.account_id).or_default().push(place, settlement);
    }
    // A lone one is the one that was just found locked.
    let lone = parts.len() == 1;
    for (account_id, part) in parts {
        if lone || stop.is_cancelled() || !replay_part(db, &part, &mut replayed).await? {
            locked.insert(account_id);
            replayed.left += part.places.len();
        }
    }
    Ok(replayed)
}

/// Settlements, and where their records are.
#[derive(Default)]
struct Part {
    places: Vec<usize>,
    settlements: Vec<Settlement>,
}

impl Part {
    fn push(&mut self, place: usize, settlement: Settlement) {
        self.places.push(place);
        self.settlements.push(settlement);
    }
}

/// Settles a part in one commit, and each by itself where they are refused together. False where somebody keeps a lock that it needs.
async fn replay_part(db: &Database, part: &Part, replayed: &mut Replayed) -> Result<bool, LedgerError> {
    if part.places.is_empty() {
        return Ok(true);
    }
    let mut refused = Vec::new();
    match settle_in_time(db, &part.settlements).await {
        Ok(_) => {}
        Err(error) if error.is_locked() => return Ok(false),
        Err(error) if error.is_transient() => return Err(error),
        Err(error) => {
            let calls = part.places.len();
            tracing::error!(%error, source = ?std::error::Error::source(&error), calls, "replay failed");
            // It ends early only with a failure that ends us, too.
            for (place, result) in part.places.iter().zip(settle_apart(db, &part.settlements).await) {
                match result {
                    Ok(_) => {}
                    Err(error) if error.is_refusal() => {
                        tracing::error!("the database refuses a settlement of the spool; it will be kept beside it");
                        refused.push(*place);
                    }
                    Err(error) if error.is_locked() => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
        }
    }
    replayed.settled += part.places.len() - refused.len();
    replayed.calls.extend(part.settlements.iter().map(|settlement| settlement.request_id));
    replayed.refused.append(&mut refused);
    Ok(true)
}
