//! Loads that are meant to hurt: each is refused in bounded time and memory, and calls go on meanwhile. What they cost these is
//! measured by `BENCH=hostile make bench`.

use crate::support::app::{TestApp, TestKey};
use crate::support::client::{chat, http};
use crate::support::raw::{Raw, raise_files, statuses};
use axum::Router;
use axum::http::header;
use sqlx::PgPool;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

const SOCKETS: usize = 2_000;
const SIGN_INS: usize = 200;

/// The memory that this process holds, server and callers together, in MiB; without the pages of its program, which come in as it runs.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

async fn customer(app: &TestApp) -> TestKey {
    // A server reads its vocabulary, some 100 MiB, while it already serves; that is not to be taken for what a flood costs.
    tiktoken_rs::o200k_base_singleton();
    let customer = app.customer("calls@example.com", 1_000_000).await;
    app.key(&customer, None).await
}

/// Calls go on, each within this.
async fn calls_go_on(app: &TestApp, key: &TestKey, calls: usize, each: Duration) {
    for _ in 0..calls {
        let begun = Instant::now();
        assert_eq!(app.chat(&key.secret, &chat("sandbox/echo", "hi")).await.status, 200);
        assert!(begun.elapsed() < each, "{:?}", begun.elapsed());
    }
}

#[sqlx::test]
async fn two_thousand_slow_sockets_are_told_why_and_cost_little_memory(db: PgPool) {
    raise_files();
    let app = TestApp::start_with(db, |config| {
        (config.edge.header, config.edge.most_connections) = (Duration::from_secs(10), 10_000);
    })
    .await;
    let key = customer(&app).await;
    calls_go_on(&app, &key, 1, Duration::from_secs(10)).await;
    let before = memory();
    let mut slow = Vec::with_capacity(SOCKETS);
    for _ in 0..SOCKETS {
        slow.push(Raw::opened(app.addr, "POST /v1/chat/completions HTTP/1.1\r\nX-Slow: ").await);
    }
    calls_go_on(&app, &key, 10, Duration::from_secs(5)).await;
    let grown = memory().saturating_sub(before);
    let ends = futures::future::join_all(slow.into_iter().map(Raw::until_closed)).await;
    assert!(ends.iter().all(|answer| statuses(answer) == [408]), "each is told why");
    // 64 kB for each, the caller's end included.
    assert!(grown < 125, "{grown} MiB");
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn two_hundred_sign_ins_at_once_wait_for_their_turn_and_calls_do_not(db: PgPool) {
    let app = TestApp::start_with(db, |config| config.edge.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")]).await;
    let key = customer(&app).await;
    calls_go_on(&app, &key, 1, Duration::from_secs(10)).await;
    let (before, begun) = (memory(), Instant::now());
    let sign_ins = (0..SIGN_INS).map(|number| {
        // From as many places, so that no limit of one of them helps.
        let request = http().post(app.url("/api/accounts/sign_in")).header("x-forwarded-for", format!("198.51.100.{number}"));
        let request = request.header("sec-fetch-site", "same-origin").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = request.body(format!("email=user{number}%40example.com&password=not+the+password"));
        async move { request.send().await.expect("an answer").status().as_u16() }
    });
    let calls = calls_go_on(&app, &key, 20, Duration::from_secs(5));
    let (answers, ()) = tokio::join!(futures::future::join_all(sign_ins), calls);
    // Whoever has waited for ten seconds is told to come back.
    assert!(answers.iter().all(|status| matches!(status, 401 | 503)), "{answers:?}");
    assert!(answers.contains(&401), "some are looked at");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    // One password is hashed at a time, in the same 19 MiB; all of them at once would take 3,800.
    let grown = memory().saturating_sub(before);
    assert!(grown < 150, "{grown} MiB");
    app.assert_exact().await;
    app.stop().await;
}

/// A gzip of 200 MB of zeros; 200 kB.
fn bomb() -> Vec<u8> {
    let made = Command::new("sh").args(["-c", "head -c 200000000 /dev/zero | gzip -1"]).output().expect("gzip");
    assert!(made.status.success() && made.stdout.len() < 2_000_000);
    made.stdout
}

#[sqlx::test]
async fn nothing_that_a_caller_compressed_is_unpacked(db: PgPool) {
    let app = TestApp::start(db).await;
    let key = customer(&app).await;
    let (bomb, before, begun) = (bomb(), memory(), Instant::now());
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let request = http().post(app.url("/v1/chat/completions")).bearer_auth(&key.secret);
        let request = request.header(header::CONTENT_TYPE, "application/json").header(header::CONTENT_ENCODING, encoding);
        let status = request.body(bomb.clone()).send().await.expect("an answer").status().as_u16();
        assert!(matches!(status, 400 | 415), "{encoding}: {status}");
        let request = http().post(app.url("/api/accounts/sign_in")).header("sec-fetch-site", "same-origin");
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").header(header::CONTENT_ENCODING, encoding);
        // As large as a form may be, and no form.
        let cut = bomb[..bomb.len().min(200_000)].to_vec();
        let status = request.body(cut).send().await.expect("an answer").status().as_u16();
        assert!(matches!(status, 400 | 415), "{encoding}: {status}");
    }
    let grown = memory().saturating_sub(before);
    assert!(begun.elapsed() < Duration::from_secs(10) && grown < 60, "{:?}, {grown} MiB", begun.elapsed());
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn nothing_that_a_supplier_compressed_is_unpacked(db: PgPool) {
    let app = TestApp::start(db).await;
    let key = customer(&app).await;
    let bomb = bytes::Bytes::from(bomb());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("bound");
    let served = bomb.clone();
    let kinds = [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_ENCODING, "gzip")];
    let router = Router::new().fallback(move || std::future::ready((kinds, served.clone())));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let led = sqlx::query("UPDATE channels SET base_url = $1 WHERE protocol = 'openai'").bind(format!("http://{addr}/v1"));
    led.execute(&app.state.db).await.expect("a channel");
    let (before, begun) = (memory(), Instant::now());
    let answer = http().post(app.url("/v1/chat/completions")).bearer_auth(&key.secret).json(&chat("sandbox/echo", "hi"));
    let answer = answer.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.bytes().await.expect("a whole body");
    let grown = memory().saturating_sub(before);
    assert!(body.len() <= bomb.len() && status == 502, "{status}: {} bytes", body.len());
    assert!(begun.elapsed() < Duration::from_secs(10) && grown < 60, "{:?}, {grown} MiB", begun.elapsed());
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn what_is_too_large_or_too_deep_is_refused_at_once_and_by_the_hundred(db: PgPool) {
    let app = TestApp::start(db).await;
    let key = customer(&app).await;
    let deep = format!(r#"{{"model":"sandbox/echo","messages":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n", key.secret);
    let (before, begun) = (memory(), Instant::now());
    let declared = futures::future::join_all(
        (0..100).map(|_| async { Raw::opened(app.addr, format!("{head}Content-Length: 1000000000\r\n\r\n")).await.until_closed().await }),
    );
    let nested = futures::future::join_all((0..100).map(|_| app.post_text("/v1/chat/completions", Some(&key.secret), deep.clone())));
    let calls = calls_go_on(&app, &key, 10, Duration::from_secs(5));
    let (declared, nested, ()) = tokio::join!(declared, nested, calls);
    assert!(declared.iter().all(|answer| statuses(answer) == [413]), "{}", declared[0]);
    assert!(nested.iter().all(|answer| answer.status == 400 && answer.error("code") == "invalid_json"));
    let grown = memory().saturating_sub(before);
    assert!(begun.elapsed() < Duration::from_secs(30) && grown < 250, "{:?}, {grown} MiB", begun.elapsed());
    app.assert_exact().await;
    app.stop().await;
}
