//! What is switched off ends its running streams, on every replica, within a second, with the reason as the last event and what was
//! delivered charged.

use crate::support::app::TestApp;
use crate::support::endpoints::ALL;
use crate::support::installation::{Installation, Reader};
use crate::support::scripted::{Scripted, script};
use futures::StreamExt;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
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
        let mut readers = join_all(calls.into_iter().map(Reader::of)).await;
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
        let ends = join_all(ends).await;
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

/// One stream of each endpoint: its last event says why in the form of its protocol, and nothing that would end a whole answer follows.
#[sqlx::test]
async fn a_stream_of_every_endpoint_ends_with_the_reason_in_its_form(db: PgPool) {
    let app = TestApp::start(db).await;
    let _supplier = Scripted::start(&app).await;
    let customer = app.customer("forms@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    let mut running = Vec::new();
    for endpoint in &ALL {
        let Some(stream) = &endpoint.stream else { continue };
        let call = endpoint.streamed_call(script(&[stream.words], "hang"));
        let (text, rest) = app.begin(endpoint.path, &key.secret, &call, "there").await;
        running.push((endpoint.name, stream.end_mark, text, rest));
    }
    app.execute("UPDATE api_keys SET status = 'disabled'").await;
    let begun = Instant::now();
    let ends = join_all(running.into_iter().map(|(name, end_mark, mut text, mut rest)| async move {
        while let Some(Ok(chunk)) = rest.next().await {
            text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
        (name, end_mark, text, begun.elapsed())
    }));
    let ends = ends.await;
    assert_eq!(ends.iter().map(|(name, ..)| *name).collect::<Vec<_>>(), ["chat", "completions", "responses", "messages"]);
    for (name, end_mark, text, took) in ends {
        assert!(took <= WITHIN, "{name}: {took:?}");
        assert!(text.ends_with("\n\n") && !text.contains(end_mark), "{name}: {text}");
        let last = text.trim_end().rsplit("\n\n").next().expect("an event");
        let (event, data) = last.split_once('\n').unwrap_or(("", last));
        let mut data: Value = data.strip_prefix("data: ").and_then(|data| serde_json::from_str(data).ok()).expect(last);
        let message = data["error"]["message"].take();
        assert!(message.as_str().is_some_and(|message| message.contains("This API key is disabled")), "{name}: {last}");
        let openai = json!({"message": null, "type": "invalid_request_error", "param": null, "code": "invalid_api_key"});
        let expected = match name {
            // Three events came before it.
            "responses" => {
                let (code, param) = (&openai["code"], &openai["param"]);
                let fields = json!({
                    "type": "error", "sequence_number": 3, "code": code, "message": message, "param": param, "error": openai,
                });
                ("event: error", fields)
            }
            "messages" => {
                let request_id = data["request_id"].clone();
                assert!(request_id.is_string(), "{last}");
                let error = json!({"type": "authentication_error", "message": null});
                ("event: error", json!({"type": "error", "error": error, "request_id": request_id}))
            }
            _ => ("", json!({"error": openai})),
        };
        assert_eq!((event, data), expected, "{name}");
    }
    app.assert_exact().await;
    let charged = "SELECT count(*) FROM usage_records WHERE outcome = 'key_ended' AND charge > 0";
    assert_eq!(app.number(charged).await, 4, "what was delivered");
    app.stop().await;
}
