//! `toki secrets`: moves what is sealed to the current key.

use crate::accounts::second_factor::Vault;
use crate::cli::output::table;
use crate::cli::{CliError, Context};
use crate::secrets::rotation::{Rotated, Sealers, rotate};
use clap::Subcommand;
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Seal everything that TOKI_SECRET_KEY_OLD sealed with TOKI_SECRET_KEY; safe beside running servers, and to run again
    Rotate {
        /// Only count what there is to do
        #[arg(long)]
        dry_run: bool,
    },
}

pub async fn run(ctx: &Context, command: Command) -> Result<(), CliError> {
    let Command::Rotate { dry_run } = command;
    // Refuses keys that are not this database's before anything is touched.
    let hash_key = ctx.hash_key().await?;
    let sealers = Sealers {
        keys: ctx.config.secret_keys(),
        channels: &ctx.sealing_key(),
        two_factors: &Vault::derive(ctx.config.secret_keys(), hash_key.bytes()),
        mails: &ctx.outbox(),
    };
    let rotated = rotate(&ctx.db, ctx.operator, &sealers, dry_run).await?;
    let unopened: usize = rotated.iter().map(|column| column.unopened.len()).sum();
    ctx.out.reply(&json!({ "dry_run": dry_run, "columns": rotated }), || text(&rotated, dry_run))?;
    match unopened {
        0 => Ok(()),
        1 => Err(CliError::Found("1 secret opens neither with TOKI_SECRET_KEY nor with TOKI_SECRET_KEY_OLD".into())),
        n => Err(CliError::Found(format!("{n} secrets open neither with TOKI_SECRET_KEY nor with TOKI_SECRET_KEY_OLD"))),
    }
}

fn text(rotated: &[Rotated], dry_run: bool) -> String {
    let rows: Vec<_> = rotated.iter().map(|of| [of.column.into(), of.resealed.to_string(), of.unopened.len().to_string()]).collect();
    let unopened = rotated.iter().flat_map(|of| of.unopened.iter().map(|row_id| format!("\ndoes not open: {} of {row_id}", of.column)));
    table(["SECRETS", if dry_run { "TO RESEAL" } else { "RESEALED" }, "UNOPENED"], &rows) + &unopened.collect::<String>()
}
