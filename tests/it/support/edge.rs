//! The edge alone, before a router of a few lines.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Extension;
use axum::routing::{get, post};
use futures::StreamExt;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use toki::gateway::{ClientAddress, Threads, half_of_processors};
use toki::server::edge::{self, MOST_HEAD_BYTES, Refusals, Settings};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How large the answer of `/big` is: more than two sockets hold.
pub const BIG: usize = 64 << 20;

pub struct TestEdge {
    pub addr: SocketAddr,
    pub shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

/// Nobody who behaves meets these limits.
pub fn patient() -> Settings {
    let long = Duration::from_secs(60);
    Settings {
        header: long,
        body: long,
        idle: long,
        write: long,
        most_connections: 1_000,
        head_bytes: MOST_HEAD_BYTES,
        trusted_proxies: Vec::new(),
        refusals: Refusals::default(),
    }
}

impl TestEdge {
    pub async fn start(settings: Settings) -> TestEdge {
        // A second call finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (addr, shutdown) = (listener.local_addr().expect("bound"), CancellationToken::new());
        let threads = Threads::start(half_of_processors()).expect("threads");
        TestEdge { addr, serving: tokio::spawn(edge::serve(listener, router(), settings, threads, shutdown.clone())), shutdown }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub fn has_ended(&self) -> bool {
        self.serving.is_finished()
    }

    /// Asks it to end and waits until it has.
    pub async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(20), self.serving).await.expect("ended in time").expect("no panic");
    }
}

fn router() -> Router {
    Router::new()
        .route("/ok", get(|| async { "ok" }))
        .route("/length", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/who", get(|Extension(ClientAddress(address)): Extension<ClientAddress>| async move { address.to_string() }))
        .route("/big", get(|| async { Bytes::from(vec![b'x'; BIG]) }))
        .route("/words", get(words))
        .route("/hang", get(|| async { std::future::pending::<()>().await }))
}

/// Ten words a second for two seconds.
async fn words() -> Body {
    let words = futures::stream::iter(0..20).then(|number| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok::<_, Infallible>(Bytes::from(format!("word{number};")))
    });
    Body::from_stream(words)
}
