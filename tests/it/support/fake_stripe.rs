//! A Stripe of our own: opens Checkout Sessions with idempotency as Stripe does it (replay, mismatch, in use), remembers what it
//! was asked, fails on demand, and signs events.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use toki::checkout::payments::StripeConfig;
use toki::checkout::signature::sign;
use tokio::net::TcpListener;

pub const WEBHOOK_SECRET: &str = "whsec_fake_0123456789abcdef";

#[derive(Clone)]
pub struct FakeStripe {
    addr: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    requests: Vec<Request>,
    /// By idempotency key; no answer yet = the first request is still being worked on.
    answered: HashMap<String, (BTreeMap<String, String>, Option<Value>)>,
    failures: VecDeque<u16>,
    work: Duration,
}

/// One request for a session.
#[derive(Clone, Debug)]
pub struct Request {
    pub authorization: String,
    pub idempotency_key: String,
    pub form: BTreeMap<String, String>,
}

impl FakeStripe {
    pub async fn start() -> FakeStripe {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let stripe = FakeStripe { addr, inner: Arc::default() };
        let router = Router::new().route("/v1/checkout/sessions", post(create_session)).with_state(stripe.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        stripe
    }

    pub fn config(&self) -> StripeConfig {
        StripeConfig {
            secret_key: "sk_test_fake".into(),
            webhook_secret: format!("whsec_rotated_0123456789, {WEBHOOK_SECRET}").into(),
            api_base: Some(format!("http://{}", self.addr)),
        }
    }

    /// Answers the next requests with these statuses instead.
    pub fn fail_next(&self, statuses: &[u16]) {
        self.inner.lock().expect("state").failures.extend(statuses);
    }

    /// How long opening a session takes from now on.
    pub fn work_for(&self, work: Duration) {
        self.inner.lock().expect("state").work = work;
    }

    pub fn requests(&self) -> Vec<Request> {
        self.inner.lock().expect("state").requests.clone()
    }

    /// The sessions that exist, however often they were asked for.
    pub fn sessions(&self) -> Vec<Value> {
        self.inner.lock().expect("state").answered.values().filter_map(|(_, session)| session.clone()).collect()
    }

    /// An event about a session as it would be once it is paid, or `change`d from that.
    pub fn event(id: &str, kind: &str, session: &Value, change: Value) -> String {
        let mut object = session.clone();
        object["payment_status"] = json!("paid");
        object["status"] = json!("complete");
        for (name, value) in change.as_object().expect("an object") {
            object[name] = value.clone();
        }
        json!({"id": id, "object": "event", "api_version": "2030-01-01.later", "type": kind, "data": {"object": object}}).to_string()
    }

    /// The header that Stripe sends with this body.
    pub fn signature(body: &str) -> String {
        sign(WEBHOOK_SECRET.as_bytes(), body.as_bytes(), chrono::Utc::now().timestamp()).expect("signed")
    }
}

async fn create_session(State(stripe): State<FakeStripe>, headers: HeaderMap, body: String) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_string();
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let key = header("idempotency-key");
    let work = {
        let mut inner = stripe.inner.lock().expect("state");
        let request = Request { authorization: header("authorization"), idempotency_key: key.clone(), form: form.clone() };
        inner.requests.push(request);
        if let Some(status) = inner.failures.pop_front() {
            return failure(status, "api_error", "It fails on demand.");
        }
        match inner.answered.get(&key) {
            Some((before, _)) if *before != form => return failure(400, "idempotency_error", "Other parameters under the same key."),
            Some((_, Some(session))) => return Json(session.clone()).into_response(),
            Some((_, None)) => return failure(409, "idempotency_error", "A request with this key is being worked on."),
            None => inner.answered.insert(key.clone(), (form.clone(), None)),
        };
        inner.work
    };
    tokio::time::sleep(work).await;
    let mut inner = stripe.inner.lock().expect("state");
    let session = session_of(&form, inner.answered.len());
    inner.answered.insert(key, (form, Some(session.clone())));
    Json(session).into_response()
}

/// A session as Stripe describes it, in the fields that matter to somebody.
fn session_of(form: &BTreeMap<String, String>, number: usize) -> Value {
    let field = |name: &str| form.get(name).cloned();
    let amount = field("line_items[0][price_data][unit_amount]").and_then(|text| text.parse::<i64>().ok());
    let id = format!("cs_test_{number}");
    json!({
        "id": id,
        "object": "checkout.session",
        "url": format!("https://checkout.stripe.com/c/pay/{id}"),
        "mode": field("mode"),
        "status": "open",
        "payment_status": "unpaid",
        "amount_total": amount,
        "currency": field("line_items[0][price_data][currency]"),
        "client_reference_id": field("client_reference_id"),
        "metadata": {"order_id": field("metadata[order_id]")},
    })
}

fn failure(status: u16, kind: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, Json(json!({"error": {"type": kind, "message": message}}))).into_response()
}
