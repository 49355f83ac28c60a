//! `GET /v1/key`: what the key that asks may do, and what is left to it.

use crate::gateway::auth::Told;
use crate::gateway::{ClientAddress, Gateway, auth};
use axum::Json;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use serde_json::{Value, json};
use std::sync::Arc;

/// A key that is switched off is refused like any call of its: it says nothing about a wallet any more.
pub async fn show(
    State(gateway): State<Arc<Gateway>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    headers: HeaderMap,
) -> Told<Value> {
    let key = auth::caller(&gateway, auth::secret_hash(&headers, &gateway.pepper)?, address).await?;
    let limits = &key.limits;
    let told = json!({
        "object": "key",
        "id": key.key_id,
        "name": key.name,
        "status": "enabled",
        "supplier": key.supplier_slug,
        "quota": key.quota,
        "spent": key.spent,
        "held": key.held,
        "left": key.quota_left(),
        "period": limits.period,
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "concurrent_calls": limits.concurrent_calls,
        "models": limits.models,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "wallet_left": key.wallet_left,
        "member_left": key.member_left,
    });
    Ok((Extension(key.rates), Ok(Json(told))))
}
