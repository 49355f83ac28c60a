//! What goes on in one connection: written down by its socket and by its requests, read by whoever decides how long it may stay.

use crate::server::edge::Settings;
use crate::server::edge::refused::Refusal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a connection without a request may take over its end.
const FAREWELL: Duration = Duration::from_secs(2);

pub struct Activity {
    state: Mutex<State>,
    asked: Notify,
}

struct State {
    /// Since when no request runs: since the accept, or since the last one ended.
    quiet_since: Instant,
    /// Whether any request came yet.
    served: bool,
    is_http2: bool,
    /// Requests whose answer is not handed over whole.
    running: usize,
    /// Those of them that have handed over a piece of their answer which the caller did not take yet.
    untaken: usize,
    /// When a piece was taken last.
    taken_at: Instant,
    /// When the head that is expected began.
    head_since: Option<Instant>,
    /// Since when the socket takes nothing.
    blocked_since: Option<Instant>,
    head_timed_out: bool,
    refusal: Option<Refusal>,
    ask: Option<Ask>,
}

/// What a connection is asked to do by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Take no further request.
    End,
    /// The same, and be gone at once if none runs.
    GiveWay,
    /// End now, whatever runs.
    Cut,
}

/// Why a connection may not go on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// Nothing ever came.
    Silent,
    /// A head does not end.
    Head,
    /// No request for too long.
    Idle,
    /// The caller reads nothing.
    Stuck,
    /// Asked to end, it did not.
    Lingering,
}

impl Activity {
    pub fn new() -> Arc<Activity> {
        let now = Instant::now();
        let state = State {
            quiet_since: now,
            served: false,
            is_http2: false,
            running: 0,
            untaken: 0,
            taken_at: now,
            head_since: None,
            blocked_since: None,
            head_timed_out: false,
            refusal: None,
            ask: None,
        };
        Arc::new(Activity { state: Mutex::new(state), asked: Notify::new() })
    }

    /// Every change is a handful of plain assignments: a panic leaves none of them half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn head_begins(&self) {
        let mut state = self.lock();
        if state.head_since.is_none() {
            state.head_since = Some(Instant::now());
        }
    }

    pub fn head_ends(&self) {
        self.lock().head_since = None;
    }

    /// Its streams are read or not read one by one, whatever the socket takes.
    pub fn set_http2(&self) {
        let mut state = self.lock();
        (state.is_http2, state.head_since) = (true, None);
    }

    pub fn set_blocked(&self, blocked: bool) {
        let mut state = self.lock();
        state.blocked_since = match blocked {
            true => state.blocked_since.or_else(|| Some(Instant::now())),
            false => None,
        };
    }

    pub fn time_head_out(&self) {
        self.lock().head_timed_out = true;
    }

    /// Whether the head that is expected has taken too long; said once.
    pub fn take_head_timeout(&self) -> bool {
        std::mem::take(&mut self.lock().head_timed_out)
    }

    /// The next request on this connection stands for one that is refused.
    pub fn refuse(&self, refusal: Refusal) {
        self.lock().refusal = Some(refusal);
    }

    pub fn take_refusal(&self) -> Option<Refusal> {
        self.lock().refusal.take()
    }

    /// A request begins; it runs for as long as what this returns lives.
    pub fn begin(self: &Arc<Activity>) -> Running {
        let mut state = self.lock();
        state.running += 1;
        state.served = true;
        Running { activity: self.clone(), untaken: false }
    }

    /// Asks more, never less.
    pub fn ask(&self, ask: Ask) {
        let mut state = self.lock();
        if state.ask != Some(Ask::Cut) {
            state.ask = Some(ask);
        }
        drop(state);
        self.asked.notify_one();
    }

    pub async fn asked(&self) -> Ask {
        loop {
            self.asked.notified().await;
            if let Some(ask) = self.lock().ask {
                return ask;
            }
        }
    }

    pub fn is_quiet(&self) -> bool {
        self.lock().running == 0
    }

    /// Since when the connection waits for a request; none while one runs, or once it was asked to end.
    pub fn waits_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.running == 0 && state.blocked_since.is_none() && state.ask.is_none()).then_some(state.quiet_since)
    }

    /// Why it may not go on, or when to look again. `ending` says since when it takes no further request.
    pub fn judge(&self, settings: &Settings, ending: Option<Instant>, now: Instant) -> Result<Instant, Overdue> {
        let state = self.lock();
        let mut limits = Vec::with_capacity(3);
        if let Some(since) = state.blocked_since {
            limits.push((since + settings.write, Overdue::Stuck));
        }
        if state.is_http2 && state.running > 0 && state.untaken == state.running {
            limits.push((state.taken_at + settings.write, Overdue::Stuck));
        }
        if state.running == 0 && state.blocked_since.is_none() {
            limits.push(match (ending, state.head_since, state.served) {
                (Some(ending), ..) => (ending.max(state.quiet_since) + FAREWELL, Overdue::Lingering),
                (None, Some(since), _) => (since + settings.header, Overdue::Head),
                (None, None, false) => (state.quiet_since + settings.header, Overdue::Silent),
                (None, None, true) => (state.quiet_since + settings.idle, Overdue::Idle),
            });
        }
        // What begins now can be overdue no sooner than the shortest of all; by then it has been looked at.
        let mut next = now + settings.shortest().min(FAREWELL);
        for (deadline, overdue) in limits {
            if deadline <= now {
                return Err(overdue);
            }
            next = next.min(deadline);
        }
        Ok(next)
    }
}

/// A request that runs.
pub struct Running {
    activity: Arc<Activity>,
    untaken: bool,
}

impl Running {
    /// A piece of the answer was handed over, or the next one is asked for, which says that it was taken.
    pub fn set_untaken(&mut self, untaken: bool) {
        if untaken == self.untaken {
            return;
        }
        self.untaken = untaken;
        let mut state = self.activity.lock();
        match untaken {
            true if state.untaken == 0 => {
                state.untaken = 1;
                state.taken_at = Instant::now();
            }
            true => state.untaken += 1,
            false => {
                state.untaken -= 1;
                state.taken_at = Instant::now();
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.set_untaken(false);
        let mut state = self.activity.lock();
        state.running -= 1;
        if state.running == 0 {
            state.quiet_since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::edge::Refusals;

    fn settings() -> Settings {
        let seconds = Duration::from_secs;
        Settings {
            header: seconds(10),
            body: seconds(30),
            idle: seconds(60),
            write: seconds(40),
            most_connections: 1,
            head_bytes: 32 << 10,
            trusted_proxies: vec![],
            refusals: Refusals::default(),
        }
    }

    /// What a connection is after so many seconds, if nothing changes.
    fn after(activity: &Activity, seconds: u64, ending: Option<Instant>) -> Option<Overdue> {
        activity.judge(&settings(), ending, Instant::now() + Duration::from_secs(seconds)).err()
    }

    #[test]
    fn each_state_has_its_own_patience() {
        let activity = Activity::new();
        assert_eq!((after(&activity, 9, None), after(&activity, 11, None)), (None, Some(Overdue::Silent)));
        activity.head_begins();
        assert_eq!((after(&activity, 9, None), after(&activity, 11, None)), (None, Some(Overdue::Head)));
        activity.head_ends();
        let mut running = activity.begin();
        assert_eq!(after(&activity, 10_000, None), None, "a request takes as long as it takes");
        assert_eq!(activity.waits_since(), None);
        running.set_untaken(true);
        assert_eq!(after(&activity, 41, None), None, "the socket tells that of HTTP/1");
        activity.set_http2();
        assert_eq!((after(&activity, 39, None), after(&activity, 41, None)), (None, Some(Overdue::Stuck)));
        let other = activity.begin();
        assert_eq!(after(&activity, 41, None), None, "another one of the connection goes on");
        drop(other);
        running.set_untaken(false);
        assert_eq!(after(&activity, 10_000, Some(Instant::now())), None, "asked to end, a request still runs to its end");
        drop(running);
        assert_eq!((after(&activity, 59, None), after(&activity, 61, None)), (None, Some(Overdue::Idle)));
        assert_eq!(after(&activity, 3, Some(Instant::now())), Some(Overdue::Lingering));
        activity.set_blocked(true);
        assert_eq!((after(&activity, 39, None), after(&activity, 41, None)), (None, Some(Overdue::Stuck)));
    }

    #[test]
    fn it_is_looked_at_before_anything_that_begins_now_is_overdue() {
        let (activity, now) = (Activity::new(), Instant::now());
        let _running = activity.begin();
        assert!(activity.judge(&settings(), None, now).is_ok_and(|next| next <= now + settings().shortest()));
    }
}
