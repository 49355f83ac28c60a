use super::*;
use crate::gateway::wire::{Request, chat};
use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, duplex};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

#[test]
fn by_rank_orders_every_channel_once_and_heavy_ones_first() {
    let channel =
        |weight, priority| Channel { channel_id: ChannelId::generate(), base_url: String::new(), secret_sealed: None, weight, priority };
    let channels = [channel(1, 5), channel(9, 5), channel(90, 5), channel(1000, 4), channel(1, 6)];
    let mut second = [0; 3];
    for _ in 0..2_000 {
        let order: Vec<_> = by_rank(&channels).iter().map(|channel| channel.channel_id).collect();
        let at = |place: usize| channels.iter().position(|channel| channel.channel_id == order[place]).expect("one of them");
        assert_eq!((order.len(), at(0), at(4)), (5, 4, 3), "by priority");
        second[at(1)] += 1;
    }
    assert!(second[2] > second[1] && second[1] > second[0], "{second:?}");
}

/// As reqwest wraps it.
#[derive(Debug, thiserror::Error)]
#[error("error sending request")]
struct Wrapped(#[source] hyper::Error);

#[tokio::test]
async fn only_what_never_left_counts_as_not_sent() {
    let (ours, theirs) = duplex(1 << 10);
    let (mut sender, connection) = handshake::<_, Body>(TokioIo::new(ours)).await.expect("a connection");
    drop((connection, theirs));
    let error = sender.send_request(hyper::Request::new(Body::empty())).await.expect_err("it is closed");
    assert!(was_never_sent(&Wrapped(error)));

    let (ours, mut theirs) = duplex(1 << 10);
    let (mut sender, connection) = handshake::<_, Body>(TokioIo::new(ours)).await.expect("a connection");
    let reads_and_leaves = async move {
        theirs.read_u8().await.expect("a request");
    };
    let (answer, _, ()) = tokio::join!(sender.send_request(hyper::Request::new(Body::empty())), connection, reads_and_leaves);
    let error = answer.expect_err("nobody answers");
    assert!(!was_never_sent(&Wrapped(error)));
    assert!(!was_never_sent(&std::io::Error::other("reset")));
}

const PIECE: &[u8] = &[0; 16 << 10];

/// A supplier on its only connection, in HTTP/2: `/short` is answered in a word, all else without an end, of which this counts bytes.
async fn endless_supplier(sent: Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("bound");
    TaskTracker::new().spawn(async move {
        let (socket, _) = listener.accept().await.expect("a connection");
        let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let sent = sent.clone();
            async move {
                if request.uri().path() == "/short" {
                    return Ok::<_, Infallible>(hyper::Response::new(Body::from("short")));
                }
                let pieces = futures::stream::repeat_with(move || {
                    sent.fetch_add(PIECE.len(), Ordering::Relaxed);
                    Ok::<_, Infallible>(Bytes::from_static(PIECE))
                });
                Ok(hyper::Response::new(Body::from_stream(pieces)))
            }
        });
        let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), answer).await;
    });
    format!("http://{addr}")
}

/// Without TLS, which is where suppliers agree to HTTP/2: the windows are the same.
#[tokio::test]
async fn streams_that_nobody_reads_stop_no_other_on_their_connection() {
    // A second call finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sent = Arc::new(AtomicUsize::new(0));
    let url = endless_supplier(sent.clone()).await;
    let patience = Duration::from_secs(10);
    let allowed: Arc<[IpNet]> = Vec::new().into();
    let client = client_builder(&allowed, patience).http2_prior_knowledge().build().expect("a client");
    let mut unread = Vec::new();
    for _ in 0..32 {
        unread.push(client.get(format!("{url}/endless")).send().await.expect("an answer"));
    }
    // Until the supplier may send no more on any of them.
    let (mut before, mut by_now) = (usize::MAX, 0);
    while before != by_now {
        tokio::time::sleep(Duration::from_millis(200)).await;
        (before, by_now) = (by_now, sent.load(Ordering::Relaxed));
    }
    // The window, and what the supplier has at hand.
    assert!(by_now <= unread.len() * (STREAM_WINDOW as usize + 4 * PIECE.len()), "{by_now}");
    let short = async { client.get(format!("{url}/short")).send().await.expect("an answer").text().await.expect("a body") };
    assert_eq!(tokio::time::timeout(patience, short).await.expect("it is not held up"), "short");
}

/// A supplier over HTTP/2 that lets one call at a time on a connection. It answers after a while, or holds on to a call that says so.
#[derive(Clone, Default)]
struct Narrow {
    connections: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

const A_WHILE: Duration = Duration::from_millis(300);

impl Narrow {
    async fn start() -> (Narrow, Channel) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base_url = format!("http://{}", listener.local_addr().expect("bound"));
        let (narrow, tasks) = (Narrow::default(), TaskTracker::new());
        let (served, connections) = (narrow.clone(), tasks.clone());
        tasks.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                served.connections.fetch_add(1, Ordering::Relaxed);
                let calls = served.calls.clone();
                let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let calls = calls.clone();
                    async move {
                        // A head without its body is no call.
                        let Ok(body) = axum::body::to_bytes(Body::new(request.into_body()), 1 << 20).await else {
                            return Ok(hyper::Response::new(Body::empty()));
                        };
                        calls.fetch_add(1, Ordering::Relaxed);
                        if String::from_utf8_lossy(&body).contains("hold") {
                            std::future::pending::<()>().await;
                        }
                        tokio::time::sleep(A_WHILE).await;
                        Ok::<_, Infallible>(hyper::Response::new(Body::from("{}")))
                    }
                });
                connections.spawn(async move {
                    let mut server = http2::Builder::new(TokioExecutor::new());
                    let _ = server.max_concurrent_streams(1).serve_connection(TokioIo::new(socket), answer).await;
                });
            }
        });
        let channel = Channel { channel_id: ChannelId::generate(), base_url, secret_sealed: None, weight: 1, priority: 1 };
        (narrow, channel)
    }

    fn counted(&self) -> (usize, usize) {
        (self.connections.load(Ordering::Relaxed), self.calls.load(Ordering::Relaxed))
    }
}

/// Over HTTP/2 from the first word, since there is no TLS to agree on it.
fn over_http2(first_byte: Duration) -> Upstream {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let allowed: Arc<[IpNet]> = vec!["127.0.0.0/8".parse::<IpNet>().expect("a network")].into();
    let patience = Duration::from_secs(20);
    let timeouts = Timeouts { connect: patience, first_byte, idle: patience, total: patience };
    let networks = allowed.clone();
    let lines = Lines::new(move || client_builder(&networks, patience).http2_prior_knowledge()).expect("a client");
    Upstream {
        lines: vec![lines].into(),
        sealing_key: SealingKey::derive(&[1; 32]),
        allowed,
        breaker: Breaker::default(),
        limit_names: LimitNames::default(),
        timeouts,
    }
}

/// What came of a call that says this, and whether it counts as sent. Of a stream the first byte is waited for less long.
async fn send(upstream: &Upstream, channels: &[Channel], says: &str, stream: bool) -> (Result<(), GatewayError>, bool) {
    let body = format!(r#"{{"model":"m","stream":{stream},"messages":[{{"role":"user","content":"{says}"}}]}}"#);
    let request = Request::parse(&chat::ENDPOINT, body.as_bytes()).expect("a request");
    let outgoing = Outgoing::new(&request, HeaderMap::new(), "m".into(), 10);
    let answer = match upstream.send(channels, &outgoing).await.answer {
        Ok(answering) => {
            answering.response.text().await.expect("an answer");
            Ok(())
        }
        Err(error) => Err(error),
    };
    (answer, outgoing.was_sent())
}

#[tokio::test]
async fn what_is_too_much_for_one_connection_goes_to_others_and_each_call_once() {
    let (supplier, channel) = Narrow::start().await;
    let channels = [channel];
    let upstream = over_http2(Duration::from_secs(20));
    // So that it is known to speak HTTP/2.
    assert_eq!(send(&upstream, &channels, "hi", false).await, (Ok(()), true));
    let calls = MOST_LINES + 4;
    let answered = futures::future::join_all((0..calls).map(|_| send(&upstream, &channels, "hi", false))).await;
    assert_eq!(answered, vec![(Ok(()), true); calls]);
    let (connections, came) = supplier.counted();
    assert_eq!(came, calls + 1, "each of them once");
    assert!(connections > 1 && connections <= MOST_LINES, "{connections}");
}

#[tokio::test]
async fn a_call_for_which_no_connection_had_room_was_not_sent_and_another_channel_serves_it() {
    let ((full, mut first), (spare, second)) = (Narrow::start().await, Narrow::start().await);
    first.priority = 2;
    let channels = [first, second];
    let upstream = over_http2(Duration::from_millis(1_500));
    assert_eq!(send(&upstream, &channels, "hi", false).await, (Ok(()), true));
    let held = futures::future::join_all((0..MOST_LINES).map(|_| send(&upstream, &channels[..1], "hold", false)));
    let others = async {
        while full.counted().1 <= MOST_LINES {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::join!(send(&upstream, &channels, "hi", true), send(&upstream, &channels[..1], "hi", true))
    };
    let (one_more, alone) = tokio::select! {
        held = held => panic!("nobody answers them: {held:?}"),
        others = others => others,
    };
    let (connections, came) = full.counted();
    assert!(connections <= MOST_LINES && came == MOST_LINES + 1, "it takes what it has room for: {connections}, {came}");
    // The spare channel has it; where there is none it may be sent again.
    assert_eq!((one_more, spare.counted().1), ((Ok(()), true), 1));
    assert_eq!(alone, (Err(GatewayError::UpstreamUnreachable), false));
}

/// The room comes when nobody waits for it any more, as when a caller left.
#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_is_not_sent_later() {
    let (supplier, channel) = Narrow::start().await;
    let channels = [channel];
    let upstream = over_http2(Duration::from_secs(20));
    assert_eq!(send(&upstream, &channels, "hi", false).await, (Ok(()), true));
    // Waits on the same connection, for less time than it takes to look for another.
    let leaves = async {
        tokio::time::sleep(A_WHILE / 6).await;
        tokio::time::timeout(LOOK_AFTER / 2, send(&upstream, &channels, "hi", false)).await
    };
    let (running, left) = tokio::join!(send(&upstream, &channels, "hi", false), leaves);
    assert!(running == (Ok(()), true) && left.is_err());
    assert_eq!(send(&upstream, &channels, "hi", false).await, (Ok(()), true));
    assert_eq!(supplier.counted().1, 3);
}
