//! Connections to suppliers. Over HTTP/2 a supplier lets so many calls on one connection at a time, and does not say how many to us, only
//! to the client: what is one too many waits inside that until another ends. Here it is seen whether a call was handed over, so that one
//! that waits counts as not sent, can be taken back, and goes to another connection.

use crate::ids::ChannelId;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// Connections of one thread to one channel over HTTP/2. Where all are full, calls wait for room.
pub const MOST_LINES: usize = 8;
/// How long a call waits before it is looked whether its connection is full.
pub const LOOK_AFTER: Duration = Duration::from_millis(100);
/// A full connection is passed over for so long; then one call tries it again.
const FULL_FOR: Duration = Duration::from_secs(1);
/// Channels that are remembered, at most; whoever is forgotten while calls run goes on as it is.
const MOST_CHANNELS: usize = 10_000;

type Build = Box<dyn Fn() -> reqwest::ClientBuilder + Send + Sync>;

/// The connections of one thread, which drives those that it opened. A client has one connection to a supplier over HTTP/2, so further
/// ones are further clients, made when they are needed.
pub struct Lines {
    build: Build,
    first: reqwest::Client,
    further: [OnceLock<reqwest::Client>; MOST_LINES - 1],
    channels: Mutex<HashMap<ChannelId, Arc<ToChannel>>>,
}

/// What is known of one channel's.
#[derive(Default)]
struct ToChannel {
    /// Its last answer came over HTTP/2. Over HTTP/1 a call waits for nothing but a connection of its own.
    http2: AtomicBool,
    lines: [Line; MOST_LINES],
}

#[derive(Default)]
struct Line {
    /// Calls that were handed over and have not ended.
    taken: AtomicUsize,
    /// Until then it is passed over.
    full: Mutex<Option<Instant>>,
}

impl Lines {
    pub fn new(build: impl Fn() -> reqwest::ClientBuilder + Send + Sync + 'static) -> reqwest::Result<Lines> {
        let first = build().build()?;
        Ok(Lines { build: Box::new(build), first, further: Default::default(), channels: Mutex::default() })
    }

    /// A place for one attempt on the first connection that is not known to be full. `sent` is set once the attempt is handed over.
    pub fn seat(&self, channel_id: ChannelId, sent: &Arc<AtomicBool>) -> Seat {
        let (to, now) = (self.to(channel_id), Instant::now());
        let with_room = to.lines.iter().position(|line| line.try_anew(now));
        let (number, client) = self.client(with_room.unwrap_or_else(|| to.least_taken()));
        let phase = AtomicU8::new(WAITING);
        Seat { client, handing: Arc::new(Handing { phase, since: now, to, number, sent: sent.clone() }) }
    }

    fn to(&self, channel_id: ChannelId) -> Arc<ToChannel> {
        let mut channels = lock(&self.channels);
        if channels.len() >= MOST_CHANNELS && !channels.contains_key(&channel_id) {
            channels.clear();
        }
        channels.entry(channel_id).or_default().clone()
    }

    /// The first where another cannot be made.
    fn client(&self, number: usize) -> (usize, reqwest::Client) {
        let first = || (0, self.first.clone());
        let Some(slot) = number.checked_sub(1).and_then(|further| self.further.get(further)) else { return first() };
        if let Some(client) = slot.get() {
            return (number, client.clone());
        }
        match (self.build)().build() {
            Ok(client) => (number, slot.get_or_init(|| client).clone()),
            Err(error) => {
                tracing::error!(%error, "no further client for suppliers");
                first()
            }
        }
    }
}

impl ToChannel {
    fn least_taken(&self) -> usize {
        let taken = |number: &usize| self.lines.get(*number).map(|line| line.taken.load(Ordering::Relaxed));
        (0..MOST_LINES).min_by_key(taken).unwrap_or(0)
    }
}

impl Line {
    /// Whether a call may go there. To one that was full for a while one call goes; others pass it over until that has found room.
    fn try_anew(&self, now: Instant) -> bool {
        let mut full = lock(&self.full);
        match *full {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                *full = Some(now + FULL_FOR);
                true
            }
        }
    }

    fn is_full(&self, now: Instant) -> bool {
        lock(&self.full).is_some_and(|until| now < until)
    }

    fn set_full(&self, until: Option<Instant>) {
        *lock(&self.full) = until;
    }
}

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const TAKEN_BACK: u8 = 2;

/// One attempt to hand a call over.
struct Handing {
    phase: AtomicU8,
    since: Instant,
    to: Arc<ToChannel>,
    number: usize,
    sent: Arc<AtomicBool>,
}

impl Handing {
    fn line(&self) -> Option<&Line> {
        self.to.lines.get(self.number)
    }

    fn is_waiting(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == WAITING
    }

    /// From `WAITING` to one of the others, which it stays.
    fn move_on(&self, to: u8) -> bool {
        self.phase.compare_exchange(WAITING, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The connection takes the body. False when the attempt was given up before.
    fn take(&self) -> bool {
        if !self.is_waiting() {
            return false;
        }
        // Before the phase, so that whoever finds it taken finds these too.
        self.sent.store(true, Ordering::SeqCst);
        let Some(line) = self.line() else { return self.move_on(TAKEN) };
        line.taken.fetch_add(1, Ordering::Relaxed);
        if !self.move_on(TAKEN) {
            line.taken.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        if self.since.elapsed() < LOOK_AFTER {
            line.set_full(None);
        }
        true
    }
}

/// An attempt's place, until the answer has been read. Dropped before the call was handed over, it is not handed over any more.
pub struct Seat {
    pub client: reqwest::Client,
    handing: Arc<Handing>,
}

impl Seat {
    /// The body to send. Its head may leave before it, by itself it is no call.
    pub fn body(&self, bytes: Bytes) -> reqwest::Body {
        reqwest::Body::wrap(Handed { bytes, handing: self.handing.clone() })
    }

    pub fn is_waiting(&self) -> bool {
        self.handing.is_waiting()
    }

    /// Takes the call back, unless it was handed over: then it counts as sent.
    pub fn take_back(&self) -> bool {
        self.handing.move_on(TAKEN_BACK) || !self.was_taken()
    }

    fn was_taken(&self) -> bool {
        self.handing.phase.load(Ordering::SeqCst) == TAKEN
    }

    /// Notes that the supplier lets no further call on this connection.
    pub fn note_full(&self) {
        if let Some(line) = self.handing.line() {
            line.set_full(Some(Instant::now() + FULL_FOR));
        }
    }

    /// Takes the call back where it waits for room on a connection, which others use, and another connection may have some.
    pub fn gives_up(&self) -> bool {
        let (to, now) = (&self.handing.to, Instant::now());
        let used = self.handing.line().is_some_and(|line| line.taken.load(Ordering::Relaxed) > 0);
        if !(used && self.is_waiting() && to.http2.load(Ordering::Relaxed)) {
            return false;
        }
        self.note_full();
        to.lines.iter().any(|line| !line.is_full(now)) && self.handing.move_on(TAKEN_BACK)
    }

    /// How the answer came.
    pub fn note_version(&self, version: reqwest::Version) {
        self.handing.to.http2.store(version == reqwest::Version::HTTP_2, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.take_back()
            && let Some(line) = self.handing.line()
        {
            line.taken.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A body in one piece, which a connection asks for when it has room for the call, and gets if it still may.
struct Handed {
    bytes: Bytes,
    handing: Arc<Handing>,
}

impl http_body::Body for Handed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.bytes.is_empty() {
            return Poll::Ready(None);
        }
        if !this.handing.take() {
            return Poll::Ready(Some(Err(io::Error::other("the call was taken back"))));
        }
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

/// A panic while it was locked leaves each of these whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;
    use std::task::Waker;

    fn lines() -> Lines {
        // A second call finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Lines::new(reqwest::Client::builder).expect("a client")
    }

    /// Whether the connection got the body.
    fn is_taken(seat: &Seat) -> bool {
        let mut body = Handed { bytes: Bytes::from_static(b"{}"), handing: seat.handing.clone() };
        let polled = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
        matches!(polled, Poll::Ready(Some(Ok(_))))
    }

    #[tokio::test]
    async fn a_call_is_either_handed_over_or_taken_back() {
        let (lines, channel) = (lines(), ChannelId::generate());
        let sent = Arc::<AtomicBool>::default();
        let seat = lines.seat(channel, &sent);
        assert!(seat.take_back() && !is_taken(&seat) && !sent.load(Ordering::SeqCst));
        drop(seat);
        let seat = lines.seat(channel, &sent);
        assert!(is_taken(&seat) && !seat.take_back() && sent.load(Ordering::SeqCst));
        assert_eq!(lines.to(channel).lines[0].taken.load(Ordering::Relaxed), 1);
        drop(seat);
        assert_eq!(lines.to(channel).lines[0].taken.load(Ordering::Relaxed), 0);
        // A connection that has room only when nobody waits any more.
        let seat = lines.seat(channel, &Arc::default());
        let handing = seat.handing.clone();
        drop(seat);
        assert!(!handing.take());
        assert_eq!(lines.to(channel).lines[0].taken.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn only_a_connection_that_is_used_over_http2_is_full_and_one_call_tries_it_again() {
        let (lines, channel) = (lines(), ChannelId::generate());
        let seat = || lines.seat(channel, &Arc::default());
        let (running, waiting) = (seat(), seat());
        assert!(!waiting.gives_up(), "it may not be connected yet");
        assert!(is_taken(&running));
        assert!(!waiting.gives_up(), "over HTTP/1 it has a connection of its own");
        running.note_version(reqwest::Version::HTTP_2);
        assert!(waiting.gives_up() && !is_taken(&waiting));
        let next = seat();
        assert_eq!((next.handing.number, seat().handing.number), (1, 1));
        tokio::time::sleep(FULL_FOR).await;
        let again = seat();
        assert_eq!((again.handing.number, seat().handing.number), (0, 1));
        assert!(is_taken(&again));
        assert_eq!(seat().handing.number, 0, "there was room");
    }

    #[tokio::test]
    async fn where_all_are_full_a_call_waits_on_the_one_least_used() {
        let (lines, channel) = (lines(), ChannelId::generate());
        let mut running = Vec::new();
        for number in 0..MOST_LINES {
            for _ in 0..=usize::from(number != 5) {
                let seat = lines.seat(channel, &Arc::default());
                assert_eq!(seat.handing.number, number);
                assert!(is_taken(&seat));
                seat.note_version(reqwest::Version::HTTP_2);
                running.push(seat);
            }
            running[running.len() - 1].note_full();
        }
        let seat = lines.seat(channel, &Arc::default());
        assert_eq!(seat.handing.number, 5);
        assert!(!seat.gives_up() && seat.is_waiting(), "no other has room");
    }
}
