//! The `toki` command line: its shape, its errors and its exit codes. One file a noun; what a command does is in the domains.

mod account;
mod audit;
mod channel;
mod code;
mod demo;
mod doctor;
mod doctor_channel;
mod doctor_database;
mod doctor_mail;
mod doctor_operators;
mod doctor_payments;
mod doctor_probe;
mod doctor_secrets;
mod durations;
mod key;
mod migrate;
mod model;
mod openapi;
mod order;
mod output;
mod package;
mod payments;
mod secrets;
mod serve;
mod spool;
mod supplier;
mod usage;
mod user;
mod values;

use crate::accounts::store::{AccountError, NewAccount, account_by_email};
use crate::accounts::types::Email;
use crate::catalog::store::CatalogError;
use crate::checkout::store::CheckoutError;
use crate::codes::store::CodeError;
use crate::connections::Connections;
use crate::keys::secret::Pepper;
use crate::keys::store::KeyError;
use crate::mail::outbox::Outbox;
use crate::operators::credit::OperatorError;
use crate::operators::rights::Operator;
use crate::secrets::hash_key::{HashKey, HashKeyError};
use crate::server::config::{Config, ConfigError, sudo_user};
use crate::server::run::connect;
use crate::suppliers::sandbox::RegisterError;
use crate::suppliers::sealed::SealingKey;
use crate::suppliers::store::SupplierError;
use crate::usage::store::UsageError;
use crate::wallet::store::WalletError;
use clap::{Parser, Subcommand};
use output::Output;
use sqlx::migrate::MigrateError;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "toki", version, about = "TOKI Token Plan: console and gateway that sell, hold and meter Tokens")]
pub struct Cli {
    /// Answer with one JSON document on standard output, and nothing else there
    #[arg(long, global = true)]
    json: bool,
    /// Why; kept in the audit log beside what an operator changes
    #[arg(long, global = true, value_name = "TEXT")]
    reason: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the console and /v1
    Serve {
        /// Add the sandbox supplier and sandbox payments; refused in production
        #[arg(long)]
        sandbox: bool,
    },
    /// Bring the database up to date with this program
    Migrate,
    /// Recompute every balance from the ledger; exit 1 and a line for each difference
    Audit {
        /// Only the account that the user with this e-mail owns
        #[arg(long, value_name = "EMAIL", value_parser = values::email)]
        account: Option<Email>,
    },
    /// Say what works, what does not, and what to do
    Doctor(doctor::Looks),
    /// Accounts: create, show, credit, suspend, resume, reset two-factor
    #[command(subcommand, alias = "accounts")]
    Account(account::Command),
    /// Users: suspend, resume
    #[command(subcommand, alias = "users")]
    User(user::Command),
    /// API keys: create, show, edit, enable, disable, delete
    #[command(subcommand, alias = "keys")]
    Key(key::Command),
    /// Suppliers: add, list, edit, disable, enable
    #[command(subcommand, alias = "suppliers")]
    Supplier(supplier::Command),
    /// Channels to suppliers: add, list, edit, disable, enable
    #[command(subcommand, alias = "channels")]
    Channel(channel::Command),
    /// Models and their prices: add, list, edit, disable, enable
    #[command(subcommand, alias = "models")]
    Model(model::Command),
    /// Packages of the Product Center: add, list, edit, disable, enable
    #[command(subcommand, alias = "packages")]
    Package(package::Command),
    /// Redemption and promotion codes: create, list, show, disable
    #[command(subcommand, alias = "codes")]
    Code(code::Command),
    /// Orders: list, show, refund
    #[command(subcommand, alias = "orders")]
    Order(order::Command),
    /// What payment providers told us that fits no order
    #[command(subcommand)]
    Payments(payments::Command),
    /// Ask the payment provider about open orders, missed events and unanswered refunds
    Reconcile,
    /// Secrets at rest: seal them with the current TOKI_SECRET_KEY
    #[command(subcommand)]
    Secrets(secrets::Command),
    /// Settlements in this machine's spool that the database refused: list, replay
    #[command(subcommand)]
    Spool(spool::Command),
    /// The calls of an account
    Usage(usage::Args),
    /// Print the OpenAPI document of /v1
    Openapi,
    /// Make what a first look needs, and say how to look
    #[command(hide = true)]
    Demo,
}

/// Why a command failed. Its text, with the causes behind it, is the one line on standard error.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the database cannot be reached")]
    Connect(#[source] sqlx::Error),
    #[error("{0} of the database's migrations are pending; run `toki migrate`")]
    Pending(usize),
    #[error("the database was migrated by another version of toki (migration {0}); run that version")]
    ForeignMigration(i64),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error("no account of {0}")]
    UnknownEmail(Email),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    #[error(transparent)]
    Code(#[from] CodeError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error(transparent)]
    Supplier(#[from] SupplierError),
    #[error("the sandbox supplier could not be registered")]
    Sandbox(#[from] RegisterError),
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error(transparent)]
    Wallet(#[from] WalletError),
    #[error(transparent)]
    HashKey(#[from] HashKeyError),
    #[error("database failed")]
    Db(#[from] sqlx::Error),
    #[error("no such package")]
    UnknownPackage,
    #[error("standard input: {0}")]
    Stdin(String),
    #[error("cannot write to standard output")]
    Stdout(#[source] std::io::Error),
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
    #[error("cannot write CSV")]
    Csv(#[from] csv::Error),
    #[error("{path}")]
    File { path: &'static str, source: std::io::Error },
    #[error("the spool {} cannot be read", .0.display())]
    Spool(PathBuf, #[source] std::io::Error),
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    #[error("serving failed")]
    Serve(#[source] std::io::Error),
    #[error("cannot start")]
    Runtime(#[source] std::io::Error),
    #[error("ended before running calls had")]
    Interrupted,
    #[error("the demo is refused in production: it writes passwords to a file")]
    DemoInProduction,
    #[error("the payment provider cannot charge {price}: it charges {least} at least, in steps of {step}")]
    Unchargeable { price: String, least: String, step: String },
    /// The command did its work and reports that something is wrong.
    #[error("{0}")]
    Found(String),
}

/// Parses the command line. The error is the exit code, after help or the complaint was written.
pub fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|error| {
        // Nobody is left to tell when the terminal is gone.
        drop(error.print());
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}

/// Runs a command.
pub async fn run(cli: Cli) -> Result<(), CliError> {
    let out = Output::new(cli.json);
    let operator = Operator::command_line().called_by(sudo_user()).because(cli.reason);
    let open = async || Context::open(out, operator).await;
    match cli.command {
        Command::Serve { sandbox } => serve::run(sandbox, &out).await,
        Command::Migrate => migrate::run(&out).await,
        Command::Audit { account } => audit::run(&open().await?, account).await,
        Command::Doctor(looks) => doctor::run(out, looks).await,
        Command::Account(command) => account::run(&open().await?, command).await,
        Command::User(command) => user::run(&open().await?, command).await,
        Command::Key(command) => key::run(&open().await?, command).await,
        Command::Supplier(command) => supplier::run(&open().await?, command).await,
        Command::Channel(command) => channel::run(&open().await?, command).await,
        Command::Model(command) => model::run(&open().await?, command).await,
        Command::Package(command) => package::run(&open().await?, command).await,
        Command::Code(command) => code::run(&open().await?, command).await,
        Command::Order(command) => order::run(&open().await?, command).await,
        Command::Payments(command) => payments::run(&open().await?, command).await,
        Command::Reconcile => payments::run_reconcile(&open().await?).await,
        Command::Secrets(command) => secrets::run(&open().await?, command).await,
        Command::Spool(spool::Command::List) => spool::list(&out),
        Command::Spool(spool::Command::Replay) => spool::replay(&open().await?).await,
        Command::Usage(args) => usage::run(&open().await?, args).await,
        Command::Openapi => openapi::run(&out),
        Command::Demo => demo::run(&open().await?).await,
    }
}

/// 0, or 1 with one line on standard error.
pub fn exit_code(result: Result<(), CliError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// What a command works with: the configuration, a database that is up to date, and the place to answer.
struct Context {
    config: Config,
    db: Connections,
    out: Output,
    /// Whoever may run this program with this database is one.
    operator: Operator,
}

impl Context {
    async fn open(out: Output, operator: Operator) -> Result<Context, CliError> {
        let config = Config::from_env(false)?;
        let db = connect(&config).await.map_err(CliError::Connect)?;
        migrate::require_current(&db).await?;
        Ok(Context { config, db, out, operator })
    }

    async fn hash_key(&self) -> Result<HashKey, CliError> {
        Ok(HashKey::of(&self.db, self.config.secret_keys()).await?)
    }

    async fn pepper(&self) -> Result<Pepper, CliError> {
        Ok(Pepper::derive(self.hash_key().await?.bytes()))
    }

    fn sealing_key(&self) -> SealingKey {
        SealingKey::derive(self.config.secret_keys())
    }

    fn outbox(&self) -> Outbox {
        Outbox::new(self.config.secret_keys(), &self.config.public_url)
    }

    async fn account(&self, email: &Email) -> Result<NewAccount, CliError> {
        account_by_email(&self.db, email).await.map_err(|error| match error {
            AccountError::NotFound => CliError::UnknownEmail(email.clone()),
            error => error.into(),
        })
    }
}
