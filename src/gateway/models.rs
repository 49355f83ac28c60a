//! `GET /v1/models` and `GET /v1/models/{id}`: the models that the key may use.

use crate::gateway::admission::SILENT;
use crate::gateway::auth::Told;
use crate::gateway::error::GatewayError;
use crate::gateway::wire::protocol_of;
use crate::gateway::{ClientAddress, Gateway, auth};
use crate::suppliers::callable::{self, CallableModel};
use crate::suppliers::store::Protocol;
use crate::wallet::ledger::Rates;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, Uri};
use serde_json::{Value, json};
use std::sync::Arc;

pub async fn list(
    State(gateway): State<Arc<Gateway>>,
    Extension(address): Extension<ClientAddress>,
    headers: HeaderMap,
    uri: Uri,
) -> Told<Value> {
    let (rates, models) = models_of(&gateway, &headers, address).await?;
    let protocol = protocol_of(uri.path(), &headers);
    let data: Vec<Value> = models.iter().map(|model| form(model, protocol)).collect();
    let list = match protocol {
        Protocol::Openai => json!({"object": "list", "data": data}),
        Protocol::Anthropic => {
            let id_of = |model: Option<&CallableModel>| model.map(|model| model.model_id.clone());
            json!({"data": data, "has_more": false, "first_id": id_of(models.first()), "last_id": id_of(models.last())})
        }
    };
    Ok((Extension(rates), Ok(Json(list))))
}

pub async fn retrieve(
    State(gateway): State<Arc<Gateway>>,
    Extension(address): Extension<ClientAddress>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    uri: Uri,
) -> Told<Value> {
    let Path(id) = id.map_err(|_| GatewayError::NotFound { path: uri.path().to_string() })?;
    let (rates, models) = models_of(&gateway, &headers, address).await?;
    let model = models.iter().find(|model| model.model_id == id).ok_or(GatewayError::ModelNotFound { model: id });
    Ok((Extension(rates), model.map(|model| Json(form(model, protocol_of(uri.path(), &headers))))))
}

/// The protocol's model object.
fn form(model: &CallableModel, protocol: Protocol) -> Value {
    let (id, created_at) = (&model.model_id, model.created_at);
    match protocol {
        Protocol::Openai => json!({"id": id, "object": "model", "created": created_at.timestamp(), "owned_by": model.supplier_slug}),
        Protocol::Anthropic => json!({"type": "model", "id": id, "display_name": id, "created_at": created_at}),
    }
}

async fn models_of(gateway: &Gateway, headers: &HeaderMap, address: ClientAddress) -> Result<(Rates, Vec<CallableModel>), GatewayError> {
    let key = auth::caller(gateway, auth::secret_hash(headers, &gateway.pepper)?, address.0).await?;
    let models = gateway.db.ask(SILENT, async |db| callable::models_of(db, key.supplier_id, &key.limits.models).await).await;
    Ok((key.rates, models.map_err(|error| GatewayError::of_database(&error))?))
}
