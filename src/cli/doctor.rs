//! `toki doctor`: configuration, database, suppliers, payments, mail; what works, what does not, what to do. Changes nothing here.

use crate::checkout::store::quarantine::quarantined_count;
use crate::cli::doctor_channel::{check_channels, probe_channel};
use crate::cli::doctor_database::{check_durability, check_holds};
use crate::cli::doctor_mail::{check_mail, check_outbox};
use crate::cli::doctor_operators::check_operators;
use crate::cli::doctor_payments::{check_inbox, check_provider};
use crate::cli::doctor_secrets::check_secrets;
use crate::cli::migrate::{Schema, schema};
use crate::cli::output::{Output, cause_chain};
use crate::cli::{CliError, Context};
use crate::gateway::Census;
use crate::ids::ChannelId;
use crate::operators::rights::Operator;
use crate::server::config::{Config, Environment};
use crate::server::run::connect;
use crate::suppliers::store::{Status, all_channels, all_models, all_suppliers};
use crate::wallet::audit::nightly::{AuditRun, last_audit_run};
use chrono::{TimeDelta, Utc};
use clap::Args;
use ipnet::IpNet;
use secrecy::ExposeSecret;
use serde::Serialize;

/// What else to look at.
#[derive(Args)]
pub struct Looks {
    /// Call this channel, some hundred Tokens' worth: does it report usage, honour limits, stop when its caller leaves?
    #[arg(long, value_name = "CHANNEL_ID")]
    probe: Option<ChannelId>,
    /// The model to call it with; by default the first of its supplier
    #[arg(long, value_name = "MODEL_ID", requires = "probe")]
    model: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: String,
    pub status: Health,
    pub detail: String,
    /// What to do; none = nothing.
    pub remedy: Option<String>,
}

impl Check {
    pub fn ok(name: impl Into<String>, detail: impl Into<String>) -> Check {
        Check { name: name.into(), status: Health::Ok, detail: detail.into(), remedy: None }
    }

    pub fn warn(name: impl Into<String>, detail: impl Into<String>, remedy: impl Into<String>) -> Check {
        Check { name: name.into(), status: Health::Warn, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    pub fn fail(name: impl Into<String>, detail: impl Into<String>, remedy: impl Into<String>) -> Check {
        Check { name: name.into(), status: Health::Fail, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    fn line(&self) -> String {
        let status = match self.status {
            Health::Ok => "ok  ",
            Health::Warn => "warn",
            Health::Fail => "FAIL",
        };
        let remedy = self.remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
        format!("{status}  {}: {}{remedy}", self.name, self.detail)
    }
}

#[derive(Serialize)]
struct Document<'a> {
    ok: bool,
    checks: &'a [Check],
}

pub async fn run(out: Output, looks: Looks) -> Result<(), CliError> {
    let mut checks = Vec::new();
    let out = examine(out, &looks, &mut checks).await;
    let failed = checks.iter().filter(|check| check.status == Health::Fail).count();
    out.reply(&Document { ok: failed == 0, checks: &checks }, || checks.iter().map(Check::line).collect::<Vec<_>>().join("\n"))?;
    match failed {
        0 => Ok(()),
        1 => Err(CliError::Found("the doctor found 1 failure".into())),
        n => Err(CliError::Found(format!("the doctor found {n} failures"))),
    }
}

/// Goes as far as there is something to stand on: without a configuration no database, without a database no suppliers.
async fn examine(out: Output, looks: &Looks, checks: &mut Vec<Check>) -> Output {
    let config = match Config::from_env(false) {
        Ok(config) => config,
        Err(error) => {
            checks.push(Check::fail("configuration", error.to_string(), "correct the environment; README lists every variable"));
            return out;
        }
    };
    let environment = match config.environment {
        Environment::Development => "development",
        Environment::Production => "production",
    };
    checks.push(Check::ok("configuration", format!("{environment}, {}", config.public_url)));
    checks.push(proxies(&config));
    checks.push(metrics(&config));
    let (payments, delivery) = (payments(&config), config.mail.clone());
    let provider = check_provider(&config).await;
    checks.push(spool(&config));
    match connect(&config).await {
        Err(error) => checks.push(Check::fail("database", cause_chain(&error), "start Postgres, or correct DATABASE_URL")),
        Ok(db) => {
            checks.push(Check::ok("database", "reachable"));
            let ctx = Context { config, db, out, operator: Operator::command_line() };
            let migrations = migrations(&ctx).await;
            let current = migrations.status == Health::Ok;
            checks.push(migrations);
            checks.push(check_durability(&ctx).await);
            if current {
                checks.push(self_check(&ctx).await);
                checks.push(check_holds(&ctx).await);
                checks.push(check_secrets(&ctx).await);
                checks.push(check_operators(&ctx).await);
                checks.extend(suppliers(&ctx).await);
                if let Some(channel_id) = looks.probe {
                    checks.extend(probe_channel(&ctx, channel_id, looks.model.as_deref()).await);
                }
                checks.push(quarantine(&ctx).await);
                checks.push(check_inbox(&ctx.db).await);
                checks.push(check_outbox(&ctx.db).await);
            }
            checks.push(payments);
            checks.extend(provider);
            checks.push(check_mail(&ctx.config.mail).await);
            return ctx.out;
        }
    }
    checks.push(payments);
    checks.extend(provider);
    checks.push(check_mail(&delivery).await);
    out
}

async fn migrations(ctx: &Context) -> Check {
    match schema(&ctx.db).await {
        Ok(Schema::Current) => Check::ok("migrations", "all applied"),
        Ok(Schema::Pending(pending)) => Check::fail("migrations", format!("{pending} pending"), "run `toki migrate`"),
        Ok(Schema::Foreign(version)) => {
            Check::fail("migrations", format!("{version} is unknown to this program, or not the same"), "run the toki that applied it")
        }
        Err(error) => Check::fail("migrations", cause_chain(&error), "check the rights of the database's user"),
    }
}

async fn self_check(ctx: &Context) -> Check {
    let name = "nightly audit";
    match last_audit_run(&ctx.db).await {
        Err(error) => Check::fail(name, cause_chain(&error), "see the database's log"),
        Ok(None) => Check::ok(name, "has not run yet; a running `toki serve` begins it after 02:00 UTC"),
        Ok(Some(AuditRun { differences: Some(0), day, .. })) if Utc::now().date_naive() - day > TimeDelta::days(2) => {
            Check::warn(name, format!("last ran on {day}"), "keep `toki serve` running, or run `toki audit`")
        }
        Ok(Some(AuditRun { differences: Some(0), day, .. })) => Check::ok(name, format!("the books added up on {day}")),
        Ok(Some(AuditRun { differences: Some(found), day, examples, .. })) => {
            let first = examples.first().map(String::as_str).unwrap_or_default();
            Check::fail(name, format!("found {found} differences on {day}, the first: {first}"), "run `toki audit`, and find out why")
        }
        Ok(Some(run)) if run.is_running(Utc::now()) => Check::ok(name, "is running"),
        // Nobody knows whether the books add up.
        Ok(Some(AuditRun { day, examples, .. })) => {
            let why = examples.first().map_or("it was cut short", String::as_str);
            Check::fail(name, format!("has no result on {day}: {why}"), "run `toki audit`; a running `toki serve` begins it anew")
        }
    }
}

async fn suppliers(ctx: &Context) -> Vec<Check> {
    let read = async { Ok::<_, CliError>((all_suppliers(&ctx.db).await?, all_channels(&ctx.db).await?, all_models(&ctx.db).await?)) };
    let (suppliers, channels, models) = match read.await {
        Ok(read) => read,
        Err(error) => return vec![Check::fail("suppliers", cause_chain(&error), "see the database's log")],
    };
    let mut checks = Vec::new();
    let enabled: Vec<_> = suppliers.iter().filter(|supplier| supplier.status == Status::Enabled).collect();
    if enabled.is_empty() {
        checks.push(Check::warn("suppliers", "none is enabled, so no model can be called", "run `toki supplier add`"));
    }
    for supplier in enabled {
        let name = format!("supplier {}", supplier.slug);
        let ways = channels.iter().filter(|c| c.supplier == supplier.slug && c.status == Status::Enabled).collect::<Vec<_>>();
        let served = models.iter().filter(|m| m.supplier == supplier.slug && m.status == Status::Enabled).count();
        checks.push(match (ways.len(), served) {
            (0, _) => Check::fail(name, "has no enabled channel", "run `toki channel add`, or disable it"),
            (_, 0) => Check::warn(name, "has no enabled model", "run `toki model add`"),
            (ways, served) => Check::ok(name, format!("{ways} enabled channel(s), {served} enabled model(s)")),
        });
        checks.extend(check_channels(ctx, &ways).await);
    }
    checks
}

/// Whoever serves https has something in front of us that ends it.
fn proxies(config: &Config) -> Check {
    let trusted = config.edge.trusted_proxies.iter().map(IpNet::to_string).collect::<Vec<_>>().join(", ");
    match (trusted.is_empty(), config.public_url.scheme()) {
        (false, _) => Check::ok("proxies", format!("X-Forwarded-For is believed from {trusted}")),
        (true, "https") => Check::warn(
            "proxies",
            "none is trusted, so that every caller seems to come from the proxy that ends TLS",
            "set TOKI_TRUSTED_PROXIES to its network",
        ),
        (true, _) => Check::ok("proxies", "none is trusted; a caller is whoever connects"),
    }
}

fn metrics(config: &Config) -> Check {
    match config.metrics_addr {
        Some(addr) => Check::ok("metrics", format!("http://{addr}/metrics, for whoever reaches it")),
        None => Check::ok("metrics", "off; TOKI_METRICS_ADDR says where Prometheus finds them"),
    }
}

fn spool(config: &Config) -> Check {
    let folder = config.spool_dir.display();
    match Census::of(&config.spool_dir) {
        // The server makes it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Check::ok("spool", format!("{folder} is not there yet")),
        Err(error) => Check::fail("spool", format!("{folder}: {error}"), "correct TOKI_SPOOL_DIR, or the rights of the folder"),
        Ok(Census { rejected: 0, segments: 0 }) => Check::ok("spool", format!("{folder} is empty")),
        Ok(Census { rejected: 0, segments }) => {
            Check::warn("spool", format!("{segments} segment(s) of settlements wait in {folder}"), "a running `toki serve` replays them")
        }
        Ok(Census { rejected, .. }) => Check::fail(
            "spool",
            format!("{rejected} file(s) in {folder} hold settlements that the database refused, or damage"),
            "run `toki spool list`, mend what they are refused for, run `toki spool replay`, and look at what is unreadable before you remove it",
        ),
    }
}

fn payments(config: &Config) -> Check {
    let Some(stripe) = &config.stripe else {
        return Check::warn(
            "payments",
            "Stripe is not configured, so nothing can be bought",
            "set STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET, or use `toki serve --sandbox` to rehearse",
        );
    };
    let live = !stripe.secret_key.expose_secret().contains("_test_");
    match (live, config.environment) {
        (true, _) => Check::ok("payments", "Stripe is configured, in live mode"),
        (false, Environment::Development) => Check::ok("payments", "Stripe is configured, in test mode"),
        (false, Environment::Production) => {
            Check::warn("payments", "Stripe is configured in test mode: Tokens are sold for no money", "set the live secrets")
        }
    }
}

async fn quarantine(ctx: &Context) -> Check {
    let name = "payment events";
    match quarantined_count(&ctx.db).await {
        Err(error) => Check::fail(name, cause_chain(&error), "see the database's log"),
        Ok(0) => Check::ok(name, "each fitted its order"),
        Ok(count) => Check::fail(
            name,
            format!("{count} quarantined: money may have moved that bought nothing"),
            "run `toki payments quarantine list`, or open /operator/payments",
        ),
    }
}
