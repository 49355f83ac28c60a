//! The lines of one thread to suppliers. A client has one connection to a supplier over HTTP/2 that takes new calls, and a supplier lets
//! so many at a time on it: what is one too many waits inside the client, unseen, while its supplier seems to be silent. So calls are
//! counted, and whoever would be one too many goes to another line, which is a client of its own. What a supplier lets on a connection
//! is told to the client only: calls beyond less than a hundred wait as ever, and so do those that come before its first answer.

use crate::suppliers::resolver::PermittedAddresses;
use ipnet::IpNet;
use reqwest::Version;
use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use url::{Position, Url};

/// What a supplier may send on one HTTP/2 stream before we have read it: whatever a caller leaves unread lies here, once for each of them.
/// At 50 ms to the supplier and back it still lets 5 MB a second through, which no model writes.
const STREAM_WINDOW: u32 = 256 << 10;
/// The same on a connection. Room for 256 streams of which nobody reads anything, more than twice what a line takes: were it used up,
/// nothing would come on any other, either. hyper's own, 2 MB a stream and 5 MB a connection, are used up by three of them.
const CONNECTION_WINDOW: u32 = 64 << 20;

/// Calls to one supplier that a line takes: as many as everyone who speaks HTTP/2 should let on a connection (RFC 9113, 6.5.2).
const MOST_CALLS: usize = 100;
/// The same while nobody was answered on it yet: should it not be connected to in time, these wait one after another to hear of it.
const MOST_FIRST_CALLS: usize = 20;
/// Lines of a thread. Where each has as many calls as it takes, the one with the fewest gets more.
const MOST_LINES: usize = 32;
/// No further line is opened for so long after one could not be, or was no good.
const REST: Duration = Duration::from_secs(30);
/// Suppliers' addresses that are remembered. Beyond them, those that nobody calls just now are forgotten.
const MOST_ORIGINS: usize = 1_000;

const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

pub struct Lines {
    clients: Vec<reqwest::Client>,
    origins: Mutex<HashMap<Box<str>, Arc<Mutex<Origin>>>>,
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
    pub fn new(tls: &ClientConfig, allowed: &Arc<[IpNet]>, connect: Duration) -> reqwest::Result<Lines> {
        Lines::of(|number| {
            let builder = client_builder(allowed, connect);
            match number {
                0 => builder.tls_backend_preconfigured(offering(tls, &[HTTP_2, HTTP_1])),
                // Told what it will speak, a client opens one connection for all who wait for it, and not one for each of them.
                _ => builder.tls_backend_preconfigured(offering(tls, &[HTTP_2])).http2_prior_knowledge(),
            }
        })
    }

    fn of(builder: impl Fn(usize) -> reqwest::ClientBuilder) -> reqwest::Result<Lines> {
        let clients = (0..MOST_LINES).map(|number| builder(number).build()).collect::<reqwest::Result<_>>()?;
        Ok(Lines { clients, origins: Mutex::default() })
    }

    /// A client to call this address with, and the call's seat there; on the first line, if it may not go to another.
    pub fn seat(&self, url: &Url, on_first: bool) -> (&reqwest::Client, Seat) {
        let seat = Seat::take(self.origin(&url[..Position::BeforePath]), on_first);
        (&self.clients[seat.line], seat)
    }

    fn origin(&self, name: &str) -> Arc<Mutex<Origin>> {
        let mut origins = lock(&self.origins);
        if let Some(origin) = origins.get(name) {
            return origin.clone();
        }
        if origins.len() >= MOST_ORIGINS {
            origins.retain(|_, origin| Arc::strong_count(origin) > 1);
        }
        let origin = Arc::<Mutex<Origin>>::default();
        origins.insert(name.into(), origin.clone());
        origin
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

/// How suppliers are spoken to over TLS: by the certificates that this machine trusts, which all lines share.
pub fn tls() -> Result<ClientConfig, rustls::Error> {
    ClientConfig::with_platform_verifier()
}

fn offering(tls: &ClientConfig, protocols: &[&[u8]]) -> ClientConfig {
    let mut tls = tls.clone();
    tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    tls
}

/// Nothing in a request or in the environment leads elsewhere: no redirects, no proxies, names resolved under the rules.
fn client_builder(allowed: &Arc<[IpNet]>, connect: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .dns_resolver(PermittedAddresses::new(allowed.clone()))
        .connect_timeout(connect)
        .pool_idle_timeout(Duration::from_secs(30))
        .tcp_nodelay(true)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .user_agent(concat!("toki/", env!("CARGO_PKG_VERSION")))
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
