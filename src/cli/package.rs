//! `toki package`: add, list, edit, disable, enable. Prices are minor units of their currency: 500 of usd is $5.00.

use crate::catalog::store::{NewPackage, PackageEdit, PackageRow, all_packages, insert_package, update_package};
use crate::checkout::payments::Provider;
use crate::cli::output::table;
use crate::cli::values::{self, OrNone, currency};
use crate::cli::{CliError, Context, durations};
use crate::codes::store::promotions::Chargeable;
use crate::ids::PackageId;
use crate::money::{Currency, Money};
use crate::tokens::Tokens;
use crate::ui::utc_time::validity;
use chrono::TimeDelta;
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Put a package on sale
    Add(Add),
    /// All packages, on sale or not
    List,
    /// Change a package, for whoever confirms it from now on
    Edit(Edit),
    /// Take a package off sale; orders keep what they bought
    Disable(Id),
    /// Put a package on sale again
    Enable(Id),
}

#[derive(Args)]
pub struct Add {
    #[arg(long)]
    name: String,
    #[arg(long, value_parser = values::tokens)]
    tokens: Tokens,
    /// Price in minor units
    #[arg(long, value_name = "MINOR", value_parser = clap::value_parser!(i64).range(0..))]
    price: i64,
    /// ISO 4217 code
    #[arg(long, value_parser = currency)]
    currency: Currency,
    /// 30d, 12h or 90m
    #[arg(long, value_parser = durations::parse)]
    valid_for: TimeDelta,
    /// Slugs of the suppliers it may be spent on; without: all
    #[arg(long, value_delimiter = ',')]
    suppliers: Vec<String>,
    /// Most orders of one account; without: no limit
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    purchase_limit: Option<i32>,
    /// The limit holds for orders within any such span: 30d, 12h or 90m; without: for ever
    #[arg(long, requires = "purchase_limit", value_parser = durations::parse)]
    limit_period: Option<TimeDelta>,
    /// Buying it again before its end takes over what is left
    #[arg(long)]
    rolls_over: bool,
    /// For so long after the payment, customers may give the unused part back: 14d, 12h or 90m; without: only operators refund
    #[arg(long, value_parser = durations::parse)]
    refund_window: Option<TimeDelta>,
}

#[derive(Args)]
pub struct Edit {
    #[command(flatten)]
    package: Id,
    #[arg(long)]
    name: Option<String>,
    #[arg(long, value_parser = values::tokens)]
    tokens: Option<Tokens>,
    /// Price in minor units
    #[arg(long, value_name = "MINOR", value_parser = clap::value_parser!(i64).range(0..))]
    price: Option<i64>,
    #[arg(long, requires = "price", value_parser = currency)]
    currency: Option<Currency>,
    #[arg(long, value_parser = durations::parse)]
    valid_for: Option<TimeDelta>,
    /// Most orders of one account, or `none`
    #[arg(long, value_parser = values::number_or_none)]
    purchase_limit: Option<OrNone<i32>>,
    /// The span within which the limit holds: 30d, 12h or 90m; `none` = for ever
    #[arg(long, value_parser = values::duration_or_none)]
    limit_period: Option<OrNone<TimeDelta>>,
    /// Whether buying it again before its end takes over what is left
    #[arg(long)]
    rolls_over: Option<bool>,
    /// How long after the payment customers may give the unused part back: 14d, 12h or 90m, or `none`
    #[arg(long, value_parser = values::duration_or_none)]
    refund_window: Option<OrNone<TimeDelta>>,
}

/// `PACKAGE_ID`, or `--id PACKAGE_ID`.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Id {
    #[arg(value_name = "PACKAGE_ID")]
    id: Option<PackageId>,
    #[arg(long = "id", value_name = "PACKAGE_ID")]
    id_option: Option<PackageId>,
}

pub async fn run(ctx: &Context, command: Command) -> Result<(), CliError> {
    match command {
        Command::Add(add) => run_add(ctx, add).await,
        Command::List => list(ctx).await,
        Command::Edit(edit) => run_edit(ctx, edit).await,
        Command::Disable(id) => apply(ctx, id.get()?, PackageEdit { on_sale: Some(false), ..PackageEdit::default() }, "disabled").await,
        Command::Enable(id) => apply(ctx, id.get()?, PackageEdit { on_sale: Some(true), ..PackageEdit::default() }, "enabled").await,
    }
}

impl Id {
    fn get(&self) -> Result<PackageId, CliError> {
        // The group of arguments demands one of them.
        self.id.or(self.id_option).ok_or(CliError::UnknownPackage)
    }
}

/// Refuses a price that could be put on sale and never be paid: play money takes all of them, Stripe does not.
fn chargeable(price: Money) -> Result<Money, CliError> {
    let Chargeable { least_minor, step_minor } = Provider::Stripe.chargeable(&price.currency);
    let fits = price.minor >= least_minor && Provider::Stripe.amount_of(&price).is_some();
    if fits || price.minor < 1 {
        // Of what is no price at all the catalog tells.
        return Ok(price);
    }
    let of = |minor| Money::new(minor, price.currency.clone()).exact();
    Err(CliError::Unchargeable { price: price.exact(), least: of(least_minor.max(step_minor)), step: of(step_minor) })
}

async fn run_add(ctx: &Context, add: Add) -> Result<(), CliError> {
    let new = NewPackage {
        name: add.name.clone(),
        tokens: add.tokens,
        price: chargeable(Money::new(add.price, add.currency))?,
        valid_for_s: add.valid_for.num_seconds(),
        supplier_slugs: add.suppliers,
        purchase_limit: add.purchase_limit,
        limit_period_s: add.limit_period.map(|span| span.num_seconds()),
        rolls_over: add.rolls_over,
        refund_window_s: add.refund_window.map(|span| span.num_seconds()),
    };
    let package_id = insert_package(&ctx.db, ctx.operator, new).await?;
    ctx.out.reply(&json!({ "package_id": package_id }), || format!("added package {} as {package_id}", add.name))
}

async fn list(ctx: &Context) -> Result<(), CliError> {
    let packages = all_packages(&ctx.db).await?;
    ctx.out.reply(&json!({ "packages": packages }), || {
        let rows: Vec<_> = packages
            .iter()
            .map(|row| {
                [
                    row.package_id.to_string(),
                    row.name.clone(),
                    row.tokens.exact(),
                    price(row).map_or_else(|| "-".into(), |price| price.exact()),
                    validity(row.valid_for_s),
                    if row.suppliers.is_empty() { "all".into() } else { row.suppliers.join(",") },
                    row.status.clone(),
                ]
            })
            .collect();
        table(["PACKAGE", "NAME", "TOKENS", "PRICE", "VALID FOR", "SUPPLIERS", "STATUS"], &rows)
    })
}

fn price(row: &PackageRow) -> Option<Money> {
    Some(Money::new(row.price_minor, Currency::parse(&row.currency).ok()?))
}

async fn run_edit(ctx: &Context, edit: Edit) -> Result<(), CliError> {
    let package_id = edit.package.get()?;
    let price = match (edit.price, edit.currency) {
        (None, _) => None,
        (Some(minor), Some(currency)) => Some(Money::new(minor, currency)),
        (Some(minor), None) => Some(Money { minor, ..current_price(ctx, package_id).await? }),
    };
    let change = PackageEdit {
        name: edit.name,
        tokens: edit.tokens,
        price: price.map(chargeable).transpose()?,
        valid_for_s: edit.valid_for.map(|span| span.num_seconds()),
        purchase_limit: edit.purchase_limit.map(|limit| limit.0),
        // Without a limit there is nothing to hold in a period.
        limit_period_s: match (edit.limit_period, edit.purchase_limit) {
            (Some(period), _) => Some(period.0.map(|span| span.num_seconds())),
            (None, Some(OrNone(None))) => Some(None),
            (None, _) => None,
        },
        rolls_over: edit.rolls_over,
        refund_window_s: edit.refund_window.map(|window| window.0.map(|span| span.num_seconds())),
        on_sale: None,
    };
    apply(ctx, package_id, change, "edited").await
}

async fn current_price(ctx: &Context, package_id: PackageId) -> Result<Money, CliError> {
    let packages = all_packages(&ctx.db).await?;
    packages.iter().find(|row| row.package_id == package_id).and_then(price).ok_or(CliError::UnknownPackage)
}

async fn apply(ctx: &Context, package_id: PackageId, change: PackageEdit, done: &str) -> Result<(), CliError> {
    update_package(&ctx.db, ctx.operator, package_id, change).await?;
    ctx.out.reply(&json!({ "package_id": package_id }), || format!("{done} package {package_id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_never_be_paid_is_not_put_on_sale() {
        for (minor, code, refused) in [
            (50, "usd", None),
            (10, "usd", Some("cannot charge $0.10: it charges $0.50 at least, in steps of $0.01")),
            (1_500, "kwd", None),
            (1_505, "kwd", Some("cannot charge KWD 1.505: it charges KWD 0.010 at least, in steps of KWD 0.010")),
            (2_000, "mga", None),
            (2_050, "mga", Some("cannot charge")),
            // No price at all, of which the catalog tells.
            (0, "usd", None),
        ] {
            let price = Money::new(minor, Currency::parse(code).expect("a code"));
            let said = chargeable(price).err().map(|error| error.to_string());
            assert_eq!(said.is_some(), refused.is_some(), "{minor} {code}");
            assert!(refused.is_none_or(|refused| said.is_some_and(|said| said.contains(refused))), "{minor} {code}");
        }
    }
}
