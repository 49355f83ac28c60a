//! How long an answer may be where the model, its context or the wallet leave less than a call needs.

use crate::gateway_channels::WHOLE;
use crate::support::app::TestApp;
use crate::support::client::chat;
use crate::support::scripted::{MODEL, Scripted, script};
use serde_json::{Value, json};
use sqlx::PgPool;

const MESSAGE: &str = r#"{"type":"message","role":"assistant","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}"#;

#[sqlx::test]
async fn who_sets_no_limit_gets_what_the_context_has_room_for(db: PgPool) {
    let app = TestApp::start(db).await;
    let supplier = Scripted::start(&app).await;
    app.execute("UPDATE models SET context_tokens = 6000, max_output_tokens = 4000").await;
    let customer = app.customer("room@example.com", 1_000_000).await;
    let key = app.key(&customer, None).await;
    for (words, named, expected) in [
        (10, None, 4_000..=4_000),
        // 3,000 Tokens of input, an eighth of them for other tokenizers, and a template.
        (3_000, None, 2_500..=2_620),
        // Whatever is counted, an answer has some room.
        (6_000, None, 375..=375),
        (60_000, None, 375..=375),
        (3_000, Some(4_000), 4_000..=4_000),
    ] {
        let mut body = chat(MODEL, &" word".repeat(words));
        body["script"] = script(&[WHOLE], "end");
        body["max_tokens"] = json!(named);
        let answer = app.chat(&key.secret, &body).await;
        assert_eq!((answer.status, answer.header("x-toki-charged-tokens")), (200, "5"), "{}", answer.text);
        let sent: Value = serde_json::from_str(&supplier.last().body).expect("JSON");
        let limit = sent["max_tokens"].as_i64().expect("a limit");
        assert!(expected.contains(&limit), "{words} words, {named:?}: {limit}");
    }
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn a_model_that_cannot_think_so_much_is_not_asked_to(db: PgPool) {
    let app = TestApp::start(db).await;
    let supplier = Scripted::start(&app).await;
    app.execute("UPDATE models SET context_tokens = 6000, max_output_tokens = 4000").await;
    let (rich, poor) = (app.customer("rich@example.com", 1_000_000).await, app.customer("poor@example.com", 3_000).await);
    let [rich, poor] = [app.key(&rich, None).await, app.key(&poor, None).await];
    for (key, budget, limit, expected) in [
        (&rich, 2_000, 4_000, Ok(4_000)),
        (&rich, 3_999, 9_000, Ok(4_000)),
        // As it may be with tools between which the model thinks.
        (&rich, 5_000, 4_000, Ok(4_000)),
        (&rich, 4_000, 9_000, Err((400, "invalid_request_error", "'thinking.budget_tokens' must be below"))),
        (&poor, 1_024, 2_000, Ok(2_000)),
        (&poor, 3_000, 3_500, Err((429, "rate_limit_error", "'thinking.budget_tokens' makes this call need 3001"))),
    ] {
        let body = json!({
            "model": MODEL, "max_tokens": limit, "messages": [{"role": "user", "content": "hi"}],
            "thinking": {"type": "enabled", "budget_tokens": budget}, "script": script(&[MESSAGE], "end"),
        });
        let calls = supplier.count();
        let answer = app.post("/v1/messages", &key.secret, &body).await;
        match expected {
            Ok(sent) => {
                assert_eq!(answer.status, 200, "{}", answer.text);
                let body: Value = serde_json::from_str(&supplier.last().body).expect("JSON");
                assert_eq!(body["max_tokens"], sent);
            }
            Err((status, kind, says)) => {
                assert_eq!((answer.status, answer.error("type").as_str()), (status, kind), "{}", answer.text);
                assert!(answer.error("message").contains(says), "{}", answer.text);
                assert_eq!(supplier.count(), calls, "nothing was sent");
            }
        }
    }
    assert_eq!(app.number("SELECT count(*) FROM usage_records WHERE basis = 'waived' AND outcome = 'interrupted'").await, 2);
    app.assert_exact().await;
    app.stop().await;
}
