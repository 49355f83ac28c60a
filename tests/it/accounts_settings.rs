//! The settings page: password, address and sessions, each re-authenticated or one's own.

use crate::accounts::{is_member, sign_in};
use crate::accounts_mail::link_in;
use crate::console_keys::create;
use crate::support::app::{PASSWORD, TestApp};
use crate::support::browser::{Browser, Page};
use sqlx::PgPool;

const CHANGE_PASSWORD: &str = "/api/accounts/change_password";
const CHANGE_EMAIL: &str = "/api/accounts/change_email";
const END_SESSION: &str = "/api/accounts/end_session";
const END_OTHERS: &str = "/api/accounts/end_other_sessions";
const CONFIRM: &str = "/api/accounts/confirm_email";

/// Submits a form of the settings page; the page that it leads to.
async fn submit(browser: &Browser, action: &str, fields: &[(&str, &str)]) -> Page {
    let mut form = browser.get("/settings").await.form(action);
    for (name, value) in fields {
        form = form.with(name, value);
    }
    let answer = browser.submit(&form, "/settings").await;
    assert_eq!(answer.status, 302, "{}", answer.html);
    browser.follow(&answer).await
}

#[sqlx::test]
async fn a_password_is_changed_by_whoever_knows_it_and_ends_other_sessions(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.customer("ada@example.com", 0).await;
    let (browser, other) = (app.browser_of(&ada).await, app.browser_of(&ada).await);
    let before = browser.cookie();
    for (current, password, says) in [
        ("not the password", "a brand new password", "This is not your current password. Nothing was changed."),
        ("", "a brand new password", "This is not your current password."),
        (PASSWORD, "short", "A password has at least 8 characters."),
        (PASSWORD, "ada@example.com", "This password is among those that are tried first."),
    ] {
        let page = submit(&browser, CHANGE_PASSWORD, &[("current", current), ("password", password)]).await;
        assert!(page.text().contains(says), "{says}: {}", page.text());
    }
    assert!(is_member(&other).await);
    let page = submit(&browser, CHANGE_PASSWORD, &[("current", PASSWORD), ("password", "a brand new password")]).await;
    assert!(page.text().contains("Your password is changed"), "{}", page.text());
    assert!(!browser.get("/settings").await.text().contains("Your password is changed"), "said once");
    assert!(is_member(&browser).await && !is_member(&other).await);
    assert!(!is_member(&app.browser_with_cookie(&before)).await, "whoever had the old cookie is out");
    sign_in(&other, "ada@example.com", "a brand new password").await;
    assert!(is_member(&other).await);
    assert!(app.mailed("ada@example.com", 1).await[0].contains("Subject: Your password was changed"));
    app.stop().await;
}

#[sqlx::test]
async fn an_address_is_changed_by_its_password_and_its_mail(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let asked = [("email", "lovelace@example.com"), ("email_password", "not the password")];
    let page = submit(&browser, CHANGE_EMAIL, &asked).await;
    assert!(page.text().contains("This is not your current password."), "{}", page.text());
    let page = submit(&browser, CHANGE_EMAIL, &[("email", "lovelace@example.com"), ("email_password", PASSWORD)]).await;
    assert!(page.text().contains("We sent a link to the new address."), "{}", page.text());
    let link = link_in(&app, &app.mailed("lovelace@example.com", 1).await[0], "/verify-email");
    assert!(app.mailed("ada@example.com", 1).await[0].contains("Subject: Your address is about to change"));
    assert!(browser.get("/settings").await.text().contains("You sign in as ada@example.com"));

    // The mail is read on another device, which gets nothing but the address confirmed.
    let phone = app.browser();
    let answer = phone.submit(&phone.get(&link).await.form(CONFIRM), &link).await;
    assert_eq!(answer.location, "/verify-email?done=yes");
    assert!(!is_member(&phone).await);
    assert!(browser.get("/settings").await.text().contains("You sign in as lovelace@example.com"));
    assert!(app.mailed("ada@example.com", 2).await[1].contains("Subject: Your address has changed"));
    sign_in(&phone, "lovelace@example.com", PASSWORD).await;
    assert!(is_member(&phone).await);
    app.stop().await;
}

#[sqlx::test]
async fn an_address_of_somebody_else_is_asked_for_like_any_other(db: PgPool) {
    let app = TestApp::start(db).await;
    app.customer("eve@example.com", 0).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let mut seen = Vec::new();
    for email in ["eve@example.com", "nobody@example.com"] {
        seen.push(submit(&browser, CHANGE_EMAIL, &[("email", email), ("email_password", PASSWORD)]).await.words());
    }
    assert_eq!(seen[0], seen[1]);
    assert!(app.mailed("eve@example.com", 1).await[0].contains("Subject: You have an account already"));
    app.stop().await;
}

#[sqlx::test]
async fn sessions_are_listed_and_ended(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.customer("ada@example.com", 0).await;
    let (browser, second, third) = (app.browser_of(&ada).await, app.browser_of(&ada).await, app.browser_of(&ada).await);
    app.execute("UPDATE sessions SET data = data || '{\"device\": \"Firefox on Linux\"}'").await;
    let page = browser.get("/settings").await;
    assert_eq!((page.words().matches("Firefox on Linux").count(), page.words().matches("This session").count()), (3, 1));

    let page = submit(&browser, END_SESSION, &[]).await;
    assert!(page.text().contains("The session has ended."), "{}", page.text());
    let left = [is_member(&browser).await, is_member(&second).await, is_member(&third).await];
    assert!(left[0] && left[1] != left[2], "{left:?}");
    let refused = browser.post(END_OTHERS, "/settings", &[("which", "all of them")]).await;
    let page = browser.follow(&refused).await;
    assert!(page.text().contains("The form could not be read."), "a refusal is said: {}", page.text());
    let page = submit(&browser, END_OTHERS, &[]).await;
    assert!(page.text().contains("All your other sessions have ended."), "{}", page.text());
    assert!(is_member(&browser).await && !is_member(&second).await && !is_member(&third).await);
    assert!(page.find_form(END_SESSION).is_none() && page.find_form(END_OTHERS).is_none());

    app.browser_of(&ada).await;
    assert!(browser.get("/settings").await.find_form(END_SESSION).is_some());
    let unused = "UPDATE sessions SET last_seen_at = now() - interval '8 days'
                   WHERE session_id = (SELECT session_id FROM sessions ORDER BY created_at DESC LIMIT 1)";
    app.execute(unused).await;
    assert!(browser.get("/settings").await.find_form(END_SESSION).is_none(), "what opens nothing any more is not listed");
    app.stop().await;
}

#[sqlx::test]
async fn nobody_ends_the_sessions_of_others(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let id = app.text("SELECT session_id::text FROM sessions").await;
    let eve = app.browser_of(&app.customer("eve@example.com", 0).await).await;
    for session_id in [id.as_str(), "0", ""] {
        let answer = eve.post(END_SESSION, "/settings", &[("session_id", session_id)]).await;
        assert!(eve.follow(&answer).await.text().contains("This does not exist, or it belongs to another account."));
    }
    assert!(is_member(&ada).await);
    let visitor = app.browser();
    let passwords: &[(&str, &str)] = &[("current", PASSWORD), ("password", "a brand new password")];
    let address: &[(&str, &str)] = &[("email", "eve@example.com"), ("email_password", PASSWORD)];
    let session: &[(&str, &str)] = &[("session_id", id.as_str())];
    for (action, fields) in [(CHANGE_PASSWORD, passwords), (CHANGE_EMAIL, address), (END_SESSION, session), (END_OTHERS, &[])] {
        let answer = visitor.post(action, "/settings", fields).await;
        assert_eq!((answer.status, answer.location.as_str()), (302, "/sign-in?next=%2Fsettings"), "{action}");
    }
    app.stop().await;
}

#[sqlx::test]
async fn tries_at_the_current_password_are_counted(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    for _ in 0..5 {
        submit(&browser, CHANGE_PASSWORD, &[("current", "not the password"), ("password", "a brand new password")]).await;
        submit(&browser, CHANGE_EMAIL, &[("email", "eve@example.com"), ("email_password", "not the password")]).await;
    }
    let page = submit(&browser, CHANGE_PASSWORD, &[("current", PASSWORD), ("password", "a brand new password")]).await;
    assert!(page.text().contains("Too many attempts. Try again in"), "{}", page.text());
    app.stop().await;
}

#[sqlx::test]
async fn an_account_is_deleted_with_the_password(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("ada@example.com", 5_000).await;
    let key = app.key(&customer, None).await;
    let (ada, elsewhere) = (app.browser_of(&customer).await, app.browser_of(&customer).await);
    assert!(ada.get("/settings").await.html.contains(r#"href="/settings/delete""#));
    let page = ada.get("/settings/delete").await;
    assert!(page.text().contains("Your Tokens, 5,000 now.") && page.text().contains("Your API keys, 1 now."), "{}", page.text());
    let form = page.form("/api/accounts/delete");
    let answer = ada.submit(&form.clone().with("password", "not the password"), "/settings/delete").await;
    assert!(ada.follow(&answer).await.text().contains("This is not your current password. Nothing was changed."));
    let answer = ada.submit(&form.with("password", PASSWORD), "/settings/delete").await;
    assert_eq!(answer.location, "/goodbye");
    assert!(ada.follow(&answer).await.text().contains("Your account is deleted"));
    assert!(!is_member(&ada).await && !is_member(&elsewhere).await, "every session ends");
    let refused = app.chat(&key.secret, &crate::support::client::chat("sandbox/echo", "hi")).await;
    assert_eq!((refused.status, refused.error("code")), (401, "invalid_api_key".to_string()));
    assert!(app.mailed("ada@example.com", 1).await[0].contains("Subject: Your account is deleted"));
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn the_settings_say_who_this_is_and_how_pages_look(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    app.execute("UPDATE members SET created_at = '2026-02-04 23:30+00'").await;
    let page = browser.get("/settings").await;
    let profile = "Profile E-mail ada@example.com Account ada@example.com Role in this account Owner Member since 4 Feb 2026";
    assert!(page.text().contains(profile), "{}", page.text());
    for chosen in [r#"value="en""#, r#"value="system""#, r#"value="UTC""#] {
        assert!(is_selected(&page, chosen), "{chosen}: {}", page.html);
    }
    for shown in [r#"<optgroup label="Europe">"#, r#"value="Europe/Zurich""#, r#"value="America/Argentina/Buenos_Aires""#] {
        assert!(page.html.contains(shown), "{shown}: {}", page.html);
    }

    let set = |name, value| [(name, value)];
    for wrong in [set("time_zone", "Nowhere/Land"), set("theme", "pink"), set("zone", "UTC")] {
        let answer = browser.post("/api/preferences/set", "/settings", &wrong).await;
        assert!(answer.location.contains("__err="), "{wrong:?}: {}", answer.location);
    }
    let page = browser.get("/settings").await;
    assert!(!page.text().contains("Saved. Pages look like this from now on."), "{}", page.text());
    // The day there is another one; a zone that is no place of the list can be kept.
    for (zone, since) in [("Asia/Shanghai", "5 Feb 2026"), ("US/Pacific", "4 Feb 2026")] {
        let there = app.browser_with_cookie(&format!("{}; time_zone={zone}; theme=dark", browser.cookie()));
        let page = there.get("/settings").await;
        assert!(page.text().contains(&format!("Member since {since}")), "{zone}: {}", page.text());
        assert!(is_selected(&page, &format!(r#"value="{zone}""#)) && is_selected(&page, r#"value="dark""#), "{}", page.html);
        assert!(!is_selected(&page, r#"value="UTC""#), "{zone}");
    }
    let session = browser.cookie();
    let answer = browser.post("/api/preferences/set", "/settings", &set("time_zone", "Asia/Shanghai")).await;
    assert!(answer.status == 302 && !answer.location.contains("__err="), "{}", answer.location);
    let page = app.browser_with_cookie(&session).get("/settings").await;
    assert!(page.text().contains("Saved. Pages look like this from now on."), "{}", page.text());
    app.stop().await;
}

/// Whether the page has a list with this option chosen.
fn is_selected(page: &Page, option: &str) -> bool {
    let mut options = page.html.split("<option").skip(1).filter_map(|tag| tag.split('>').next());
    options.any(|tag| tag.contains(option) && tag.contains("selected"))
}

#[sqlx::test]
async fn hints_are_read_out_with_their_fields_and_fields_that_are_wrong_are_marked(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let key = create(&browser, "bot", "").await;
    let key_id = key.trim_start_matches("/keys/");
    for path in ["/keys", &key, "/settings", "/settings/members", "/settings/two-factor", "/settings/delete"] {
        let page = browser.get(path).await;
        assert_eq!(page.unread_hints(), Vec::<&str>::new(), "{path}");
        assert_eq!(page.marked_invalid(), Vec::<&str>::new(), "{path}");
    }
    assert_eq!(app.browser().get("/sign-up").await.unread_hints(), Vec::<&str>::new());

    // Of a field with something beside it the field is marked, and nothing around it.
    let page = submit(&browser, CHANGE_PASSWORD, &[("current", "not the password"), ("password", "a brand new password")]).await;
    assert_eq!(page.marked_invalid(), ["current"]);
    let halves = [("key_id", key_id), ("limits[period_quota]", "500")];
    let refused = browser.post("/api/keys/limit", &key, &halves).await;
    assert_eq!(browser.follow(&refused).await.marked_invalid(), ["limits[period_quota]", "limits[period]"]);
    let past = [("key_id", key_id), ("name", "bot"), ("supplier", "all"), ("expires", "custom"), ("expires_at", "2001-01-01")];
    let refused = browser.post("/api/keys/update", &key, &past).await;
    assert_eq!(browser.follow(&refused).await.marked_invalid(), ["expires_at"]);
    app.stop().await;
}
