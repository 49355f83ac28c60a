//! Group admission and group settlement share this: what arrives while a round trip is under way travels in the next one. No
//! timer: an idle gateway sends a lone call at once, a busy one sends hundreds together. Callers wait in lanes that take turns, so
//! that one who floods the queue only waits for himself.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Most items of one round trip.
const MOST: usize = 256;
/// Workers that step in while the first is stuck, behind a lock or a slow disk: one batch at a time is the largest, and batches of
/// one account would only queue for its lock.
const SPARE: usize = 3;
/// How long the first worker may take before the next batch is another's.
const STUCK: Duration = Duration::from_millis(25);

/// The workers have ended: the process is going down.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("shutting down")]
pub struct Closed;

type Item<T, R> = (T, oneshot::Sender<R>);

pub struct Batcher<L, T, R> {
    queue: Arc<Queue<L, Item<T, R>>>,
    /// Ends the workers with the last clone.
    _open: Arc<DropGuard>,
}

impl<L, T, R> Clone for Batcher<L, T, R> {
    fn clone(&self) -> Self {
        Batcher { queue: self.queue.clone(), _open: self._open.clone() }
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
        F: Future<Output = Vec<R>> + Send,
    {
        let queue = Arc::new(Queue::default());
        let closed = CancellationToken::new();
        for worker in 0..=SPARE {
            let (queue, closed, run) = (queue.clone(), closed.clone(), run.clone());
            tasks.spawn(async move {
                while let Some(batch) = queue.next(worker > 0, &closed).await {
                    let (requests, answers): (Vec<T>, Vec<oneshot::Sender<R>>) = batch.into_iter().unzip();
                    for (answer, result) in answers.into_iter().zip(run(requests).await) {
                        // Whoever asked may have left.
                        let _ = answer.send(result);
                    }
                }
            });
        }
        Batcher { queue, _open: Arc::new(closed.drop_guard()) }
    }

    pub async fn ask(&self, lane: L, request: T) -> Result<R, Closed> {
        let (answer, result) = oneshot::channel();
        self.queue.push(lane, (request, answer));
        result.await.map_err(|_| Closed)
    }
}

struct Queue<L, I> {
    lanes: Mutex<Lanes<L, I>>,
    filled: Notify,
    /// Tells a spare worker to have a look, after a while.
    waiting: Notify,
}

impl<L, I> Default for Queue<L, I> {
    fn default() -> Self {
        Queue {
            lanes: Mutex::new(Lanes { waiting: HashMap::new(), turns: VecDeque::new() }),
            filled: Notify::new(),
            waiting: Notify::new(),
        }
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
}

impl<L: Hash + Eq + Copy, I> Lanes<L, I> {
    fn push(&mut self, lane: L, item: I) {
        let waiting = self.waiting.entry(lane).or_default();
        if waiting.is_empty() {
            self.turns.push_back(lane);
        }
        waiting.push_back(item);
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
        (batch, !self.turns.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn answers_come_to_who_asked_and_calls_share_batches() {
        let tasks = TaskTracker::new();
        let batches = Arc::new(AtomicUsize::new(0));
        let counted = batches.clone();
        let batcher = Batcher::spawn(&tasks, move |numbers: Vec<u32>| {
            counted.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                numbers.into_iter().map(|n| n * 2).collect()
            }
        });
        let asked = (0..500_u32).map(|n| batcher.ask(n % 7, n));
        for (n, doubled) in futures::future::join_all(asked).await.into_iter().enumerate() {
            assert_eq!(doubled, Ok(n as u32 * 2));
        }
        assert!(batches.load(Ordering::Relaxed) < 100);
        drop(batcher);
        tasks.close();
        tasks.wait().await;
    }

    #[test]
    fn a_flood_waits_for_itself() {
        let mut lanes = Lanes { waiting: HashMap::new(), turns: VecDeque::new() };
        (0..1_000).for_each(|n| lanes.push("flood", n));
        lanes.push("ada", 1_000);
        lanes.push("bob", 1_001);
        lanes.push("ada", 1_002);
        let (batch, more) = lanes.take(6);
        assert_eq!((batch, more), (vec![0, 1_000, 1_001, 1, 1_002, 2], true));
        let (rest, more) = lanes.take(2_000);
        assert_eq!((rest, more), ((3..1_000).collect(), false));
        assert!(lanes.waiting.is_empty());
    }
}
