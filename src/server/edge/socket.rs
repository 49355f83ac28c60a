//! A connection's socket as the parser sees it: heads are held back until they are whole and known to be sound.

use crate::gateway::Refused;
use crate::server::edge::activity::Activity;
use crate::server::edge::chunks::Chunks;
use crate::server::edge::framing::{BodyLength, HeadScan, Scanned, is_http2};
use crate::server::edge::refused::{Refusal, STAND_IN};
use bytes::{Buf, BytesMut};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// What is read at once while a head is expected.
const READ_AT_ONCE: usize = 4 << 10;
/// A connection that is closed while its caller still sends stays for so long, and takes so much more, so that the answer is read: a
/// socket that is closed with bytes unread in it resets the connection.
const GOODBYE: Duration = Duration::from_secs(2);
const MOST_AFTER_GOODBYE: usize = 64 << 10;

pub struct Socket {
    stream: TcpStream,
    activity: Arc<Activity>,
    most_head_bytes: usize,
    /// What was read and not handed on; the parser may have the first `cleared` bytes.
    buffer: BytesMut,
    cleared: usize,
    expected: Expected,
    is_blocked: bool,
    goodbye: Option<Goodbye>,
}

/// What the next bytes are.
enum Expected {
    /// The first head, or another protocol.
    First(HeadScan),
    Head(HeadScan),
    Body(u64),
    Chunks(Chunks),
    /// HTTP/2, which has frames of its own.
    Frames,
    /// Nothing that is read any more: a head was refused.
    Nothing,
}

struct Goodbye {
    until: Pin<Box<Sleep>>,
    read: usize,
}

/// What the kernel keeps of an answer. Left to itself it keeps megabytes, and takes more only when a third of that has been read.
const SEND_BUFFER: usize = 256 << 10;

/// Small answers leave at once; a peer that vanished is found out.
pub fn tune(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(20));
    let set = |stream: &TcpStream| {
        stream.set_nodelay(true)?;
        SockRef::from(stream).set_send_buffer_size(SEND_BUFFER)?;
        SockRef::from(stream).set_tcp_keepalive(&keepalive)
    };
    if let Err(error) = set(stream) {
        // It may be gone already.
        tracing::debug!(%error, "a socket took no options");
    }
}

impl Socket {
    pub fn new(stream: TcpStream, activity: Arc<Activity>, most_head_bytes: usize) -> Socket {
        let expected = Expected::First(HeadScan::within(most_head_bytes));
        Socket { stream, activity, most_head_bytes, buffer: BytesMut::new(), cleared: 0, expected, is_blocked: false, goodbye: None }
    }

    /// Looks at what is buffered of a head. Whether more bytes are needed to say.
    fn needs_more(&mut self) -> bool {
        // Some send an empty line behind a body that has none.
        while self.buffer.starts_with(b"\r\n") {
            self.buffer.advance(2);
            self.expected = Expected::Head(HeadScan::within(self.most_head_bytes));
        }
        if self.buffer.is_empty() {
            self.activity.head_ends();
            return true;
        }
        let needs_more = self.is_unclear();
        if needs_more {
            self.activity.head_begins();
        }
        needs_more
    }

    fn is_unclear(&mut self) -> bool {
        if let Expected::First(_) = self.expected {
            match is_http2(&self.buffer) {
                None => return true,
                Some(true) => {
                    self.expected = Expected::Frames;
                    self.activity.set_http2();
                    return false;
                }
                Some(false) => {}
            }
        }
        let (Expected::First(scan) | Expected::Head(scan)) = &mut self.expected else { return false };
        match scan.scan(&self.buffer) {
            Scanned::More => return true,
            Scanned::Refused(why) => self.refuse(why),
            Scanned::Whole { bytes, body } => {
                self.cleared = bytes;
                self.activity.head_ends();
                self.expected = match body {
                    BodyLength::Known(length) => Expected::Body(length),
                    BodyLength::Chunked => Expected::Chunks(Chunks::default()),
                };
            }
        }
        false
    }

    fn refuse(&mut self, why: Refused) {
        self.activity.head_ends();
        self.activity.refuse(Refusal::of(why, &self.buffer));
        self.buffer.clear();
        self.buffer.extend_from_slice(STAND_IN);
        self.cleared = STAND_IN.len();
        self.expected = Expected::Nothing;
    }

    /// Reads on in a head; false at the end of what the caller sends.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut bytes = [0; READ_AT_ONCE];
        let mut read = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        self.buffer.extend_from_slice(read.filled());
        Poll::Ready(Ok(!read.filled().is_empty()))
    }

    /// Whether the caller sends, or may still be sending, what nobody will read.
    fn has_unread(&self) -> bool {
        match &self.expected {
            Expected::Body(left) => *left > 0 || !self.buffer.is_empty(),
            Expected::Chunks(chunks) => !chunks.is_over() || !self.buffer.is_empty(),
            Expected::Nothing => true,
            Expected::First(_) | Expected::Head(_) | Expected::Frames => !self.buffer.is_empty(),
        }
    }

    fn note_write<T>(&mut self, polled: Poll<T>) -> Poll<T> {
        if polled.is_pending() != self.is_blocked {
            self.is_blocked = polled.is_pending();
            self.activity.set_blocked(self.is_blocked);
        }
        polled
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.cleared > 0 {
                let handed = this.cleared.min(out.remaining());
                out.put_slice(&this.buffer[..handed]);
                this.buffer.advance(handed);
                this.cleared -= handed;
                return Poll::Ready(Ok(()));
            }
            let buffered = this.buffer.len();
            match &mut this.expected {
                Expected::First(_) | Expected::Head(_) => {
                    if this.activity.take_head_timeout() {
                        this.refuse(Refused::HeadTimeout);
                    } else if (buffered == 0 || this.needs_more()) && !ready!(this.poll_fill(cx))? {
                        return Poll::Ready(Ok(()));
                    }
                }
                Expected::Body(0) => this.expected = Expected::Head(HeadScan::within(this.most_head_bytes)),
                Expected::Body(left) if buffered > 0 => {
                    this.cleared = buffered.min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= this.cleared as u64;
                }
                Expected::Body(left) => {
                    let most = out.remaining().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    let mut read = ReadBuf::new(out.initialize_unfilled_to(most));
                    ready!(Pin::new(&mut this.stream).poll_read(cx, &mut read))?;
                    let read = read.filled().len();
                    *left -= read as u64;
                    out.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Expected::Chunks(chunks) if chunks.is_over() => this.expected = Expected::Head(HeadScan::within(this.most_head_bytes)),
                Expected::Chunks(chunks) if buffered > 0 => {
                    this.cleared = chunks.take(&this.buffer).map_err(|_| malformed())?;
                }
                Expected::Chunks(chunks) => {
                    let before = out.filled().len();
                    ready!(Pin::new(&mut this.stream).poll_read(cx, out))?;
                    let taken = chunks.take(&out.filled()[before..]).map_err(|_| malformed())?;
                    this.buffer.extend_from_slice(&out.filled()[before + taken..]);
                    out.set_filled(before + taken);
                    return Poll::Ready(Ok(()));
                }
                Expected::Frames if buffered > 0 => this.cleared = buffered,
                Expected::Frames => return Pin::new(&mut this.stream).poll_read(cx, out),
                // The answer closes the connection.
                Expected::Nothing => return Poll::Pending,
            }
        }
    }
}

fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note_write(polled)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.note_write(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.goodbye.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.has_unread() {
                return Poll::Ready(Ok(()));
            }
        }
        let goodbye = this.goodbye.get_or_insert_with(|| Goodbye { until: Box::pin(tokio::time::sleep(GOODBYE)), read: 0 });
        while goodbye.until.as_mut().poll(cx).is_pending() {
            if goodbye.read >= MOST_AFTER_GOODBYE {
                return Poll::Pending;
            }
            let mut bytes = [0; READ_AT_ONCE];
            let mut read = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut read)) {
                Ok(()) if !read.filled().is_empty() => goodbye.read += read.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
