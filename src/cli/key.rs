//! `toki key`: create, show, edit, enable, disable, rotate, delete. A secret is printed once, by `create` and `rotate`.

use crate::accounts::types::Email;
use crate::cli::output::facts;
use crate::cli::values::{self, OrNone, RateLimits, limit_shown, or_dash, shown};
use crate::cli::{CliError, Context};
use crate::ids::{KeyId, SupplierId};
use crate::keys::secret::KeySecret;
use crate::keys::store::{
    KeyEdit, KeyOwner, KeyRow, LimitsEdit, NewKey, delete_key, insert_key, key_by_id, limits_of, rotate_key, update_key, update_limits,
};
use crate::keys::types::{KeyName, KeyStatus};
use crate::keys::types_limits::{KeyLimits, Period, PeriodQuota};
use crate::suppliers::store::supplier_by_slug;
use crate::tokens::Tokens;
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use ipnet::IpNet;
use serde::Serialize;
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Make a key; its secret is printed this once
    Create(Create),
    /// Status, quota and use of a key
    Show(Id),
    /// Change a key; the next call sees it
    Edit(Edit),
    /// Let a key call again
    Enable(Id),
    /// Stop a key, its running streams within a second
    Disable(Id),
    /// Give a key a new secret, which is printed this once
    Rotate(Rotate),
    /// End a key for good
    Delete(Id),
}

#[derive(Args)]
pub struct Id {
    #[arg(value_name = "KEY_ID")]
    key_id: KeyId,
}

#[derive(Args)]
pub struct Rotate {
    #[command(flatten)]
    key: Id,
    /// For how many hours the old secret works yet
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..=24 * 90))]
    grace_hours: i64,
}

#[derive(Args)]
pub struct Create {
    /// E-mail of the account's owner
    #[arg(long, value_parser = values::email)]
    email: Email,
    /// What its owner calls it
    #[arg(long, value_parser = values::key_name)]
    name: KeyName,
    /// Slug of the one supplier it may call; without: all
    #[arg(long)]
    supplier: Option<String>,
    /// Most Tokens it may ever spend; without: no limit of its own
    #[arg(long, value_parser = values::tokens)]
    quota: Option<Tokens>,
    /// RFC 3339; without: never
    #[arg(long, value_parser = values::time)]
    expires: Option<DateTime<Utc>>,
}

#[derive(Args)]
pub struct Edit {
    #[command(flatten)]
    key: Id,
    #[arg(long, value_parser = values::key_name)]
    name: Option<KeyName>,
    /// Slug, or `all`
    #[arg(long)]
    supplier: Option<String>,
    /// Tokens, or `none`
    #[arg(long, value_parser = values::tokens_or_none)]
    quota: Option<OrNone<Tokens>>,
    /// RFC 3339, or `none`
    #[arg(long, value_parser = values::time_or_none)]
    expires: Option<OrNone<DateTime<Utc>>>,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Args)]
struct Limits {
    #[command(flatten)]
    rates: RateLimits,
    /// The only models it may call, or `none`
    #[arg(long, value_delimiter = ',')]
    models: Option<Vec<String>>,
    /// The only networks it may be used from, like 203.0.113.0/24, or `none`
    #[arg(long, value_delimiter = ',', value_parser = values::network_or_none)]
    networks: Option<Vec<OrNone<IpNet>>>,
    /// Most Tokens a day, week or month, like `day:50,000`, or `none`
    #[arg(long, value_name = "PERIOD:TOKENS", value_parser = values::period_quota_or_none)]
    quota_per: Option<OrNone<(Period, Tokens)>>,
    /// Where a day begins, like Europe/Zurich; UTC unless set
    #[arg(long)]
    time_zone: Option<String>,
}

impl Limits {
    fn edit(self) -> LimitsEdit {
        let models = self.models.map(|models| models.into_iter().filter(|model| model != "none").collect());
        LimitsEdit {
            requests_per_minute: self.rates.requests_per_minute.map(|limit| limit.0),
            tokens_per_minute: self.rates.tokens_per_minute.map(|limit| limit.0),
            concurrent_calls: self.rates.concurrent_calls.map(|limit| limit.0),
            models,
            networks: self.networks.map(|networks| networks.into_iter().filter_map(|network| network.0).collect()),
            period: self.quota_per.map(|quota| quota.0),
            time_zone: self.time_zone,
        }
    }
}

/// A key as `show` answers it.
#[derive(Serialize)]
struct Shown<'a> {
    key_id: KeyId,
    name: &'a str,
    hint: &'a str,
    status: KeyStatus,
    /// None = every supplier.
    supplier: Option<&'a str>,
    quota: Option<Tokens>,
    spent: Tokens,
    held: Tokens,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    /// Whose it is: who made it, or to whom it was handed over.
    created_by: &'a str,
    handed_over_at: Option<DateTime<Utc>>,
    limits: &'a KeyLimits,
}

pub async fn run(ctx: &Context, command: Command) -> Result<(), CliError> {
    match command {
        Command::Create(create) => run_create(ctx, create).await,
        Command::Show(id) => show(ctx, id.key_id).await,
        Command::Edit(edit) => run_edit(ctx, edit).await,
        Command::Enable(id) => apply(ctx, id.key_id, KeyEdit { enabled: Some(true), ..KeyEdit::default() }, "enabled").await,
        Command::Disable(id) => apply(ctx, id.key_id, KeyEdit { enabled: Some(false), ..KeyEdit::default() }, "disabled").await,
        Command::Rotate(rotate) => run_rotate(ctx, rotate).await,
        Command::Delete(id) => {
            delete_key(&ctx.db, KeyOwner::Operator(ctx.operator), id.key_id).await?;
            done(ctx, id.key_id, "deleted")
        }
    }
}

async fn run_create(ctx: &Context, create: Create) -> Result<(), CliError> {
    let account = ctx.account(&create.email).await?;
    let supplier_id = match &create.supplier {
        Some(slug) => Some(supplier_by_slug(&ctx.db, slug).await?),
        None => None,
    };
    let new = NewKey { name: create.name, supplier_id, quota: create.quota, expires_at: create.expires, enabled: true };
    let (key_id, secret) = insert_key(&ctx.db, ctx.operator, account.account_id, account.user_id, &ctx.pepper().await?, new).await?;
    reply_secret(ctx, key_id, &secret)
}

async fn run_rotate(ctx: &Context, rotate: Rotate) -> Result<(), CliError> {
    let Rotate { key: Id { key_id }, grace_hours } = rotate;
    let grace = TimeDelta::hours(grace_hours);
    let secret = rotate_key(&ctx.db, KeyOwner::Operator(ctx.operator), key_id, &ctx.pepper().await?, grace).await?;
    reply_secret(ctx, key_id, &secret)
}

fn reply_secret(ctx: &Context, key_id: KeyId, secret: &KeySecret) -> Result<(), CliError> {
    let secret = secret.expose();
    ctx.out.reply(&json!({ "key_id": key_id, "secret": secret }), || {
        format!("{}\nThe secret is not shown again.", facts(&[("key", key_id.to_string()), ("secret", secret.to_string())]))
    })
}

async fn show(ctx: &Context, key_id: KeyId) -> Result<(), CliError> {
    let row = key_by_id(&ctx.db, KeyOwner::Operator(ctx.operator), key_id).await?;
    let limits = limits_of(&ctx.db, key_id).await?;
    let list = |list: &[String]| if list.is_empty() { "all".into() } else { list.join(", ") };
    ctx.out.reply(&document(&row, &limits), || {
        facts(&[
            ("key", row.key_id.to_string()),
            ("name", row.name.clone()),
            ("secret", row.hint.clone()),
            ("status", row.status.word().to_lowercase()),
            ("supplier", row.supplier_slug.clone().unwrap_or_else(|| "all".into())),
            ("quota", limit_shown(row.quota, Tokens::exact)),
            ("spent", row.spent.exact()),
            ("held", row.held.exact()),
            ("expires", row.expires_at.map_or_else(|| "never".into(), shown)),
            ("last used", or_dash(row.last_used_at, shown)),
            ("created", created(&row)),
            ("requests a minute", limit_shown(limits.requests_per_minute, |limit| limit.to_string())),
            ("Tokens a minute", limit_shown(limits.tokens_per_minute, Tokens::exact)),
            ("calls at once", limit_shown(limits.concurrent_calls, |limit| limit.to_string())),
            ("models", list(&limits.models)),
            ("networks", list(&limits.networks)),
            ("quota of a period", limit_shown(limits.period.as_ref(), period_in_words)),
        ])
    })
}

/// Who made a key that was handed over is told by the account's log.
fn created(row: &KeyRow) -> String {
    match row.handed_over_at {
        None => format!("{} by {}", shown(row.created_at), row.created_by_email),
        Some(at) => format!("{}; belongs to {} since {}", shown(row.created_at), row.created_by_email, shown(at)),
    }
}

fn period_in_words(quota: &PeriodQuota) -> String {
    let PeriodQuota { period, time_zone, quota, used, ends_at } = quota;
    format!("{} of {} used; a {} in {time_zone}, the next begins {}", used.exact(), quota.exact(), period.as_str(), ends_at.rfc3339())
}

fn document<'a>(row: &'a KeyRow, limits: &'a KeyLimits) -> Shown<'a> {
    Shown {
        limits,
        key_id: row.key_id,
        name: &row.name,
        hint: &row.hint,
        status: row.status,
        supplier: row.supplier_slug.as_deref(),
        quota: row.quota,
        spent: row.spent,
        held: row.held,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        created_at: row.created_at,
        created_by: &row.created_by_email,
        handed_over_at: row.handed_over_at,
    }
}

async fn run_edit(ctx: &Context, edit: Edit) -> Result<(), CliError> {
    let supplier_id: Option<Option<SupplierId>> = match edit.supplier.as_deref() {
        None => None,
        Some("all") => Some(None),
        Some(slug) => Some(Some(supplier_by_slug(&ctx.db, slug).await?)),
    };
    let change = KeyEdit {
        name: edit.name,
        quota: edit.quota.map(|quota| quota.0),
        expires_at: edit.expires.map(|expires| expires.0),
        supplier_id,
        enabled: None,
    };
    let limits = edit.limits.edit();
    if !limits.is_nothing() {
        update_limits(&ctx.db, KeyOwner::Operator(ctx.operator), edit.key.key_id, limits).await?;
    }
    apply(ctx, edit.key.key_id, change, "edited").await
}

async fn apply(ctx: &Context, key_id: KeyId, change: KeyEdit, deed: &str) -> Result<(), CliError> {
    update_key(&ctx.db, KeyOwner::Operator(ctx.operator), key_id, change).await?;
    done(ctx, key_id, deed)
}

fn done(ctx: &Context, key_id: KeyId, deed: &str) -> Result<(), CliError> {
    ctx.out.reply(&json!({ "key_id": key_id }), || format!("{deed} key {key_id}"))
}
