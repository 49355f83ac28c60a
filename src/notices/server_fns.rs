//! Server functions of notices: what the user wants to be told.

use crate::error::ConsoleError;
use crate::notices::types::NoticeSettings;
use crate::ui::form_input::Form;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// What the user wants to be told.
#[server(endpoint = "notices/show", input = GetUrl)]
pub async fn read_notices() -> Result<NoticeSettings, ConsoleError> {
    use crate::notices::store;
    use crate::server::request_ctx;
    let reader = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    store::settings_of(&app.db, &reader).await.map_err(|error| request_ctx::fail(error.into()))
}

/// Keeps it. A switch that is off is not sent.
#[server(endpoint = "notices/save", input = Form)]
pub async fn save_notices(
    #[server(default)] new_device: bool,
    #[server(default)] expiring: bool,
    #[server(default)] key_quota: bool,
    #[server(default)] balance_below: String,
) -> Result<(), ConsoleError> {
    use crate::notices::store;
    use crate::notices::types::parse_balance_below;
    use crate::server::request_ctx;
    let reader = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let balance_below = parse_balance_below(&balance_below).map_err(request_ctx::fail)?;
    let wanted = NoticeSettings { new_device, expiring, key_quota, balance_below };
    store::save_settings(&app.db, &reader, wanted).await.map_err(|error| request_ctx::fail(error.into()))
}
