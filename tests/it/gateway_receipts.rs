//! What a key may ask about itself and its account's calls.

use crate::support::app::TestApp;
use crate::support::endpoints::ALL;
use crate::support::scripted::{Scripted, script};
use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;
use toki::wallet::ledger::Scope;

#[sqlx::test]
async fn a_key_says_what_is_left_to_it(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("left@example.com", 1_000).await;
    let (limited, free) = (app.key(&customer, Some(100)).await, app.key(&customer, None).await);
    let mut body = crate::support::client::chat("sandbox/echo", "hi");
    body["max_tokens"] = json!(1);
    assert_eq!(app.chat(&limited.secret, &body).await.header("x-toki-charged-tokens"), "5");
    app.execute("UPDATE api_keys SET supplier_id = (SELECT supplier_id FROM suppliers), expires_at = '2040-01-02T03:04:05Z' WHERE quota IS NOT NULL").await;

    let key = app.get("/v1/key", &limited.secret).await.json();
    let fields =
        ["object", "status", "supplier", "quota", "spent", "held", "left", "expires_at", "wallet_left"].map(|name| key[name].clone());
    assert_eq!(json!(fields), json!(["key", "enabled", "sandbox", 100, 5, 0, 95, "2040-01-02T03:04:05Z", 995]));
    let key = app.get("/v1/key", &free.secret).await.json();
    let fields = ["supplier", "quota", "spent", "left", "expires_at", "last_used_at", "wallet_left"].map(|name| key[name].clone());
    assert_eq!(json!(fields), json!([null, null, 0, null, null, null, 995]));

    app.execute("UPDATE api_keys SET status = 'disabled'").await;
    let answer = app.get("/v1/key", &free.secret).await;
    assert_eq!((answer.status, answer.error("code").as_str()), (401, "invalid_api_key"));
    assert_eq!(app.get("/v1/key", "sk-toki-x").await.status, 401);
    app.stop().await;
}

#[sqlx::test]
async fn a_receipt_tells_how_a_call_came_to_its_charge(db: PgPool) {
    let app = TestApp::start(db).await;
    Scripted::start(&app).await;
    let customer = app.customer("receipt@example.com", 0).await;
    let late = app.credit(&customer, 1_000, TimeDelta::days(30), Scope::default()).await;
    let soon = app.credit(&customer, 4, TimeDelta::days(1), Scope::default()).await;
    let (key, other_key) = (app.key(&customer, None).await, app.key(&customer, None).await);
    let stranger = app.customer("stranger@example.com", 1_000).await;
    let stranger = app.key(&stranger, None).await;
    let chat = &ALL[0];
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}, "x_unknown": [1]});
    let words = usage.to_string().replace(':', " : ").replace('}', "\n}");
    let answer = (chat.whole)(Some(usage.clone())).to_string().replace(&usage.to_string(), &words);
    let called = app.post(chat.path, &key.secret, &chat.call(script(&[&answer], "end"))).await;
    let path = format!("/v1/receipts/{}", called.header("x-request-id"));

    let receipt = app.get(&path, &other_key.secret).await;
    assert!(receipt.text.contains(&words), "{}", receipt.text);
    let receipt = receipt.json();
    assert_eq!(receipt["tokens"], json!({"input": 7, "cached": 3, "output": 2}));
    assert_eq!(receipt["price"], json!({"version": 1, "input_ppm": 1_000_000, "cached_ppm": 1_000_000, "output_ppm": 1_000_000}));
    let fields = ["object", "model", "supplier", "endpoint", "streamed", "outcome", "basis", "status", "charge", "written_off"];
    assert_eq!(
        json!(fields.map(|name| receipt[name].clone())),
        json!(["receipt", "acme/m", "acme", "chat/completions", false, "ok", "measured", 200, 9, 0])
    );
    let drawn: Vec<(Value, Value)> =
        receipt["grants"].as_array().into_iter().flatten().map(|grant| (grant["id"].clone(), grant["tokens"].clone())).collect();
    assert_eq!(drawn, [(json!(soon), json!(4)), (json!(late), json!(5))]);

    for (path, secret) in [(path.as_str(), stranger.secret.as_str()), ("/v1/receipts/7", &key.secret), ("/v1/receipts/x%2fy", &key.secret)]
    {
        let answer = app.get(path, secret).await;
        assert_eq!((answer.status, answer.error("code").as_str()), (404, "receipt_not_found"), "{path}");
    }
    assert_eq!(app.get(&path, "sk-toki-x").await.status, 401);
    app.stop().await;
}
