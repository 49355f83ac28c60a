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

/// Pages go packed to whoever asks for it; what has a secret that can be asked for again does not, nor what is no page.
#[sqlx::test]
async fn pages_are_packed(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.customer("ada@example.com", 100_000).await;
    let browser = app.browser_of(&ada).await;
    let key = app.key(&ada, None).await;
    let get = |path: &str| http().get(app.url(path)).header("accept", "text/html").header("accept-encoding", "gzip, br");
    // In times of the packed page, doubled: one with little on it packs less well.
    for (path, least) in [("/products", 4), ("/sign-in", 4), ("/no-such-page", 3)] {
        let packed = get(path).send().await.expect("an answer");
        assert_eq!(packed.headers()["content-encoding"], "gzip", "{path}");
        let vary: Vec<_> = packed.headers().get_all("vary").iter().filter_map(|value| value.to_str().ok()).collect();
        assert!(vary.join(",").to_lowercase().contains("accept-encoding"), "{vary:?}");
        let packed = packed.bytes().await.expect("a page");
        assert_eq!(packed[..2], [0x1f, 0x8b], "{path}");
        let whole = http().get(app.url(path)).header("accept", "text/html").send().await.expect("an answer");
        assert!(!whole.headers().contains_key("content-encoding"));
        let (packed, whole) = (packed.len(), whole.bytes().await.expect("a page").len());
        assert!(packed * least < whole * 2, "{path}: {packed} of {whole}");
    }
    let as_ada = async |path| get(path).header("cookie", browser.cookie()).send().await.expect("an answer");
    let (whole, v1) = (as_ada("/settings/two-factor").await, get("/v1/models").bearer_auth(&key.secret).send().await);
    assert!(whole.status().is_success() && !whole.headers().contains_key("content-encoding"), "{:?}", whole.headers());
    assert!(!v1.expect("an answer").headers().contains_key("content-encoding"));
    let live = as_ada("/live").await;
    assert!(live.status().is_success() && !live.headers().contains_key("content-encoding"), "{:?}", live.headers());
    app.stop().await;
}
