//! `x-ratelimit-*`, in the words of OpenAI's API reference: what limits the calls of a key, on every reply to one that has limits. And
//! `x-toki-*`: what a call came to.

use crate::tokens::Tokens;
use crate::wallet::ledger::{Rate, Rates, Settled};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

pub fn insert_headers(headers: &mut HeaderMap, rates: Rates) {
    let names = [
        (rates.requests, ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"]),
        (rates.tokens, ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]),
    ];
    for (rate, [limit_name, remaining_name, reset_name]) in names {
        let Some(Rate { limit, remaining, reset }) = rate else { continue };
        headers.insert(HeaderName::from_static(limit_name), HeaderValue::from(limit));
        headers.insert(HeaderName::from_static(remaining_name), HeaderValue::from(remaining));
        if let Ok(reset) = HeaderValue::from_str(&until(reset)) {
            headers.insert(HeaderName::from_static(reset_name), reset);
        }
    }
}

/// On an answer in one piece, which is a failure's too. What remains is the least of what the wallet and other limits leave.
pub fn insert_charge(headers: &mut HeaderMap, settled: Settled) {
    let left = settled.quota_left.map_or(settled.balance_left, |quota| quota.min(settled.balance_left));
    for (name, Tokens(tokens)) in [("x-toki-charged-tokens", settled.charge), ("x-toki-remaining-tokens", left)] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(tokens));
    }
}

/// As OpenAI writes how long it takes: `0s`, `120ms`, `1.5s`, `1m0s`.
fn until(time: Duration) -> String {
    let ms = time.as_millis();
    let seconds = |ms: u128| if ms.is_multiple_of(1_000) { format!("{}s", ms / 1_000) } else { format!("{}s", ms as f64 / 1_000.0) };
    match ms {
        1..1_000 => format!("{ms}ms"),
        0 | 1_000..60_000 => seconds(ms),
        _ => format!("{}m{}", ms / 60_000, seconds(ms % 60_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_is_written_as_openai_writes_it() {
        for (ms, text) in [(0, "0s"), (120, "120ms"), (1_000, "1s"), (1_500, "1.5s"), (60_000, "1m0s"), (61_250, "1m1.25s")] {
            assert_eq!(until(Duration::from_millis(ms)), text);
        }
    }
}
