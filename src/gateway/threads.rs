//! The threads that serve callers, each with a runtime of its own. Whatever a call waits for wakes it on the thread that it is on: between
//! threads each such step costs as much as all that is done in it. Nothing that takes long runs here: pages have other threads, and so have
//! calls with large bodies.

use std::cell::Cell;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// What is larger is read elsewhere: some milliseconds' work.
pub const LARGE: usize = 512 << 10;

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(0) };
}

/// Half of this machine's processors, at least one: calls have so many threads, and pages as many.
pub fn half_of_processors() -> NonZeroUsize {
    let processors = available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new(processors.div_ceil(2)).unwrap_or(NonZeroUsize::MIN)
}

/// They end with the last clone.
#[derive(Clone)]
pub struct Threads {
    threads: Arc<[Handle]>,
    next: Arc<AtomicUsize>,
    _open: Arc<DropGuard>,
}

impl Threads {
    pub fn start(count: NonZeroUsize) -> std::io::Result<Threads> {
        let closed = CancellationToken::new();
        // Those that were started end also where another could not be.
        let open = closed.clone().drop_guard();
        let threads = (0..count.get()).map(|number| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (handle, closed) = (runtime.handle().clone(), closed.clone());
            std::thread::Builder::new().name(format!("calls-{number}")).spawn(move || {
                NUMBER.set(number);
                runtime.block_on(closed.cancelled());
                // What still runs was told to end, twice: do not wait for it.
                runtime.shutdown_background();
            })?;
            Ok(handle)
        });
        let threads = threads.collect::<std::io::Result<_>>()?;
        Ok(Threads { threads, next: Arc::default(), _open: Arc::new(open) })
    }

    pub fn count(&self) -> usize {
        self.threads.len()
    }

    /// Begins what is for the calls of all of them: what it spawns runs on the first.
    pub fn on_first<T>(&self, work: impl FnOnce() -> T) -> T {
        let _on = self.threads.first().map(Handle::enter);
        work()
    }

    /// Has the one whose turn it is do the work.
    pub fn spawn(&self, tasks: &TaskTracker, work: impl Future<Output = ()> + Send + 'static) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.threads.len().max(1);
        if let Some(thread) = self.threads.get(turn) {
            tasks.spawn_on(work, thread);
        }
    }

    /// The number of the thread that asks; 0 on any other.
    pub fn this() -> usize {
        NUMBER.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::{Mutex, PoisonError};

    #[tokio::test]
    async fn work_goes_to_one_thread_after_the_other_and_stays_there() {
        let threads = Threads::start(NonZeroUsize::MIN.saturating_add(2)).expect("threads");
        let (tasks, seen) = (TaskTracker::new(), Arc::new(Mutex::new(Vec::new())));
        for _ in 0..6 {
            let seen = seen.clone();
            threads.spawn(&tasks, async move {
                let before = (Threads::this(), std::thread::current().id());
                tokio::task::yield_now().await;
                assert_eq!((Threads::this(), std::thread::current().id()), before);
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(before);
            });
        }
        tasks.close();
        tasks.wait().await;
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(seen.len(), 6, "none failed");
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 3, "{seen:?}");
        assert_eq!(seen.iter().map(|(number, _)| number).collect::<HashSet<_>>(), HashSet::from([&0, &1, &2]));
    }
}
