//! Server functions of the account log: a page of it, and all of it as CSV.

use crate::error::ConsoleError;
use crate::journal::types::JournalPage;
use leptos::prelude::*;
use leptos::server_fn::codec::{GetUrl, StreamingText, TextStream};

/// Entries of a page.
const PAGE: usize = 50;

/// Entries of the account, the newest first.
#[server(endpoint = "journal/show", input = GetUrl)]
pub async fn show_journal(
    #[server(default)] group: String,
    #[server(default)] since: String,
    #[server(default)] until: String,
    #[server(default)] search: String,
    #[server(default)] before: String,
) -> Result<JournalPage, ConsoleError> {
    use crate::ids::JournalEntryId;
    use crate::journal::filter::Filter;
    use crate::journal::store::entries_of;
    use crate::server::request_ctx;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let filter = Filter::parse(&group, &since, &until, &search, crate::preferences::time_zone()).map_err(request_ctx::fail)?;
    let before = match before.as_str() {
        "" => None,
        id => Some(id.parse::<JournalEntryId>().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?),
    };
    // One more than is shown says whether there are older ones.
    let entries = entries_of(&app.db, &member, &filter, before, PAGE as i64 + 1).await;
    let mut entries = entries.map_err(|error| request_ctx::fail(error.into()))?;
    let older = entries.len() > PAGE;
    entries.truncate(PAGE);
    let older = entries.last().filter(|_| older).map(|last| last.entry_id);
    Ok(JournalPage { entries, older })
}

/// The same as a file, whole.
#[server(endpoint = "journal/export", input = GetUrl, output = StreamingText)]
pub async fn export_journal(
    #[server(default)] group: String,
    #[server(default)] since: String,
    #[server(default)] until: String,
    #[server(default)] search: String,
) -> Result<TextStream<ConsoleError>, ConsoleError> {
    use crate::journal::export::csv;
    use crate::journal::filter::Filter;
    use crate::server::request_ctx;
    use crate::sheet::marked;
    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let filter = Filter::parse(&group, &since, &until, &search, crate::preferences::time_zone()).map_err(request_ctx::fail)?;
    request_ctx::answer_file("text/csv; charset=utf-8", "account-log.csv");
    Ok(TextStream::new(marked(csv(app.db.clone(), member, filter))))
}
