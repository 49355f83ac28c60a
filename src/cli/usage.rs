//! `toki usage`: the calls of an account, as a table, JSON or CSV.

use crate::accounts::types::Email;
use crate::cli::output::table;
use crate::cli::values::{self, shown, word};
use crate::cli::{CliError, Context};
use crate::ids::KeyId;
use crate::tokens::Tokens;
use crate::usage::store::{UsageRow, usage_rows};
use chrono::{DateTime, Utc};
use serde_json::json;

#[derive(clap::Args)]
pub struct Args {
    /// E-mail of the account's owner
    #[arg(long, value_parser = values::email)]
    email: Email,
    /// Only calls with this key
    #[arg(long, value_name = "KEY_ID")]
    key: Option<KeyId>,
    /// Only calls that began at this time (RFC 3339) or later
    #[arg(long, value_parser = values::time)]
    since: Option<DateTime<Utc>>,
    /// Answer with CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

pub async fn run(ctx: &Context, args: Args) -> Result<(), CliError> {
    let account_id = ctx.account(&args.email).await?.account_id;
    let rows = usage_rows(&ctx.db, account_id, args.key, args.since).await?;
    if args.csv {
        return ctx.out.raw(&csv(&rows)?);
    }
    ctx.out.reply(&json!({ "usage": rows }), || {
        let lines: Vec<_> = rows
            .iter()
            .map(|row| {
                [
                    shown(row.started_at),
                    row.key_name.clone(),
                    row.model_id.clone(),
                    Tokens(row.input_tokens).exact(),
                    Tokens(row.output_tokens).exact(),
                    row.charge.exact(),
                    word(&row.basis),
                    word(&row.outcome),
                    row.request_id.to_string(),
                ]
            })
            .collect();
        table(["STARTED", "KEY", "MODEL", "INPUT", "OUTPUT", "CHARGE", "BASIS", "OUTCOME", "CALL"], &lines)
    })
}

/// With its header, even when there are no calls.
fn csv(rows: &[UsageRow]) -> Result<Vec<u8>, CliError> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for row in rows {
        writer.serialize(row)?;
    }
    writer.into_inner().map_err(|error| CliError::Stdout(error.into_error()))
}

/// The fields of [`UsageRow`], in their order.
const COLUMNS: [&str; 23] = [
    "request_id",
    "started_at",
    "key_id",
    "key_name",
    "model_id",
    "supplier",
    "endpoint",
    "streamed",
    "outcome",
    "basis",
    "http_status",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "price_version",
    "input_ppm",
    "cached_ppm",
    "output_ppm",
    "held",
    "charge",
    "written_off",
    "first_byte_ms",
    "latency_ms",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RequestId;
    use crate::usage::types::{CallOutcome, ChargeBasis};

    #[test]
    fn columns_are_the_fields_of_a_row() {
        let row = UsageRow {
            request_id: RequestId::generate(),
            started_at: Utc::now(),
            key_id: KeyId::generate(),
            key_name: "a,b".into(),
            model_id: "acme/m".into(),
            supplier: "acme".into(),
            endpoint: "/v1/chat/completions".into(),
            streamed: true,
            outcome: CallOutcome::Ok,
            basis: ChargeBasis::Measured,
            http_status: 200,
            input_tokens: 1,
            cached_tokens: 0,
            output_tokens: 2,
            price_version: 1,
            input_ppm: 1_000_000,
            cached_ppm: 1_000_000,
            output_ppm: 1_000_000,
            held: Tokens(5),
            charge: Tokens(3),
            written_off: Tokens(0),
            first_byte_ms: None,
            latency_ms: 9,
        };
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(&row).expect("serialise");
        let derived = String::from_utf8(writer.into_inner().expect("flush")).expect("text");
        let ours = String::from_utf8(csv(&[row]).expect("csv")).expect("text");
        assert_eq!(ours, derived);
        assert!(ours.contains("\"a,b\"") && ours.contains(",measured,"));
    }
}
