//! A whole installation for one test to break: a cluster of its own, a supplier, a customer with Tokens and a key, and replicas that
//! are real processes.

use crate::support::client::http;
use crate::support::cluster::Cluster;
use crate::support::supplier::{Answering, Supplier};
use crate::support::toki::{Served, Toki};
use serde_json::json;
use sqlx::{PgPool, Postgres, Transaction};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// What the customer has at the start.
pub const GRANTED: i64 = 100_000;
const EMAIL: &str = "ada@example.com";
/// Longer than whatever a test waits for takes: reaping comes every 5 s.
const PATIENCE: Duration = Duration::from_secs(20);

pub type Call = JoinHandle<reqwest::Result<reqwest::Response>>;

pub struct Installation {
    pub db: PgPool,
    pub supplier: Supplier,
    /// A client of the database for commands; not a replica.
    toki: Toki,
    key: String,
    /// The last to go.
    pub cluster: Cluster,
}

impl Installation {
    pub async fn new() -> Installation {
        Installation::with_connections(100).await
    }

    /// Whose database takes this many connections.
    pub async fn with_connections(connections: u32) -> Installation {
        // A second call finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cluster = Cluster::start(connections).await;
        let (db, supplier) = (cluster.connect().await, Supplier::start().await);
        let toki = replica(cluster.url());
        toki.json(&["migrate"]);
        toki.json(&["supplier", "add", "--slug", "acme", "--name", "Acme"]);
        toki.json(&["channel", "add", "--supplier", "acme", "--base-url", &supplier.base_url()]);
        let model = ["model", "add", "--id", "acme/large", "--supplier", "acme", "--upstream-id", "large-1"];
        toki.json(&[&model[..], &["--context", "8000", "--max-output", "100"]].concat());
        let mut installation = Installation { db, supplier, toki, key: String::new(), cluster };
        installation.key = installation.customer(EMAIL);
        installation
    }

    /// Makes a customer with Tokens; returns the secret of their key.
    pub fn customer(&self, email: &str) -> String {
        self.account(email, GRANTED);
        self.key(email, None)
    }

    /// Makes a customer with a grant of these Tokens.
    pub fn account(&self, email: &str, tokens: i64) {
        self.toki.json_with_input(&["account", "create", "--email", email, "--password-stdin"], "correct horse battery\n");
        self.toki.json(&["account", "credit", "--email", email, "--tokens", &tokens.to_string()]);
    }

    /// Makes a key of a customer; returns its secret.
    pub fn key(&self, email: &str, quota: Option<i64>) -> String {
        let quota = quota.map(|quota| quota.to_string());
        let quota = quota.as_deref().map(|quota| ["--quota", quota]);
        let create = ["key", "create", "--email", email, "--name", "k"];
        let key = self.toki.json(&[&create[..], quota.as_ref().map_or(&[][..], |quota| &quota[..])].concat());
        key["secret"].as_str().expect("a secret").to_string()
    }

    /// A replica that is not running yet, with a folder, and so a spool, of its own.
    pub fn replica(&self) -> Toki {
        replica(self.cluster.url())
    }

    /// One that reaches the database on another way.
    pub fn replica_at(&self, database_url: &str) -> Toki {
        replica(database_url)
    }

    /// Sends a call of the customer's; the answer comes when the supplier gives it.
    pub fn call(&self, replica: &Served, stream: bool) -> Call {
        self.call_with(replica, stream, &self.key)
    }

    pub fn call_with(&self, replica: &Served, stream: bool, key: &str) -> Call {
        self.call_saying(replica, stream, key, "Hello there")
    }

    /// The same, in these words.
    pub fn call_saying(&self, replica: &Served, stream: bool, key: &str, words: &str) -> Call {
        tokio::spawn(request(replica, stream, words).bearer_auth(key).send())
    }

    /// A stream for this prompt.
    pub fn stream_for(&self, replica: &Served, prompt: &str) -> Call {
        self.call_saying(replica, true, &self.key, prompt)
    }

    /// A whole call under this Idempotency-Key.
    pub fn call_under(&self, replica: &Served, idempotency_key: &str) -> Call {
        let request = request(replica, false, "Hello there").bearer_auth(&self.key);
        tokio::spawn(request.header("idempotency-key", idempotency_key).send())
    }

    /// Gives the customer more Tokens.
    pub fn credit(&self, tokens: i64) {
        self.toki.json(&["account", "credit", "--email", EMAIL, "--tokens", &tokens.to_string()]);
    }

    /// Starts a stream: its first word has been read by the caller.
    pub async fn stream(&mut self, replica: &Served) -> (Answering, Reader) {
        let call = self.call(replica, true);
        let answering = self.supplier.accept().await.begin();
        answering.word("first");
        let mut reader = Reader::of(call).await;
        reader.until("first").await;
        (answering, reader)
    }

    /// A whole call from start to end, which must succeed.
    pub async fn serve_one(&mut self, replica: &Served) {
        let call = self.call(replica, false);
        self.supplier.accept().await.answer();
        assert_eq!(call.await.expect("no panic").expect("an answer").status(), 200);
    }

    /// Answers whatever reaches the supplier until all of these calls have their answer; how many of them were served, and how many
    /// were told to come back.
    pub async fn serve_all(&mut self, calls: Vec<Call>) -> (usize, usize) {
        while !calls.iter().all(Call::is_finished) {
            match self.supplier.arrived() {
                Some(arrived) => arrived.answer(),
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        let (mut served, mut refused) = (0, 0);
        for call in calls {
            match call.await.expect("no panic").expect("an answer").status().as_u16() {
                200 => served += 1,
                503 => refused += 1,
                status => panic!("answered {status}"),
            }
        }
        (served, refused)
    }

    /// Locks every account's row, so that neither admission nor settlement gets on.
    pub async fn lock_accounts(&self) -> Transaction<'static, Postgres> {
        let mut tx = self.db.begin().await.expect("begin");
        sqlx::query("SELECT 1 FROM accounts FOR UPDATE").execute(&mut *tx).await.expect("lock");
        tx
    }

    /// Locks the row of the youngest account.
    pub async fn lock_youngest_account(&self) -> Transaction<'static, Postgres> {
        let mut tx = self.db.begin().await.expect("begin");
        let youngest = "SELECT 1 FROM accounts ORDER BY created_at DESC, account_id DESC LIMIT 1 FOR UPDATE";
        sqlx::query(youngest).execute(&mut *tx).await.expect("lock");
        tx
    }

    /// Waits until this many statements of the gateway wait for a lock; a job that runs when a replica starts may do so too.
    pub async fn until_waiting(&self, sessions: i64) {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'toki gateway'";
        self.until(waiting, |found| found >= sessions).await;
    }

    pub async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.db).await.expect(sql)
    }

    pub async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.db).await.expect(sql);
    }

    pub async fn until(&self, sql: &'static str, fits: impl Fn(i64) -> bool) {
        eventually(sql, async || fits(self.number(sql).await)).await;
    }

    /// As if the silence of every owner had lasted long enough.
    pub async fn expire_holds(&self) {
        self.execute("UPDATE holds SET deadline = now() - interval '1 second'").await;
    }

    /// No call is held, these are the calls on record and no others (outcome, basis, charge; in order of their start), the customer
    /// paid just for them, and `toki audit` agrees.
    pub async fn assert_books(&self, expected: &[(&str, &str, i64)]) {
        self.until("SELECT count(*) FROM holds", |holds| holds == 0).await;
        self.until("SELECT count(*) FROM usage_records WHERE outcome <> 'interrupted'", |records| {
            records >= expected.iter().filter(|(outcome, ..)| *outcome != "interrupted").count() as i64
        })
        .await;
        let found: Vec<(String, String, i64)> =
            sqlx::query_as("SELECT outcome, basis, charge FROM usage_records ORDER BY started_at, request_id")
                .fetch_all(&self.db)
                .await
                .expect("records");
        let found: Vec<(&str, &str, i64)> =
            found.iter().map(|(outcome, basis, charge)| (outcome.as_str(), basis.as_str(), *charge)).collect();
        assert_eq!(found, expected);
        self.assert_paid(expected.iter().map(|(_, _, charge)| charge).sum()).await;
    }

    /// What all customers paid together, from each of the places that say so; and the audit.
    pub async fn assert_paid(&self, charged: i64) {
        for sql in [
            "SELECT coalesce(sum(charge), 0)::bigint FROM usage_records",
            "SELECT coalesce(sum(tokens), 0)::bigint FROM ledger WHERE to_book = 'spent'",
            "SELECT sum(spent)::bigint FROM grants",
            "SELECT sum(tokens - left_)::bigint FROM grants",
            "SELECT sum(spent)::bigint FROM api_keys",
        ] {
            assert_eq!(self.number(sql).await, charged, "{sql}");
        }
        assert_eq!(self.number("SELECT (sum(held) + (SELECT sum(held) FROM api_keys))::bigint FROM grants").await, 0);
        assert_eq!(self.toki.json(&["audit"])["ok"], true);
    }
}

fn request(replica: &Served, stream: bool, prompt: &str) -> reqwest::RequestBuilder {
    let body = json!({"model": "acme/large", "stream": stream, "messages": [{"role": "user", "content": prompt}]});
    http().post(format!("{}/v1/chat/completions", replica.url)).json(&body)
}

fn replica(database_url: &str) -> Toki {
    Toki::at(database_url).with("TOKI_SUPPLIER_NETWORKS", "127.0.0.0/8")
}

/// Polls until the condition holds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// The segments of a replica's spool.
pub fn spooled(toki: &Toki) -> usize {
    files_of(&toki.folder().join(".data/spool")).iter().filter(|name| name.ends_with(".spool")).count()
}

/// The files of a replica's spool that somebody must look at.
pub fn set_aside(toki: &Toki) -> usize {
    files_of(&toki.folder().join(".data/spool")).iter().filter(|name| name.ends_with(".rejected")).count()
}

/// Whether nothing is left in a replica's spool, neither to be replayed nor refused.
pub fn is_spool_empty(toki: &Toki) -> bool {
    files_of(&toki.folder().join(".data/spool")).is_empty()
}

fn files_of(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).expect("a folder");
    files.map(|file| file.expect("readable").file_name().to_string_lossy().into_owned()).collect()
}

/// A caller who reads a stream.
pub struct Reader {
    response: reqwest::Response,
    pub text: String,
}

impl Reader {
    /// Of a call whose answer begins with 200.
    pub async fn of(call: Call) -> Reader {
        let response = call.await.expect("no panic").expect("an answer");
        assert_eq!(response.status(), 200);
        Reader { response, text: String::new() }
    }

    /// Reads until this has been read.
    pub async fn until(&mut self, needle: &str) {
        while !self.text.contains(needle) {
            assert!(self.read(PATIENCE).await, "the stream ended before {needle}: {}", self.text);
        }
    }

    /// Reads what comes within this time.
    pub async fn read_for(&mut self, time: Duration) {
        let begun = Instant::now();
        while self.read(time.saturating_sub(begun.elapsed())).await {}
    }

    /// Reads to the end, or to where it broke off; whether the caller saw the answer's end.
    pub async fn saw_the_end(&mut self) -> bool {
        while self.read(PATIENCE).await {}
        self.text.contains("[DONE]")
    }

    /// One more chunk within this time; false when there is none.
    async fn read(&mut self, time: Duration) -> bool {
        match tokio::time::timeout(time, self.response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                self.text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
                true
            }
            Ok(Ok(None) | Err(_)) | Err(_) => false,
        }
    }
}
