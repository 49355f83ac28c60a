//! What is bought or edited counts for the very next call, on every replica.

use crate::support::app::TestApp;
use crate::support::client::chat;
use chrono::TimeDelta;
use serde_json::json;
use sqlx::PgPool;
use toki::wallet::ledger::Scope;

#[sqlx::test]
async fn every_edit_counts_for_the_next_call_on_the_other_replica(db: PgPool) {
    let (one, two) = (TestApp::start(db.clone()).await, TestApp::start(db).await);
    let customer = one.customer("now@example.com", 0).await;
    let key = one.key(&customer, None).await;
    let mut body = chat("sandbox/echo", "hi");
    body["max_tokens"] = json!(1);
    for round in 0..100 {
        let (here, there) = if round % 2 == 0 { (&one, &two) } else { (&two, &one) };
        assert_eq!(there.chat(&key.secret, &body).await.status, 429, "round {round}: nothing bought yet");
        // One call costs 5, and its hold a little more than it costs.
        here.credit(&customer, 200, TimeDelta::days(1), Scope::default()).await;
        assert_eq!(there.chat(&key.secret, &body).await.status, 200, "round {round}: bought");
        here.execute("UPDATE api_keys SET status = 'disabled'").await;
        assert_eq!(there.chat(&key.secret, &body).await.status, 401, "round {round}: disabled");
        here.execute("UPDATE api_keys SET status = 'enabled', quota = spent").await;
        assert!(there.chat(&key.secret, &body).await.error("message").contains("quota"), "round {round}: quota");
        here.execute("UPDATE api_keys SET quota = NULL").await;
        here.execute("UPDATE suppliers SET status = 'disabled'").await;
        assert_eq!(there.chat(&key.secret, &body).await.status, 404, "round {round}: supplier off");
        here.execute("UPDATE suppliers SET status = 'enabled'").await;
        here.execute("UPDATE accounts SET suspended_at = now()").await;
        assert_eq!(there.chat(&key.secret, &body).await.status, 403, "round {round}: suspended");
        here.execute("UPDATE accounts SET suspended_at = NULL").await;
        here.execute("UPDATE grants SET expires_at = clock_timestamp(), starts_at = starts_at - interval '1 day' WHERE expires_at > now()")
            .await;
    }
    one.assert_exact().await;
    one.stop().await;
    two.stop().await;
}
