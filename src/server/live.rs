//! `GET /live`: server-sent events (WHATWG HTML, 9.2) that say when something of the asking user's account changed. They carry no data.

use crate::ids::AccountId;
use crate::server::request_ctx::{must_set_up_two_factor, reader_of_session};
use crate::server::state::AppState;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use serde::Deserialize;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tower_sessions::Session;

/// How often a page is told that it is still connected; and, since a session may end meanwhile, how long one stays connected: the
/// browser then connects again by itself, if it may.
const HEARTBEAT: Duration = Duration::from_secs(15);
const LONGEST: Duration = Duration::from_secs(120);

/// Where the asking page comes from.
#[derive(Deserialize)]
pub struct Following {
    /// When it began to be read, as `Changes::moment` put it.
    #[serde(default)]
    since: String,
}

pub async fn follow(
    State(app): State<AppState>,
    session: Session,
    Query(following): Query<Following>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, StatusCode> {
    let reader = reader_of_session(&app, &session).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let reader = reader.ok_or(StatusCode::UNAUTHORIZED)?;
    if must_set_up_two_factor(&app, &reader) {
        return Err(StatusCode::FORBIDDEN);
    }
    Ok(Sse::new(changes_of(app, reader.account_id(), following)).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

fn changes_of(app: AppState, account_id: AccountId, page: Following) -> impl Stream<Item = Result<Event, Infallible>> {
    let mut changes = app.changes.subscribe();
    async_stream::stream! {
        let end = tokio::time::sleep(LONGEST);
        tokio::pin!(end);
        // What changed between the page and this was told to nobody.
        if !app.changes.is_quiet_since(account_id, &page.since) {
            yield Ok(Event::default().data("change"));
        }
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                () = app.shutdown.cancelled() => return,
                () = &mut end => return,
            };
            match change {
                Ok(Some(changed)) if changed != account_id => {}
                Ok(_) | Err(RecvError::Lagged(_)) => yield Ok(Event::default().data("change")),
                Err(RecvError::Closed) => return,
            }
        }
    }
}
