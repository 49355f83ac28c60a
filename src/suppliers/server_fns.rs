//! Server functions of the model directory.

use crate::error::ConsoleError;
use crate::suppliers::types::ModelView;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// Every model that can be called.
#[server(endpoint = "models/list", input = GetUrl)]
pub async fn list_models() -> Result<Vec<ModelView>, ConsoleError> {
    // public: what can be called, and at which multipliers, is what a visitor decides on.
    use crate::server::request_ctx;
    use crate::suppliers::directory;
    let app = request_ctx::app()?;
    directory::models(&app.db).await.map_err(|error| request_ctx::fail(error.into()))
}
