//! What goes through a mailbox: confirming an address, replacing a forgotten password. As a browser without JavaScript does it, with
//! development's folder of mails for a mailbox.

use crate::accounts::{is_member, sign_in};
use crate::support::app::{PASSWORD, TestApp};
use crate::support::browser::{Browser, Page};
use crate::support::client::http;
use sqlx::PgPool;

const CONFIRM: &str = "/api/accounts/confirm_email";
const SEND_CONFIRMATION: &str = "/api/accounts/send_confirmation";
const FORGOT: &str = "/api/accounts/forgot_password";
const RESET: &str = "/api/accounts/reset_password";
const SIGN_UP: &str = "/api/accounts/sign_up";

/// The link of a mail's text, as a path of ours.
#[track_caller]
pub fn link_in(app: &TestApp, mail: &str, path: &str) -> String {
    let start = app.url(&format!("{path}?token="));
    let at = mail.find(&start).unwrap_or_else(|| panic!("no {start} in {mail}"));
    let link = mail[at..].split_whitespace().next().unwrap_or_default();
    link.strip_prefix(&app.url("")).unwrap_or_default().to_string()
}

async fn ask_reset(browser: &Browser, email: &str) -> Page {
    browser.post(FORGOT, "/forgot-password", &[("email", email)]).await
}

#[sqlx::test]
async fn an_address_is_confirmed_by_a_button_and_once(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.signed_up("ada@example.com").await;
    assert!(browser.get("/wallet").await.html.contains("Confirm your address."), "asks for it");
    let mails = app.mailed("ada@example.com", 1).await;
    let link = link_in(&app, &mails[0], "/verify-email");

    // Whatever follows links for its user changes nothing.
    let page = app.browser().get(&link).await;
    let form = browser.get(&link).await.form(CONFIRM);
    assert!(page.find_form(CONFIRM).is_some());
    assert_eq!(app.number("SELECT count(*) FROM users WHERE email_verified_at IS NOT NULL").await, 0);
    let answer = browser.submit(&form, &link).await;
    assert_eq!((answer.status, answer.location.as_str()), (302, "/verify-email?done=yes"));
    assert!(browser.follow(&answer).await.text().contains("Address confirmed"));
    assert_eq!(app.number("SELECT count(*) FROM users WHERE email_verified_at IS NOT NULL").await, 1);
    assert!(!browser.get("/wallet").await.html.contains("Confirm your address."));

    let again = browser.submit(&form, &link).await;
    assert!(browser.follow(&again).await.text().contains("This link was used already, or is too old."));
    app.stop().await;
}

#[sqlx::test]
async fn a_confirmation_is_sent_again_but_not_without_end(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.signed_up("ada@example.com").await;
    let first = link_in(&app, &app.mailed("ada@example.com", 1).await[0], "/verify-email");
    for _ in 0..5 {
        let form = browser.get("/verify-email").await.form(SEND_CONFIRMATION);
        let answer = browser.submit(&form, "/verify-email").await;
        assert_eq!((answer.status, answer.location.as_str()), (302, "/verify-email?sent=again"));
    }
    let refused = browser.post(SEND_CONFIRMATION, "/verify-email", &[]).await;
    assert!(browser.follow(&refused).await.text().contains("Too many attempts. Try again in 10 minutes."));
    let mails = app.mailed("ada@example.com", 6).await;
    assert_eq!(mails.len(), 6);

    // The last one sent is the one that works.
    let old = browser.submit(&browser.get(&first).await.form(CONFIRM), &first).await;
    assert!(browser.follow(&old).await.text().contains("This link was used already"));
    let last = link_in(&app, &mails[5], "/verify-email");
    let answer = browser.submit(&browser.get(&last).await.form(CONFIRM), &last).await;
    assert_eq!(answer.location, "/verify-email?done=yes");
    app.stop().await;
}

#[sqlx::test]
async fn a_visitor_cannot_have_confirmations_sent(db: PgPool) {
    let app = TestApp::start(db).await;
    let answer = app.browser().post(SEND_CONFIRMATION, "/verify-email", &[]).await;
    assert_eq!((answer.status, answer.location.as_str()), (302, "/sign-in?next=%2Fverify-email"));
    app.stop().await;
}

#[sqlx::test]
async fn a_forgotten_password_is_replaced_by_mail(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.customer("ada@example.com", 0).await;
    let (phone, desk) = (app.browser_of(&ada).await, app.browser_of(&ada).await);
    let visitor = app.browser();
    let form = visitor.get("/forgot-password").await.form(FORGOT).with("email", " Ada@Example.com");
    let answer = visitor.submit(&form, "/forgot-password").await;
    assert_eq!((answer.status, answer.location.as_str()), (302, "/forgot-password?sent=yes"));
    assert!(visitor.follow(&answer).await.text().contains("If an account has that address"));
    let link = link_in(&app, &app.mailed("ada@example.com", 1).await[0], "/reset-password");

    let form = visitor.get(&link).await.form(RESET);
    for (password, says) in [
        ("7 chars", "A password has at least 8 characters."),
        ("password1", "This password is among those that are tried first."),
        ("example.com", "This password is among those that are tried first."),
    ] {
        let refused = visitor.submit(&form.with("password", password), &link).await;
        assert!(visitor.follow(&refused).await.text().contains(says), "{says}");
    }
    assert!(is_member(&phone).await && is_member(&desk).await);
    let answer = visitor.submit(&form.with("password", "a brand new password"), &link).await;
    assert_eq!((answer.status, answer.location.as_str()), (302, "/sign-in?reset=done"));
    assert!(visitor.follow(&answer).await.text().contains("Your password is set."));
    assert!(!is_member(&phone).await && !is_member(&desk).await && !is_member(&visitor).await);

    sign_in(&visitor, "ada@example.com", PASSWORD).await;
    assert!(!is_member(&visitor).await);
    sign_in(&visitor, "ada@example.com", "a brand new password").await;
    assert!(is_member(&visitor).await);
    let again = app.browser();
    let refused = again.submit(&form.with("password", "yet another password"), &link).await;
    assert!(again.follow(&refused).await.text().contains("This link was used already, or is too old."));
    assert!(app.mailed("ada@example.com", 2).await[1].contains("Subject: Your password was changed"));
    app.stop().await;
}

#[sqlx::test]
async fn whoever_asks_for_a_reset_learns_nothing(db: PgPool) {
    let app = TestApp::start(db).await;
    app.customer("ada@example.com", 0).await;
    let mut seen = Vec::new();
    for email in ["ada@example.com", "eve@example.com"] {
        let mut of_this = Vec::new();
        // Until there were too many, which is said to both.
        for _ in 0..6 {
            let browser = app.browser();
            let answer = ask_reset(&browser, email).await;
            let page = browser.follow(&answer).await;
            // How long to wait is in the address of an error, and another second by the next try.
            let location = answer.location.split("__err").next().unwrap_or_default().to_string();
            of_this.push((answer.status, location, page.status, page.words().replace(email, "…")));
        }
        assert!(of_this[5].3.contains("Too many attempts."), "{:?}", of_this[5]);
        seen.push(of_this);
    }
    assert_eq!(seen[0], seen[1]);
    app.mailed("ada@example.com", 5).await;
    assert_eq!(app.number("SELECT count(*) FROM mails").await, 5);
    app.stop().await;
}

#[sqlx::test]
async fn a_reset_link_asked_for_twice_works_from_the_last_mail(db: PgPool) {
    let app = TestApp::start(db).await;
    app.customer("ada@example.com", 0).await;
    let browser = app.browser();
    ask_reset(&browser, "ada@example.com").await;
    app.mailed("ada@example.com", 1).await;
    ask_reset(&browser, "ada@example.com").await;
    let mails = app.mailed("ada@example.com", 2).await;
    let links: Vec<_> = mails.iter().map(|mail| link_in(&app, mail, "/reset-password")).collect();
    for (link, works) in [(&links[0], false), (&links[1], true)] {
        let form = browser.get(link).await.form(RESET).with("password", "a brand new password");
        assert_eq!(browser.submit(&form, link).await.location == "/sign-in?reset=done", works, "{link}");
    }
    app.stop().await;
}

#[sqlx::test]
async fn links_begin_with_the_configured_address_whatever_host_was_asked(db: PgPool) {
    let app = TestApp::start(db).await;
    app.customer("ada@example.com", 0).await;
    let request = http()
        .post(app.url(FORGOT))
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("email=ada%40example.com");
    assert!(request.send().await.expect("an answer").status().is_success());
    let mails = app.mailed("ada@example.com", 1).await;
    assert!(!mails[0].contains("evil.example"), "{}", mails[0]);
    link_in(&app, &mails[0], "/reset-password");
    app.stop().await;
}

#[sqlx::test]
async fn pages_with_a_token_are_stored_nowhere_and_named_to_nobody(db: PgPool) {
    let app = TestApp::start(db).await;
    for path in ["/reset-password?token=abc", "/verify-email?token=abc"] {
        let answer = reqwest::get(app.url(path)).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(
            (&answer.headers()["cache-control"], &answer.headers()["referrer-policy"]),
            (&"no-store".parse().expect("value"), &"same-origin".parse().expect("value"))
        );
    }
    // What is no token of ours is refused without a question to the database.
    let browser = app.browser();
    let form = browser.get("/reset-password?token=abc").await.form(RESET).with("password", "a brand new password");
    let refused = browser.submit(&form, "/reset-password?token=abc").await;
    assert!(browser.follow(&refused).await.text().contains("This link was used already, or is too old."));
    app.stop().await;
}

#[sqlx::test]
async fn a_common_password_is_refused_at_sign_up(db: PgPool) {
    let app = TestApp::start(db).await;
    for password in ["12345678", "iloveyou", "P@ssw0rd", "lovelace1"] {
        let browser = app.browser();
        let fields = [("email", "ada.lovelace@example.com"), ("password", password), ("next", "")];
        let refused = browser.post(SIGN_UP, "/sign-up", &fields).await;
        let page = browser.follow(&refused).await;
        assert!(page.text().contains("This password is among those that are tried first."), "{password}: {}", page.text());
    }
    assert_eq!(app.number("SELECT count(*) FROM users").await, 0);
    app.stop().await;
}

#[sqlx::test]
async fn sign_ups_from_one_place_are_slowed(db: PgPool) {
    let app = TestApp::start(db).await;
    let mut answers = Vec::new();
    for number in 0..102 {
        // Refused in any case, which costs no hashing, and counts.
        let body = format!("email=ada{number}@example.com&password=password1&next=");
        let program = http().post(app.url("/api/accounts/sign_up")).header("sec-fetch-site", "same-origin");
        let program = program.header("content-type", "application/x-www-form-urlencoded").body(body);
        answers.push(program.send().await.expect("an answer").status().as_u16());
    }
    // A hundred at once, and one each 36 s.
    assert!(answers[..100].iter().all(|status| *status == 422), "{answers:?}");
    assert_eq!(answers[101], 429);
    app.stop().await;
}

#[sqlx::test]
async fn guessing_is_slowed_and_says_for_how_long(db: PgPool) {
    let app = TestApp::start(db).await;
    app.customer("ada@example.com", 0).await;
    // Getting in as often as one likes is fine.
    for _ in 0..12 {
        let browser = app.browser();
        sign_in(&browser, "ada@example.com", PASSWORD).await;
        assert!(is_member(&browser).await);
    }
    let mut seen = Vec::new();
    for email in ["ada@example.com", "eve@example.com"] {
        let browser = app.browser();
        for _ in 0..10 {
            let answer = sign_in(&browser, email, "not the password").await;
            assert!(browser.follow(&answer).await.text().contains("E-mail or password is wrong."));
        }
        // Now not even the right one is looked at.
        let answer = sign_in(&browser, email, PASSWORD).await;
        let page = browser.follow(&answer).await;
        assert!(page.text().contains("Too many attempts. Try again in"), "{}", page.text());
        let program = http().post(app.url("/api/accounts/sign_in")).header("sec-fetch-site", "same-origin");
        let program =
            program.header("content-type", "application/x-www-form-urlencoded").body(format!("email={email}&password=not+it+either"));
        seen.push(program.send().await.expect("an answer").status());
    }
    assert_eq!((seen[0].as_u16(), seen[1].as_u16()), (429, 429));
    app.execute("UPDATE attempts SET free_at = free_at - interval '1 minute'").await;
    let browser = app.browser();
    sign_in(&browser, "ada@example.com", PASSWORD).await;
    assert!(is_member(&browser).await);
    app.stop().await;
}
