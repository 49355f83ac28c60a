//! Group admission and group settlement share this: what arrives while a round trip is under way travels in the next one. An idle
//! gateway sends a lone call at once; where several travelled together just now, one waits a moment for the others. Callers wait in
//! lanes that take turns, so that one who floods the queue only waits for himself.

use crate::gateway::metrics::BatchMeter;
use futures::{FutureExt, StreamExt};
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Most items of one round trip.
const MOST: usize = 256;
/// When so many travelled together lately, the first worker gives others a moment to join whoever waits: most of what a small batch costs
/// the database, it would cost with more in it as well. The moment is the shortest that the runtime's clock knows, which is one to two; it
/// is over sooner when as many wait as travelled together, since callers who were answered together come again together.
const SEVERAL: usize = 4;
const MOMENT: Duration = Duration::from_millis(1);
/// After so long without a call nobody is expected any more.
const IDLE: Duration = Duration::from_millis(100);
/// Workers that step in while the first is stuck, behind a lock or a slow disk: one batch at a time is the largest, and batches of
/// one account would only queue for its lock.
const SPARE: usize = 3;
/// How long the first worker may take before the next batch is another's.
const STUCK: Duration = Duration::from_millis(25);

/// How long a lane that was found locked keeps to itself.
const APART_FOR: Duration = Duration::from_secs(5);

/// Somebody keeps a lock that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locked;

/// Why a question has no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The lane's lock could not be had; worth asking again.
    Locked,
    /// Its batch panicked. (No worker ends before whoever asks has left.)
    Failed,
}

type Item<T, R> = (T, oneshot::Sender<Result<R, Locked>>);

pub struct Batcher<L, T, R> {
    queue: Arc<Queue<L, Item<T, R>>>,
    /// Lanes whose lock somebody keeps, since when, and their queue: nobody else's batch waits for them.
    locked: Arc<Mutex<HashMap<L, Instant>>>,
    apart: Arc<Queue<L, Item<T, R>>>,
    meter: BatchMeter,
    /// Ends the workers with the last clone.
    _open: Arc<DropGuard>,
}

impl<L, T, R> Clone for Batcher<L, T, R> {
    fn clone(&self) -> Self {
        Batcher {
            queue: self.queue.clone(),
            locked: self.locked.clone(),
            apart: self.apart.clone(),
            meter: self.meter.clone(),
            _open: self._open.clone(),
        }
    }
}

impl<L, T, R> Batcher<L, T, R>
where
    L: Hash + Eq + Copy + Send + 'static,
    T: Send + 'static,
    R: Send + 'static,
{
    /// Starts the workers on `tasks`; they end when every clone of the batcher is gone and all is answered. `run` answers each item
    /// of a batch, in order. The queue is bounded by the connections that wait for its answers.
    pub fn spawn<F>(tasks: &TaskTracker, run: impl Fn(Vec<T>) -> F + Clone + Send + 'static) -> Batcher<L, T, R>
    where
        F: Future<Output = Vec<Result<R, Locked>>> + Send,
    {
        let (closed, meter) = (CancellationToken::new(), BatchMeter::default());
        let queue = || {
            let queue: Arc<Queue<L, Item<T, R>>> = Arc::default();
            for worker in 0..=SPARE {
                let (queue, closed, run, meter) = (queue.clone(), closed.clone(), run.clone(), meter.clone());
                tasks.spawn(async move {
                    while let Some(batch) = queue.next(worker > 0, &closed).await {
                        let (requests, answers): (Vec<T>, Vec<_>) = batch.into_iter().unzip();
                        let (calls, begun) = (requests.len(), Instant::now());
                        // A panic costs its batch, whose callers hear of it, and not the worker: a few, and nobody would be answered.
                        let results = AssertUnwindSafe(run(requests)).catch_unwind().await.unwrap_or_else(|_| {
                            tracing::error!(calls, "a batch panicked");
                            Vec::new()
                        });
                        meter.observe(calls, begun.elapsed());
                        for (answer, result) in answers.into_iter().zip(results) {
                            // Whoever asked may have left.
                            let _ = answer.send(result);
                        }
                    }
                });
            }
            queue
        };
        let (queue, apart) = (queue(), queue());
        Batcher { queue, locked: Arc::default(), apart, meter, _open: Arc::new(closed.drop_guard()) }
    }

    /// What its batches were like until now.
    pub fn meter(&self) -> &BatchMeter {
        &self.meter
    }

    pub async fn ask(&self, lane: L, request: T) -> Result<R, NoAnswer> {
        let locked = self.locked().get(&lane).is_some_and(|since| since.elapsed() < APART_FOR);
        let queue = if locked { &self.apart } else { &self.queue };
        let (answer, result) = oneshot::channel();
        queue.push(lane, (request, answer));
        match result.await {
            Ok(Ok(result)) => {
                if locked {
                    self.locked().remove(&lane);
                }
                Ok(result)
            }
            Ok(Err(Locked)) => {
                self.locked().insert(lane, Instant::now());
                Err(NoAnswer::Locked)
            }
            Err(_) => Err(NoAnswer::Failed),
        }
    }

    /// A panic while the map was locked leaves it whole.
    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<L, Instant>> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a batch at once; where a lock stops it, each lane's part by itself, a few at a time, so that no lane is refused for the lock
/// of another. Results come in the order of the batch.
pub async fn run_around_locks<L: Hash + Eq, T: Clone, R, F>(
    batch: Vec<T>,
    lane: impl Fn(&T) -> L,
    run: impl Fn(Arc<[T]>) -> F,
) -> Vec<Result<R, Locked>>
where
    F: Future<Output = Result<Vec<R>, Locked>>,
{
    let batch: Arc<[T]> = batch.into();
    if let Ok(results) = run(batch.clone()).await {
        return results.into_iter().map(Ok).collect();
    }
    let mut parts: HashMap<L, (Vec<usize>, Vec<T>)> = HashMap::new();
    for (place, item) in batch.iter().enumerate() {
        let (places, items) = parts.entry(lane(item)).or_default();
        places.push(place);
        items.push(item.clone());
    }
    if parts.len() == 1 {
        return batch.iter().map(|_| Err(Locked)).collect();
    }
    let run = &run;
    let parts = parts.into_values().map(|(places, items)| async move {
        match run(items.into()).await {
            Ok(results) => places.into_iter().zip(results.into_iter().map(Ok)).collect::<Vec<_>>(),
            Err(Locked) => places.into_iter().map(|place| (place, Err(Locked))).collect(),
        }
    });
    let mut results = futures::stream::iter(parts).buffer_unordered(SPARE).concat().await;
    results.sort_unstable_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

struct Queue<L, I> {
    lanes: Mutex<Lanes<L, I>>,
    filled: Notify,
    /// Tells a spare worker to have a look, after a while.
    waiting: Notify,
}

impl<L, I> Default for Queue<L, I> {
    fn default() -> Self {
        Queue { lanes: Mutex::default(), filled: Notify::new(), waiting: Notify::new() }
    }
}

impl<L: Hash + Eq + Copy, I> Queue<L, I> {
    /// A panic under the lock leaves every lane whole: each change is one push or pop.
    fn lanes(&self) -> std::sync::MutexGuard<'_, Lanes<L, I>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, lane: L, item: I) {
        self.lanes().push(lane, item);
        self.filled.notify_one();
        self.waiting.notify_one();
    }

    /// The next batch: for the first worker as soon as there is one, for a spare one when it has waited. None after the end.
    async fn next(&self, spare: bool, closed: &CancellationToken) -> Option<Vec<I>> {
        let filled = if spare { &self.waiting } else { &self.filled };
        loop {
            if !spare || closed.is_cancelled() {
                if !closed.is_cancelled() {
                    self.gather().await;
                }
                let batch = self.take();
                if !batch.is_empty() {
                    return Some(batch);
                }
            }
            tokio::select! {
                biased;
                () = filled.notified() => {}
                () = closed.cancelled() => return None,
            }
            // The first of many that were woken together also woke this worker: let the others push before it takes.
            tokio::task::yield_now().await;
            if spare {
                tokio::select! {
                    () = tokio::time::sleep(STUCK) => {}
                    () = closed.cancelled() => {}
                }
                let batch = self.take();
                if !batch.is_empty() {
                    return Some(batch);
                }
            }
        }
    }

    /// Where several travelled together lately, gives others a moment to join those who wait.
    async fn gather(&self) {
        if !self.lanes().expect_more() {
            return;
        }
        let moment = tokio::time::sleep(MOMENT);
        tokio::pin!(moment);
        while self.lanes().expect_more() {
            tokio::select! {
                () = &mut moment => return,
                () = self.filled.notified() => {}
            }
        }
    }

    /// Whoever takes a part wakes the next for the rest.
    fn take(&self) -> Vec<I> {
        let (batch, more) = self.lanes().take(MOST);
        if more {
            self.filled.notify_one();
            self.waiting.notify_one();
        }
        batch
    }
}

/// One queue a lane, and whose turn it is. Only lanes in which somebody waits are here.
struct Lanes<L, I> {
    waiting: HashMap<L, VecDeque<I>>,
    turns: VecDeque<L>,
    /// How many wait in all.
    count: usize,
    /// How many travelled together lately: the largest batch, forgotten by an eighth with each, and by whoever comes after an idle while.
    lately: usize,
    /// When the last batch left.
    left_at: Instant,
}

impl<L, I> Default for Lanes<L, I> {
    fn default() -> Self {
        Lanes { waiting: HashMap::new(), turns: VecDeque::new(), count: 0, lately: 1, left_at: Instant::now() }
    }
}

impl<L: Hash + Eq + Copy, I> Lanes<L, I> {
    fn push(&mut self, lane: L, item: I) {
        if self.count == 0 && self.left_at.elapsed() > IDLE {
            self.lately = 1;
        }
        let waiting = self.waiting.entry(lane).or_default();
        if waiting.is_empty() {
            self.turns.push_back(lane);
        }
        waiting.push_back(item);
        self.count += 1;
    }

    /// Whether somebody waits, and others are likely to follow at once.
    fn expect_more(&self) -> bool {
        self.lately >= SEVERAL && (1..self.lately).contains(&self.count)
    }

    /// At most `most` items, one of each lane in turn, and whether some are left.
    fn take(&mut self, most: usize) -> (Vec<I>, bool) {
        let mut batch = Vec::new();
        while batch.len() < most {
            let Some(lane) = self.turns.pop_front() else { break };
            let Some(waiting) = self.waiting.get_mut(&lane) else { continue };
            batch.extend(waiting.pop_front());
            if waiting.is_empty() {
                self.waiting.remove(&lane);
            } else {
                self.turns.push_back(lane);
            }
        }
        self.count -= batch.len();
        if !batch.is_empty() {
            self.lately = batch.len().max(self.lately - self.lately.div_ceil(8));
            self.left_at = Instant::now();
        }
        (batch, !self.turns.is_empty())
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
