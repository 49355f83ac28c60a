//! `toki user`: suspend, resume.

use crate::accounts::store::user_by_email;
use crate::accounts::types::Email;
use crate::cli::{CliError, Context, values};
use crate::operators::accounts::set_user_suspended;
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// End all sessions of a user, who can sign in no more; keys go on, and are their accounts'
    Suspend(Of),
    /// Let the user sign in again
    Resume(Of),
}

#[derive(Args)]
pub struct Of {
    #[arg(long, value_parser = values::email)]
    email: Email,
}

pub async fn run(ctx: &Context, command: Command) -> Result<(), CliError> {
    let (Of { email }, suspended) = match command {
        Command::Suspend(of) => (of, true),
        Command::Resume(of) => (of, false),
    };
    let user_id = user_by_email(&ctx.db, &email).await?;
    set_user_suspended(&ctx.db, ctx.operator, user_id, suspended).await?;
    let status = if suspended { "suspended" } else { "active" };
    ctx.out.reply(&json!({ "user_id": user_id, "status": status }), || format!("{email} is {status}"))
}
