//! What is switched off ends its running streams, on every replica, within a second, with the reason as the last event and what was
//! delivered charged.

use crate::support::installation::{Installation, Reader};
use std::time::{Duration, Instant};

/// From the commit of the edit to the end of the last stream.
const WITHIN: Duration = Duration::from_secs(1);

/// What is switched off under how many streams on each of two replicas, how it is undone, and what the streams are told.
const CAUSES: [(usize, &str, &str, &str); 5] = [
    (50, "UPDATE api_keys SET status = 'disabled'", "UPDATE api_keys SET status = 'enabled'", "This API key is disabled"),
    (5, "UPDATE api_keys SET expires_at = clock_timestamp()", "UPDATE api_keys SET expires_at = NULL", "This API key has expired"),
    (5, "UPDATE accounts SET suspended_at = now()", "UPDATE accounts SET suspended_at = NULL", "account_suspended"),
    (
        5,
        "UPDATE suppliers SET status = 'disabled'",
        "UPDATE suppliers SET status = 'enabled'",
        "The supplier of 'acme/large' is switched off",
    ),
    // The last: it does not come back.
    (5, "UPDATE api_keys SET status = 'deleted', deleted_at = now()", "SELECT 1", "No valid API key"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_streams_on_two_replicas_end_with_the_reason() {
    let mut it = Installation::new().await;
    let replicas = [it.replica().serve(&[]), it.replica().serve(&[])];
    // Prompts are what takes long to count: 20 kB each.
    let prompt = "The quick brown fox jumps over the lazy dog. ".repeat(450);
    it.credit(10_000_000);
    let (mut charged, mut waived) = (0, 0);
    for (streams, switch_off, switch_on, told) in CAUSES {
        let calls: Vec<_> = (0..streams * 2).map(|n| it.stream_for(&replicas[n % 2], &prompt)).collect();
        let mut answerings = Vec::new();
        for _ in &calls {
            let answering = it.supplier.accept().await.begin();
            answering.word("first");
            answerings.push(answering);
        }
        let mut readers = futures::future::join_all(calls.into_iter().map(Reader::of)).await;
        for reader in &mut readers {
            reader.until("first").await;
        }
        // One more on each, whose supplier has not answered yet.
        let mut waiting = Vec::new();
        for replica in &replicas {
            waiting.push((it.stream_for(replica, &prompt), it.supplier.accept().await));
        }
        it.execute(switch_off).await;
        let begun = Instant::now();
        let ends = readers.iter_mut().map(|reader| async move {
            assert!(!reader.saw_the_end().await, "ended as if it were whole: {}", reader.text);
            (begun.elapsed(), reader.text.clone())
        });
        let ends = futures::future::join_all(ends).await;
        let slowest = ends.iter().map(|(took, _)| *took).max().expect("streams");
        eprintln!("{told}: the last of {} streams ended after {} ms", ends.len(), slowest.as_millis());
        assert!(slowest <= WITHIN, "{told}: {slowest:?}");
        for (_, text) in &ends {
            let last = text.trim_end().rsplit("\n\n").next().expect("an event");
            assert!(last.starts_with(r#"data: {"error":"#) && last.contains(told), "{told}: {text}");
        }
        for (call, _arrived) in waiting {
            let refused = call.await.expect("no panic").expect("an answer");
            assert!(refused.status().is_client_error(), "{told}: {}", refused.status());
            assert!(refused.text().await.expect("a body").contains(told), "{told}");
        }
        it.until("SELECT count(*) FROM holds", |holds| holds == 0).await;
        (charged, waived) = (charged + streams as i64 * 2, waived + 2);
        let counted = "SELECT count(*) FROM usage_records WHERE outcome = 'key_ended' AND basis = 'counted' AND charge > 3000";
        let free = "SELECT count(*) FROM usage_records WHERE outcome = 'key_ended' AND basis = 'waived' AND charge = 0";
        assert_eq!((it.number(counted).await, it.number(free).await), (charged, waived), "{told}");
        it.execute(switch_on).await;
    }
    it.assert_paid(it.number("SELECT sum(charge)::bigint FROM usage_records").await).await;
}
