//! Callers who take their time: each kind of slowness has its limit, and none costs anybody else.

use crate::support::app::TestApp;
use crate::support::client::chat;
use crate::support::edge::{BIG, TestEdge, patient};
use crate::support::raw::{Raw, statuses};
use sqlx::PgPool;
use std::time::{Duration, Instant};
use toki::server::edge::Settings;

const SHORT: Duration = Duration::from_millis(600);
const GET: &str = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n";

fn settings(adjust: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = patient();
    adjust(&mut settings);
    settings
}

#[tokio::test]
async fn a_head_that_does_not_end_is_answered_and_silence_is_not() {
    let edge = TestEdge::start(settings(|settings| settings.header = SHORT)).await;
    assert_eq!(Raw::open(edge.addr).await.until_closed().await, "");
    for begun in ["G", "GET /ok HTTP/1.1\r\nHost: a\r\n", "PRI * HTTP/2.0\r\n", "POST /v1/chat/completions HTTP/1.1\r\n"] {
        let answer = Raw::opened(edge.addr, begun).await.until_closed().await;
        assert_eq!(statuses(&answer), [408], "{begun:?}: {answer}");
        assert_eq!(answer.contains("request_timeout"), begun.contains("/v1"), "{answer}");
    }
    // A byte now and then is no progress.
    let mut slow = Raw::open(edge.addr).await;
    for byte in format!("{GET:<60}").bytes().take(20) {
        slow.send([byte]).await;
        tokio::time::sleep(SHORT / 8).await;
    }
    assert_eq!(statuses(&slow.until_closed().await), [408]);
    // The head of a second request has the same time.
    let mut second = Raw::opened(edge.addr, GET).await;
    second.until("ok").await;
    second.send("GET /").await;
    assert_eq!(statuses(&second.until_closed().await), [408]);
    edge.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_in_the_form_of_its_path() {
    let edge = TestEdge::start(settings(|settings| settings.body = SHORT)).await;
    let post = "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n";
    assert_eq!(statuses(&Raw::opened(edge.addr, post).await.until_closed().await), [408]);
    assert_eq!(statuses(&Raw::opened(edge.addr, format!("{post}half")).await.until_closed().await), [408]);
    // A byte now and then is progress, and too little.
    let mut slow = Raw::opened(edge.addr, post).await;
    for _ in 0..20 {
        slow.send("x").await;
        tokio::time::sleep(SHORT / 8).await;
    }
    let answer = slow.until_closed().await;
    assert!(statuses(&answer) == [408] && answer.contains("connection: close"), "{answer}");
    edge.stop().await;
}

#[tokio::test]
async fn who_asks_for_nothing_more_is_let_go_and_running_requests_are_not() {
    let edge = TestEdge::start(settings(|settings| (settings.idle, settings.write) = (SHORT, SHORT))).await;
    let answer = Raw::opened(edge.addr, GET).await.until_closed().await;
    assert!(answer.ends_with("ok"), "{answer}");
    let words = Raw::opened(edge.addr, "GET /words HTTP/1.1\r\nHost: a\r\n\r\n").await.until_closed().await;
    assert!(words.contains("word19;") && words.ends_with("0\r\n\r\n"), "{words}");
    edge.stop().await;
}

#[tokio::test]
async fn who_reads_nothing_is_cut_off_and_who_reads_slowly_is_not() {
    let edge = TestEdge::start(settings(|settings| settings.write = SHORT)).await;
    let get = "GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let nothing = Raw::opened(edge.addr, get).await;
    tokio::time::sleep(SHORT * 4).await;
    assert!(nothing.bytes_until_closed().await.len() < BIG);
    // Whole, and longer than the limit in all.
    let mut slow = Raw::opened(edge.addr, get).await;
    let (begun, mut bytes) = (Instant::now(), 0);
    for _ in 0..8 {
        bytes += slow.until(&"x".repeat(6 << 20)).await.len();
        tokio::time::sleep(SHORT / 4).await;
    }
    bytes += slow.bytes_until_closed().await.len();
    assert!(bytes > BIG && begun.elapsed() > SHORT, "{bytes} bytes");
    edge.stop().await;
}

/// `SLOW_SOCKETS` says how many; a process has a few thousand files by default.
#[sqlx::test]
async fn slow_sockets_cost_nobody_else(db: PgPool) {
    let sockets = std::env::var("SLOW_SOCKETS").map_or(200, |number| number.parse().expect("a number"));
    let app = TestApp::start_with(db, |config| {
        (config.edge.header, config.edge.most_connections) = (Duration::from_secs(3), 10_000);
    })
    .await;
    let customer = app.customer("slow@example.com", 1_000_000).await;
    let key = app.key(&customer, None).await;
    let mut slow = Vec::new();
    for _ in 0..sockets {
        slow.push(Raw::opened(app.addr, "POST /v1/chat/completions HTTP/1.1\r\nX-Slow: ").await);
    }
    for _ in 0..20 {
        assert_eq!(app.chat(&key.secret, &chat("sandbox/echo", "hi")).await.status, 200);
    }
    let ends = futures::future::join_all(slow.into_iter().map(Raw::until_closed)).await;
    assert!(ends.iter().all(|answer| statuses(answer) == [408]), "each is told why");
    app.assert_exact().await;
    app.stop().await;
}
