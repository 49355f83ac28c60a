//! The account log as CSV (RFC 4180), a chunk at a time, so that a long log is never in memory as a whole.

use crate::accounts::rights::Reader;
use crate::connections::Connections;
use crate::error::ConsoleError;
use crate::journal::filter::Filter;
use crate::journal::store::entries_of;
use crate::journal::types::EntryView;
use crate::sheet::{harmless, lines};
use futures::Stream;

/// Entries of one question to the database.
const CHUNK: i64 = 500;

const COLUMNS: [&str; 9] = ["time", "event", "who", "address", "device", "name", "detail", "subject_id", "entry_id"];

/// What the filter lets through, the newest first. Each chunk asks anew, so that a slow reader holds no connection.
pub fn csv(db: Connections, member: Reader, filter: Filter) -> impl Stream<Item = Result<String, ConsoleError>> {
    async_stream::try_stream! {
        yield lines([COLUMNS]).map_err(|_| ConsoleError::Internal)?;
        let mut before = None;
        loop {
            let entries = entries_of(&db, &member, &filter, before, CHUNK).await?;
            if !entries.is_empty() {
                yield lines(entries.iter().map(cells)).map_err(|_| ConsoleError::Internal)?;
            }
            match entries.last() {
                Some(last) if entries.len() as i64 == CHUNK => before = Some(last.entry_id),
                _ => break,
            }
        }
    }
}

fn cells(entry: &EntryView) -> [String; 9] {
    let text = |text: &Option<String>| harmless(text.as_deref().unwrap_or_default());
    [
        entry.at.rfc3339().to_string(),
        entry.kind.words().to_string(),
        harmless(entry.who.words()),
        text(&entry.address),
        text(&entry.device),
        text(&entry.name),
        text(&entry.detail),
        entry.subject_id.map(|id| id.to_string()).unwrap_or_default(),
        entry.entry_id.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::JournalEntryId;
    use crate::journal::types::{Kind, Who};

    #[test]
    fn no_cell_is_a_formula_and_none_ends_early() {
        let entry = EntryView {
            entry_id: JournalEntryId(uuid::Uuid::nil()),
            at: chrono::DateTime::UNIX_EPOCH.into(),
            kind: Kind::KeyCreated,
            who: Who::User("+ada@example.com".into()),
            address: Some("2001:db8::1".into()),
            device: None,
            subject_id: None,
            name: Some("=HYPERLINK(\"https://evil.example\",\"a\nb\")".into()),
            detail: Some("name, quota".into()),
        };
        assert_eq!(
            lines([cells(&entry)]).expect("a line"),
            "1970-01-01T00:00:00Z,Key created,'+ada@example.com,2001:db8::1,,\"'=HYPERLINK(\"\"https://evil.example\"\",\"\"a\nb\"\")\",\
             \"name, quota\",,00000000-0000-0000-0000-000000000000\n"
        );
    }
}
