//! `toki spool`: settlements in this machine's spool that the database refused: list, replay.

use crate::cli::output::{Output, cause_chain, table};
use crate::cli::values::{or_dash, shown, word};
use crate::cli::{CliError, Context};
use crate::gateway::{Database, Rejected, ReplayError, settle_rejected};
use crate::ids::{AccountId, KeyId, RequestId};
use crate::server::config::Config;
use crate::tokens::Tokens;
use crate::wallet::ledger::Settled;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// What was set aside, the oldest first; asks no database
    List,
    /// Try it again: what the database takes now is settled, once, and its file removed. Exit 1 while anything is left
    Replay,
}

/// How something that was set aside stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// By the database, for what it says.
    Refused,
    /// It is no settlement: damage, or of another version.
    Unreadable,
    /// Nothing is wrong with it, or nobody knows: the database takes nothing at the moment.
    Waiting,
    Settled,
    /// Its call had been settled before, and that record stands.
    SettledBefore,
}

#[derive(Serialize)]
struct Record {
    file: String,
    request_id: Option<RequestId>,
    account_id: Option<AccountId>,
    key_id: Option<KeyId>,
    model_id: Option<String>,
    started_at: Option<DateTime<Utc>>,
    /// What the call cost.
    charge: Option<Tokens>,
    state: State,
    /// What was charged, no more than had been held or could be paid.
    charged: Option<Tokens>,
    /// As far as it is known: why the database refused it, it says when it is asked again.
    why: Option<String>,
}

impl Record {
    fn of(rejected: &Rejected) -> Record {
        let (settlement, why) = match &rejected.settlement {
            Ok(settlement) => (Some(settlement), None),
            Err(error) => (None, Some(format!("no settlement: {}", cause_chain(error)))),
        };
        Record {
            file: rejected.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            request_id: settlement.map(|settlement| settlement.request_id),
            account_id: settlement.map(|settlement| settlement.account_id),
            key_id: settlement.map(|settlement| settlement.key_id),
            model_id: settlement.map(|settlement| settlement.model_id.clone()),
            started_at: settlement.map(|settlement| settlement.started_at),
            charge: settlement.map(|settlement| settlement.charge),
            state: if settlement.is_some() { State::Refused } else { State::Unreadable },
            charged: None,
            why,
        }
    }

    fn note(&mut self, settled: Result<Settled, ReplayError>) {
        match settled {
            Ok(settled) => {
                self.state = if settled.first { State::Settled } else { State::SettledBefore };
                self.charged = Some(settled.charge);
            }
            Err(error) => {
                let refused = matches!(&error, ReplayError::Ledger(error) if error.is_refusal());
                self.state = if refused { State::Refused } else { State::Waiting };
                self.why = Some(cause_chain(&error));
            }
        }
    }

    fn is_left(&self) -> bool {
        !matches!(self.state, State::Settled | State::SettledBefore)
    }
}

pub fn list(out: &Output) -> Result<(), CliError> {
    let records: Vec<Record> = rejected(&Config::from_env(false)?)?.iter().map(Record::of).collect();
    out.reply(&json!({ "records": records }), || text(&records))
}

pub async fn replay(ctx: &Context) -> Result<(), CliError> {
    // As a server settles: with the gateway's own connections.
    let db = Database::connect_lazy(ctx.db.connect_options().as_ref().clone());
    let mut records = Vec::new();
    let mut away = false;
    for rejected in rejected(&ctx.config)? {
        let mut record = Record::of(&rejected);
        match &rejected.settlement {
            Ok(_) if away => record.state = State::Waiting,
            Ok(settlement) => {
                let settled = settle_rejected(&db, &rejected.path, settlement).await;
                away = settled.as_ref().is_err_and(is_away);
                record.note(settled);
            }
            Err(_) => {}
        }
        records.push(record);
    }
    db.close().await;
    let left = records.iter().filter(|record| record.is_left()).count();
    ctx.out.reply(&json!({ "records": records, "left": left }), || text(&records))?;
    match left {
        0 => Ok(()),
        1 => Err(CliError::Found("1 record of the spool is left".into())),
        n => Err(CliError::Found(format!("{n} records of the spool are left"))),
    }
}

fn rejected(config: &Config) -> Result<Vec<Rejected>, CliError> {
    Rejected::all(&config.spool_dir).map_err(|error| CliError::Spool(config.spool_dir.clone(), error))
}

/// A lock that somebody keeps is one account's; whatever else may pass would meet the next one, too.
fn is_away(error: &ReplayError) -> bool {
    matches!(error, ReplayError::Ledger(error) if error.is_transient() && !error.is_locked())
}

fn text(records: &[Record]) -> String {
    let rows: Vec<_> = records
        .iter()
        .map(|record| {
            [
                record.file.clone(),
                or_dash(record.request_id, |id| id.to_string()),
                or_dash(record.account_id, |id| id.to_string()),
                or_dash(record.started_at, shown),
                or_dash(record.charge, Tokens::exact),
                or_dash(record.charged, Tokens::exact),
                word(&record.state),
                or_dash(record.why.clone(), |why| why),
            ]
        })
        .collect();
    table(["FILE", "CALL", "ACCOUNT", "STARTED", "CHARGE", "CHARGED", "STATE", "WHY"], &rows)
}
