//! Lines to suppliers in HTTP/2, with and without TLS: how many connections calls take, and what becomes of those for whom there is none.

use super::*;
use crate::gateway::client::tests::{provide_crypto, trusting_nobody};
use crate::gateway::client::{STREAM_WINDOW, tls};
use axum::body::Body;
use axum::http::Response;
use bytes::Bytes;
use futures::future::{join_all, ready};
use futures::stream::{StreamExt, once, pending, repeat_with};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{RootCertStore, ServerConfig};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";
const PIECE: &[u8] = &[0; 16 << 10];
const PATIENCE: Duration = Duration::from_secs(20);

/// A supplier, and what it has seen.
struct Supplier {
    connections: AtomicUsize,
    /// Bytes of answers without an end.
    sent: AtomicUsize,
    /// Calls that it lets on a connection.
    most_calls: u32,
    tls: Option<TlsAcceptor>,
    /// The same for all connections but the first, over which it speaks HTTP/1 then.
    later_tls: Option<TlsAcceptor>,
    /// How long those take to be accepted.
    later_takes: Duration,
}

impl Supplier {
    fn letting(most_calls: u32) -> Supplier {
        let (connections, sent) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Supplier { connections, sent, most_calls, tls: None, later_tls: None, later_takes: Duration::ZERO }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Takes so many connections, and listens no more when it has them.
    async fn start(self, most_connections: usize) -> (String, Arc<Supplier>) {
        let supplier = Arc::new(self);
        let scheme = if supplier.tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("{scheme}://{}", listener.local_addr().expect("bound"));
        let (tasks, here) = (TaskTracker::new(), supplier.clone());
        tasks.clone().spawn(async move {
            for _ in 0..most_connections {
                let (socket, _) = listener.accept().await.expect("a connection");
                let is_first = here.connections.fetch_add(1, Ordering::Relaxed) == 0;
                let here = here.clone();
                tasks.spawn(async move {
                    if !is_first {
                        tokio::time::sleep(here.later_takes).await;
                    }
                    let later_tls = here.later_tls.as_ref().filter(|_| !is_first);
                    match later_tls.or(here.tls.as_ref()) {
                        // Whoever does not trust it breaks off.
                        Some(tls) => {
                            if let Ok(socket) = tls.accept(socket).await {
                                here.clone().serve(socket, later_tls.is_some()).await;
                            }
                        }
                        None => here.serve(socket, false).await,
                    }
                });
            }
        });
        (url, supplier)
    }

    async fn serve(self: Arc<Supplier>, socket: impl AsyncRead + AsyncWrite + Unpin + 'static, only_http1: bool) {
        let answer = service_fn(|request| ready(Ok::<_, Infallible>(self.clone().answer(&request))));
        let mut server = auto::Builder::new(TokioExecutor::new());
        if only_http1 {
            server = server.http1_only();
        }
        server.http2().max_concurrent_streams(self.most_calls);
        let _ = server.serve_connection(TokioIo::new(socket), answer).await;
    }

    /// What begins with `/short` is answered in a word, `/endless` with bytes without an end, all else with a word after which nothing comes.
    fn answer(self: Arc<Supplier>, request: &hyper::Request<Incoming>) -> hyper::Response<Body> {
        hyper::Response::new(match request.uri().path() {
            path if path.starts_with("/short") => Body::from("short"),
            "/endless" => Body::from_stream(repeat_with(move || {
                self.sent.fetch_add(PIECE.len(), Ordering::Relaxed);
                Ok::<_, Infallible>(Bytes::from_static(PIECE))
            })),
            _ => Body::from_stream(once(ready(Ok::<_, Infallible>("begun"))).chain(pending())),
        })
    }
}

/// A supplier over TLS that agrees to these protocols; and how to speak to it, trusting it.
fn over_tls(protocols: &[&[u8]]) -> (Supplier, ClientConfig) {
    over_tls_and_later(protocols, None)
}

/// The same for one that agrees to others on all connections but the first.
fn over_tls_and_later(protocols: &[&[u8]], later: Option<&[&[u8]]>) -> (Supplier, ClientConfig) {
    provide_crypto();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_string()]).expect("a certificate");
    let mut trusted = RootCertStore::empty();
    trusted.add(made.cert.der().clone()).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into());
    let server = server.expect("a configuration");
    let agreeing = |protocols: &[&[u8]]| {
        let mut server = server.clone();
        server.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Some(TlsAcceptor::from(Arc::new(server)))
    };
    let supplier = Supplier { tls: agreeing(protocols), later_tls: later.and_then(agreeing), ..Supplier::letting(200) };
    (supplier, ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth())
}

fn here() -> Vec<IpNet> {
    vec!["127.0.0.0/8".parse().expect("a network")]
}

fn lines_over(tls: &ClientConfig) -> Lines {
    Lines::new(tls, &here().into(), PATIENCE)
}

/// Lines that speak HTTP/2 without TLS, which suppliers do not.
fn plain_lines() -> Lines {
    let tls = trusting_nobody();
    let http2 = || client(&tls, PermittedAddresses::new(here()), PATIENCE, Spoken::Http2);
    Lines { clients: (0..MOST_LINES).map(|_| http2()).collect(), ..lines_over(&tls) }
}

fn get_request(uri: &Uri) -> hyper::Request<Full<Bytes>> {
    hyper::Request::get(uri).body(Full::default()).expect("a request")
}

async fn get(lines: &Lines, url: &str, path: &str) -> (Response<Incoming>, Seat) {
    let address = lines.address(url, path).expect("an address");
    let (client, seat) = lines.seat(&address, false);
    let sending = client.request(get_request(&address.uri));
    let response = tokio::time::timeout(PATIENCE, sending).await.expect("it is not held up").expect("an answer");
    seat.note_answered(response.version());
    (response, seat)
}

async fn text(response: Response<Incoming>) -> String {
    let body = tokio::time::timeout(PATIENCE, response.into_body().collect()).await.expect("it is not held up").expect("a body");
    String::from_utf8(body.to_bytes().into()).expect("text")
}

#[tokio::test]
async fn calls_beyond_what_a_connection_takes_go_to_another() {
    let lines = plain_lines();
    let (url, supplier) = Supplier::letting(MOST_CALLS as u32).start(10).await;
    let mut running = Vec::new();
    for call in 0..2 * MOST_CALLS + 1 {
        running.push(get(&lines, &url, "begun").await);
        assert_eq!(supplier.connections(), call / MOST_CALLS + 1, "after call {call}");
    }
    // Where one ended, the next finds its place.
    running.remove(0);
    let (short, seat) = get(&lines, &url, "short").await;
    assert_eq!((text(short).await.as_str(), seat.line, supplier.connections()), ("short", 0, 3));
}

#[tokio::test]
async fn calls_that_come_at_once_open_one_connection_for_each_line_that_they_need() {
    let (supplier, tls) = over_tls(&[HTTP_2, HTTP_1]);
    let (url, supplier) = supplier.start(1_000).await;
    let lines = lines_over(&tls);
    assert_eq!(text(get(&lines, &url, "short").await.0).await, "short");
    let running = join_all((0..5 * MOST_CALLS / 2).map(|_| get(&lines, &url, "begun"))).await;
    assert!(running.iter().all(|(response, _)| response.version() == Version::HTTP_2));
    assert_eq!(supplier.connections(), 1 + (3 * MOST_CALLS / 2).div_ceil(MOST_FIRST_CALLS));
}

#[tokio::test]
async fn http2_is_spoken_where_it_is_offered_and_only_with_whom_is_trusted() {
    for (protocols, version) in [(&[HTTP_2, HTTP_1][..], Version::HTTP_2), (&[HTTP_1], Version::HTTP_11), (&[], Version::HTTP_11)] {
        let (supplier, trusting) = over_tls(protocols);
        let (url, _) = supplier.start(10).await;
        assert_eq!(get(&lines_over(&trusting), &url, "short").await.0.version(), version, "{protocols:?}");
        let lines = lines_over(&tls().expect("this machine's certificates"));
        let address = lines.address(&url, "short").expect("an address");
        let refused = lines.seat(&address, false).0.request(get_request(&address.uri)).await.expect_err("nobody vouches for it");
        assert!(refused.is_connect(), "{refused:?}");
    }
}

#[tokio::test]
async fn over_http1_all_calls_are_on_one_line() {
    let (supplier, tls) = over_tls(&[HTTP_1]);
    let (url, supplier) = supplier.start(1_000).await;
    let lines = lines_over(&tls);
    let running = join_all((0..MOST_CALLS + 5).map(|_| get(&lines, &url, "begun"))).await;
    assert!(running.iter().all(|(_, seat)| seat.line == 0));
    assert_eq!((get(&lines, &url, "begun").await.1.line, supplier.connections()), (0, MOST_CALLS + 6));
}

/// Takes the seat of a call that is answered over HTTP/2 as long as it sits.
fn sit(lines: &Lines, address: &Address) -> Seat {
    let seat = lines.seat(address, false).1;
    seat.note_answered(Version::HTTP_2);
    seat
}

fn address(lines: &Lines, port: usize) -> Arc<Address> {
    lines.address(&format!("http://127.0.0.1:{}/v1", 20_000 + port), "chat").expect("an address")
}

#[tokio::test]
async fn seats_are_counted_for_each_supplier_and_given_back() {
    let lines = plain_lines();
    let (here, there) = (address(&lines, 1), address(&lines, 2));
    let mut seats: Vec<Seat> = (0..MOST_CALLS).map(|_| sit(&lines, &here)).collect();
    assert!(seats.iter().all(|seat| seat.line == 0));
    assert_eq!((sit(&lines, &here).line, sit(&lines, &there).line), (1, 0));
    drop(seats.pop());
    assert_eq!(sit(&lines, &here).line, 0);
    seats.extend((seats.len()..MOST_CALLS * MOST_LINES).map(|_| sit(&lines, &here)));
    assert_eq!(seats.last().map(|seat| seat.line), Some(MOST_LINES - 1));
    // All full: whoever comes goes to the line with the fewest.
    let more: Vec<usize> = (0..=MOST_LINES).map(|_| sit(&lines, &here)).collect::<Vec<_>>().iter().map(|seat| seat.line).collect();
    assert_eq!(more, (0..MOST_LINES).chain([0]).collect::<Vec<_>>());
    drop(seats);
    assert!(lock(&here.origin).lines.iter().all(|line| line.calls == 0));
}

#[tokio::test]
async fn after_a_line_that_could_not_be_opened_calls_stay_on_open_ones_for_a_while() {
    let lines = plain_lines();
    let url = address(&lines, 1);
    let first: Vec<Seat> = (0..MOST_CALLS).map(|_| sit(&lines, &url)).collect();
    assert!(!first[0].give_up_line(), "without it there is none");
    let second: Vec<Seat> = (0..MOST_CALLS).map(|_| sit(&lines, &url)).collect();
    let third = lines.seat(&url, false).1;
    assert_eq!(third.line, 2);
    let more = lines.seat(&url, true).1;
    assert_eq!((more.line, third.is_untried(), second[0].is_untried()), (0, true, false));
    assert!(third.give_up_line());
    assert_eq!(lines.seat(&url, false).1.line, 1, "none is opened now, and there are fewer there");
    drop(second);
    assert_eq!(sit(&lines, &url).line, 1, "what is open is used");
    let _second: Vec<Seat> = (0..MOST_CALLS).map(|_| sit(&lines, &url)).collect();
    assert_eq!(lines.seat(&url, false).1.line, 1, "all are full, and there are fewer there");
    lock(&url.origin).rests_until = Some(Instant::now());
    let opening: Vec<usize> =
        (0..MOST_FIRST_CALLS + 1).map(|_| lines.seat(&url, false).1).collect::<Vec<_>>().iter().map(|seat| seat.line).collect();
    assert_eq!((opening[0], opening[MOST_FIRST_CALLS - 2], opening[MOST_FIRST_CALLS]), (2, 2, 3), "one is there already");
}

#[tokio::test]
async fn addresses_that_nobody_calls_any_more_are_forgotten() {
    let lines = plain_lines();
    let kept: Vec<Seat> = (1..=3).map(|port| lines.seat(&address(&lines, port), false).1).collect();
    (4..=MOST_ADDRESSES + 1).for_each(|port| drop(address(&lines, port)));
    let known = lock(&lines.known);
    assert_eq!((known.addresses.len(), known.origins.len(), kept.len()), (1, 4, 3));
}

#[tokio::test]
async fn streams_that_nobody_reads_stop_no_other_on_their_connection() {
    let lines = plain_lines();
    let (url, supplier) = Supplier::letting(200).start(10).await;
    let mut unread = Vec::new();
    for _ in 0..32 {
        unread.push(get(&lines, &url, "endless").await);
    }
    // Until the supplier may send no more on any of them.
    let (mut before, mut by_now) = (usize::MAX, 0);
    while before != by_now {
        tokio::time::sleep(Duration::from_millis(200)).await;
        (before, by_now) = (by_now, supplier.sent.load(Ordering::Relaxed));
    }
    // The window, and what the supplier has at hand.
    assert!(by_now <= unread.len() * (STREAM_WINDOW as usize + 4 * PIECE.len()), "{by_now}");
    assert_eq!(text(get(&lines, &url, "short").await.0).await, "short");
    assert_eq!(supplier.connections(), 1);
}

#[path = "lines_calls_tests.rs"]
mod calls;
