//! The ledger of an account as CSV (RFC 4180), all of it or what a filter lets through. The Tokens of all add up to what is in the wallet.

use crate::connections::Connections;
use crate::error::ConsoleError;
use crate::ids::AccountId;
use crate::sheet::{harmless, lines};
use crate::wallet::filter::EntryFilter;
use crate::wallet::store::statement::next_entries;
use crate::wallet::types::{Cause, EntryView, Movement};
use futures::Stream;
use serde::Serialize;

/// Entries of one question to the database.
const CHUNK: i64 = 1_000;

/// A line of the file; the names are its head.
#[derive(Serialize)]
struct Line {
    entry_id: i64,
    at: String,
    movement: Movement,
    /// Positive = into the wallet.
    tokens: i64,
    /// In the wallet after it, as the statement says it; empty where entries are left out by their kind.
    balance_after: Option<i64>,
    order_id: String,
    package: String,
    request_id: String,
    model_id: String,
    key_name: String,
    note: String,
}

/// The entries that the filter lets through, the newest first, a chunk at a time, so that a long ledger is never in memory as a whole.
/// Each chunk asks anew, so that a slow reader holds no connection.
pub fn csv(db: Connections, account_id: AccountId, filter: EntryFilter) -> impl Stream<Item = Result<String, ConsoleError>> {
    async_stream::try_stream! {
        let mut last = None;
        yield HEAD.to_string();
        loop {
            let entries = next_entries(&db, account_id, filter, last.as_ref(), CHUNK).await?;
            if entries.is_empty() {
                break;
            }
            last = entries.last().cloned();
            yield lines(entries.into_iter().map(line_of)).map_err(|_| ConsoleError::Internal)?;
        }
    }
}

const HEAD: &str = "entry_id,at,movement,tokens,balance_after,order_id,package,request_id,model_id,key_name,note\n";

fn line_of(entry: EntryView) -> Line {
    let mut line = Line {
        entry_id: entry.entry_id,
        at: entry.at.rfc3339(),
        movement: entry.movement,
        tokens: entry.tokens.0,
        balance_after: entry.after.map(|after| after.0),
        order_id: String::new(),
        package: String::new(),
        request_id: String::new(),
        model_id: String::new(),
        key_name: String::new(),
        note: String::new(),
    };
    match entry.cause {
        Cause::Order { order_id, package_name } => {
            line.order_id = order_id.to_string();
            line.package = harmless(&package_name);
        }
        Cause::Call { request_id, model_id, key_name } => {
            line.request_id = request_id.to_string();
            line.model_id = harmless(&model_id);
            line.key_name = harmless(&key_name);
        }
        Cause::Operator { note } | Cause::Code { note } => line.note = harmless(&note.unwrap_or_default()),
        Cause::Expiry => {}
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Tokens;

    #[test]
    fn the_head_is_the_fields_of_a_line_and_no_cell_is_a_formula() {
        let entry = EntryView {
            entry_id: 7,
            at: chrono::DateTime::UNIX_EPOCH.into(),
            movement: Movement::TakenBack,
            tokens: Tokens(-3),
            after: Some(Tokens(5)),
            cause: Cause::Operator { note: Some("=1+1".into()) },
        };
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(line_of(entry.clone())).expect("a line");
        let derived = String::from_utf8(writer.into_inner().expect("flush")).expect("text");
        assert_eq!(format!("{HEAD}{}", lines([line_of(entry)]).expect("lines")), derived);
        assert!(derived.ends_with("7,1970-01-01T00:00:00Z,taken_back,-3,5,,,,,,'=1+1\n"), "{derived}");
    }
}
