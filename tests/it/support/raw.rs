//! A caller who writes bytes, not requests.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything that a test waits for takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lets this process, and those it starts, open as many files as they may; a shell's default is 1,024.
pub fn raise_files() {
    let own = std::process::id().to_string();
    let raised = Command::new("sh").args(["-c", "prlimit --pid \"$0\" --nofile=$(ulimit -Hn):", &own]).status().expect("sh");
    assert!(raised.success());
}

pub struct Raw {
    stream: TcpStream,
    /// What was read and not given out.
    read: Vec<u8>,
}

impl Raw {
    pub async fn open(addr: SocketAddr) -> Raw {
        Raw { stream: TcpStream::connect(addr).await.expect("a connection"), read: Vec::new() }
    }

    pub async fn opened(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> Raw {
        let mut raw = Raw::open(addr).await;
        raw.send(bytes).await;
        raw
    }

    /// Sends, unless the other side has closed.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // What is wrong with that, the answer tells.
        let sent = tokio::time::timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await;
        drop(sent.expect("somebody reads"));
    }

    /// Whether nothing has come yet.
    pub fn is_silent(&mut self) -> bool {
        let mut bytes = [0; 1 << 10];
        if let Ok(read) = self.stream.try_read(&mut bytes) {
            self.read.extend_from_slice(&bytes[..read]);
        }
        self.read.is_empty()
    }

    /// Reads until this has come, and gives out all up to it.
    pub async fn until(&mut self, needle: &str) -> String {
        loop {
            if let Some(at) = self.read.windows(needle.len()).position(|window| window == needle.as_bytes()) {
                let rest = self.read.split_off(at + needle.len());
                return String::from_utf8_lossy(&std::mem::replace(&mut self.read, rest)).into_owned();
            }
            assert!(self.read_more().await, "closed before {needle:?}: {}", String::from_utf8_lossy(&self.read));
        }
    }

    /// Reads until the connection is closed.
    pub async fn bytes_until_closed(mut self) -> Vec<u8> {
        while self.read_more().await {}
        self.read
    }

    pub async fn until_closed(self) -> String {
        String::from_utf8_lossy(&self.bytes_until_closed().await).into_owned()
    }

    async fn read_more(&mut self) -> bool {
        let mut bytes = [0; 16 << 10];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes)).await.expect("bytes or the end, in time");
        match read {
            Ok(read) if read > 0 => self.read.extend_from_slice(&bytes[..read]),
            // A reset is an end too.
            Ok(_) | Err(_) => return false,
        }
        true
    }
}

/// The status of each answer in what was read.
pub fn statuses(text: &str) -> Vec<u16> {
    text.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)?.parse().ok()).collect()
}
