//! As much of HTTP/1.1 as both ends of the measurement need.

use memchr::memmem::find;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The length that a head announces. Names are written in small letters or as nginx writes them.
pub fn content_length(head: &[u8]) -> Option<usize> {
    let value = ["content-length: ", "Content-Length: "].iter().find_map(|name| Some(find(head, name.as_bytes())? + name.len()))?;
    let digits = head[value..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')))
}

/// A caller's connection, which it keeps.
pub struct Connection {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Connection {
    pub async fn open(addr: SocketAddr) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, bytes: Vec::with_capacity(16 << 10) })
    }

    /// Sends a request and reads its answer to the end.
    pub async fn call(&mut self, request: &[u8]) -> std::io::Result<()> {
        self.begin(request).await?;
        self.finish().await
    }

    /// Sends a request and reads until the first bytes of the answer's body are there.
    pub async fn begin(&mut self, request: &[u8]) -> std::io::Result<()> {
        self.bytes.clear();
        self.stream.write_all(request).await?;
        while find(&self.bytes, b"\r\n\r\n").is_none_or(|end| self.bytes.len() == end + 4) {
            self.read().await?;
        }
        if !self.bytes.starts_with(b"HTTP/1.1 200") {
            return Err(std::io::Error::other(String::from_utf8_lossy(&self.bytes).into_owned()));
        }
        Ok(())
    }

    /// Reads the rest.
    pub async fn finish(&mut self) -> std::io::Result<()> {
        let head = find(&self.bytes, b"\r\n\r\n").unwrap_or_default() + 4;
        let length = content_length(&self.bytes[..head]);
        while !length.map_or_else(|| self.bytes.ends_with(b"\r\n0\r\n\r\n"), |length| self.bytes.len() >= head + length) {
            self.read().await?;
        }
        // An answer that was broken off politely is none.
        let is_whole = length.is_some() || find(&self.bytes, b"[DONE]").is_some();
        if is_whole { Ok(()) } else { Err(std::io::Error::other(String::from_utf8_lossy(&self.bytes).into_owned())) }
    }

    async fn read(&mut self) -> std::io::Result<()> {
        match self.stream.read_buf(&mut self.bytes).await? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
