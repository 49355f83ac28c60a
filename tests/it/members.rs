//! An account of several people as browsers without JavaScript see it: inviting, joining, roles, leaving.

use crate::accounts::is_member;
use crate::accounts_mail::link_in;
use crate::support::app::{PASSWORD, TestApp};
use crate::support::browser::{Browser, Page};
use sqlx::PgPool;

pub const PAGE: &str = "/settings/members";
const INVITE: &str = "/api/members/invite";
pub const ACCEPT: &str = "/api/members/accept";
const SIGN_UP: &str = "/api/members/sign_up";

/// Invites an address; the link in its mail.
pub async fn invite(app: &TestApp, browser: &Browser, email: &str, role: &str, mails: usize) -> String {
    let answer = browser.post(INVITE, PAGE, &[("email", email), ("role", role)]).await;
    assert_eq!(browser.path_of(&answer), PAGE, "{}", answer.location);
    link_in(app, &app.mailed(email, mails).await[mails - 1], "/invitation")
}

async fn create_key(browser: &Browser, name: &str) -> Page {
    let page = browser.get("/keys").await;
    let form_key = if page.html.contains("form_key") { page.hidden("form_key") } else { uuid::Uuid::now_v7().to_string() };
    let fields = [("form_key", form_key.as_str()), ("name", name), ("supplier", "all"), ("status", "enabled")];
    browser.post("/api/keys/create", "/keys", &fields).await
}

pub async fn user_id(app: &TestApp, email: &str) -> String {
    sqlx::query_scalar("SELECT user_id::text FROM users WHERE email = $1").bind(email).fetch_one(&app.state.db).await.expect("a user")
}

#[sqlx::test]
async fn somebody_new_signs_up_from_an_invitation(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.browser_of(&app.customer("ada@example.com", 5_000).await).await;
    let link = invite(&app, &ada, "bob@example.com", "member", 1).await;
    assert!(ada.get(PAGE).await.text().contains("bob@example.com Member, invited by ada@example.com. The link works until"));
    let bob = app.browser();
    let page = bob.get(&link).await;
    assert!(
        page.text().contains("ada@example.com invites you to the account “ada@example.com”. Your role in it: Member"),
        "{}",
        page.text()
    );
    let answer = bob.submit(&page.form(SIGN_UP).with("password", "four words that rhyme"), &link).await;
    assert_eq!(answer.location, "/dashboard");
    assert!(is_member(&bob).await);
    // He acts for Ada's account, and can switch to his own.
    assert!(bob.get("/wallet").await.html.contains("5,000"));
    let own = bob.get("/wallet").await;
    let form = own.form("/api/accounts/switch");
    let account: String = sqlx::query_scalar("SELECT account_id::text FROM accounts WHERE name = 'bob@example.com'")
        .fetch_one(&app.state.db)
        .await
        .expect("his own");
    let answer = bob.post(&form.action, "/wallet", &[("account_id", account.as_str())]).await;
    assert_eq!(answer.location, "/dashboard");
    assert!(!bob.get("/wallet").await.html.contains("5,000"));
    // Nobody switches to what is not theirs.
    let foreign = app.text("SELECT account_id::text FROM accounts WHERE name = 'ada@example.com'").await;
    let eve = app.browser_of(&app.customer("eve@example.com", 0).await).await;
    let answer = eve.post("/api/accounts/switch", "/wallet", &[("account_id", foreign.as_str())]).await;
    assert!(answer.location.contains("__err="), "{}", answer.location);
    assert!(bob.get(&link).await.text().contains("This link was used already"));
    app.stop().await;
}

#[sqlx::test]
async fn a_user_joins_with_the_invited_address_and_no_other(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let bob = app.browser_of(&app.customer("bob@example.com", 0).await).await;
    let eve = app.browser_of(&app.customer("eve@example.com", 0).await).await;
    let link = invite(&app, &ada, "bob@example.com", "admin", 1).await;
    assert!(eve.get(&link).await.text().contains("You are signed in as eve@example.com."));
    let token = link.split("token=").nth(1).expect("a token").to_string();
    let answer = eve.post(ACCEPT, &link, &[("token", token.as_str())]).await;
    assert!(answer.location.contains("__err="), "{}", answer.location);
    assert!(app.browser().get(&link).await.text().contains("Sign in as bob@example.com"));
    let answer = bob.submit(&bob.get(&link).await.form(ACCEPT), &link).await;
    assert_eq!(answer.location, "/dashboard");
    assert!(bob.get(PAGE).await.text().contains("bob@example.com (you)"));
    assert_eq!(
        app.text("SELECT string_agg(kind, ' ' ORDER BY entry_id) FROM journal WHERE kind LIKE 'member.%'").await,
        "member.invited member.joined"
    );
    app.stop().await;
}

#[sqlx::test]
async fn roles_decide_what_each_may_do(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let bob = app.browser_of(&app.customer("bob@example.com", 0).await).await;
    let link = invite(&app, &ada, "bob@example.com", "read_only", 1).await;
    bob.submit(&bob.get(&link).await.form(ACCEPT), &link).await;
    let of_ada = create_key(&ada, "of ada").await;
    let of_ada = ada.path_of(&of_ada).to_string();
    let ada_key = of_ada.trim_start_matches("/keys/");

    // Read-only: sees the key, has no forms, and is refused.
    let page = bob.get(&of_ada).await;
    assert!(page.text().contains("of ada") && page.find_form("/api/keys/update").is_none() && page.find_form("/api/keys/delete").is_none());
    let list = bob.get("/keys").await;
    assert!(list.find_form("/api/keys/create").is_none() && list.find_form("/api/keys/delete").is_none());
    assert!(list.text().contains("Look") && list.text().contains("Failed calls of this key"), "{}", list.text());
    assert!(create_key(&bob, "of bob").await.location.contains("__err="));
    for (action, fields) in [
        ("/api/keys/delete", vec![("key_id", ada_key)]),
        ("/api/keys/rotate", vec![("key_id", ada_key), ("grace", "0")]),
        (INVITE, vec![("email", "eve@example.com"), ("role", "admin")]),
        ("/api/members/set_role", vec![("user_id", ada_key), ("role", "admin")]),
        ("/api/codes/redeem", vec![("code", "x")]),
    ] {
        let answer = bob.post(action, PAGE, &fields).await;
        assert!(answer.location.contains("__err="), "{action}: {}", answer.location);
    }
    // A member makes keys and edits their own.
    let bob_id = user_id(&app, "bob@example.com").await;
    ada.post("/api/members/set_role", PAGE, &[("user_id", bob_id.as_str()), ("role", "member")]).await;
    let of_bob = create_key(&bob, "of bob").await;
    let of_bob = bob.path_of(&of_bob).to_string();
    assert!(bob.get(&of_bob).await.find_form("/api/keys/update").is_some());
    let answer = bob.post("/api/keys/set-status", &of_ada, &[("key_id", ada_key), ("status", "disabled")]).await;
    assert!(bob.get(bob.path_of(&answer)).await.text().contains("Your role in this account does not allow this."));
    assert_eq!(app.number("SELECT count(*) FROM api_keys WHERE status = 'enabled'").await, 2);
    // An admin edits all.
    ada.post("/api/members/set_role", PAGE, &[("user_id", bob_id.as_str()), ("role", "admin")]).await;
    bob.post("/api/keys/set-status", &of_ada, &[("key_id", ada_key), ("status", "disabled")]).await;
    assert_eq!(app.number("SELECT count(*) FROM api_keys WHERE status = 'enabled'").await, 1);
    // The owner's alone.
    let ada_id = user_id(&app, "ada@example.com").await;
    let answer = bob.post("/api/members/hand_over", PAGE, &[("user_id", ada_id.as_str()), ("owner_password", PASSWORD)]).await;
    assert!(answer.location.contains("__err="), "{}", answer.location);
    app.stop().await;
}

#[sqlx::test]
async fn whoever_is_removed_is_out_and_their_keys_are_given_up(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    for (number, (email, keys)) in [("bob@example.com", "disable"), ("eve@example.com", "hand_over")].into_iter().enumerate() {
        let browser = app.browser_of(&app.customer(email, 0).await).await;
        let link = invite(&app, &ada, email, "member", 1).await;
        browser.submit(&browser.get(&link).await.form(ACCEPT), &link).await;
        create_key(&browser, &format!("number {number}")).await;
        let id = user_id(&app, email).await;
        let answer = ada.post("/api/members/remove", PAGE, &[("user_id", id.as_str()), ("keys", keys)]).await;
        assert_eq!(ada.path_of(&answer), PAGE, "{}", answer.location);
        assert!(!is_member(&browser).await, "the session acted for the account");
        let again = app.browser();
        crate::accounts::sign_in(&again, email, PASSWORD).await;
        assert!(again.get("/keys").await.text().contains("No key yet"), "they have their own account still");
    }
    assert_eq!(app.text("SELECT status FROM api_keys WHERE name = 'number 0'").await, "disabled");
    assert_eq!(
        app.text("SELECT k.status || ' ' || u.email FROM api_keys k JOIN users u ON u.user_id = k.created_by WHERE name = 'number 1'")
            .await,
        "enabled ada@example.com"
    );
    // Whoever has it now did not make it.
    let key = app.text("SELECT key_id::text FROM api_keys WHERE name = 'number 1'").await;
    let (list, page) = (ada.get("/keys").await.text(), ada.get(&format!("/keys/{key}")).await.text());
    assert!(list.contains("belongs to ada@example.com") && !list.contains("belongs to bob@example.com"), "{list}");
    assert!(page.contains("Belongs to") && !page.contains("by ada@example.com"), "{page}");
    assert!(app.mailed("bob@example.com", 2).await[1].contains("Subject: You belong to an account no longer"));
    app.stop().await;
}

/// Where the link of an invitation leads: its page, as a visitor sees it.
async fn opened(app: &TestApp, link: &str) -> String {
    app.browser().get(link).await.text()
}

#[sqlx::test]
async fn an_invitation_is_sent_again_and_taken_back(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let first = invite(&app, &ada, "bob@example.com", "member", 1).await;
    assert!(opened(&app, &first).await.contains("Choose a password, with which you sign in as bob@example.com."));
    let page = ada.get(PAGE).await;
    let again = page.form(INVITE);
    assert!(again.fields.contains(&("email".into(), "bob@example.com".into())), "{:?}", again.fields);
    let answer = ada.submit(&again, PAGE).await;
    assert!(ada.follow(&answer).await.text().contains("The invitation is on its way."));
    let second = link_in(&app, &app.mailed("bob@example.com", 2).await[1], "/invitation");
    assert!(opened(&app, &first).await.contains("This link was used already, or is too old."), "one link at a time");
    assert!(opened(&app, &second).await.contains("Your role in it: Member"));
    assert_eq!(app.number("SELECT count(*) FROM invitations").await, 1);
    let stored = app.text("SELECT string_agg(i::text, '') FROM invitations i").await;
    assert!(!stored.contains(second.split("token=").nth(1).expect("a token")), "stored is a hash");

    // Another account's admin takes back nothing of it.
    let eve = app.browser_of(&app.customer("eve@example.com", 0).await).await;
    let take_back = page.form("/api/members/revoke_invitation");
    assert!(eve.submit(&take_back, PAGE).await.location.contains("__err="));
    let answer = ada.submit(&take_back, PAGE).await;
    assert!(ada.follow(&answer).await.text().contains("The invitation is taken back."));
    assert!(opened(&app, &second).await.contains("This link was used already, or is too old."));
    assert!(ada.submit(&take_back, PAGE).await.location.contains("__err="), "once");
    app.stop().await;
}

#[sqlx::test]
async fn an_invitation_ends_after_seven_days(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let bob = app.browser_of(&app.customer("bob@example.com", 0).await).await;
    let (known, new) = (invite(&app, &ada, "bob@example.com", "member", 1).await, invite(&app, &ada, "eve@example.com", "member", 1).await);
    let (accept, sign_up) = (bob.get(&known).await.form(ACCEPT), app.browser().get(&new).await.form(SIGN_UP));
    assert_eq!(app.number("SELECT count(*) FROM invitations WHERE expires_at - created_at = interval '7 days'").await, 2);
    app.execute("UPDATE invitations SET expires_at = now()").await;
    for link in [&known, &new] {
        assert!(bob.get(link).await.text().contains("This link was used already, or is too old."));
    }
    assert!(bob.submit(&accept, &known).await.location.contains("__err="));
    assert!(app.browser().submit(&sign_up.with("password", "four words that rhyme"), &new).await.location.contains("__err="));
    assert_eq!(app.number("SELECT count(*) FROM members").await, 2);
    assert_eq!(app.number("SELECT count(*) FROM users").await, 2, "nobody signed up");
    assert!(!ada.get(PAGE).await.text().contains("eve@example.com"), "they are invited no longer");
    app.stop().await;
}

#[sqlx::test]
async fn bad_forms_are_told_what_is_wrong(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    for (email, role, says) in [
        ("ada@example.com", "member", "This address belongs to the account already."),
        ("no address", "member", "Enter an e-mail address"),
        ("bob@example.com", "owner", "Choose a role from the list."),
        ("bob@example.com", "", "Choose a role from the list."),
    ] {
        let answer = ada.post(INVITE, PAGE, &[("email", email), ("role", role)]).await;
        let page = ada.follow(&answer).await;
        assert!(page.text().contains(says), "{says}: {}", page.text());
        assert!(page.html.contains(&format!("value=\"{email}\"")), "what was typed is still there");
    }
    let ada_id = user_id(&app, "ada@example.com").await;
    for (action, fields) in [
        ("/api/members/set_role", vec![("user_id", ada_id.as_str()), ("role", "member")]),
        ("/api/members/remove", vec![("user_id", ada_id.as_str()), ("keys", "disable")]),
    ] {
        let answer = ada.post(action, PAGE, &fields).await;
        assert!(ada.follow(&answer).await.text().contains("The owner of an account stays until they hand it over."), "{action}");
    }
    app.stop().await;
}

#[sqlx::test]
async fn an_account_is_handed_over_with_the_password(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    assert!(ada.get(PAGE).await.find_form("/api/members/hand_over").is_none(), "nobody is there to have it");
    let bob = app.browser_of(&app.customer("bob@example.com", 0).await).await;
    let link = invite(&app, &ada, "bob@example.com", "read_only", 1).await;
    bob.submit(&bob.get(&link).await.form(ACCEPT), &link).await;
    let bob_id = user_id(&app, "bob@example.com").await;
    let hand_over = async |password: &str| {
        let answer = ada.post("/api/members/hand_over", PAGE, &[("user_id", bob_id.as_str()), ("owner_password", password)]).await;
        ada.follow(&answer).await.text()
    };
    assert!(hand_over("not the password").await.contains("This is not your current password. Nothing was changed."));
    assert!(hand_over(PASSWORD).await.contains("The account is handed over. You are an admin of it."));
    assert!(ada.get(PAGE).await.find_form("/api/members/hand_over").is_none());
    assert!(bob.get(PAGE).await.find_form("/api/members/hand_over").is_some());
    assert!(app.mailed("bob@example.com", 2).await[1].contains("Subject: You own an account now"));
    assert!(app.mailed("ada@example.com", 1).await[0].contains("Subject: You handed an account over"));
    app.stop().await;
}

#[sqlx::test]
async fn only_the_sessions_that_act_for_the_account_end(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.browser_of(&app.customer("ada@example.com", 5_000).await).await;
    let account = app.customer("bob@example.com", 0).await;
    let own = account.account_id.to_string();
    let (here, there) = (app.browser_of(&account).await, app.browser_of(&account).await);
    assert!(here.get("/wallet").await.find_form("/api/accounts/switch").is_none(), "nothing to switch to");
    let link = invite(&app, &ada, "bob@example.com", "member", 1).await;
    here.submit(&here.get(&link).await.form(ACCEPT), &link).await;
    assert!(here.get("/wallet").await.html.contains("5,000") && !there.get("/wallet").await.html.contains("5,000"), "each for its own");

    // Who signs in anew acts for the account that was chosen last.
    let anew = app.browser_of(&account).await;
    assert!(anew.get("/wallet").await.html.contains("5,000"));
    anew.post("/api/accounts/switch", "/wallet", &[("account_id", own.as_str())]).await;
    assert!(!app.browser_of(&account).await.get("/wallet").await.html.contains("5,000"));

    let bob_id = user_id(&app, "bob@example.com").await;
    ada.post("/api/members/remove", PAGE, &[("user_id", bob_id.as_str()), ("keys", "disable")]).await;
    assert!(!is_member(&here).await, "the next request is refused");
    assert!(is_member(&there).await && is_member(&anew).await);
    // A session that is somehow left over acts for no other account instead.
    app.execute("UPDATE sessions SET data = jsonb_set(data, '{account_id}', to_jsonb((SELECT account_id FROM accounts WHERE name = 'ada@example.com')::text))
                  WHERE user_id = (SELECT user_id FROM users WHERE email = 'bob@example.com')")
        .await;
    assert!(!is_member(&there).await);
    assert!(create_key(&there, "of bob").await.location.contains("sign-in"), "nor makes a key");
    app.stop().await;
}

#[sqlx::test]
async fn members_leave_by_themselves_and_see_their_own_entries_alone(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let bob = app.browser_of(&app.customer("bob@example.com", 0).await).await;
    let link = invite(&app, &ada, "bob@example.com", "member", 1).await;
    bob.submit(&bob.get(&link).await.form(ACCEPT), &link).await;
    create_key(&bob, "of bob").await;
    let log = bob.get("/settings/log").await.text();
    assert!(log.contains("Joined the account") && !log.contains("Somebody invited"), "{log}");
    assert!(ada.get("/settings/log").await.text().contains("Somebody invited"));
    assert!(ada.get(PAGE).await.find_form("/api/members/leave").is_none(), "the owner hands over first");
    let form = bob.get(PAGE).await.form("/api/members/leave");
    assert!(form.fields.is_empty(), "whoever goes knows the secrets, and hands none over: {:?}", form.fields);
    let answer = bob.submit(&form, PAGE).await;
    assert_eq!(bob.path_of(&answer), "/sign-in");
    assert!(!is_member(&bob).await);
    assert_eq!(
        app.text("SELECT k.status || ' ' || u.email FROM api_keys k JOIN users u ON u.user_id = k.created_by").await,
        "disabled bob@example.com"
    );
    assert!(ada.get("/settings/log").await.text().contains("Left the account"));
    app.stop().await;
}

#[sqlx::test]
async fn the_page_speaks_chinese(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    invite(&app, &ada, "bob@example.com", "read_only", 1).await;
    let cookie = format!("{}; language=zh-Hans", ada.cookie());
    let page = app.browser_with_cookie(&cookie).get(PAGE).await.text();
    assert!(page.contains("bob@example.com 只读，由 ada@example.com 邀请，链接在"), "{page}");
    assert!(app.browser_with_cookie(&cookie).get("/settings").await.text().contains("登录邮箱： ada@example.com 。"));
    app.stop().await;
}
