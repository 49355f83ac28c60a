//! Exact under concurrency, clamped at the end, once whatever happens: the promises about Tokens, over HTTP.

use crate::support::app::{TestApp, another_pool};
use crate::support::client::chat;
use crate::support::endpoints::ALL;
use crate::support::installation::Installation;
use crate::support::raw::{Raw, raise_files, statuses};
use crate::support::supplier::CHARGE;
use chrono::TimeDelta;
use futures::StreamExt;
use futures::future::join_all;
use serde_json::json;
use sqlx::PgPool;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use toki::wallet::ledger::{self, Scope};

#[sqlx::test]
async fn two_hundred_calls_at_once_spend_no_more_than_the_quota(db: PgPool) {
    let (one, two) = (TestApp::start(another_pool(&db).await).await, TestApp::start(db).await);
    let customer = one.customer("crowd@example.com", 1_000_000).await;
    // 50 calls of 5 Tokens. A hold is larger than its charge, so some are refused while others run.
    let key = one.key(&customer, Some(250)).await;
    let mut body = chat("sandbox/echo", "hi");
    body["max_tokens"] = json!(1);
    let calls = (0..200).map(|n| if n % 2 == 0 { one.chat(&key.secret, &body) } else { two.chat(&key.secret, &body) });
    let answers = join_all(calls).await;
    let served = answers.iter().filter(|answer| answer.status == 200).count() as i64;
    assert!(answers.iter().all(|answer| answer.status == 200 || (answer.status == 429 && answer.error("code") == "insufficient_quota")));
    one.assert_exact().await;
    // "hi" costs 4 + 1.
    assert!(served > 0);
    assert_eq!(one.number("SELECT spent FROM api_keys").await, served * 5);
    // The quota is never exceeded, and is not left unused either once the crowd is gone.
    while one.chat(&key.secret, &body).await.status == 200 {}
    assert!((100..=250).contains(&one.number("SELECT spent FROM api_keys").await));
    one.assert_exact().await;
    one.stop().await;
    two.stop().await;
}

/// Two processes, a thousand connections, and no call decided before the last has been sent: first with a key whose quota pays for few of
/// them, then with one that has only the grant. Each call that runs costs all that it held, so what a bound can pay is used up for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_at_once_share_a_grant_and_a_key_on_two_replicas() {
    raise_files();
    let mut site = Installation::new().await;
    let replicas = [site.replica().serve(&[]), site.replica().serve(&[])];
    for replica in &replicas {
        site.serve_one(replica).await;
    }
    site.account("thousand@example.com", 10_000);
    let addrs = replicas.each_ref().map(|replica| replica.url.trim_start_matches("http://").parse::<SocketAddr>().expect("an address"));

    let mut served = 0;
    for (quota, left) in [(Some(3_000), 7_000), (None, 0)] {
        let request = small_call(&site.key("thousand@example.com", quota));
        let locks = site.lock_accounts().await;
        let mut callers = Vec::with_capacity(1_000);
        for n in 0..1_000 {
            callers.push(Raw::opened(addrs[n % 2], &request).await);
        }
        site.until_waiting(2).await;
        assert!(callers.iter_mut().all(Raw::is_silent) && site.supplier.arrived().is_none(), "all thousand wait");
        locks.rollback().await.expect("rollback");
        let answers = tokio::spawn(join_all(callers.into_iter().map(Raw::until_closed)));
        while !answers.is_finished() {
            match site.supplier.arrived() {
                Some(arrived) => arrived.answer_dearly(),
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        let answers = answers.await.expect("no panic");
        let (ran, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| statuses(answer) == [200]);
        let odd: Vec<_> = refused.iter().filter(|text| statuses(text) != [429] || !text.contains("insufficient_quota")).collect();
        assert!(odd.is_empty(), "{odd:?}");
        served += ran.len() as i64;
        site.until("SELECT count(*) FROM holds", |holds| holds == 0).await;
        // What is left pays for no call any more.
        let found = site.number("SELECT left_ FROM grants WHERE tokens = 10000").await;
        assert!((left..left + 100).contains(&found), "{found} left in the grant");
    }

    let of_key = site.number("SELECT spent FROM api_keys WHERE quota = 3000").await;
    assert!((2_900..=3_000).contains(&of_key), "{of_key} of the key");
    // For none was anything written off that had been held.
    assert_eq!(site.number("SELECT count(*) FROM usage_records WHERE written_off > 0 AND charge = held").await, served);
    for negative in [
        "SELECT count(*) FROM grants WHERE least(left_, held, spent, expired, refunded) < 0",
        "SELECT count(*) FROM api_keys WHERE least(spent, held, running) < 0",
    ] {
        assert_eq!(site.number(negative).await, 0, "{negative}");
    }
    let of_grant = site.number("SELECT spent FROM grants WHERE tokens = 10000").await;
    site.assert_paid(of_grant + 2 * CHARGE).await;
}

/// A call that may have ten Tokens of an answer, as bytes; its connection is closed behind it.
fn small_call(key: &str) -> String {
    let mut body = chat("acme/large", "Hello there");
    body["max_tokens"] = json!(10);
    let body = body.to_string();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: toki\r\nConnection: close\r\nContent-Type: application/json";
    format!("{head}\r\nAuthorization: Bearer {key}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[sqlx::test]
async fn the_last_call_is_clamped_to_what_is_left(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("clamp@example.com", 200).await;
    let key = app.key(&customer, None).await;
    let mut body = chat("sandbox/echo", "go");
    body["sandbox"] = json!({"words": 5_000});
    let answer = app.chat(&key.secret, &body).await.json();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    let spent = app.number("SELECT spent FROM grants").await;
    assert!(spent > 100 && spent <= 200, "{spent}");
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn the_last_call_of_every_endpoint_is_clamped(db: PgPool) {
    let app = TestApp::start(db).await;
    for endpoint in ALL.iter().filter(|endpoint| endpoint.stream.is_some()) {
        for quota in [None, Some(200)] {
            let customer =
                app.customer(&format!("{}-{}@example.com", endpoint.name, quota.is_some()), quota.map_or(200, |quota| quota * 10)).await;
            let key = app.key(&customer, quota).await;
            let mut body = (endpoint.request)();
            for limit in ["max_tokens", "max_output_tokens"] {
                if body.get(limit).is_some() {
                    body[limit] = json!(4_000);
                }
            }
            body["model"] = json!("sandbox/echo");
            body["sandbox"] = json!({"words": 5_000});
            let answer = app.post(endpoint.path, &key.secret, &body).await;
            assert_eq!(answer.status, 200, "{}: {}", endpoint.name, answer.text);
            let charged: i64 = answer.header("x-toki-charged-tokens").parse().expect("a charge");
            assert!(charged > 100 && charged <= 200, "{}: {charged}", endpoint.name);
        }
    }
    assert_eq!(app.number("SELECT sum(written_off)::bigint FROM usage_records").await, 0);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn grants_burn_scoped_first_then_soonest_expiry_and_a_call_may_span_them(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("burn@example.com", 0).await;
    let supplier = app.sandbox_supplier().await;
    let scoped = Scope { supplier_ids: vec![supplier.0], model_ids: Vec::new() };
    let elsewhere = Scope { supplier_ids: Vec::new(), model_ids: vec!["other/model".into()] };
    let late = app.credit(&customer, 1_000, TimeDelta::days(30), Scope::default()).await;
    let soon = app.credit(&customer, 6, TimeDelta::days(1), Scope::default()).await;
    let scoped = app.credit(&customer, 4, TimeDelta::days(60), scoped).await;
    let foreign = app.credit(&customer, 500, TimeDelta::days(1), elsewhere).await;
    let key = app.key(&customer, None).await;
    // 3 + 3 + 6 words = 12 Tokens: 4 of the scoped grant, 6 of the one that ends first, 2 of the other.
    let mut body = chat("sandbox/echo", "one two three");
    body["max_tokens"] = json!(6);
    body["sandbox"] = json!({"words": 6});
    assert_eq!(app.chat(&key.secret, &body).await.header("x-toki-charged-tokens"), "12");
    for (grant, spent) in [(scoped, 4), (soon, 6), (late, 2), (foreign, 0)] {
        let found: i64 =
            sqlx::query_scalar("SELECT spent FROM grants WHERE grant_id = $1").bind(grant.0).fetch_one(&app.state.db).await.expect("grant");
        assert_eq!(found, spent);
    }
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn a_grant_pays_until_its_expiry_and_never_after(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("expiry@example.com", 0).await;
    app.credit(&customer, 1_000, TimeDelta::days(1), Scope::default()).await;
    let key = app.key(&customer, None).await;
    assert_eq!(app.chat(&key.secret, &chat("sandbox/echo", "hi")).await.status, 200);
    app.execute("UPDATE grants SET expires_at = clock_timestamp()").await;
    assert_eq!(app.chat(&key.secret, &chat("sandbox/echo", "hi")).await.status, 429);
    ledger::sweep_expired_grants(&app.state.db, 10).await.expect("sweep");
    assert_eq!(app.number("SELECT expired FROM grants").await, 996 - 1);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn a_caller_who_leaves_pays_for_what_was_delivered(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("leaver@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    let mut body = chat("sandbox/echo", "hi");
    body["stream"] = json!(true);
    body["sandbox"] = json!({"words": 2_000, "pace_ms": 20});
    let (_, mut stream) = app.begin_stream(&key.secret, &body).await;
    for _ in 0..5 {
        stream.next().await.expect("a chunk").expect("readable");
    }
    drop(stream);
    app.assert_exact().await;
    let (outcome, basis, charge): (String, String, i64) =
        sqlx::query_as("SELECT outcome, basis, charge FROM usage_records").fetch_one(&app.state.db).await.expect("one record");
    assert_eq!((outcome.as_str(), basis.as_str()), ("client_left", "counted"));
    assert!((5..200).contains(&charge), "{charge}");
    app.stop().await;
}

#[sqlx::test]
async fn a_disabled_key_ends_its_stream_on_another_replica(db: PgPool) {
    let (one, two) = (TestApp::start(another_pool(&db).await).await, TestApp::start(db).await);
    let customer = one.customer("kill@example.com", 100_000).await;
    let key = one.key(&customer, None).await;
    let mut body = chat("sandbox/echo", "hi");
    body["stream"] = json!(true);
    body["sandbox"] = json!({"words": 2_000, "pace_ms": 20});
    let (mut first, mut stream) = one.begin_stream(&key.secret, &body).await;
    // The opening of a stream is worth nothing; a word is.
    while !first.contains("word1 ") {
        first.push_str(std::str::from_utf8(&stream.next().await.expect("a chunk").expect("readable")).expect("UTF-8"));
    }
    two.execute("UPDATE api_keys SET status = 'disabled'").await;
    let disabled = Instant::now();
    let rest: Vec<u8> = stream.map(|chunk| chunk.expect("readable").to_vec()).collect::<Vec<_>>().await.concat();
    // The database is asked every 250 ms; the rest is for counting, the settlement, and a machine that is busy with other tests.
    assert!(disabled.elapsed() <= Duration::from_secs(1), "{:?}", disabled.elapsed());
    let text = first + &String::from_utf8(rest).expect("UTF-8");
    assert!(text.contains("invalid_api_key") && !text.contains("[DONE]"), "{text}");
    one.assert_exact().await;
    assert_eq!(one.number("SELECT count(*) FROM usage_records WHERE outcome = 'key_ended' AND basis = 'counted' AND charge > 0").await, 1);
    one.stop().await;
    two.stop().await;
}

#[sqlx::test]
async fn a_silent_owner_is_reaped_and_its_late_settlement_is_charged_once(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("reaped@example.com", 1_000).await;
    let key = app.key(&customer, None).await;
    let mut body = chat("sandbox/slow", "hi");
    body["max_tokens"] = json!(1);
    let call = app.chat(&key.secret, &body);
    let reap = async {
        while app.number("SELECT count(*) FROM holds").await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        app.execute("UPDATE holds SET deadline = now() - interval '1 second', owner = gen_random_uuid()").await;
        while app.number("SELECT count(*) FROM holds").await > 0 {
            ledger::reap_holds(&app.state.db, 10).await.expect("reap");
        }
    };
    let (answer, ()) = tokio::join!(call, reap);
    assert_eq!((answer.status, answer.header("x-toki-charged-tokens")), (200, "5"));
    assert_eq!(app.number("SELECT count(*) FROM usage_records WHERE outcome = 'ok' AND charge = 5").await, 1);
    assert_eq!(app.number("SELECT left_ FROM grants").await, 995);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn a_channel_that_cannot_be_reached_is_passed_over(db: PgPool) {
    let app = TestApp::start(db).await;
    let customer = app.customer("failover@example.com", 100_000).await;
    let key = app.key(&customer, None).await;
    // Nothing listens on port 1; being so much heavier, this channel is nearly always tried first.
    app.execute("INSERT INTO channels (channel_id, supplier_id, base_url, weight) SELECT gen_random_uuid(), supplier_id, 'http://127.0.0.1:1/v1', 1000 FROM suppliers").await;
    for _ in 0..10 {
        assert_eq!(app.chat(&key.secret, &chat("sandbox/echo", "hi")).await.status, 200);
    }
    app.execute("DELETE FROM channels WHERE weight = 1").await;
    let answer = app.chat(&key.secret, &chat("sandbox/echo", "hi")).await;
    assert_eq!((answer.status, answer.error("code").as_str()), (502, "upstream_unavailable"));
    app.execute("UPDATE channels SET status = 'disabled'").await;
    assert_eq!(app.chat(&key.secret, &chat("sandbox/echo", "hi")).await.status, 404);
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn a_channel_outside_the_allowed_networks_is_never_connected_to(db: PgPool) {
    let app = TestApp::start_with(db, |config| config.supplier_networks.clear()).await;
    let customer = app.customer("ssrf@example.com", 1_000).await;
    let key = app.key(&customer, None).await;
    app.execute("INSERT INTO channels (channel_id, supplier_id, base_url) SELECT gen_random_uuid(), supplier_id, 'http://localhost:8000/v1' FROM suppliers").await;
    assert_eq!(app.chat(&key.secret, &chat("sandbox/echo", "hi")).await.status, 502);
    app.assert_exact().await;
    app.stop().await;
}
