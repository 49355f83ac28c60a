//! The model directory as a browser without JavaScript meets it.

use crate::console_keys::create;
use crate::support::app::TestApp;
use sqlx::PgPool;

#[sqlx::test]
async fn a_model_says_how_it_is_called_and_what_of_the_reader_can(db: PgPool) {
    let app = TestApp::start(db).await;
    let visitor = app.browser().get("/models").await.text();
    assert!(visitor.contains("/v1/chat/completions, /v1/responses, /v1/completions, /v1/messages"), "{visitor}");
    assert!(visitor.contains("Try it with curl") && !visitor.contains("For you") && !visitor.contains("Your keys"), "{visitor}");

    let browser = app.browser_of(&app.customer("ada@example.com", 100_000).await).await;
    let without = browser.get("/models?q=sandbox/echo").await.text();
    assert!(without.contains("No key for it") && without.contains("None yet: create a key"), "{without}");
    let path = create(&browser, "support bot", "").await;
    let page = browser.get("/models?q=sandbox/echo").await;
    let text = page.text();
    assert!(text.contains("Ready") && text.contains("Credit") && text.contains("100,000 left"), "{text}");
    assert!(page.html.contains(&format!("href=\"{path}\"")) && text.contains("support bot"), "{text}");
    assert!(!text.contains("sandbox/slow"), "{text}");
    app.stop().await;
}

#[sqlx::test]
async fn models_are_searched_by_their_address(db: PgPool) {
    let app = TestApp::start(db).await;
    let visitor = app.browser();
    let none = visitor.get("/models?q=nothing").await;
    assert_eq!(none.status, 200);
    assert!(none.text().contains("No model is called like this"), "{}", none.text());
    let long = "x".repeat(255);
    assert_eq!(visitor.get(&format!("/models?q={long}")).await.status, 422);
    let found = visitor.get("/models?q=SANDBOX%2Fecho").await.text();
    assert!(found.contains("sandbox/echo") && !found.contains("sandbox/slow"), "{found}");
    app.stop().await;
}

#[sqlx::test]
async fn what_copies_is_on_a_page_once_and_only_where_it_may_be_needed(db: PgPool) {
    let app = TestApp::start(db).await;
    let (visitor, customer) = (app.browser(), app.browser_of(&app.customer("ada@example.com", 100_000).await).await);
    for (path, of_visitor) in [("/models", 1), ("/docs/clients", 1), ("/docs", 0), ("/products", 0)] {
        // Whoever is signed in may get something to copy later, when a call unfolds.
        for (browser, islands) in [(&visitor, of_visitor), (&customer, 1)] {
            let html = browser.get(path).await.html;
            assert_eq!(html.matches("data-component=\"Copies").count(), islands, "{path}: {html}");
            assert_eq!(html.contains(" data-copy=\""), of_visitor == 1, "{path}: {html}");
        }
    }
    app.stop().await;
}
