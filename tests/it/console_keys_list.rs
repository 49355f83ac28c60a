//! The list of keys as a browser without JavaScript meets it: what it shows, and what is done to several keys at once.

use crate::console_keys::{create, secret_in};
use crate::support::app::TestApp;
use crate::support::browser::{Browser, Page};
use sqlx::PgPool;

/// Posts the form of the ticked keys, and goes where it leads.
async fn change(browser: &Browser, from: &str, change: &str, ids: &[&str]) -> Page {
    let chosen = ids.iter().map(|id| ("chosen[]", *id));
    let fields: Vec<_> = chosen.chain([("change", change)]).collect();
    let answer = browser.post("/api/keys/change", from, &fields).await;
    assert_eq!(answer.status, 302, "{}", answer.html);
    browser.follow(&answer).await
}

fn id_of(path: &str) -> &str {
    path.trim_start_matches("/keys/")
}

#[sqlx::test]
async fn the_list_is_what_its_address_asks_for(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    for (name, quota) in [("support bot", "100"), ("batch job", ""), ("old bot", "5")] {
        create(&browser, name, quota).await;
    }
    app.execute("UPDATE api_keys SET spent = 75 WHERE name = 'support bot'").await;
    app.execute("UPDATE api_keys SET status = 'disabled' WHERE name = 'old bot'").await;

    let all = browser.get("/keys").await;
    let text = all.text();
    assert!(text.contains("30 % or less left") && text.contains("No limit of its own") && text.contains("ada@example.com"), "{text}");
    assert!(all.html.find("old bot") < all.html.find("support bot"), "the newest first");
    let by_name = browser.get("/keys?order=name").await.html;
    assert!(by_name.find("batch job") < by_name.find("old bot") && by_name.find("old bot") < by_name.find("support bot"));
    let bots = browser.get("/keys?search=BOT&status=enabled").await.text();
    assert!(bots.contains("support bot") && !bots.contains("batch job") && !bots.contains("old bot"), "{bots}");
    let none = browser.get("/keys?search=nothing").await.text();
    assert!(none.contains("No key is like this.") && none.contains("Create the key"), "{none}");
    for wrong in ["status=deleted", "order=price", "after=1"] {
        assert_eq!(browser.get(&format!("/keys?{wrong}")).await.status, 404, "{wrong}");
    }
    app.stop().await;
}

/// So many keys more, called "key 1" and so on, of whoever has the only one.
async fn add_keys(app: &TestApp, count: i32) {
    let sql = "INSERT INTO api_keys (key_id, account_id, created_by, name, secret_hash, secret_hint)
               SELECT gen_random_uuid(), account_id, created_by, 'key ' || n, sha256(n::text::bytea), 'sk-toki-x'
                 FROM api_keys, generate_series(1, $1::int) n";
    sqlx::query(sql).bind(count).execute(&app.state.db).await.expect("keys");
}

/// Where the next page is.
fn next_of(page: &Page) -> String {
    let next = page.html.split("rel=\"next\"").next().and_then(|before| before.rsplit("href=\"").next()).expect("a next page");
    next.split('"').next().unwrap_or_default().replace("&amp;", "&")
}

#[sqlx::test]
async fn a_long_list_has_pages(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    create(&browser, "the first", "").await;
    add_keys(&app, 60).await;
    let first = browser.get("/keys?order=newest&search=key").await;
    let next = next_of(&first);
    assert!(next.starts_with("/keys?search=key&order=newest&after="), "{next}");
    let second = browser.get(&next).await;
    let count = |page: &Page| page.html.matches("name=\"chosen[]\"").count();
    assert_eq!((count(&first), count(&second)), (50, 10), "the search leaves one out");
    assert!(second.text().contains("First page") && !second.html.contains("rel=\"next\""));
    app.stop().await;
}

#[sqlx::test]
async fn when_the_last_page_is_deleted_the_first_is_shown(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    create(&browser, "key of old", "").await;
    add_keys(&app, 50).await;
    for list in ["/keys", "/keys?search=key&order=oldest"] {
        let next = next_of(&browser.get(list).await);
        let last = browser.get(&next).await;
        assert_eq!(last.html.matches("name=\"chosen[]\"").count(), 1, "{}", last.html);
        let deleted = browser.submit(&last.form("/api/keys/delete").with("back", &next), &next).await;
        assert_eq!(browser.path_of(&deleted), next, "it may have others by now");
        let page = browser.follow(&deleted).await;
        let text = page.text();
        assert!(text.contains("1 key was deleted.") && !text.contains("No key is like this."), "{text}");
        assert_eq!(page.html.matches("name=\"chosen[]\"").count(), 50, "{text}");
        assert!(!text.contains("First page") && !page.html.contains("rel=\"next\""), "it is the first: {text}");
        let back = page.form("/api/keys/change").fields;
        assert!(back.iter().all(|(name, value)| name != "back" || !value.contains("after=")), "{back:?}");
        create(&browser, "key more", "").await;
    }
    app.stop().await;
}

#[sqlx::test]
async fn ticked_keys_are_disabled_enabled_and_deleted_together(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let mut paths = Vec::new();
    for name in ["one", "two", "three"] {
        paths.push(create(&browser, name, "").await);
    }
    let ids: Vec<&str> = paths.iter().map(|path| id_of(path)).collect();

    let page = change(&browser, "/keys?order=name", "disable", &ids[..2]).await.text();
    assert!(page.contains("2 keys are disabled now"), "{page}");
    assert_eq!(app.number("SELECT count(*) FROM api_keys WHERE status = 'disabled'").await, 2);
    assert_eq!(app.number("SELECT count(*) FROM journal WHERE kind = 'key.disabled'").await, 2);
    let page = change(&browser, "/keys", "enable", &ids[..1]).await.text();
    assert!(page.contains("1 key is enabled now."), "{page}");

    let asks = browser.get(&format!("/keys/delete?chosen%5B%5D={}&chosen%5B%5D={}", ids[0], ids[1])).await;
    let text = asks.text();
    assert!(
        text.contains("Delete these 2 keys for good?") && text.contains("one") && text.contains("two") && !text.contains("three"),
        "{text}"
    );
    assert_eq!(app.number("SELECT count(*) FROM api_keys WHERE status = 'deleted'").await, 0, "it only asks");
    let deleted = browser.submit(&asks.form("/api/keys/change"), "/keys/delete").await;
    assert_eq!(browser.path_of(&deleted), "/keys");
    let page = browser.follow(&deleted).await.text();
    assert!(page.contains("2 keys were deleted.") && page.contains("three"), "{page}");
    assert_eq!(app.number("SELECT count(*) FROM journal WHERE kind = 'key.deleted'").await, 2);
    app.stop().await;
}

#[sqlx::test]
async fn what_is_deleted_leads_back_to_the_list_as_it_was(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let mut paths = Vec::new();
    for name in ["bot one", "bot two", "bot three", "zebra"] {
        paths.push(create(&browser, name, "").await);
    }
    let asked = "/keys?search=bot&order=name";
    let list = browser.get(asked).await;
    let button = list.html.split("<button").find(|tag| tag.contains("data-ticks=\"chosen-keys\"")).expect("a button that ticks all");
    assert!(button.split('>').next().is_some_and(|tag| tag.contains(" hidden")), "without a script it does nothing: {button}");

    // Several, by the page that asks before; who keeps them is led back too.
    let in_html = asked.replace('&', "&amp;");
    assert_eq!(list.form("/api/keys/change").fields, [("back".to_string(), in_html.clone())]);
    let chosen = [("back", asked), ("chosen[]", id_of(&paths[0])), ("chosen[]", id_of(&paths[1]))];
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(chosen).finish();
    let asks = browser.get(&format!("/keys/delete?{query}")).await;
    assert!(asks.html.contains(&format!("href=\"{in_html}\"")) && asks.hidden("back") == in_html, "{}", asks.html);
    let deleted = browser.submit(&asks.form("/api/keys/change").with("back", asked), "/keys/delete").await;
    assert_eq!(browser.path_of(&deleted), asked);
    let page = browser.follow(&deleted).await;
    assert!(page.text().contains("2 keys were deleted.") && page.text().contains("bot three") && !page.text().contains("zebra"));

    // One, by the dialog of its row, with the same words.
    let form = page.form("/api/keys/delete");
    assert!(form.fields.contains(&("back".to_string(), in_html)), "{form:?}");
    let deleted = browser.submit(&form.with("back", asked), asked).await;
    assert_eq!(browser.path_of(&deleted), asked);
    let text = browser.follow(&deleted).await.text();
    assert!(text.contains("1 key was deleted. What it spent stays in your usage.") && text.contains("No key is like this."), "{text}");

    // Elsewhere nobody is led.
    for back in ["https://evil.example/keys?", "//evil.example", "/keys?\r\nset-cookie: a=b", "/wallet"] {
        let key_id = id_of(&create(&browser, "bot", "").await).to_string();
        let answer = browser.post("/api/keys/delete", asked, &[("key_id", &key_id), ("back", back)]).await;
        assert_eq!((answer.status, browser.path_of(&answer)), (302, "/keys"), "{back}");
        let asks = browser.get(&format!("/keys/delete?chosen%5B%5D={}&back=https%3A%2F%2Fevil.example", id_of(&paths[3]))).await;
        assert!(!asks.html.contains("href=\"https://evil.example"), "{}", asks.html);
    }
    app.stop().await;
}

#[sqlx::test]
async fn one_key_that_is_not_theirs_and_nothing_is_changed(db: PgPool) {
    let app = TestApp::start(db).await;
    let (ada, eve) = (app.customer("ada@example.com", 0).await, app.customer("eve@example.com", 0).await);
    let (of_ada, of_eve) = (app.browser_of(&ada).await, app.browser_of(&eve).await);
    let (hers, own) = (create(&of_ada, "secret plan", "").await, create(&of_eve, "own", "").await);
    let both = [id_of(&own), id_of(&hers)];

    for (ids, says) in [(&both[..], "belongs to another account"), (&both[..0], "Choose at least one key.")] {
        for kind in ["disable", "delete"] {
            let page = change(&of_eve, "/keys", kind, ids).await.text();
            assert!(page.contains(says) && !page.contains("secret plan"), "{kind}: {page}");
        }
    }
    let asks = of_eve.get(&format!("/keys/delete?chosen%5B%5D={}&chosen%5B%5D={}", both[0], both[1])).await;
    assert_eq!(asks.status, 404);
    assert!(!asks.html.contains("secret plan") && asks.find_form("/api/keys/change").is_none());
    assert_eq!(of_eve.get("/keys/delete").await.status, 422);
    assert_eq!(app.number("SELECT count(*) FROM api_keys WHERE status = 'enabled'").await, 2);
    app.stop().await;
}

#[sqlx::test]
async fn a_key_ends_with_the_day_that_was_chosen(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let page = browser.get("/keys").await;
    assert!(page.text().contains("In 7 days") && page.text().contains("Empty means no limit of its own"), "{}", page.text());
    let form = page.form("/api/keys/create").with("name", "bot");
    let fields = |expires: &'static str, day: &'static str| {
        let form_key = form.fields.iter().find(|(name, _)| name == "form_key").expect("a form key").1.clone();
        [("form_key", form_key), ("name", "bot".into()), ("supplier", "all".into()), ("status", "enabled".into())]
            .into_iter()
            .chain([("expires", expires.to_string()), ("expires_at", day.to_string())])
            .collect::<Vec<_>>()
    };
    let post = async |expires: &'static str, day: &'static str| {
        let fields = fields(expires, day);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        browser.post("/api/keys/create", "/keys", &fields).await
    };
    for (expires, day, says) in [
        ("custom", "", "Enter the last day on which the key works."),
        ("custom", "2020-01-01", "The expiration must be in the future."),
        ("custom", "soon", "Enter days like 2026-12-24."),
    ] {
        let page = browser.follow(&post(expires, day).await).await;
        assert!(page.text().contains(says), "{day}: {}", page.text());
        let custom = page.html.split("<input").find(|tag| tag.contains("value=\"custom\"")).expect("a choice");
        assert!(custom.split('>').next().is_some_and(|tag| tag.contains("checked")), "what was chosen stays chosen");
    }
    assert_eq!(app.number("SELECT count(*) FROM api_keys").await, 0);
    let made = post("7", "").await;
    assert!(browser.path_of(&made).starts_with("/keys/"), "{}", made.location);
    let ends = "SELECT count(*) FROM api_keys
                 WHERE expires_at AT TIME ZONE 'UTC' = (created_at AT TIME ZONE 'UTC')::date + interval '7 days 23:59:59'";
    assert_eq!(app.number(ends).await, 1);
    app.stop().await;
}

#[sqlx::test]
async fn a_new_key_comes_with_examples_of_the_docs_that_have_it_in_them(db: PgPool) {
    let app = TestApp::start(db).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 0).await).await;
    let path = create(&browser, "bot", "").await;
    let first = browser.get(&path).await;
    let secret = secret_in(&first.html).expect("the secret");
    let text = first.text();
    for example in [
        format!("Bearer {secret}"),
        format!("api_key=\"{secret}\""),
        format!("apiKey: \"{secret}\""),
        format!("\"ANTHROPIC_AUTH_TOKEN\": \"{secret}\""),
        format!("OPENAI_API_KEY: {secret}"),
    ] {
        assert!(text.contains(&example) || text.contains(&example.replace('"', "&quot;")), "{example}: {text}");
    }
    let again = browser.get(&path).await;
    assert!(!again.html.contains(&secret) && again.text().contains("process.env.TOKI_KEY"));
    app.stop().await;
}
