//! Group admission and group settlement share this: what arrives while a round trip is under way travels in the next one. No
//! timer: an idle gateway sends a lone call at once, a busy one sends hundreds together.

use std::future::Future;
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// Most items of one round trip.
const MOST: usize = 256;
/// Round trips at once, so that one that waits for a lock does not stop the others.
const WORKERS: usize = 4;

/// The workers have ended: the process is going down.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("shutting down")]
pub struct Closed;

type Item<T, R> = (T, oneshot::Sender<R>);

#[derive(Clone)]
pub struct Batcher<T, R> {
    queue: mpsc::UnboundedSender<Item<T, R>>,
}

impl<T, R> Batcher<T, R>
where
    T: Send + 'static,
    R: Send + 'static,
{
    /// Starts the workers on `tasks`; they end when every clone of the batcher is gone. `run` answers each item of a batch, in
    /// order. The queue is bounded by the connections that wait for its answers.
    pub fn spawn<F>(tasks: &TaskTracker, run: impl Fn(Vec<T>) -> F + Clone + Send + 'static) -> Batcher<T, R>
    where
        F: Future<Output = Vec<R>> + Send,
    {
        let (queue, items) = mpsc::unbounded_channel::<Item<T, R>>();
        let items = Arc::new(Mutex::new(items));
        for _ in 0..WORKERS {
            let (items, run) = (items.clone(), run.clone());
            tasks.spawn(async move {
                let mut batch = Vec::with_capacity(MOST);
                while items.lock().await.recv_many(&mut batch, MOST).await > 0 {
                    let (requests, answers): (Vec<T>, Vec<oneshot::Sender<R>>) = batch.drain(..).unzip();
                    for (answer, result) in answers.into_iter().zip(run(requests).await) {
                        // Whoever asked may have left.
                        let _ = answer.send(result);
                    }
                }
            });
        }
        Batcher { queue }
    }

    pub async fn ask(&self, request: T) -> Result<R, Closed> {
        let (answer, result) = oneshot::channel();
        self.queue.send((request, answer)).map_err(|_| Closed)?;
        result.await.map_err(|_| Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

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
        let asked = (0..500_u32).map(|n| batcher.ask(n));
        for (n, doubled) in futures::future::join_all(asked).await.into_iter().enumerate() {
            assert_eq!(doubled, Ok(n as u32 * 2));
        }
        assert!(batches.load(Ordering::Relaxed) < 100);
        drop(batcher);
        tasks.close();
        tasks.wait().await;
    }
}
