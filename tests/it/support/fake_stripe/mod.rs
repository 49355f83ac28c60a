//! A Stripe of our own, over HTTP: the part of its API that we use, as strict as Stripe about parameters and idempotency keys. Here
//! is what a test tells it; `api` answers clients, `books` holds what there is, `delivery` signs and posts events.
//!
//! `scripts/stripe-sdks.sh` has the official SDKs judge it (`stripe_sdks`).

mod api;
mod books;
mod delivery;

pub use delivery::{Plan, WEBHOOK_SECRET, post};

use axum::Router;
use axum::routing::any;
use books::Books;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use toki::checkout::payments::StripeConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What a client posted, or asked for: `line_items[0][quantity]` → `1`.
pub type Form = BTreeMap<String, String>;

pub const SECRET_KEY: &str = "sk_test_fake";

#[derive(Clone)]
pub struct FakeStripe {
    addr: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    /// Where requests wait, as long as they are told to.
    stalled: Arc<watch::Sender<Option<Stall>>>,
}

#[derive(Default)]
struct Inner {
    books: Books,
    requests: Vec<Request>,
    /// By idempotency key.
    kept: HashMap<String, Kept>,
    failures: VecDeque<Failure>,
    /// How the next questions are answered, instead of with what they ask for.
    failed_reads: VecDeque<u16>,
    /// By path.
    failing_reads: HashMap<String, u16>,
    forgets_events: bool,
    work: Duration,
    /// Where events go, and those that are to go there, oldest first.
    endpoint: Option<String>,
    outbox: Vec<Value>,
}

/// The first request under an idempotency key; no answer yet = it is still being worked on.
struct Kept {
    path: String,
    form: Form,
    answer: Option<(u16, Value)>,
}

/// A request that fails, although nothing is wrong with it.
#[derive(Clone, Copy, Debug)]
struct Failure {
    status: u16,
    /// What was asked for is done all the same.
    done: bool,
}

/// Where a request stops until it is released, or its client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    BeforeTheDeed,
    BeforeTheAnswer,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub authorization: String,
    pub idempotency_key: String,
    pub form: Form,
}

impl FakeStripe {
    pub async fn start() -> FakeStripe {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let stripe = FakeStripe { addr, inner: Arc::default(), stalled: Arc::new(watch::Sender::new(None)) };
        let router = Router::new().route("/v1/{*path}", any(api::answer)).route("/fake/{*path}", any(api::act)).with_state(stripe.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        stripe
    }

    /// What `STRIPE_API_BASE` is to be.
    pub fn base(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn config(&self) -> StripeConfig {
        StripeConfig {
            secret_key: SECRET_KEY.into(),
            webhook_secret: format!("whsec_rotated_0123456789, {WEBHOOK_SECRET}").into(),
            api_base: Some(self.base()),
        }
    }

    /// Answers the next requests with these statuses, and does nothing. Failures of its own (5xx) it keeps under their keys, as Stripe
    /// does, and answers them again.
    pub fn fail_next(&self, statuses: &[u16]) {
        self.inner().failures.extend(statuses.iter().map(|status| Failure { status: *status, done: false }));
    }

    /// Does what the next request asks for, and answers that it failed, now and whenever it is asked under the same key.
    pub fn lose_next_answer(&self) {
        self.inner().failures.push_back(Failure { status: 500, done: true });
    }

    /// Answers reads of this path (`events`, `checkout/sessions/cs_test_1`) with this status from now on; none = as they should be.
    pub fn fail_reads(&self, path: &str, status: Option<u16>) {
        let mut inner = self.inner();
        inner.failing_reads.remove(path);
        inner.failing_reads.extend(status.map(|status| (path.to_string(), status)));
    }

    /// Lists no event from now on, as Stripe does after thirty days.
    pub fn forget_events(&self) {
        self.inner().forgets_events = true;
    }

    /// Somebody asked for another session under this key.
    pub fn key_was_used(&self, key: &str) {
        let kept = Kept { path: "checkout/sessions".into(), form: Form::new(), answer: Some((200, Value::Null)) };
        self.inner().kept.insert(key.to_string(), kept);
    }

    /// How long each write takes from now on.
    pub fn work_for(&self, work: Duration) {
        self.inner().work = work;
    }

    /// Has writes stop here from now on; none = they go on, those that wait included.
    pub fn stall(&self, stall: Option<Stall>) {
        self.stalled.send_replace(stall);
    }

    /// The writes that were asked for, oldest first, those that failed or were repeated included.
    pub fn requests(&self) -> Vec<Request> {
        self.inner().requests.clone()
    }

    /// What there is of a kind (`cs`, `pi`, `ch`, `re`, `in`, `cus`, `dp`), oldest first, however often it was asked for.
    pub fn all(&self, kind: &str) -> Vec<Value> {
        self.inner().books.all(kind)
    }

    pub fn sessions(&self) -> Vec<Value> {
        self.all("cs")
    }

    /// The customer pays; with a method that takes days, `settle_payment` follows.
    pub fn complete(&self, session_id: &str, paid: bool) {
        self.happens(|books| books.complete(session_id, paid));
    }

    /// An asynchronous payment succeeds, or fails.
    pub fn settle_payment(&self, session_id: &str, succeeds: bool) {
        self.happens(|books| books.settle_payment(session_id, succeeds));
    }

    /// The payment of a session stands there from now on, and nobody is told.
    pub fn payment_becomes(&self, session_id: &str, status: &str) {
        self.happens(|books| books.payment_becomes(session_id, status));
    }

    pub fn expire(&self, session_id: &str) {
        self.happens(|books| books.expire(session_id).map(|_| ()));
    }

    /// Somebody refunds a payment in Stripe's own pages.
    pub fn refund_elsewhere(&self, session_id: &str, amount: i64) {
        self.happens(|books| {
            let payment = books.text(session_id, "payment_intent");
            let form = Form::from([("payment_intent".into(), payment), ("amount".into(), amount.to_string())]);
            books.refund(&form).map(|_| ())
        });
    }

    /// Refunds made from now on begin with this status; `pending` and `succeeded` may still fail.
    pub fn refunds_begin(&self, status: &'static str) {
        self.inner().books.refunds_begin = Some(status);
    }

    /// The bank sends a refund back.
    pub fn fail_refund(&self, refund_id: &str) {
        self.happens(|books| books.fail_refund(refund_id));
    }

    /// Somebody deletes a customer in Stripe's own pages.
    pub fn delete_customer(&self, customer_id: &str) {
        self.happens(|books| books.delete_customer(customer_id).map(|_| ()));
    }

    /// The customer's bank takes the payment back, for now. Returns the dispute's id.
    pub fn dispute(&self, session_id: &str) -> String {
        self.happens(|books| books.dispute(session_id))
    }

    /// `won`, `lost`, or `warning_closed`.
    pub fn close_dispute(&self, dispute_id: &str, status: &str) {
        self.happens(|books| books.close_dispute(dispute_id, status));
    }

    /// Something happens in the world; the events it makes are to be delivered.
    fn happens<T>(&self, deed: impl FnOnce(&mut Books) -> Result<T, books::Refusal>) -> T {
        let mut inner = self.inner();
        let done = deed(&mut inner.books).unwrap_or_else(|refusal| panic!("{}", refusal.message));
        inner.post();
        done
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("state")
    }
}

impl Inner {
    /// Puts new events into the outbox.
    fn post(&mut self) {
        let new = self.books.take_new_events();
        self.outbox.extend(new);
    }
}
