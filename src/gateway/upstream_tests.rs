//! In which order channels are tried, and what of a failed call may have left.

use super::*;
use axum::body::Body;
use hyper::client::conn::http1::handshake;
use hyper::client::conn::http2::SendRequest;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
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

/// As the client wraps it.
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

/// Two calls on one HTTP/2 connection, which are on their way before the supplier has said anything.
async fn two_calls(ours: DuplexStream) -> (SendRequest<Body>, [impl Future<Output = hyper::Result<hyper::Response<Incoming>>>; 2]) {
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(ours));
    let (mut sender, connection) = handshake.await.expect("a connection");
    TaskTracker::new().spawn(async move {
        let _ = connection.await;
    });
    let calls = [(); 2].map(|()| sender.send_request(hyper::Request::new(Body::empty())));
    tokio::time::sleep(Duration::from_millis(50)).await;
    (sender, calls)
}

#[tokio::test]
async fn what_a_supplier_refuses_to_begin_was_not_worked_on() {
    let (ours, theirs) = duplex(1 << 20);
    let (_sender, [first, second]) = two_calls(ours).await;
    TaskTracker::new().spawn(async move {
        let pending = service_fn(|_| std::future::pending::<Result<hyper::Response<Body>, Infallible>>());
        let mut server = http2::Builder::new(TokioExecutor::new());
        let _ = server.max_concurrent_streams(1).serve_connection(TokioIo::new(theirs), pending).await;
    });
    let error = tokio::select! {
        answer = first => answer.expect_err("never answered"),
        answer = second => answer.expect_err("refused"),
    };
    assert!(was_refused(&Wrapped(error)));
    assert!(!was_refused(&std::io::Error::other("reset")));
}

/// Frames of RFC 9113: SETTINGS (6.5) that set nothing; GOAWAY (6.8), without an error, after stream 1.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const GOAWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];

#[tokio::test]
async fn of_a_connection_that_ends_what_had_begun_may_have_been_worked_on() {
    let (ours, mut theirs) = duplex(1 << 20);
    let (_sender, [first, second]) = two_calls(ours).await;
    theirs.write_all(&[SETTINGS, GOAWAY].concat()).await.expect("written");
    assert!(was_refused(&Wrapped(second.await.expect_err("not begun"))));
    drop(theirs);
    let cut = Wrapped(first.await.expect_err("cut"));
    assert!(!was_refused(&cut) && !was_never_sent(&cut), "{cut:?}");
}
