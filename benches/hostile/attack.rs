//! The attackers: each kind of load, kept up until it is ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Failed = Box<dyn std::error::Error>;

/// Sockets that send a byte now and then.
const SLOW_SOCKETS: usize = 2_000;
/// Sign-ins under way at once.
const SIGN_INS: usize = 200;
/// Attackers of the other kinds, who go on and on.
const ATTACKERS: usize = 8;
/// Before a refused attacker tries again, as somebody's loop over a network takes.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    SlowSockets,
    SignIns,
    LargeBodies,
    DeepJson,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::SlowSockets, Kind::SignIns, Kind::LargeBodies, Kind::DeepJson];

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::SlowSockets => "2,000 slow sockets",
            Kind::SignIns => "200 sign-ins at once",
            Kind::LargeBodies => "declared bodies of 1 GB",
            Kind::DeepJson => "JSON of 100,000 levels",
        }
    }

    fn attackers(self) -> usize {
        match self {
            Kind::SlowSockets => SLOW_SOCKETS,
            Kind::SignIns => SIGN_INS,
            Kind::LargeBodies | Kind::DeepJson => ATTACKERS,
        }
    }

    /// What one of them sends; another one each time.
    fn request(self, key: &str, number: usize) -> Vec<u8> {
        let call = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n");
        match self {
            Kind::SlowSockets => format!("{call}x-slow: ").into_bytes(),
            Kind::SignIns => {
                let body = format!("email=user{number}%40example.com&password=not+the+password");
                let from = format!("10.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255);
                format!(
                    "POST /api/accounts/sign_in HTTP/1.1\r\nhost: bench\r\nsec-fetch-site: same-origin\r\nx-forwarded-for: {from}\r\n\
                     content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                )
                .into_bytes()
            }
            Kind::LargeBodies => format!("{call}content-length: 1000000000\r\n\r\n").into_bytes(),
            Kind::DeepJson => {
                let body = format!(r#"{{"model":"bench/model","messages":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
                format!("{call}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).into_bytes()
            }
        }
    }
}

/// An attack that goes on until it is ended.
pub struct Attack {
    ends: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<usize, std::io::Error>>,
}

impl Attack {
    /// Returns once the attack is at its height.
    pub fn begin(kind: Kind, addr: SocketAddr, key: &str) -> Result<Attack, Failed> {
        let (ends, key) = (Arc::new(AtomicBool::new(false)), key.to_string());
        let until = ends.clone();
        let (at_height, height) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(run(kind, addr, &key, &until, at_height)))
        });
        height.recv_timeout(Duration::from_secs(60))?;
        Ok(Attack { ends, thread })
    }

    /// How many requests were sent, or sockets kept.
    pub fn end(self) -> Result<usize, Failed> {
        self.ends.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| "the attackers failed")??)
    }
}

async fn run(kind: Kind, addr: SocketAddr, key: &str, ends: &AtomicBool, at_height: std::sync::mpsc::Sender<()>) -> usize {
    let (sent, begun) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let attackers = (0..kind.attackers()).map(|_| async {
        let mut first = true;
        while !ends.load(Ordering::Relaxed) {
            let number = sent.fetch_add(1, Ordering::Relaxed);
            // A refused connection is tried again like a refused request.
            let opened = open(addr, &kind.request(key, number)).await;
            if std::mem::take(&mut first) && begun.fetch_add(1, Ordering::Relaxed) + 1 == kind.attackers() {
                let _ = at_height.send(());
            }
            if let Ok(stream) = opened {
                stay(kind, stream, ends).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    futures::future::join_all(attackers).await;
    sent.into_inner()
}

async fn open(addr: SocketAddr, request: &[u8]) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(request).await?;
    Ok(stream)
}

/// Reads the answer to its end; a slow socket sends a byte a second instead, until it is cut off.
async fn stay(kind: Kind, mut stream: TcpStream, ends: &AtomicBool) {
    let mut answer = [0; 4_096];
    while !ends.load(Ordering::Relaxed) {
        match tokio::time::timeout(Duration::from_secs(1), stream.read(&mut answer)).await {
            Ok(Ok(0) | Err(_)) => return,
            Ok(Ok(_)) => {}
            Err(_) if kind == Kind::SlowSockets => {
                if stream.write_all(b"x").await.is_err() {
                    return;
                }
            }
            Err(_) => {}
        }
    }
}
