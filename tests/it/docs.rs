//! The docs over HTTP: every page, in both languages, with what its reader has filled in.

use crate::support::app::TestApp;
use sqlx::PgPool;

#[sqlx::test]
async fn every_page_is_open_to_visitors_and_filled_for_them(db: PgPool) {
    let app = TestApp::start_with(db, |config| config.public_url = "https://toki.example".parse().expect("URL")).await;
    let overview = app.browser().get("/docs").await;
    assert_eq!(overview.status, 200);
    let paths: Vec<&str> = overview.html.split("href=\"/docs/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(paths.len(), 10, "{paths:?}");
    let mut titles = std::collections::BTreeSet::new();
    for path in paths {
        for (language, heading) in [("en", "Docs"), ("zh-Hans", "文档")] {
            let browser = app.browser_with_cookie(&format!("language={language}"));
            let page = browser.get(&format!("/docs/{path}")).await;
            assert_eq!(page.status, 200, "{path}");
            let title = page.html.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).expect("a title");
            assert!(title.ends_with(&format!(" · {heading} · TOKI")), "{path}: {title}");
            assert!(page.html.contains("<meta name=\"description\" content=\""), "{path}");
            assert!(titles.insert(title.to_string()), "{path}: {title} is another page's too");
            assert!(!page.text().contains("{{base_url}}") && !page.text().contains("{{model}}"), "{path}");
            assert!(page.html.contains("aria-current=\"page\""), "{path}");
        }
    }
    let text = app.browser().get("/docs/quickstart").await.text();
    assert!(text.contains("curl https://toki.example/v1/chat/completions"), "{text}");
    assert!(text.contains(r#""model": "sandbox/echo""#) || text.contains("&quot;sandbox/echo&quot;"), "{text}");
    app.stop().await;
}

#[sqlx::test]
async fn a_page_that_is_not_there_says_so(db: PgPool) {
    let app = TestApp::start(db).await;
    let page = app.browser().get("/docs/nothing").await;
    assert_eq!(page.status, 404);
    assert!(page.html.contains("href=\"/docs\""), "{}", page.html);
    app.stop().await;
}
