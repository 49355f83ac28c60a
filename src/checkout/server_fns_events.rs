//! Server functions of payment events that fit no order, for operators.

use crate::checkout::types_events::Quarantine;
use crate::error::ConsoleError;
use crate::ui::form_input::Form;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// Events of a page: each has all that the provider said.
const MOST: i64 = 25;

/// Those that nobody has decided about, and the last that somebody has.
#[server(endpoint = "operator/payments", input = GetUrl)]
pub async fn show_quarantine() -> Result<Quarantine, ConsoleError> {
    use crate::checkout::store::CheckoutError;
    use crate::checkout::store::quarantine::{quarantined_count, quarantined_events, resolved_events};
    use crate::checkout::types_events::Decided;
    use crate::server::request_ctx;

    request_ctx::operator().await?;
    let app = request_ctx::app()?;
    let failed = |error: CheckoutError| request_ctx::fail(error.into());
    let open = quarantined_events(&app.db, None, MOST).await.map_err(failed)?;
    let more = quarantined_count(&app.db).await.map_err(failed)? - open.len() as i64;
    Ok(Quarantine {
        open,
        more: more.max(0),
        resolved: resolved_events(&app.db, MOST).await.map_err(failed)?,
        decided: request_ctx::kept(Decided::KEPT_AS).await?,
    })
}

/// Decides about one of them again, or dismisses it.
#[server(endpoint = "operator/resolve_payment", input = Form)]
pub async fn resolve_event(event_id: String, resolution: String, #[server(default)] reason: String) -> Result<(), ConsoleError> {
    use crate::checkout::store::quarantine::resolve_quarantined;
    use crate::checkout::types_events::{Decided, Resolution, parse_reason};
    use crate::server::request_ctx;

    let operator = request_ctx::operator().await?;
    let resolution = Resolution::parse(&resolution).map_err(request_ctx::fail)?;
    let reason = parse_reason(&reason).map_err(request_ctx::fail)?;
    let app = request_ctx::app()?;
    let decision = resolve_quarantined(&app.db, &app.outbox, operator, &event_id, resolution, reason)
        .await
        .map_err(|error| request_ctx::fail(error.into()))?;
    request_ctx::put_flash(Decided::KEPT_AS, &Decided { event_id, outcome: decision.outcome, reason: decision.reason }).await
}
