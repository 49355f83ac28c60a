//! `toki channel`: add, list, edit, disable, enable. A secret comes from a variable that the command names, never from an argument.

use crate::cli::output::table;
use crate::cli::{CliError, Context, values};
use crate::ids::ChannelId;
use crate::server::config::secret_from_env;
use crate::suppliers::store::{ChannelEdit, NewChannel, Protocol, Status, all_channels, insert_channel, supplier_by_slug, update_channel};
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Add a way to a supplier
    Add(Add),
    /// All channels
    List,
    /// Change a channel
    Edit(Edit),
    /// Send no calls through a channel
    Disable(Id),
    /// Send calls through a channel again
    Enable(Id),
}

#[derive(Args)]
pub struct Add {
    /// Slug of the supplier
    #[arg(long)]
    supplier: String,
    /// Where its API begins, https://api.example.com/v1
    #[arg(long)]
    base_url: String,
    /// The environment variable that holds the supplier's API key
    #[arg(long, value_name = "VAR")]
    secret_env: Option<String>,
    /// Share of the calls, 1 to 1000
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=1000))]
    weight: i32,
    /// Channels of the highest priority are tried first, -1000 to 1000
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    priority: i32,
    /// openai or anthropic
    #[arg(long, default_value = "openai", value_parser = values::protocol)]
    protocol: Protocol,
}

#[derive(Args)]
pub struct Edit {
    #[command(flatten)]
    channel: Id,
    #[arg(long)]
    base_url: Option<String>,
    /// The environment variable that holds the supplier's API key
    #[arg(long, value_name = "VAR")]
    secret_env: Option<String>,
    /// Call the supplier without an API key
    #[arg(long, conflicts_with = "secret_env")]
    no_secret: bool,
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=1000))]
    weight: Option<i32>,
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    priority: Option<i32>,
}

#[derive(Args)]
pub struct Id {
    #[arg(value_name = "CHANNEL_ID")]
    channel_id: ChannelId,
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
    let secret = add.secret_env.as_deref().map(secret_from_env).transpose()?;
    let supplier_id = supplier_by_slug(&ctx.db, &add.supplier).await?;
    let Add { base_url, protocol, weight, priority, .. } = &add;
    let new = NewChannel { supplier_id, base_url, protocol: *protocol, weight: *weight, priority: *priority, secret };
    let networks = &ctx.config.supplier_networks;
    let channel_id = insert_channel(&ctx.db, ctx.operator, &ctx.sealing_key(), networks, new).await?;
    ctx.out.reply(&json!({ "channel_id": channel_id }), || format!("added channel {channel_id}"))
}

async fn list(ctx: &Context) -> Result<(), CliError> {
    let channels = all_channels(&ctx.db).await?;
    ctx.out.reply(&json!({ "channels": channels }), || {
        let rows: Vec<_> = channels
            .iter()
            .map(|row| {
                [
                    row.channel_id.to_string(),
                    row.supplier.clone(),
                    row.base_url.clone(),
                    row.protocol.as_str().into(),
                    row.priority.to_string(),
                    row.weight.to_string(),
                    if row.has_secret { "sealed" } else { "-" }.into(),
                    row.status.as_str().into(),
                ]
            })
            .collect();
        table(["CHANNEL", "SUPPLIER", "BASE URL", "PROTOCOL", "PRIORITY", "WEIGHT", "SECRET", "STATUS"], &rows)
    })
}

async fn run_edit(ctx: &Context, edit: Edit) -> Result<(), CliError> {
    let secret = match edit.secret_env.as_deref() {
        Some(name) => Some(Some(secret_from_env(name)?)),
        None => edit.no_secret.then_some(None),
    };
    let change = ChannelEdit { base_url: edit.base_url, weight: edit.weight, priority: edit.priority, status: None, secret };
    apply(ctx, edit.channel.channel_id, change, "edited").await
}

async fn set_status(ctx: &Context, id: Id, status: Status) -> Result<(), CliError> {
    let change = ChannelEdit { status: Some(status), ..ChannelEdit::default() };
    apply(ctx, id.channel_id, change, status.as_str()).await
}

async fn apply(ctx: &Context, channel_id: ChannelId, change: ChannelEdit, done: &str) -> Result<(), CliError> {
    let networks = &ctx.config.supplier_networks;
    update_channel(&ctx.db, ctx.operator, &ctx.sealing_key(), networks, channel_id, change).await?;
    ctx.out.reply(&json!({ "channel_id": channel_id }), || format!("{done} channel {channel_id}"))
}
