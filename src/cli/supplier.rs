//! `toki supplier`: add, list, edit, disable, enable.

use crate::cli::output::table;
use crate::cli::{CliError, Context, values};
use crate::suppliers::store::{OnLeave, Status, SupplierEdit, all_suppliers, insert_supplier, update_supplier};
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Add a supplier
    Add {
        /// Short name in commands and scopes: a-z, 0-9 and -
        #[arg(long)]
        slug: String,
        /// Name on pages
        #[arg(long)]
        name: String,
    },
    /// All suppliers
    List,
    /// Change a supplier; `toki doctor` says what fits it
    Edit(Edit),
    /// Stop calls to a supplier, running ones within a second
    Disable(Slug),
    /// Let calls reach a supplier again
    Enable(Slug),
}

#[derive(Args)]
#[group(required = true, multiple = true)]
pub struct Change {
    /// Name on pages
    #[arg(long)]
    name: Option<String>,
    /// When a caller leaves: `cancel` the call and count what was delivered, or `drain` the answer and charge what it reports
    #[arg(long, value_parser = values::on_leave)]
    on_leave: Option<OnLeave>,
    /// Tokens that it adds to the input of each call beside what is sent
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..=1_000_000))]
    prompt_overhead: Option<i64>,
}

#[derive(Args)]
pub struct Edit {
    #[command(flatten)]
    supplier: Slug,
    #[command(flatten)]
    change: Change,
}

/// `SLUG`, or `--slug SLUG` as in `add`.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Slug {
    #[arg(value_name = "SLUG")]
    slug: Option<String>,
    #[arg(long = "slug", value_name = "SLUG")]
    slug_option: Option<String>,
}

pub async fn run(ctx: &Context, command: Command) -> Result<(), CliError> {
    match command {
        Command::Add { slug, name } => {
            let supplier_id = insert_supplier(&ctx.db, ctx.operator, &slug, &name).await?;
            ctx.out.reply(&json!({ "supplier_id": supplier_id }), || format!("added supplier {slug}"))
        }
        Command::List => list(ctx).await,
        Command::Edit(Edit { supplier, change: Change { name, on_leave, prompt_overhead } }) => {
            edit(ctx, supplier, SupplierEdit { name, status: None, on_leave, prompt_overhead }).await
        }
        Command::Disable(slug) => edit(ctx, slug, SupplierEdit { status: Some(Status::Disabled), ..SupplierEdit::default() }).await,
        Command::Enable(slug) => edit(ctx, slug, SupplierEdit { status: Some(Status::Enabled), ..SupplierEdit::default() }).await,
    }
}

async fn list(ctx: &Context) -> Result<(), CliError> {
    let suppliers = all_suppliers(&ctx.db).await?;
    ctx.out.reply(&json!({ "suppliers": suppliers }), || {
        let rows: Vec<_> = suppliers
            .iter()
            .map(|row| {
                let (on_leave, overhead) = (row.on_leave.as_str().into(), row.prompt_overhead.to_string());
                [row.slug.clone(), row.name.clone(), on_leave, overhead, row.status.as_str().into()]
            })
            .collect();
        table(["SLUG", "NAME", "ON LEAVE", "OVERHEAD", "STATUS"], &rows)
    })
}

async fn edit(ctx: &Context, slug: Slug, edit: SupplierEdit) -> Result<(), CliError> {
    let slug = slug.slug.or(slug.slug_option).unwrap_or_default();
    let done = edit.status.map_or("edited", Status::as_str);
    let supplier_id = update_supplier(&ctx.db, ctx.operator, &slug, edit).await?;
    ctx.out.reply(&json!({ "supplier_id": supplier_id }), || format!("{done} supplier {slug}"))
}
