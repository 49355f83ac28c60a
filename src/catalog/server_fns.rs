//! Server functions of `catalog`: who, parse, store, reply.

use crate::catalog::types::PackageCard;
use crate::error::ConsoleError;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// What is on sale.
#[server(endpoint = "products/list", input = GetUrl)]
pub async fn list_products() -> Result<Vec<PackageCard>, ConsoleError> {
    use crate::catalog::store;
    use crate::server::request_ctx;

    // public: the Product Center is open to visitors.
    let app = request_ctx::app()?;
    store::packages_on_sale(&app.db).await.map_err(|error| request_ctx::fail(error.into()))
}
