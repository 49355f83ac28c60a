//! The lines of one thread to suppliers. A client has one connection to a supplier over HTTP/2 that takes new calls, and a supplier lets
//! so many at a time on it: what is one too many waits inside the client, unseen, while its supplier seems to be silent. So calls are
//! counted, and whoever would be one too many goes to another line, which is a client of its own. What a supplier lets on a connection
//! is told to the client only: calls beyond less than a hundred wait as ever, and so do those that come before its first answer.

use crate::gateway::client::{Client, Spoken, client};
use crate::suppliers::address::{self, AddressError};
use crate::suppliers::resolver::PermittedAddresses;
use axum::http::{Uri, Version};
use ipnet::IpNet;
use rustls::ClientConfig;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use url::{Position, Url};

/// Calls to one supplier that a line takes: as many as everyone who speaks HTTP/2 should let on a connection (RFC 9113, 6.5.2).
const MOST_CALLS: usize = 100;
/// The same while nobody was answered on it yet: should it not be connected to in time, all of these have waited for nothing.
const MOST_FIRST_CALLS: usize = 20;
/// Lines of a thread. Where each has as many calls as it takes, the one with the fewest gets more.
const MOST_LINES: usize = 32;
/// No further line is opened for so long after one could not be, or was no good.
const REST: Duration = Duration::from_secs(30);
/// Addresses that are remembered, one for each endpoint of a channel. Beyond them all are forgotten, and of suppliers whom nobody calls
/// just now everything.
const MOST_ADDRESSES: usize = 5_000;

pub struct Lines {
    clients: Vec<Client>,
    allowed: Arc<[IpNet]>,
    known: Mutex<Known>,
}

/// What is known of addresses.
#[derive(Default)]
struct Known {
    /// By their text, which says all that there is to them.
    addresses: HashMap<Box<str>, Arc<Address>>,
    /// By scheme, host and port.
    origins: HashMap<Box<str>, Arc<Mutex<Origin>>>,
}

/// Where calls go that may go there.
pub struct Address {
    pub uri: Uri,
    origin: Arc<Mutex<Origin>>,
}

/// Why no call may go there.
#[derive(Debug, thiserror::Error)]
pub enum NoAddress {
    #[error(transparent)]
    Unreadable(#[from] url::ParseError),
    #[error(transparent)]
    Refused(#[from] AddressError),
    #[error(transparent)]
    NoUri(#[from] axum::http::uri::InvalidUri),
}

/// What is known of one supplier's address.
#[derive(Default)]
struct Origin {
    /// It answered over HTTP/2. Over HTTP/1 each call has a connection of its own, and one line is enough.
    http2: bool,
    lines: [Line; MOST_LINES],
    rests_until: Option<Instant>,
}

#[derive(Clone, Copy, Default)]
struct Line {
    calls: usize,
    /// A call was answered on it, and none failed to get there since.
    is_open: bool,
}

impl Lines {
    /// `connect`: how long a supplier may take to be connected to.
    pub fn new(tls: &ClientConfig, allowed: &Arc<[IpNet]>, connect: Duration) -> Lines {
        let names = PermittedAddresses::new(allowed.clone());
        let clients = (0..MOST_LINES).map(|number| {
            let spoken = if number == 0 { Spoken::Offered } else { Spoken::Http2 };
            client(tls, names.clone(), connect, spoken)
        });
        Lines { clients: clients.collect(), allowed: allowed.clone(), known: Mutex::default() }
    }

    /// An endpoint's path below a channel's base URL, checked with its port, which whoever resolves its name does not see. What a text
    /// means never changes, so each is read once.
    pub fn address(&self, base_url: &str, path: &str) -> Result<Arc<Address>, NoAddress> {
        let text = format!("{base_url}/{path}");
        if let Some(address) = lock(&self.known).addresses.get(text.as_str()) {
            return Ok(address.clone());
        }
        let url = Url::parse(&text)?;
        address::check(&url, &self.allowed)?;
        let uri = Uri::try_from(url.as_str())?;
        let mut known = lock(&self.known);
        let address = Arc::new(Address { uri, origin: known.origin(&url[..Position::BeforePath]) });
        known.addresses.insert(text.into(), address.clone());
        Ok(address)
    }

    /// A client to call this address with, and the call's seat there; on the first line, if it may not go to another.
    pub fn seat(&self, address: &Address, on_first: bool) -> (&Client, Seat) {
        let seat = Seat::take(address.origin.clone(), on_first);
        (&self.clients[seat.line], seat)
    }
}

impl Known {
    fn origin(&mut self, name: &str) -> Arc<Mutex<Origin>> {
        if self.addresses.len() >= MOST_ADDRESSES {
            self.addresses.clear();
            self.origins.retain(|_, origin| Arc::strong_count(origin) > 1);
        }
        self.origins.entry(name.into()).or_default().clone()
    }
}

impl Origin {
    /// The first open line with room, so that few connections are kept; else one that is not open, of which the first call there opens it.
    fn choose(&self, now: Instant) -> usize {
        if !self.http2 {
            return 0;
        }
        let lines = || self.lines.iter().enumerate().map(|(number, line)| (number, line.calls, line.is_open || number == 0));
        let most = |is_open: bool| if is_open { MOST_CALLS } else { MOST_FIRST_CALLS };
        let with_room = |open: bool| lines().find(|(_, calls, is_open)| *is_open == open && *calls < most(open));
        let rests = self.rests_until.is_some_and(|until| now < until);
        let fewest = || lines().filter(|(.., is_open)| *is_open).min_by_key(|(_, calls, _)| *calls);
        with_room(true).or_else(|| with_room(false).filter(|_| !rests)).or_else(fewest).map_or(0, |(number, ..)| number)
    }
}

/// A call's place on a line, until this is dropped: when its answer has been read, or is not waited for any more.
pub struct Seat {
    origin: Arc<Mutex<Origin>>,
    line: usize,
}

impl Seat {
    fn take(origin: Arc<Mutex<Origin>>, on_first: bool) -> Seat {
        let mut known = lock(&origin);
        let line = if on_first { 0 } else { known.choose(Instant::now()) };
        known.lines[line].calls += 1;
        drop(known);
        Seat { origin, line }
    }

    /// The supplier answered, over this version.
    pub fn note_answered(&self, version: Version) {
        let mut known = lock(&self.origin);
        known.http2 = version == Version::HTTP_2;
        known.lines[self.line].is_open = true;
    }

    /// Whether nobody was answered on this further line yet. How a call ends there says nothing about the supplier, which may let us have
    /// no more connections, or speak something else on them.
    pub fn is_untried(&self) -> bool {
        self.line > 0 && !lock(&self.origin).lines[self.line].is_open
    }

    /// The call failed here. Whether this is a further line, of which none is opened for a while then.
    pub fn give_up_line(&self) -> bool {
        if self.line == 0 {
            return false;
        }
        let mut known = lock(&self.origin);
        known.lines[self.line].is_open = false;
        known.rests_until = Some(Instant::now() + REST);
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.origin).lines[self.line].calls -= 1;
    }
}

/// A panic while it was locked leaves each of these whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
