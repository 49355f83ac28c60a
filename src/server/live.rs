//! `GET /live`: server-sent events (WHATWG HTML, 9.2) that say when something of the asking user's account changed, or may have. They carry
//! no data.

use crate::changes::hub::Changes;
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
use tokio_util::sync::CancellationToken;
use tower_sessions::Session;

/// How often a page is told that it is still connected; and, since a session may end meanwhile, how long one stays connected: the
/// browser then connects again by itself, if it may.
const HEARTBEAT: Duration = Duration::from_secs(15);
const LONGEST: Duration = Duration::from_secs(120);
/// How often a page is told to ask again while this replica hears of no change: as often as one asks that has no stream.
const UNHEARD: Duration = Duration::from_secs(15);

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
    let changes = changes_of(app.changes.clone(), app.shutdown.clone(), reader.account_id(), following.since, UNHEARD);
    Ok(Sse::new(changes).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// `unheard`: how often a change is assumed while none is heard of.
fn changes_of(
    hub: Changes,
    shutdown: CancellationToken,
    account_id: AccountId,
    since: String,
    unheard: Duration,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let mut changes = hub.subscribe();
    async_stream::stream! {
        let end = tokio::time::sleep(LONGEST);
        tokio::pin!(end);
        let mut again = tokio::time::interval(unheard);
        // The first comes at once.
        again.tick().await;
        // What changed between the page and this was told to nobody.
        if !hub.is_quiet_since(account_id, &since) {
            yield Ok(Event::default().data("change"));
        }
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                _ = again.tick() => {
                    if hub.is_listening() {
                        continue;
                    }
                    Ok(None)
                }
                () = shutdown.cancelled() => return,
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    #[tokio::test]
    async fn a_page_is_told_to_ask_again_and_again_where_no_change_is_heard_of() {
        // Nobody spawned its listener.
        let deaf = Changes::default();
        let each = Duration::from_millis(20);
        let told = changes_of(deaf, CancellationToken::new(), AccountId::generate(), String::new(), each).take(4).count();
        let told = tokio::time::timeout(Duration::from_secs(10), told).await.expect("one at the beginning, and one each 20 ms");
        assert_eq!(told, 4);
    }
}
