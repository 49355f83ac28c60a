//! Requests that are refused before any route sees them: status, form, and that the connection is closed.

use crate::support::client::http;
use crate::support::edge::{TestEdge, patient};
use crate::support::raw::{Raw, statuses};
use serde_json::Value;

/// What must not be read out of anything below.
const SMUGGLED: &str = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n";

/// Heads that are refused with 400, each followed by a request that somebody might take for a second one.
fn hostile() -> Vec<String> {
    let post = |fields: &str, body: &str| format!("POST /length HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}");
    vec![
        post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
        post("Content-Length: 0\r\nContent-Length: 44\r\n", ""),
        post("Content-Length: 0, 44\r\n", ""),
        post("Content-Length : 0\r\n", ""),
        post("Content-Length: +0\r\n", ""),
        post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: identity\r\n", ""),
        post("Transfer-Encoding:\u{b}chunked\r\n", "0\r\n\r\n"),
        post("X-One: 1\r\n folded\r\nContent-Length: 0\r\n", ""),
        post("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 2\r\n", "ab"),
        post("Upgrade: websocket\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("X-One: 1\nContent-Length: 44\r\n", ""),
        post("X-One: a\u{0}b\r\n", ""),
        post("Host: b\r\n", ""),
        "POST /length HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        "GET /ok HTTP/1.1\r\n\r\n".into(),
        "GET /ok HTTP/3.0\r\nHost: a\r\n\r\n".into(),
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n".into(),
        "nonsense\r\n\r\n".into(),
        "\u{16}\u{3}\u{1}\u{2}\r\n".into(),
    ]
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused_and_the_connection_closed() {
    let edge = TestEdge::start(patient()).await;
    for request in hostile() {
        let answers = Raw::opened(edge.addr, format!("{request}{SMUGGLED}")).await.until_closed().await;
        assert_eq!(statuses(&answers), [400], "{request:?}: {answers}");
        assert!(answers.contains("connection: close"), "{request:?}: {answers}");
        // Behind a sound request, which is answered first.
        let answers = Raw::opened(edge.addr, format!("{SMUGGLED}{request}{SMUGGLED}")).await.until_closed().await;
        assert_eq!(statuses(&answers), [200, 400], "{request:?}: {answers}");
    }
    edge.stop().await;
}

#[tokio::test]
async fn a_chunked_body_that_is_none_is_refused_and_the_connection_closed() {
    let edge = TestEdge::start(patient()).await;
    for body in ["x\r\n", "3\nabc\n0\n\n", "3\r\nabcd\r\n0\r\n\r\n", "-1\r\n\r\n", "ffffffffffffffffff\r\n"] {
        let request = format!("POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}{SMUGGLED}");
        let answers = Raw::opened(edge.addr, request).await.until_closed().await;
        assert_eq!(statuses(&answers), [400], "{body:?}: {answers}");
    }
    edge.stop().await;
}

#[tokio::test]
async fn sound_requests_are_served_however_they_are_cut() {
    let edge = TestEdge::start(patient()).await;
    let chunked = "POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-T: 1\r\n\r\n";
    let known = "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd";
    let upgrade = "GET /ok HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let last = "GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let all = format!("{SMUGGLED}{chunked}\r\n{known}{upgrade}{chunked}{last}");
    for size in [1, 7, 100, all.len()] {
        let mut raw = Raw::open(edge.addr).await;
        for piece in all.as_bytes().chunks(size) {
            raw.send(piece).await;
            tokio::task::yield_now().await;
        }
        let answers = raw.until_closed().await;
        assert_eq!(statuses(&answers), [200; 6], "pieces of {size}: {answers}");
        let bodies: Vec<_> = answers.split("\r\n\r\n").skip(1).map(|body| body.split("HTTP/").next().unwrap_or_default()).collect();
        assert_eq!(bodies, ["ok", "5", "4", "ok", "5", "ok"], "pieces of {size}");
    }
    edge.stop().await;
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let edge = TestEdge::start(patient()).await;
    let with = |fields: String| format!("GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    for (request, status) in [
        (with("X: y\r\n".repeat(98)), 200),
        (with("X: y\r\n".repeat(99)), 431),
        (with(format!("X: {}\r\n", "y".repeat(30 << 10))), 200),
        (with(format!("X: {}\r\n", "y".repeat(33 << 10))), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "t".repeat(8_000)), 404),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "t".repeat(8_200)), 414),
        (format!("GET /{}", "t".repeat(100_000)), 414),
    ] {
        let answer = Raw::opened(edge.addr, request).await.until_closed().await;
        assert_eq!(statuses(&answer), [status], "{answer}");
    }
    let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
    let status = client.get(edge.url(&format!("/{}", "t".repeat(8_200)))).send().await.expect("an answer").status();
    assert_eq!(status, 414);
    edge.stop().await;
}

#[tokio::test]
async fn heads_are_as_large_as_was_set() {
    for (head_bytes, served, refused) in [(8 << 10, 7 << 10, 9 << 10), (64 << 10, 60 << 10, 65 << 10), (128 << 10, 120 << 10, 129 << 10)] {
        let mut settings = patient();
        settings.head_bytes = head_bytes;
        let edge = TestEdge::start(settings).await;
        for (field, status) in [(served, 200), (refused, 431)] {
            let request = format!("GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: {}\r\n\r\n", "y".repeat(field));
            let answer = Raw::opened(edge.addr, request).await.until_closed().await;
            assert_eq!(statuses(&answer), [status], "{head_bytes}: {answer}");
        }
        edge.stop().await;
    }
}

#[tokio::test]
async fn refusals_have_the_form_of_whoever_asks() {
    let edge = TestEdge::start(patient()).await;
    let refused = async |path: &str| {
        let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
        let answer = Raw::opened(edge.addr, request).await.until_closed().await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.to_string(), body.to_string())
    };
    let (head, body) = refused("/v1/chat/completions").await;
    let error: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((error["error"]["code"].as_str(), error["error"]["param"].as_str()), (Some("malformed_request"), None));
    assert!(head.contains("application/json") && head.contains("x-request-id: ") && head.contains("openai-processing-ms: 0"), "{head}");
    let (head, body) = refused("/v1/messages?beta=true").await;
    assert!(head.contains("\r\nrequest-id: ") && head.contains("openai-processing-ms: 0"), "{head}");
    let error: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((error["type"].as_str(), error["error"]["type"].as_str()), (Some("error"), Some("invalid_request_error")));
    let (head, body) = refused("/wallet").await;
    assert!(head.contains("text/plain") && body.contains("malformed"), "{head}\n{body}");
    edge.stop().await;
}

#[tokio::test]
async fn compressed_bodies_are_refused() {
    let edge = TestEdge::start(patient()).await;
    let post = |encoding: &'static str, path: &str| http().post(edge.url(path)).header("content-encoding", encoding).body("abc").send();
    for encoding in ["gzip", "br", "deflate, gzip", "identity, gzip", "x"] {
        assert_eq!(post(encoding, "/length").await.expect("an answer").status(), 415, "{encoding}");
    }
    assert_eq!(post("identity", "/length").await.expect("an answer").status(), 200);
    let error: Value = post("gzip", "/v1/embeddings").await.expect("an answer").json().await.expect("JSON");
    assert_eq!(error["error"]["code"], "unsupported_encoding");
    edge.stop().await;
}

#[tokio::test]
async fn only_trusted_proxies_say_who_the_caller_is() {
    let who = async |edge: &TestEdge, forwarded: &str| {
        let request = format!("GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{forwarded}\r\n");
        let answer = Raw::opened(edge.addr, request).await.until_closed().await;
        answer.rsplit("\r\n").next().unwrap_or_default().to_string()
    };
    let trusting = |network: &str| {
        let mut settings = patient();
        settings.trusted_proxies = vec![network.parse().expect("a network")];
        settings
    };
    let (alone, behind) = (TestEdge::start(patient()).await, TestEdge::start(trusting("127.0.0.0/8")).await);
    let elsewhere = TestEdge::start(trusting("10.0.0.0/8")).await;
    for (forwarded, caller) in [
        ("", "127.0.0.1"),
        ("X-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7"),
        ("X-Forwarded-For: 1.1.1.1, 198.51.100.7, 127.0.0.9\r\n", "198.51.100.7"),
        ("X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7"),
        ("X-Forwarded-For: 198.51.100.7, nobody\r\n", "127.0.0.1"),
        ("X-Forwarded-For: ::ffff:198.51.100.7\r\n", "198.51.100.7"),
    ] {
        assert_eq!(who(&behind, forwarded).await, caller, "{forwarded}");
        assert_eq!((who(&alone, forwarded).await, who(&elsewhere, forwarded).await), ("127.0.0.1".into(), "127.0.0.1".into()));
    }
    for edge in [alone, behind, elsewhere] {
        edge.stop().await;
    }
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET path`, whole.
fn headers(stream: u32, path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, path.len() as u8];
    block.extend(path.as_bytes());
    block.extend([0x41, 1, b'a']);
    frame(1, 5, stream, &block)
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test]
async fn streams_that_are_reset_as_fast_as_they_come_end_the_connection() {
    let edge = TestEdge::start(patient()).await;
    let mut bytes = [PREFACE, &frame(4, 0, 0, &[])].concat();
    for stream in (1..4_001).step_by(2) {
        bytes.extend(headers(stream, "/ok"));
        bytes.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    let answer = Raw::opened(edge.addr, bytes).await.bytes_until_closed().await;
    let goaway = [7, 0, 0, 0, 0, 0];
    assert!(answer.windows(goaway.len()).any(|window| window == goaway), "no GOAWAY: {answer:?}");
    edge.stop().await;
}

#[tokio::test]
async fn an_http2_caller_who_takes_nothing_is_cut_off() {
    let mut settings = patient();
    settings.write = std::time::Duration::from_secs(1);
    let edge = TestEdge::start(settings).await;
    // Windows of no size.
    let bytes = [PREFACE, &frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]), &headers(1, "/big")].concat();
    Raw::opened(edge.addr, bytes).await.bytes_until_closed().await;
    edge.stop().await;
}
