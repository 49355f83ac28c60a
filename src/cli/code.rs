//! `toki code`: create, list, show, disable. The codes themselves are printed by `create`, and never again.

use crate::catalog::store::all_packages;
use crate::cli::output::{facts, table};
use crate::cli::values::{self, or_dash, shown};
use crate::cli::{CliError, Context, durations};
use crate::codes::store::batches::{CodeRow, NewCodes, Off, Worth, code, codes, disable_code, insert_codes};
use crate::codes::store::plain::CodePepper;
use crate::ids::{ActionId, CodeId, PackageId};
use crate::money::{Currency, Money};
use crate::suppliers::store::{SupplierError, all_models, supplier_by_slug};
use crate::tokens::Tokens;
use crate::wallet::ledger::Scope;
use chrono::{DateTime, TimeDelta, Utc};
use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Make codes, worth Tokens or a part of a price; they are shown this once
    Create(Box<Create>),
    /// The last codes made, newest first
    List {
        /// Only of one `create`
        #[arg(long, value_name = "BATCH_ID")]
        batch: Option<ActionId>,
    },
    /// One code, and who used it
    Show {
        #[arg(value_name = "CODE_ID")]
        id: CodeId,
    },
    /// Take a code back; who has used it keeps what it brought
    Disable {
        #[arg(value_name = "CODE_ID")]
        id: CodeId,
        /// Why; kept in the audit log
        #[arg(long)]
        reason: String,
    },
}

#[derive(Args)]
#[command(group = ArgGroup::new("worth").required(true).args(["tokens", "percent_off", "amount_off"]))]
pub struct Create {
    /// A redemption code: a grant of so many Tokens
    #[arg(long, value_parser = values::tokens)]
    tokens: Option<Tokens>,
    /// How long its Tokens are valid: 30d, 12h or 90m
    #[arg(long, default_value = "365d", value_parser = durations::parse, conflicts_with_all = ["percent_off", "amount_off"])]
    valid_for: TimeDelta,
    /// Slugs of the suppliers its Tokens may be spent on; without: all
    #[arg(long, value_delimiter = ',', requires = "tokens")]
    suppliers: Vec<String>,
    /// Models its Tokens may be spent on; without: all
    #[arg(long, value_delimiter = ',', requires = "tokens")]
    models: Vec<String>,
    /// A promotion code: so many percent off a price, 1 to 99
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(i32).range(1..=99))]
    percent_off: Option<i32>,
    /// A promotion code: so many minor units off a price
    #[arg(long, value_name = "MINOR", requires = "currency", value_parser = clap::value_parser!(i64).range(1..))]
    amount_off: Option<i64>,
    /// Only off prices in this currency, an ISO 4217 code
    #[arg(long, value_parser = values::currency, conflicts_with = "tokens")]
    currency: Option<Currency>,
    /// Only off the prices of these packages; without: of all
    #[arg(long, value_name = "PACKAGE_ID", value_delimiter = ',', conflicts_with = "tokens")]
    packages: Vec<PackageId>,
    /// How many accounts may use each code, once each
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    uses: i32,
    /// How many codes to make
    #[arg(long, default_value_t = 1)]
    count: usize,
    /// Until when it may be used, RFC 3339; without: for ever
    #[arg(long, value_parser = values::time)]
    expires: Option<DateTime<Utc>>,
    /// What the customer sees beside it in the wallet
    #[arg(long)]
    note: Option<String>,
    /// Why; kept in the audit log
    #[arg(long)]
    reason: String,
}

pub async fn run(ctx: &Context, command: Command) -> Result<(), CliError> {
    match command {
        Command::Create(create) => run_create(ctx, *create).await,
        Command::List { batch } => run_list(ctx, batch).await,
        Command::Show { id } => run_show(ctx, id).await,
        Command::Disable { id, reason } => {
            disable_code(&ctx.db, ctx.operator, id, &reason).await?;
            ctx.out.reply(&json!({ "code_id": id, "status": "disabled" }), || format!("disabled code {id}"))
        }
    }
}

async fn run_create(ctx: &Context, create: Create) -> Result<(), CliError> {
    let pepper = CodePepper::derive(ctx.hash_key().await?.bytes());
    let worth = worth_of(ctx, &create).await?;
    let new = NewCodes { worth, count: create.count, uses: create.uses, expires_at: create.expires, note: create.note };
    let batch = insert_codes(&ctx.db, ctx.operator, &pepper, &new, &create.reason).await?;
    let made: Vec<_> = batch.codes.iter().map(|(code_id, code)| json!({ "code_id": code_id, "code": code.expose() })).collect();
    ctx.out.reply(&json!({ "batch_id": batch.batch_id, "codes": made }), || {
        batch.codes.iter().map(|(_, code)| code.expose()).collect::<Vec<_>>().join("\n")
    })
}

async fn worth_of(ctx: &Context, create: &Create) -> Result<Worth, CliError> {
    let off = match (create.tokens, create.percent_off, create.amount_off) {
        (Some(tokens), ..) => return Ok(Worth::Tokens { tokens, valid_for: create.valid_for, scope: scope_of(ctx, create).await? }),
        // The group demands one of them.
        (None, percent, amount) => amount.map_or(Off::Percent(percent.unwrap_or(0)), Off::AmountMinor),
    };
    let known = all_packages(&ctx.db).await?;
    if create.packages.iter().any(|id| known.iter().all(|package| package.package_id != *id)) {
        return Err(CliError::UnknownPackage);
    }
    let currency = create.currency.as_ref().map(|currency| currency.code().to_string());
    Ok(Worth::Off { off, currency, package_ids: create.packages.clone() })
}

async fn scope_of(ctx: &Context, create: &Create) -> Result<Scope, CliError> {
    let mut scope = Scope { supplier_ids: Vec::new(), model_ids: create.models.clone() };
    for slug in &create.suppliers {
        scope.supplier_ids.push(supplier_by_slug(&ctx.db, slug).await?.0);
    }
    let known = all_models(&ctx.db).await?;
    if create.models.iter().any(|id| known.iter().all(|model| model.model_id != *id)) {
        return Err(SupplierError::UnknownModel.into());
    }
    Ok(scope)
}

/// What a code is worth, for people.
fn worth(row: &CodeRow) -> String {
    let amount = |minor, currency: &str| Currency::parse(currency).map(|currency| Money::new(minor, currency).exact()).unwrap_or_default();
    match (row.tokens, row.percent_off, row.amount_off_minor) {
        (Some(tokens), ..) => format!("{} Tokens", tokens.exact()),
        (_, Some(percent), _) => format!("{percent} % off"),
        (.., minor) => format!("{} off", amount(minor.unwrap_or(0), row.currency.as_deref().unwrap_or_default())),
    }
}

async fn run_list(ctx: &Context, batch: Option<ActionId>) -> Result<(), CliError> {
    let codes = codes(&ctx.db, batch).await?;
    ctx.out.reply(&json!({ "codes": codes }), || {
        let rows: Vec<_> = codes
            .iter()
            .map(|row| {
                [
                    row.code_id.to_string(),
                    row.hint.clone(),
                    worth(row),
                    format!("{} of {}", row.used, row.uses),
                    or_dash(row.expires_at, shown),
                    row.status.clone(),
                ]
            })
            .collect();
        table(["CODE_ID", "CODE", "WORTH", "USED", "EXPIRES", "STATUS"], &rows)
    })
}

async fn run_show(ctx: &Context, code_id: CodeId) -> Result<(), CliError> {
    let (row, redemptions) = code(&ctx.db, code_id).await?;
    let mut document = serde_json::to_value(&row)?;
    document["redemptions"] = json!(redemptions);
    ctx.out.reply(&document, || {
        let head = facts(&[
            ("code", row.hint.clone()),
            ("batch", row.batch_id.to_string()),
            ("worth", worth(&row)),
            ("used", format!("{} of {}", row.used, row.uses)),
            ("expires", or_dash(row.expires_at, shown)),
            ("status", row.status.clone()),
            ("note", or_dash(row.note.clone(), |note| note)),
            ("reason", or_dash(row.reason.clone(), |reason| reason)),
            ("made by", or_dash(row.made_by.clone(), |name| name)),
        ]);
        let rows: Vec<_> = redemptions
            .iter()
            .map(|used| [shown(used.redeemed_at), used.email.clone(), or_dash(used.order_id, |id| id.to_string())])
            .collect();
        format!("{head}\n\n{}", table(["AT", "BY", "ORDER"], &rows))
    })
}
