//! A supplier that costs as little as one can: canned answers, one thread.

use memchr::memmem::find;
use std::net::SocketAddr;
use std::sync::LazyLock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Events of a stream, the last two not counted.
pub const CHUNKS: usize = 64;
/// A request that has this in it gets a stream whose end never comes.
pub const FOR_EVER: &str = "for ever";

static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let body = r#"{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"model","choices":[{"index":0,"message":{"role":"assistant","content":"A log is written in order, tables are not.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":40,"completion_tokens":10,"total_tokens":50}}"#;
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
});
static HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
static EVENT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    chunk(
        r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"model","choices":[{"index":0,"delta":{"content":"word "},"logprobs":null,"finish_reason":null}]}"#,
    )
});
static USAGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    chunk(
        r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"model","choices":[],"usage":{"prompt_tokens":40,"completion_tokens":64,"total_tokens":104}}"#,
    )
});
static DONE: LazyLock<Vec<u8>> = LazyLock::new(|| [&chunk("data: [DONE]")[..], b"0\r\n\r\n"].concat());

/// An event as one piece of a chunked body.
fn chunk(event: &str) -> Vec<u8> {
    format!("{:x}\r\n{event}\n\n\r\n", event.len() + 2).into_bytes()
}

/// Serves on a thread of its own until the process ends.
pub fn start() -> std::io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
    });
    Ok(addr)
}

/// Answers request after request, until the other side is done or breaks off.
async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::with_capacity(4 << 10);
    loop {
        let end = loop {
            if let Some(end) = end_of_request(&bytes) {
                break end;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        };
        let request = &bytes[..end];
        if find(request, FOR_EVER.as_bytes()).is_some() {
            stream.write_all(&[HEAD, &EVENT].concat()).await?;
            // Until the other side leaves.
            return stream.read_u8().await.map(drop);
        }
        if find(request, b"\"stream\":true").is_some() {
            let wants_usage = find(request, b"include_usage").is_some();
            stream.write_all(HEAD).await?;
            for _ in 0..CHUNKS {
                stream.write_all(&EVENT).await?;
                // Each event by itself, as a model makes them.
                tokio::task::yield_now().await;
            }
            if wants_usage {
                stream.write_all(&USAGE).await?;
            }
            stream.write_all(&DONE).await?;
        } else {
            stream.write_all(&WHOLE).await?;
        }
        bytes.drain(..end);
    }
}

/// Where the first request in there ends, when all of it is there. Requests have a length.
fn end_of_request(bytes: &[u8]) -> Option<usize> {
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let length = crate::http::content_length(&bytes[..head]).unwrap_or(0);
    (bytes.len() >= head + length).then_some(head + length)
}
