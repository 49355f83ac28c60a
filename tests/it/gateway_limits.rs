//! What limits calls beside Tokens: rates, calls at once, quotas of a period, lists of models and networks. Decided in the database,
//! so the limits of one key hold on all replicas together.

use crate::support::app::{TestApp, another_pool};
use crate::support::client::{Answer, chat};
use crate::support::endpoints::ALL;
use crate::support::scripted::Scripted;
use crate::support::toki::Toki;
use serde_json::{Value, json};
use sqlx::PgPool;

/// A call of 5 Tokens: 4 for the prompt, 1 for the answer.
fn short() -> Value {
    let mut body = chat("sandbox/echo", "hi");
    body["max_tokens"] = json!(1);
    body
}

#[sqlx::test]
async fn requests_a_minute_are_counted_over_all_replicas(db: PgPool) {
    let (one, two) = (TestApp::start(another_pool(&db).await).await, TestApp::start(db).await);
    let customer = one.customer("rate@example.com", 10_000).await;
    let (limited, free) = (one.key(&customer, None).await, one.key(&customer, None).await);
    one.execute("UPDATE api_keys SET requests_per_minute = 10 WHERE created_at = (SELECT min(created_at) FROM api_keys)").await;
    let body = short();
    let calls = (0..30).map(|n| if n % 2 == 0 { one.chat(&limited.secret, &body) } else { two.chat(&limited.secret, &body) });
    let answers = futures::future::join_all(calls).await;
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    // One comes back every 6 s; the machine may be that slow.
    assert!((10..=12).contains(&served), "{served}");
    for answer in &answers {
        assert_eq!(answer.header("x-ratelimit-limit-requests"), "10");
        assert!(answer.header("x-ratelimit-remaining-requests").parse::<i64>().expect("a number") < 10);
        assert!(answer.header("x-ratelimit-reset-requests").ends_with('s'));
        assert_eq!(answer.header("x-ratelimit-limit-tokens"), "");
        if answer.status == 429 {
            assert_eq!([answer.error("type"), answer.error("code")], ["rate_limit_error", "rate_limit_exceeded"]);
            assert!((1..=6).contains(&answer.header("retry-after").parse().expect("seconds")), "{}", answer.header("retry-after"));
            assert_eq!(answer.header("x-should-retry"), "");
        }
    }
    let answer = one.chat(&free.secret, &body).await;
    assert_eq!((answer.status, answer.header("x-ratelimit-limit-requests")), (200, ""), "another key is not limited");

    one.execute("UPDATE accounts SET requests_per_minute = 1").await;
    assert_eq!(two.chat(&free.secret, &body).await.status, 200);
    assert_eq!(one.chat(&free.secret, &body).await.error("code"), "rate_limit_exceeded", "all keys of an account together");
    one.assert_exact().await;
    one.stop().await;
    two.stop().await;
}

#[sqlx::test]
async fn tokens_a_minute_count_what_is_held_and_then_what_was_spent(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("tokens@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    app.execute("UPDATE api_keys SET tokens_per_minute = 1000").await;
    app.execute("UPDATE accounts SET tokens_per_minute = 1000").await;
    // Its hold is most of the minute, of the key and of the account, and it gives back what it does not spend.
    let mut body = chat("sandbox/echo", "hi");
    body["max_tokens"] = json!(800);
    for round in 0..5 {
        let answer = app.chat(&key.secret, &body).await;
        assert_eq!((answer.status, answer.header("x-ratelimit-limit-tokens")), (200, "1000"), "round {round}: {}", answer.text);
    }
    app.execute("UPDATE accounts SET tokens_per_minute = NULL").await;
    body["stream"] = json!(true);
    body["sandbox"] = json!({"words": 700, "pace_ms": 20});
    let (_, stream) = app.begin_stream(&key.secret, &body).await;
    body["stream"] = json!(false);
    let refused = app.chat(&key.secret, &body).await;
    assert_eq!((refused.status, refused.error("code").as_str()), (429, "rate_limit_exceeded"), "{}", refused.text);
    assert!(refused.error("message").contains("Tokens"));
    drop(stream);
    app.assert_exact().await;

    app.execute("UPDATE api_keys SET tokens_per_minute = 10, tokens_full_at = NULL").await;
    assert_eq!(
        app.chat(&key.secret, &chat("sandbox/echo", "hi")).await.status,
        200,
        "larger than a whole minute, of which nothing is used"
    );
    app.stop().await;
}

#[sqlx::test]
async fn calls_at_once_are_given_back_however_they_end(db: PgPool) {
    let (one, two) = (TestApp::start(another_pool(&db).await).await, TestApp::start(db).await);
    let customer = one.customer("many@example.com", 100_000).await;
    let (key, other) = (one.key(&customer, None).await, one.key(&customer, None).await);
    one.execute("UPDATE api_keys SET concurrent_calls = 2").await;
    let mut body = chat("sandbox/echo", "hi");
    body["stream"] = json!(true);
    body["sandbox"] = json!({"words": 2_000, "pace_ms": 20});
    let (_, first) = one.begin_stream(&key.secret, &body).await;
    let (_, second) = two.begin_stream(&key.secret, &body).await;
    for app in [&one, &two] {
        let refused = app.chat(&key.secret, &short()).await;
        assert_eq!((refused.status, refused.error("code").as_str(), refused.header("retry-after")), (429, "rate_limit_exceeded", "1"));
    }
    assert_eq!(one.chat(&other.secret, &short()).await.status, 200);
    one.execute("UPDATE accounts SET concurrent_calls = 2").await;
    assert_eq!(one.chat(&other.secret, &short()).await.status, 429, "all keys of an account together");
    drop((first, second));
    one.until("SELECT sum(running)::bigint FROM api_keys", |running| running == 0).await;
    assert_eq!(two.chat(&key.secret, &short()).await.status, 200);
    // A failure gives its place back too.
    assert_eq!(one.chat(&key.secret, &chat("sandbox/error", "hi")).await.status / 100, 5);
    one.assert_exact().await;
    assert_eq!(one.number("SELECT sum(running)::bigint FROM api_keys").await, 0);
    one.stop().await;
    two.stop().await;
}

#[sqlx::test]
async fn a_quota_of_a_period_is_exact_and_begins_anew(db: PgPool) {
    let app = TestApp::start(db.clone()).await;
    let customer = app.customer("daily@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    assert_eq!(app.chat(&key.secret, &short()).await.status, 200, "5 Tokens, before there is a quota");
    let toki = Toki::new(&db);
    let key_id = app.text("SELECT key_id::text FROM api_keys").await;
    toki.json(&["key", "edit", &key_id, "--quota-per", "day:35", "--time-zone", "Asia/Shanghai"]);
    let calls = (0..20).map(|_| app.post("/v1/chat/completions", &key.secret, &CALL));
    let answers = futures::future::join_all(calls).await;
    app.assert_exact().await;
    let used = app.number("SELECT period_used FROM api_keys").await;
    assert!(used <= 35 && used % 5 == 0 && used == app.number("SELECT spent FROM api_keys").await, "{used}");
    let refused = answers.iter().find(|answer| answer.status == 429).expect("20 calls of 5 Tokens are more than 35");
    assert_eq!(refused.error("code"), "insufficient_quota");
    assert_eq!(refused.header("x-should-retry"), "false");
    // Midnight in Shanghai is 16:00 UTC.
    assert!(refused.error("message").contains("T16:00:00Z"), "{}", refused.text);
    let told = app.get("/v1/key", &key.secret).await.json();
    assert_eq!(told["period"]["quota"], 35);
    assert_eq!(told["period"]["used"], used);

    // All that was is a day ago: the period, its calls, and what adds them up.
    sqlx::raw_sql(
        "SET LOCAL session_replication_role = replica;
         UPDATE api_keys SET period_began = period_began - interval '1 day';
         UPDATE usage_records SET started_at = started_at - interval '1 day', recorded_at = recorded_at - interval '1 day';
         DELETE FROM usage_totals;
         INSERT INTO usage_totals
         SELECT r.account_id, u.unit, date_trunc(u.unit, r.started_at, 'UTC'), r.key_id, r.model_id, r.supplier_id, count(*),
                count(*) FILTER (WHERE is_failure(r.outcome)), sum(r.input_tokens), sum(r.cached_tokens), sum(r.output_tokens),
                sum(r.charge)
           FROM usage_records r CROSS JOIN (VALUES ('hour'), ('day')) AS u (unit)
          GROUP BY 1, 2, 3, 4, 5, 6",
    )
    .execute(&app.state.db)
    .await
    .expect("a day passes");
    assert_eq!(app.chat(&key.secret, &short()).await.status, 200, "the next day");
    app.assert_exact().await;
    assert_eq!(app.number("SELECT period_used FROM api_keys").await, 5);
    assert!(toki.refusal(&["key", "edit", &key_id, "--time-zone", "Nowhere/Town", "--quota-per", "week:1"]).contains("time zone"));
    app.stop().await;
}

static CALL: std::sync::LazyLock<Value> = std::sync::LazyLock::new(short);

#[sqlx::test]
async fn a_key_may_be_for_some_models_and_networks_only(db: PgPool) {
    let app = TestApp::start(db.clone()).await;
    let customer = app.customer("lists@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    let toki = Toki::new(&db);
    let key_id = app.text("SELECT key_id::text FROM api_keys").await;
    toki.json(&["key", "edit", &key_id, "--models", "sandbox/echo", "--networks", "127.0.0.0/8,2001:db8::1"]);
    assert_eq!(app.chat(&key.secret, &short()).await.status, 200);
    let refused = app.chat(&key.secret, &chat("sandbox/slow", "hi")).await;
    assert_eq!((refused.status, refused.error("code").as_str()), (404, "model_not_found"));
    let listed = app.get("/v1/models", &key.secret).await.json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "{listed}");

    toki.json(&["key", "edit", &key_id, "--models", "none", "--networks", "203.0.113.0/24"]);
    let refused = app.chat(&key.secret, &chat("sandbox/slow", "hi")).await;
    assert_eq!((refused.status, refused.error("code").as_str()), (403, "ip_not_allowed"));
    for path in ["/v1/key", "/v1/models", "/v1/receipts/x"] {
        assert_eq!(app.get(path, &key.secret).await.error("code"), "ip_not_allowed", "{path}");
    }
    toki.json(&["key", "edit", &key_id, "--networks", "none"]);
    assert_eq!(app.chat(&key.secret, &short()).await.status, 200);
    assert!(toki.refusal(&["key", "edit", &key_id, "--models", "nobody/nothing"]).contains("no such model"));
    assert_eq!(toki.json(&["key", "show", &key_id])["limits"]["models"], json!([]));
    app.stop().await;
}

/// Every endpoint that spends Tokens has its answers marked.
#[sqlx::test]
async fn every_endpoint_says_what_limits_it(db: PgPool) {
    let app = TestApp::start(db.clone()).await;
    Scripted::start(&app).await;
    let customer = app.customer("all@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    let limits = ["account", "limit", "--email", "all@example.com", "--requests-per-minute", "5", "--tokens-per-minute", "90000"];
    assert_eq!(Toki::new(&db).json(&limits)["requests_per_minute"], 5);
    for endpoint in ALL {
        let answer = app.post(endpoint.path, &key.secret, &endpoint.call(json!({"status": 500}))).await;
        let headers = ["x-ratelimit-limit-requests", "x-ratelimit-limit-tokens"].map(|name| answer.header(name).to_string());
        assert_eq!(headers, ["5", "90000"], "{} {}: {}", endpoint.path, answer.status, answer.text);
    }
    app.stop().await;
}

/// Of what wallet, quota, period and member leave the least: of a lone call, and of many at once.
#[sqlx::test]
async fn an_answer_says_what_the_tightest_limit_leaves(db: PgPool) {
    let app = TestApp::start(db.clone()).await;
    let customer = app.customer("left@example.com", 1_000).await;
    let key = app.key(&customer, None).await;
    let (toki, key_id) = (Toki::new(&db), app.text("SELECT key_id::text FROM api_keys").await);
    let remaining = async || app.chat(&key.secret, &short()).await.header("x-toki-remaining-tokens").to_string();
    assert_eq!(remaining().await, "995", "of the wallet");
    toki.json(&["key", "edit", &key_id, "--quota", "900"]);
    assert_eq!(remaining().await, "890", "of the key");
    toki.json(&["key", "edit", &key_id, "--quota-per", "day:500"]);
    assert_eq!(remaining().await, "485", "of its period");
    app.execute("UPDATE members SET quota = 300").await;
    assert_eq!(remaining().await, "280", "of its member");
    app.execute("UPDATE members SET month_quota = 200").await;
    assert_eq!(remaining().await, "175", "of its member's month");
    let answers = futures::future::join_all((0..20).map(|_| app.chat(&key.secret, &CALL))).await;
    for answer in answers.iter().filter(|answer| answer.status == 200) {
        let left: i64 = answer.header("x-toki-remaining-tokens").parse().expect("a number");
        assert!((0..=170).contains(&left), "{left}");
    }
    app.assert_exact().await;
    let spent = app.number("SELECT spent FROM api_keys").await;
    assert_eq!(remaining().await, (200 - spent - 5).to_string());
    app.execute("UPDATE members SET quota = NULL, month_quota = NULL").await;
    assert_eq!(remaining().await, (500 - spent - 10).to_string());
    app.assert_exact().await;
    app.stop().await;
}

/// What is refused for want of Tokens, and what costs none, is told of rates as well.
#[sqlx::test]
async fn other_replies_to_a_key_say_what_limits_it_too(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("replies@example.com", 100_000).await;
    let key = app.key(&customer, Some(2)).await;
    let paths = ["/v1/key", "/v1/models", "/v1/models/sandbox/echo", "/v1/models/sandbox/none", "/v1/receipts/none"];
    let limits = |answer: &Answer| {
        ["limit-requests", "remaining-requests", "limit-tokens"].map(|name| answer.header(&format!("x-ratelimit-{name}")).to_string())
    };
    for path in paths {
        assert_eq!(limits(&app.get(path, &key.secret).await), ["", "", ""], "{path}");
    }
    app.execute("UPDATE api_keys SET requests_per_minute = 7").await;
    app.execute("UPDATE accounts SET requests_per_minute = 9, tokens_per_minute = 90000").await;
    let refused = app.chat(&key.secret, &short()).await;
    assert_eq!((refused.status, refused.error("code").as_str()), (429, "insufficient_quota"));
    assert_eq!(limits(&refused), ["7", "7", "90000"], "nothing of the minute was used");
    for path in paths {
        let answer = app.get(path, &key.secret).await;
        assert_eq!(limits(&answer), ["7", "7", "90000"], "{path}: {}", answer.status);
    }
    app.stop().await;
}

/// So is what is refused before the limits are come to, and what was sent before.
#[sqlx::test]
async fn refusals_and_repeats_say_what_limits_the_key_too(db: PgPool) {
    let app = TestApp::start_with(db, |config| config.limits.body_bytes = 1 << 20).await;
    let customer = app.customer("refusals@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    app.execute("UPDATE api_keys SET requests_per_minute = 7").await;
    app.execute("UPDATE accounts SET requests_per_minute = 9, tokens_per_minute = 90000").await;
    let limits = |answer: &Answer| {
        ["limit-requests", "remaining-requests", "limit-tokens"].map(|name| answer.header(&format!("x-ratelimit-{name}")).to_string())
    };
    app.execute("UPDATE channels SET status = 'disabled' WHERE protocol = 'anthropic'").await;
    let mut messages = chat("sandbox/echo", "hi");
    messages["max_tokens"] = json!(5);
    let large = chat("sandbox/echo", &"x".repeat(2 << 20)).to_string();
    for (status, path, body) in [
        (400, "/v1/chat/completions", "{".to_string()),
        (413, "/v1/chat/completions", large),
        (404, "/v1/chat/completions", chat("sandbox/none", "hi").to_string()),
        (404, "/v1/messages", messages.to_string()),
    ] {
        let answer = app.post_text(path, Some(&key.secret), body).await;
        assert_eq!((answer.status, limits(&answer)), (status, ["7", "7", "90000"].map(String::from)), "{path}: {}", answer.text);
    }
    let nobody = toki::keys::secret::KeySecret::generate();
    let unknown = app.post_text("/v1/chat/completions", Some(nobody.expose()), "{".into()).await;
    assert_eq!((unknown.status, limits(&unknown)), (401, ["", "", ""].map(String::from)));

    let bearer = format!("Bearer {}", key.secret);
    let send = async |key: &str, body: &Value| {
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        app.post_with("/v1/chat/completions", &headers, body).await
    };
    let mut streamed = short();
    streamed["stream"] = json!(true);
    for (key, body) in [("whole", &short()), ("stream", &streamed)] {
        let first = send(key, body).await;
        assert_eq!(first.status, 200, "{}", first.text);
        app.until_settled().await;
    }
    let another = chat("sandbox/echo", "another");
    for (status, key, body) in [(200, "whole", &short()), (422, "whole", &another), (409, "stream", &streamed)] {
        let answer = send(key, body).await;
        let [requests, _, tokens] = limits(&answer);
        assert_eq!((answer.status, requests.as_str(), tokens.as_str()), (status, "7", "90000"), "{}", answer.text);
        assert!(answer.header("x-ratelimit-remaining-requests").parse::<i64>().expect("a number") < 7, "two of them ran");
    }
    app.assert_exact().await;
    app.stop().await;
}
