//! Trying a key on its page, as a browser without JavaScript does.

use crate::console_keys::{create, secret_in};
use crate::support::app::TestApp;
use crate::support::browser::{Browser, Page};
use sqlx::PgPool;

/// Sends the form as the page has it, with these fields; where it leads.
async fn send(browser: &Browser, page: &Page, path: &str, secret: &str, model: &str, prompt: &str) -> String {
    let (key_id, form_key) = (path.trim_start_matches("/keys/"), page.form("/api/keys/try").fields);
    let form_key = form_key.iter().find(|(name, _)| name == "form_key").expect("a form key").1.clone();
    let fields = [("key_id", key_id), ("form_key", form_key.as_str()), ("secret", secret), ("model", model), ("prompt", prompt)];
    let answer = browser.post("/api/keys/try", path, &fields).await;
    assert_eq!(answer.status, 302, "{}", answer.html);
    assert!(!answer.location.contains("sk-toki-"), "the secret is in no address: {}", answer.location);
    browser.path_of(&answer).split('#').next().unwrap_or_default().to_string()
}

/// The page that it leads to.
async fn try_it(browser: &Browser, page: &Page, path: &str, secret: &str, model: &str, prompt: &str) -> Page {
    browser.get(&send(browser, page, path, secret, model, prompt).await).await
}

#[sqlx::test]
async fn a_key_is_tried_through_v1_and_the_receipt_is_shown(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 100_000).await).await;
    let path = create(&browser, "bot", "").await;
    let page = browser.get(&path).await;
    let secret = secret_in(&page.html).expect("the secret");
    let filled_in = page.form("/api/keys/try").fields.contains(&("secret".to_string(), secret.clone()));
    assert!(filled_in, "right after the key was made: {}", page.html);
    assert!(!browser.get(&path).await.form("/api/keys/try").fields.iter().any(|(_, value)| *value == secret), "and no other time");

    let page = try_it(&browser, &page, &path, &secret, "sandbox/echo", "Say <b>cheese</b></textarea>").await;
    assert_eq!(page.status, 200);
    let text = page.text();
    let charge = app.number("SELECT charge FROM usage_records").await;
    assert!(charge > 0 && page.html.contains("Say &lt;b&gt;cheese") && !page.html.contains(&secret), "{}", page.html);
    assert!(!page.html.contains("cheese</b>"), "neither in the answer nor in the field: {}", page.html);
    for shown in [format!("Charged {charge}."), "Paid from:".into(), "Measured".into(), "GET /v1/receipts/".into()] {
        assert!(text.contains(&shown), "{shown}: {text}");
    }
    let request_id = app.text("SELECT request_id::text FROM usage_records").await;
    assert_eq!(app.get(&format!("/v1/receipts/{request_id}"), &secret).await.json()["charge"], charge);
    let stored = app.number("SELECT count(*) FROM sessions WHERE data::text LIKE '%cheese%' OR data::text LIKE '%sk-toki-%'").await;
    assert_eq!(stored, 0, "nothing of it is kept in clear");
    let again = browser.get(&format!("{path}?call={request_id}")).await.text();
    assert!(again.contains("Receipt of the call") && !again.contains("cheese"), "the answer is shown once: {again}");
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn what_came_of_it_waits_for_whoever_sees_the_page_of_its_key(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 100_000).await).await;
    let (other, path) = (create(&browser, "other", "").await, create(&browser, "bot", "").await);
    let page = browser.get(&path).await;
    let secret = secret_in(&page.html).expect("the secret");
    let address = send(&browser, &page, &path, &secret, "sandbox/echo", "Say cheese").await;
    for look in [browser.get_part(&address).await, browser.head(&address).await, browser.get(&other).await] {
        assert!(look.status == 200 && !look.html.contains("cheese"), "{}", look.html);
    }
    assert!(browser.get(&address).await.html.contains("cheese"));
    assert!(!browser.get(&address).await.html.contains("cheese"), "the answer is shown once");
    app.stop().await;
}

#[sqlx::test]
async fn a_refusal_is_shown_in_the_words_of_v1(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let path = create(&browser, "bot", "").await;
    let page = browser.get(&path).await;
    let secret = secret_in(&page.html).expect("the secret");
    let direct = app.chat(&secret, &crate::support::client::chat("sandbox/echo", "hello")).await;
    let refused = try_it(&browser, &page, &path, &secret, "sandbox/echo", "hello").await;
    assert!(refused.html.contains("href=\"/docs/errors#insufficient_quota\""), "what the docs say of it: {}", refused.html);
    let text = refused.text();
    let words: String = direct.error("message").split_whitespace().take(6).collect::<Vec<_>>().join(" ");
    assert!(direct.status == 429 || direct.status == 402, "{}", direct.status);
    assert!(text.contains(&words) && text.contains("No receipt yet"), "{words}: {text}");
    assert!(refused.html.contains("<span lang=\"en\">"), "read out as English on any page: {}", refused.html);
    app.execute("UPDATE api_keys SET status = 'disabled'").await;
    let text = try_it(&browser, &page, &path, &secret, "sandbox/echo", "hello, somebody").await.text();
    assert!(text.contains("disabled"), "{text}");
    assert_eq!(app.number("SELECT count(*) FROM usage_records").await, 0);
    app.stop().await;
}

#[sqlx::test]
async fn what_is_no_secret_of_the_key_calls_nothing(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 100_000).await).await;
    let other = create(&browser, "other", "").await;
    let secret = secret_in(&browser.get(&other).await.html).expect("a secret");
    let path = create(&browser, "bot", "").await;
    let page = browser.get(&path).await;
    for (secret, model, prompt, says) in [
        ("sk-toki-nonsense", "sandbox/echo", "hello", "Paste the secret of this key"),
        ("", "sandbox/echo", "hello", "Paste the secret of this key"),
        (secret.as_str(), "sandbox/echo", "hello", "This is the secret of another key"),
    ] {
        let page = try_it(&browser, &page, &path, secret, model, prompt).await;
        assert!(page.text().contains(says) && !page.html.contains("sk-toki-nonsense"), "{says}: {}", page.text());
        assert!(page.html.contains(">hello</textarea>"), "what was asked is still there: {}", page.html);
    }
    let eve = app.browser_of(&app.customer("eve@example.com", 0).await).await;
    let fields = [("key_id", path.trim_start_matches("/keys/")), ("form_key", "019b0000-0000-7000-8000-000000000000"), ("secret", &secret)];
    assert!(eve.post("/api/keys/try", "/keys", &fields).await.location.contains("__err="));
    assert_eq!(app.number("SELECT count(*) FROM usage_records").await, 0);
    app.stop().await;
}

#[sqlx::test]
async fn a_form_sent_twice_makes_one_call(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 100_000).await).await;
    let path = create(&browser, "bot", "").await;
    let page = browser.get(&path).await;
    let secret = secret_in(&page.html).expect("the secret");
    let send = || try_it(&browser, &page, &path, &secret, "sandbox/slow", "once");
    let (one, two) = futures::join!(send(), send());
    // The session keeps one of the two for whichever page asks first.
    assert!(one.text().contains("Receipt of the call") && two.text().contains("Receipt of the call"), "{} {}", one.text(), two.text());
    assert_eq!(app.number("SELECT count(*) FROM usage_records").await, 1);
    app.stop().await;
}
