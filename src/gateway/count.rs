//! Counting Tokens ourselves: an upper bound for a prompt, and what was delivered when a supplier reports nothing. Tokenizing is
//! slow work, so it runs on the blocking pool, a few at a time.

use crate::gateway::wire::prompt::{PER_ATTACHMENT, PromptText};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// Longer texts are not tokenized: their bytes are the bound, and a quarter of them the count.
const LONGEST_TEXT: usize = 1 << 20;
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
    let estimate = estimate_of(&text);
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

fn estimate_of(text: &str) -> i64 {
    if text.is_empty() { 0 } else { text.len() as i64 / 4 + 1 }
}

/// What a call is charged by whose supplier reported nothing: Tokens of what was sent, and of what came back. `within`: as long as they can
/// be waited for; of a text that is not counted by then a quarter of the bytes is the count, as of one that is too long.
pub async fn count_call(prompt: PromptText, text: String, within: Option<Duration>) -> (i64, i64) {
    let until = within.map(|within| Instant::now() + within);
    let output = count_until(text, until).await;
    let input = prompt.attachments * PER_ATTACHMENT + prompt.tokens + count_until(prompt.text, until).await;
    (input, output)
}

async fn count_until(text: String, until: Option<Instant>) -> i64 {
    let Some(until) = until else { return count_text(text).await };
    let estimate = estimate_of(&text);
    if Instant::now() >= until {
        return estimate;
    }
    timeout_at(until, count_text(text)).await.unwrap_or(estimate)
}

async fn count_prompt(prompt: PromptText) -> i64 {
    prompt.attachments * PER_ATTACHMENT + prompt.tokens + count_text(prompt.text).await
}

/// A bound of a prompt that holds for other tokenizers too: our count and half of it again, but never more than `bytes_bound`.
/// `template` is what the chat template may add.
pub async fn bound_prompt(prompt: PromptText, template: i64, bytes_bound: i64) -> i64 {
    if prompt.text.len() > LONGEST_TEXT {
        return bytes_bound;
    }
    let count = count_prompt(prompt).await;
    (count + count / 2 + template).min(bytes_bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn count_is_the_tokenizers() {
        assert_eq!(count_text(String::new()).await, 0);
        assert_eq!(count_text("hello world".into()).await, 2);
        let prompt = |text: &str| PromptText { text: text.into(), tokens: 0, attachments: 1 };
        assert_eq!(count_prompt(prompt("hello world")).await, 4_098);
        assert_eq!(bound_prompt(prompt("hello world"), 80, 10_000).await, 4_098 + 2_049 + 80);
        assert_eq!(bound_prompt(prompt("hello world"), 80, 100).await, 100);
        assert_eq!(count_text("x".repeat(LONGEST_TEXT + 1)).await, (LONGEST_TEXT as i64 + 1) / 4 + 1);
    }

    #[tokio::test]
    async fn who_cannot_wait_is_charged_by_the_bytes() {
        let long = "word ".repeat(100_000);
        let exact = count_text(long.clone()).await;
        let prompt = || PromptText { text: long.clone(), tokens: 3, attachments: 1 };
        assert_eq!(count_call(prompt(), "hello world".into(), None).await, (4_096 + 3 + exact, 2));
        assert_eq!(count_call(prompt(), String::new(), Some(Duration::ZERO)).await, (4_096 + 3 + 125_001, 0));
        assert_ne!(exact, 125_001);
    }
}
