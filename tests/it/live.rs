//! Open pages hear that something of their account changed, on whichever replica it did.

use crate::support::app::{TestApp, another_pool};
use crate::support::client::chat;
use chrono::TimeDelta;
use futures::{Stream, StreamExt};
use sqlx::PgPool;
use std::time::Duration;
use toki::wallet::ledger::Scope;

/// Whether a change is told within the time.
async fn hears(events: &mut (impl Stream<Item = String> + Unpin), time: Duration) -> bool {
    let told = async {
        while let Some(event) = events.next().await {
            if event.contains("data: change") {
                return true;
            }
        }
        false
    };
    tokio::time::timeout(time, told).await.unwrap_or(false)
}

const SOON: Duration = Duration::from_secs(10);
const A_WHILE: Duration = Duration::from_secs(2);

#[sqlx::test]
async fn a_page_hears_of_its_own_account_from_every_replica(db: PgPool) {
    let (here, there) = (TestApp::start(another_pool(&db).await).await, TestApp::start(db).await);
    let (ada, eve) = (here.customer("ada@example.com", 10_000).await, here.customer("eve@example.com", 10_000).await);
    let (key, other) = (here.key(&ada, None).await, here.key(&eve, None).await);
    let browser = here.browser_of(&ada).await;
    let mut events = browser.events("/live").await.expect("a stream");
    assert!(hears(&mut events, SOON).await, "at the beginning: what was before is not known");
    let page = here.browser_of(&ada).await.get("/wallet").await;
    let since =
        page.html.split("&quot;since&quot;:&quot;").nth(1).and_then(|rest| rest.split("&quot;").next()).expect("a moment").to_string();
    let address = format!("/live?since={since}");
    let mut quiet = browser.events(&address).await.expect("a stream");
    assert!(!hears(&mut quiet, A_WHILE).await, "nothing changed since the page was read");

    there.credit(&ada, 500, TimeDelta::days(1), Scope::default()).await;
    assert!(hears(&mut events, SOON).await, "a grant");
    assert!(hears(&mut quiet, SOON).await, "a grant");
    let mut late = browser.events(&address).await.expect("a stream");
    assert!(hears(&mut late, SOON).await, "the grant came after the page was read");
    let elsewhere = there.browser_of(&ada).await;
    let mut elsewhere = elsewhere.events(&address).await.expect("a stream");
    assert!(hears(&mut elsewhere, SOON).await, "a moment of another replica");
    assert_eq!(there.chat(&key.secret, &chat("sandbox/echo", "hello")).await.status, 200);
    assert!(hears(&mut events, SOON).await, "a settled call");

    assert_eq!(there.chat(&other.secret, &chat("sandbox/echo", "hello")).await.status, 200);
    there.credit(&eve, 500, TimeDelta::days(1), Scope::default()).await;
    assert!(!hears(&mut events, A_WHILE).await, "nothing of another account");
    here.stop().await;
    there.stop().await;
}

#[sqlx::test]
async fn only_who_is_signed_in_hears(db: PgPool) {
    let app = TestApp::start(db).await;
    assert_eq!(app.browser().events("/live").await.err(), Some(401));
    app.stop().await;
}
