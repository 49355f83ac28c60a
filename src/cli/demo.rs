//! `toki demo`: what a first look needs. Two sign-ins, packages, a credit and a key; made once, found again, remade where missing.
//! Their passwords and the key are kept in a file that only its owner reads, so that every `make run` can print them.

use crate::accounts::store::{AccountError, user_by_credentials};
use crate::accounts::types::{Email, Password};
use crate::catalog::store::{NewPackage, all_packages, insert_package};
use crate::cli::output::facts;
use crate::cli::{CliError, Context};
use crate::ids::KeyId;
use crate::keys::secret::KeySecret;
use crate::keys::store::{KeyError, KeyOwner, NewKey, insert_key, key_by_id};
use crate::keys::types::{KeyName, KeyStatus};
use crate::money::{Currency, Money};
use crate::operators::accounts::{create_account, set_account_suspended, set_password};
use crate::operators::credit::credit_account;
use crate::server::config::Environment;
use crate::tokens::Tokens;
use crate::wallet::store::grants_of;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Write};

const FILE: &str = ".data/demo.json";
const CUSTOMER: &str = "demo@toki.example";
const OPERATOR: &str = "operator@toki.example";
const KEY_NAME: &str = "Demo";
const CREDIT: Tokens = Tokens(100_000);

/// Name, Tokens, price in US cents, validity in days.
const PACKAGES: [(&str, i64, i64, i64); 3] =
    [("Starter", 1_000_000, 500, 30), ("Pro", 10_000_000, 4_000, 90), ("Scale", 100_000_000, 30_000, 180)];

/// What the file keeps.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Kept {
    customer_password: String,
    operator_password: String,
    key_id: Option<KeyId>,
    key_secret: String,
}

#[derive(Serialize)]
struct SignIn<'a> {
    email: &'a str,
    password: &'a str,
}

#[derive(Serialize)]
struct Document<'a> {
    url: &'a str,
    customer: SignIn<'a>,
    operator: SignIn<'a>,
    key: &'a str,
    curl: &'a str,
}

pub async fn run(ctx: &Context) -> Result<(), CliError> {
    if ctx.config.environment == Environment::Production {
        return Err(CliError::DemoInProduction);
    }
    let mut kept = read()?;
    kept.operator_password = ensure_user(ctx, OPERATOR, kept.operator_password, true).await?;
    kept.customer_password = ensure_user(ctx, CUSTOMER, kept.customer_password, false).await?;
    ensure_packages(ctx).await?;
    ensure_credit(ctx).await?;
    ensure_key(ctx, &mut kept).await?;
    write(&kept)?;
    reply(ctx, &kept)
}

/// The password that signs this user in: the one that was kept while it works, else a new one.
async fn ensure_user(ctx: &Context, email: &str, kept: String, operator: bool) -> Result<String, CliError> {
    let email = parsed(Email::parse(email))?;
    if let Ok(password) = Password::parse(kept.clone()) {
        match user_by_credentials(&ctx.db, &email, password).await {
            Ok(_) => return Ok(kept),
            Err(AccountError::WrongCredentials) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let made = random_password();
    let password = parsed(Password::parse(made.clone()))?;
    match ctx.account(&email).await {
        Ok(account) => {
            set_password(&ctx.db, ctx.operator, account.user_id, password).await?;
            set_account_suspended(&ctx.db, ctx.operator, account.account_id, false).await?;
        }
        Err(CliError::UnknownEmail(_)) => {
            create_account(&ctx.db, ctx.operator, &email, password, operator).await?;
        }
        Err(error) => return Err(error),
    }
    Ok(made)
}

/// 95 bits in letters that are not mistaken for each other.
fn random_password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    (0..19).map(|_| char::from(LETTERS[usize::from(rand::random::<u8>() % 32)])).collect()
}

async fn ensure_packages(ctx: &Context) -> Result<(), CliError> {
    // Whoever has packages, or took one off sale, does not want ours back.
    if !all_packages(&ctx.db).await?.is_empty() {
        return Ok(());
    }
    for (name, tokens, cents, days) in PACKAGES {
        let price = Money::new(cents, parsed(Currency::parse("usd"))?);
        let new = NewPackage::plain(name, Tokens(tokens), price, TimeDelta::days(days).num_seconds());
        insert_package(&ctx.db, ctx.operator, new).await?;
    }
    Ok(())
}

/// Once: a customer who spent the credit has something to see, too.
async fn ensure_credit(ctx: &Context) -> Result<(), CliError> {
    let account_id = ctx.account(&parsed(Email::parse(CUSTOMER))?).await?.account_id;
    if grants_of(&ctx.db, account_id).await?.is_empty() {
        let valid_for = TimeDelta::days(365);
        credit_account(&ctx.db, ctx.operator, account_id, CREDIT, valid_for, &[], Some("Welcome")).await?;
    }
    Ok(())
}

/// A key that works: the one that was kept while the database has it, else a new one.
async fn ensure_key(ctx: &Context, kept: &mut Kept) -> Result<(), CliError> {
    if let (Some(key_id), Some(secret)) = (kept.key_id, KeySecret::parse(&kept.key_secret)) {
        match key_by_id(&ctx.db, KeyOwner::Operator(ctx.operator), key_id).await {
            Ok(row) if row.hint == secret.hint() && row.status == KeyStatus::Enabled => return Ok(()),
            Ok(_) | Err(KeyError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let account = ctx.account(&parsed(Email::parse(CUSTOMER))?).await?;
    let new = NewKey { name: parsed(KeyName::parse(KEY_NAME))?, supplier_id: None, quota: None, expires_at: None, enabled: true };
    let (key_id, secret) = insert_key(&ctx.db, ctx.operator, account.account_id, account.user_id, &ctx.pepper().await?, new).await?;
    kept.key_id = Some(key_id);
    kept.key_secret = secret.expose().to_string();
    Ok(())
}

/// What stands in this file is well-formed; were it not, it would be our mistake.
fn parsed<T, E: std::error::Error>(result: Result<T, E>) -> Result<T, CliError> {
    result.map_err(|error| CliError::Found(format!("the demo data is malformed: {error}")))
}

/// What was kept; nothing when there is no file, or none that can be read as ours.
fn read() -> Result<Kept, CliError> {
    match std::fs::read(FILE) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Kept::default()),
        Err(source) => Err(CliError::File { path: FILE, source }),
    }
}

/// Written beside and moved into place, so that a crash leaves the old file or the new one; never readable by others.
fn write(kept: &Kept) -> Result<(), CliError> {
    use std::os::unix::fs::OpenOptionsExt;
    let bytes = serde_json::to_vec_pretty(kept)?;
    let beside = format!("{FILE}.{}", std::process::id());
    let result = std::fs::create_dir_all(".data").and_then(|()| {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(&bytes)?;
        std::fs::rename(&beside, FILE)
    });
    result.map_err(|source| CliError::File { path: FILE, source })
}

fn reply(ctx: &Context, kept: &Kept) -> Result<(), CliError> {
    let url = ctx.config.public_url.as_str().trim_end_matches('/');
    let key = kept.key_secret.as_str();
    let curl = format!(
        "curl {url}/v1/chat/completions -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \
         -d '{{\"model\":\"sandbox/echo\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'"
    );
    let document = Document {
        url,
        customer: SignIn { email: CUSTOMER, password: &kept.customer_password },
        operator: SignIn { email: OPERATOR, password: &kept.operator_password },
        key,
        curl: &curl,
    };
    ctx.out.reply(&document, || {
        let facts = facts(&[
            ("Console", url.to_string()),
            ("Customer", format!("{CUSTOMER}  {}", kept.customer_password)),
            ("Operator", format!("{OPERATOR}  {}", kept.operator_password)),
            ("API key", key.to_string()),
        ]);
        format!("{facts}\n\nTry it:\n\n  {curl}")
    })
}
