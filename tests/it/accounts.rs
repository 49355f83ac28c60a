//! Signing up, in and out as a browser without JavaScript does it, and what must not work.

use crate::checkout::{confirm, package};
use crate::support::app::{PASSWORD, TestApp};
use crate::support::browser::{Browser, Page};
use crate::support::client::http;
use sqlx::PgPool;
use toki::operators::accounts::{set_account_suspended, set_user_suspended};
use toki::operators::rights::Operator;

const SIGN_IN: &str = "/api/accounts/sign_in";
const SIGN_UP: &str = "/api/accounts/sign_up";
const SIGN_OUT: &str = "/api/accounts/sign_out";

pub async fn sign_in(browser: &Browser, email: &str, password: &str) -> Page {
    browser.post(SIGN_IN, "/sign-in", &[("email", email), ("password", password), ("next", "")]).await
}

/// Whether the browser is let in to what only members see.
pub async fn is_member(browser: &Browser) -> bool {
    let page = browser.get("/wallet").await;
    match (page.status, page.location.as_str()) {
        (200, "") => true,
        (302, "/sign-in?next=%2Fwallet") => false,
        answer => panic!("neither let in nor sent to sign in: {answer:?}"),
    }
}

#[sqlx::test]
async fn signing_up_makes_an_account_and_opens_it(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser();
    let form = browser.get("/sign-up?next=%2Fkeys").await.form(SIGN_UP).with("email", " Ada@Example.com ").with("password", PASSWORD);
    let answer = browser.submit(&form, "/sign-up").await;
    assert_eq!((answer.status, answer.location.as_str()), (302, "/keys"));
    assert!(is_member(&browser).await);
    assert_eq!(app.text("SELECT email FROM users").await, "ada@example.com");
    assert_eq!(app.number("SELECT count(*) FROM members WHERE role = 'owner'").await, 1);

    // The address is the same one however it is written, and the password is only stored as a hash.
    assert_eq!(sign_in(&app.browser(), "ADA@example.com", PASSWORD).await.location, "/dashboard");
    assert!(app.text("SELECT password_hash FROM users").await.starts_with("$argon2id$"));
    app.stop().await;
}

#[sqlx::test]
async fn a_sign_up_that_is_refused_says_why_and_makes_nothing(db: PgPool) {
    let app = TestApp::start(db).await;
    app.customer("ada@example.com", 0).await;
    for (email, password, says) in [
        ("ada@example.com", PASSWORD, "This address cannot be used to sign up."),
        ("bob@example.com", "7 chars", "A password has at least 8 characters."),
        ("bob@example.com", "", "Enter a password."),
        ("bob", PASSWORD, "Enter an e-mail address like name@example.com."),
        ("", PASSWORD, "Enter your e-mail address."),
    ] {
        let browser = app.browser();
        let answer = browser.post(SIGN_UP, "/sign-up", &[("email", email), ("password", password), ("next", "")]).await;
        assert_eq!(answer.status, 302);
        let page = browser.follow(&answer).await;
        assert!(page.text().contains(says), "{says}: {}", page.text());
        assert!(!is_member(&browser).await);
    }
    assert_eq!(app.number("SELECT count(*) FROM users").await, 1);
    app.stop().await;
}

#[sqlx::test]
async fn a_wrong_password_and_an_unknown_address_get_the_same_answer(db: PgPool) {
    let app = TestApp::start(db).await;
    app.customer("ada@example.com", 0).await;
    let attempts = [("ada@example.com", "not the password"), ("eve@example.com", PASSWORD), ("ada@example.com", "short")];
    let mut seen = Vec::new();
    for (email, password) in attempts {
        let browser = app.browser();
        let answer = sign_in(&browser, email, password).await;
        let page = browser.follow(&answer).await;
        assert!(page.text().contains("E-mail or password is wrong."), "{}", page.text());
        assert!(!is_member(&browser).await);

        let body = [("email", email), ("password", password)];
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(body).finish();
        let request = http().post(app.url(SIGN_IN)).header("accept", "application/json").body(body);
        let request = request.header("sec-fetch-site", "same-origin");
        let program = request.header("content-type", "application/x-www-form-urlencoded").send().await.expect("an answer");
        assert_eq!(program.status(), 401);
        // The address comes back to whoever typed it, and that is all the difference.
        let text = page.text().replace(email, "…");
        seen.push((answer.status, answer.location, page.status, text, program.text().await.expect("a body")));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
    app.stop().await;
}

#[sqlx::test]
async fn a_form_that_failed_shows_the_typed_address_and_no_address_bar_does(db: PgPool) {
    let app = TestApp::start(db).await;
    app.customer("ada@example.com", 0).await;
    for (path, action, email, shown) in [
        ("/sign-in", SIGN_IN, "ada@example.com", "value=\"ada@example.com\""),
        ("/sign-up", SIGN_UP, "ada@example.com", "value=\"ada@example.com\""),
        ("/sign-in", SIGN_IN, "\"></script><b>@example.com", "value=\"&quot;&gt;&lt;/script&gt;&lt;b&gt;@example.com\""),
    ] {
        let browser = app.browser();
        let answer = browser.post(action, path, &[("email", email), ("password", "not the password"), ("next", "")]).await;
        assert!(!answer.location.contains("example.com"), "{}", answer.location);
        let minutes = "SELECT ceil(extract(epoch FROM expires_at - now()) / 60)::bigint FROM sessions";
        assert_eq!(app.number(minutes).await, 10, "a visitor's session is not kept for long");
        let page = browser.follow(&answer).await;
        assert!(page.html.contains(shown), "{}", page.html);
        assert!(!page.html.contains("not the password") && !page.html.contains("</script><b>"), "{}", page.html);
        assert!(!browser.get(path).await.html.contains("@example.com\""), "not where the form is opened anew");
        app.execute("DELETE FROM sessions").await;
    }
    app.stop().await;
}

#[sqlx::test]
async fn signing_out_ends_the_session_for_whoever_has_its_cookie(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let thief = app.browser_with_cookie(&browser.cookie());
    assert!(is_member(&thief).await);

    let form = browser.get("/wallet").await.form(SIGN_OUT);
    let answer = browser.submit(&form, "/wallet").await;
    assert_eq!((answer.status, answer.location.as_str()), (302, "/"));
    assert!(!is_member(&browser).await);
    assert!(!is_member(&thief).await);
    assert_eq!(app.number("SELECT count(*) FROM sessions").await, 0);
    app.stop().await;
}

#[sqlx::test]
async fn every_sign_in_has_a_session_id_of_its_own(db: PgPool) {
    let app = TestApp::start(db).await;
    app.customer("ada@example.com", 0).await;
    let browser = app.browser();
    // A session from before the sign-in, as somebody might plant it.
    sign_in(&browser, "eve@example.com", "not the password").await;
    let planted = browser.cookie();
    sign_in(&browser, "ada@example.com", PASSWORD).await;
    let first = browser.cookie();
    sign_in(&browser, "ada@example.com", PASSWORD).await;
    assert!(planted != first && first != browser.cookie() && planted != browser.cookie());

    assert!(is_member(&browser).await);
    for old in [planted, first] {
        assert!(!is_member(&app.browser_with_cookie(&old)).await);
    }
    assert_eq!(app.number("SELECT count(*) FROM sessions").await, 1);
    assert_eq!(app.number("SELECT count(*) FROM sessions WHERE data::text LIKE '%eve@%'").await, 0, "nor does it inherit anything");
    app.stop().await;
}

#[sqlx::test]
async fn next_leads_to_our_own_paths_only(db: PgPool) {
    let app = TestApp::start(db).await;
    app.customer("ada@example.com", 0).await;
    for (next, leads_to) in [
        ("/usage?from=2026-01-01", "/usage?from=2026-01-01"),
        ("//evil.example", "/dashboard"),
        ("https://evil.example", "/dashboard"),
        ("/\\evil.example", "/dashboard"),
        ("%2F%2Fevil.example", "/dashboard"),
        ("/\t/evil.example", "/dashboard"),
        ("/\r\nLocation: https://evil.example", "/dashboard"),
        ("javascript:alert(1)", "/dashboard"),
        ("/api/accounts/sign_out", "/dashboard"),
        ("", "/dashboard"),
    ] {
        let browser = app.browser();
        let path = format!("/sign-in?next={}", url::form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>());
        let form = browser.get(&path).await.form(SIGN_IN).with("email", "ada@example.com").with("password", PASSWORD);
        let answer = browser.submit(&form, &path).await;
        assert_eq!((answer.status, answer.location.as_str()), (302, leads_to), "{next:?} of the form");
        // Whoever is signed in already is sent on at once.
        let skipped = browser.get(&path).await;
        assert_eq!((skipped.status, skipped.location.as_str()), (302, leads_to), "{next:?} of the address");
    }
    app.stop().await;
}

#[sqlx::test]
async fn a_suspended_user_is_out_and_looks_like_a_wrong_password(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.customer("ada@example.com", 0).await;
    let browser = app.browser_of(&ada).await;
    let suspend = async |suspended: bool| {
        set_user_suspended(&app.state.db, Operator::command_line(), ada.user_id, suspended).await.expect("done");
    };
    suspend(true).await;
    assert!(!is_member(&browser).await);
    let again = app.browser();
    let answer = sign_in(&again, "ada@example.com", PASSWORD).await;
    assert!(again.follow(&answer).await.text().contains("E-mail or password is wrong."));
    assert!(!is_member(&again).await);
    suspend(false).await;
    assert!(!is_member(&browser).await && !is_member(&again).await, "what has ended stays so");
    sign_in(&again, "ada@example.com", PASSWORD).await;
    assert!(is_member(&again).await);
    app.stop().await;
}

#[sqlx::test]
async fn a_suspended_account_is_signed_out_and_may_look_but_not_buy(db: PgPool) {
    let app = TestApp::start(db).await;
    let package_id = package(&app, "Starter", None).await;
    let ada = app.customer("ada@example.com", 1_000).await;
    let browser = app.browser_of(&ada).await;
    set_account_suspended(&app.state.db, Operator::command_line(), ada.account_id, true).await.expect("suspended");
    assert!(!is_member(&browser).await);

    let browser = app.browser_of(&ada).await;
    assert!(browser.get("/wallet").await.text().contains("1,000"));
    let refused = confirm(&browser, package_id).await;
    let page = browser.follow(&refused).await;
    assert!(page.text().contains("This account is suspended. Nothing was charged"), "{}", page.text());
    assert_eq!(app.number("SELECT count(*) FROM orders").await, 0);
    app.stop().await;
}

#[sqlx::test]
async fn a_post_from_another_site_does_nothing(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let fields = [("email", "bob@example.com"), ("password", PASSWORD), ("name", "bot"), ("supplier", "all"), ("status", "enabled")];
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    for path in [SIGN_UP, SIGN_IN, SIGN_OUT, "/api/keys/create"] {
        // Browsers of today say where a post comes from; older ones name the origin only.
        for (header, value) in
            [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.example"), ("origin", "null")]
        {
            let request = http().post(app.url(path)).header("cookie", browser.cookie()).header(header, value);
            let request = request.header("content-type", "application/x-www-form-urlencoded").body(body.clone());
            assert_eq!(request.send().await.expect("an answer").status(), 403, "{path} {header}: {value}");
        }
    }
    assert!(is_member(&browser).await, "still signed in");
    assert_eq!(app.number("SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM api_keys)").await, 1);
    app.stop().await;
}
