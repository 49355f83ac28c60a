//! The lines of one thread to suppliers. A client keeps one connection to a supplier over HTTP/2, and a supplier lets so many calls at a
//! time on a connection: what is one too many waits inside the client, unseen, while its supplier seems to be silent. So calls are
//! counted, and whoever would be one too many goes to another line, which is a client of its own.

use crate::suppliers::resolver::PermittedAddresses;
use ipnet::IpNet;
use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use url::{Position, Url};

/// What a supplier may send on one HTTP/2 stream before we have read it: whatever a caller leaves unread lies here, once for each of them.
/// At 50 ms to the supplier and back it still lets 5 MB a second through, which no model writes.
const STREAM_WINDOW: u32 = 256 << 10;
/// The same on a connection, which all calls of a line to one supplier share. Room for 256 streams of which nobody reads anything: were
/// it used up, nothing would come on any other, either. hyper's own, 2 MB a stream and 5 MB a connection, are used up by three of them.
const CONNECTION_WINDOW: u32 = 64 << 20;

/// Calls to one supplier that a line takes: as many as everyone who speaks HTTP/2 should let on a connection (RFC 9113, 6.5.2).
const MOST_CALLS: usize = 100;
/// Lines of a thread. Where each has as many calls as it takes, the least taken gets more.
const MOST_LINES: usize = 64;
/// Suppliers' addresses that are counted for, beside those that are called just now.
const MOST_ORIGINS: usize = 1_000;

type Build = Box<dyn Fn() -> reqwest::Result<reqwest::Client> + Send + Sync>;

pub struct Lines {
    build: Build,
    clients: [OnceLock<reqwest::Client>; MOST_LINES],
    origins: Mutex<HashMap<Box<str>, Arc<Taken>>>,
}

/// How many calls each line has to one supplier.
struct Taken([AtomicUsize; MOST_LINES]);

impl Lines {
    /// `connect`: how long a supplier may take to be connected to.
    pub fn new(tls: ClientConfig, allowed: Arc<[IpNet]>, connect: Duration) -> reqwest::Result<Lines> {
        Lines::of(move || client_builder(&allowed, connect).tls_backend_preconfigured(tls.clone()).build())
    }

    fn of(build: impl Fn() -> reqwest::Result<reqwest::Client> + Send + Sync + 'static) -> reqwest::Result<Lines> {
        let first = build()?;
        let clients: [OnceLock<_>; MOST_LINES] = std::array::from_fn(|_| OnceLock::new());
        clients[0].get_or_init(|| first);
        Ok(Lines { build: Box::new(build), clients, origins: Mutex::default() })
    }

    /// A client to call this address with, and the call's seat there.
    pub fn seat(&self, url: &Url) -> reqwest::Result<(reqwest::Client, Seat)> {
        let seat = Seat::take(self.taken(&url[..Position::BeforePath]));
        let client = &self.clients[seat.line];
        let client = match client.get() {
            Some(client) => client,
            None => {
                // Another may make one meanwhile: then that is used.
                let new = (self.build)()?;
                client.get_or_init(|| new)
            }
        };
        Ok((client.clone(), seat))
    }

    fn taken(&self, origin: &str) -> Arc<Taken> {
        let mut origins = self.origins();
        if let Some(taken) = origins.get(origin) {
            return taken.clone();
        }
        if origins.len() >= MOST_ORIGINS {
            origins.retain(|_, taken| Arc::strong_count(taken) > 1);
        }
        let taken = Arc::new(Taken(std::array::from_fn(|_| AtomicUsize::new(0))));
        origins.insert(origin.into(), taken.clone());
        taken
    }

    /// A panic while the map was locked leaves it whole.
    fn origins(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Taken>>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call's place on a line, until this is dropped: when its answer has been read, or is not waited for any more.
pub struct Seat {
    taken: Arc<Taken>,
    line: usize,
}

impl Seat {
    /// On the first line that takes another call, so that few connections are kept.
    fn take(taken: Arc<Taken>) -> Seat {
        let one_more = |calls: usize| (calls < MOST_CALLS).then_some(calls + 1);
        let with_room = taken.0.iter().position(|calls| calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok());
        let line = with_room.unwrap_or_else(|| {
            let least = (0..MOST_LINES).min_by_key(|line| taken.0[*line].load(Ordering::Relaxed)).unwrap_or(0);
            taken.0[least].fetch_add(1, Ordering::Relaxed);
            least
        });
        Seat { taken, line }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.0[self.line].fetch_sub(1, Ordering::Relaxed);
    }
}

/// How suppliers are spoken to over TLS, by the certificates that this machine trusts. Made once: to read those takes longer than a call
/// should wait for a further line.
pub fn tls() -> Result<ClientConfig, rustls::Error> {
    Ok(offering_http2(ClientConfig::with_platform_verifier()?))
}

fn offering_http2(mut tls: ClientConfig) -> ClientConfig {
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
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
mod tests {
    use super::*;
    use axum::body::Body;
    use bytes::Bytes;
    use hyper::body::Incoming;
    use hyper::server::conn::http2;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::server::conn::auto;
    use reqwest::Version;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::{RootCertStore, ServerConfig};
    use std::convert::Infallible;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_util::task::TaskTracker;

    const PIECE: &[u8] = &[0; 16 << 10];
    const PATIENCE: Duration = Duration::from_secs(10);

    /// What a supplier in HTTP/2 has seen.
    #[derive(Default)]
    struct Seen {
        connections: AtomicUsize,
        /// Bytes that were sent without an end.
        sent: AtomicUsize,
    }

    /// `/short` is answered in a word, `/begun` with a word after which nothing comes, all else with bytes without an end. So many calls
    /// may run on a connection.
    async fn supplier(most_calls: u32, seen: Arc<Seen>) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let tasks = TaskTracker::new();
        tasks.clone().spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.expect("a connection");
                seen.connections.fetch_add(1, Ordering::Relaxed);
                let seen = seen.clone();
                let answer = service_fn(move |request| std::future::ready(Ok::<_, Infallible>(answer(&request, seen.clone()))));
                let mut server = http2::Builder::new(TokioExecutor::new());
                server.max_concurrent_streams(most_calls);
                let serving = server.serve_connection(TokioIo::new(socket), answer);
                tasks.spawn(async move {
                    let _ = serving.await;
                });
            }
        });
        format!("http://{addr}").parse().expect("an address")
    }

    fn answer(request: &hyper::Request<Incoming>, seen: Arc<Seen>) -> hyper::Response<Body> {
        use futures::stream::{StreamExt, once, pending, ready, repeat_with};
        let begun = once(ready::<Result<_, Infallible>>(Ok("begun"))).chain(pending());
        let endless = repeat_with(move || {
            seen.sent.fetch_add(PIECE.len(), Ordering::Relaxed);
            Ok::<_, Infallible>(Bytes::from_static(PIECE))
        });
        hyper::Response::new(match request.uri().path() {
            "/short" => Body::from("short"),
            "/begun" => Body::from_stream(begun),
            _ => Body::from_stream(endless),
        })
    }

    /// Without TLS, which is where suppliers agree to HTTP/2.
    fn lines() -> Lines {
        // A second call finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let allowed: Arc<[IpNet]> = Vec::new().into();
        Lines::of(move || client_builder(&allowed, PATIENCE).http2_prior_knowledge().build()).expect("a client")
    }

    async fn get(lines: &Lines, url: &Url, path: &str) -> (reqwest::Response, Seat) {
        let (client, seat) = lines.seat(url).expect("a client");
        let sending = client.get(url.join(path).expect("a path")).send();
        (tokio::time::timeout(PATIENCE, sending).await.expect("it is not held up").expect("an answer"), seat)
    }

    #[tokio::test]
    async fn calls_beyond_what_a_connection_takes_go_to_another() {
        let (lines, seen) = (lines(), Arc::<Seen>::default());
        let url = supplier(MOST_CALLS as u32, seen.clone()).await;
        let connections = || seen.connections.load(Ordering::Relaxed);
        let mut running = Vec::new();
        for call in 0..2 * MOST_CALLS + 1 {
            running.push(get(&lines, &url, "/begun").await);
            assert_eq!(connections(), call / MOST_CALLS + 1, "after call {call}");
        }
        // Where one ended, the next finds its place.
        running.remove(0);
        let (next, seat) = get(&lines, &url, "/short").await;
        assert_eq!((next.text().await.expect("a body").as_str(), seat.line, connections()), ("short", 0, 3));
    }

    #[tokio::test]
    async fn seats_are_counted_for_each_supplier_and_given_back() {
        let lines = lines();
        let [here, there]: [Url; 2] = ["http://127.0.0.1:1/v1/chat", "http://127.0.0.1:2/v1/chat"].map(|url| url.parse().expect("an address"));
        let sit = |url| lines.seat(url).expect("a client").1;
        let mut seats: Vec<Seat> = (0..MOST_CALLS).map(|_| sit(&here)).collect();
        assert!(seats.iter().all(|seat| seat.line == 0));
        assert_eq!((sit(&here).line, sit(&there).line), (1, 0));
        drop(seats.pop());
        assert_eq!(sit(&here).line, 0);
        // All lines full, and one of them a little less.
        seats.extend((seats.len()..MOST_CALLS * MOST_LINES).map(|_| sit(&here)));
        assert_eq!(seats.last().map(|seat| seat.line), Some(MOST_LINES - 1));
        let more: Vec<_> = (0..MOST_LINES).map(|_| sit(&here).line).collect();
        assert!(more.iter().all(|line| *line == 0), "each has left before the next");
        let more: Vec<_> = (0..=MOST_LINES).map(|_| sit(&here)).collect();
        assert_eq!(more.last().map(|seat| seat.line), Some(0));
        assert_eq!(more.iter().filter(|seat| seat.line == 5).count(), 1);
        drop((seats, more));
        assert_eq!(sit(&here).line, 0);
        assert_eq!(lines.taken("http://127.0.0.1:1").0[0].load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn addresses_that_nobody_calls_any_more_are_forgotten() {
        let lines = lines();
        let url = |port: usize| format!("http://127.0.0.1:{port}").parse::<Url>().expect("an address");
        let kept: Vec<_> = (1..=3).map(|port| lines.seat(&url(port)).expect("a client")).collect();
        for port in 4..=MOST_ORIGINS + 1 {
            drop(lines.seat(&url(port)));
        }
        assert_eq!((lines.origins().len(), kept.len()), (4, 3));
    }

    /// A supplier over TLS that agrees to these protocols; and how to speak to it, trusting it.
    async fn tls_supplier(protocols: &[&str]) -> (Url, ClientConfig) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_string()]).expect("a certificate");
        let mut trusted = RootCertStore::empty();
        trusted.add(made.cert.der().clone()).expect("a certificate");
        let client = offering_http2(ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth());
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into());
        let mut server = server.expect("a configuration");
        server.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(server));

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let tasks = TaskTracker::new();
        tasks.clone().spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.expect("a connection");
                let acceptor = acceptor.clone();
                tasks.spawn(async move {
                    // Whoever does not trust it breaks off.
                    let Ok(socket) = acceptor.accept(socket).await else { return };
                    let answer = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&request, Arc::default()))));
                    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), answer).await;
                });
            }
        });
        (format!("https://{addr}").parse().expect("an address"), client)
    }

    #[tokio::test]
    async fn http2_is_spoken_where_it_is_offered_and_only_with_whom_is_trusted() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let lines = |tls| Lines::new(tls, Vec::new().into(), PATIENCE).expect("a client");
        for (protocols, version) in [(&["h2", "http/1.1"][..], Version::HTTP_2), (&["http/1.1"], Version::HTTP_11), (&[], Version::HTTP_11)] {
            let (url, trusting) = tls_supplier(protocols).await;
            let (answer, _seat) = get(&lines(trusting), &url, "/short").await;
            assert_eq!(answer.version(), version, "{protocols:?}");
            let (client, _seat) = lines(tls().expect("this machine's certificates")).seat(&url).expect("a client");
            let refused = client.get(url).send().await.expect_err("nobody vouches for it");
            assert!(refused.is_connect(), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn streams_that_nobody_reads_stop_no_other_on_their_connection() {
        let (lines, seen) = (lines(), Arc::<Seen>::default());
        let url = supplier(200, seen.clone()).await;
        let mut unread = Vec::new();
        for _ in 0..32 {
            unread.push(get(&lines, &url, "/endless").await);
        }
        // Until the supplier may send no more on any of them.
        let (mut before, mut by_now) = (usize::MAX, 0);
        while before != by_now {
            tokio::time::sleep(Duration::from_millis(200)).await;
            (before, by_now) = (by_now, seen.sent.load(Ordering::Relaxed));
        }
        // The window, and what the supplier has at hand.
        assert!(by_now <= unread.len() * (STREAM_WINDOW as usize + 4 * PIECE.len()), "{by_now}");
        let (short, _seat) = get(&lines, &url, "/short").await;
        assert_eq!(tokio::time::timeout(PATIENCE, short.text()).await.expect("it is not held up").expect("a body"), "short");
        assert_eq!(seen.connections.load(Ordering::Relaxed), 1);
    }
}
