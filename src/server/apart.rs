//! Requests whose answers take work are answered on the program's own threads, and not on those of calls (`gateway::threads`): a page takes
//! milliseconds, in which every call of that thread would wait.

use axum::Router;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::{FutureExt, Stream, StreamExt};
use std::io::ErrorKind;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tower_service::Service;

/// As much goes over in one piece; most answers do as a whole, with their head: to wake the other thread takes as long as a small statement.
const ONE_PIECE: usize = 256 << 10;

type Piece = Result<Bytes, axum::Error>;

/// Has `router` answer on the runtime of `threads`. Where the caller leaves, it stops.
pub async fn answer(threads: Handle, mut router: Router, request: Request) -> Response {
    let (mut reply, answer) = oneshot::channel();
    let is_head = request.method() == Method::HEAD;
    threads.spawn(async move {
        let response = tokio::select! {
            Ok(response) = router.call(request) => response,
            () = reply.closed() => return,
        };
        let (head, body) = response.into_parts();
        let mut body = body.into_data_stream();
        let (piece, follows) = gather(Bytes::new(), &mut body);
        // What a HEAD leaves out is no body of no bytes, whose length would be told.
        if !is_head && matches!(follows, Some(None)) {
            let _ = reply.send(Response::from_parts(head, Body::from(piece)));
            return;
        }
        let (pieces, passed) = mpsc::channel(1);
        if reply.send(Response::from_parts(head, Body::from_stream(until_its_end(passed)))).is_ok() {
            pass_on(piece, follows, body, pieces).await;
        }
    });
    // Closed without an answer where something panicked or broke off, or where the program ends.
    answer.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// What goes over: pieces, and `None` when that was all.
type Passed = Option<Piece>;

/// Passes on what is there of a body, and then the rest as it comes, together what is there together.
async fn pass_on(mut piece: Bytes, mut follows: Option<Option<Piece>>, mut body: BodyDataStream, passed: mpsc::Sender<Passed>) {
    let passing = async {
        loop {
            let sent = async { piece.is_empty() || passed.send(Some(Ok(std::mem::take(&mut piece)))).await.is_ok() };
            // What comes next is brought to where it can wait: a stream that is stopped in the middle of a statement would keep its
            // connection for as long as its caller reads nothing.
            let next = match follows {
                Some(follows) => sent.await.then_some(follows).flatten(),
                None => futures::future::join(sent, body.next()).await.1,
            };
            match next {
                Some(Ok(first)) => (piece, follows) = gather(first, &mut body),
                end => return drop(passed.send(end).await),
            }
        }
    };
    tokio::select! {
        () = passing => {}
        () = passed.closed() => {}
    }
}

/// What is there already, with what follows it where that is known: another piece that is no good, or the end.
fn gather(first: Bytes, body: &mut BodyDataStream) -> (Bytes, Option<Option<Piece>>) {
    let mut together = Vec::from(first);
    while together.len() < ONE_PIECE {
        match body.next().now_or_never() {
            Some(Some(Ok(piece))) => together.extend_from_slice(&piece),
            Some(follows) => return (together.into(), Some(follows)),
            None => break,
        }
    }
    (together.into(), None)
}

/// The pieces as a stream. One whose end was never told broke off.
fn until_its_end(passed: mpsc::Receiver<Passed>) -> impl Stream<Item = Piece> {
    futures::stream::unfold(Some(passed), |passed| async {
        let mut passed = passed?;
        let error = match passed.recv().await {
            Some(Some(Ok(piece))) => return Some((Ok(piece), Some(passed))),
            Some(Some(Err(error))) => error,
            Some(None) => return None,
            None => axum::Error::new(std::io::Error::from(ErrorKind::BrokenPipe)),
        };
        // Hyper writes when there is nothing more for now, and writes nothing behind an error: neither what came before it.
        tokio::task::yield_now().await;
        Some((Err(error), None))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use axum::routing::get;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;

    async fn asked(router: Router) -> Response {
        answer(Handle::current(), router, Request::new(Body::empty())).await
    }

    async fn text(response: Response) -> String {
        let bytes = to_bytes(response.into_body(), usize::MAX).await.expect("a whole body");
        String::from_utf8(bytes.into()).expect("text")
    }

    #[tokio::test]
    async fn an_answer_arrives_as_it_was_given() {
        for length in [0, 1, ONE_PIECE, ONE_PIECE + 1, 5 * ONE_PIECE] {
            let given = "x".repeat(length);
            let response = asked(Router::new().route("/", get(move || async { (StatusCode::ACCEPTED, given) }))).await;
            let said = response.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
            assert_eq!((response.status(), said), (StatusCode::ACCEPTED, Some(length)));
            assert_eq!(text(response).await.len(), length);
        }
        let pieces = || futures::stream::iter((0..1_000).map(|n| Ok::<_, std::io::Error>(format!("{n},"))));
        let response = asked(Router::new().route("/", get(move || async move { Body::from_stream(pieces()) }))).await;
        assert_eq!(text(response).await, (0..1_000).map(|n| format!("{n},")).collect::<String>());
    }

    #[tokio::test]
    async fn what_breaks_off_is_not_taken_for_whole() {
        let pieces = || futures::stream::iter([Ok("half"), Err(std::io::Error::other("gone"))]);
        let response = asked(Router::new().route("/", get(move || async move { Body::from_stream(pieces()) }))).await;
        assert!(to_bytes(response.into_body(), usize::MAX).await.is_err());
        let breaks = || {
            async_stream::stream! {
                yield Ok::<_, std::io::Error>("piece");
                tokio::time::sleep(Duration::from_millis(20)).await;
                if true { panic!("half-way") }
            }
        };
        let response = asked(Router::new().route("/", get(move || async move { Body::from_stream(breaks()) }))).await;
        assert!(to_bytes(response.into_body(), usize::MAX).await.is_err());
        let panics = Router::new().route(
            "/",
            get(|| async {
                if true {
                    panic!("rendering")
                }
            }),
        );
        assert_eq!(asked(panics).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[tokio::test]
    async fn what_came_before_a_break_is_read() {
        let (pieces, passed) = mpsc::channel(2);
        for piece in [Ok(Bytes::from("half")), Err(axum::Error::new(std::io::Error::other("gone")))] {
            pieces.send(Some(piece)).await.expect("room for both");
        }
        let body = Arc::new(Mutex::new(Some(Body::from_stream(until_its_end(passed)))));
        let router = Router::new().route("/", get(move || async move { body.lock().expect("once").take().unwrap_or_default() }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut caller = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
        let serving = axum::serve(listener, router).into_future();
        let asking = async {
            caller.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
            let mut read = String::new();
            caller.read_to_string(&mut read).await.expect("text");
            read
        };
        let read = tokio::select! {
            read = asking => read,
            _ = serving => unreachable!("serves on"),
        };
        assert!(read.ends_with("4\r\nhalf\r\n"), "{read}");
    }

    #[tokio::test]
    async fn a_head_has_the_length_of_its_get_or_none() {
        let page = || async { Body::from_stream(futures::stream::iter([Ok::<_, std::io::Error>("a page")])) };
        let inner = Router::new().route("/page", get(page)).route("/short", get(|| async { "short" }));
        let outer = Router::new().fallback(move |request| answer(Handle::current(), inner.clone(), request));
        for (path, length) in [("/page", None), ("/short", Some("5"))] {
            let request = Request::head(path).body(Body::empty()).expect("a request");
            let Ok(response) = outer.clone().call(request).await;
            let said = response.headers().get("content-length").map(|length| length.to_str().expect("digits").to_string());
            assert_eq!((said.as_deref(), text(response).await.as_str()), (length, ""), "{path}");
        }
    }

    #[tokio::test]
    async fn who_reads_slowly_holds_nothing_that_a_stream_holds_while_it_works() {
        let works = Arc::new(AtomicBool::new(false));
        let working = works.clone();
        let stream = async_stream::stream! {
            loop {
                working.store(true, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
                working.store(false, Ordering::Relaxed);
                yield Ok::<_, std::io::Error>("rows");
            }
        };
        let body = Arc::new(Mutex::new(Some(Body::from_stream(stream))));
        let response =
            asked(Router::new().route("/", get(move || async move { body.lock().expect("once").take().unwrap_or_default() }))).await;
        // Nobody reads, and the stream comes to stand where it works no more.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!works.load(Ordering::Relaxed));
        drop(response);
    }

    /// Tells when it is dropped.
    struct Told(Arc<Notify>);

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }

    #[tokio::test]
    async fn a_stream_comes_piece_by_piece_and_ends_with_who_leaves() {
        let ended = Arc::new(Notify::new());
        let told = ended.clone();
        let endless = move || {
            let told = Told(told.clone());
            async move {
                let first = futures::stream::iter([Ok::<_, std::io::Error>("now")]);
                Body::from_stream(first.chain(futures::stream::pending()).map(move |piece| (&told, piece).1))
            }
        };
        let response = asked(Router::new().route("/", get(endless))).await;
        let mut body = response.into_body().into_data_stream();
        assert_eq!(body.next().await.expect("a piece").expect("sound"), "now");
        drop(body);
        tokio::time::timeout(Duration::from_secs(5), ended.notified()).await.expect("nothing goes on for nobody");

        let never = Arc::new(Notify::new());
        let told = never.clone();
        let stuck = move || {
            let told = Told(told.clone());
            async move {
                let _told = told;
                std::future::pending::<()>().await
            }
        };
        let asked = asked(Router::new().route("/", get(stuck)));
        assert!(tokio::time::timeout(Duration::from_millis(50), asked).await.is_err());
        tokio::time::timeout(Duration::from_secs(5), never.notified()).await.expect("nothing goes on for nobody");
    }
}
