//! `toki usage`: the calls of an account, as a table, JSON or CSV.

use crate::accounts::types::Email;
use crate::cli::output::table;
use crate::cli::values::{self, shown, word};
use crate::cli::{CliError, Context};
use crate::ids::KeyId;
use crate::tokens::Tokens;
use crate::usage::export;
use crate::usage::store::usage_rows;
use chrono::{DateTime, Utc};
use serde_json::json;

#[derive(clap::Args)]
pub struct Args {
    /// E-mail of the account's owner
    #[arg(long, value_parser = values::email)]
    email: Email,
    /// Only calls with this key
    #[arg(long, value_name = "KEY_ID")]
    key: Option<KeyId>,
    /// Only calls that began at this time (RFC 3339) or later
    #[arg(long, value_parser = values::time)]
    since: Option<DateTime<Utc>>,
    /// Answer with CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

pub async fn run(ctx: &Context, args: Args) -> Result<(), CliError> {
    let account_id = ctx.account(&args.email).await?.account_id;
    let rows = usage_rows(&ctx.db, account_id, args.key, args.since).await?;
    if args.csv {
        // With its header, even when there are no calls.
        return ctx.out.raw(format!("{}{}", export::head()?, export::lines(&rows)?).as_bytes());
    }
    ctx.out.reply(&json!({ "usage": rows }), || {
        let lines: Vec<_> = rows
            .iter()
            .map(|row| {
                [
                    shown(row.started_at),
                    row.key_name.clone(),
                    row.model_id.clone(),
                    Tokens(row.input_tokens).exact(),
                    Tokens(row.output_tokens).exact(),
                    row.charge.exact(),
                    word(&row.basis),
                    word(&row.outcome),
                    row.request_id.to_string(),
                ]
            })
            .collect();
        table(["STARTED", "KEY", "MODEL", "INPUT", "OUTPUT", "CHARGE", "BASIS", "OUTCOME", "CALL"], &lines)
    })
}
