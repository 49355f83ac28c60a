//! Secrets that are recognised wherever they turn up go through a real server which logs everything: signing up and in, inviting, paying,
//! calling, failing. Then logs, tables, pages, mails and what waits on the disk are searched. Each is found where it belongs, which the
//! test lists, and nowhere else: what is shown once is on no page that was seen later.

use crate::accounts::is_member;
use crate::accounts_two_factor::{recovery_codes_on, turn_on};
use crate::console_keys::{create, secret_in};
use crate::support::app::PASSWORD;
use crate::support::client::{chat, http};
use crate::support::fake_stripe::{FakeStripe, Plan, SECRET_KEY as STRIPE_SECRET, WEBHOOK_SECRET};
use crate::support::supplier::Supplier;
use crate::support::toki::{Served, Toki};
use crate::support::visit::{Visit, send};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::RequestBuilder;
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
use tokio::task::JoinHandle;
use totp_rs::Secret;
use uuid::Uuid;

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";
const SUPPLIER_SECRET: &str = "sk-acme-canary-9a8b7c6d5e4f";
const NEW_PASSWORD: &str = "a canary in a coal mine 42";
const GUESTS_PASSWORD: &str = "four canaries that rhyme";
const PROMPT: &str = "why-do-canaries-sing-in-mines";
const COMPLETION: &str = "because-nobody-told-them-not-to";
const TOKI_KEY: [u8; 32] = *b"canary canary canary canary 0123";
const TWO_FACTOR: &str = "/settings/two-factor";

/// What each kind of secret may be found in: the page that shows it once; the mail that carries it, and the page behind its link, whose
/// button sends it back; the page that a trial came back to, taken or refused; the form that a code came back to, which is none.
const BELONG: [&str; 15] = [
    "API key: page /keys/{id}",
    "code that nobody made: page /wallet",
    "completion: page /keys/{id}",
    "confirmation: mail",
    "confirmation: page /verify-email",
    "invitation: mail",
    "invitation: page /invitation",
    "prompt: page /keys/{id}",
    "recovery code: page /settings/two-factor",
    "renewed recovery code: page /settings/two-factor",
    "reset: mail",
    "reset: page /reset-password",
    "rotated API key: page /keys/{id}",
    "seed in groups: page /settings/two-factor",
    "seed: page /settings/two-factor",
];

/// The mails in the folder, once they are as wanted.
async fn mails(folder: &Path, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
    for _ in 0..400 {
        let files = std::fs::read_dir(folder.join(".data/mail")).into_iter().flatten().flatten().map(|file| file.path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|kind| kind == "eml")).collect();
        files.sort();
        let mails: Vec<String> = files.iter().map(|path| std::fs::read_to_string(path).expect("a mail")).collect();
        if wanted(&mails) {
            return mails;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("no such mails within 10 s");
}

/// The token of the first link to this page that was mailed.
async fn token_mailed(folder: &Path, page: &str) -> String {
    let link = format!("{page}?token=");
    let mails = mails(folder, |mails| mails.iter().any(|mail| mail.contains(&link))).await;
    let after = mails.iter().find_map(|mail| mail.split_once(&link)).expect("a link").1;
    after.chars().take_while(char::is_ascii_alphanumeric).collect()
}

async fn join(visit: &mut Visit, folder: &Path) {
    visit.remember("password", PASSWORD);
    visit.remember("new password", NEW_PASSWORD);
    visit.send("/api/accounts/sign_up", "/sign-up", &[("email", ADA), ("password", PASSWORD), ("next", "")]).await;
    visit.remember_session(&visit.browser.cookie());
    let token = token_mailed(folder, "/verify-email").await;
    visit.see(&format!("/verify-email?token={token}")).await;
    visit.send("/api/accounts/confirm_email", "/verify-email", &[("token", &token)]).await;
    visit.remember("confirmation", token);
    let codes = set_up_two_factor(visit).await;

    visit.send("/api/accounts/forgot_password", "/forgot-password", &[("email", ADA)]).await;
    let token = token_mailed(folder, "/reset-password").await;
    visit.see(&format!("/reset-password?token={token}")).await;
    visit.send("/api/accounts/reset_password", "/reset-password", &[("token", &token), ("password", NEW_PASSWORD)]).await;
    visit.remember("reset", token);
    for password in ["not the password", PASSWORD] {
        visit.send("/api/accounts/sign_in", "/sign-in", &[("email", ADA), ("password", password), ("next", "")]).await;
        visit.send("/api/accounts/sign_in_code", "/sign-in/code", &[("code", "")]).await;
    }
    sign_in(visit, &codes[0]).await;
    let page = visit.send("/api/accounts/renew_recovery_codes", TWO_FACTOR, &[("renew_password", NEW_PASSWORD)]).await;
    // The last of the list signs in again, when all is over.
    let code = recovery_codes_on(&page).pop().expect("ten");
    visit.remember_code(["renewed recovery code", "renewed recovery code without dashes"], &code);
}

/// Seed and recovery codes in every form in which they are shown or kept; the codes.
async fn set_up_two_factor(visit: &mut Visit) -> Vec<String> {
    let (phone, codes) = turn_on(&visit.browser).await;
    let bytes = Secret::try_from_base32(&phone.0).expect("base32");
    visit.remember("seed's bytes", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let groups = phone.0.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
    visit.remember("seed in groups", groups);
    visit.remember("seed", phone.0);
    visit.remember_code(["recovery code", "recovery code without dashes"], &codes[0]);
    codes
}

/// With the password that there is now, and this recovery code.
async fn sign_in(visit: &mut Visit, code: &str) {
    visit.send("/api/accounts/sign_in", "/sign-in", &[("email", ADA), ("password", NEW_PASSWORD), ("next", "")]).await;
    visit.send("/api/accounts/sign_in_code", "/sign-in/code", &[("code", code)]).await;
    assert_eq!(visit.see("/wallet").await.status, 200, "signed in");
    visit.remember_session(&visit.browser.cookie());
}

/// Somebody is invited, signs up by the link, and looks around.
async fn invite(visit: &mut Visit, folder: &Path) {
    visit.send("/api/members/invite", "/settings/members", &[("email", BOB), ("role", "member")]).await;
    let token = token_mailed(folder, "/invitation").await;
    let (bob, link) = (visit.another_browser(), format!("/invitation?token={token}"));
    bob.get(&link).await.form("/api/members/sign_up");
    send(&bob, "/api/members/sign_up", &link, &[("token", &token), ("password", GUESTS_PASSWORD)]).await;
    assert!(is_member(&bob).await);
    visit.remember_session(&bob.cookie());
    visit.remember("guest's password", GUESTS_PASSWORD);
    visit.remember("invitation", token);
    for path in ["/dashboard", "/keys", "/settings/members", "/settings/log"] {
        bob.get(path).await;
        visit.see(path).await;
    }
}

async fn pay(visit: &mut Visit, stripe: &FakeStripe, package_id: &str, promotion: &str) {
    visit.remember("Stripe's key", STRIPE_SECRET);
    visit.remember("Stripe's webhook secret", WEBHOOK_SECRET);
    visit.remember_code(["promotion code", "promotion code without dashes"], promotion);
    let path = format!("/products/{package_id}/confirm");
    visit.see(&path).await;
    let typed = visit.send("/api/checkout/type_code", &path, &[("package_id", package_id), ("code", promotion)]).await;
    let form = typed.form("/api/checkout/place_order");
    let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    visit.send("/api/checkout/place_order", &path, &fields).await;
    let session = stripe.sessions().remove(0);
    assert_eq!(session["amount_total"], 400, "the code took its part off");
    stripe.complete(session["id"].as_str().expect("an id"), true);
    assert!(stripe.deliver(Plan::InOrder).await.iter().all(|status| *status == 200));
    visit.see("/orders").await;
}

/// A code, which the command prints this once.
fn code_made(toki: &Toki, worth: [&str; 2]) -> String {
    let made = toki.json(&["code", "create", "--reason", "a canary", worth[0], worth[1]]);
    made["codes"][0]["code"].as_str().expect("a code").to_string()
}

/// Codes that are worth something, and that are nothing.
async fn redeem(visit: &mut Visit, code: &str) {
    let page = visit.send("/api/codes/redeem", "/wallet", &[("code", code)]).await;
    assert!(page.text().contains("Redeemed:"), "{}", page.text());
    visit.remember_code(["redemption code", "redemption code without dashes"], code);
    let nobodys = PlainCode::generate().expose();
    visit.send("/api/codes/redeem", "/wallet", &[("code", &nobodys)]).await;
    visit.remember("code that nobody made", nobodys);
}

fn request(served: &Served, secret: &str, body: String) -> RequestBuilder {
    http().post(format!("{}/v1/chat/completions", served.url)).bearer_auth(secret).body(body)
}

/// The status of the answer, once there is one.
fn status_of(request: RequestBuilder) -> JoinHandle<reqwest::Result<u16>> {
    tokio::spawn(async move { request.send().await.map(|answer| answer.status().as_u16()) })
}

/// Calls that are answered, refused and broken off; the path of the key's page.
async fn call(visit: &mut Visit, served: &Served, supplier: &mut Supplier) -> String {
    let path = create(&visit.browser, "canary", "50,000").await;
    let secret = secret_in(&visit.see(&path).await.html).expect("the secret, this once");
    visit.remember("API key", secret.clone());
    visit.see(&path).await;
    visit.remember("supplier's secret", SUPPLIER_SECRET);
    try_key(visit, supplier, &path, &secret).await;
    let send = |body: String| status_of(request(served, &secret, body).header("idempotency-key", Uuid::new_v4().to_string()));
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
    path
}

/// Tries the key on its page, in vain and for good: then the server calls itself, and the page shows question and answer, this once.
async fn try_key(visit: &mut Visit, supplier: &mut Supplier, path: &str, secret: &str) {
    let (key_id, form_key) = (path.rsplit('/').next().unwrap_or_default(), Uuid::new_v4().to_string());
    let fields = [("key_id", key_id), ("form_key", form_key.as_str()), ("model", "acme/large"), ("prompt", PROMPT)];
    let (wrong, right) = ([&fields[..], &[("secret", "sk-wrong")]].concat(), [&fields[..], &[("secret", secret)]].concat());
    visit.send("/api/keys/try", path, &wrong).await;
    let answer = async { supplier.accept().await.answer_with(COMPLETION) };
    let (page, ()) = tokio::join!(visit.send("/api/keys/try", path, &right), answer);
    assert!(page.html.contains(PROMPT) && page.html.contains(COMPLETION), "{}", page.text());
    visit.remember("prompt", PROMPT);
    visit.remember("completion", COMPLETION);
    visit.see(path).await;
}

/// Gives the key another secret, which its page shows once.
async fn rotate(visit: &mut Visit, path: &str) {
    let key_id = path.rsplit('/').next().unwrap_or_default();
    let page = visit.send("/api/keys/rotate", path, &[("key_id", key_id), ("grace", "day")]).await;
    visit.remember("rotated API key", secret_in(&page.html).expect("the new secret, this once"));
    visit.see(path).await;
}

/// A call whose settlement finds its account locked, and so waits on the disk: all that is in the spool by then.
async fn spool(served: &Served, supplier: &mut Supplier, db: &PgPool, folder: &Path, secret: &str) -> String {
    let call = status_of(request(served, secret, chat("acme/large", PROMPT).to_string()));
    let arrived = supplier.accept().await;
    let mut locks = db.begin().await.expect("begin");
    sqlx::query("SELECT 1 FROM accounts FOR UPDATE").execute(&mut *locks).await.expect("locked");
    arrived.answer_with(COMPLETION);
    assert_eq!(call.await.expect("no panic").expect("an answer"), 200);
    let files = std::fs::read_dir(folder.join(".data/spool")).expect("a spool").flatten();
    let bytes: Vec<Vec<u8>> = files.filter_map(|file| std::fs::read(file.path()).ok()).collect();
    let text = String::from_utf8_lossy(&bytes.concat()).into_owned();
    locks.rollback().await.expect("rollback");
    assert!(text.contains("\"request_id\""), "the settlement waits there: {text}");
    for _ in 0..400 {
        if sqlx::query_scalar::<_, i64>("SELECT count(*) FROM holds").fetch_one(db).await.expect("holds") == 0 {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not replayed within 10 s");
}

/// What fails, and is logged, while tables are away.
async fn fail(visit: &Visit, served: &Served, db: &PgPool) {
    let (key, other) = (visit.secret("API key"), visit.another_browser());
    for table in ["sessions", "users", "api_keys", "mails", "two_factors", "mail_tokens"] {
        sqlx::raw_sql(AssertSqlSafe(format!("ALTER TABLE {table} RENAME TO {table}_away"))).execute(db).await.expect("away");
        visit.see("/settings").await;
        visit.see(TWO_FACTOR).await;
        send(&other, "/api/accounts/sign_in", "/sign-in", &[("email", ADA), ("password", NEW_PASSWORD), ("next", "")]).await;
        send(&other, "/api/accounts/forgot_password", "/forgot-password", &[("email", ADA)]).await;
        let body = chat("acme/large", PROMPT).to_string();
        if table == "api_keys" {
            assert!(request(served, &key, body).send().await.expect("an answer").status().is_server_error());
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

/// What the command says of all this, for people.
fn commands(toki: &Toki) -> Vec<(String, String)> {
    let lists = [&["code", "list"][..], &["channel", "list"], &["order", "list"], &["account", "show", "--email", ADA]];
    lists.map(|args| (format!("command {}", args[0]), toki.text(args))).into()
}

#[sqlx::test]
async fn secrets_are_found_where_they_belong_and_nowhere_else(db: PgPool) {
    // A second call finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (stripe, mut supplier) = (FakeStripe::start().await, Supplier::start().await);
    let toki = Toki::new(&db).with("TOKI_LOG", "trace").with("STRIPE_SECRET_KEY", STRIPE_SECRET).with("ACME", SUPPLIER_SECRET);
    let toki = toki.with("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET).with("STRIPE_API_BASE", &stripe.base());
    let key = STANDARD.encode(TOKI_KEY);
    let toki = toki.with("TOKI_SUPPLIER_NETWORKS", "127.0.0.0/8").with("TOKI_SECRET_KEY", &key).with("TOKI_SETTLE_WAIT_MS", "1000");
    toki.json(&["supplier", "add", "--slug", "acme", "--name", "Acme"]);
    toki.json(&["channel", "add", "--supplier", "acme", "--base-url", &supplier.base_url(), "--secret-env", "ACME"]);
    let model = ["model", "add", "--id", "acme/large", "--supplier", "acme", "--upstream-id", "large-1"];
    toki.json(&[&model[..], &["--context", "8000", "--max-output", "100"]].concat());
    let sold = ["package", "add", "--name", "Starter", "--tokens", "1000000", "--price", "500", "--currency", "usd"];
    let sold = toki.json(&[&sold[..], &["--valid-for", "30d"]].concat());
    let (worth_tokens, worth_a_part) = (code_made(&toki, ["--tokens", "1000"]), code_made(&toki, ["--percent-off", "20"]));

    let served = toki.serve(&[]);
    stripe.deliver_to(&format!("{}/webhooks/stripe", served.url));
    let mut visit = Visit::to(&served.url);
    visit.remember("TOKI_SECRET_KEY", key);
    join(&mut visit, toki.folder()).await;
    invite(&mut visit, toki.folder()).await;
    pay(&mut visit, &stripe, sold["package_id"].as_str().expect("an id"), &worth_a_part).await;
    redeem(&mut visit, &worth_tokens).await;
    let path = call(&mut visit, &served, &mut supplier).await;
    rotate(&mut visit, &path).await;
    let spooled = spool(&served, &mut supplier, &db, toki.folder(), &visit.secret("rotated API key")).await;
    fail(&visit, &served, &db).await;
    // Whoever tried so often would have to wait.
    sqlx::query("DELETE FROM attempts").execute(&db).await.expect("forgotten");
    visit.browser = visit.another_browser();
    let code = visit.secret("renewed recovery code");
    sign_in(&mut visit, &code).await;
    let pages = ["/dashboard", "/keys", "/wallet", "/usage", "/orders", "/products", "/models", "/search?q=canary"];
    for path in pages.into_iter().chain(["/settings", "/settings/log", "/settings/members", TWO_FACTOR, path.as_str()]) {
        assert_eq!(visit.see(path).await.status, 200, "{path}");
    }
    let panic = words_of_a_panic(&mut visit);

    let mut places = columns(&db).await;
    places.extend(mails(toki.folder(), |mails| mails.len() >= 6).await.into_iter().map(|mail| ("mail".to_string(), mail)));
    places.extend(commands(&toki));
    let told: Vec<_> = stripe.requests().into_iter().map(|request| request.form).collect();
    let log = served.log();
    assert!(log.contains("DEBUG") && log.contains("ERROR"), "everything is logged, failures too");
    places.extend(
        [("log", log), ("panic", panic), ("spool", spooled), ("Stripe", format!("{told:?}"))]
            .map(|(place, text)| (place.to_string(), text)),
    );
    assert_eq!(visit.found(&places), BTreeSet::from(BELONG.map(str::to_string)));
    assert_eq!(served.terminate(), Some(0));
}
