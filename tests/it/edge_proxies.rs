//! Proxies in front of us: what is made of the addresses that they pass on, and that operators are told.

use crate::support::app::TestApp;
use crate::support::client::chat;
use crate::support::toki::Toki;
use sqlx::PgPool;

#[sqlx::test]
async fn networks_of_keys_see_the_caller_behind_a_trusted_proxy(db: PgPool) {
    let trusting = TestApp::start_with(db.clone(), |config| config.edge.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")]);
    let trusting = trusting.await;
    let customer = trusting.customer("behind@example.com", 1_000_000).await;
    let key = trusting.key(&customer, None).await;
    trusting.execute("UPDATE api_keys SET allowed_networks = '{198.51.100.0/24}'").await;
    let bearer = format!("Bearer {}", key.secret);
    let status = async |app: &TestApp, forwarded: &str| {
        let headers = [("authorization", bearer.as_str()), ("x-forwarded-for", forwarded)];
        app.post_with("/v1/chat/completions", &headers, &chat("sandbox/echo", "hi")).await.status
    };
    assert_eq!((status(&trusting, "198.51.100.7").await, status(&trusting, "198.51.100.7, 203.0.113.1").await), (200, 403));
    trusting.stop().await;
}

#[sqlx::test]
async fn the_doctor_misses_the_proxy_that_ends_tls(db: PgPool) {
    let toki = Toki::new(&db).with("TOKI_PUBLIC_URL", "https://toki.example");
    let said = toki.run(&["doctor"]).stdout;
    assert!(said.contains("warn  proxies") && said.contains("TOKI_TRUSTED_PROXIES"), "{said}");
    let said = toki.with("TOKI_TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8").run(&["doctor"]).stdout;
    assert!(said.contains("ok    proxies: X-Forwarded-For is believed from 10.0.0.0/8, fd00::/8"), "{said}");
}
