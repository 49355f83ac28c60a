//! Server functions of the docs.

use crate::docs::types::Reader;
use crate::error::ConsoleError;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// What the examples of a page are filled with; of the page that lists them, where `page` is empty.
#[server(endpoint = "docs/read", input = GetUrl)]
pub async fn read_docs(#[server(default)] page: String) -> Result<Reader, ConsoleError> {
    use crate::docs::contents::doc;
    use crate::server::request_ctx;
    use crate::suppliers::directory;
    // public: how to call is for everybody to read.
    let app = request_ctx::app()?;
    if !page.is_empty() && doc(&page).is_none() {
        return Err(request_ctx::fail(ConsoleError::NotFound));
    }
    // Without the database the docs can still be read; turning the failure into what a page may say has logged it.
    let model_id = directory::example_model(&app.db, None).await.map_err(ConsoleError::from).ok().flatten();
    let server_url = app.config.public_url.as_str().trim_end_matches('/').to_string();
    Ok(Reader { server_url, model_id })
}
