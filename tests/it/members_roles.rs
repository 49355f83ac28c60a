//! What each role may write: every server function of the source, tried by every role; and what each is offered.

use crate::checkout::package;
use crate::server_fns::{Right, ServerFn, server_fns};
use crate::support::app::TestApp;
use crate::support::browser::Browser;
use crate::support::client::http;
use chrono::TimeDelta;
use leptos::server_fn::axum::server_fn_paths;
use reqwest::header::{ACCEPT, COOKIE};
use sqlx::PgPool;
use toki::accounts::store;
use toki::ids::UserId;

/// Values for every field there is, none of which is anything of the account: whoever is let in finds nothing.
const FIELDS: &[(&str, &str)] = &[
    ("account_id", NOBODY),
    ("amount_minor", "1"),
    ("code", "x"),
    ("current", "x"),
    ("email", "no address"),
    ("form_key", "x"),
    ("grace", "x"),
    ("invitation_id", NOBODY),
    ("key_id", NOBODY),
    ("keys", "x"),
    ("name", ""),
    ("order_id", NOBODY),
    ("owner_password", ""),
    ("package_id", NOBODY),
    ("password", ""),
    ("proof", ""),
    ("role", "x"),
    ("session_id", "x"),
    ("starts", "x"),
    ("status", "x"),
    ("supplier", "x"),
    ("terms[currency]", "x"),
    ("terms[price_minor]", "1"),
    ("terms[tokens]", "1"),
    ("terms[valid_for_s]", "1"),
    ("token", "x"),
    ("tokens", "1"),
    ("user_id", NOBODY),
];
const NOBODY: &str = "01941f29-7c00-7000-8000-000000000000";

/// The right to write, as the least role that has it.
fn least_role(right: Right) -> &'static str {
    match right {
        Right::Reader | Right::SignedIn => "read_only",
        Right::Member => "member",
        Right::Admin => "admin",
        Right::Owner => "owner",
        Right::Operator | Right::Public => "",
    }
}

const ROLES: [&str; 4] = ["read_only", "member", "admin", "owner"];

fn rank(role: &str) -> Option<usize> {
    ROLES.iter().position(|each| *each == role)
}

/// Server functions that write, with their address.
fn writing() -> Vec<(String, ServerFn)> {
    let posted: Vec<&str> = server_fn_paths().filter(|(_, method)| *method == "POST").map(|(path, _)| path).collect();
    let found = server_fns().into_iter().filter_map(|function| {
        let path = format!("/api/{}", function.endpoint.as_deref()?.trim_start_matches('/'));
        posted.contains(&path.as_str()).then_some((path, function))
    });
    found.collect()
}

/// How a program is answered that posts the fields.
async fn answer(app: &TestApp, browser: &Browser, path: &str, function: &ServerFn) -> (u16, String) {
    let takes = |field: &str| function.parameters.iter().any(|name| field.split('[').next() == Some(name));
    let fields = FIELDS.iter().filter(|(field, _)| takes(field));
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = http()
        .post(app.url(path))
        .header(ACCEPT, "application/json")
        .header(COOKIE, browser.cookie())
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.text().await.expect("a body"))
}

#[test]
fn readers_write_what_is_their_own_alone() {
    let of_readers = writing().into_iter().filter(|(_, function)| matches!(function.right, Some(Right::Reader | Right::SignedIn)));
    let mut others: Vec<String> = of_readers.map(|(path, _)| path).filter(|path| !path.starts_with("/api/accounts/")).collect();
    others.sort();
    assert_eq!(others, ["/api/keys/try", "/api/members/accept", "/api/members/leave", "/api/notices/save"]);
}

#[sqlx::test]
async fn every_role_is_let_in_to_what_it_may_and_nothing_else(db: PgPool) {
    let app = TestApp::start(db).await;
    let account = app.customer("ada@example.com", 0).await;
    let ada = app.browser_of(&account).await;
    let functions = writing();
    assert!(functions.len() > 20, "{}", functions.len());
    for role in ROLES {
        set_role(&app, account.user_id, role).await;
        for (path, function) in &functions {
            let right = function.right.expect("a guard");
            let Some(least) = rank(least_role(right)) else { continue };
            // Ends the session that the others are tried with.
            if path.ends_with("_session") || path.ends_with("_sessions") || path == "/api/members/leave" {
                continue;
            }
            let (status, body) = answer(&app, &ada, path, function).await;
            let allowed = rank(role) >= Some(least);
            assert_eq!(body.contains("NotAllowed"), !allowed, "{role} {path} ({right}): {status} {body}");
            assert_eq!(status == 403, !allowed, "{role} {path} ({right}): {status} {body}");
        }
    }
    assert_eq!(app.number("SELECT count(*) FROM api_keys").await + app.number("SELECT count(*) FROM orders").await, 0);
    let reader = store::reader_of(&app.state.db, account.user_id, None).await.expect("read").expect("a member");
    assert_eq!(reader.account_id(), account.account_id);
    app.stop().await;
}

#[sqlx::test]
async fn what_a_role_may_not_do_is_not_offered_to_it_but_who_may(db: PgPool) {
    const WHO_BUYS: &str = "Owners and admins of this account can buy Tokens.";
    const WHO_MAKES_KEYS: &str = "An owner or admin of the account can make a key";
    let app = TestApp::start(db).await;
    package(&app, "Starter", None).await;
    let account = app.customer("ada@example.com", 0).await;
    let ada = app.browser_of(&account).await;
    // The frame leads everybody to every page; what a page itself offers is in its main part.
    let main_of = async |path: &str| -> (String, String) {
        let page = ada.get(path).await;
        let main = page.html.split("<main").nth(1).and_then(|rest| rest.split("</main>").next()).expect("a page").to_string();
        (main, page.text())
    };
    for role in ROLES {
        set_role(&app, account.user_id, role).await;
        let (buys, makes_keys) = (rank(role) >= rank("admin"), rank(role) >= rank("member"));
        for path in ["/dashboard", "/wallet", "/orders", "/products"] {
            let (main, text) = main_of(path).await;
            assert_eq!(main.contains("href=\"/products"), buys, "{role} {path}: {main}");
            assert_eq!(text.contains(WHO_BUYS), !buys, "{role} {path}: {text}");
        }
        for path in ["/dashboard", "/usage", "/keys"] {
            let (main, text) = main_of(path).await;
            assert_eq!(main.contains("href=\"/keys\"") || main.contains("href=\"#create\""), makes_keys, "{role} {path}: {main}");
            assert_eq!(text.contains(WHO_MAKES_KEYS), !makes_keys, "{role} {path}: {text}");
        }
        let (main, text) = main_of("/models?q=sandbox/echo").await;
        assert_eq!((main.contains("href=\"/products\""), main.contains("href=\"/keys#create\"")), (buys, makes_keys), "{role}: {main}");
        let told = ["Owners and admins can buy.", "Members, admins and owners make keys."].map(|words| text.contains(words));
        assert_eq!(told, [!buys, !makes_keys], "{role}: {text}");
    }

    // A member made a key of a wallet without Tokens; then it has few.
    set_role(&app, account.user_id, "member").await;
    app.key(&account, None).await;
    let key_id = app.text("SELECT key_id::text FROM api_keys").await;
    let (main, text) = main_of(&format!("/keys/{key_id}")).await;
    assert!(text.contains(&format!("Next: Buy a package of Tokens {WHO_BUYS}")) && !main.contains("href=\"/products"), "{text}");
    app.credit(&account, 100, TimeDelta::days(30), Default::default()).await;
    app.execute("UPDATE grants SET left_ = 10, expired = 90").await;
    let html = ada.get("/usage").await.html;
    assert!(html.contains("Tokens are running low.") && html.contains(WHO_BUYS) && !html.contains("Buy a package"), "{html}");
    app.stop().await;
}

/// Makes somebody this in their account; somebody else is the owner meanwhile.
async fn set_role(app: &TestApp, user_id: UserId, role: &str) {
    let other = match app.number("SELECT count(*) FROM users").await {
        1 => app.customer("eve@example.com", 0).await.user_id.0,
        _ => sqlx::query_scalar("SELECT user_id FROM users WHERE email = 'eve@example.com'").fetch_one(&app.state.db).await.expect("eve"),
    };
    let mut tx = app.state.db.begin().await.expect("begin");
    let account = "(SELECT account_id FROM accounts WHERE name = 'ada@example.com')";
    for sql in [
        format!("DELETE FROM members WHERE account_id = {account}"),
        format!("INSERT INTO members (account_id, user_id, role) VALUES ({account}, '{}', '{role}')", user_id.0),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *tx).await.expect("a role");
    }
    if role != "owner" {
        let sql = format!("INSERT INTO members (account_id, user_id, role) VALUES ({account}, '{other}', 'owner')");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *tx).await.expect("an owner");
    }
    tx.commit().await.expect("commit");
}
