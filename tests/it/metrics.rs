//! What Prometheus finds, where, and what callers never do.

use crate::support::app::{TestApp, another_pool};
use crate::support::client::{chat, http};
use crate::support::scripted::{MODEL, Scripted, script};
use crate::support::toki::Toki;
use sqlx::PgPool;
use std::net::SocketAddr;
use std::time::Duration;
use toki::server::config::Config;

const OPENMETRICS: &str = "application/openmetrics-text";

/// On a port of its own.
fn shown(config: &mut Config) {
    config.metrics_addr = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
}

/// What is shown to whoever wants this kind, and what kind it is.
async fn scrape_as(app: &TestApp, accept: &str) -> (String, String) {
    let url = format!("http://{}/metrics", app.metrics.expect("metrics"));
    let response = http().get(url).header("accept", accept).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let kind = response.headers()["content-type"].to_str().expect("text").to_string();
    (kind, response.text().await.expect("a whole body"))
}

async fn scrape(app: &TestApp) -> String {
    scrape_as(app, "*/*").await.1
}

/// The value of the sample with this name and these labels, as they are written; 0 where there is none.
fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap_or_else(|error| panic!("{sample}: {error}")))
}

/// Waits until the value of a sample fits.
async fn until(app: &TestApp, sample: &str, fits: impl Fn(f64) -> bool) {
    for _ in 0..400 {
        if fits(value(&scrape(app).await, sample)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not within 10 s: {sample}");
}

#[sqlx::test]
async fn metrics_are_off_by_default_and_never_where_callers_connect(db: PgPool) {
    let app = TestApp::start(another_pool(&db).await).await;
    assert_eq!(app.metrics, None);
    let status = async |url: String| http().get(url).send().await.expect("an answer").status().as_u16();
    assert_eq!(status(app.url("/metrics")).await, 404);
    app.stop().await;

    let app = TestApp::start_with(db, shown).await;
    assert_eq!(status(app.url("/metrics")).await, 404);
    let metrics = app.metrics.expect("metrics");
    assert_eq!(status(format!("http://{metrics}/metrics")).await, 200);
    for path in ["/", "/sign-in", "/healthz", "/v1/models", "/metrics/"] {
        assert_eq!(status(format!("http://{metrics}{path}")).await, 404, "{path}");
    }
    let posted = http().post(format!("http://{metrics}/metrics")).send().await.expect("an answer").status();
    assert_eq!(posted, 405);
    app.stop().await;
}

#[sqlx::test]
async fn a_call_and_a_refusal_are_counted(db: PgPool) {
    let app = TestApp::start_with(db, shown).await;
    let customer = app.customer("metered@example.com", 10_000).await;
    let key = app.key(&customer, None).await;
    assert!(!scrape(&app).await.contains("toki_calls_total{"), "nothing before the first");
    let served = app.chat(&key.secret, &chat("sandbox/echo", "hi")).await;
    assert_eq!(served.status, 200);
    assert_eq!(app.chat(&key.secret, &chat("sandbox/none", "hi")).await.status, 404);
    assert_eq!(app.get("/v1/models/sandbox/echo", "sk-toki-wrong").await.status, 401);
    let packed = http().post(app.url("/v1/chat/completions")).header("content-encoding", "gzip").body("{}");
    assert_eq!(packed.send().await.expect("an answer").status(), 415);

    let text = scrape(&app).await;
    let charged: f64 = served.header("x-toki-charged-tokens").parse().expect("a number");
    for (sample, expected) in [
        (r#"toki_requests_total{endpoint="chat/completions",status="2xx",code=""}"#, 1.0),
        (r#"toki_requests_total{endpoint="chat/completions",status="4xx",code="model_not_found"}"#, 1.0),
        (r#"toki_requests_total{endpoint="models",status="4xx",code="invalid_api_key"}"#, 1.0),
        (r#"toki_calls_total{endpoint="chat/completions",outcome="ok",status="2xx"}"#, 1.0),
        (r#"toki_charged_tokens_total{endpoint="chat/completions",basis="measured"}"#, charged),
        (r#"toki_call_duration_seconds_count{endpoint="chat/completions"}"#, 1.0),
        (r#"toki_call_duration_seconds_bucket{endpoint="chat/completions",le="+Inf"}"#, 1.0),
        (r#"toki_call_first_byte_seconds_count{endpoint="chat/completions"}"#, 1.0),
        (r#"toki_edge_refusals_total{code="unsupported_encoding"}"#, 1.0),
        ("toki_settlement_batch_calls_sum", 1.0),
        ("toki_settlement_batch_duration_seconds_count", 1.0),
        ("toki_spool_settlements", 0.0),
        ("toki_spool_rejected_files", 0.0),
        ("toki_payment_events_quarantined", 0.0),
        ("toki_payment_events_unsettled", 0.0),
        (r#"toki_database_connections_most{pool="calls"}"#, 10.0),
        (concat!(r#"toki_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""}"#), 1.0),
    ] {
        assert_eq!(value(&text, sample), expected, "{sample} in\n{text}");
    }
    assert!(value(&text, "toki_admission_batch_calls_sum") >= 2.0, "{text}");
    for name in ["toki_spool_settlements", "toki_payment_events_quarantined", "toki_payment_events_unsettled", "toki_calls_running"] {
        assert!(text.contains(&format!("\n{name} ")), "{name} is shown though it is none:\n{text}");
    }
    until(&app, r#"toki_job_runs_total{job="reap holds",result="ok"}"#, |runs| runs >= 1.0).await;
    // Nothing of who calls what.
    let account = customer.account_id.to_string();
    for word in ["sandbox", "metered", key.secret.as_str(), account.as_str()] {
        assert!(!text.contains(word), "{word} in\n{text}");
    }
    app.stop().await;
}

#[sqlx::test]
async fn running_calls_are_seen_and_each_server_counts_its_own(db: PgPool) {
    let (app, other) = (TestApp::start_with(another_pool(&db).await, shown).await, TestApp::start_with(db, shown).await);
    let customer = app.customer("running@example.com", 10_000).await;
    let key = app.key(&customer, None).await;
    Scripted::start(&app).await;
    let mut body = chat(MODEL, "hi");
    body["stream"] = true.into();
    body["script"] = script(&["data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n"], "hang");
    let (_, stream) = app.begin_stream(&key.secret, &body).await;
    assert_eq!(value(&scrape(&app).await, "toki_calls_running"), 1.0);
    assert_eq!(value(&scrape(&other).await, "toki_calls_running"), 0.0);
    drop(stream);
    until(&app, r#"toki_calls_total{endpoint="chat/completions",outcome="client_left",status="2xx"}"#, |calls| calls == 1.0).await;
    until(&app, "toki_calls_running", |calls| calls == 0.0).await;
    assert!(!scrape(&other).await.contains("toki_calls_total{"));
    app.stop().await;
    other.stop().await;
}

#[sqlx::test]
async fn prometheus_gets_the_format_that_it_asks_for(db: PgPool) {
    let app = TestApp::start_with(db, shown).await;
    assert_eq!(app.get("/v1/models", "sk-toki-wrong").await.status, 401);
    let asked = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    let (kind, text) = scrape_as(&app, asked).await;
    assert_eq!(kind, format!("{OPENMETRICS}; version=1.0.0; charset=utf-8"));
    assert!(text.ends_with("# EOF\n") && text.contains("# TYPE toki_requests counter\n"), "{text}");
    let (kind, text) = scrape_as(&app, "text/plain").await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    assert!(!text.contains("# EOF") && text.contains("# TYPE toki_calls_running gauge\n"), "{text}");
    // A name is described once.
    let mut described: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let all = described.len();
    described.sort_unstable();
    described.dedup();
    assert_eq!(described.len(), all, "{text}");
    app.stop().await;
}

#[sqlx::test]
async fn webhooks_are_counted_by_their_answer(db: PgPool) {
    let app = TestApp::start_with(db, shown).await;
    for _ in 0..2 {
        let answer = http().post(app.url("/webhooks/stripe")).body("{}").send().await.expect("an answer");
        assert_eq!(answer.status(), 400);
    }
    assert_eq!(value(&scrape(&app).await, r#"toki_webhooks_total{answer="refused"}"#), 2.0);
    app.stop().await;
}

#[sqlx::test]
async fn metrics_without_a_database_are_metrics_all_the_same(db: PgPool) {
    let app = TestApp::start_with(db, shown).await;
    app.lose_database().await;
    let text = scrape(&app).await;
    assert!(text.contains("\ntoki_calls_running 0\n") && !text.contains("toki_payment_events"), "{text}");
    app.regain_database().await;
    app.stop().await;
}

#[sqlx::test]
async fn the_command_line_serves_them_where_it_is_told(db: PgPool) {
    // A second call finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let toki = Toki::new(&db).with("TOKI_METRICS_ADDR", "127.0.0.1:0");
    let served = toki.serve(&[]);
    let metrics_url = served.document["metrics_url"].as_str().expect("a URL").to_string();
    let text = http().get(metrics_url).send().await.expect("an answer").text().await.expect("a whole body");
    assert!(text.contains("toki_build_info{"), "{text}");
    assert_eq!(served.terminate(), Some(0));
    let refused = Toki::new(&db).with("TOKI_ADDR", "127.0.0.1:3999").with("TOKI_METRICS_ADDR", "0.0.0.0:3999").refusal(&["serve"]);
    assert!(refused.contains("TOKI_METRICS_ADDR"), "{refused}");
}
