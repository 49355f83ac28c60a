//! What crosses the wire about calls and their totals, and the arithmetic of a charge.

use crate::error::ConsoleError;
use crate::ids::{GrantId, KeyId, OrderId, RequestId};
use crate::suppliers::types::Multipliers;
use crate::tokens::Tokens;
use crate::usage::range::Range;
use crate::usage::types_totals::{Group, Part};
use crate::utc::UtcTime;
use crate::wallet::types::GrantSource;
use serde::{Deserialize, Serialize};

/// What an address calls the calls that failed on the supplier's or our side: those that `is_failure` names in the database.
pub const FAILED: &str = "failed";

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    Ok,
    UpstreamError,
    UpstreamTimeout,
    UpstreamCut,
    ClientLeft,
    KeyEnded,
    Interrupted,
}

/// What a charge rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeBasis {
    Measured,
    Counted,
    Waived,
}

/// Tokens of one grant that a call was paid with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw {
    pub grant_id: GrantId,
    pub tokens: Tokens,
    pub source: GrantSource,
    pub order_id: Option<OrderId>,
    /// Of its order, as it was bought.
    pub package_name: Option<String>,
    pub expires_at: UtcTime,
}

/// One finished call, with everything that explains its charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallView {
    pub request_id: RequestId,
    pub started_at: UtcTime,
    pub key_id: KeyId,
    pub key_name: String,
    pub model_id: String,
    pub endpoint: String,
    pub streamed: bool,
    pub outcome: CallOutcome,
    /// What the caller was answered with; 0 when it is not known.
    pub http_status: i32,
    pub basis: ChargeBasis,
    pub input: Tokens,
    /// Part of `input`.
    pub cached: Tokens,
    pub output: Tokens,
    pub price: Multipliers,
    pub price_version: i32,
    pub held: Tokens,
    pub charge: Tokens,
    pub written_off: Tokens,
    pub first_byte_ms: Option<i64>,
    pub latency_ms: i64,
    pub drawn: Vec<Draw>,
}

/// What Tokens of a call have a multiplier of their own for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Input,
    CachedInput,
    Output,
}

/// One kind of Token of a call, at its multiplier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostLine {
    pub kind: TokenKind,
    pub tokens: Tokens,
    pub ppm: i64,
    /// In millionths of a Token.
    pub cost: i128,
}

/// Where a supplier's refusal is explained, which has no code of ours.
pub const REFUSED_BY_SUPPLIER: &str = "refused_by_supplier";

/// Where `/docs/errors` explains how a call ended: the error's code, but for one that has none. Nothing where it went well, and where a
/// record does not say which error it was.
pub fn error_section(outcome: CallOutcome, http_status: i32) -> Option<&'static str> {
    match (outcome, http_status) {
        (CallOutcome::UpstreamTimeout, 504) => Some("upstream_timeout"),
        // A stream says only that it broke off.
        (CallOutcome::UpstreamTimeout | CallOutcome::UpstreamCut, _) => Some("upstream_error"),
        (CallOutcome::UpstreamError, 400 | 413 | 415 | 422) => Some(REFUSED_BY_SUPPLIER),
        (CallOutcome::UpstreamError, 404) => Some("endpoint_not_supported"),
        (CallOutcome::UpstreamError, 429) => Some("upstream_rate_limited"),
        (CallOutcome::UpstreamError, 502) => Some("upstream_unavailable"),
        (CallOutcome::KeyEnded, 401) => Some("invalid_api_key"),
        (CallOutcome::KeyEnded, 403) => Some("account_suspended"),
        (CallOutcome::KeyEnded, 404) => Some("model_not_found"),
        (CallOutcome::Interrupted, 200 | 503) => Some("service_unavailable"),
        (CallOutcome::Interrupted, 400) => Some("invalid_field"),
        (CallOutcome::Interrupted, 429) => Some("insufficient_quota"),
        _ => None,
    }
}

impl CallView {
    /// Input that was not cached, cached input, output: what each costs before rounding.
    pub fn cost_lines(&self) -> [CostLine; 3] {
        let line = |kind, tokens: i64, ppm: i64| CostLine { kind, tokens: Tokens(tokens), ppm, cost: i128::from(tokens) * i128::from(ppm) };
        [
            line(TokenKind::Input, self.input.0.saturating_sub(self.cached.0), self.price.input_ppm),
            line(TokenKind::CachedInput, self.cached.0, self.price.cached_ppm),
            line(TokenKind::Output, self.output.0, self.price.output_ppm),
        ]
    }

    /// The sum of the lines, in millionths of a Token.
    pub fn cost_sum(&self) -> i128 {
        self.cost_lines().iter().map(|line| line.cost).sum()
    }

    /// What the call cost, rounded up, once. It is charged up to what was held; the rest is written off.
    pub fn cost(&self) -> Tokens {
        Tokens(i64::try_from((self.cost_sum() + 999_999) / 1_000_000).unwrap_or(i64::MAX))
    }
}

/// A page of calls, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallPage {
    pub calls: Vec<CallView>,
    /// Where older ones are looked for, if there may be any: before the last call of this page, or of those that were looked through.
    pub older: Option<RequestId>,
    /// Whether the page ends before it is full, since only so many calls are looked through at once.
    pub cut_short: bool,
}

/// The usage page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UsageView {
    /// What is wrong with the days that were asked for. Then there are no totals and no calls, and `range` is a usual one.
    pub wrong: Option<ConsoleError>,
    pub range: Range,
    pub group: Group,
    /// The most charged first.
    pub parts: Vec<Part>,
    pub page: CallPage,
    /// Whether there ever was a call, whatever the filter.
    pub ever: bool,
    /// Whether whoever looks may make keys.
    pub may_create: bool,
    pub choices: Choices,
    /// What there is of the group, by id and name, the oldest first: in this order charts give colours.
    pub of_group: Vec<(String, String)>,
}

/// What calls can be filtered by, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choices {
    /// The account's keys, deleted ones too.
    pub keys: Vec<KeyChoice>,
    /// Every model.
    pub models: Vec<String>,
    /// By id and address, whoever has made a key, and suppliers by slug and name: each only where it is what is grouped or filtered by,
    /// since it is asked for apart.
    pub members: Vec<(String, String)>,
    pub suppliers: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChoice {
    pub key_id: KeyId,
    pub name: String,
    pub deleted: bool,
}

/// `350 ms`, `1.2 s`: rounded down.
pub fn duration(ms: i64) -> String {
    match ms {
        ms if ms < 1_000 => format!("{ms} ms"),
        ms => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use uuid::Uuid;

    pub(crate) fn call(input: i64, cached: i64, output: i64, price: Multipliers) -> CallView {
        let id = Uuid::nil();
        CallView {
            request_id: RequestId(id),
            started_at: serde_json::from_str("\"2026-12-24T15:00:00Z\"").expect("a time"),
            key_id: KeyId(id),
            key_name: "bot".into(),
            model_id: "alpha/one".into(),
            endpoint: "chat".into(),
            streamed: false,
            outcome: CallOutcome::Ok,
            http_status: 200,
            basis: ChargeBasis::Measured,
            input: Tokens(input),
            cached: Tokens(cached),
            output: Tokens(output),
            price,
            price_version: 1,
            held: Tokens(0),
            charge: Tokens(0),
            written_off: Tokens(0),
            first_byte_ms: None,
            latency_ms: 0,
            drawn: Vec::new(),
        }
    }

    #[test]
    fn cost_is_rounded_up_once() {
        let price = Multipliers { input_ppm: 1_000_000, cached_ppm: 100_000, output_ppm: 2_500_000 };
        // 800 + 20 + 752.5
        assert_eq!(call(1_000, 200, 301, price).cost(), Tokens(1_573));
        let tiny = Multipliers { input_ppm: 1, cached_ppm: 1, output_ppm: 1 };
        assert_eq!(call(1, 0, 1, tiny).cost(), Tokens(1));
        assert_eq!(call(0, 0, 0, tiny).cost(), Tokens(0));
        let most = Multipliers { input_ppm: 1_000_000_000, cached_ppm: 0, output_ppm: 1_000_000_000 };
        assert_eq!(call(i64::MAX, 0, i64::MAX, most).cost(), Tokens(i64::MAX));
    }

    #[test]
    fn every_error_that_a_call_ends_with_has_its_section() {
        use CallOutcome::{ClientLeft, Interrupted, KeyEnded, Ok, UpstreamCut, UpstreamError, UpstreamTimeout};
        let ends = [
            (UpstreamError, 400, Some("refused_by_supplier")),
            (UpstreamError, 404, Some("endpoint_not_supported")),
            (UpstreamError, 429, Some("upstream_rate_limited")),
            (UpstreamError, 502, Some("upstream_unavailable")),
            (UpstreamTimeout, 504, Some("upstream_timeout")),
            (UpstreamTimeout, 200, Some("upstream_error")),
            (UpstreamCut, 200, Some("upstream_error")),
            (UpstreamCut, 502, Some("upstream_error")),
            (KeyEnded, 401, Some("invalid_api_key")),
            (KeyEnded, 403, Some("account_suspended")),
            (KeyEnded, 404, Some("model_not_found")),
            (KeyEnded, 200, None),
            (Interrupted, 503, Some("service_unavailable")),
            (Interrupted, 200, Some("service_unavailable")),
            (Interrupted, 400, Some("invalid_field")),
            (Interrupted, 429, Some("insufficient_quota")),
            (Interrupted, 0, None),
            (ClientLeft, 499, None),
            (Ok, 200, None),
        ];
        let docs = include_str!("../docs/en/errors.md");
        for (outcome, status, section) in ends {
            assert_eq!(error_section(outcome, status), section, "{outcome:?} {status}");
            assert!(section.is_none_or(|section| docs.contains(&format!("{{#{section}}}"))), "{section:?}");
        }
    }

    #[test]
    fn durations_are_short() {
        for (ms, text) in [(0, "0 ms"), (999, "999 ms"), (1_000, "1.0 s"), (1_299, "1.2 s"), (61_000, "61.0 s")] {
            assert_eq!(duration(ms), text);
        }
    }
}
