//! Requests whose answers take work are answered on the program's own threads, and not on those of calls (`gateway::threads`): a page takes
//! milliseconds, in which every call of that thread would wait.

use axum::Router;
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::{FutureExt, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tower_service::Service;

/// Answers of this size go over in one piece.
const ONE_PIECE: usize = 64 << 10;

type Piece = Result<Bytes, axum::Error>;

/// Has `router` answer on the runtime of `threads`. Where the caller leaves, it stops.
pub async fn answer(threads: Handle, mut router: Router, request: Request) -> Response {
    let (mut reply, answer) = oneshot::channel();
    threads.spawn(async move {
        let response = tokio::select! {
            Ok(response) = router.call(request) => response,
            () = reply.closed() => return,
        };
        let (head, body) = response.into_parts();
        if body.size_hint().upper().is_some_and(|size| size <= ONE_PIECE as u64) {
            // One that breaks off is shorter than it says, which ends the connection.
            let body = to_bytes(body, ONE_PIECE).await.map_or_else(|_| Body::empty(), Body::from);
            let _ = reply.send(Response::from_parts(head, body));
            return;
        }
        let (pieces, passed) = mpsc::channel(1);
        if reply.send(Response::from_parts(head, Body::from_stream(ReceiverStream::new(passed)))).is_ok() {
            pass_on(body, pieces).await;
        }
    });
    // Closed without an answer only where rendering panicked.
    answer.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// Passes a body on as it comes, together what is there together.
async fn pass_on(body: Body, pieces: mpsc::Sender<Piece>) {
    let mut body = body.into_data_stream();
    loop {
        let first = tokio::select! {
            piece = body.next() => piece,
            () = pieces.closed() => return,
        };
        let mut gathered = match first {
            None => return,
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return drop(pieces.send(Err(error)).await),
        };
        let mut end = None;
        if gathered.len() < ONE_PIECE {
            let mut together = Vec::from(gathered);
            while together.len() < ONE_PIECE && end.is_none() {
                match body.next().now_or_never() {
                    Some(Some(Ok(piece))) => together.extend_from_slice(&piece),
                    Some(other) => end = Some(other),
                    None => break,
                }
            }
            gathered = together.into();
        }
        if pieces.send(Ok(gathered)).await.is_err() {
            return;
        }
        match end {
            None => {}
            Some(None) => return,
            Some(Some(piece)) => return drop(pieces.send(piece).await),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::sync::Arc;
    use std::time::Duration;
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
