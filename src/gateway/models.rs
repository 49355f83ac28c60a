//! `GET /v1/models` and `GET /v1/models/{id}`: the models that the key may use.

use crate::gateway::Gateway;
use crate::gateway::auth;
use crate::gateway::error::GatewayError;
use crate::suppliers::callable::{self, CallableModel};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use serde_json::{Value, json};
use std::sync::Arc;

pub async fn list(State(gateway): State<Arc<Gateway>>, headers: HeaderMap) -> Result<Json<Value>, GatewayError> {
    let models = models_of(&gateway, &headers).await?;
    Ok(Json(json!({"object": "list", "data": models.iter().map(form).collect::<Vec<_>>()})))
}

pub async fn retrieve(
    State(gateway): State<Arc<Gateway>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<Value>, GatewayError> {
    let Path(id) = id.map_err(|_| GatewayError::NotFound { path: uri.path().to_string() })?;
    let models = models_of(&gateway, &headers).await?;
    models.iter().find(|model| model.model_id == id).map(form).map(Json).ok_or(GatewayError::ModelNotFound { model: id })
}

/// OpenAI's model object.
fn form(model: &CallableModel) -> Value {
    json!({"id": model.model_id, "object": "model", "created": model.created_at.timestamp(), "owned_by": model.supplier_slug})
}

async fn models_of(gateway: &Gateway, headers: &HeaderMap) -> Result<Vec<CallableModel>, GatewayError> {
    let key = auth::caller(gateway, auth::secret_hash(headers, &gateway.pepper)?).await?;
    callable::models_of(&gateway.db, key.supplier_id).await.map_err(|error| {
        tracing::error!(%error, "database failed");
        GatewayError::Unavailable
    })
}
