//! How many connections there may be, and how they end.

use crate::support::edge::{TestEdge, patient};
use crate::support::raw::{Raw, statuses};
use std::time::Duration;
use toki::ids::RequestId;

const GET: &str = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n";
const WORDS: &str = "GET /words HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

async fn with_most(most: usize) -> TestEdge {
    let mut settings = patient();
    settings.most_connections = most;
    TestEdge::start(settings).await
}

/// A stream that has begun.
async fn stream(edge: &TestEdge) -> Raw {
    let mut raw = Raw::opened(edge.addr, WORDS).await;
    raw.until("word0;").await;
    raw
}

#[tokio::test]
async fn the_longest_idle_connection_gives_way_and_no_stream_does() {
    let edge = with_most(3).await;
    let first = stream(&edge).await;
    let mut idle = Vec::new();
    for _ in 0..2 {
        let mut raw = Raw::opened(edge.addr, GET).await;
        raw.until("ok").await;
        idle.push(raw);
    }
    let mut newcomer = Raw::opened(edge.addr, GET).await;
    newcomer.until("ok").await;
    assert_eq!(idle.remove(0).until_closed().await, "", "the first of the idle ones was closed");
    let mut second = idle.remove(0);
    second.send(GET).await;
    second.until("ok").await;
    assert!(first.until_closed().await.contains("word19;"), "the stream is whole");
    edge.stop().await;
}

#[tokio::test]
async fn beyond_the_most_a_connection_is_told_so() {
    let edge = with_most(2).await;
    let streams = [stream(&edge).await, stream(&edge).await];
    let mut ids = Vec::new();
    for said in [GET, ""] {
        let refused = Raw::opened(edge.addr, said).await.until_closed().await;
        assert_eq!(statuses(&refused), [503], "{refused}");
        assert!(refused.contains("retry-after: 1") && refused.contains(r#""code":"service_unavailable""#), "{refused}");
        assert!(refused.contains("\r\nopenai-processing-ms: 0\r\n"), "{refused}");
        ids.push(refused.lines().find_map(|line| line.strip_prefix("x-request-id: ")).expect("an id").to_string());
    }
    assert!(ids[0] != ids[1] && ids.iter().all(|id| id.parse::<RequestId>().is_ok()), "{ids:?}");
    for stream in streams {
        assert!(stream.until_closed().await.contains("word19;"), "the streams are whole");
    }
    let mut later = Raw::opened(edge.addr, GET).await;
    later.until("ok").await;
    edge.stop().await;
}

#[tokio::test]
async fn asked_to_end_it_serves_what_runs_and_lets_the_others_go() {
    let edge = TestEdge::start(patient()).await;
    let (silent, begun) = (Raw::open(edge.addr).await, Raw::opened(edge.addr, "GET /ok").await);
    let mut idle = Raw::opened(edge.addr, GET).await;
    idle.until("ok").await;
    // A second request is behind the one that runs.
    let mut running = Raw::opened(edge.addr, "GET /words HTTP/1.1\r\nHost: a\r\n\r\n").await;
    running.until("word0;").await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
    let mut response = client.get(edge.url("/words")).send().await.expect("an answer");
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    let mut words = response.chunk().await.expect("readable").expect("a word").to_vec();

    edge.shutdown.cancel();
    assert_eq!((idle.until_closed().await, silent.until_closed().await), (String::new(), String::new()));
    begun.until_closed().await;
    assert!(!edge.has_ended(), "two streams run");
    let rest = running.until_closed().await;
    assert!(rest.contains("word19;") && rest.ends_with("0\r\n\r\n"), "{rest}");
    while let Some(chunk) = response.chunk().await.expect("readable") {
        words.extend_from_slice(&chunk);
    }
    assert!(String::from_utf8_lossy(&words).ends_with("word19;"));
    let addr = edge.addr;
    edge.stop().await;
    assert!(tokio::net::TcpStream::connect(addr).await.is_err(), "nobody listens");
}

#[tokio::test]
async fn a_caller_who_leaves_ends_what_runs_for_him() {
    let edge = TestEdge::start(patient()).await;
    for _ in 0..3 {
        let hanging = Raw::opened(edge.addr, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(hanging);
    }
    // Nothing runs any more, so it ends by itself.
    edge.stop().await;
}
