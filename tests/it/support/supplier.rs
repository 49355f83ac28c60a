//! A supplier whose every step the test makes: it says when a call is answered, with which words, and when the answer ends.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;

/// What every answer reports, and so charges.
pub const INPUT: i64 = 7;
pub const OUTPUT: i64 = 5;
pub const CHARGE: i64 = INPUT + OUTPUT;

pub struct Supplier {
    addr: SocketAddr,
    arrivals: mpsc::UnboundedReceiver<Arrived>,
}

/// A call that reached the supplier and waits for its answer.
pub struct Arrived {
    request: Bytes,
    reply: oneshot::Sender<Response>,
}

/// A stream that has begun; cut when it is dropped.
pub struct Answering(mpsc::UnboundedSender<Bytes>);

impl Supplier {
    pub async fn start() -> Supplier {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let router = Router::new().route("/v1/chat/completions", post(receive)).with_state(arrived);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Supplier { addr, arrivals }
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// The next call to arrive.
    pub async fn accept(&mut self) -> Arrived {
        tokio::time::timeout(Duration::from_secs(20), self.arrivals.recv()).await.expect("a call within 20 s").expect("the server lives")
    }

    /// The next call, if one has arrived.
    pub fn arrived(&mut self) -> Option<Arrived> {
        self.arrivals.try_recv().ok()
    }
}

async fn receive(State(arrived): State<mpsc::UnboundedSender<Arrived>>, request: Bytes) -> Response {
    let (reply, answer) = oneshot::channel();
    drop(arrived.send(Arrived { request, reply }));
    answer.await.unwrap_or_else(|_| axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

impl Arrived {
    /// Whether the caller wrote this.
    pub fn says(&self, words: &str) -> bool {
        String::from_utf8_lossy(&self.request).contains(words)
    }

    /// Answers in one piece.
    pub fn answer(self) {
        self.answer_with("Well.");
    }

    /// The same, in these words.
    pub fn answer_with(self, words: &str) {
        self.answer_reporting(words, usage());
    }

    /// Answers in one piece, and reports more than any hold of a small call.
    pub fn answer_dearly(self) {
        self.answer_reporting("Well.", json!({"prompt_tokens": 1_000, "completion_tokens": 1_000, "total_tokens": 2_000}));
    }

    fn answer_reporting(self, words: &str, usage: Value) {
        let message = json!({"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"});
        let body = json!({"id": "whole", "object": "chat.completion", "choices": [message], "usage": usage});
        // The gateway may be dead.
        drop(self.reply.send(axum::Json(body).into_response()));
    }

    /// Sends the headers of a stream.
    pub fn begin(self) -> Answering {
        let (chunks, queued) = mpsc::unbounded_channel();
        let body = Body::from_stream(UnboundedReceiverStream::new(queued).map(Ok::<_, Infallible>));
        drop(self.reply.send(([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()));
        Answering(chunks)
    }
}

impl Answering {
    pub fn word(&self, word: &str) {
        self.event(&json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": word}}]}).to_string());
    }

    /// The report of usage, and the end.
    pub fn end(self) {
        self.event(&json!({"object": "chat.completion.chunk", "choices": [], "usage": usage()}).to_string());
        self.event("[DONE]");
    }

    fn event(&self, data: &str) {
        drop(self.0.send(format!("data: {data}\n\n").into()));
    }
}

fn usage() -> Value {
    json!({"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": CHARGE})
}
