//! What is switched off ends its running streams, on every replica, with the reason as the last event and what was delivered charged.

use crate::support::installation::{Installation, Reader};
use std::time::Instant;

/// On each of two replicas.
const STREAMS: usize = 50;

/// What is switched off, how, and what streams and the next call are told.
const CAUSES: [(&str, &str, &str, &str); 5] = [
    ("key disabled", "UPDATE api_keys SET status = 'disabled'", "UPDATE api_keys SET status = 'enabled'", "This API key is disabled"),
    (
        "key expired",
        "UPDATE api_keys SET expires_at = clock_timestamp()",
        "UPDATE api_keys SET expires_at = NULL",
        "This API key has expired",
    ),
    ("account suspended", "UPDATE accounts SET suspended_at = now()", "UPDATE accounts SET suspended_at = NULL", "account_suspended"),
    (
        "supplier off",
        "UPDATE suppliers SET status = 'disabled'",
        "UPDATE suppliers SET status = 'enabled'",
        "The supplier of 'acme/large' is switched off",
    ),
    // The last: it does not come back.
    ("key deleted", "UPDATE api_keys SET status = 'deleted', deleted_at = now()", "SELECT 1", "No valid API key"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_streams_on_two_replicas_end_with_the_reason() {
    let mut it = Installation::new().await;
    let replicas = [it.replica().serve(&[]), it.replica().serve(&[])];
    for (round, (cause, switch_off, switch_on, told)) in CAUSES.into_iter().enumerate() {
        let (mut answerings, mut readers): (Vec<_>, Vec<Reader>) = (Vec::new(), Vec::new());
        for replica in &replicas {
            for _ in 0..STREAMS {
                let (answering, reader) = it.stream(replica).await;
                answerings.push(answering);
                readers.push(reader);
            }
        }
        // One more on each, whose supplier has not answered yet.
        let mut waiting = Vec::new();
        for replica in &replicas {
            waiting.push((it.call(replica, true), it.supplier.accept().await));
        }
        it.execute(switch_off).await;
        let begun = Instant::now();
        let ends = readers.iter_mut().map(|reader| async move {
            assert!(!reader.saw_the_end().await, "ended as if it were whole: {}", reader.text);
            (begun.elapsed(), reader.text.clone())
        });
        let ends = futures::future::join_all(ends).await;
        let slowest = ends.iter().map(|(took, _)| *took).max().expect("streams");
        eprintln!("{cause}: the last of {} streams ended after {} ms", ends.len(), slowest.as_millis());
        for (_, text) in &ends {
            let last = text.trim_end().rsplit("\n\n").next().expect("an event");
            assert!(last.starts_with(r#"data: {"error":"#) && last.contains(told), "{cause}: {text}");
        }
        for (call, _arrived) in waiting {
            let refused = call.await.expect("no panic").expect("an answer");
            assert!(refused.status().is_client_error(), "{cause}: {}", refused.status());
            assert!(refused.text().await.expect("a body").contains(told), "{cause}");
        }
        it.until("SELECT count(*) FROM holds", |holds| holds == 0).await;
        let charged =
            it.number("SELECT count(*) FROM usage_records WHERE outcome = 'key_ended' AND basis = 'counted' AND charge > 0").await;
        let waived = it.number("SELECT count(*) FROM usage_records WHERE outcome = 'key_ended' AND basis = 'waived' AND charge = 0").await;
        let rounds = round as i64 + 1;
        assert_eq!((charged, waived), (rounds * 2 * STREAMS as i64, rounds * 2), "{cause}");
        it.execute(switch_on).await;
    }
    it.assert_paid(it.number("SELECT sum(charge)::bigint FROM usage_records").await).await;
}
