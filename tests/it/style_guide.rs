//! The style guide: for who builds pages, and for nobody else.

use crate::support::app::TestApp;
use crate::support::browser::Page;
use sqlx::PgPool;
use toki::server::config::Environment;

#[sqlx::test]
async fn who_builds_pages_sees_the_style_guide(db: PgPool) {
    let page = style_guide_of(db, Environment::Development).await;
    assert_eq!(page.status, 200);
    assert!(page.html.contains("Charts, in the width of a page"));
    assert!(!page.html.contains("style=\""), "the policy forbids it");
}

#[sqlx::test]
async fn production_has_none(db: PgPool) {
    let page = style_guide_of(db, Environment::Production).await;
    assert_eq!(page.status, 404);
    assert!(page.html.contains("Page not found"));
}

async fn style_guide_of(db: PgPool, environment: Environment) -> Page {
    let app = TestApp::start_with(db, |config| config.environment = environment).await;
    let page = app.browser().get("/styleguide").await;
    app.stop().await;
    page
}
