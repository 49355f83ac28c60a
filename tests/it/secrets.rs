//! Replacing TOKI_SECRET_KEY under servers that run: nothing that a customer has stops working, whatever ends the move half-way.

use crate::accounts::{is_member, sign_in};
use crate::accounts_two_factor::{Authenticator, turn_on};
use crate::console_keys::{create, secret_in};
use crate::support::app::{PASSWORD, SECRET_KEY, TestApp, TestKey, another_pool};
use crate::support::client::chat;
use crate::support::scripted::{MODEL, Scripted, script};
use crate::support::toki::Toki;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretBox;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::Duration;
use toki::server::config::Config;

const NEW_KEY: [u8; 32] = [8; 32];

fn replaced(config: &mut Config) {
    config.secret_key = SecretBox::new(Box::new(NEW_KEY));
    config.secret_key_old = Some(SecretBox::new(Box::new(SECRET_KEY)));
}

fn new_only(config: &mut Config) {
    config.secret_key = SecretBox::new(Box::new(NEW_KEY));
}

/// The command line of whoever replaces the key.
fn toki(db: &PgPool, old: Option<&[u8; 32]>) -> Toki {
    let toki = Toki::new(db).with("TOKI_SECRET_KEY", &STANDARD.encode(NEW_KEY));
    old.map_or(toki.clone(), |old| toki.with("TOKI_SECRET_KEY_OLD", &STANDARD.encode(old)))
}

fn secrets_check(doctor: &Value) -> Value {
    let checks = doctor["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == "secrets at rest").expect("a check").clone()
}

/// What a customer has, that keys have to do with.
struct Customer {
    key: TestKey,
    phone: Authenticator,
    recovery_codes: Vec<String>,
    code: String,
}

impl Customer {
    async fn of(app: &TestApp) -> Customer {
        let account = app.customer("ada@example.com", 1_000_000).await;
        let (phone, recovery_codes) = turn_on(&app.browser_of(&account).await).await;
        let made = Toki::new(&app.state.db).json(&["code", "create", "--tokens", "1000", "--uses", "9", "--reason", "a test"]);
        let code = made["codes"][0]["code"].as_str().expect("a code").to_string();
        Customer { key: app.key(&account, None).await, phone, recovery_codes, code }
    }

    /// Calls with the key, through a channel whose secret is sealed; signs in with both kinds of code.
    async fn lives(&self, app: &TestApp, supplier: &Scripted, recovery_code: usize) {
        let mut call = chat(MODEL, "Hello");
        call["script"] = script(
            &[
                r#"{"choices":[{"message":{"role":"assistant","content":"Hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#,
            ],
            "end",
        );
        let answer = app.chat(&self.key.secret, &call).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(supplier.last().headers["authorization"], "Bearer sk-acme-canary");
        app.execute("UPDATE two_factors SET last_step = last_step - 120").await;
        app.execute("DELETE FROM attempts").await;
        for given in [self.phone.code(), self.recovery_codes[recovery_code].clone()] {
            let browser = app.browser();
            sign_in(&browser, "ada@example.com", PASSWORD).await;
            browser.post("/api/accounts/sign_in_code", "/sign-in/code", &[("code", &given)]).await;
            assert!(is_member(&browser).await, "{given}");
        }
    }

    async fn redeems(&self, app: &TestApp) {
        let account = app.customer("bob@example.com", 0).await;
        let answer = app.browser_of(&account).await.post("/api/codes/redeem", "/wallet", &[("code", &self.code)]).await;
        assert!(answer.location.starts_with("/wallet?redeemed="), "{}", answer.location);
    }
}

#[sqlx::test]
async fn the_key_is_replaced_and_nobody_notices(db: PgPool) {
    let app = TestApp::start(another_pool(&db).await).await;
    let supplier = Scripted::start(&app).await;
    for channel_id in channels(&db).await {
        let acme = Toki::new(&db).with("ACME", "sk-acme-canary").with("TOKI_SUPPLIER_NETWORKS", "127.0.0.0/8");
        acme.json(&["channel", "edit", &channel_id, "--secret-env", "ACME"]);
    }
    let customer = Customer::of(&app).await;
    customer.lives(&app, &supplier, 0).await;

    // Replicas with both keys take over while one with the old key still runs.
    let both = TestApp::start_with(another_pool(&db).await, replaced).await;
    customer.lives(&both, &supplier, 1).await;
    customer.lives(&app, &supplier, 2).await;
    app.stop().await;

    let toki = toki(&db, Some(&SECRET_KEY));
    let found = secrets_check(&serde_json::from_str(&toki.run(&["doctor", "--json"]).stdout).expect("JSON"));
    assert_eq!(found["status"], "warn", "{found}");
    assert!(found["remedy"].as_str().expect("a remedy").contains("toki secrets rotate"), "{found}");
    let dry = toki.json(&["secrets", "rotate", "--dry-run"]);
    let done = toki.json(&["secrets", "rotate"]);
    assert_eq!((&dry["dry_run"], &dry["columns"]), (&json!(true), &done["columns"]), "a dry run counts what is done then");
    // Two of the supplier's, and two of the sandbox behind the first replica.
    assert_eq!(done["columns"][1], json!({"column": "channels.secret_sealed", "resealed": 4, "unopened": []}));
    assert_eq!(done["columns"][2]["resealed"], 1);
    assert_eq!(toki.json(&["secrets", "rotate"])["columns"][1]["resealed"], 0, "there is nothing left to do");
    assert!(toki.text(&["secrets", "rotate"]).contains("channels.secret_sealed"));
    customer.lives(&both, &supplier, 3).await;
    let found = secrets_check(&serde_json::from_str(&toki.run(&["doctor", "--json"]).stdout).expect("JSON"));
    assert!(found["remedy"].as_str().expect("a remedy").starts_with("unset it"), "{found}");
    both.stop().await;

    let new = TestApp::start_with(db, new_only).await;
    customer.lives(&new, &supplier, 4).await;
    customer.redeems(&new).await;
    assert_eq!(new.number("SELECT count(*) FROM mails WHERE given_up_at IS NOT NULL").await, 0);
    new.stop().await;
}

/// What is to be shown once is read by whichever replica the browser is sent to, of those with the old key alone, too.
#[sqlx::test]
async fn what_waits_to_be_shown_outlasts_the_key(db: PgPool) {
    let app = TestApp::start(another_pool(&db).await).await;
    let both = TestApp::start_with(another_pool(&db).await, replaced).await;
    let browser = app.browser_of(&app.customer("ada@example.com", 100_000).await).await;
    let elsewhere = both.browser_with_cookie(&browser.cookie());
    for (here, there) in [(&browser, &elsewhere), (&elsewhere, &browser)] {
        let path = create(here, "bot", "").await;
        let key_id = path.trim_start_matches("/keys/");
        let secret = secret_in(&there.get(&path).await.html).expect("a new key's secret");
        let form_key = uuid::Uuid::now_v7().to_string();
        let of_key = [("key_id", key_id), ("form_key", form_key.as_str()), ("secret", secret.as_str())];
        let tried = [&of_key[..], &[("model", "sandbox/echo"), ("prompt", "A riddle")]].concat();
        let answer = here.post("/api/keys/try", &path, &tried).await;
        assert!(answer.status == 302 && !answer.location.contains("__err="), "{}", answer.location);
        let page = there.get(&path).await;
        assert!(page.html.contains(">A riddle</textarea>"), "what came of a trial: {}", page.html);
        here.post("/api/keys/rotate", &path, &[("key_id", key_id), ("grace", "none")]).await;
        assert!(secret_in(&there.get(&path).await.html).is_some_and(|rotated| rotated != secret), "a rotated key's secret");
    }
    let path = create(&browser, "last", "").await;
    app.stop().await;
    both.stop().await;
    toki(&db, Some(&SECRET_KEY)).json(&["secrets", "rotate"]);
    let new = TestApp::start_with(db, new_only).await;
    let later = new.browser_with_cookie(&browser.cookie());
    assert!(secret_in(&later.get(&path).await.html).is_some(), "the old key is gone");
    new.stop().await;
}

async fn channels(db: &PgPool) -> Vec<String> {
    let sql = "SELECT channel_id::text FROM channels JOIN suppliers USING (supplier_id) WHERE slug = 'acme'";
    sqlx::query_scalar(sql).fetch_all(db).await.expect("channels")
}

#[sqlx::test]
async fn a_rotation_that_was_killed_is_run_again(db: PgPool) {
    let acme = Toki::new(&db).with("ACME", "sk-acme-canary");
    acme.json(&["supplier", "add", "--slug", "acme", "--name", "Acme"]);
    for n in 0..6 {
        let url = format!("https://api.example.com/v{n}");
        acme.json(&["channel", "add", "--supplier", "acme", "--base-url", &url, "--secret-env", "ACME"]);
    }
    // Somebody holds a row in the middle, so that the rotation is killed half-way.
    let mut holder = db.begin().await.expect("begin");
    let held = "SELECT 1 FROM channels WHERE channel_id = (SELECT channel_id FROM channels ORDER BY 1 OFFSET 3 LIMIT 1) FOR UPDATE";
    sqlx::query(held).execute(&mut *holder).await.expect("held");
    let toki = toki(&db, Some(&SECRET_KEY));
    let mut rotation = toki.start(&["secrets", "rotate"]);
    // A mark is the form's version, and the id of the key, which the first row that moved shows.
    let moved = "SELECT count(*) FROM channels WHERE substr(secret_sealed, 1, 5) = (SELECT substr(key_sealed, 1, 5) FROM hash_keys)";
    let mut rows = 0;
    for _ in 0..400 {
        rows = sqlx::query_scalar::<_, i64>(moved).fetch_one(&db).await.expect("moved");
        if rows == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(rows, 3, "three rows before the one that is held");
    rotation.kill().expect("killed");
    rotation.wait().expect("ended");
    holder.rollback().await.expect("let go");

    let done = toki.json(&["secrets", "rotate"]);
    // What the killed one waited for may still have been done for it.
    let rest = done["columns"][1]["resealed"].as_i64().expect("a number");
    assert!(done["columns"][0]["resealed"] == 0 && (2..=3).contains(&rest), "{done}");
    assert_eq!(sqlx::query_scalar::<_, i64>(moved).fetch_one(&db).await.expect("moved"), 6);
}

#[sqlx::test]
async fn a_wrong_key_is_told_before_anything_happens(db: PgPool) {
    Toki::new(&db).json_with_input(&["account", "create", "--email", "ada@example.com", "--password-stdin"], "correct horse battery\n");
    Toki::new(&db).json(&["key", "create", "--email", "ada@example.com", "--name", "first"]);
    for wrong in [toki(&db, None), toki(&db, Some(&[9; 32]))] {
        for command in [&["secrets", "rotate"][..], &["serve"], &["key", "create", "--email", "ada@example.com", "--name", "second"]] {
            let refusal = wrong.refusal(command);
            assert!(refusal.contains("not the key that this database was used with"), "{command:?}: {refusal}");
        }
        let found = secrets_check(&serde_json::from_str(&wrong.run(&["doctor", "--json"]).stdout).expect("JSON"));
        assert_eq!(found["status"], "fail", "{found}");
    }
    let same = toki(&db, Some(&NEW_KEY)).refusal(&["secrets", "rotate"]);
    assert!(same.contains("TOKI_SECRET_KEY_OLD: is the same as TOKI_SECRET_KEY"), "{same}");
}
