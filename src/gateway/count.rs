//! Counting Tokens ourselves: an upper bound for a prompt, and what was delivered when a supplier reports nothing. Tokenizing is
//! slow work, so it runs on the blocking pool, a few at a time.

use crate::gateway::meter::Usage;
use crate::gateway::wire::prompt::{PER_ATTACHMENT, PromptText};
use crate::gateway::wire::{Delivered, LONGEST_TEXT, Request};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// How long a caller who is switched off waits for a count: all streams of a key end at once, and two texts are counted at a time. Of the
/// second within which they are to be told, a quarter may pass before the database is asked, and the settlement needs the rest.
pub const SWITCHED_OFF: Duration = Duration::from_millis(300);

static SLOTS: Semaphore = Semaphore::const_new(2);

/// Reads the tokenizer's tables, which takes a while, before a call waits for them.
pub fn warm_up() {
    tokio::task::spawn_blocking(tiktoken_rs::o200k_base_singleton);
}

/// Tokens of a text in o200k, the tokenizer of the larger share of models; those of others differ by some per cent.
async fn count_text(text: String) -> i64 {
    let estimate = estimate_of(text.len());
    if text.is_empty() || text.len() > LONGEST_TEXT {
        return estimate;
    }
    let Ok(slot) = SLOTS.acquire().await else { return estimate };
    let count = tokio::task::spawn_blocking(move || {
        // Whoever asked may not wait any more; this goes on.
        let _slot = slot;
        tiktoken_rs::o200k_base_singleton().count_ordinary(&text) as i64
    });
    // A panic in the tokenizer must cost nobody the call.
    count.await.unwrap_or(estimate)
}

/// Of a text of so many bytes.
fn estimate_of(bytes: usize) -> i64 {
    if bytes == 0 { 0 } else { bytes as i64 / 4 + 1 }
}

/// What is not counted by then is estimated, as a text that is too long.
async fn count_until(text: String, until: Option<Instant>) -> i64 {
    let Some(until) = until else { return count_text(text).await };
    let estimate = estimate_of(text.len());
    if Instant::now() >= until {
        return estimate;
    }
    timeout_at(until, count_text(text)).await.unwrap_or(estimate)
}

async fn count_prompt(prompt: PromptText, until: Option<Instant>) -> i64 {
    prompt.attachments * PER_ATTACHMENT + prompt.tokens + count_until(prompt.text, until).await
}

/// A bound of a prompt that holds for other tokenizers too: our count and half of it again, but never more than `bytes_bound`.
/// `template` is what the chat template may add.
pub async fn bound_prompt(prompt: PromptText, template: i64, bytes_bound: i64) -> i64 {
    if prompt.text.len() > LONGEST_TEXT {
        return bytes_bound;
    }
    let count = count_prompt(prompt, None).await;
    (count + count / 2 + template).min(bytes_bound)
}

/// What a supplier is likely to make of a prompt: of its text our count and an eighth of it, of an image or a file a quarter of the most.
pub async fn likely_prompt(prompt: PromptText, template: i64) -> i64 {
    let attachments = prompt.attachments * PER_ATTACHMENT / 4;
    let count = count_prompt(PromptText { attachments: 0, ..prompt }, None).await;
    attachments + count + count / 8 + template
}

/// What a call used whose supplier did not report the whole of it: the input as was said when the answer began, else counted, and the
/// output counted, but no less than was reported on the way. `overhead` is what the supplier adds to a prompt, and its reports have in
/// them. What comes back may hold what was sent (`echo`); no answer has more Tokens than `most_output`. `within`: as long as counting can
/// be waited for.
pub async fn count_call(
    request: &Request<'_>,
    overhead: i64,
    delivered: &mut Delivered,
    most_output: i64,
    within: Option<Duration>,
) -> Usage {
    let until = within.map(|within| Instant::now() + within);
    let counted = match delivered.unkept {
        0 => count_until(std::mem::take(&mut delivered.text), until).await,
        bytes => estimate_of(bytes),
    };
    let output = counted.max(delivered.least_output).min(most_output);
    let input = match delivered.reported_input {
        Some(reported) => reported,
        None => Usage { input: count_prompt(request.prompt_text(), until).await + overhead, ..Usage::default() },
    };
    Usage { output, ..input }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::wire::chat;

    #[tokio::test]
    async fn count_is_the_tokenizers() {
        assert_eq!(count_text(String::new()).await, 0);
        assert_eq!(count_text("hello world".into()).await, 2);
        let prompt = |text: &str| PromptText { text: text.into(), tokens: 0, attachments: 1 };
        assert_eq!(count_prompt(prompt("hello world"), None).await, 4_098);
        assert_eq!(bound_prompt(prompt("hello world"), 80, 10_000).await, 4_098 + 2_049 + 80);
        assert_eq!(bound_prompt(prompt("hello world"), 80, 100).await, 100);
        assert_eq!(likely_prompt(prompt(&"hello ".repeat(80)), 80).await, 1_024 + 81 + 10 + 80);
        assert_eq!(count_text("x".repeat(LONGEST_TEXT + 1)).await, (LONGEST_TEXT as i64 + 1) / 4 + 1);
    }

    #[tokio::test]
    async fn what_was_reported_on_the_way_is_no_less_than_what_is_counted() {
        let body = br#"{"model":"m","messages":[{"role":"user","content":"say two words"}]}"#;
        let request = Request::parse(&chat::ENDPOINT, body).unwrap_or_else(|error| panic!("{error:?}"));
        let begun = Some(Usage { input: 100, cached: 80, output: 0 });
        for (reported_input, least_output, most_output, expected) in [
            (None, 0, 50, (56, 0, 2)),
            (None, 1, 50, (56, 0, 2)),
            (None, 5, 50, (56, 0, 5)),
            (None, 5, 3, (56, 0, 3)),
            (None, 0, 1, (56, 0, 1)),
            (begun, 0, 50, (100, 80, 2)),
            (begun, 5, 50, (100, 80, 5)),
        ] {
            let mut delivered = Delivered { text: "Hello there".into(), reported_input, least_output, ..Delivered::default() };
            let usage = count_call(&request, 50, &mut delivered, most_output, None).await;
            assert_eq!((usage.input, usage.cached, usage.output), expected, "{reported_input:?}, {least_output}, {most_output}");
        }
    }

    #[tokio::test]
    async fn text_that_is_not_kept_counts_by_its_bytes_as_if_it_were_there_and_too_long() {
        let request = Request::parse(&chat::ENDPOINT, br#"{"model":"m","messages":[{}]}"#).unwrap_or_else(|error| panic!("{error:?}"));
        let reported_input = Some(Usage { input: 7, cached: 0, output: 0 });
        for bytes in [1, 400, LONGEST_TEXT + 1] {
            let mut delivered = Delivered { unkept: bytes, reported_input, ..Delivered::default() };
            let usage = count_call(&request, 0, &mut delivered, i64::MAX, None).await;
            assert_eq!(usage, Usage { input: 7, cached: 0, output: bytes as i64 / 4 + 1 });
        }
        let mut delivered = Delivered { text: "x".repeat(LONGEST_TEXT + 1), reported_input, ..Delivered::default() };
        assert_eq!(count_call(&request, 0, &mut delivered, i64::MAX, None).await.output, (LONGEST_TEXT as i64 + 1) / 4 + 1);
    }

    #[tokio::test]
    async fn who_cannot_wait_is_charged_by_the_bytes() {
        let long = "word ".repeat(100_000);
        let exact = count_text(long.clone()).await;
        assert_eq!(count_until(long.clone(), None).await, exact);
        assert_eq!(count_until(long, Some(Instant::now())).await, 125_001);
        assert_ne!(exact, 125_001);
    }
}
