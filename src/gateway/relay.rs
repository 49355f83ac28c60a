//! The way of a stream to its caller, event by event. The last leaves only after the settlement is durable.

use crate::gateway::breaker::Permit;
use crate::gateway::call::Call;
use crate::gateway::error::GatewayError;
use crate::gateway::handler::Reply;
use crate::gateway::live::LiveCall;
use crate::gateway::tee::Tee;
use crate::gateway::upstream::{Answer, Answering, Timeouts};
use crate::gateway::wire::Request;
use crate::wallet::ledger::{Outcome, SwitchedOff};
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures::FutureExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};

/// As much as is passed on at once.
const ENOUGH_BYTES: usize = 16 << 10;
/// How long an answer is read on whose caller left, where the supplier bills it anyway.
const MOST_DRAIN: Duration = Duration::from_secs(120);
/// Reads that may wait for a slow caller before the supplier is made to wait too.
const QUEUED_READS: usize = 4;
/// How long the head of a stream waits for its first words.
const MOMENT: Duration = Duration::from_millis(1);

/// How a stream came to its end.
pub enum End {
    /// With the event that ends a whole answer, as it came; kept back until the call is settled.
    Done(Bytes),
    /// With the event by which the protocol says that the answer failed.
    Failed(Bytes),
    ClientLeft,
    SwitchedOff(SwitchedOff),
    /// The replica goes down.
    Leaving,
    /// Closed without such an event, cut, unreadable, or an error of the supplier's own.
    Broken,
    /// The supplier paused for too long.
    TimedOut,
    /// It took too long in all, which the caller's slowness may have done.
    TooLong,
}

/// Passes on an answer that comes as server-sent events.
pub async fn stream(mut call: Call, request: &Request<'_>, answering: Answering, timeouts: Timeouts, live: &LiveCall, reply: Reply) {
    let (events, queued) = mpsc::channel::<Bytes>(QUEUED_READS);
    let ended = Arc::new(AtomicBool::new(false));
    let mut answer = Response::new(Body::from_stream(until_ended(queued, ended.clone())));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));

    let mut head = Head { waiting: Some((reply, answer)), until: Instant::now() + MOMENT };
    head.send_to_nobody();
    let mut tee = Tee::new(request);
    let mut coming = Coming::new(answering, timeouts);
    let deadline = coming.asked + timeouts.total;
    let caller = Some((&events, &mut head));
    let end = tokio::select! {
        biased;
        off = live.ended() => End::SwitchedOff(off),
        () = live.leaving.cancelled() => End::Leaving,
        () = events.closed() => End::ClientLeft,
        end = tokio::time::timeout_at(deadline, pump(&mut call, &mut tee, &mut coming, caller)) => end.unwrap_or(End::TooLong),
    };
    head.send();
    if matches!(end, End::ClientLeft) && call.admission.drains {
        // For the supplier's own report of what it bills; how the reading ends makes no difference.
        tokio::select! {
            _ = tokio::time::timeout(MOST_DRAIN, pump(&mut call, &mut tee, &mut coming, None)) => {}
            _ = live.ended() => {}
            () = live.leaving.cancelled() => {}
        }
    }
    // Whatever comes now comes from a supplier who is to stop.
    coming.stop(&end);
    let failed = |error: GatewayError| Some((request.endpoint.error_event)(&error, call.admission.request_id, &tee.delivered).into());
    let (outcome, last) = match end {
        End::Done(event) => (Outcome::Ok, Some(event)),
        End::Failed(event) => (Outcome::UpstreamCut, Some(event)),
        End::ClientLeft => (Outcome::ClientLeft, None),
        End::SwitchedOff(off) => (Outcome::KeyEnded, failed(GatewayError::of_switched_off(off, &request.model))),
        End::Leaving => (Outcome::Interrupted, failed(GatewayError::Leaving { sent: true })),
        End::Broken => (Outcome::UpstreamCut, failed(GatewayError::UpstreamBroken)),
        End::TimedOut | End::TooLong => (Outcome::UpstreamTimeout, failed(GatewayError::UpstreamBroken)),
    };
    match outcome {
        Outcome::Interrupted => call.waive(outcome, 200).await,
        outcome => call.charge(request, tee.delivered, outcome, 200).await,
    };
    drop(tee.room);
    let told = match last {
        // The caller may have left by now, or read nothing; the call is settled either way.
        Some(last) => matches!(tokio::time::timeout(timeouts.idle, events.send(last)).await, Ok(Ok(()))),
        None => true,
    };
    ended.store(told, Ordering::Relaxed);
}

/// What is read of a stream without an end was cut short.
#[derive(Debug, thiserror::Error)]
#[error("the stream was cut short")]
struct CutShort;

/// The events of a stream, as its body. It fails where the last did not find its way there: clients take a clean end for success.
fn until_ended(queued: mpsc::Receiver<Bytes>, ended: Arc<AtomicBool>) -> impl Stream<Item = Result<Bytes, CutShort>> {
    let cut = tokio_stream::once(()).filter_map(move |()| (!ended.load(Ordering::Relaxed)).then_some(Err(CutShort)));
    ReceiverStream::new(queued).map(Ok).chain(cut)
}

/// What a stream begins with. It waits a moment for the first words: one write takes both then, and the caller is woken once.
struct Head {
    waiting: Option<(Reply, Response)>,
    until: Instant,
}

impl Head {
    fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    fn send(&mut self) {
        if let Some((reply, answer)) = self.waiting.take() {
            reply.send(Ok(answer));
        }
    }

    /// Where the caller has left already, for that to be seen before the answer is.
    fn send_to_nobody(&mut self) {
        if self.waiting.as_ref().is_some_and(|(reply, _)| reply.is_closed()) {
            self.send();
        }
    }

    /// What comes next; where that takes longer than the head waits, it is sent by itself.
    async fn and<T>(&mut self, next: impl Future<Output = T>) -> T {
        tokio::pin!(next);
        if self.waits() {
            if let Ok(come) = tokio::time::timeout_at(self.until, &mut next).await {
                return come;
            }
            self.send();
        }
        next.await
    }
}

/// An answer on its way, and how long it is waited for.
struct Coming {
    answer: Answer,
    permit: Permit,
    timeouts: Timeouts,
    asked: Instant,
    begun: bool,
}

impl Coming {
    fn new(answering: Answering, timeouts: Timeouts) -> Coming {
        let Answering { answer, permit, asked } = answering;
        Coming { answer, permit, timeouts, asked, begun: false }
    }

    /// The next read, none at the answer's end. Headers alone are no beginning: the first read may take what is left of the time for it,
    /// and as long as any other.
    async fn next(&mut self) -> Result<Option<Bytes>, End> {
        let to_begin = self.timeouts.first_byte.saturating_sub(self.asked.elapsed());
        let patience = if self.begun { self.timeouts.idle } else { to_begin.max(self.timeouts.idle) };
        match tokio::time::timeout(patience, self.answer.chunk()).await {
            Ok(Ok(chunk)) => {
                if !self.begun && chunk.is_some() {
                    self.begun = true;
                    self.permit.began();
                }
                Ok(chunk)
            }
            Ok(Err(_)) => Err(End::Broken),
            Err(_) => Err(End::TimedOut),
        }
    }

    /// Reads no more, and says how the channel did; nothing where it was not the channel's doing, or nobody knows.
    fn stop(self, end: &End) {
        match end {
            End::Done(_) => self.permit.succeeded(),
            End::Broken | End::TimedOut => self.permit.failed(),
            End::Failed(_) | End::ClientLeft | End::SwitchedOff(_) | End::Leaving | End::TooLong => {}
        }
    }
}

/// Reads events and passes them on, the head with the first or before, to nobody when `caller` is none, until something ends it. Waits
/// for the caller, and so makes the supplier wait. May be dropped at any moment and be called again: what was read is in `tee`.
async fn pump(call: &mut Call, tee: &mut Tee, coming: &mut Coming, mut caller: Option<(&mpsc::Sender<Bytes>, &mut Head)>) -> End {
    loop {
        let next = match &mut caller {
            Some((_, head)) => head.and(coming.next()).await,
            None => coming.next().await,
        };
        match next {
            Ok(Some(chunk)) => tee.splitter.push(&chunk),
            Ok(None) => return tee.end_of_body(),
            Err(end) => return end,
        }
        call.mark_first_byte();
        // What leaves with the head leaves before what else has come is looked at.
        let begins = caller.as_ref().is_some_and(|(_, head)| head.waits());
        let arrived = if begins { Arrived::SoFar } else { gather(tee, &mut coming.answer).await };
        let (passed, end) = tee.read();
        tee.keep_within(call.text_memory());
        if let Some((events, head)) = &mut caller
            && !passed.is_empty()
        {
            if events.send(passed).await.is_err() {
                return End::ClientLeft;
            }
            head.send();
        }
        match (end, arrived) {
            (Some(end), _) => return end,
            (None, Arrived::Ended) => return tee.end_of_body(),
            (None, Arrived::Broken) => return End::Broken,
            (None, Arrived::SoFar) => {}
        }
    }
}

/// What came of reading on.
enum Arrived {
    SoFar,
    Ended,
    Broken,
}

/// Takes what has arrived as well, without waiting: suppliers' words come in many small chunks, and to pass on each by itself costs more
/// than all else that is done for it.
async fn gather(tee: &mut Tee, answer: &mut Answer) -> Arrived {
    let mut gave_way = false;
    while tee.splitter.pending() < ENOUGH_BYTES {
        match answer.chunk().now_or_never() {
            Some(Ok(Some(chunk))) => {
                tee.splitter.push(&chunk);
                gave_way = false;
            }
            Some(Ok(None)) => return Arrived::Ended,
            Some(Err(_)) => return Arrived::Broken,
            // Whoever reads the connection hands over one chunk at a time, and needs a turn for the next.
            None if !gave_way => {
                give_way().await;
                gave_way = true;
            }
            None => break,
        }
    }
    Arrived::SoFar
}

/// Lets the tasks that are ready have their turn. Not tokio's `yield_now`, which also asks the system for news: that is dear, once for
/// each chunk.
async fn give_way() {
    let mut gave_way = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut gave_way, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_ends_well_only_when_its_last_event_was_queued() {
        for told in [true, false] {
            let (events, queued) = mpsc::channel(QUEUED_READS);
            let ended = Arc::new(AtomicBool::new(false));
            events.send(Bytes::from_static(b"data: a\n\n")).await.expect("read");
            ended.store(told, Ordering::Relaxed);
            drop(events);
            let read: Vec<Result<Bytes, CutShort>> = until_ended(queued, ended).collect().await;
            assert_eq!((read.len(), read.last().is_some_and(Result::is_ok)), (2 - usize::from(told), told));
        }
    }
}
