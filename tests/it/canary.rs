//! Secrets that are recognised wherever they turn up go through a real server which logs everything: signing up and in, paying, calling,
//! failing. Then logs, tables, pages and mails are searched. Each is found where it belongs, which the test lists, and nowhere else.

use crate::accounts_two_factor::turn_on;
use crate::console_keys::{create, secret_in};
use crate::support::app::PASSWORD;
use crate::support::browser::{Browser, Page};
use crate::support::client::{chat, http};
use crate::support::fake_stripe::{FakeStripe, Plan, SECRET_KEY as STRIPE_SECRET, WEBHOOK_SECRET};
use crate::support::supplier::Supplier;
use crate::support::toki::{Served, Toki};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::SecretString;
use sqlx::{AssertSqlSafe, PgPool};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use toki::accounts::mail_token::MailToken;
use toki::accounts::second_factor::{RecoveryCode, Seed};
use toki::accounts::types::Password;
use toki::codes::store::plain::PlainCode;
use toki::keys::secret::KeySecret;
use uuid::Uuid;

const ADA: &str = "ada@example.com";
const SUPPLIER_SECRET: &str = "sk-acme-canary-9a8b7c6d5e4f";
const NEW_PASSWORD: &str = "a canary in a coal mine 42";
const PROMPT: &str = "why-do-canaries-sing-in-mines";
const COMPLETION: &str = "because-nobody-told-them-not-to";
const TOKI_KEY: [u8; 32] = *b"canary canary canary canary 0123";

/// Every page that the visit saw, under its path, and what it was told to remember.
struct Visit {
    browser: Browser,
    pages: Vec<(String, String)>,
    secrets: Vec<(&'static str, String)>,
}

impl Visit {
    fn to(served: &Served) -> Visit {
        Visit { browser: Browser::at(&served.url), pages: Vec::new(), secrets: Vec::new() }
    }

    async fn see(&mut self, path: &str) -> Page {
        let page = self.browser.get(path).await;
        self.pages.push((path.to_string(), format!("{} {}", page.location, page.html)));
        page
    }

    /// Posts a form, and goes where that leads.
    async fn send(&mut self, action: &str, from: &str, fields: &[(&str, &str)]) -> Page {
        let answer = self.browser.post(action, from, fields).await;
        self.pages.push((action.to_string(), format!("{} {}", answer.location, answer.html)));
        let next = self.browser.path_of(&answer).to_string();
        if next.is_empty() || next.starts_with("http") { answer } else { self.see(&next).await }
    }

    fn remember(&mut self, name: &'static str, secret: impl Into<String>) {
        self.secrets.push((name, secret.into()));
    }

    /// The cookie's value: whoever has it is signed in.
    fn remember_session(&mut self) {
        let cookie = self.browser.cookie();
        self.remember("session", cookie.split_once('=').map_or("", |(_, id)| id));
    }
}

/// The mails in the folder, once there are so many.
async fn mails(folder: &Path, wanted: usize) -> Vec<String> {
    for _ in 0..400 {
        let files = std::fs::read_dir(folder.join(".data/mail")).into_iter().flatten().flatten().map(|file| file.path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|kind| kind == "eml")).collect();
        files.sort();
        if files.len() >= wanted {
            return files.iter().map(|path| std::fs::read_to_string(path).expect("a mail")).collect();
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not {wanted} mails within 10 s");
}

/// The token of a link in a mail.
fn token_in(mail: &str, path: &str) -> String {
    let at = mail.find(&format!("{path}?token=")).unwrap_or_else(|| panic!("no {path} in {mail}"));
    mail[at..].split_once('=').map_or("", |(_, rest)| rest).chars().take_while(char::is_ascii_alphanumeric).collect()
}

async fn join(visit: &mut Visit, folder: &Path) {
    visit.remember("password", PASSWORD);
    visit.remember("new password", NEW_PASSWORD);
    visit.send("/api/accounts/sign_up", "/sign-up", &[("email", ADA), ("password", PASSWORD), ("next", "")]).await;
    visit.remember_session();
    let token = token_in(&mails(folder, 1).await[0], "/verify-email");
    visit.see(&format!("/verify-email?token={token}")).await;
    visit.send("/api/accounts/confirm_email", "/verify-email", &[("token", &token)]).await;
    visit.remember("confirmation", token);
    let (phone, codes) = turn_on(&visit.browser).await;
    visit.remember("seed", phone.0);
    visit.remember("recovery code", codes[0].clone());
    visit.remember("recovery code without dashes", codes[0].replace('-', ""));

    visit.send("/api/accounts/forgot_password", "/forgot-password", &[("email", ADA)]).await;
    let mails = mails(folder, 3).await;
    let reset = mails.iter().find(|mail| mail.contains("/reset-password?token=")).expect("a reset");
    let token = token_in(reset, "/reset-password");
    visit.see(&format!("/reset-password?token={token}")).await;
    visit.send("/api/accounts/reset_password", "/reset-password", &[("token", &token), ("password", NEW_PASSWORD)]).await;
    visit.remember("reset", token);
    for (password, code) in [("not the password", ""), (PASSWORD, ""), (NEW_PASSWORD, codes[0].as_str())] {
        visit.send("/api/accounts/sign_in", "/sign-in", &[("email", ADA), ("password", password), ("next", "")]).await;
        visit.send("/api/accounts/sign_in_code", "/sign-in/code", &[("code", code)]).await;
    }
    visit.remember_session();
    assert_eq!(visit.see("/wallet").await.status, 200, "signed in");
}

async fn pay(visit: &mut Visit, stripe: &FakeStripe, package_id: &str) {
    visit.remember("Stripe's key", STRIPE_SECRET);
    visit.remember("Stripe's webhook secret", WEBHOOK_SECRET);
    let path = format!("/products/{package_id}/confirm");
    let form = visit.see(&path).await.form("/api/checkout/place_order");
    let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    visit.send("/api/checkout/place_order", &path, &fields).await;
    let session = stripe.sessions().remove(0);
    stripe.complete(session["id"].as_str().expect("an id"), true);
    assert!(stripe.deliver(Plan::InOrder).await.iter().all(|status| *status == 200));
    visit.see("/orders").await;
}

/// Calls that are answered, refused and broken off.
async fn call(visit: &mut Visit, served: &Served, supplier: &mut Supplier) {
    let path = create(&visit.browser, "canary", "50,000").await;
    let secret = secret_in(&visit.see(&path).await.html).expect("the secret, this once");
    visit.see(&path).await;
    visit.remember("API key", secret.clone());
    visit.remember("supplier's secret", SUPPLIER_SECRET);
    visit.remember("prompt", PROMPT);
    visit.remember("completion", COMPLETION);
    let code = PlainCode::generate().expose().to_string();
    visit.send("/api/codes/redeem", "/wallet", &[("code", &code)]).await;
    visit.remember("code that nobody made", code);
    let key_id = path.rsplit('/').next().unwrap_or_default();
    let tried = [("key_id", key_id), ("form_key", "01941f29-7c00-7000-8000-000000000000"), ("secret", "sk-wrong"), ("model", "acme/large")];
    visit.send("/api/keys/try", &path, &[&tried[..], &[("prompt", PROMPT)]].concat()).await;
    let send = |body: String| {
        let request = http().post(format!("{}/v1/chat/completions", served.url)).bearer_auth(&secret).body(body);
        let request = request.header("idempotency-key", Uuid::new_v4().to_string());
        tokio::spawn(async move { request.send().await.map(|answer| answer.status().as_u16()) })
    };
    let whole = send(chat("acme/large", PROMPT).to_string());
    supplier.accept().await.answer_with(COMPLETION);
    assert_eq!(whole.await.expect("no panic").expect("an answer"), 200);
    let streamed =
        send(serde_json::json!({"stream": true, "model": "acme/large", "messages": [{"role": "user", "content": PROMPT}]}).to_string());
    let answering = supplier.accept().await.begin();
    answering.word(COMPLETION);
    answering.end();
    assert_eq!(streamed.await.expect("no panic").expect("an answer"), 200);
    let dropped = send(chat("acme/large", PROMPT).to_string());
    drop(supplier.accept().await);
    assert_ne!(dropped.await.expect("no panic").expect("an answer"), 200);
    for body in [chat("acme/none", PROMPT).to_string(), format!("{{\"model\": \"acme/large\", \"messages\": \"{PROMPT}\"}}"), PROMPT.into()]
    {
        assert!(send(body).await.expect("no panic").expect("an answer") >= 400);
    }
}

/// What fails, and is logged, while tables are away.
async fn fail(visit: &mut Visit, served: &Served, db: &PgPool) {
    let key = visit.secrets.iter().find(|(name, _)| *name == "API key").expect("a key").1.clone();
    for table in ["sessions", "users", "api_keys", "mails", "two_factors", "mail_tokens"] {
        sqlx::raw_sql(AssertSqlSafe(format!("ALTER TABLE {table} RENAME TO {table}_away"))).execute(db).await.expect("away");
        visit.see("/settings").await;
        visit.see("/settings/two-factor").await;
        visit.send("/api/accounts/sign_in", "/sign-in", &[("email", ADA), ("password", NEW_PASSWORD), ("next", "")]).await;
        visit.send("/api/accounts/forgot_password", "/forgot-password", &[("email", ADA)]).await;
        let body = chat("acme/large", PROMPT).to_string();
        let call = http().post(format!("{}/v1/chat/completions", served.url)).bearer_auth(&key).body(body);
        if table == "api_keys" {
            assert!(call.send().await.expect("an answer").status().is_server_error());
        }
        sqlx::raw_sql(AssertSqlSafe(format!("ALTER TABLE {table}_away RENAME TO {table}"))).execute(db).await.expect("back");
    }
}

/// The words of a panic that holds a value of every type made for secrets.
fn words_of_a_panic(visit: &mut Visit) -> String {
    let (key, code, token, mailed) = (KeySecret::generate(), PlainCode::generate(), MailToken::generate(), RecoveryCode::generate());
    visit.remember("panicked key", key.expose());
    visit.remember("panicked code", code.expose());
    visit.remember("panicked token", token.expose());
    visit.remember("panicked recovery code", mailed.written());
    let password = Password::parse(PASSWORD.into()).expect("a password");
    let said = Arc::new(Mutex::new(String::new()));
    let heard = said.clone();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| *heard.lock().unwrap_or_else(PoisonError::into_inner) += &panic.to_string()));
    let ended = std::panic::catch_unwind(|| {
        panic!("{key:?} {code:?} {token:?} {mailed:?} {password:?} {:?} {:?}", Seed::generate(), SecretString::from(SUPPLIER_SECRET));
    });
    std::panic::set_hook(before);
    assert!(ended.is_err());
    let said = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(said.contains("KeySecret(…)"), "{said}");
    said
}

/// Every column of every table, as text.
async fn columns(db: &PgPool) -> Vec<(String, String)> {
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT table_name::text, column_name::text FROM information_schema.columns JOIN information_schema.tables
          USING (table_schema, table_name) WHERE table_schema = 'public' AND table_type = 'BASE TABLE'",
    )
    .fetch_all(db)
    .await
    .expect("columns");
    let mut read = Vec::new();
    for (table, column) in columns {
        let sql = format!("SELECT coalesce(string_agg(\"{column}\"::text, E'\\n'), '') FROM \"{table}\"");
        let text: String = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(db).await.expect("a column");
        read.push((format!("column {table}.{column}"), text));
    }
    assert!(read.len() > 100, "every table");
    read
}

/// How a secret may be written: as it is, in hexadecimal as Postgres shows bytes, in base64, in an address.
fn spellings(secret: &str) -> [String; 5] {
    let hex = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let encoded = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    [secret.into(), hex, STANDARD_NO_PAD.encode(secret), URL_SAFE_NO_PAD.encode(secret), encoded]
}

/// `/keys/0192…?x=y` is `/keys`.
fn kind_of(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    if path.starts_with("/keys/") { "/keys/{id}".into() } else { path.into() }
}

#[sqlx::test]
async fn secrets_are_found_where_they_belong_and_nowhere_else(db: PgPool) {
    // A second call finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (stripe, mut supplier) = (FakeStripe::start().await, Supplier::start().await);
    let toki = Toki::new(&db).with("TOKI_LOG", "trace").with("STRIPE_SECRET_KEY", STRIPE_SECRET).with("ACME", SUPPLIER_SECRET);
    let toki = toki.with("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET).with("STRIPE_API_BASE", &stripe.base());
    let key = base64::engine::general_purpose::STANDARD.encode(TOKI_KEY);
    let toki = toki.with("TOKI_SUPPLIER_NETWORKS", "127.0.0.0/8").with("TOKI_SECRET_KEY", &key);
    toki.json(&["supplier", "add", "--slug", "acme", "--name", "Acme"]);
    toki.json(&["channel", "add", "--supplier", "acme", "--base-url", &supplier.base_url(), "--secret-env", "ACME"]);
    let model = ["model", "add", "--id", "acme/large", "--supplier", "acme", "--upstream-id", "large-1"];
    toki.json(&[&model[..], &["--context", "8000", "--max-output", "100"]].concat());
    let sold = ["package", "add", "--name", "Starter", "--tokens", "1000000", "--price", "500", "--currency", "usd"];
    let sold = toki.json(&[&sold[..], &["--valid-for", "30d"]].concat());

    let served = toki.serve(&[]);
    stripe.deliver_to(&format!("{}/webhooks/stripe", served.url));
    let mut visit = Visit::to(&served);
    visit.remember("TOKI_SECRET_KEY", key);
    join(&mut visit, toki.folder()).await;
    pay(&mut visit, &stripe, sold["package_id"].as_str().expect("an id")).await;
    call(&mut visit, &served, &mut supplier).await;
    fail(&mut visit, &served, &db).await;
    for path in [
        "/dashboard",
        "/keys",
        "/wallet",
        "/usage",
        "/orders",
        "/settings",
        "/settings/log",
        "/settings/two-factor",
        "/models",
        "/search?q=canary",
    ] {
        visit.see(path).await;
    }
    let panic = words_of_a_panic(&mut visit);
    let mails = mails(toki.folder(), 4).await;

    let mut places: Vec<(String, String)> =
        visit.pages.iter().map(|(path, html)| (format!("page {}", kind_of(path)), html.clone())).collect();
    places.extend(columns(&db).await);
    places.extend(mails.into_iter().map(|mail| ("mail".to_string(), mail)));
    let log = served.log();
    assert!(log.contains("DEBUG") && log.contains("ERROR"), "everything is logged, failures too");
    places.extend([("log".to_string(), log), ("panic".to_string(), panic)]);
    let mut found = BTreeSet::new();
    for (name, secret) in &visit.secrets {
        assert!(secret.len() >= 12, "{name} is recognised");
        for (place, text) in &places {
            if spellings(secret).iter().any(|spelling| text.contains(spelling)) {
                found.insert(format!("{name}: {place}"));
            }
        }
    }
    let found: Vec<_> = found.iter().map(String::as_str).collect();
    // Where it is shown once; the link that was sent, and the page that it opens, whose button sends it back; the form that was refused.
    let belong = [
        "API key: page /keys/{id}",
        "confirmation: mail",
        "confirmation: page /verify-email",
        "prompt: page /keys/{id}",
        "reset: mail",
        "reset: page /reset-password",
    ];
    assert_eq!(found, belong);
    assert_eq!(served.terminate(), Some(0));
}
