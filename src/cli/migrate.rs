//! `toki migrate`, and the check that a database fits this program.

use crate::cli::CliError;
use crate::cli::output::Output;
use crate::server::config::Config;
use crate::server::run::MIGRATIONS;
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::migrate::{Migrate, MigrateError};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection, PgPool};

/// Postgres: undefined_table. A database that was never migrated has no table of migrations.
const UNDEFINED_TABLE: &str = "42P01";

/// How a database stands to the migrations in this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    Current,
    Pending(usize),
    /// Applied there, and unknown or different here.
    Foreign(i64),
}

pub async fn schema(db: &PgPool) -> Result<Schema, CliError> {
    schema_in(&mut *db.acquire().await.map_err(CliError::Connect)?).await
}

async fn schema_in(connection: &mut PgConnection) -> Result<Schema, CliError> {
    let applied = match connection.list_applied_migrations(&MIGRATIONS.table_name).await {
        Ok(applied) => applied,
        Err(MigrateError::Execute(sqlx::Error::Database(error))) if error.code().as_deref() == Some(UNDEFINED_TABLE) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let same = |version: i64, checksum: &[u8]| MIGRATIONS.iter().any(|ours| ours.version == version && *ours.checksum == *checksum);
    if let Some(foreign) = applied.iter().find(|theirs| !same(theirs.version, &theirs.checksum)) {
        return Ok(Schema::Foreign(foreign.version));
    }
    match MIGRATIONS.iter().count() - applied.len() {
        0 => Ok(Schema::Current),
        pending => Ok(Schema::Pending(pending)),
    }
}

/// Refuses a database that this program would misread.
pub async fn require_current(db: &PgPool) -> Result<(), CliError> {
    match schema(db).await? {
        Schema::Current => Ok(()),
        Schema::Pending(pending) => Err(CliError::Pending(pending)),
        Schema::Foreign(version) => Err(CliError::ForeignMigration(version)),
    }
}

/// Applies what is pending. Two at once wait for each other; a connection of its own, because a migration may take its time.
pub async fn run(out: &Output) -> Result<(), CliError> {
    let config = Config::from_env(false)?;
    let options: PgConnectOptions = config.database_url.expose_secret().parse().map_err(CliError::Connect)?;
    let mut connection = options.application_name("toki migrate").connect().await.map_err(CliError::Connect)?;
    let before = schema_in(&mut connection).await?;
    MIGRATIONS.run(&mut connection).await?;
    let applied = match before {
        Schema::Pending(pending) => pending,
        Schema::Current | Schema::Foreign(_) => 0,
    };
    out.reply(&json!({ "applied": applied }), || match applied {
        0 => "the database is up to date".into(),
        1 => "applied 1 migration".into(),
        n => format!("applied {n} migrations"),
    })
}
