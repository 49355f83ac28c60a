//! A large answer on its way to its caller, part by part. Who does not read it is not waited for: all calls share the memory for answers, and
//! over HTTP/2 a connection may be busy with others while this one lies there.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

/// A part is a copy: whoever holds on to it does not hold on to the whole.
const PART: usize = 64 << 10;
/// What is read of it in this time, at least.
const PERIOD: Duration = Duration::from_secs(60);
const LEAST: usize = 1 << 20;

/// What is left to be read; None once it was let go of.
type Rest = Arc<Mutex<Option<Bytes>>>;

pub struct Parted {
    rest: Rest,
    /// Its end is heard of by whoever watches.
    _read: oneshot::Sender<()>,
}

/// Too little of it was read for too long.
#[derive(Debug, thiserror::Error)]
#[error("the answer was not read")]
pub struct Unread;

impl Parted {
    /// `tasks`: in which it is watched.
    pub fn new(tasks: &TaskTracker, answer: Bytes) -> Parted {
        Parted::watched(tasks, answer, PERIOD)
    }

    fn watched(tasks: &TaskTracker, answer: Bytes, period: Duration) -> Parted {
        let rest = Arc::new(Mutex::new(Some(answer)));
        let (read, ended) = oneshot::channel();
        tasks.spawn(watch(rest.clone(), ended, period));
        Parted { rest, _read: read }
    }
}

/// A panic while it was locked leaves it whole.
fn lock(rest: &Rest) -> std::sync::MutexGuard<'_, Option<Bytes>> {
    rest.lock().unwrap_or_else(PoisonError::into_inner)
}

fn left(rest: &Rest) -> usize {
    lock(rest).as_ref().map_or(0, Bytes::len)
}

async fn watch(rest: Rest, mut ended: oneshot::Receiver<()>, period: Duration) {
    loop {
        let before = left(&rest);
        if tokio::time::timeout(period, &mut ended).await.is_ok() || before == 0 {
            return;
        }
        if before - left(&rest) < LEAST.min(before) {
            tracing::debug!(bytes = before, "an answer is not read, and let go of");
            lock(&rest).take();
            return;
        }
    }
}

impl Body for Parted {
    type Data = Bytes;
    type Error = Unread;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Unread>>> {
        let mut rest = lock(&self.rest);
        let Some(rest) = rest.as_mut() else { return Poll::Ready(Some(Err(Unread))) };
        if rest.is_empty() {
            return Poll::Ready(None);
        }
        let part = rest.split_to(rest.len().min(PART));
        Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(&part)))))
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.rest).as_ref().is_some_and(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(left(&self.rest) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::sync::atomic::{AtomicBool, Ordering};

    const SOON: Duration = Duration::from_millis(50);

    /// An answer that tells when its memory is free again.
    struct Owned(Vec<u8>, Arc<AtomicBool>);

    impl AsRef<[u8]> for Owned {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for Owned {
        fn drop(&mut self) {
            self.1.store(true, Ordering::Relaxed);
        }
    }

    fn answer(bytes: usize) -> (Bytes, Arc<AtomicBool>) {
        let freed = Arc::new(AtomicBool::new(false));
        let text = (0..bytes).map(|n| n as u8).collect();
        (Bytes::from_owner(Owned(text, freed.clone())), freed)
    }

    #[tokio::test]
    async fn it_is_read_as_it_is() {
        let tasks = TaskTracker::new();
        for bytes in [1, PART, 3 * PART + 7] {
            let (whole, freed) = answer(bytes);
            let body = Parted::new(&tasks, whole.clone());
            assert_eq!(body.size_hint().exact(), Some(bytes as u64));
            assert_eq!(body.collect().await.expect("read").to_bytes(), whole);
            drop(whole);
            tasks.close();
            tasks.wait().await;
            assert!(freed.load(Ordering::Relaxed));
            tasks.reopen();
        }
    }

    #[tokio::test]
    async fn what_nobody_reads_is_let_go_of() {
        let (tasks, (whole, freed)) = (TaskTracker::new(), answer(4 * LEAST));
        let mut body = Parted::watched(&tasks, whole, SOON);
        let first = body.frame().await.expect("a part").expect("read");
        tasks.close();
        tasks.wait().await;
        assert!(freed.load(Ordering::Relaxed), "though a part of it is still held");
        assert_eq!(first.into_data().map(|part| part.len()).ok(), Some(PART));
        assert!(body.frame().await.expect("an end").is_err(), "no clean end");
    }

    #[tokio::test]
    async fn who_reads_slowly_is_waited_for() {
        let (tasks, (whole, _)) = (TaskTracker::new(), answer(3 * LEAST));
        let mut body = Parted::watched(&tasks, whole, Duration::from_secs(2));
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            read += frame.expect("read").into_data().map_or(0, |part| part.len());
            if read % LEAST == 0 {
                tokio::time::sleep(Duration::from_millis(900)).await;
            }
        }
        assert_eq!(read, 3 * LEAST);
    }
}
