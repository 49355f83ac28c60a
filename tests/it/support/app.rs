//! A running replica on a port of its own, over the database of its test.

use crate::support::fake_stripe::FakeStripe;
use chrono::TimeDelta;
use secrecy::SecretBox;
use sqlx::{ConnectOptions, PgPool};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use toki::accounts::store::{self, NewAccount};
use toki::accounts::types::{Email, Password};
use toki::gateway::{Limits, Timeouts};
use toki::ids::{GrantId, KeyId, SupplierId};
use toki::keys::secret::KeySecret;
use toki::mail::delivery::Delivery;
use toki::operators::audit::{Action, insert_action_in};
use toki::operators::rights::Operator;
use toki::server::config::{Config, Environment, loopback_networks};
use toki::server::edge::{MOST_HEAD_BYTES, Refusals, Settings};
use toki::server::run;
use toki::server::state::AppState;
use toki::suppliers::sandbox;
use toki::tokens::Tokens;
use toki::wallet::audit::audit;
use toki::wallet::ledger::{self, GrantCause, NewGrant, Scope};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Of every customer of a test.
pub const PASSWORD: &str = "correct horse battery";

pub const SECRET_KEY: [u8; 32] = [7; 32];

pub struct TestApp {
    pub state: AppState,
    pub addr: SocketAddr,
    /// Where it shows its metrics, if it does.
    pub metrics: Option<SocketAddr>,
    server: JoinHandle<std::io::Result<()>>,
    /// Spool and mails.
    folder: TempDir,
}

/// A key as tests use it.
pub struct TestKey {
    pub secret: String,
}

/// Connections of their own to the same database: a replica that stops closes those that it was given.
pub async fn another_pool(db: &PgPool) -> PgPool {
    PgPool::connect_with(db.connect_options().as_ref().clone()).await.expect("the test's database")
}

impl TestApp {
    /// Starts a replica with the sandbox supplier and short upstream timeouts.
    pub async fn start(db: PgPool) -> TestApp {
        TestApp::start_with(db, |_| {}).await
    }

    pub async fn start_with(db: PgPool, adjust: impl FnOnce(&mut Config)) -> TestApp {
        // A second call finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let folder = TempDir::new().expect("a folder");
        let mut config = Config {
            database_url: "postgres://unused".into(),
            addr,
            metrics_addr: None,
            public_url: format!("http://{addr}").parse().expect("URL"),
            secret_key: SecretBox::new(Box::new(SECRET_KEY)),
            secret_key_old: None,
            environment: Environment::Development,
            supplier_networks: loopback_networks().to_vec(),
            stripe: None,
            seller: None,
            mail: Delivery::Folder { path: folder.path().join("mail"), from: "TOKI <toki@toki.example>".parse().expect("a mailbox") },
            sandbox: true,
            // Pages are tested without the files that a browser would load.
            site_root: PathBuf::from("/nonexistent"),
            upstream: Timeouts {
                connect: Duration::from_secs(2),
                first_byte: Duration::from_secs(6),
                idle: Duration::from_secs(5),
                total: Duration::from_secs(30),
            },
            limits: Limits::default(),
            spool_dir: folder.path().join("spool"),
            settle_wait: Duration::from_secs(10),
            drain: Duration::from_secs(30),
            edge: Settings {
                header: Duration::from_secs(10),
                body: Duration::from_secs(30),
                idle: Duration::from_secs(60),
                write: Duration::from_secs(60),
                most_connections: 1_000,
                head_bytes: MOST_HEAD_BYTES,
                trusted_proxies: Vec::new(),
                refusals: Refusals::default(),
            },
            body_memory: 1 << 30,
        };
        adjust(&mut config);
        let state = run::app_state(config, db.into()).await.expect("the database's key");
        sandbox::register(&state.db, &state.sealing_key, addr).await.expect("sandbox supplier");
        let scrapes = match state.config.metrics_addr {
            Some(addr) => Some(TcpListener::bind(addr).await.expect("a free port")),
            None => None,
        };
        let metrics = scrapes.as_ref().map(|scrapes| scrapes.local_addr().expect("bound"));
        let server = tokio::spawn(run::serve(state.clone(), listener, scrapes));
        TestApp { state, addr, metrics, server, folder }
    }

    /// A replica that is paid through a Stripe of its own, which knows where its events go.
    pub async fn start_with_stripe(db: PgPool) -> (TestApp, FakeStripe) {
        let stripe = FakeStripe::start().await;
        let config = stripe.config();
        let app = TestApp::start_with(db, |ours| ours.stripe = Some(config)).await;
        stripe.deliver_to(&app.url("/webhooks/stripe"));
        (app, stripe)
    }

    /// Ends every connection to the test's database and lets nobody in again, as when Postgres is away.
    pub async fn lose_database(&self) {
        let end = |name: &str| format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        self.through_another_database(|name| vec![format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS false"), end(name)]).await;
    }

    /// Lets everybody in again.
    pub async fn regain_database(&self) {
        self.through_another_database(|name| vec![format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS true")]).await;
    }

    /// Statements about the test's database, of this name, by a connection to another one.
    async fn through_another_database(&self, statements: impl FnOnce(&str) -> Vec<String>) {
        let options = self.state.db.connect_options().as_ref().clone();
        let name = options.get_database().expect("a database").to_string();
        let mut other = options.database("postgres").connect().await.expect("another database");
        for sql in statements(&name) {
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut other).await.expect("another database's");
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// A customer with one grant of these Tokens; none for 0.
    pub async fn customer(&self, email: &str, tokens: i64) -> NewAccount {
        let email = Email::parse(email).expect("e-mail");
        let password = Password::parse(PASSWORD.into()).expect("password");
        let account = store::insert_account(&self.state.db, &email, password, false).await.expect("account");
        if tokens > 0 {
            self.credit(&account, tokens, TimeDelta::days(30), Scope::default()).await;
        }
        account
    }

    pub async fn credit(&self, account: &NewAccount, tokens: i64, valid_for: TimeDelta, scope: Scope) -> GrantId {
        let mut tx = self.state.db.begin().await.expect("begin");
        let action = Action { action: "account.credit", subject_id: account.account_id.to_string(), ..Action::default() };
        let action_id = insert_action_in(&mut tx, Operator::command_line(), action).await.expect("action");
        let new = NewGrant {
            account_id: account.account_id,
            cause: GrantCause::Credit(action_id),
            tokens: Tokens(tokens),
            scope,
            valid_for,
            note: None,
        };
        let grant_id = ledger::issue_grant_in(&mut tx, &new).await.expect("grant");
        tx.commit().await.expect("commit");
        grant_id
    }

    pub async fn key(&self, account: &NewAccount, quota: Option<i64>) -> TestKey {
        let (key_id, secret) = (KeyId::generate(), KeySecret::generate());
        sqlx::query("INSERT INTO api_keys (key_id, account_id, created_by, name, secret_hash, secret_hint, quota) VALUES ($1, $2, $3, 'test', $4, $5, $6)")
            .bind(key_id.0)
            .bind(account.account_id.0)
            .bind(account.user_id.0)
            .bind(&secret.hash(&self.state.pepper)[..])
            .bind(secret.hint())
            .bind(quota)
            .execute(&self.state.db)
            .await
            .expect("key");
        TestKey { secret: secret.expose().to_string() }
    }

    pub async fn sandbox_supplier(&self) -> SupplierId {
        SupplierId(
            sqlx::query_scalar("SELECT supplier_id FROM suppliers WHERE slug = 'sandbox'")
                .fetch_one(&self.state.db)
                .await
                .expect("supplier"),
        )
    }

    /// The mails to this address, the oldest first, once there are so many.
    pub async fn mailed(&self, to: &str, mails: usize) -> Vec<String> {
        for _ in 0..400 {
            let found = self.mails_to(to);
            if found.len() >= mails {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("not {mails} mails to {to} within 10 s");
    }

    /// Every mail to this address that was delivered, the oldest first (ids are in the order of their making). Notices of sign-ins
    /// are left out: most tests sign in from several browsers.
    pub fn mails_to(&self, to: &str) -> Vec<String> {
        self.all_mails_to(to).into_iter().filter(|mail| !mail.contains("Subject: A new browser signed in")).collect()
    }

    pub fn all_mails_to(&self, to: &str) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path().join("mail")).into_iter().flatten().flatten();
        let mut files: Vec<_> = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|kind| kind == "eml")).collect();
        files.sort();
        let mails = files.iter().map(|path| std::fs::read_to_string(path).expect("a mail"));
        mails.filter(|mail| mail.lines().any(|line| line == format!("To: {to}"))).collect()
    }

    /// Runs a statement that stands for an edit made elsewhere.
    pub async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.state.db).await.expect(sql);
    }

    pub async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.state.db).await.expect(sql)
    }

    pub async fn text(&self, sql: &'static str) -> String {
        sqlx::query_scalar(sql).fetch_one(&self.state.db).await.expect(sql)
    }

    /// Waits until the number that this statement finds fits.
    pub async fn until(&self, sql: &'static str, fits: impl Fn(i64) -> bool) {
        for _ in 0..400 {
            if fits(self.number(sql).await) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("not within 10 s: {sql}");
    }

    /// Waits until no call is held; a stream's caller may have the answer's end before the record is visible to others.
    pub async fn until_settled(&self) {
        self.until("SELECT count(*) FROM holds", |holds| holds == 0).await;
    }

    /// The books must balance, whatever the test did.
    pub async fn assert_exact(&self) {
        self.until_settled().await;
        let report = audit(&self.state.db, None).await.expect("audit");
        assert!(report.differences.is_empty(), "{:?}", report.differences);
    }

    /// Ends the replica the orderly way.
    pub async fn stop(mut self) {
        self.state.shutdown.cancel();
        (&mut self.server).await.expect("no panic").expect("served");
    }
}

/// What nobody stopped ends by itself, and lets go of its connections: sqlx waits for those of its pool before it drops the test's
/// database, and Postgres for all others.
impl Drop for TestApp {
    fn drop(&mut self) {
        self.state.shutdown.cancel();
    }
}
