//! `GET /v1/receipts/{request_id}`: how a call of the key's account came to its charge, down to the grants that paid.

use crate::gateway::admission::SILENT;
use crate::gateway::auth::Told;
use crate::gateway::error::GatewayError;
use crate::gateway::{ClientAddress, Gateway, auth};
use crate::ids::RequestId;
use crate::usage::store::{Receipt, receipt_of};
use crate::usage::types::Draw;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, Uri};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;

pub async fn show(
    State(gateway): State<Arc<Gateway>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    request_id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    uri: Uri,
) -> Told<Form> {
    let Path(request_id) = request_id.map_err(|_| GatewayError::NotFound { path: uri.path().to_string() })?;
    let key = auth::caller(&gateway, auth::secret_hash(&headers, &gateway.pepper)?, address).await?;
    let unknown = || GatewayError::ReceiptNotFound { request_id: request_id.chars().take(64).collect() };
    let found = match request_id.parse::<RequestId>() {
        Ok(id) => gateway.db.ask(SILENT, async |db| receipt_of(db, key.account_id, id).await).await,
        Err(_) => Ok(None),
    };
    let receipt = found.map_err(|error| GatewayError::of_database(&error))?;
    Ok((Extension(key.rates), receipt.map(form).map(Json).ok_or_else(unknown)))
}

#[derive(Serialize)]
pub struct Form {
    #[serde(flatten)]
    ours: Value,
    /// The supplier's words, as they came.
    upstream_usage: Option<Box<RawValue>>,
}

fn form(Receipt { call, upstream_usage, drawn }: Receipt) -> Form {
    let ours = json!({
        "object": "receipt",
        "request_id": call.request_id,
        "started_at": call.started_at,
        "key": {"id": call.key_id, "name": call.key_name},
        "model": call.model_id,
        "supplier": call.supplier,
        "endpoint": call.endpoint,
        "streamed": call.streamed,
        "outcome": call.outcome,
        "status": call.http_status,
        "basis": call.basis,
        "tokens": {"input": call.input_tokens, "cached": call.cached_tokens, "output": call.output_tokens},
        "price": {"version": call.price_version, "input_ppm": call.input_ppm, "cached_ppm": call.cached_ppm, "output_ppm": call.output_ppm},
        "held": call.held,
        "charge": call.charge,
        "written_off": call.written_off,
        "grants": drawn.into_iter().map(grant).collect::<Vec<_>>(),
        "first_byte_ms": call.first_byte_ms,
        "latency_ms": call.latency_ms,
    });
    Form { ours, upstream_usage }
}

fn grant(draw: Draw) -> Value {
    json!({"id": draw.grant_id, "source": draw.source, "order_id": draw.order_id, "tokens": draw.tokens, "expires_at": draw.expires_at})
}
