//! The usage page and its file, as a browser without JavaScript meets them.

use crate::support::app::TestApp;
use crate::support::browser::Page;
use crate::support::client::{chat, http};
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;
use toki::accounts::store::NewAccount;
use toki::tokens::Tokens;

#[sqlx::test]
async fn usage_is_shown_by_what_the_address_asks_for(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.customer("ada@example.com", 100_000).await;
    let browser = app.browser_of(&ada).await;
    let page = browser.get("/usage").await;
    let empty = page.text();
    assert!(empty.contains("No call yet") && !empty.contains("Skip the chart"), "{empty}");
    for part in ["totals", "calls"] {
        assert!(page.html.contains(&format!("data-live=\"{part}\"")), "{part} has where to come: {}", page.html);
    }
    assert!(page.html.contains("id=\"filter-key\""), "what is asked for waits there for the totals: {}", page.html);

    let key = app.key(&ada, None).await;
    for _ in 0..3 {
        assert_eq!(app.chat(&key.secret, &chat("sandbox/echo", "hello")).await.status, 200);
    }
    app.until_settled().await;
    let charged = app.number("SELECT sum(charge)::bigint FROM usage_records").await;

    for (query, says) in [
        ("", "by model"),
        ("?range=today&group=key", "by key"),
        ("?range=7d&group=supplier", "by supplier"),
        ("?group=member", "by member"),
    ] {
        let page = browser.get(&format!("/usage{query}")).await;
        let text = page.text();
        assert_eq!(page.status, 200, "{query}");
        assert!(page.html.contains(&format!("Tokens charged {says}")), "{query}: {text}");
        assert!(text.contains(&charged.to_string()) && text.contains("100 %") && text.contains("Why"), "{query}: {text}");
    }
    let request_id = app.text("SELECT request_id::text FROM usage_records ORDER BY request_id DESC LIMIT 1").await;
    let list = browser.get("/usage").await;
    assert!(list.html.contains(&format!("/usage?call={request_id}")) && !list.text().contains("Paid from"), "{}", list.text());
    let page = browser.get(&format!("/usage?call={request_id}")).await;
    assert!(page.html.contains("<title>Call · TOKI</title>") && page.html.contains("<h1>Call<!></h1>"), "{}", page.html);
    assert!(!page.html.contains("/api/usage/export"), "a page of one call offers no file of others: {}", page.html);
    let one = page.text();
    for says in ["Paid from:", "rounded up once", "Measured", "Held while it ran"] {
        assert!(one.contains(says), "{says}: {one}");
    }

    // It leads back to the list that it was looked up from, there where that was.
    let key_id = app.text("SELECT key_id::text FROM api_keys").await;
    let from = format!("/usage?range=7d&amp;group=key&amp;key={key_id}");
    let list = browser.get(&from.replace("&amp;", "&")).await;
    assert!(list.html.contains(&format!("href=\"{from}&amp;call={request_id}\"")), "{}", list.html);
    let page = browser.get(&format!("{from}&call={request_id}").replace("&amp;", "&")).await;
    assert!(page.html.contains(&format!("href=\"{from}\"")) && page.text().contains("Back to the calls"), "{}", page.html);
    assert!(!page.text().contains("All calls") && !page.html.contains("Pages of calls"), "it may be filtered: {}", page.html);
    assert!(!page.text().contains("Newest") && !page.html.contains("id=\"filter-key\""), "{}", page.text());
    let of_key = browser.get(&format!("/keys/{key_id}")).await;
    assert!(of_key.html.contains(&format!("/usage?key={key_id}&amp;call={request_id}")), "{}", of_key.html);

    let by_member = browser.get("/usage?group=member").await.text();
    assert!(by_member.contains("ada@example.com"));

    // A bar leads to its day, by the hour, and an hour to its calls.
    let today = Utc::now().format("%Y-%m-%d").to_string();
    assert!(browser.get("/usage").await.html.contains(&format!("from={today}&amp;to={today}")));
    let day = browser.get(&format!("/usage?from={today}&to={today}")).await;
    assert!(day.html.contains("%3A00%3A00Z&amp;to="), "{}", day.html);
    let before = (Utc::now() - TimeDelta::days(3)).format("%Y-%m-%d").to_string();
    let quiet = browser.get(&format!("/usage?from={before}&to={before}")).await.text();
    assert!(quiet.contains("No call here") && quiet.contains("Nothing in this time"), "{quiet}");

    // What the form says again while nobody touches its days.
    let filtered = async |page: &Page, from: &str| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in page.form("/usage").fields {
            let value = if name == "from" && !from.is_empty() { from.to_string() } else { value };
            query.append_pair(&name, &value);
        }
        browser.get(&format!("/usage?{}", query.finish())).await
    };
    let mut hour = browser.get(&format!("/usage?from={before}T05:00:00Z&to={before}T06:00:00Z")).await;
    let of_hour = format!("/api/usage/export?from={before}T05%3A00%3A00Z&amp;to={before}T06%3A00%3A00Z");
    for _ in 0..2 {
        assert!(hour.html.contains(&of_hour) && hour.html.contains(&format!("value=\"{before}\"")), "{}", hour.html);
        hour = filtered(&hour, "").await;
    }
    let earlier = (Utc::now() - TimeDelta::days(4)).format("%Y-%m-%d").to_string();
    let days = filtered(&hour, &earlier).await;
    assert!(days.html.contains(&format!("/api/usage/export?from={earlier}&amp;to={before}")), "{}", days.html);

    for (query, says) in [
        ("?from=yesterday&group=key", "Enter days like 2026-12-24."),
        ("?from=2026-03-02&to=2026-03-01&group=key", "The last day comes before the first."),
        ("?from=2020-01-01&to=2026-03-01&group=key", "Choose at most 366 days."),
    ] {
        let page = browser.get(&format!("/usage{query}")).await;
        let text = page.text();
        assert!(page.status == 422 && text.contains(says), "{query}: {} {text}", page.status);
        assert!(!page.html.contains("/api/usage/export"), "{query}: there is no file of it");
        // What was typed stays in the form, which says what is wrong with it.
        let form = page.form("/usage");
        let sent = |name: &str| form.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
        let asked = |name: &str| query.split(['?', '&']).find_map(|pair| pair.strip_prefix(&format!("{name}=")).map(str::to_string));
        assert_eq!((sent("from"), sent("to").unwrap_or_default()), (asked("from"), asked("to").unwrap_or_default()), "{query}");
        assert!(page.html.contains("<option value=\"key\" selected>") && page.html.contains("role=\"alert\""), "{query}: {}", page.html);
        assert!(page.html.matches("aria-invalid=\"true\"").count() == 2, "{query}: {}", page.html);
        assert!(page.html.contains("id=\"filter-from-error\"") && page.ids_twice().is_empty(), "{query}: {}", page.html);
    }
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn failed_calls_are_listed_alone_with_the_error_that_the_docs_explain(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.customer("ada@example.com", 100_000).await;
    let browser = app.browser_of(&ada).await;
    let key = app.key(&ada, None).await;
    for (model, status) in [("sandbox/echo", 200), ("sandbox/error", 502), ("sandbox/echo", 200)] {
        assert_eq!(app.chat(&key.secret, &chat(model, "hello")).await.status, status, "{model}");
    }
    app.until_settled().await;
    let good = app.text("SELECT request_id::text FROM usage_records WHERE outcome = 'ok' LIMIT 1").await;
    let bad = app.text("SELECT request_id::text FROM usage_records WHERE outcome = 'upstream_error'").await;
    let charged = app.number("SELECT sum(charge)::bigint FROM usage_records").await;

    let all = browser.get("/usage?range=today").await;
    assert!(
        all.html.contains(&format!("/usage?range=today&amp;call={good}")) && !all.text().contains("Only calls that failed"),
        "{}",
        all.text()
    );
    let failed = browser.get("/usage?range=today&outcome=failed").await;
    let text = failed.text();
    let why = format!("/usage?range=today&amp;outcome=failed&amp;call={bad}");
    assert!(failed.html.contains(&why) && !failed.html.contains(&format!("call={good}")), "{text}");
    assert!(text.contains("Only calls that failed are listed here") && text.contains(&charged.to_string()), "{text}");
    let option = failed.html.split("<option").find(|tag| tag.contains("value=\"failed\"")).expect("a choice");
    assert!(option.split('>').next().is_some_and(|tag| tag.contains("selected")), "what was asked for stays chosen: {option}");
    assert!(failed.html.contains("/api/usage/export?range=today&amp;outcome=failed"), "{}", failed.html);
    let file = browser.get("/api/usage/export?range=today&outcome=failed").await.html;
    assert!(file.lines().count() == 2 && file.contains(&bad), "its head and a call: {file}");
    assert!(browser.get("/usage?outcome=green").await.text().contains("Show all"));

    for page in [failed, browser.get(&format!("/usage?call={bad}")).await] {
        assert!(page.html.contains("href=\"/docs/errors#upstream_unavailable\""), "{}", page.html);
    }
    let why = browser.get(&format!("/usage?call={bad}")).await.text();
    assert!(why.contains("Answered with HTTP status 502"), "{why}");
    let why = browser.get(&format!("/usage?call={good}")).await;
    assert!(why.text().contains("HTTP status 200") && !why.html.contains("/docs/errors#"), "{}", why.text());
    app.stop().await;
}

#[sqlx::test]
async fn the_file_has_every_call_of_the_account_and_its_sum(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.customer("ada@example.com", 100_000).await;
    let eve = app.customer("eve@example.com", 100_000).await;
    let (key, other) = (app.key(&ada, None).await, app.key(&eve, None).await);
    for secret in [&key.secret, &key.secret, &other.secret] {
        assert_eq!(app.chat(secret, &chat("sandbox/echo", "hello")).await.status, 200);
    }
    app.until_settled().await;
    let browser = app.browser_of(&ada).await;
    let request = http().get(app.url("/api/usage/export?range=7d")).header("cookie", browser.cookie());
    let file = request.send().await.expect("an answer");
    let header = |name: &str| file.headers()[name].to_str().expect("text").to_string();
    assert_eq!([header("content-type"), header("content-disposition")], ["text/csv; charset=utf-8", "attachment; filename=\"usage.csv\""]);
    let file = file.text().await.expect("a file");
    let mut lines = csv::Reader::from_reader(file.as_bytes());
    let charge = lines.headers().expect("a head").iter().position(|column| column == "charge").expect("a column");
    let charges: Vec<i64> = lines.records().map(|line| line.expect("a line")[charge].parse().expect("Tokens")).collect();
    let spent = "SELECT sum(l.tokens)::bigint FROM ledger l JOIN accounts a USING (account_id)
                  WHERE l.to_book = 'spent' AND a.name = 'ada@example.com'";
    assert_eq!((charges.len(), charges.iter().sum::<i64>()), (2, app.number(spent).await));
    let none = browser.get("/api/usage/export?from=2026-01-01&to=2026-01-02").await;
    assert_eq!(none.html.lines().count(), 1, "its head");
    assert!(app.browser().get("/api/usage/export").await.location.starts_with("/sign-in"), "not for visitors");
    app.stop().await;
}

#[sqlx::test]
async fn what_a_member_or_a_supplier_came_to_leads_to_its_calls(db: PgPool) {
    let app = TestApp::start(db).await;
    let (ada, bob) = (app.customer("ada@example.com", 100_000).await, app.customer("bob@example.com", 0).await);
    let eve = app.customer("eve@example.com", 100_000).await;
    let joined = "INSERT INTO members (account_id, user_id, role) VALUES ($1, $2, 'member')";
    sqlx::query(joined).bind(ada.account_id.0).bind(bob.user_id.0).execute(&app.state.db).await.expect("a member");
    let his = app.key(&NewAccount { account_id: ada.account_id, user_id: bob.user_id }, None).await;
    app.execute("UPDATE api_keys SET name = 'of bob'").await;
    let (hers, of_eve) = (app.key(&ada, None).await, app.key(&eve, None).await);
    for secret in [&hers.secret, &his.secret, &his.secret, &of_eve.secret] {
        assert_eq!(app.chat(secret, &chat("sandbox/echo", "hello")).await.status, 200);
    }
    app.until_settled().await;
    let of_bob = "SELECT sum(u.charge)::bigint FROM usage_records u JOIN api_keys k USING (key_id) WHERE k.name = 'of bob'";
    let charged = Tokens(app.number(of_bob).await).exact();
    let browser = app.browser_of(&ada).await;
    let calls = |page: &Page| page.html.matches("data-why=\"\"").count();

    // From the table to the calls, by the hour of a day, and into the file.
    let by_member = browser.get("/usage?range=7d&group=member").await;
    let of_bob = format!("/usage?range=7d&group=member&member={}", bob.user_id);
    let link = format!("<a href=\"{}\">bob@example.com</a>", of_bob.replace('&', "&amp;"));
    assert!(by_member.html.contains(&link) && calls(&by_member) == 3, "{}", by_member.html);
    let page = browser.get(&of_bob).await;
    assert!(calls(&page) == 2 && page.text().contains(&charged) && page.text().contains("of bob"), "{}", page.text());
    assert!(page.html.contains(&format!("<option value=\"{}\" selected>bob@example.com</option>", bob.user_id)), "{}", page.html);
    assert!(page.html.contains("name=\"member\""), "the form sends it on: {}", page.html);
    let today = Utc::now().format("%Y-%m-%d");
    let finer = format!("/usage?from={today}&to={today}&group=member&member={}", bob.user_id);
    assert!(page.html.contains(&finer.replace('&', "&amp;")), "{}", page.html);
    let day = browser.get(&finer).await;
    assert!(calls(&day) == 2 && day.html.contains(&format!("Z&amp;group=member&amp;member={}", bob.user_id)), "{}", day.html);
    let file = format!("/api/usage/export?range=7d&member={}", bob.user_id);
    assert!(page.html.contains(&file.replace('&', "&amp;")), "{}", page.html);
    assert_eq!(browser.get(&file).await.html.lines().count(), 1 + 2);

    let by_supplier = browser.get("/usage?group=supplier").await.html;
    assert!(by_supplier.contains("href=\"/usage?group=supplier&amp;supplier=sandbox\""), "{by_supplier}");
    let page = browser.get("/usage?supplier=sandbox").await;
    assert!(calls(&page) == 3 && page.html.contains("<option value=\"sandbox\" selected>"), "{}", page.html);
    let page = browser.get("/usage?supplier=nobody").await;
    let none = page.text();
    assert!(none.contains("No call here") && none.contains("Nothing in this time"), "{none}");
    assert!(page.html.contains("<option value=\"nobody\" selected>nobody</option>"), "it does not say all: {}", page.html);
    let stranger = browser.get(&format!("/usage?member={}", eve.user_id)).await;
    assert!(calls(&stranger) == 0 && !stranger.html.contains("eve@example.com"), "{}", stranger.html);
    assert!(stranger.html.contains(&format!("<option value=\"{0}\" selected>{0}</option>", eve.user_id)), "{}", stranger.html);
    assert_eq!(browser.get("/usage?member=bob").await.status, 404);

    // Whoever may look sees all of the account's calls, of whomever; nobody of another account sees any.
    let of_other = app.browser_of(&eve).await;
    let page = of_other.get(&of_bob).await;
    assert!(calls(&page) == 0 && !page.html.contains("bob@example.com") && !page.html.contains("of bob"), "{}", page.html);
    assert_eq!(of_other.get(&file).await.html.lines().count(), 1, "its head");
    let mut tx = app.state.db.begin().await.expect("begin");
    for (role, user_id) in [("read_only", ada.user_id), ("owner", bob.user_id)] {
        let sql = "UPDATE members SET role = $1 WHERE account_id = $2 AND user_id = $3";
        sqlx::query(sql).bind(role).bind(ada.account_id.0).bind(user_id.0).execute(&mut *tx).await.expect("a role");
    }
    tx.commit().await.expect("commit");
    assert_eq!(calls(&browser.get(&of_bob).await), 2);
    app.stop().await;
}

#[sqlx::test]
async fn files_for_spreadsheets_say_first_that_they_are_unicode(db: PgPool) {
    let app = TestApp::start(db).await;
    let ada = app.customer("ada@example.com", 100_000).await;
    let browser = app.browser_of(&ada).await;
    for path in ["/api/usage/export", "/api/wallet/export", "/api/journal/export"] {
        // As bytes: what decodes a text takes the mark away.
        let request = http().get(app.url(path)).header("cookie", browser.cookie());
        let file = request.send().await.expect("an answer").bytes().await.expect("a file");
        let text = file.strip_prefix(b"\xEF\xBB\xBF").expect("a mark");
        assert!(text.first().is_some_and(u8::is_ascii_lowercase), "{path}: its head, and one mark");
    }
    app.stop().await;
}

#[sqlx::test]
async fn before_the_first_call_the_page_offers_what_whoever_looks_can_do(db: PgPool) {
    let app = TestApp::start(db).await;
    let (ada, eve) = (app.customer("ada@example.com", 0).await, app.customer("eve@example.com", 0).await);
    let browser = app.browser_of(&ada).await;
    // Whether it leads to keys, and to the first steps.
    let offers = async || -> (bool, bool) {
        let page = browser.get("/usage").await;
        assert!(page.text().contains("No call yet"), "{}", page.text());
        let main = page.html.split("<main").nth(1).and_then(|rest| rest.split("</main>").next()).expect("a page");
        (main.contains("href=\"/keys\""), main.contains("href=\"/docs/quickstart\""))
    };
    assert_eq!(offers().await, (true, false));
    app.key(&ada, None).await;
    assert_eq!(offers().await, (false, true));
    app.pass_on(&ada, &eve).await;
    assert_eq!(offers().await, (false, false));
    app.stop().await;
}
