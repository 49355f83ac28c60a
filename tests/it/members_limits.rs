//! What a member may spend, from the page on which an admin sets it to the call that it refuses.

use crate::members::{ACCEPT, PAGE, invite, user_id};
use crate::support::app::TestApp;
use crate::support::client::chat;
use serde_json::json;
use sqlx::PgPool;

const LIMIT: &str = "/api/members/set_limits";

#[sqlx::test]
async fn an_admin_limits_a_member_and_the_next_call_sees_it(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("ada@example.com", 100_000).await;
    let ada = app.browser_of(&customer).await;
    let key = app.key(&customer, None).await;
    let bob = app.browser_of(&app.customer("bob@example.com", 0).await).await;
    let link = invite(&app, &ada, "bob@example.com", "member", 1).await;
    bob.submit(&bob.get(&link).await.form(ACCEPT), &link).await;
    let (ada_id, bob_id) = (user_id(&app, "ada@example.com").await, user_id(&app, "bob@example.com").await);
    // The key is made Bob's: what counts is whose keys call.
    app.execute("UPDATE api_keys SET created_by = (SELECT user_id FROM users WHERE email = 'bob@example.com')").await;

    let mut call = chat("sandbox/echo", "hi");
    call["max_tokens"] = json!(1);
    assert_eq!(app.chat(&key.secret, &call).await.status, 200);
    let page = ada.get(PAGE).await;
    assert!(page.text().contains("5 this month 5 in all"), "{}", page.text());
    // Several things can be done with Bob, who has a menu of them; to the owner only limits are set.
    for opener in [format!("menu-{bob_id}"), format!("role-{bob_id}"), format!("remove-{bob_id}"), format!("limits-{ada_id}")] {
        assert!(page.html.contains(&format!("popovertarget=\"{opener}\"")), "{opener}: {}", page.html);
    }
    assert!(!page.html.contains(&format!("menu-{ada_id}")));
    assert!(page.text().contains("Remove bob@example.com?"), "{}", page.text());

    let answer = ada.post(LIMIT, PAGE, &[("user_id", bob_id.as_str()), ("month_quota", "8"), ("quota", "1,000")]).await;
    let page = ada.follow(&answer).await;
    assert!(page.text().contains("The limits are set. The next call sees them."), "{}", page.text());
    assert_eq!(page.text().matches("Limits of bob@example.com").count(), 1, "in his dialog");
    assert!(page.text().contains("3 of 8 left") && page.text().contains("995 of 1 K 1,000 left"), "{}", page.text());
    let refused = app.chat(&key.secret, &call).await;
    assert_eq!(refused.status, 429);
    assert_eq!([refused.error("type"), refused.error("code")], ["insufficient_quota", "insufficient_quota"]);
    assert!(refused.error("message").contains("what they may spend a month; the next begins at "), "{}", refused.error("message"));
    assert_eq!(refused.header("x-should-retry"), "false");
    let shown = app.get("/v1/key", &key.secret).await.json();
    assert_eq!(shown["member_left"], json!({"ever": 995, "this_month": 3}));

    // Nonsense changes nothing, and is back in its form, which stands on the page by itself.
    let answer = ada.post(LIMIT, PAGE, &[("user_id", bob_id.as_str()), ("month_quota", "many"), ("quota", "")]).await;
    let page = ada.follow(&answer).await;
    assert!(page.text().contains("Enter a whole number of Tokens, or leave it empty for no limit."), "{}", page.text());
    assert_eq!(page.text().matches("Limits of bob@example.com").count(), 2, "{}", page.text());
    let typed = [("user_id", bob_id.as_str()), ("month_quota", "many"), ("quota", "")];
    assert_eq!(page.form(LIMIT).fields, typed.map(|(name, value)| (name.to_string(), value.to_string())));
    assert_eq!(page.html.matches(r#"value="many""#).count(), 1, "the dialog has what is saved");
    assert!(page.ids_twice().is_empty(), "{:?}", page.ids_twice());
    assert_eq!(app.text("SELECT quota || ' ' || month_quota FROM members WHERE role = 'member'").await, "1000 8");

    // Not by whom it limits, nor in another account.
    assert!(bob.get(PAGE).await.find_form(LIMIT).is_none());
    for user_id in [&bob_id, &ada_id] {
        let answer = bob.post(LIMIT, PAGE, &[("user_id", user_id.as_str()), ("month_quota", ""), ("quota", "")]).await;
        assert!(answer.location.contains("__err="), "{}", answer.location);
    }
    let eve = app.browser_of(&app.customer("eve@example.com", 0).await).await;
    let answer = eve.post(LIMIT, PAGE, &[("user_id", bob_id.as_str())]).await;
    assert!(answer.location.contains("__err="), "{}", answer.location);
    assert_eq!(app.chat(&key.secret, &call).await.status, 429);

    ada.post(LIMIT, PAGE, &[("user_id", bob_id.as_str()), ("month_quota", ""), ("quota", "1,000")]).await;
    assert_eq!(app.chat(&key.secret, &call).await.status, 200);
    assert!(ada.get("/settings/log").await.text().contains("no limit a month, 1,000 in all"));
    app.assert_exact().await;
    app.stop().await;
}
