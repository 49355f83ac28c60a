//! All SQL that changes or lists suppliers; their channels and models are in the files below. Every write leaves its row in the
//! audit log, in the same transaction.

mod channels;
mod models;

pub use channels::{ChannelEdit, ChannelRow, NewChannel, Protocol, all_channels, insert_channel, update_channel};
pub use models::{ModelEdit, ModelRow, NewModel, all_models, insert_model, update_model};

use crate::error::{ConsoleError, Field, Problem, unavailable};
use crate::ids::SupplierId;
use crate::operators::audit::{Action, insert_action_in};
use crate::operators::rights::Operator;
use crate::suppliers::address::AddressError;
use crate::suppliers::sealed::UnsealError;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgExecutor, PgPool};

#[derive(Debug, thiserror::Error)]
pub enum SupplierError {
    #[error("no such supplier")]
    UnknownSupplier,
    #[error("no such channel")]
    UnknownChannel,
    #[error("no such model")]
    UnknownModel,
    #[error("a supplier with this slug exists")]
    SlugTaken,
    #[error("a slug is 1 to 63 of a-z, 0-9 and -, and does not begin with -")]
    SlugMalformed,
    #[error("a name has 1 to 100 characters")]
    NameLength,
    #[error("this supplier has a channel with this base URL")]
    ChannelExists,
    #[error("a base URL is http(s)://host[:port][/path], without user, query or fragment")]
    BaseUrlMalformed,
    #[error("this base URL is refused")]
    Address(#[from] AddressError),
    #[error("a weight is 1 to 1000")]
    WeightRange,
    #[error("a priority is -1000 to 1000")]
    PriorityRange,
    #[error("a prompt overhead is 0 to 1,000,000 Tokens")]
    OverheadRange,
    #[error("the channel's secret could not be sealed")]
    Sealing(#[from] UnsealError),
    #[error("a model with this id exists")]
    ModelExists,
    #[error("a model's id is vendor/name: a vendor of a-z 0-9 . _ -, a name of letters, digits, . _ : -, 128 characters in all")]
    ModelIdMalformed,
    #[error("an upstream id has 1 to 128 characters")]
    UpstreamIdLength,
    #[error("a context is 1 to 1,000,000,000 Tokens")]
    ContextRange,
    #[error("a model's longest output is at least 1 Token and at most its context")]
    OutputRange,
    #[error("a multiplier is 0 to 1,000,000,000 parts per million")]
    PriceRange,
    #[error("a cached Token cannot cost more than an input Token; give --cached-ppm too")]
    CachedAboveInput,
    #[error("database failed")]
    Db(#[source] sqlx::Error),
}

impl From<sqlx::Error> for SupplierError {
    fn from(error: sqlx::Error) -> SupplierError {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("suppliers_slug_key") => SupplierError::SlugTaken,
            Some("suppliers_slug_check") => SupplierError::SlugMalformed,
            Some("suppliers_name_check") => SupplierError::NameLength,
            Some("channels_supplier_id_base_url_key") => SupplierError::ChannelExists,
            Some("channels_weight_check") => SupplierError::WeightRange,
            Some("channels_priority_check") => SupplierError::PriorityRange,
            Some("suppliers_prompt_overhead_check") => SupplierError::OverheadRange,
            Some("channels_supplier_id_fkey" | "models_supplier_id_fkey") => SupplierError::UnknownSupplier,
            Some("models_pkey") => SupplierError::ModelExists,
            Some("models_model_id_check") => SupplierError::ModelIdMalformed,
            Some("models_upstream_id_check") => SupplierError::UpstreamIdLength,
            Some("models_context_tokens_check") => SupplierError::ContextRange,
            Some("models_max_output_tokens_check") => SupplierError::OutputRange,
            Some("model_prices_input_ppm_check" | "model_prices_output_ppm_check") => SupplierError::PriceRange,
            Some("model_prices_cached_ppm_check") => SupplierError::CachedAboveInput,
            _ => SupplierError::Db(error),
        }
    }
}

impl From<SupplierError> for ConsoleError {
    fn from(error: SupplierError) -> ConsoleError {
        match error {
            SupplierError::UnknownSupplier | SupplierError::UnknownChannel | SupplierError::UnknownModel => ConsoleError::NotFound,
            SupplierError::NameLength => ConsoleError::invalid(Field::Name, Problem::TooLong),
            SupplierError::SlugTaken | SupplierError::SlugMalformed => ConsoleError::invalid(Field::Supplier, Problem::Malformed),
            SupplierError::ChannelExists
            | SupplierError::BaseUrlMalformed
            | SupplierError::Address(_)
            | SupplierError::WeightRange
            | SupplierError::PriorityRange
            | SupplierError::OverheadRange
            | SupplierError::ModelExists
            | SupplierError::ModelIdMalformed
            | SupplierError::UpstreamIdLength
            | SupplierError::ContextRange
            | SupplierError::OutputRange
            | SupplierError::PriceRange
            | SupplierError::CachedAboveInput => ConsoleError::BadRequest,
            SupplierError::Sealing(_) => ConsoleError::Internal,
            SupplierError::Db(error) => unavailable(&error),
        }
    }
}

/// Whether a supplier, channel or model takes part in calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Enabled,
    Disabled,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Enabled => "enabled",
            Status::Disabled => "disabled",
        }
    }

    fn of_column(text: &str) -> Status {
        if text == "enabled" { Status::Enabled } else { Status::Disabled }
    }
}

/// What becomes of an answer whose caller left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLeave {
    /// The call is cancelled, and what was delivered is counted: right for a supplier who stops and bills no more.
    Cancel,
    /// The answer is read on for a while, so that the supplier's own usage is charged: right for one who bills the whole anyway.
    Drain,
}

impl OnLeave {
    pub fn as_str(self) -> &'static str {
        match self {
            OnLeave::Cancel => "cancel",
            OnLeave::Drain => "drain",
        }
    }

    pub fn of_column(text: &str) -> OnLeave {
        if text == "drain" { OnLeave::Drain } else { OnLeave::Cancel }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct SupplierRow {
    pub supplier_id: SupplierId,
    pub slug: String,
    pub name: String,
    pub status: Status,
    pub on_leave: OnLeave,
    /// Tokens that the supplier adds to the input of each call, as a template of its own.
    pub prompt_overhead: i64,
    pub created_at: DateTime<Utc>,
}

/// What to change; none = leave it.
#[derive(Clone, Debug, Default)]
pub struct SupplierEdit {
    pub name: Option<String>,
    pub status: Option<Status>,
    pub on_leave: Option<OnLeave>,
    pub prompt_overhead: Option<i64>,
}

pub async fn insert_supplier(db: &PgPool, operator: Operator, slug: &str, name: &str) -> Result<SupplierId, SupplierError> {
    let supplier_id = SupplierId::generate();
    let mut tx = db.begin().await?;
    sqlx::query!("INSERT INTO suppliers (supplier_id, slug, name) VALUES ($1, $2, $3)", supplier_id.0, slug, name)
        .execute(&mut *tx)
        .await?;
    let action = Action {
        action: "supplier.add",
        subject_id: supplier_id.to_string(),
        after: Some(serde_json::json!({ "slug": slug, "name": name })),
        ..Action::default()
    };
    insert_action_in(&mut tx, operator, action).await?;
    tx.commit().await?;
    Ok(supplier_id)
}

pub async fn all_suppliers(db: &PgPool) -> Result<Vec<SupplierRow>, SupplierError> {
    let rows = sqlx::query!("SELECT supplier_id, slug, name, status, on_leave, prompt_overhead, created_at FROM suppliers ORDER BY slug");
    let rows = rows.fetch_all(db).await?;
    Ok(rows
        .into_iter()
        .map(|row| SupplierRow {
            supplier_id: SupplierId(row.supplier_id),
            slug: row.slug,
            name: row.name,
            status: Status::of_column(&row.status),
            on_leave: OnLeave::of_column(&row.on_leave),
            prompt_overhead: row.prompt_overhead,
            created_at: row.created_at,
        })
        .collect())
}

pub async fn supplier_by_slug(db: impl PgExecutor<'_>, slug: &str) -> Result<SupplierId, SupplierError> {
    let id = sqlx::query_scalar!("SELECT supplier_id FROM suppliers WHERE slug = $1", slug).fetch_optional(db).await?;
    id.map(SupplierId).ok_or(SupplierError::UnknownSupplier)
}

/// Changes a supplier. Calls admitted after the commit see it; running ones end within a second when it was disabled.
pub async fn update_supplier(db: &PgPool, operator: Operator, slug: &str, edit: SupplierEdit) -> Result<SupplierId, SupplierError> {
    let mut tx = db.begin().await?;
    let row = sqlx::query!(
        "SELECT supplier_id, slug, name, status, on_leave, prompt_overhead, created_at FROM suppliers WHERE slug = $1 FOR UPDATE",
        slug
    );
    let row = row.fetch_optional(&mut *tx).await?.ok_or(SupplierError::UnknownSupplier)?;
    let before = SupplierRow {
        supplier_id: SupplierId(row.supplier_id),
        slug: row.slug,
        name: row.name,
        status: Status::of_column(&row.status),
        on_leave: OnLeave::of_column(&row.on_leave),
        prompt_overhead: row.prompt_overhead,
        created_at: row.created_at,
    };
    let mut after = before.clone();
    after.name = edit.name.unwrap_or(after.name);
    after.status = edit.status.unwrap_or(after.status);
    after.on_leave = edit.on_leave.unwrap_or(after.on_leave);
    after.prompt_overhead = edit.prompt_overhead.unwrap_or(after.prompt_overhead);
    sqlx::query!(
        "UPDATE suppliers SET name = $2, status = $3, on_leave = $4, prompt_overhead = $5 WHERE supplier_id = $1",
        after.supplier_id.0,
        after.name,
        after.status.as_str(),
        after.on_leave.as_str(),
        after.prompt_overhead
    )
    .execute(&mut *tx)
    .await?;
    insert_action_in(&mut tx, operator, edited("supplier.edit", after.supplier_id, &before, &after)).await?;
    tx.commit().await?;
    Ok(after.supplier_id)
}

/// The audit row of an edit: the whole row before and after.
fn edited<'a>(action: &'a str, subject: impl ToString, before: &impl Serialize, after: &impl Serialize) -> Action<'a> {
    Action { action, subject_id: subject.to_string(), before: json(before), after: json(after), reason: None }
}

fn json(row: &impl Serialize) -> Option<Value> {
    serde_json::to_value(row).ok()
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
