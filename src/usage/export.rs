//! Calls as CSV (RFC 4180), for pages and the command line.

use crate::connections::Connections;
use crate::error::ConsoleError;
use crate::ids::AccountId;
use crate::sheet::{self, harmless};
use crate::usage::filter::CallFilter;
use crate::usage::store::{UsageRow, next_rows};
use futures::Stream;

/// The fields of [`UsageRow`], in their order.
const COLUMNS: [&str; 24] = [
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
    "member",
];

/// The calls that the filter lets through, the newest first, a chunk at a time, so that ten million are never in memory. Each chunk asks
/// anew, so that a slow reader holds no connection.
pub fn csv(db: Connections, account_id: AccountId, mut filter: CallFilter) -> impl Stream<Item = Result<String, ConsoleError>> {
    async_stream::try_stream! {
        yield head().map_err(|_| ConsoleError::Internal)?;
        while let Some(rows) = next_rows(&db, account_id, &mut filter).await? {
            yield lines(&rows).map_err(|_| ConsoleError::Internal)?;
        }
    }
}

pub fn head() -> csv::Result<String> {
    sheet::lines([COLUMNS])
}

pub fn lines(rows: &[UsageRow]) -> csv::Result<String> {
    sheet::lines(rows.iter().map(|row| UsageRow { key_name: harmless(&row.key_name), member: harmless(&row.member), ..row.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{KeyId, RequestId};
    use crate::tokens::Tokens;
    use crate::usage::types::{CallOutcome, ChargeBasis};
    use chrono::Utc;

    #[test]
    fn columns_are_the_fields_of_a_row_and_none_is_a_formula() {
        let row = UsageRow {
            request_id: RequestId::generate(),
            started_at: Utc::now(),
            key_id: KeyId::generate(),
            key_name: "=a,b".into(),
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
            held: Tokens(4),
            charge: Tokens(3),
            written_off: Tokens(0),
            first_byte_ms: None,
            latency_ms: 5,
            member: "+bob@example.com".into(),
        };
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(&row).expect("serialise");
        let derived = String::from_utf8(writer.into_inner().expect("flush")).expect("text");
        let ours = head().expect("a head") + &lines(&[row]).expect("a line");
        assert_eq!(ours, derived.replace("\"=a,b\"", "\"'=a,b\"").replace("+bob", "'+bob"));
        assert!(ours.contains("\"'=a,b\"") && ours.contains(",measured,") && ours.ends_with(",5,'+bob@example.com\n"));
    }
}
