//! What is bought or edited counts for the very next call, on every replica.

use crate::checkout::package;
use crate::support::app::{TestApp, another_pool};
use crate::support::client::chat;
use crate::support::fake_stripe::{FakeStripe, Plan};
use chrono::TimeDelta;
use serde_json::json;
use sqlx::PgPool;
use toki::accounts::store::owner_of;
use toki::catalog::store::package_on_sale;
use toki::checkout::placing::place;
use toki::checkout::types::Start;
use toki::checkout::types_placing::{OrderRequest, Terms};
use toki::codes::types::Discount;
use toki::wallet::ledger::Scope;
use uuid::Uuid;

#[sqlx::test]
async fn every_edit_counts_for_the_next_call_on_the_other_replica(db: PgPool) {
    let (one, two) = (TestApp::start(another_pool(&db).await).await, TestApp::start(db).await);
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

#[sqlx::test]
async fn a_purchase_counts_for_the_very_next_call_on_the_other_replica(db: PgPool) {
    let stripe = FakeStripe::start().await;
    let (here, there) = (stripe.config(), stripe.config());
    let one = TestApp::start_with(another_pool(&db).await, |ours| ours.stripe = Some(here)).await;
    let two = TestApp::start_with(db, |ours| ours.stripe = Some(there)).await;
    let customer = one.customer("now@example.com", 0).await;
    let member = owner_of(&one.state.db, customer.user_id).await.expect("read").expect("a member");
    let (key, package_id) = (one.key(&customer, None).await, package(&one, "Starter", None).await);
    let card = package_on_sale(&one.state.db, package_id).await.expect("on sale");
    let terms = Terms::of(card);
    let mut body = chat("sandbox/echo", "hi");
    body["max_tokens"] = json!(1);
    for round in 0..100 {
        let (here, there) = if round % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let (form_key, starts, terms) = (Uuid::new_v4(), Start::Now, terms.clone());
        let request = OrderRequest { package_id, form_key, starts, terms, discount: Discount::default(), one_order_for_s: None };
        place(&here.state.db, &here.state.payments, &member, &request).await.expect("placed");
        stripe.complete(stripe.sessions().pop().expect("a session")["id"].as_str().expect("an id"), true);
        assert_eq!(there.chat(&key.secret, &body).await.status, 429, "round {round}: paid, and nobody has told us");
        stripe.deliver_to(&here.url("/webhooks/stripe"));
        assert_eq!(stripe.deliver(Plan::InOrder).await, [200], "round {round}");
        assert_eq!(there.chat(&key.secret, &body).await.status, 200, "round {round}: told, and there");
        here.execute("UPDATE grants SET expires_at = clock_timestamp(), starts_at = starts_at - interval '1 day' WHERE expires_at > now()")
            .await;
    }
    one.assert_exact().await;
    one.stop().await;
    two.stop().await;
}
