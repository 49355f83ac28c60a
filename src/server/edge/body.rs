//! Bodies on their way through: requests that must get on, answers that must be read, forms that must be small.

use crate::gateway::Refused;
use crate::server::edge::activity::Running;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// What a body that never pauses for long must still bring a second: else a byte now and then would keep a connection for ever.
const LEAST_RATE: u64 = 1 << 10;
/// Answers leave in pieces of at most this, so that no more of one is taken before its caller has read what came before.
const PIECE: usize = 64 << 10;

/// Why a request's body broke off, if it did.
#[derive(Clone, Default)]
pub struct Fault(Arc<OnceLock<Refused>>);

impl Fault {
    pub fn get(&self) -> Option<Refused> {
        self.0.get().copied()
    }

    /// The first reason stays.
    fn set(&self, why: Refused) {
        let _ = self.0.set(why);
    }
}

/// A request's body, which breaks off when nothing comes for too long.
pub struct Arriving {
    inner: Incoming,
    patience: Duration,
    begun: Instant,
    received: u64,
    /// Only while nothing comes: most bodies are there with their head.
    clock: Option<Pin<Box<Sleep>>>,
    fault: Fault,
}

impl Arriving {
    pub fn new(inner: Incoming, patience: Duration) -> (Arriving, Fault) {
        let fault = Fault::default();
        (Arriving { inner, patience, begun: Instant::now(), received: 0, clock: None, fault: fault.clone() }, fault)
    }
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.received += frame.data_ref().map_or(0, |data| data.len() as u64);
                this.clock = None;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.fault.set(Refused::Framing);
                Poll::Ready(Some(Err(std::io::Error::other(error))))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let slowest = this.begun + this.patience + Duration::from_secs(this.received / LEAST_RATE);
                let patience = this.patience;
                let clock = this.clock.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(slowest.min(Instant::now() + patience))));
                ready!(clock.as_mut().poll(cx));
                this.fault.set(Refused::BodyTimeout);
                Poll::Ready(Some(Err(std::io::ErrorKind::TimedOut.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body. While it lives, its request runs.
pub struct Leaving {
    inner: Body,
    rest: Bytes,
    running: Running,
}

impl Leaving {
    /// The head of the answer is the first that must be taken.
    pub fn new(inner: Body, mut running: Running) -> Leaving {
        running.set_untaken(true);
        Leaving { inner, rest: Bytes::new(), running }
    }
}

impl http_body::Body for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        this.running.set_untaken(false);
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        this.running.set_untaken(true);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.inner.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// A body that breaks off where it is larger than it may be, and says so.
pub struct Limited {
    inner: Body,
    left: usize,
    exceeded: Arc<AtomicBool>,
}

impl Limited {
    pub fn new(inner: Body, most: usize) -> (Limited, Arc<AtomicBool>) {
        let exceeded = Arc::new(AtomicBool::new(false));
        (Limited { inner, left: most, exceeded: exceeded.clone() }, exceeded)
    }
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let polled = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &polled {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            if bytes > this.left {
                this.exceeded.store(true, Ordering::Relaxed);
                return Poll::Ready(Some(Err(axum::Error::new(std::io::Error::from(std::io::ErrorKind::FileTooLarge)))));
            }
            this.left -= bytes;
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
