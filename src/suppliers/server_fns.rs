//! Server functions of the model directory.

use crate::error::ConsoleError;
use crate::suppliers::types::ModelList;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// The models that can be called and have `q` in their id or their supplier's name; to members, with what they have for each.
#[server(endpoint = "models/list", input = GetUrl)]
pub async fn list_models(#[server(default)] q: String) -> Result<ModelList, ConsoleError> {
    // public: what can be called, and at which multipliers, is what a visitor decides on.
    use crate::docs::types::Reader;
    use crate::error::{Field, Problem};
    use crate::server::request_ctx;
    use crate::suppliers::directory::{self, DirectoryError};
    let app = request_ctx::app()?;
    let reader = request_ctx::reader_if_any().await?;
    let search = Some(q.trim()).filter(|search| !search.is_empty());
    if search.is_some_and(|search| search.chars().count() > 254) {
        return Err(request_ctx::fail(ConsoleError::invalid(Field::Search, Problem::TooLong)));
    }
    let failed = |error: DirectoryError| request_ctx::fail(error.into());
    let models = directory::models(&app.db, search, reader.as_ref()).await.map_err(failed)?;
    let any = !models.is_empty() || directory::has_models(&app.db).await.map_err(failed)?;
    let server_url = app.config.public_url.as_str().trim_end_matches('/').to_string();
    let role = reader.map(|reader| reader.role());
    Ok(ModelList { models, any, role, reader: Reader { server_url, model_id: None } })
}
