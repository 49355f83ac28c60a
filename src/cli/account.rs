//! `toki account`: create, show, credit, take back, transfer, limit, suspend, resume, reset-two-factor.

use crate::accounts::store::user_by_email;
use crate::accounts::types::{Email, Password};
use crate::cli::output::{facts, table};
use crate::cli::values::{self, RateLimits, limit_shown, shown, word};
use crate::cli::{CliError, Context, durations};
use crate::ids::GrantId;
use crate::operators::accounts::{create_account, reset_two_factor, set_account_suspended};
use crate::operators::credit::credit_account;
use crate::operators::moves::{TakenBack, take_all_back, take_back, transfer};
use crate::operators::store_limits::{AccountLimitsEdit, limit_account};
use crate::server::config::Environment;
use crate::tokens::Tokens;
use crate::ui::error_text::sentence;
use crate::wallet::store::{AccountTotals, GrantRow, grants_of, totals_in};
use chrono::TimeDelta;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;
use std::io::Read;

#[derive(Subcommand)]
pub enum Command {
    /// Make a user and an account of their own
    Create(Create),
    /// Balance and grants
    Show(Of),
    /// Credit Tokens, spendable by the next call
    Credit(Credit),
    /// Take Tokens of a grant back, as far as they are neither spent nor held
    TakeBack(TakeBack),
    /// Move Tokens to another account; they keep scope and expiry
    Transfer(Transfer),
    /// Limit the calls of the account, all its keys together; without an option: show its limits
    Limit(Limit),
    /// Stop the account's keys and end its owners' sessions
    Suspend(Of),
    /// Let the account's keys work again
    Resume(Of),
    /// Turn two-factor off for a user who lost authenticator and recovery codes, and end their sessions
    ResetTwoFactor(ResetTwoFactor),
}

#[derive(Args)]
pub struct Of {
    #[arg(long, value_parser = values::email)]
    email: Email,
}

#[derive(Args)]
pub struct Create {
    #[arg(long, value_parser = values::email)]
    email: Email,
    /// Read the password from standard input
    #[arg(long, required = true)]
    password_stdin: bool,
    /// The user runs the business
    #[arg(long)]
    operator: bool,
}

#[derive(Args)]
pub struct ResetTwoFactor {
    #[arg(long, value_parser = values::email)]
    email: Email,
    /// Why, and how you know that it is the user; kept in the audit log
    #[arg(long)]
    reason: String,
}

#[derive(Args)]
pub struct Credit {
    #[arg(long, value_parser = values::email)]
    email: Email,
    #[arg(long, value_parser = values::tokens)]
    tokens: Tokens,
    /// 30d, 12h or 90m
    #[arg(long, default_value = "365d", value_parser = durations::parse)]
    valid_for: TimeDelta,
    /// Slugs of the suppliers it may be spent on; without: all
    #[arg(long, value_delimiter = ',')]
    suppliers: Vec<String>,
    /// Why; the customer sees it in the wallet
    #[arg(long)]
    note: Option<String>,
}

#[derive(Args)]
pub struct TakeBack {
    /// As `account show` names it
    #[arg(long)]
    grant: GrantId,
    #[command(flatten)]
    taken: Taken,
    /// Why; kept in the audit log
    #[arg(long)]
    note: Option<String>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Taken {
    #[arg(long, value_parser = values::tokens)]
    tokens: Option<Tokens>,
    /// Whatever is left; what running calls hold stays theirs, and what they do not use comes back to the grant
    #[arg(long)]
    all: bool,
}

#[derive(Args)]
pub struct Transfer {
    /// E-mail of the owner who gives
    #[arg(long, value_parser = values::email)]
    from: Email,
    /// E-mail of the owner who receives
    #[arg(long, value_parser = values::email)]
    to: Email,
    #[arg(long, value_parser = values::tokens)]
    tokens: Tokens,
    /// Why; the receiver sees it in the wallet
    #[arg(long)]
    note: Option<String>,
}

#[derive(Args)]
pub struct Limit {
    /// E-mail of the owner
    #[arg(long, value_parser = values::email)]
    email: Email,
    #[command(flatten)]
    rates: RateLimits,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    totals: &'a AccountTotals,
    grants: &'a [GrantRow],
}

pub async fn run(ctx: &Context, command: Command) -> Result<(), CliError> {
    match command {
        Command::Create(create) => run_create(ctx, create).await,
        Command::Show(of) => run_show(ctx, &of.email).await,
        Command::Credit(credit) => run_credit(ctx, credit).await,
        Command::TakeBack(taken) => run_take_back(ctx, taken).await,
        Command::Transfer(given) => run_transfer(ctx, given).await,
        Command::Limit(limit) => run_limit(ctx, limit).await,
        Command::Suspend(of) => suspend(ctx, &of.email, true).await,
        Command::Resume(of) => suspend(ctx, &of.email, false).await,
        Command::ResetTwoFactor(reset) => run_reset_two_factor(ctx, reset).await,
    }
}

async fn run_create(ctx: &Context, create: Create) -> Result<(), CliError> {
    let password = password_from_stdin()?;
    let new = create_account(&ctx.db, ctx.operator, &create.email, password, create.operator).await?;
    let needs_two_factor = create.operator && ctx.config.environment == Environment::Production;
    let document = json!({ "account_id": new.account_id, "user_id": new.user_id });
    ctx.out.reply(&document, || {
        let facts = facts(&[("account", new.account_id.to_string()), ("user", new.user_id.to_string())]);
        let note =
            if needs_two_factor { "\n\nThe console asks this operator to set up two-factor, and opens nothing else before." } else { "" };
        format!("{facts}{note}")
    })
}

async fn run_reset_two_factor(ctx: &Context, reset: ResetTwoFactor) -> Result<(), CliError> {
    let ResetTwoFactor { email, reason } = reset;
    let user_id = user_by_email(&ctx.db, &email).await?;
    reset_two_factor(&ctx.db, ctx.operator, &ctx.outbox(), user_id, &email, &reason).await?;
    ctx.out.reply(&json!({ "user_id": user_id, "two_factor": false }), || {
        format!("{email} signs in with the password alone until two-factor is set up anew; all sessions have ended")
    })
}

/// The first and only line of standard input. Reads no more than a password may have.
fn password_from_stdin() -> Result<Password, CliError> {
    let mut text = String::new();
    let most = Password::LONGEST as u64 + 3;
    std::io::stdin().take(most).read_to_string(&mut text).map_err(|error| CliError::Stdin(error.to_string()))?;
    let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).unwrap_or(&text);
    if line.contains('\n') {
        return Err(CliError::Stdin("one line with the password is expected".into()));
    }
    Password::parse(line.to_string()).map_err(|error| CliError::Stdin(sentence(error)))
}

async fn run_limit(ctx: &Context, limit: Limit) -> Result<(), CliError> {
    let account_id = ctx.account(&limit.email).await?.account_id;
    let edit = AccountLimitsEdit {
        requests_per_minute: limit.rates.requests_per_minute.map(|limit| limit.0),
        tokens_per_minute: limit.rates.tokens_per_minute.map(|limit| limit.0),
        concurrent_calls: limit.rates.concurrent_calls.map(|limit| limit.0),
    };
    let limits = limit_account(&ctx.db, ctx.operator, account_id, edit).await?;
    ctx.out.reply(&limits, || {
        facts(&[
            ("requests a minute", limit_shown(limits.requests_per_minute, |limit| limit.to_string())),
            ("Tokens a minute", limit_shown(limits.tokens_per_minute, Tokens::exact)),
            ("calls at once", limit_shown(limits.concurrent_calls, |limit| limit.to_string())),
        ])
    })
}

async fn run_show(ctx: &Context, email: &Email) -> Result<(), CliError> {
    let account_id = ctx.account(email).await?.account_id;
    let grants = grants_of(&ctx.db, account_id).await?;
    let totals = totals_in(&grants);
    ctx.out.reply(&Shown { totals: &totals, grants: &grants }, || {
        let totals = facts(&[
            ("left", totals.left.exact()),
            ("held", totals.held.exact()),
            ("spent", totals.spent.exact()),
            ("expired", totals.expired.exact()),
            ("refunded", totals.refunded.exact()),
            ("granted", totals.granted.exact()),
        ]);
        let rows: Vec<_> = grants
            .iter()
            .map(|grant| {
                [
                    grant.grant_id.to_string(),
                    word(&grant.source),
                    grant.tokens.exact(),
                    grant.left.exact(),
                    grant.held.exact(),
                    shown(grant.expires_at),
                ]
            })
            .collect();
        format!("{totals}\n\n{}", table(["GRANT", "SOURCE", "TOKENS", "LEFT", "HELD", "EXPIRES"], &rows))
    })
}

async fn run_credit(ctx: &Context, credit: Credit) -> Result<(), CliError> {
    let account_id = ctx.account(&credit.email).await?.account_id;
    let note = credit.note.as_deref();
    let grant_id = credit_account(&ctx.db, ctx.operator, account_id, credit.tokens, credit.valid_for, &credit.suppliers, note).await?;
    ctx.out.reply(&json!({ "grant_id": grant_id }), || format!("credited {} Tokens as grant {grant_id}", credit.tokens.exact()))
}

async fn run_take_back(ctx: &Context, taken: TakeBack) -> Result<(), CliError> {
    let TakeBack { grant, taken, note } = taken;
    let Some(tokens) = taken.tokens else { return take_all(ctx, grant, note.as_deref()).await };
    take_back(&ctx.db, ctx.operator, grant, tokens, note.as_deref()).await?;
    ctx.out.reply(&json!({ "grant_id": grant, "tokens": tokens }), || format!("took {} Tokens of grant {grant} back", tokens.exact()))
}

async fn take_all(ctx: &Context, grant: GrantId, note: Option<&str>) -> Result<(), CliError> {
    let TakenBack { tokens, held } = take_all_back(&ctx.db, ctx.operator, grant, note).await?;
    ctx.out.reply(&json!({ "grant_id": grant, "tokens": tokens, "held": held }), || {
        let taken = format!("took {} Tokens of grant {grant} back, all that was left", tokens.exact());
        match held {
            Tokens(0) => taken,
            held => format!("{taken}\nrunning calls hold {} of it; what they do not use comes back to the grant", held.exact()),
        }
    })
}

async fn run_transfer(ctx: &Context, given: Transfer) -> Result<(), CliError> {
    let (from, to) = (ctx.account(&given.from).await?.account_id, ctx.account(&given.to).await?.account_id);
    let grants = transfer(&ctx.db, ctx.operator, from, to, given.tokens, given.note.as_deref()).await?;
    ctx.out.reply(&json!({ "grant_ids": grants }), || format!("moved {} Tokens from {} to {}", given.tokens.exact(), given.from, given.to))
}

async fn suspend(ctx: &Context, email: &Email, suspended: bool) -> Result<(), CliError> {
    let account_id = ctx.account(email).await?.account_id;
    set_account_suspended(&ctx.db, ctx.operator, account_id, suspended).await?;
    let status = if suspended { "suspended" } else { "active" };
    ctx.out.reply(&json!({ "account_id": account_id, "status": status }), || format!("{email} is {status}"))
}
