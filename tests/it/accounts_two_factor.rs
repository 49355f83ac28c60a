//! Two-factor as a browser without JavaScript sets it up, and what signing in takes afterwards.

use crate::accounts::{is_member, sign_in};
use crate::support::app::{PASSWORD, TestApp};
use crate::support::browser::{Browser, Page};
use crate::support::toki::Toki;
use sqlx::PgPool;
use toki::accounts::types::{Email, Password};
use toki::operators::accounts::create_account;
use toki::operators::rights::Operator;
use toki::server::config::Environment;
use totp_rs::{Builder, Secret};

const SIGN_IN_CODE: &str = "/api/accounts/sign_in_code";
const BEGIN: &str = "/api/accounts/begin_two_factor";
const CONFIRM: &str = "/api/accounts/confirm_two_factor";
const RENEW: &str = "/api/accounts/renew_recovery_codes";
const TURN_OFF: &str = "/api/accounts/turn_off_two_factor";
const PAGE: &str = "/settings/two-factor";

/// What the phone of a test shows.
pub struct Authenticator(pub String);

impl Authenticator {
    pub fn code(&self) -> String {
        let secret = Secret::try_from_base32(&self.0).expect("base32");
        let now = u64::try_from(chrono::Utc::now().timestamp()).expect("after 1970");
        Builder::new().with_secret(secret).build().expect("a seed of 160 bits").generate(now).to_string()
    }
}

/// Submits a form of the page; the page that it leads to.
async fn submit(browser: &Browser, action: &str, field: &str, value: &str) -> Page {
    let form = browser.get(PAGE).await.form(action).with(field, value);
    let answer = browser.submit(&form, PAGE).await;
    assert_eq!(answer.status, 302, "{}", answer.html);
    browser.follow(&answer).await
}

/// The recovery codes that a page shows.
fn codes_in(page: &Page) -> Vec<String> {
    let list = page.html.split("<ol class=\"recovery-codes").nth(1).and_then(|rest| rest.split("</ol>").next()).unwrap_or_default();
    list.split("<li>").skip(1).filter_map(|code| code.split('<').next()).map(str::to_string).collect()
}

/// Sets two-factor up; the authenticator and the recovery codes.
pub async fn turn_on(browser: &Browser) -> (Authenticator, Vec<String>) {
    let mut page = browser.get(PAGE).await;
    if page.find_form(BEGIN).is_some() {
        page = submit(browser, BEGIN, "current", PASSWORD).await;
    }
    let secret = page.html.split("id=\"totp-secret\"").nth(1).and_then(|rest| rest.split(['>', '<']).nth(1)).expect("a secret");
    let authenticator = Authenticator(secret.replace(' ', ""));
    let page = submit(browser, CONFIRM, "code", &authenticator.code()).await;
    (authenticator, recovery_codes_on(&page))
}

/// The recovery codes of a page that shows them, this once.
pub fn recovery_codes_on(page: &Page) -> Vec<String> {
    let codes = codes_in(page);
    assert_eq!(codes.len(), 10, "{}", page.html);
    codes
}

/// As if the last code had been given an hour ago.
async fn wait(app: &TestApp) {
    app.execute("UPDATE two_factors SET last_step = last_step - 120").await;
}

async fn give(browser: &Browser, code: &str) -> Page {
    browser.post(SIGN_IN_CODE, "/sign-in/code", &[("code", code)]).await
}

#[sqlx::test]
async fn two_factor_is_set_up_and_asked_for(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    assert!(browser.get("/settings").await.text().contains("Set up two-factor"));
    let page = submit(&browser, BEGIN, "current", "not the password").await;
    assert!(page.text().contains("This is not your current password."), "{}", page.text());
    let page = submit(&browser, BEGIN, "current", PASSWORD).await;
    assert!(page.html.contains("class=\"qr\"") && !page.html.contains(" style="), "{}", page.html);
    let page = submit(&browser, CONFIRM, "code", "000000").await;
    assert!(page.text().contains("This code is wrong"), "{}", page.text());

    // Until it is confirmed the password is enough.
    assert_eq!(sign_in(&app.browser(), "ada@example.com", PASSWORD).await.location, "/dashboard");
    let (phone, codes) = turn_on(&browser).await;
    let page = browser.get(PAGE).await;
    assert!(!page.html.contains(&codes[0]) && page.text().contains("You have 10 recovery codes left."), "shown once: {}", page.text());
    assert!(app.mailed("ada@example.com", 1).await[0].contains("Subject: Two-factor is on"));
    assert!(!app.text("SELECT string_agg(data::text, ' ') FROM sessions").await.contains(&codes[0]));

    wait(&app).await;
    let other = app.browser();
    let form = other.get("/sign-in?next=%2Fkeys").await.form("/api/accounts/sign_in");
    let answer = other.submit(&form.with("email", "ada@example.com").with("password", PASSWORD), "/sign-in").await;
    assert_eq!(answer.location, "/sign-in/code");
    let half = other.cookie();
    assert!(!is_member(&other).await, "the password alone opens nothing");
    assert!(other.get("/settings").await.location.starts_with("/sign-in"));
    assert!(!browser.get("/settings").await.words().contains("Unknown device Unknown"), "nor is it a session of the list");
    for wrong in ["000000", "", "aaaa-aaaa-aaaa"] {
        let answer = give(&other, wrong).await;
        assert!(answer.location.contains("__err="), "{}", answer.location);
    }
    assert!(other.get("/sign-in/code").await.find_form(SIGN_IN_CODE).is_some());
    let answer = give(&other, &format!(" {} ", phone.code())).await;
    assert_eq!((answer.status, answer.location.as_str()), (302, "/keys"));
    assert!(is_member(&other).await);
    assert!(!is_member(&app.browser_with_cookie(&half)).await, "a new id");
    assert_eq!(other.get("/sign-in/code").await.location, "/dashboard");

    // The same code, looked at over a shoulder.
    let thief = app.browser();
    sign_in(&thief, "ada@example.com", PASSWORD).await;
    give(&thief, &phone.code()).await;
    assert!(!is_member(&thief).await);
    app.stop().await;
}

#[sqlx::test]
async fn a_recovery_code_signs_in_once(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let (_, codes) = turn_on(&browser).await;
    for (times, lets_in) in [(1, true), (2, false)] {
        let other = app.browser();
        sign_in(&other, "ada@example.com", PASSWORD).await;
        give(&other, &codes[3].to_uppercase()).await;
        assert_eq!(is_member(&other).await, lets_in, "{times}");
    }
    assert!(app.mailed("ada@example.com", 2).await[1].contains("Subject: A recovery code was used"));
    assert!(browser.get(PAGE).await.text().contains("You have 9 recovery codes left."));
    let page = submit(&browser, RENEW, "renew_password", PASSWORD).await;
    assert!(page.text().contains("You have new recovery codes.") && page.text().contains("You have 10 recovery codes left."));
    let other = app.browser();
    sign_in(&other, "ada@example.com", PASSWORD).await;
    give(&other, &codes[4]).await;
    assert!(!is_member(&other).await, "the ones before work no longer");
    app.stop().await;
}

#[sqlx::test]
async fn new_recovery_codes_wait_for_whoever_sees_them(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    turn_on(&browser).await;
    let form = browser.get(PAGE).await.form(RENEW).with("renew_password", PASSWORD);
    assert_eq!(browser.submit(&form, PAGE).await.status, 302);
    for look in [browser.get_part(PAGE).await, browser.head(PAGE).await] {
        assert_eq!((look.status, codes_in(&look).len()), (200, 0), "{}", look.html);
    }
    let page = browser.get(PAGE).await;
    assert!(codes_in(&page).len() == 10 && page.text().contains("You have new recovery codes."), "{}", page.text());
    let page = browser.get(PAGE).await;
    assert!(codes_in(&page).is_empty() && !page.text().contains("You have new recovery codes."), "{}", page.text());
    app.stop().await;
}

#[sqlx::test]
async fn half_a_sign_in_is_soon_over_and_ends_with_the_password(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let (phone, codes) = turn_on(&browser).await;
    wait(&app).await;
    let late = app.browser();
    sign_in(&late, "ada@example.com", PASSWORD).await;
    app.execute("UPDATE sessions SET data = jsonb_set(data, '{half_signed_in,until}', '0') WHERE data ? 'half_signed_in'").await;
    assert_eq!(late.get("/sign-in/code").await.location, "/sign-in");
    assert_eq!(give(&late, &phone.code()).await.location, "/sign-in");
    assert!(!is_member(&late).await);

    let half = app.browser();
    sign_in(&half, "ada@example.com", PASSWORD).await;
    let fields = [("current", PASSWORD), ("password", "a brand new password")];
    browser.post("/api/accounts/change_password", "/settings", &fields).await;
    give(&half, &codes[0]).await;
    assert!(!is_member(&half).await && is_member(&browser).await);
    // Nobody who gave no password is asked for a code.
    assert_eq!(app.browser().get("/sign-in/code").await.location, "/sign-in");
    assert_eq!(give(&app.browser(), &codes[0]).await.location, "/sign-in");
    app.stop().await;
}

#[sqlx::test]
async fn tries_at_the_code_are_counted(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let (_, codes) = turn_on(&browser).await;
    let thief = app.browser();
    sign_in(&thief, "ada@example.com", PASSWORD).await;
    for _ in 0..10 {
        give(&thief, "000000").await;
    }
    let answer = give(&thief, &codes[0]).await;
    assert!(thief.follow(&answer).await.text().contains("Too many attempts."));
    assert!(!is_member(&thief).await);
    app.stop().await;
}

#[sqlx::test]
async fn it_is_turned_off_by_whoever_proves_who_they_are(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let (phone, _) = turn_on(&browser).await;
    for wrong in ["not the password", "000000", ""] {
        let page = submit(&browser, TURN_OFF, "off_password", wrong).await;
        assert!(page.text().contains("This is neither your password nor a code that works now."), "{}", page.text());
    }
    wait(&app).await;
    let page = submit(&browser, TURN_OFF, "off_password", &phone.code()).await;
    assert!(page.text().contains("Two-factor is off."), "{}", page.text());
    assert_eq!(sign_in(&app.browser(), "ada@example.com", PASSWORD).await.location, "/dashboard");
    assert!(app.mailed("ada@example.com", 2).await[1].contains("Subject: Two-factor is off"));
    app.stop().await;
}

#[sqlx::test]
async fn an_operator_of_a_production_server_sets_it_up_first(db: PgPool) {
    let app = TestApp::start_with(db, |config| config.environment = Environment::Production).await;
    let email = Email::parse("op@example.com").expect("an address");
    let password = Password::parse(PASSWORD.into()).expect("a password");
    let made = create_account(&app.state.db, Operator::command_line(), &email, password, true).await.expect("an operator");
    let browser = app.browser_of(&made).await;
    for path in ["/dashboard", "/settings", "/keys", "/wallet", "/usage", "/orders"] {
        let page = browser.get(path).await;
        assert_eq!((page.status, page.location.as_str()), (302, PAGE), "{path}");
    }
    let answer = browser.post("/api/accounts/end_other_sessions", "/settings", &[]).await;
    assert_eq!((answer.status, answer.location.as_str()), (302, PAGE));
    assert!(browser.get(PAGE).await.text().contains("Operators sign in with a second factor."));
    turn_on(&browser).await;
    assert_eq!(browser.get("/settings").await.status, 200);
    // Customers are free to go without.
    assert!(is_member(&app.browser_of(&app.customer("ada@example.com", 0).await).await).await);
    app.stop().await;
}

#[sqlx::test]
async fn an_operator_helps_whoever_lost_everything(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    turn_on(&browser).await;
    let toki = Toki::new(&app.state.db);
    let reset = ["account", "reset-two-factor", "--email", "ada@example.com", "--reason", "called from the known number"];
    assert_eq!(toki.json(&reset)["two_factor"], false);
    assert!(!is_member(&browser).await, "whoever has a session of theirs is out too");
    assert_eq!(sign_in(&app.browser(), "ada@example.com", PASSWORD).await.location, "/dashboard");
    assert_eq!(
        app.text("SELECT reason FROM operator_actions WHERE action = 'user.reset_two_factor'").await,
        "called from the known number"
    );
    assert!(toki.refusal(&reset).contains("this user has no second factor"));
    assert_eq!(app.number("SELECT count(*) FROM mails WHERE kind = 'two_factor_reset'").await, 1);
    app.stop().await;
}
