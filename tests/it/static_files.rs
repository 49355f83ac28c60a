//! Static files beside pages: what a page tells its own visitor stays with it, however busy the server is.

use crate::support::app::TestApp;
use reqwest::redirect::Policy;
use sqlx::PgPool;

/// Leptos renders every page in a context, and one request must never end up in another's: a static file that took the redirect of
/// a page would be cached with it for a year.
#[sqlx::test]
async fn static_files_take_nothing_from_pages_in_flight(db: PgPool) {
    let site = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(site.path().join("pkg")).expect("pkg");
    std::fs::write(site.path().join("pkg/app.css"), "body {}").expect("a file");
    let app = TestApp::start_with(db, |config| config.site_root = site.path().to_path_buf()).await;
    let client = reqwest::Client::builder().redirect(Policy::none()).build().expect("a client");

    let get = |path: &str| {
        let request = client.get(app.url(path)).header("accept", "text/html");
        tokio::spawn(async move { request.send().await.expect("an answer") })
    };
    for _ in 0..50 {
        let (pages, files) = ((0..4).map(|_| get("/wallet")), (0..4).map(|_| get("/pkg/app.css")));
        let asked: Vec<_> = pages.zip(files).collect();
        for (page, file) in asked {
            let (page, file) = (page.await.expect("page"), file.await.expect("file"));
            assert_eq!(page.status(), 302);
            assert_eq!(page.headers().get("location").expect("where to sign in"), "/sign-in?next=%2Fwallet");
            assert_eq!(file.status(), 200);
            assert!(!file.headers().contains_key("location"));
        }
    }
}

#[sqlx::test]
async fn missing_files_are_pages_that_say_so(db: PgPool) {
    let app = TestApp::start(db).await;
    for path in ["/pkg/gone.css", "/nowhere", "/wallet/../nowhere"] {
        let answer = reqwest::get(app.url(path)).await.expect("an answer");
        assert_eq!(answer.status(), 404, "{path}");
        assert!(answer.headers()["content-security-policy"].to_str().expect("text").contains("nonce-"), "{path}");
        assert!(answer.text().await.expect("text").contains("Page not found"), "{path}");
    }
}
