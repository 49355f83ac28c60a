//! The headers around the console: every page's policy allows its own scripts and nothing else.

use crate::support::app::TestApp;
use crate::support::client::http;
use futures::StreamExt;
use sqlx::PgPool;

#[sqlx::test]
async fn every_page_carries_the_policy_of_its_own_nonce(db: PgPool) {
    let app = TestApp::start(db).await;
    let client = http();
    let paths = ["/", "/products", "/sign-in", "/models", "/no-such-page"];
    let fetched = (0..100).map(|n| {
        let request = client.get(app.url(paths[n % paths.len()])).header("accept", "text/html");
        async move {
            let response = request.send().await.expect("an answer");
            let policy = response.headers()["content-security-policy"].to_str().expect("ASCII").to_string();
            (policy, response.text().await.expect("a page"))
        }
    });
    // At once, since it was under load that some pages lost their policy.
    let pages = futures::stream::iter(fetched).buffer_unordered(16).collect::<Vec<_>>().await;
    for (policy, html) in pages {
        let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).expect("a nonce");
        assert!(html.contains(&format!("nonce=\"{nonce}\"")), "scripts carry another nonce than {policy}");
        assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe-inline"));
    }
    app.stop().await;
}

#[sqlx::test]
async fn what_is_no_page_allows_nothing_and_cross_site_posts_are_refused(db: PgPool) {
    let app = TestApp::start(db).await;
    let post = |site: &'static str| {
        let request = http().post(app.url("/api/accounts/sign_out")).header("sec-fetch-site", site);
        request.header("content-type", "application/x-www-form-urlencoded").send()
    };
    let refused = post("cross-site").await.expect("an answer");
    assert_eq!(refused.status(), 403);
    assert!(refused.headers()["content-security-policy"].to_str().expect("ASCII").starts_with("default-src 'none'"));
    assert_ne!(post("same-origin").await.expect("an answer").status(), 403);
    app.stop().await;
}
