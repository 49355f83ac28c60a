//! Where callers connect: the accept loop, and what every connection and every request must keep to before a route sees it.

mod activity;
pub mod body;
mod chunks;
mod client;
mod connection;
mod framing;
mod open;
pub mod refused;
mod socket;

pub use framing::MOST_HEAD_BYTES;
pub use open::most_by_default;
pub use refused::Refusals;

use crate::gateway::{Refused, Threads};
use crate::server::edge::activity::Ask;
use crate::server::edge::open::{Open, Place};
use axum::Router;
use hyper::rt::Executor;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto::Builder;
use ipnet::IpNet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Until files are there again, after an accept that failed for want of them.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Connections that are told at the same time that there are too many; the others are closed without a word.
const TOLD_AT_ONCE: usize = 64;
/// How long such a connection stays for its caller to read that.
const TOLD_FOR: Duration = Duration::from_secs(1);

/// Requests at once on one HTTP/2 connection.
const MOST_STREAMS: u32 = 128;
/// Streams that a peer has reset before they were served, and that we have for its errors: beyond them it is cut off.
const MOST_RESETS: usize = 20;
const MOST_ERRORS: usize = 256;
/// What may arrive on a stream, and on all of a connection, before it is read.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = 512 << 10;
const MOST_FRAME: u32 = 16 << 10;
/// What is kept to be sent, and of a head that is read.
const MOST_BUFFER: usize = 64 << 10;
/// How often an HTTP/2 peer must show that it is there, and how long it may take over it.
const PING_EVERY: Duration = Duration::from_secs(20);

/// How long callers may take, how many there may be, and whom they may speak for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For the head of a request, and for a new connection to say anything.
    pub header: Duration,
    /// Without a byte of a body.
    pub body: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Without reading anything of an answer.
    pub write: Duration,
    pub most_connections: usize,
    /// Of the head of a request.
    pub head_bytes: usize,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Counted here.
    pub refusals: Refusals,
}

impl Settings {
    fn shortest(&self) -> Duration {
        self.header.min(self.idle).min(self.write)
    }
}

struct Edge {
    settings: Settings,
    builder: Builder<Tracked>,
    router: Router,
}

/// Runs what HTTP/2 does at once, where it is waited for.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tracked {
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// Serves on `threads` until `shutdown` is cancelled; then takes no new connection and no new request, and returns when those that run are
/// done. Dropped before, it cuts them off.
pub async fn serve(listener: TcpListener, router: Router, settings: Settings, threads: Threads, shutdown: CancellationToken) {
    let listener = listener.into_std();
    // Where callers are served, since pages would keep it waiting.
    let accepting = threads.clone().on_first(|| {
        TaskTracker::new().spawn(async move {
            match listener.and_then(TcpListener::from_std) {
                Ok(listener) => accept(listener, router, settings, threads, shutdown).await,
                Err(error) => tracing::error!(%error, "nobody can connect"),
            }
        })
    });
    if let Err(error) = AbortOnDropHandle::new(accepting).await {
        tracing::error!(%error, "nobody can connect any more");
    }
}

async fn accept(listener: TcpListener, router: Router, settings: Settings, threads: Threads, shutdown: CancellationToken) {
    let tasks = TaskTracker::new();
    let open = Open::new(settings.most_connections);
    let _cut = CutWhenDropped(open.clone());
    let too_many = TooMany { telling: Arc::new(Semaphore::new(TOLD_AT_ONCE)), refusals: settings.refusals.clone() };
    let builder = builder(&tasks, settings.head_bytes);
    let edge = Arc::new(Edge { settings, builder, router });
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                socket::tune(&stream);
                match open.enter() {
                    Some(place) => threads.spawn(&tasks, served_there(edge.clone(), stream.into_std(), peer, place)),
                    None => too_many.tell(&tasks, stream, peer),
                }
            }
            // The caller left before we came.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be taken");
                open.make_room();
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
    drop(listener);
    open.ask_all(Ask::End);
    tasks.close();
    tasks.wait().await;
}

/// Serves a connection on the thread that runs this, which also hears of what comes on it.
async fn served_there(edge: Arc<Edge>, stream: std::io::Result<std::net::TcpStream>, peer: SocketAddr, place: Place) {
    match stream.and_then(TcpStream::from_std) {
        Ok(stream) => connection::serve(edge, stream, peer, place).await,
        Err(error) => tracing::error!(%error, "a connection cannot be served"),
    }
}

fn builder(tasks: &TaskTracker, head_bytes: usize) -> Builder<Tracked> {
    let mut builder = Builder::new(Tracked(tasks.clone()));
    // The time for a head is kept by the connection's own clock.
    builder.http1().header_read_timeout(None).max_buf_size(MOST_BUFFER.max(2 * head_bytes));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .max_pending_accept_reset_streams(MOST_RESETS)
        .max_local_error_reset_streams(MOST_ERRORS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MOST_FRAME)
        .max_header_list_size(head_bytes as u32)
        .max_send_buf_size(MOST_BUFFER)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    builder
}

struct CutWhenDropped(Arc<Open>);

impl Drop for CutWhenDropped {
    fn drop(&mut self) {
        self.0.ask_all(Ask::Cut);
    }
}

/// The answer to connections for which there is no place.
struct TooMany {
    telling: Arc<Semaphore>,
    refusals: Refusals,
}

impl TooMany {
    fn tell(&self, tasks: &TaskTracker, mut stream: TcpStream, peer: SocketAddr) {
        tracing::debug!(%peer, "too many connections");
        self.refusals.count(Refused::Connections);
        let Ok(turn) = self.telling.clone().try_acquire_owned() else { return };
        let words = refused::too_many_connections();
        tasks.spawn(async move {
            let _turn = turn;
            let told = async {
                stream.write_all(&words).await?;
                stream.shutdown().await?;
                // What the caller sends meanwhile would reset the connection before it has read that.
                while stream.read(&mut [0; 1 << 10]).await? > 0 {}
                std::io::Result::Ok(())
            };
            drop(tokio::time::timeout(TOLD_FOR, told).await);
        });
    }
}
