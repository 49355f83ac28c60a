//! Server functions of `home`: who, parse, store, reply.

use crate::error::ConsoleError;
use crate::home::types::{Dashboard, FirstSteps, Front};
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// The landing page, for visitors; members go to their dashboard.
#[server(endpoint = "home/front", input = GetUrl)]
pub async fn read_front() -> Result<Front, ConsoleError> {
    use crate::home::store;
    use crate::server::request_ctx;
    use crate::suppliers::directory;
    // public: what the shop window shows.
    if request_ctx::viewer().await?.is_some() {
        request_ctx::go("/dashboard");
    }
    let app = request_ctx::app()?;
    let packages = store::packages_on_sale(&app.db, 3).await.map_err(|error| request_ctx::fail(error.into()))?;
    let model_id = directory::example_model(&app.db, None).await.map_err(|error| request_ctx::fail(error.into()))?;
    Ok(Front { base_url: format!("{}v1", app.config.public_url), model_id, packages })
}

/// Everything the dashboard shows.
#[server(endpoint = "home/dashboard", input = GetUrl)]
pub async fn read_dashboard() -> Result<Dashboard, ConsoleError> {
    use crate::home::burn_down::burn_down;
    use crate::home::store;
    use crate::home::types::Expiry;
    use crate::server::request_ctx;
    use crate::usage::range::{Preset, Range};
    use crate::wallet::forecast::outlook_of;
    use futures::TryFutureExt;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let now = chrono::Utc::now();
    let range = Range::of(Preset::Month, crate::preferences::time_zone(), now);
    let (wallet, (steps, models), days, calls) = tokio::try_join!(
        outlook_of(&app.db, member.account_id()).err_into(),
        store::steps_and_models(&app.db, &member).err_into(),
        store::days_of(&app.db, &member, &range).err_into(),
        store::recent_calls(&app.db, &member).err_into(),
    )
    .map_err(request_ctx::fail)?;
    let burn_down = burn_down(&wallet, &range, &days, now);
    let expiries = wallet.ends.into_iter().take(3).map(|(at, tokens)| Expiry { tokens, at: at.into() }).collect();
    Ok(Dashboard { balance: wallet.balance, forecast: wallet.forecast, burn_down, expiries, steps, range, days, models, calls })
}

/// How far a new account has come, for the pages on which its steps are done.
#[server(endpoint = "home/steps", input = GetUrl)]
pub async fn read_first_steps() -> Result<FirstSteps, ConsoleError> {
    use crate::home::store;
    use crate::server::request_ctx;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    store::first_steps(&app.db, &member).await.map_err(|error| request_ctx::fail(error.into()))
}
