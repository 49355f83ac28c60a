//! Server functions of `search`.

use crate::error::ConsoleError;
use crate::search::types::Found;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// What a text finds; nothing for none.
#[server(endpoint = "search/find", input = GetUrl)]
pub async fn find(#[server(default)] text: String) -> Result<Vec<Found>, ConsoleError> {
    use crate::search::{store, types::LONGEST};
    use crate::server::request_ctx;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let text: String = text.trim().chars().filter(|c| *c != '\0').take(LONGEST).collect();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    store::find(&app.db, &member, &text, 6).await.map_err(|error| request_ctx::fail(error.into()))
}
