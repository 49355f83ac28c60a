//! The circuit breaker: a channel that keeps failing for a model is left alone for a while, then tried with one call. A call is judged
//! when its answer has ended: that an answer began proves little. Each replica knows what it has seen itself; it decides about the order
//! of channels and about nothing else.

use crate::ids::ChannelId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures one after another that open the circuit.
const THRESHOLD: u32 = 5;
/// How long it stays open the first time; twice as long after each probe that fails.
const OPEN_FOR: Duration = Duration::from_secs(5);
const OPEN_AT_MOST: Duration = Duration::from_secs(60);
/// How long one probe keeps other calls off while its answer has not begun: a whole answer may take many minutes.
const PROBED_AT_MOST: Duration = Duration::from_secs(60);

type Way = (ChannelId, String);

/// What has failed lately. A way that works is not in it.
#[derive(Clone, Default)]
pub struct Breaker(Arc<Mutex<HashMap<Way, Failing>>>);

#[derive(Clone, Copy)]
struct Failing {
    failures: u32,
    open_until: Instant,
    open_for: Duration,
    /// Until when a probe that is under way keeps others off.
    probed_until: Option<Instant>,
}

/// Leave to send one call on a way. Dropped without a verdict, as when the caller leaves, it changes nothing.
pub struct Permit {
    breaker: Breaker,
    way: Way,
    /// Of a probe: until when it keeps others off.
    probe: Option<Instant>,
}

impl Breaker {
    /// None while the circuit is open, or half open with a probe under way.
    pub fn permit(&self, channel_id: ChannelId, model: &str) -> Option<Permit> {
        self.permit_at(Instant::now(), channel_id, model)
    }

    fn permit_at(&self, now: Instant, channel_id: ChannelId, model: &str) -> Option<Permit> {
        let way = (channel_id, model.to_string());
        let mut probe = None;
        if let Some(failing) = self.lock().get_mut(&way).filter(|failing| failing.failures >= THRESHOLD) {
            if now < failing.open_until || failing.probed_until.is_some_and(|until| now < until) {
                return None;
            }
            probe = Some(now + PROBED_AT_MOST);
            failing.probed_until = probe;
        }
        Some(Permit { breaker: self.clone(), way, probe })
    }

    /// A panic while the map was locked leaves it whole.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Way, Failing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The answer has begun to come, and may take its time: a probe keeps others off no longer. One more failure opens the circuit again.
    pub fn began(&self) {
        if self.probe.is_some()
            && let Some(failing) = self.breaker.lock().get_mut(&self.way).filter(|failing| failing.failures >= THRESHOLD)
        {
            failing.failures = THRESHOLD - 1;
            failing.probed_until = None;
        }
    }

    /// The answer came to its end. One that was let through before the circuit opened says nothing about it now.
    pub fn succeeded(self) {
        let mut all = self.breaker.lock();
        if all.get(&self.way).is_some_and(|failing| self.probe.is_some() || failing.failures < THRESHOLD) {
            all.remove(&self.way);
        }
    }

    pub fn failed(self) {
        self.failed_at(Instant::now());
    }

    fn failed_at(self, now: Instant) {
        let mut all = self.breaker.lock();
        let fresh = Failing { failures: 0, open_until: now, open_for: OPEN_FOR, probed_until: None };
        let failing = all.entry(self.way.clone()).or_insert(fresh);
        failing.failures = failing.failures.saturating_add(1);
        if self.probe.is_some() {
            failing.open_for = (failing.open_for * 2).min(OPEN_AT_MOST);
        }
        if failing.failures >= THRESHOLD {
            failing.open_until = now + failing.open_for;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // Another probe may have begun since.
        if self.probe.is_some()
            && let Some(failing) = self.breaker.lock().get_mut(&self.way).filter(|failing| failing.probed_until == self.probe)
        {
            failing.probed_until = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = "acme/large";

    #[test]
    fn opens_after_failures_in_a_row_and_lets_one_probe_through() {
        let (breaker, channel, now) = (Breaker::default(), ChannelId::generate(), Instant::now());
        let permit = |at| breaker.permit_at(at, channel, MODEL);
        for _ in 0..THRESHOLD {
            permit(now).expect("closed").failed_at(now);
        }
        assert!(permit(now).is_none(), "open");
        assert!(breaker.permit_at(now, channel, "acme/small").is_some(), "another model is another way");
        assert!(breaker.permit_at(now, ChannelId::generate(), MODEL).is_some(), "another channel too");

        let later = now + OPEN_FOR;
        let probe = permit(later).expect("half open");
        assert!(permit(later).is_none(), "one probe at a time");
        drop(probe);
        permit(later).expect("the probe's caller left, so it said nothing").failed_at(later);
        assert!(permit(later + OPEN_FOR).is_none(), "twice as long the second time");
        permit(later + OPEN_FOR * 2).expect("half open again").succeeded();
        permit(later).expect("closed").failed_at(later);
        assert!(permit(later).is_some(), "failures are counted anew");
    }

    /// As many failures in a row as it takes.
    fn open(breaker: &Breaker, channel: ChannelId, now: Instant) {
        for _ in 0..THRESHOLD {
            breaker.permit_at(now, channel, MODEL).expect("closed").failed_at(now);
        }
        assert!(breaker.permit_at(now, channel, MODEL).is_none());
    }

    #[test]
    fn a_probe_whose_answer_has_begun_keeps_nobody_off_until_one_more_fails() {
        let (breaker, channel, now) = (Breaker::default(), ChannelId::generate(), Instant::now());
        open(&breaker, channel, now);
        let later = now + OPEN_FOR;
        let permit = |at| breaker.permit_at(at, channel, MODEL);
        let probe = permit(later).expect("half open");
        assert!(permit(later).is_none());
        probe.began();
        drop((permit(later).expect("others may go too"), permit(later).expect("any number of them")));
        probe.failed_at(later);
        assert!(permit(later + OPEN_FOR).is_none(), "open again, for twice as long");

        let later = later + OPEN_FOR * 2;
        let probe = permit(later).expect("half open");
        probe.began();
        probe.succeeded();
        assert!(breaker.lock().is_empty());
    }

    #[test]
    fn a_probe_that_says_nothing_keeps_others_off_for_a_while_only() {
        let (breaker, channel, now) = (Breaker::default(), ChannelId::generate(), Instant::now());
        open(&breaker, channel, now);
        let later = now + OPEN_FOR;
        let _silent = breaker.permit_at(later, channel, MODEL).expect("half open");
        assert!(breaker.permit_at(later, channel, MODEL).is_none());
        assert!(breaker.permit_at(later + PROBED_AT_MOST, channel, MODEL).is_some());
    }

    #[test]
    fn what_was_sent_before_it_opened_does_not_close_it() {
        let (breaker, channel, now) = (Breaker::default(), ChannelId::generate(), Instant::now());
        let early = breaker.permit_at(now, channel, MODEL).expect("closed");
        open(&breaker, channel, now);
        early.succeeded();
        assert!(breaker.permit_at(now, channel, MODEL).is_none());
    }

    #[test]
    fn a_success_between_failures_keeps_it_closed() {
        let (breaker, channel, now) = (Breaker::default(), ChannelId::generate(), Instant::now());
        for _ in 0..3 {
            for _ in 1..THRESHOLD {
                breaker.permit_at(now, channel, MODEL).expect("closed").failed_at(now);
            }
            breaker.permit_at(now, channel, MODEL).expect("closed").succeeded();
        }
        assert!(breaker.lock().is_empty(), "nothing is kept of a way that works");
    }

    #[test]
    fn stays_open_for_a_minute_at_most() {
        let (breaker, channel, mut now) = (Breaker::default(), ChannelId::generate(), Instant::now());
        for _ in 0..40 {
            if let Some(permit) = breaker.permit_at(now, channel, MODEL) {
                permit.failed_at(now);
            }
            now += OPEN_AT_MOST;
        }
        now += OPEN_AT_MOST;
        assert!(breaker.permit_at(now, channel, MODEL).is_some());
    }
}
