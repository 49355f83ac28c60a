//! `toki model`: add, list, edit, disable, enable. Multipliers are parts per million: 1000000 charges one Token for one Token.

use crate::cli::output::table;
use crate::cli::{CliError, Context};
use crate::suppliers::store::{ModelEdit, NewModel, Status, all_models, insert_model, update_model};
use crate::tokens::Tokens;
use crate::wallet::ledger::Price;
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Add a model
    Add(Add),
    /// All models
    List,
    /// Change a model; a new price is a new version, and running calls keep the one they began with
    Edit(Edit),
    /// Take a model out of /v1
    Disable(Id),
    /// Bring a model back to /v1
    Enable(Id),
}

#[derive(Args)]
pub struct Add {
    /// vendor/name
    #[arg(long)]
    id: String,
    /// Slug of the supplier
    #[arg(long)]
    supplier: String,
    /// What the supplier calls it
    #[arg(long)]
    upstream_id: String,
    /// Context length in Tokens
    #[arg(long)]
    context: i64,
    /// Longest output in Tokens
    #[arg(long)]
    max_output: i64,
    #[arg(long, default_value_t = 1_000_000)]
    input_ppm: i64,
    #[arg(long, default_value_t = 1_000_000)]
    output_ppm: i64,
    /// Of input the supplier had cached; without: as other input
    #[arg(long)]
    cached_ppm: Option<i64>,
    /// Kinds of input it takes
    #[arg(long, value_delimiter = ',', default_value = "text", value_parser = KINDS)]
    input_kinds: Vec<String>,
    /// Kinds of output it makes
    #[arg(long, value_delimiter = ',', default_value = "text", value_parser = KINDS)]
    output_kinds: Vec<String>,
}

const KINDS: [&str; 6] = ["text", "image", "audio", "video", "file", "embedding"];

#[derive(Args)]
pub struct Edit {
    #[command(flatten)]
    model: Id,
    #[arg(long)]
    supplier: Option<String>,
    #[arg(long)]
    upstream_id: Option<String>,
    #[arg(long)]
    context: Option<i64>,
    #[arg(long)]
    max_output: Option<i64>,
    #[arg(long)]
    input_ppm: Option<i64>,
    #[arg(long)]
    output_ppm: Option<i64>,
    /// Without: follows --input-ppm where the two were the same
    #[arg(long)]
    cached_ppm: Option<i64>,
    #[arg(long, value_delimiter = ',', value_parser = KINDS)]
    input_kinds: Option<Vec<String>>,
    #[arg(long, value_delimiter = ',', value_parser = KINDS)]
    output_kinds: Option<Vec<String>>,
}

/// `MODEL_ID`, or `--id MODEL_ID` as in `add`.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Id {
    #[arg(value_name = "MODEL_ID")]
    id: Option<String>,
    #[arg(long = "id", value_name = "MODEL_ID")]
    id_option: Option<String>,
}

pub async fn run(ctx: &Context, command: Command) -> Result<(), CliError> {
    match command {
        Command::Add(add) => run_add(ctx, add).await,
        Command::List => list(ctx).await,
        Command::Edit(edit) => run_edit(ctx, edit).await,
        Command::Disable(id) => set_status(ctx, id, Status::Disabled).await,
        Command::Enable(id) => set_status(ctx, id, Status::Enabled).await,
    }
}

async fn run_add(ctx: &Context, add: Add) -> Result<(), CliError> {
    let new = NewModel {
        model_id: add.id.clone(),
        supplier_slug: add.supplier,
        upstream_id: add.upstream_id,
        context_tokens: add.context,
        max_output_tokens: add.max_output,
        input_kinds: add.input_kinds,
        output_kinds: add.output_kinds,
        price: Price { input_ppm: add.input_ppm, cached_ppm: add.cached_ppm.unwrap_or(add.input_ppm), output_ppm: add.output_ppm },
    };
    insert_model(&ctx.db, ctx.operator, new).await?;
    ctx.out.reply(&json!({ "model_id": add.id }), || format!("added model {}", add.id))
}

async fn list(ctx: &Context) -> Result<(), CliError> {
    let models = all_models(&ctx.db).await?;
    ctx.out.reply(&json!({ "models": models }), || {
        let rows: Vec<_> = models
            .iter()
            .map(|row| {
                [
                    row.model_id.clone(),
                    row.supplier.clone(),
                    row.upstream_id.clone(),
                    Tokens(row.context_tokens).exact(),
                    Tokens(row.max_output_tokens).exact(),
                    row.input_ppm.to_string(),
                    row.cached_ppm.to_string(),
                    row.output_ppm.to_string(),
                    row.status.as_str().into(),
                ]
            })
            .collect();
        table(["MODEL", "SUPPLIER", "UPSTREAM", "CONTEXT", "OUTPUT", "INPUT PPM", "CACHED PPM", "OUTPUT PPM", "STATUS"], &rows)
    })
}

async fn run_edit(ctx: &Context, edit: Edit) -> Result<(), CliError> {
    let change = ModelEdit {
        supplier_slug: edit.supplier,
        upstream_id: edit.upstream_id,
        context_tokens: edit.context,
        max_output_tokens: edit.max_output,
        input_kinds: edit.input_kinds,
        output_kinds: edit.output_kinds,
        input_ppm: edit.input_ppm,
        cached_ppm: edit.cached_ppm,
        output_ppm: edit.output_ppm,
        status: None,
    };
    apply(ctx, edit.model, change, "edited").await
}

async fn set_status(ctx: &Context, id: Id, status: Status) -> Result<(), CliError> {
    apply(ctx, id, ModelEdit { status: Some(status), ..ModelEdit::default() }, status.as_str()).await
}

async fn apply(ctx: &Context, id: Id, change: ModelEdit, done: &str) -> Result<(), CliError> {
    let id = id.id.or(id.id_option).unwrap_or_default();
    update_model(&ctx.db, ctx.operator, &id, change).await?;
    ctx.out.reply(&json!({ "model_id": id }), || format!("{done} model {id}"))
}
