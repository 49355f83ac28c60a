//! The `toki` command as others script it: every command of the contract, its JSON, its exit codes, its refusals.

use crate::support::client::http;
use crate::support::toki::Toki;
use serde_json::{Value, json};
use sqlx::PgPool;

const ADA: &str = "ada@example.com";

fn id(document: &Value, field: &str) -> String {
    document[field].as_str().unwrap_or_else(|| panic!("no {field} in {document}")).to_string()
}

/// The names of a document's fields, sorted.
fn fields(document: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = document.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

fn create_ada(toki: &Toki) -> Value {
    toki.json_with_input(&["account", "create", "--email", ADA, "--password-stdin"], "correct horse battery\n")
}

/// A supplier with a public channel and a model.
fn add_acme(toki: &Toki) {
    toki.json(&["supplier", "add", "--slug", "acme", "--name", "Acme"]);
    toki.json(&["channel", "add", "--supplier", "acme", "--base-url", "https://api.example.com/v1"]);
    let model = ["model", "add", "--id", "acme/large", "--supplier", "acme", "--upstream-id", "large-1"];
    toki.json(&[&model[..], &["--context", "8000", "--max-output", "1000", "--output-ppm", "3000000"]].concat());
}

#[sqlx::test]
async fn accounts_are_made_credited_shown_and_suspended(db: PgPool) {
    let toki = Toki::new(&db);
    let made = create_ada(&toki);
    assert_eq!(fields(&made), ["account_id", "user_id"]);
    add_acme(&toki);
    let credit = toki.json(&["account", "credit", "--email", ADA, "--tokens", "1,000", "--valid-for", "30d", "--note", "hello"]);
    assert_eq!(fields(&credit), ["grant_id"]);
    toki.json(&["account", "credit", "--email", ADA, "--tokens", "5", "--suppliers", "acme"]);

    let shown = toki.json(&["account", "show", "--email", "ADA@example.com"]);
    for (field, tokens) in [("granted", 1005), ("spent", 0), ("held", 0), ("left", 1005), ("expired", 0), ("refunded", 0)] {
        assert_eq!(shown[field], json!(tokens), "{field}");
    }
    let grants = shown["grants"].as_array().expect("grants");
    let first = grants.iter().find(|grant| grant["grant_id"] == credit["grant_id"]).expect("the credit");
    assert_eq!(
        (&first["source"], &first["tokens"], &first["left"], &first["held"]),
        (&json!("credit"), &json!(1000), &json!(1000), &json!(0))
    );
    let days_left = sqlx::query_scalar::<_, i32>("SELECT extract(day FROM ($1::timestamptz - now()))::int")
        .bind(first["expires_at"].as_str().expect("a time"))
        .fetch_one(&db)
        .await;
    assert_eq!(days_left.expect("days"), 29, "30 days less a moment");
    assert!(toki.text(&["account", "show", "--email", ADA]).contains("1,005"));

    assert_eq!(toki.json(&["account", "suspend", "--email", ADA])["status"], "suspended");
    let suspended = "SELECT count(*) FROM accounts WHERE suspended_at IS NOT NULL";
    assert_eq!(sqlx::query_scalar::<_, i64>(suspended).fetch_one(&db).await.expect("count"), 1);
    assert_eq!(toki.json(&["account", "resume", "--email", ADA])["status"], "active");
    assert_eq!(sqlx::query_scalar::<_, i64>(suspended).fetch_one(&db).await.expect("count"), 0);

    toki.json_with_input(&["account", "create", "--email", "op@example.com", "--password-stdin", "--operator"], "correct horse battery");
    let operators = sqlx::query_scalar::<_, String>("SELECT email FROM users WHERE operator").fetch_all(&db).await;
    assert_eq!(operators.expect("operators"), ["op@example.com"]);
}

#[sqlx::test]
async fn keys_are_made_edited_and_ended(db: PgPool) {
    let toki = Toki::new(&db);
    create_ada(&toki);
    add_acme(&toki);
    let create = ["key", "create", "--email", ADA, "--name", "laptop", "--supplier", "acme", "--quota", "500"];
    let made = toki.json(&[&create[..], &["--expires", "2100-01-01T00:00:00Z"]].concat());
    assert_eq!(fields(&made), ["key_id", "secret"]);
    let (key_id, secret) = (id(&made, "key_id"), id(&made, "secret"));
    assert!(secret.starts_with("sk-toki-"));
    let (action, subject_id, deed) = sqlx::query_as::<_, (String, String, Value)>(
        "SELECT action, subject_id, to_jsonb(operator_actions) FROM operator_actions WHERE action LIKE 'key.%'",
    )
    .fetch_one(&db)
    .await
    .expect("an operator's deed");
    assert_eq!((action.as_str(), &subject_id, &deed["before"]), ("key.create", &key_id, &json!(null)));
    assert_eq!((&deed["after"]["name"], &deed["after"]["quota"]), (&json!("laptop"), &json!(500)));
    assert!(!deed.to_string().contains("sk-toki-"), "{deed}");

    let shown = toki.json(&["key", "show", &key_id]);
    for (field, value) in [
        ("status", json!("enabled")),
        ("supplier", json!("acme")),
        ("quota", json!(500)),
        ("spent", json!(0)),
        ("held", json!(0)),
        ("expires_at", json!("2100-01-01T00:00:00Z")),
        ("last_used_at", json!(null)),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    assert!(!toki.text(&["key", "show", &key_id]).contains(&secret), "the secret is shown once");

    let rotated = toki.json(&["key", "rotate", &key_id, "--grace-hours", "1"]);
    assert!(rotated["key_id"] == key_id.as_str() && rotated["secret"] != secret.as_str());
    assert_ne!(toki.json(&["key", "show", &key_id])["hint"], shown["hint"]);

    toki.json(&["key", "edit", &key_id, "--name", "desk", "--quota", "none", "--expires", "none"]);
    let shown = toki.json(&["key", "show", &key_id]);
    assert_eq!((&shown["name"], &shown["quota"], &shown["expires_at"]), (&json!("desk"), &json!(null), &json!(null)));
    toki.json(&["key", "disable", &key_id]);
    assert_eq!(toki.json(&["key", "show", &key_id])["status"], "disabled");
    toki.json(&["key", "enable", &key_id]);
    assert_eq!(toki.json(&["key", "show", &key_id])["status"], "enabled");
    toki.json(&["key", "edit", &key_id, "--expires", "2020-01-01T00:00:00Z"]);
    assert_eq!(toki.json(&["key", "show", &key_id])["status"], "expired");
    toki.json(&["key", "delete", &key_id]);
    assert_eq!(toki.refusal(&["key", "show", &key_id]), "toki: no such key\n");
}

#[sqlx::test]
async fn suppliers_channels_and_models_are_added_listed_and_switched(db: PgPool) {
    let toki = Toki::new(&db).with("ACME_KEY", "sk-upstream-canary");
    assert_eq!(fields(&toki.json(&["supplier", "add", "--slug", "acme", "--name", "Acme"])), ["supplier_id"]);
    toki.json(&["supplier", "edit", "acme", "--name", "Acme AI"]);
    toki.json(&["supplier", "disable", "--slug", "acme"]);
    let supplier = &toki.json(&["supplier", "list"])["suppliers"][0];
    assert_eq!((&supplier["slug"], &supplier["name"], &supplier["status"]), (&json!("acme"), &json!("Acme AI"), &json!("disabled")));
    toki.json(&["supplier", "enable", "acme"]);
    assert!(toki.text(&["suppliers", "list"]).contains("enabled"));

    let add = ["channel", "add", "--supplier", "acme", "--base-url", "https://api.example.com/v1/"];
    let channel = toki.json(&[&add[..], &["--secret-env", "ACME_KEY", "--weight", "3", "--protocol", "anthropic"]].concat());
    let channel_id = id(&channel, "channel_id");
    let list = toki.run(&["channel", "list", "--json"]).stdout;
    assert!(!list.contains("canary"));
    let channel = &serde_json::from_str::<Value>(&list).expect("JSON")["channels"][0];
    assert_eq!(channel["base_url"], "https://api.example.com/v1");
    assert_eq!((&channel["weight"], &channel["protocol"], &channel["has_secret"]), (&json!(3), &json!("anthropic"), &json!(true)));
    toki.json(&["channel", "edit", &channel_id, "--weight", "5", "--no-secret"]);
    toki.json(&["channel", "disable", &channel_id]);
    let channel = &toki.json(&["channel", "list"])["channels"][0];
    assert_eq!((&channel["weight"], &channel["has_secret"], &channel["status"]), (&json!(5), &json!(false), &json!("disabled")));
    toki.json(&["channel", "enable", &channel_id]);

    let add = ["model", "add", "--id", "acme/large", "--supplier", "acme", "--upstream-id", "large-1"];
    toki.json(&[&add[..], &["--context", "8000", "--max-output", "1000", "--input-ppm", "2000000", "--cached-ppm", "500000"]].concat());
    toki.json(&["model", "edit", "acme/large", "--output-ppm", "4000000"]);
    toki.json(&["model", "disable", "--id", "acme/large"]);
    let model = &toki.json(&["model", "list"])["models"][0];
    for (field, value) in [
        ("model_id", json!("acme/large")),
        ("supplier", json!("acme")),
        ("input_ppm", json!(2_000_000)),
        ("cached_ppm", json!(500_000)),
        ("output_ppm", json!(4_000_000)),
        ("price_version", json!(2)),
        ("status", json!("disabled")),
    ] {
        assert_eq!(model[field], value, "{field}");
    }
    toki.json(&["model", "enable", "acme/large"]);
}

#[sqlx::test]
async fn packages_are_added_listed_edited_and_taken_off_sale(db: PgPool) {
    let toki = Toki::new(&db);
    add_acme(&toki);
    let add = ["package", "add", "--name", "Starter", "--tokens", "1000000", "--price", "500", "--currency", "usd"];
    let made = toki.json(&[&add[..], &["--valid-for", "30d", "--suppliers", "acme"]].concat());
    assert_eq!(fields(&made), ["package_id"]);
    let package_id = id(&made, "package_id");
    toki.json(&["package", "edit", &package_id, "--price", "700", "--valid-for", "12h"]);
    toki.json(&["package", "disable", &package_id]);
    let package = &toki.json(&["package", "list"])["packages"][0];
    for (field, value) in [
        ("name", json!("Starter")),
        ("tokens", json!(1_000_000)),
        ("price_minor", json!(700)),
        ("currency", json!("usd")),
        ("valid_for_s", json!(43_200)),
        ("status", json!("disabled")),
    ] {
        assert_eq!(package[field], value, "{field}");
    }
    toki.json(&["package", "enable", "--id", &package_id]);
    let limits =
        [("3", "30d", json!(3), json!(2_592_000)), ("2", "none", json!(2), json!(null)), ("none", "none", json!(null), json!(null))];
    for (limit, period, stored_limit, stored_period) in limits {
        toki.json(&["package", "edit", &package_id, "--purchase-limit", limit, "--limit-period", period]);
        let package = &toki.json(&["package", "list"])["packages"][0];
        assert_eq!((&package["purchase_limit"], &package["limit_period_s"]), (&stored_limit, &stored_period), "{limit} {period}");
    }
    for (window, stored) in [("14d", json!(1_209_600)), ("none", json!(null))] {
        toki.json(&["package", "edit", &package_id, "--refund-window", window]);
        assert_eq!(toki.json(&["package", "list"])["packages"][0]["refund_window_s"], stored);
    }
    assert!(toki.refusal(&["package", "edit", &package_id, "--limit-period", "7d"]).contains("nothing without a purchase limit"));
    toki.wrong_usage(&["package", "edit", &package_id, "--purchase-limit", "0"]);
    toki.wrong_usage(&[&add[..], &["--valid-for", "30d", "--limit-period", "7d"]].concat());
    let text = toki.text(&["package", "list"]);
    assert!(text.contains("$7.00") && text.contains("12 hours") && text.contains("on_sale"), "{text}");
    let again = toki.refusal(&[&add[..], &["--valid-for", "30d"]].concat());
    assert_eq!(again, "toki: a package with this name exists\n");
}

#[sqlx::test]
async fn failures_are_one_line_and_exit_1(db: PgPool) {
    let toki = Toki::new(&db);
    for args in [
        &["account", "show", "--email", "nobody@example.com"][..],
        &["account", "credit", "--email", "nobody@example.com", "--tokens", "1"],
        &["account", "suspend", "--email", "nobody@example.com", "--json"],
        &["key", "create", "--email", "nobody@example.com", "--name", "k"],
        &["usage", "--email", "nobody@example.com"],
        &["audit", "--account", "nobody@example.com"],
    ] {
        assert_eq!(toki.refusal(args), "toki: no account of nobody@example.com\n", "{args:?}");
    }
    create_ada(&toki);
    add_acme(&toki);
    let channel = |url| ["channel", "add", "--supplier", "acme", "--base-url", url];
    for (args, line) in [
        (&["supplier", "add", "--slug", "acme", "--name", "Again"][..], "a supplier with this slug exists"),
        (&["supplier", "disable", "nobody"], "no such supplier"),
        (&["model", "disable", "acme/none"], "no such model"),
        (&channel("http://169.254.169.254/v1"), "169.254.169.254 is not a public address"),
        (&channel("http://127.0.0.1:9/v1"), "TOKI_SUPPLIER_NETWORKS"),
        (&channel("https://api.example.com:22/v1"), "port 22 is not one that models are served on"),
        (&channel("http://8.8.8.8:6379/v1"), "port 6379 is not one that models are served on"),
        (&channel("https://user:pw@api.example.com"), "user"),
        (&[&channel("https://api.example.org")[..], &["--secret-env", "NOT_SET"]].concat(), "NOT_SET is not set"),
        (&["account", "credit", "--email", ADA, "--tokens", "5", "--suppliers", "acme,nobody"], "no supplier nobody"),
        (&["account", "credit", "--email", ADA, "--tokens", "0"], "a credit is 1 to"),
        (&["key", "disable", "018f0000-0000-7000-8000-000000000000"], "no such key"),
        (&["package", "disable", "018f0000-0000-7000-8000-000000000000"], "no such package"),
    ] {
        let refusal = toki.refusal(args);
        assert!(refusal.contains(line), "{args:?}: {refusal}");
    }
    for (password, line) in [("short", "at least 8"), ("", "Enter a password"), ("two\nlines of it\n", "one line")] {
        let ran = toki.run_with_input(&["account", "create", "--email", "bob@example.com", "--password-stdin"], password);
        assert!(ran.code == Some(1) && ran.stderr.contains(line) && ran.stderr.lines().count() == 1, "{ran:?}");
    }
    let again = toki.run_with_input(&["account", "create", "--email", ADA, "--password-stdin"], "correct horse battery");
    assert_eq!((again.code, again.stderr.as_str()), (Some(1), "toki: a user with this e-mail exists\n"));
}

#[sqlx::test]
async fn wrong_usage_exits_2(db: PgPool) {
    let toki = Toki::new(&db);
    for args in [
        &[][..],
        &["nonsense"],
        &["account"],
        &["account", "show"],
        &["account", "show", "--email", "not-an-address"],
        &["account", "create", "--email", ADA],
        &["account", "create", "--email", ADA, "--password", "argument"],
        &["account", "credit", "--email", ADA, "--tokens", "-5"],
        &["account", "credit", "--email", ADA, "--tokens", "1.5"],
        &["account", "credit", "--email", ADA, "--tokens", "5", "--valid-for", "30"],
        &["key", "show"],
        &["key", "show", "not-an-id"],
        &["key", "create", "--email", ADA, "--name", ""],
        &["key", "create", "--email", ADA, "--name", "k", "--expires", "tomorrow"],
        &["key", "edit", "018f0000-0000-7000-8000-000000000000", "--quota", "lots"],
        &["channel", "add", "--supplier", "a", "--base-url", "https://a.example", "--weight", "0"],
        &["channel", "add", "--supplier", "a", "--base-url", "https://a.example", "--protocol", "soap"],
        &["supplier", "disable"],
        &["spool"],
        &["package", "add", "--name", "P", "--tokens", "1", "--price", "1", "--currency", "dollar", "--valid-for", "30d"],
        &["usage", "--email", ADA, "--csv", "--json"],
    ] {
        assert!(!toki.wrong_usage(args).is_empty(), "{args:?}");
    }
    let help = toki.run(&["--help"]);
    assert!(help.code == Some(0) && help.stdout.contains("audit") && !help.stdout.contains("demo"), "{help:?}");
}

#[sqlx::test]
async fn configuration_is_checked_first(db: PgPool) {
    let unknown = Toki::new(&db).with("TOKI_TYPO", "1");
    for args in [&["account", "show", "--email", ADA][..], &["migrate"], &["serve"], &["audit", "--json"]] {
        assert_eq!(unknown.refusal(args), "toki: TOKI_TYPO is not a variable of toki; see README for the list\n", "{args:?}");
    }
    let elsewhere = Toki::new(&db).with("DATABASE_URL", "postgres://toki@localhost/toki?host=/nowhere");
    assert!(elsewhere.refusal(&["migrate"]).starts_with("toki: the database cannot be reached: "));
    let production = Toki::new(&db).with("TOKI_ENV", "production").with("TOKI_PUBLIC_URL", "https://toki.example");
    assert!(production.refusal(&["serve", "--sandbox"]).contains("--sandbox is refused"));
    assert!(production.refusal(&["demo"]).contains("refused in production"));
    let doctor = unknown.run(&["doctor", "--json"]);
    let document: Value = serde_json::from_str(&doctor.stdout).expect("JSON");
    assert_eq!((doctor.code, &document["ok"], &document["checks"][0]["status"]), (Some(1), &json!(false), &json!("fail")));
}

#[sqlx::test(migrations = false)]
async fn migrate_brings_an_empty_database_up_to_date(db: PgPool) {
    // `make test` has the whole schema in what databases are copies of.
    sqlx::raw_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public").execute(&db).await.expect("an empty database");
    let toki = Toki::new(&db);
    for args in [&["serve"][..], &["account", "show", "--email", ADA], &["audit"]] {
        assert!(toki.refusal(args).contains("pending; run `toki migrate`"), "{args:?}");
    }
    let doctor = toki.run(&["doctor"]);
    assert!(doctor.code == Some(1) && doctor.stdout.contains("FAIL  migrations"), "{doctor:?}");
    let applied = toki.json(&["migrate"])["applied"].as_u64().expect("a number");
    assert!(applied >= 5);
    assert_eq!(toki.json(&["migrate"]), json!({ "applied": 0 }));
    assert_eq!(toki.text(&["audit"]), "ok: 0 accounts, 0 grants, 0 ledger entries, 0 usage records\n");

    sqlx::query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99999999999999, 'later', true, '', 0)")
        .execute(&db)
        .await
        .expect("a later migration");
    assert!(toki.refusal(&["serve"]).contains("migrated by another version"));
}

#[sqlx::test]
async fn audit_names_each_difference_and_exits_1(db: PgPool) {
    let toki = Toki::new(&db);
    create_ada(&toki);
    toki.json(&["account", "credit", "--email", ADA, "--tokens", "10"]);
    let clean = json!({ "ok": true, "accounts": 1, "grants": 1, "ledger_entries": 1, "usage_records": 0, "differences": [] });
    assert_eq!(toki.json(&["audit"]), clean);
    assert_eq!(toki.json(&["audit", "--account", ADA]), clean);
    sqlx::query("UPDATE grants SET left_ = 9, spent = 1").execute(&db).await.expect("corruption");
    let ran = toki.run(&["audit", "--account", ADA]);
    assert_eq!((ran.code, ran.stdout.lines().count(), ran.stderr.as_str()), (Some(1), 2, "toki: the audit found 2 differences\n"));
    let ran = toki.run(&["audit", "--json"]);
    let document: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((ran.code, &document["ok"]), (Some(1), &json!(false)));
    assert_eq!(fields(&document["differences"][0]), ["expected", "found", "subject", "what"]);
}

#[sqlx::test]
async fn a_reader_that_left_is_no_failure(db: PgPool) {
    let ran = Toki::new(&db).run_into_closed_pipe(&["supplier", "list"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}

/// From nothing to a served call, as `make run` goes: demo data, a call with its key, the books, the end.
#[sqlx::test]
async fn demo_serve_and_the_books_afterwards(db: PgPool) {
    let toki = Toki::new(&db);
    let served = toki.serve(&["--sandbox"]);
    let toki = Toki::new(&db).with("TOKI_PUBLIC_URL", &served.url);
    let demo = toki.json(&["demo"]);
    assert_eq!(toki.json(&["demo"]), demo, "a second run finds what the first made");
    let (url, key) = (id(&demo, "url"), id(&demo, "key"));
    assert!(url == served.url && id(&demo, "curl").contains(&format!("{url}/v1/chat/completions")));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(toki.folder().join(".data/demo.json")).expect("file").permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(toki.json(&["package", "list"])["packages"].as_array().expect("packages").len(), 3);

    // A second call finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let call = json!({ "model": "sandbox/echo", "messages": [{ "role": "user", "content": "Hello" }] });
    let request = http().post(format!("{url}/v1/chat/completions")).bearer_auth(&key);
    let answer = request.header("content-type", "application/json").body(call.to_string()).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let body = answer.text().await.expect("a body");
    assert!(body.contains("Hello"), "{body}");

    let doctor = toki.json(&["doctor"]);
    assert!(
        doctor["checks"].as_array().expect("checks").iter().all(|check| check["name"] == "payments" || check["status"] == "ok"),
        "{doctor}"
    );
    let customer = id(&demo["customer"], "email");
    let usage = toki.json(&["usage", "--email", &customer, "--since", "2020-01-01T00:00:00Z"]);
    let record = &usage["usage"][0];
    assert_eq!((&record["model_id"], &record["outcome"]), (&json!("sandbox/echo"), &json!("ok")));
    let csv = toki.text(&["usage", "--email", &customer, "--key", record["key_id"].as_str().expect("key"), "--csv"]);
    assert!(csv.starts_with("request_id,started_at,") && csv.lines().count() == 2, "{csv}");
    let shown = toki.json(&["account", "show", "--email", &customer]);
    assert_eq!(shown["spent"], record["charge"]);
    assert_eq!(toki.json(&["audit"])["usage_records"], 1);
    assert_eq!(served.terminate(), Some(0), "SIGTERM ends it in order");
    assert!(toki.text(&["doctor"]).contains("it answers while `toki serve --sandbox` runs"));
}

#[sqlx::test]
async fn demo_remakes_what_is_missing(db: PgPool) {
    let toki = Toki::new(&db);
    let first = toki.json(&["demo"]);
    let text = toki.text(&["demo"]);
    assert!(text.contains(&id(&first["customer"], "password")) && text.contains("curl"), "{text}");
    std::fs::remove_file(toki.folder().join(".data/demo.json")).expect("remove");
    let second = toki.json(&["demo"]);
    assert_ne!(first["customer"]["password"], second["customer"]["password"]);
    assert_ne!(first["key"], second["key"]);
    sqlx::query("UPDATE api_keys SET status = 'disabled'").execute(&db).await.expect("disable");
    assert_ne!(second["key"], toki.json(&["demo"])["key"], "the key that is printed works");
    let shown = toki.json(&["account", "show", "--email", "demo@toki.example"]);
    assert_eq!(shown["granted"], 100_000, "credited once");
    assert_eq!(toki.json(&["audit"])["ok"], true);
}
