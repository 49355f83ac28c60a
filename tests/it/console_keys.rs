//! Keys, wallet, usage and models as a browser without JavaScript meets them.

use crate::support::app::TestApp;
use crate::support::browser::{Browser, Page};
use crate::support::client::chat;
use sqlx::PgPool;

/// Fills in and posts the create form; the path of the new key's page.
pub async fn create(browser: &Browser, name: &str, quota: &str) -> String {
    let form_key = browser.get("/keys").await.hidden("form_key");
    let fields =
        [("form_key", form_key.as_str()), ("name", name), ("supplier", "all"), ("quota", quota), ("expires_at", ""), ("status", "enabled")];
    let answer = browser.post("/api/keys/create", "/keys", &fields).await;
    assert_eq!(answer.status, 302, "{}", answer.html);
    browser.path_of(&answer).to_string()
}

/// The secret that a page shows, if it does.
pub fn secret_in(html: &str) -> Option<String> {
    let at = html.find("id=\"new-secret\"")?;
    let start = html[at..].find("sk-toki-")? + at;
    Some(html[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect())
}

#[sqlx::test]
async fn a_new_key_is_shown_once_and_works(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.customer("ada@example.com", 100_000).await;
    let browser = app.browser_of(&ada).await;
    let path = create(&browser, "support bot", "50,000").await;
    assert!(path.starts_with("/keys/"), "{path}");
    let stored = app.number("SELECT count(*) FROM sessions WHERE data::text LIKE '%sk-toki-%'").await;
    assert_eq!(stored, 0, "the secret waits sealed");

    let first = browser.get(&path).await;
    assert_eq!(first.status, 200);
    let secret = secret_in(&first.html).expect("the secret, this once");
    assert!(first.text().contains(&format!("{}/v1/chat/completions", app.url(""))));
    assert!(first.text().contains(&format!("Bearer {secret}")));
    let second = browser.get(&path).await;
    assert!(!second.html.contains(&secret));
    assert!(second.text().contains("Bearer $TOKI_KEY"));

    assert_eq!(app.chat(&secret, &chat("sandbox/echo", "hello")).await.status, 200);
    app.until_settled().await;
    let all_calls = browser.get("/usage").await;
    let usage = all_calls.text();
    assert!(usage.contains("support bot") && usage.contains("sandbox/echo") && usage.contains("Why"), "{usage}");
    let wallet = browser.get("/wallet").await.text();
    assert!(wallet.contains("Call to sandbox/echo") && wallet.contains("Credited") && wallet.contains("Pays next"), "{wallet}");
    let own_calls = browser.get(&path).await;
    assert!(own_calls.text().contains("Why"));
    // On its own page a key is not named again in each row.
    assert_eq!([&all_calls, &own_calls].map(|page| page.html.contains("data-label=\"Key\"")), [true, false]);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn a_secret_waits_for_whoever_sees_the_page_of_its_key(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let other = create(&browser, "other", "").await;
    assert!(secret_in(&browser.get(&other).await.html).is_some());
    let path = create(&browser, "bot", "").await;
    let key_id = path.trim_start_matches("/keys/");
    for made in ["created", "rotated"] {
        // As a refresh that comes before the page, and what is done in another tab meanwhile.
        for look in [browser.get_part(&path).await, browser.head(&path).await, browser.get(&other).await] {
            assert!(look.status == 200 && !look.html.contains("id=\"new-secret\""), "{made}: {}", look.html);
        }
        let secret = secret_in(&browser.get(&path).await.html).unwrap_or_else(|| panic!("{made}, and its secret was lost"));
        assert!(!browser.get(&path).await.html.contains(&secret), "{made}");
        let answer = browser.post("/api/keys/rotate", &path, &[("key_id", key_id), ("grace", "none")]).await;
        assert_eq!((answer.status, browser.path_of(&answer)), (302, path.as_str()));
    }
    app.stop().await;
}

#[sqlx::test]
async fn a_create_form_posted_twice_is_one_key(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let form_key = browser.get("/keys").await.hidden("form_key");
    let fields = [("form_key", form_key.as_str()), ("name", "bot"), ("supplier", "all"), ("status", "enabled")];
    let (one, two) = futures::join!(browser.post("/api/keys/create", "/keys", &fields), browser.post("/api/keys/create", "/keys", &fields));
    assert_eq!((one.status, two.status), (302, 302));
    assert_eq!(browser.path_of(&one), browser.path_of(&two));
    assert_eq!(app.number("SELECT count(*) FROM api_keys").await, 1);
    app.stop().await;
}

#[sqlx::test]
async fn a_form_that_is_refused_says_why_on_its_page(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let form_key = browser.get("/keys").await.hidden("form_key");
    for (name, supplier, quota, says) in [
        (" ", "all", "", "Give it a name."),
        ("bot", "", "", "Choose a supplier from the list."),
        ("bot", "all", "many", "Enter a whole number of Tokens"),
        ("bot", "019b0000-0000-7000-8000-000000000000", "", "This supplier is not available."),
    ] {
        let fields = [("form_key", form_key.as_str()), ("name", name), ("supplier", supplier), ("quota", quota), ("status", "enabled")];
        let answer = browser.post("/api/keys/create", "/keys", &fields).await;
        assert_eq!(answer.status, 302);
        let page = browser.get(browser.path_of(&answer)).await;
        assert!(page.text().contains(says), "{says}: {}", page.text());
    }
    assert_eq!(app.number("SELECT count(*) FROM api_keys").await, 0);
    app.stop().await;
}

#[sqlx::test]
async fn a_key_is_edited_disabled_and_deleted_by_forms(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 100_000).await).await;
    let path = create(&browser, "bot", "").await;
    let key_id = path.trim_start_matches("/keys/");
    let secret = secret_in(&browser.get(&path).await.html).expect("the secret");

    let expires = async |name: &str, expires: &str, day: &str| {
        let fields = [("key_id", key_id), ("name", name), ("supplier", "all"), ("quota", "777"), ("expires", expires), ("expires_at", day)];
        let answer = browser.post("/api/keys/update", &path, &fields).await;
        assert_eq!(answer.status, 302);
        browser.follow(&answer).await
    };
    let chosen = |page: &Page| -> Vec<String> {
        let fields = page.form("/api/keys/update").fields.into_iter();
        fields.filter_map(|(name, value)| (name == "expires").then_some(value)).collect()
    };
    let page = browser.get(&path).await;
    assert!(chosen(&page) == ["never"] && !page.text().contains("As it is"), "{}", page.text());
    let page = expires("robot", "custom", "2999-01-01").await;
    assert!(page.text().contains("robot") && page.text().contains("1 Jan 2999, 23:59 UTC"), "{}", page.text());
    assert!(chosen(&page) == ["keep"] && page.text().contains("As it is") && page.html.contains("value=\"777\""), "{}", page.text());
    let kept = expires("automaton", "keep", "").await.text();
    assert!(kept.contains("automaton") && kept.contains("1 Jan 2999, 23:59 UTC"), "{kept}");
    let page = expires("robot", "custom", "2020-01-01").await;
    assert!(page.text().contains("The expiration must be in the future.") && chosen(&page) == ["custom"], "{}", page.text());
    let page = expires("robot", "7", "").await;
    assert!(chosen(&page) == ["keep"] && !page.text().contains("1 Jan 2999"), "{}", page.text());
    let page = expires("robot", "never", "").await;
    assert_eq!(chosen(&page), ["never"]);

    let answer = browser.post("/api/keys/set-status", "/keys", &[("key_id", key_id), ("status", "disabled")]).await;
    assert_eq!((answer.status, browser.path_of(&answer)), (302, "/keys"));
    assert!(browser.get("/keys").await.text().contains("Disabled"));
    assert_eq!(app.chat(&secret, &chat("sandbox/echo", "hello")).await.status, 401);

    // The list, in the row's menu, and the key's page ask the same before it is deleted.
    let (list, page) = (browser.get("/keys").await, browser.get(&path).await);
    assert!(list.html.contains(&format!("popovertarget=\"menu-{key_id}\"")), "{}", list.html);
    for asks in [&list, &page] {
        assert!(asks.html.contains(&format!("popovertarget=\"delete-{key_id}\"")), "{}", asks.html);
        let text = asks.text();
        assert!(text.contains("Delete “robot” for good?") && text.contains("Programs that call with it stop working at once."), "{text}");
        assert_eq!(asks.form("/api/keys/delete").fields, [("key_id".to_string(), key_id.to_string())]);
        assert!(asks.ids_twice().is_empty(), "{:?}", asks.ids_twice());
    }
    let answer = browser.submit(&page.form("/api/keys/delete"), &path).await;
    assert_eq!((answer.status, browser.path_of(&answer)), (302, "/keys"));
    assert_eq!(browser.get(&path).await.status, 404);
    assert!(browser.get("/keys").await.text().contains("No key yet"));
    app.stop().await;
}

#[sqlx::test]
async fn a_key_gets_a_new_secret_and_the_old_one_works_as_long_as_was_chosen(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 100_000).await).await;
    let path = create(&browser, "bot", "").await;
    let key_id = path.trim_start_matches("/keys/");
    let first = secret_in(&browser.get(&path).await.html).expect("the secret");
    let works = async |secret: &str| app.chat(secret, &chat("sandbox/echo", "hello")).await.status == 200;
    let rotate = async |grace: &str| {
        let answer = browser.post("/api/keys/rotate", &path, &[("key_id", key_id), ("grace", grace)]).await;
        assert_eq!((answer.status, browser.path_of(&answer)), (302, path.as_str()));
        let page = browser.get(&path).await;
        (secret_in(&page.html).expect("the new secret"), page.text())
    };

    let (second, text) = rotate("day").await;
    assert!(text.contains("The old secret works until"), "{text}");
    assert!(works(&first).await && works(&second).await);
    assert_eq!(app.number("SELECT count(DISTINCT key_id) FROM usage_records").await, 1, "one key, one history");
    assert_eq!(app.get("/v1/key", &first).await.status, 200);

    let (third, _) = rotate("none").await;
    assert!(works(&first).await && !works(&second).await && works(&third).await, "the first has its day yet");
    app.execute("UPDATE api_keys SET status = 'disabled'").await;
    assert!(!works(&first).await && !works(&third).await);
    app.execute("UPDATE api_keys SET status = 'enabled'").await;

    let answer = browser.post("/api/keys/end_old_secrets", &path, &[("key_id", key_id)]).await;
    assert_eq!(browser.path_of(&answer), path.as_str());
    assert!(!works(&first).await && works(&third).await);
    let text = browser.get(&path).await.text();
    assert!(text.contains("The old secret has ended.") && !text.contains("The old secret works until"), "{text}");
    app.stop().await;
}

#[sqlx::test]
async fn a_keys_page_says_how_to_begin_and_then_what_was_spent_and_what_failed(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 100_000).await).await;
    let empty = browser.get("/keys").await;
    assert!(empty.html.contains("href=\"#create\"") && empty.text().contains("No key yet"), "{}", empty.text());
    assert_eq!(empty.html.matches("button-primary").count(), 1, "{}", empty.html);
    let path = create(&browser, "bot", "").await;
    let page = browser.get(&path).await;
    let secret = secret_in(&page.html).expect("the secret");
    let begins = page.text().contains("No call with this key yet") && page.html.contains("href=\"#try\"");
    assert!(begins && !page.html.contains("spending-table"), "{}", page.text());

    assert_eq!(app.chat(&secret, &chat("sandbox/echo", "hello")).await.status, 200);
    assert_eq!(app.chat(&secret, &chat("sandbox/error", "hello")).await.status, 502);
    app.until_settled().await;
    let page = browser.get(&path).await;
    let failed = format!("/usage?key={}&outcome=failed", path.trim_start_matches("/keys/"));
    assert!(page.html.contains(&failed.replace('&', "&amp;")) && page.html.contains("spending-table"), "{}", page.html);
    assert!(page.html.contains("href=\"/docs/errors#upstream_unavailable\"") && !page.text().contains("No call with this key yet"));
    assert_eq!(page.html.matches("button-primary").count(), 1, "{}", page.html);
    let list = browser.get(&failed).await.text();
    assert!(list.contains("sandbox/error") && list.contains("Only calls that failed"), "{list}");
    app.stop().await;
}

#[sqlx::test]
async fn whoever_only_looks_is_told_whom_to_ask_for_a_key(db: PgPool) {
    let app = TestApp::start(db).await;
    let (ada, eve) = (app.customer("ada@example.com", 0).await, app.customer("eve@example.com", 0).await);
    app.pass_on(&ada, &eve).await;
    let page = app.browser_of(&ada).await.get("/keys").await;
    assert!(page.text().contains("An owner or admin of the account can make a key") && page.html.contains("href=\"/settings/members\""));
    assert!(!page.html.contains("#create") && page.find_form("/api/keys/create").is_none(), "{}", page.html);
    app.stop().await;
}

#[sqlx::test]
async fn another_accounts_key_is_not_found_on_any_page_or_form(db: PgPool) {
    let app = TestApp::start(db).await;
    let (ada, eve) = (app.customer("ada@example.com", 0).await, app.customer("eve@example.com", 0).await);
    let (of_ada, of_eve) = (app.browser_of(&ada).await, app.browser_of(&eve).await);
    let path = create(&of_ada, "secret plan", "").await;
    let key_id = path.trim_start_matches("/keys/");

    let page = of_eve.get(&path).await;
    assert_eq!(page.status, 404);
    assert!(!page.html.contains("secret plan") && page.text().contains("belongs to another account"));
    for (action, fields) in [
        ("/api/keys/update", vec![("key_id", key_id), ("name", "mine"), ("supplier", "all")]),
        ("/api/keys/set-status", vec![("key_id", key_id), ("status", "disabled")]),
        ("/api/keys/rotate", vec![("key_id", key_id), ("grace", "none")]),
        ("/api/keys/end_old_secrets", vec![("key_id", key_id)]),
        ("/api/keys/delete", vec![("key_id", key_id)]),
        ("/api/keys/create", vec![("form_key", key_id), ("name", "mine"), ("supplier", "all"), ("status", "enabled")]),
    ] {
        let answer = of_eve.post(action, "/keys", &fields).await;
        assert!(answer.location.contains("__err="), "{action}: {}", answer.location);
    }
    assert!(secret_in(&of_ada.get(&path).await.html).is_some(), "and the secret still waits for its owner");
    assert_eq!(app.number("SELECT count(*) FROM api_keys WHERE name = 'secret plan' AND status = 'enabled'").await, 1);
    app.stop().await;
}

#[sqlx::test]
async fn pages_of_an_account_send_visitors_to_sign_in_and_the_directory_is_open(db: PgPool) {
    let app = TestApp::start(db).await;
    let visitor = app.browser();
    for path in ["/keys", "/keys/019b0000-0000-7000-8000-000000000000", "/wallet", "/usage"] {
        let page = visitor.get(path).await;
        assert_eq!(page.status, 302, "{path}");
        assert!(page.location.starts_with("/sign-in?next="), "{path}: {}", page.location);
    }
    let models = visitor.get("/models").await;
    assert_eq!(models.status, 200);
    assert!(models.text().contains("sandbox/echo") && models.text().contains("1 ×"), "{}", models.text());
    app.stop().await;
}

#[sqlx::test]
async fn limits_are_set_on_the_page_and_hold_for_the_next_call(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 100_000).await).await;
    let path = create(&browser, "support bot", "").await;
    let secret = secret_in(&browser.get(&path).await.html).expect("the secret");
    let key_id = path.trim_start_matches("/keys/");
    let fields = |limits: &[(&'static str, &'static str)]| {
        let named = limits.iter().map(|(name, value)| (format!("limits[{name}]"), value.to_string()));
        std::iter::once(("key_id".to_string(), key_id.to_string())).chain(named).collect::<Vec<_>>()
    };
    let save = async |limits: &[(&'static str, &'static str)]| {
        let fields = fields(limits);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        browser.post("/api/keys/limit", &path, &fields).await
    };
    for (name, value, says) in [
        ("requests_per_minute", "0", "Enter a whole number from 1"),
        ("concurrent_calls", "100001", "at most 100,000 calls at once"),
        ("period_quota", "500", "Choose a period"),
        ("models", "sandbox/nothing", "One of these models does not exist."),
        ("networks", "203.0.113.0/24\r\nhere", "Enter networks like"),
    ] {
        let refused = save(&[(name, value), ("tokens_per_minute", "77")]).await;
        let page = browser.get(browser.path_of(&refused)).await.text();
        assert!(page.contains(says), "{name}: {page}");
    }
    assert_eq!(app.number("SELECT count(*) FROM api_keys WHERE tokens_per_minute IS NOT NULL").await, 0, "nothing is half done");

    let models = "sandbox/echo\r\nsandbox/slow";
    let limits =
        [("period", "day"), ("period_quota", "5,000"), ("time_zone", "Europe/Zurich"), ("requests_per_minute", "1"), ("models", models)];
    assert_eq!(save(&limits).await.status, 302);
    let page = browser.get(&path).await;
    let text = page.text();
    assert!(text.contains("Quota of the day") && text.contains("1 call a minute") && text.contains("sandbox/echo, sandbox/slow"), "{text}");
    assert_eq!(app.chat(&secret, &chat("sandbox/tool", "hello")).await.status, 404);
    assert_eq!(app.chat(&secret, &chat("sandbox/echo", "hello")).await.status, 200);
    assert_eq!(app.chat(&secret, &chat("sandbox/echo", "hello")).await.status, 429);

    let unlimited = [("period", ""), ("period_quota", ""), ("time_zone", "UTC"), ("requests_per_minute", ""), ("models", "")];
    assert_eq!(save(&unlimited).await.status, 302);
    assert_eq!(app.chat(&secret, &chat("sandbox/tool", "hello")).await.status, 200);
    assert!(!browser.get(&path).await.text().contains("Quota of the day"));
    app.stop().await;
}
