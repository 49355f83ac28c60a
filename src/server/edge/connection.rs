//! One connection, from its accept to its end; and one request on it, from its head to its answer.

use crate::gateway::ClientAddress;
use crate::server::edge::activity::{Activity, Ask, Overdue};
use crate::server::edge::body::{Arriving, Leaving};
use crate::server::edge::open::Place;
use crate::server::edge::socket::Socket;
use crate::server::edge::{Edge, client, refused};
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower_service::Service;

/// Serves what comes on a connection until it ends, is asked to, or may not go on.
pub async fn serve(edge: Arc<Edge>, stream: TcpStream, peer: SocketAddr, place: Place) {
    let activity = place.activity.clone();
    let socket = TokioIo::new(Socket::new(stream, activity.clone(), edge.settings.head_bytes));
    let service = service_fn(|request| answer(edge.clone(), activity.clone(), peer, request));
    let mut connection = pin!(edge.builder.serve_connection(socket, service));
    let mut ending = None;
    let mut clock = pin!(tokio::time::sleep(edge.settings.shortest()));
    loop {
        tokio::select! {
            biased;
            served = connection.as_mut() => {
                if let Err(error) = served {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            ask = activity.asked() => match ask {
                Ask::GiveWay if activity.is_quiet() => return,
                Ask::End | Ask::GiveWay if ending.is_none() => {
                    ending = Some(Instant::now());
                    connection.as_mut().graceful_shutdown();
                }
                Ask::End | Ask::GiveWay => {}
                Ask::Cut => return,
            },
            () = clock.as_mut() => {}
        }
        let now = Instant::now();
        let next = match activity.judge(&edge.settings, ending, now) {
            Ok(next) => next,
            Err(Overdue::Head) => {
                // The parser is given another head in its place, whose answer says so.
                activity.time_head_out();
                ending = Some(now);
                now + edge.settings.shortest()
            }
            Err(Overdue::Idle) => {
                ending = Some(now);
                connection.as_mut().graceful_shutdown();
                now + edge.settings.shortest()
            }
            Err(overdue) => {
                tracing::debug!(?overdue, "a connection was closed");
                return;
            }
        };
        clock.as_mut().reset(next);
    }
}

async fn answer(
    edge: Arc<Edge>,
    activity: Arc<Activity>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Leaving>, Infallible> {
    let running = activity.begin();
    let version = request.version();
    let is_stand_in = request.uri().path() == refused::STAND_IN_PATH;
    let response = if let Some(refusal) = is_stand_in.then(|| activity.take_refusal()).flatten() {
        refusal.answer()
    } else if let Some(response) = refused::refuse(&request) {
        refused::closing(response, version)
    } else {
        hand_on(&edge, peer, request).await
    };
    edge.settings.refusals.count_answer(&response);
    Ok(response.map(|body| Leaving::new(body, running)))
}

async fn hand_on(edge: &Edge, peer: SocketAddr, request: Request<Incoming>) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(ClientAddress(client::address(peer, &parts.headers, &edge.settings.trusted_proxies)));
    let mut router = edge.router.clone();
    if body.is_end_stream() {
        let Ok(response) = router.call(Request::from_parts(parts, Body::empty())).await;
        return response;
    }
    let (version, uri) = (parts.version, parts.uri.clone());
    let (body, fault) = Arriving::new(body, edge.settings.body);
    let Ok(response) = router.call(Request::from_parts(parts, Body::new(body))).await;
    match fault.get() {
        // Whatever the handler made of it. What takes a body has a path that tells the form.
        Some(why) => refused::closing(refused::answer(why, uri.path(), &HeaderMap::new()), version),
        None => response,
    }
}
