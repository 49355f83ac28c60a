//! How long a supplier is waited for, and that it waits in turn: connections, first bytes, pauses, whole answers, slow callers.

use crate::gateway_channels::{WHOLE, Way, acme, insert};
use crate::support::app::TestApp;
use crate::support::client::{chat, http};
use crate::support::endpoints::ALL;
use crate::support::scripted::{MODEL, Scripted, script};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header;
use futures::StreamExt;
use serde_json::json;
use sqlx::PgPool;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A listener whose queue is full, so that nobody gets through to it; with what keeps it so.
async fn crowded() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener = socket.listen(1).expect("listening");
    let addr = listener.local_addr().expect("bound");
    let mut queue = Vec::new();
    while let Ok(connected) = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(addr)).await {
        queue.push(connected.expect("a place in the queue"));
        assert!(queue.len() < 100, "the queue is never full");
    }
    (addr, listener, queue)
}

#[sqlx::test]
async fn a_channel_that_lets_nobody_in_is_given_up_for_the_next(db: PgPool) {
    let app = TestApp::start_with(db, |config| config.upstream.connect = Duration::from_millis(500)).await;
    acme(&app).await;
    let (addr, _listener, _queue) = crowded().await;
    insert(&app, addr, 1).await;
    let other = Way::add(&app, 0).await;
    let key = app.key(&app.customer("connect@example.com", 100_000).await, None).await;
    assert_eq!(app.chat(&key.secret, &chat(MODEL, "hi")).await.status, 200);
    assert_eq!(other.took(), 1);
    app.assert_exact().await;
    app.stop().await;
}

/// A stream must begin in time; a whole answer begins when it is ready, and is billed by the supplier however long that takes.
#[sqlx::test]
async fn a_whole_answer_may_take_longer_than_a_stream_takes_to_begin(db: PgPool) {
    let app = TestApp::start_with(db, |config| {
        (config.upstream.first_byte, config.upstream.idle) = (Duration::from_millis(500), Duration::from_millis(500));
    })
    .await;
    let _supplier = Scripted::start(&app).await;
    let key = app.key(&app.customer("whole@example.com", 100_000).await, None).await;
    let endpoint = &ALL[0];
    // Until the headers, and with the headers at once.
    for late in ["after_ms", "first_ms"] {
        let mut script = script(&[WHOLE], "end");
        script[late] = json!(2_500);
        let whole = app.post(endpoint.path, &key.secret, &endpoint.call(script.clone())).await;
        assert_eq!((whole.status, whole.text.as_str(), whole.header("x-toki-charged-tokens")), (200, WHOLE, "5"), "{late}");
    }
    let streamed = app.post(endpoint.path, &key.secret, &endpoint.streamed_call(json!({"after_ms": 2_500}))).await;
    let told = (streamed.status, streamed.error("code"), streamed.header("x-should-retry"));
    assert_eq!(told, (504, "upstream_timeout".to_string(), "false"));
    app.assert_exact().await;
    app.stop().await;
}

/// Headers come at once where the first word takes long: it has all the time that a stream has to begin, and pauses have their own.
#[sqlx::test]
async fn a_stream_has_its_time_to_begin_and_then_its_pauses(db: PgPool) {
    let app = TestApp::start_with(db, |config| {
        (config.upstream.first_byte, config.upstream.idle) = (Duration::from_secs(15), Duration::from_secs(1));
    })
    .await;
    let _supplier = Scripted::start(&app).await;
    let key = app.key(&app.customer("pauses@example.com", 100_000).await, None).await;
    let endpoint = &ALL[0];
    let stream = endpoint.stream.as_ref().expect("streams");
    let mut slow = script(&[stream.words, &(stream.end)(None)], "end");
    slow["first_ms"] = json!(3_000);
    let answer = app.post(endpoint.path, &key.secret, &endpoint.streamed_call(slow)).await;
    assert!(answer.text.contains("there") && answer.text.contains(stream.end_mark), "{}", answer.text);
    let paused = app.post(endpoint.path, &key.secret, &endpoint.streamed_call(script(&[stream.words], "hang"))).await;
    assert!(paused.text.contains("broke off") && !paused.text.contains(stream.end_mark), "{}", paused.text);
    assert_eq!(app.number("SELECT count(*) FROM usage_records WHERE outcome = 'upstream_timeout' AND basis = 'counted'").await, 1);
    app.assert_exact().await;
    app.stop().await;
}

/// Its head waits for its words no longer than a moment.
#[sqlx::test]
async fn a_stream_begins_before_there_are_words(db: PgPool) {
    let app = TestApp::start(db).await;
    let _supplier = Scripted::start(&app).await;
    let key = app.key(&app.customer("head@example.com", 100_000).await, None).await;
    let endpoint = &ALL[0];
    let mut silent = script(&[endpoint.stream.as_ref().expect("streams").words], "end");
    silent["first_ms"] = json!(60_000);
    let asked = http().post(app.url(endpoint.path)).bearer_auth(&key.secret).json(&endpoint.streamed_call(silent)).send();
    let begun = tokio::time::timeout(Duration::from_secs(20), asked).await.expect("the head of the answer").expect("an answer");
    assert_eq!(begun.status(), 200);
    drop(begun);
    app.until_settled().await;
    assert_eq!(app.number("SELECT count(*) FROM usage_records WHERE outcome = 'client_left'").await, 1);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn an_answer_takes_so_long_in_all_and_no_longer(db: PgPool) {
    let app = TestApp::start_with(db, |config| config.upstream.total = Duration::from_secs(3)).await;
    let _supplier = Scripted::start(&app).await;
    let key = app.key(&app.customer("total@example.com", 100_000).await, None).await;
    for silent in [json!({"after_ms": 60_000}), script(&[&WHOLE[..40]], "hang")] {
        let mut body = chat(MODEL, "hi");
        body["script"] = silent;
        let answer = app.chat(&key.secret, &body).await;
        let told = (answer.status, answer.error("code"), answer.header("x-should-retry"));
        assert_eq!(told, (504, "upstream_timeout".to_string(), "false"), "{body}");
    }
    let mut body = chat("sandbox/echo", "hi");
    body["stream"] = json!(true);
    // A word each 50 ms, for longer than there is.
    body["sandbox"] = json!({"words": 1_000, "pace_ms": 50});
    let answer = app.chat(&key.secret, &body).await;
    assert!(answer.text.contains("word1 ") && answer.text.contains("broke off") && !answer.text.contains("[DONE]"), "{}", answer.text);
    assert_eq!(app.number("SELECT count(*) FROM usage_records WHERE outcome = 'upstream_timeout' AND charge > 0").await, 1);
    app.assert_exact().await;
    app.stop().await;
}

const COMMENT_BYTES: usize = 64 << 10;
/// Far more than all buffers between supplier and caller together hold.
const OFFERED_COMMENTS: usize = (256 << 20) / COMMENT_BYTES;
const MOST_TAKEN: usize = (64 << 20) / COMMENT_BYTES;

/// A channel that says a word, and then as many comments as it can get rid of; how many those were.
async fn flood(app: &TestApp) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    insert(app, listener.local_addr().expect("bound"), 0).await;
    let taken = Arc::<AtomicUsize>::default();
    let counted = taken.clone();
    let router = Router::new().fallback(move || {
        let counted = counted.clone();
        let comment = Bytes::from(format!(": {}\n\n", "x".repeat(COMMENT_BYTES - 4)));
        let stream = async_stream::stream! {
            yield Ok::<_, std::io::Error>(Bytes::from_static(b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n"));
            for _ in 0..OFFERED_COMMENTS {
                counted.fetch_add(1, Ordering::Relaxed);
                yield Ok(comment.clone());
            }
        };
        async move { ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)) }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    taken
}

#[sqlx::test]
async fn a_caller_who_reads_nothing_makes_the_supplier_wait(db: PgPool) {
    let app = TestApp::start(db).await;
    acme(&app).await;
    let taken = flood(&app).await;
    let key = app.key(&app.customer("flood@example.com", 100_000).await, None).await;
    let mut body = chat(MODEL, "hi");
    body["stream"] = json!(true);
    let (_, mut stream) = app.begin_stream(&key.secret, &body).await;
    let mut stalled = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        match taken.load(Ordering::Relaxed) {
            now if now == stalled => break,
            now => stalled = now,
        }
    }
    assert!(stalled < MOST_TAKEN, "{stalled} comments were taken, and nobody read them");
    // It goes on as soon as somebody reads.
    while taken.load(Ordering::Relaxed) == stalled {
        stream.next().await.expect("a chunk").expect("readable");
    }
    drop(stream);
    app.assert_exact().await;
    app.stop().await;
}
