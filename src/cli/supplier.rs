//! `toki supplier`: add, list, edit, disable, enable.

use crate::cli::output::table;
use crate::cli::{CliError, Context};
use crate::suppliers::store::{Status, SupplierEdit, all_suppliers, insert_supplier, update_supplier};
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
    /// Rename a supplier
    Edit {
        #[command(flatten)]
        supplier: Slug,
        #[arg(long)]
        name: String,
    },
    /// Stop calls to a supplier, running ones within a second
    Disable(Slug),
    /// Let calls reach a supplier again
    Enable(Slug),
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
            let supplier_id = insert_supplier(&ctx.db, ctx.operator(), &slug, &name).await?;
            ctx.out.reply(&json!({ "supplier_id": supplier_id }), || format!("added supplier {slug}"))
        }
        Command::List => list(ctx).await,
        Command::Edit { supplier, name } => edit(ctx, supplier, SupplierEdit { name: Some(name), status: None }).await,
        Command::Disable(slug) => edit(ctx, slug, SupplierEdit { name: None, status: Some(Status::Disabled) }).await,
        Command::Enable(slug) => edit(ctx, slug, SupplierEdit { name: None, status: Some(Status::Enabled) }).await,
    }
}

async fn list(ctx: &Context) -> Result<(), CliError> {
    let suppliers = all_suppliers(&ctx.db).await?;
    ctx.out.reply(&json!({ "suppliers": suppliers }), || {
        let rows: Vec<_> = suppliers.iter().map(|row| [row.slug.clone(), row.name.clone(), row.status.as_str().into()]).collect();
        table(["SLUG", "NAME", "STATUS"], &rows)
    })
}

async fn edit(ctx: &Context, slug: Slug, edit: SupplierEdit) -> Result<(), CliError> {
    let slug = slug.slug.or(slug.slug_option).unwrap_or_default();
    let done = edit.status.map_or("edited", Status::as_str);
    let supplier_id = update_supplier(&ctx.db, ctx.operator(), &slug, edit).await?;
    ctx.out.reply(&json!({ "supplier_id": supplier_id }), || format!("{done} supplier {slug}"))
}
