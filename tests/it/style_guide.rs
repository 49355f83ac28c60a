//! The style guide: for who builds pages, and for nobody else.

use crate::support::app::TestApp;
use sqlx::PgPool;
use toki::server::config::Environment;

#[sqlx::test]
async fn the_style_guide_is_shown_but_in_production(db: PgPool) {
    for (environment, status) in [(Environment::Development, 200), (Environment::Production, 404)] {
        let app = TestApp::start_with(db.clone(), |config| config.environment = environment).await;
        let page = app.browser().get("/styleguide").await;
        assert_eq!(page.status, status);
        assert_eq!(page.html.contains("Charts, in the width of a page"), status == 200);
        assert!(!page.html.contains("style=\""), "the policy forbids it");
        app.stop().await;
    }
}
