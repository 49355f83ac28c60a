//! Calls over further lines: what becomes of those whose line cannot be opened, or is no good, and of those who waited for it.

use super::*;
use crate::gateway::error::GatewayError;
use crate::gateway::outgoing::Outgoing;
use crate::gateway::upstream::{Answering, Timeouts, Upstream};
use crate::gateway::wire::{Request, chat};
use crate::ids::ChannelId;
use crate::suppliers::sealed::SealingKey;
use crate::wallet::ledger::Channel;
use axum::http::HeaderMap;
use futures::future::join;
use tokio::io::AsyncReadExt;

/// The way to a supplier of which each call would be a stream without an end.
struct Way {
    upstream: Upstream,
    channels: [Channel; 1],
    running: Vec<Answering>,
}

impl Way {
    fn new(tls: &ClientConfig, base_url: String) -> Way {
        let seconds = Duration::from_secs;
        let timeouts = Timeouts { connect: seconds(3), first_byte: seconds(20), idle: seconds(20), total: seconds(20) };
        let upstream = Upstream::new(tls, SealingKey::derive(&[1; 32]), here(), timeouts, 1);
        let channels = [Channel { channel_id: ChannelId::generate(), base_url, secret_sealed: None, weight: 1, priority: 1 }];
        Way { upstream, channels, running: Vec::new() }
    }

    /// With as many calls as its first line takes.
    async fn full(tls: &ClientConfig, url: &str) -> Way {
        let mut way = Way::new(tls, format!("{url}/v1"));
        let first = way.call().await.expect("an answer");
        let others = join_all((1..MOST_CALLS).map(|_| way.call())).await;
        way.running = others.into_iter().map(|answer| answer.expect("an answer")).chain([first]).collect();
        way
    }

    async fn call(&self) -> Result<Answering, GatewayError> {
        let body = br#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}"#;
        let request = Request::parse(&chat::ENDPOINT, body).expect("a request");
        let outgoing = Outgoing::new(&request, HeaderMap::new(), "m".into(), 10);
        self.upstream.send(&self.channels, &outgoing).await.answer
    }

    /// How many of so many calls at once fail.
    async fn failures(&self, calls: usize) -> usize {
        join_all((0..calls).map(|_| self.call())).await.iter().filter(|answer| answer.is_err()).count()
    }
}

/// It has room on the connection that there is, and takes no other: no call fails for that, and the channel is as good as before.
#[tokio::test]
async fn a_supplier_that_takes_no_further_connection_serves_all_calls_on_the_first() {
    let (supplier, tls) = over_tls(&[HTTP_2, HTTP_1]);
    let (url, supplier) = supplier.start(1).await;
    let way = Way::full(&tls, &url).await;
    // More at once than failures that open a circuit.
    assert_eq!((way.failures(15).await, way.failures(15).await), (0, 0));
    assert_eq!((way.running.len(), supplier.connections()), (MOST_CALLS, 1));
}

/// Whoever opens a connection opens it for all who wait for it; that they leave is no failure of theirs, nor of the line's.
#[tokio::test]
async fn callers_who_leave_while_their_calls_open_a_line_take_nobody_along() {
    // With more of them than there are tries, calls go to the first line, and others may open a further one at once.
    for (leaving, connections, later) in [(1, 3, 3), (3, 4, 5)] {
        let (supplier, tls) = over_tls(&[HTTP_2]);
        let (url, supplier) = Supplier { later_takes: Duration::from_millis(600), ..supplier }.start(10).await;
        let way = Way::full(&tls, &url).await;
        // Each leaves while it opens the connection for all who come after it.
        let leave = (1..=leaving).map(|n| tokio::time::timeout(Duration::from_millis(150 * n), way.call()));
        let (left, failures) = join(join_all(leave), way.failures(15)).await;
        assert_eq!((left.iter().filter(|left| left.is_err()).count(), failures), (leaving as usize, 0));
        assert_eq!(supplier.connections(), connections, "of the first, and one by each who opened one");
        assert_eq!((way.failures(1).await, supplier.connections()), (0, later));
    }
}

/// It takes connections, and says nothing on any but the first.
#[tokio::test]
async fn whoever_waits_for_a_line_that_is_not_opened_in_time_goes_to_the_first() {
    let (supplier, tls) = over_tls(&[HTTP_2]);
    let (url, supplier) = Supplier { later_takes: Duration::MAX, ..supplier }.start(10).await;
    let way = Way::full(&tls, &url).await;
    assert_eq!((way.failures(15).await, supplier.connections()), (0, 2));
    assert_eq!((way.failures(15).await, supplier.connections()), (0, 2));
}

/// What is sent on such a connection may have been worked on, so it is not sent again. But no circuit is opened for it, and calls stay away.
#[tokio::test]
async fn a_further_connection_that_is_no_good_is_given_up_and_says_nothing_about_the_channel() {
    let (supplier, tls) = over_tls_and_later(&[HTTP_2], Some(&[]));
    let (url, supplier) = supplier.start(10).await;
    let way = Way::full(&tls, &url).await;
    assert!(way.failures(15).await > 0, "more than open a circuit were on their way");
    assert_eq!(way.failures(15).await, 0);
    assert_eq!((way.running.len(), supplier.connections()), (MOST_CALLS, 2));
}

/// It reads a call and leaves: whether it worked on it, nobody knows.
#[tokio::test]
async fn what_a_supplier_has_read_is_not_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let way = Way::new(&trusting_nobody(), format!("http://{}/v1", listener.local_addr().expect("bound")));
    let reads_and_leaves = async {
        let mut socket = listener.accept().await.expect("a connection").0;
        socket.read_u8().await.expect("a request");
    };
    let (answer, ()) = tokio::join!(way.call(), reads_and_leaves);
    assert_eq!(answer.err(), Some(GatewayError::UpstreamBroken));
    let again = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
    assert!(again.is_err(), "it came back");
    drop(listener);
    assert_eq!(way.call().await.err(), Some(GatewayError::UpstreamUnreachable), "nothing was sent");
}

/// Such a supplier lets one call at a time, and those that come at once do not know it yet.
#[tokio::test]
async fn what_was_refused_for_coming_too_early_is_sent_again() {
    let (supplier, tls) = over_tls(&[HTTP_2]);
    let (url, supplier) = Supplier { most_calls: 1, ..supplier }.start(1).await;
    assert_eq!(Way::new(&tls, format!("{url}/short")).failures(MOST_FIRST_CALLS).await, 0);
    assert_eq!(supplier.connections(), 1);
}
