//! What the tests of several domains start from: accounts, suppliers, models, grants, and calls through the real ledger.

use crate::accounts::rights::Owner;
use crate::accounts::store as accounts;
use crate::accounts::types::{Email, Password};
use crate::ids::{AccountId, GrantId, KeyId, OrderId, ReplicaId, RequestId, SupplierId, UserId};
use crate::keys::secret::{KeySecret, Pepper};
use crate::keys::store::{NewKey, insert_key_once};
use crate::keys::types::KeyName;
use crate::mail::outbox::Outbox;
use crate::operators::audit::{Action, insert_action_in};
use crate::operators::rights::Operator;
use crate::tokens::Tokens;
use crate::wallet::ledger::{self, Admission, AdmissionRequest, Basis, GrantCause, NewGrant, Outcome, Scope, Settlement, Verdict};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use std::net::Ipv4Addr;
use std::time::Duration;
use uuid::{NoContext, Timestamp, Uuid};

pub fn pepper() -> Pepper {
    Pepper::derive(&[7; 32])
}

/// Letters are posted as the server posts them, and sent by nobody.
pub fn outbox() -> Outbox {
    Outbox::new(&[7; 32], &"https://toki.example".parse().expect("URL"))
}

/// A user of this name, acting for the account of their own.
pub async fn member(db: &PgPool, name: &str) -> Owner {
    let email = Email::parse(&format!("{name}@example.com")).expect("an address");
    let password = Password::parse("correct horse".into()).expect("a password");
    let new = accounts::insert_account(db, &email, password, false).await.expect("an account");
    accounts::owner_of(db, new.user_id).await.expect("database").expect("a member")
}

/// A session of a user's, by the hash that it is stored under.
pub async fn session(db: &PgPool, user_id: UserId) -> Vec<u8> {
    let hash = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
    sqlx::query(
        "INSERT INTO sessions (session_hash, user_id, data, expires_at)
         VALUES ($1, $2, jsonb_build_object('user_id', $2::uuid), now() + interval '1 day')",
    )
    .bind(&hash)
    .bind(user_id.0)
    .execute(db)
    .await
    .expect("a session");
    hash
}

pub async fn supplier(db: &PgPool, slug: &str) -> SupplierId {
    let supplier_id = SupplierId::generate();
    sqlx::query!("INSERT INTO suppliers (supplier_id, slug, name) VALUES ($1, $2, $2)", supplier_id.0, slug)
        .execute(db)
        .await
        .expect("a supplier");
    sqlx::query!(
        "INSERT INTO channels (channel_id, supplier_id, base_url) VALUES ($1, $2, 'http://127.0.0.1:9')",
        SupplierId::generate().0,
        supplier_id.0
    )
    .execute(db)
    .await
    .expect("a channel");
    supplier_id
}

pub async fn disable_supplier(db: &PgPool, supplier_id: SupplierId) {
    sqlx::query!("UPDATE suppliers SET status = 'disabled' WHERE supplier_id = $1", supplier_id.0).execute(db).await.expect("disabled");
}

/// A model that charges 1 × for input, 0.5 × for cached input and 2 × for output, and gives at most 100 Tokens.
pub async fn model(db: &PgPool, model_id: &str, supplier_id: SupplierId) {
    let mut tx = db.begin().await.expect("begin");
    sqlx::query!(
        "INSERT INTO models (model_id, supplier_id, upstream_id, context_tokens, max_output_tokens) VALUES ($1, $2, 'm', 1000, 100)",
        model_id,
        supplier_id.0
    )
    .execute(&mut *tx)
    .await
    .expect("a model");
    sqlx::query!(
        "INSERT INTO model_prices (model_id, version, input_ppm, cached_ppm, output_ppm) VALUES ($1, 1, 1000000, 500000, 2000000)",
        model_id
    )
    .execute(&mut *tx)
    .await
    .expect("a price");
    tx.commit().await.expect("commit");
}

/// Credits Tokens that may be spent anywhere.
pub async fn credit(db: &PgPool, account_id: AccountId, tokens: i64, valid_for: TimeDelta) -> GrantId {
    credit_scoped(db, account_id, tokens, valid_for, Scope::default()).await
}

pub async fn credit_scoped(db: &PgPool, account_id: AccountId, tokens: i64, valid_for: TimeDelta, scope: Scope) -> GrantId {
    let mut tx = db.begin().await.expect("begin");
    let action = Action { action: "account.credit", subject_id: account_id.to_string(), ..Action::default() };
    let action_id = insert_action_in(&mut tx, Operator::command_line(), action).await.expect("an action");
    let new = NewGrant { account_id, cause: GrantCause::Credit(action_id), tokens: Tokens(tokens), scope, valid_for, note: None };
    let grant_id = ledger::issue_grant_in(&mut tx, &new).await.expect("a grant");
    tx.commit().await.expect("commit");
    grant_id
}

/// An order of a package of this name, paid, with its grant, which lasts a day.
pub async fn bought(db: &PgPool, member: &Owner, package_name: &str, tokens: i64) -> OrderId {
    let (package_id, order_id) = (Uuid::new_v4(), OrderId::generate());
    let package =
        "INSERT INTO packages (package_id, name, tokens, price_minor, currency, valid_for_s) VALUES ($1, $2, $3, 500, 'usd', 86400)";
    sqlx::query(package).bind(package_id).bind(package_name).bind(tokens).execute(db).await.expect("a package");
    let mut tx = db.begin().await.expect("begin");
    sqlx::query(
        "INSERT INTO orders (order_id, account_id, user_id, package_id, package_name, tokens, price_minor, currency, valid_for_s,
                             scope_supplier_ids, scope_model_ids, form_key, provider, provider_session_id, checkout_url)
         VALUES ($1, $2, $3, $4, $5, $6, 500, 'usd', 86400, '{}', '{}', $1, 'sandbox', $1::uuid::text, '/')",
    )
    .bind(order_id.0)
    .bind(member.account_id().0)
    .bind(member.user_id().0)
    .bind(package_id)
    .bind(package_name)
    .bind(tokens)
    .execute(&mut *tx)
    .await
    .expect("an order");
    for (from, to) in [("created", "awaiting_payment"), ("awaiting_payment", "paid"), ("paid", "fulfilled")] {
        let step = "INSERT INTO order_transitions (order_id, from_status, to_status, cause) VALUES ($1, $2, $3, 'checkout')";
        sqlx::query(step).bind(order_id.0).bind(from).bind(to).execute(&mut *tx).await.expect("a step");
    }
    let new = NewGrant {
        account_id: member.account_id(),
        cause: GrantCause::Order(order_id),
        tokens: Tokens(tokens),
        scope: Scope::default(),
        valid_for: TimeDelta::days(1),
        note: None,
    };
    ledger::issue_grant_in(&mut tx, &new).await.expect("a grant");
    tx.commit().await.expect("commit");
    order_id
}

/// A key for every supplier, without a quota, expiration or doubt.
pub fn plain_key(name: &str) -> NewKey {
    NewKey { name: KeyName::parse(name).expect("a name"), supplier_id: None, quota: None, expires_at: None, enabled: true }
}

pub async fn key(db: &PgPool, member: &Owner, new: NewKey) -> (KeyId, KeySecret) {
    let key_id = KeyId::generate();
    let secret = insert_key_once(db, member, key_id, &pepper(), new).await.expect("inserted");
    (key_id, secret.expect("a new key"))
}

/// A replica that the database knows, with no call running.
pub async fn replica(db: &PgPool) -> ReplicaId {
    let owner = ReplicaId::generate();
    ledger::restore_holds(db, owner, TimeDelta::seconds(60), &[]).await.expect("known");
    owner
}

pub async fn lock_account(tx: &mut PgConnection, account_id: AccountId) {
    let sql = "SELECT 1 FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE";
    sqlx::query(sql).bind(account_id.0).execute(tx).await.expect("a lock");
}

/// Until so many sessions of this database wait for locks.
pub async fn until_waiting(db: &PgPool, sessions: i64) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waiting = async { while sqlx::query_scalar::<_, i64>(sql).fetch_one(db).await.expect("a count") < sessions {} };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("they wait");
}

/// A transaction that outlasts whoever it comes to a deadlock with: Postgres ends the session that looks for one first, a second after it
/// began to wait, and of two that began within milliseconds of each other either may.
pub async fn begin_outlasting(db: &PgPool) -> Transaction<'static, Postgres> {
    let mut tx = db.begin().await.expect("begin");
    sqlx::query("SET LOCAL deadlock_timeout = '10s'").execute(&mut *tx).await.expect("a superuser");
    tx
}

/// What a crash of Postgres does to holds that were not yet on its disk.
pub async fn forget_holds(db: &PgPool) {
    let mut tx = db.begin().await.expect("begin");
    for sql in [
        "UPDATE grants SET left_ = left_ + held, held = 0",
        "UPDATE api_keys SET held = 0, running = 0",
        "DELETE FROM holds",
        "TRUNCATE replicas",
    ] {
        sqlx::raw_sql(sql).execute(&mut *tx).await.expect(sql);
    }
    tx.commit().await.expect("commit");
}

pub fn request(secret: &KeySecret, model_id: &str, input_tokens: i64, output_limit: i64) -> AdmissionRequest {
    AdmissionRequest {
        request_id: RequestId::generate(),
        secret_hash: secret.hash(&pepper()),
        model_id: model_id.to_string(),
        protocol: "openai",
        input_tokens,
        output_limit: Some(output_limit),
        choices: 1,
        exact: true,
        endpoint: "chat",
        streamed: false,
        address: Ipv4Addr::LOCALHOST.into(),
        idempotency: None,
    }
}

pub async fn try_admit(db: &PgPool, secret: &KeySecret, model_id: &str, input_tokens: i64, output_limit: i64) -> Verdict {
    try_request(db, request(secret, model_id, input_tokens, output_limit)).await
}

async fn try_request(db: &PgPool, request: AdmissionRequest) -> Verdict {
    let decisions = ledger::admit_calls(db, &[request], replica(db).await, TimeDelta::seconds(60), false).await.expect("admission");
    decisions.into_iter().next().expect("a decision").verdict
}

/// Admits a call: its hold stays until it is settled.
pub async fn admit(db: &PgPool, secret: &KeySecret, model_id: &str, input_tokens: i64, output_limit: i64) -> Admission {
    match try_admit(db, secret, model_id, input_tokens, output_limit).await {
        Verdict::Admitted(admission) => admission,
        verdict => panic!("not admitted: {verdict:?}"),
    }
}

/// Makes a call that began at another time, as its id says too, and settles it as complete.
pub async fn call_at(db: &PgPool, secret: &KeySecret, model_id: &str, used: Used, began: DateTime<Utc>) -> RequestId {
    let seconds = u64::try_from(began.timestamp()).expect("after 1970");
    let request_id = RequestId(Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, began.timestamp_subsec_nanos())));
    let request = AdmissionRequest { request_id, ..request(secret, model_id, used.input, used.output.max(1)) };
    match try_request(db, request).await {
        Verdict::Admitted(admission) => settle(db, &admission, used, began).await,
        verdict => panic!("not admitted: {verdict:?}"),
    }
    request_id
}

/// What the call used, and what that comes to at the multipliers of [`model`].
#[derive(Clone, Copy)]
pub struct Used {
    pub input: i64,
    pub cached: i64,
    pub output: i64,
}

impl Used {
    pub fn charge(self) -> i64 {
        let halves = 2 * (self.input - self.cached) + self.cached + 4 * self.output;
        (halves + 1) / 2
    }
}

/// Settles an admitted call as complete.
pub async fn settle(db: &PgPool, call: &Admission, used: Used, started_at: DateTime<Utc>) {
    ledger::settle_calls(db, &[settlement(call, used, started_at)]).await.expect("settlement");
}

/// The report of an admitted call that ended well.
pub fn settlement(call: &Admission, used: Used, started_at: DateTime<Utc>) -> Settlement {
    Settlement {
        request_id: call.request_id,
        account_id: call.account_id,
        key_id: call.key_id,
        model_id: call.model_id.clone(),
        supplier_id: call.supplier_id,
        channel_id: None,
        price_version: call.price_version,
        endpoint: "chat".into(),
        streamed: false,
        outcome: Outcome::Ok,
        basis: Basis::Measured,
        http_status: 200,
        input_tokens: used.input,
        cached_tokens: used.cached,
        output_tokens: used.output,
        held: Some(call.held),
        charge: Tokens(used.charge()),
        upstream_usage: None,
        started_at,
        first_byte_ms: Some(20),
        latency_ms: 100,
    }
}
