//! Notices by mail as customers meet them: chosen in the settings, sent while a server runs.

use crate::support::app::TestApp;
use crate::support::browser::Page;
use crate::support::client::http;
use sqlx::PgPool;
use toki::notices::store::tell_all;

const SAVE: &str = "/api/notices/save";

#[sqlx::test]
async fn what_one_is_told_is_chosen_in_the_settings(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 40).await).await;
    let form = browser.get("/settings").await.form(SAVE);
    let sent: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(sent, [("new_device", "true"), ("expiring", "true"), ("key_quota", "true"), ("balance_below", "")]);

    let refused = browser.submit(&form.with("balance_below", "some"), "/settings").await;
    let page = browser.follow(&refused).await;
    assert!(page.text().contains("Enter a whole number of Tokens from 1, or leave it empty."), "{}", page.text());
    assert!(page.html.contains("value=\"some\""), "what was typed is still there");
    let refused = browser.post(SAVE, "/settings", &[("expiring", "true"), ("balance_below", "some")]).await;
    let page = browser.follow(&refused).await;
    assert_eq!(switches_on(&page), ["expiring"], "what was turned off stays so, though it is not saved: {}", page.html);
    assert_eq!(switches_on(&browser.get("/settings").await), ["new_device", "expiring", "key_quota"], "nothing was saved");

    // Two switches are off.
    let answer = browser.post(SAVE, "/settings", &[("expiring", "true"), ("balance_below", "50")]).await;
    let page = browser.follow(&answer).await;
    assert!(page.text().contains("Saved. From now on you are told that."), "{}", page.text());
    let saved = app.text("SELECT concat(new_device, expiring, key_quota, balance_below) FROM notice_settings").await;
    assert_eq!(saved, "ftf50");
    assert!(browser.get("/settings").await.html.contains("value=\"50\""));

    tell_all(&app.state.db, &app.state.outbox, 100).await.expect("told");
    let mail = app.mailed("ada@example.com", 1).await.remove(0);
    assert!(mail.contains("Subject: Your balance is low") && mail.contains("has 40 Tokens left"), "{mail}");
    app.stop().await;
}

/// The switches of the form that are on.
fn switches_on(page: &Page) -> Vec<&'static str> {
    let is_on = |name: &&str| {
        let named = format!("name=\"{name}\"");
        let tags = page.html.split("<input").filter_map(|tag| tag.split('>').next());
        tags.filter(|tag| tag.contains(&named)).any(|tag| tag.contains(" checked"))
    };
    ["new_device", "expiring", "key_quota"].into_iter().filter(is_on).collect()
}

#[sqlx::test]
async fn a_sign_in_from_another_browser_is_told(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.customer("ada@example.com", 0).await;
    let first = app.browser_of(&ada).await;
    first.post("/api/accounts/sign_out", "/", &[]).await;
    let fields = [("email", "ada@example.com"), ("password", crate::support::app::PASSWORD), ("next", "")];
    first.post("/api/accounts/sign_in", "/sign-in", &fields).await;
    assert_eq!(app.number("SELECT count(*) FROM mails WHERE kind = 'new_device'").await, 0, "the same browser");
    app.browser_of(&ada).await;
    app.until("SELECT count(*) FROM mails WHERE kind = 'new_device' AND sent_at IS NOT NULL", |mails| mails == 1).await;
    let mails = app.all_mails_to("ada@example.com");
    assert!(mails[0].contains("A new browser signed in") && mails[0].contains("from 127.0.0.1"), "{}", mails[0]);
    app.stop().await;
}

#[sqlx::test]
async fn notices_are_in_the_language_that_their_reader_chose(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 40).await).await;
    assert_eq!(app.text("SELECT language FROM users").await, "en", "that of the page where they signed in");
    browser.post("/api/preferences/set", "/settings", &[("language", "zh-Hans")]).await;
    browser.post(SAVE, "/settings", &[("balance_below", "50")]).await;
    tell_all(&app.state.db, &app.state.outbox, 100).await.expect("told");
    assert_eq!(app.text("SELECT subject FROM mails WHERE kind = 'balance'").await, "余额不足提醒");
    app.stop().await;
}

#[sqlx::test]
async fn what_is_written_after_the_answer_is_in_the_language_of_whoever_asked(db: PgPool) {
    let app = TestApp::start(db).await;
    app.customer("ada@example.com", 0).await;
    for (language, subject) in [("zh-CN,zh;q=0.9", "设置新密码"), ("en", "Set a new password")] {
        app.execute("DELETE FROM mails").await;
        app.forget_attempts().await;
        let request = http().post(app.url("/api/accounts/forgot_password")).header("accept-language", language);
        let request = request.header("sec-fetch-site", "same-origin");
        let request = request.header("content-type", "application/x-www-form-urlencoded").body("email=ada%40example.com");
        assert_eq!(request.send().await.expect("an answer").status(), 200);
        app.until("SELECT count(*) FROM mails WHERE kind = 'reset_password'", |mails| mails == 1).await;
        assert_eq!(app.text("SELECT subject FROM mails WHERE kind = 'reset_password'").await, subject);
    }
    app.stop().await;
}
