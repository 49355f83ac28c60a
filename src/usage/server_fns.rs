//! Server functions of the usage page: who, parse, store, reply.

use crate::error::ConsoleError;
use crate::usage::types::UsageView;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// Totals and a page of calls, of one key and model or of all.
#[server(endpoint = "usage/show", input = GetUrl)]
pub async fn show_usage(
    #[server(default)] key: String,
    #[server(default)] model: String,
    #[server(default)] call: String,
    #[server(default)] before: String,
) -> Result<UsageView, ConsoleError> {
    use crate::server::request_ctx;
    use crate::usage::{store, types::CallFilter};
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let filter = CallFilter::parse(&key, &model, &call, &before).map_err(request_ctx::fail)?;
    let failed = |error: store::UsageError| request_ctx::fail(error.into());
    Ok(UsageView {
        totals: store::totals_of(&app.db, &member, &filter).await.map_err(failed)?,
        page: store::calls_of(&app.db, &member, &filter, 50).await.map_err(failed)?,
        keys: store::key_choices(&app.db, &member).await.map_err(failed)?,
        models: store::model_choices(&app.db).await.map_err(failed)?,
    })
}
