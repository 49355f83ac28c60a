//! Where the gateway connects to: never to ourselves or our neighbours, whatever a channel's address, its name or a supplier's answer
//! says. A listener that counts who comes stands where each of them leads.

use crate::support::app::TestApp;
use crate::support::client::{Answer, chat};
use crate::support::scripted::{MODEL, Scripted};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use sqlx::PgPool;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;

/// Ways to write an address or a name of this machine.
const OURS: [&str; 46] = [
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7F000001",
    "0x7f.1",
    "0x7f.0.0.1",
    "0x7f.0x0.0x0.0x1",
    "0177.1",
    "0177.0.0.1",
    "0177.0.0.01",
    "0177.0x0.0.1",
    "00000177.0.0.1",
    "%31%32%37.0.0.1",
    "127%2E0.0.1",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127．0．0．1",
    "0",
    "0.0.0.0",
    "0x0",
    "00.0",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "LocalHost",
    "ｌｏｃａｌｈｏｓｔ",
    "%6cocalhost",
    "[::1]",
    "[0::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::0.0.0.1]",
    "[::]",
    "[::0]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::ffff:0.0.0.0]",
    "[::ffff:127.0.0.2]",
];

/// Ports of other services than models, from 1024 on, so that anybody may listen there.
const ODD_PORTS: [u16; 14] = [2049, 2375, 3306, 3659, 4045, 5060, 6000, 6379, 6566, 6667, 9200, 10080, 11211, 27017];

/// Counts connections, over IPv4 and IPv6.
async fn counter() -> (u16, Arc<AtomicUsize>) {
    counter_at(0).await.expect("a free port")
}

/// None when the port is taken.
async fn counter_at(port: u16) -> Option<(u16, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind(("::", port)).await.ok()?;
    let (port, count) = (listener.local_addr().expect("bound").port(), Arc::<AtomicUsize>::default());
    let counted = count.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    Some((port, count))
}

/// A supplier whose only channel is the one that [`lead`] sets, whatever would be let in when it is saved.
async fn acme(app: &TestApp) {
    Scripted::start(app).await;
    app.execute("DELETE FROM channels WHERE base_url NOT LIKE '%/sandbox/%' AND protocol <> 'openai'").await;
}

async fn lead(app: &TestApp, base_url: &str) {
    // A new channel each time: nobody passes it over for what another did.
    let sql = "UPDATE channels SET channel_id = gen_random_uuid(), base_url = $1
                WHERE supplier_id = (SELECT supplier_id FROM suppliers WHERE slug = 'acme')";
    let led = sqlx::query(sql).bind(base_url).execute(&app.state.db).await.expect("a channel");
    assert_eq!(led.rows_affected(), 1);
}

#[sqlx::test]
async fn no_way_to_write_an_address_of_ours_is_connected_to(db: PgPool) {
    let app = TestApp::start_with(db, |ours| ours.supplier_networks = Vec::new()).await;
    acme(&app).await;
    let key = app.key(&app.customer("reach@example.com", 100_000).await, None).await;
    let (port, count) = counter().await;
    for host in OURS {
        lead(&app, &format!("http://{host}:{port}/v1")).await;
        let answer = app.chat(&key.secret, &chat(MODEL, "hi")).await;
        assert!(matches!(answer.status, 502 | 503), "{host}: {} {}", answer.status, answer.text);
        assert_eq!(count.load(Ordering::Relaxed), 0, "{host} was connected to");
    }
    for host in ["127.0.0.1:22", "[::1]:6379", "localhost:25", "169.254.169.254:81", "api.example.com:3306"] {
        lead(&app, &format!("http://{host}/v1")).await;
        let answer = app.chat(&key.secret, &chat(MODEL, "hi")).await;
        assert!(matches!(answer.status, 502 | 503), "{host}: {} {}", answer.status, answer.text);
    }
    app.assert_exact().await;
    app.stop().await;
}

/// The counter would have been found: with the loopback allowed, the same addresses lead to it.
#[sqlx::test]
async fn the_same_addresses_are_connected_to_once_they_are_allowed(db: PgPool) {
    let app = TestApp::start(db).await;
    acme(&app).await;
    let key = app.key(&app.customer("reach@example.com", 100_000).await, None).await;
    let (port, count) = counter().await;
    for host in ["127.0.0.1", "2130706433", "localhost", "[::1]", "[::ffff:127.0.0.1]"] {
        let before = count.load(Ordering::Relaxed);
        lead(&app, &format!("http://{host}:{port}/v1")).await;
        let _: Answer = app.chat(&key.secret, &chat(MODEL, "hi")).await;
        assert!(count.load(Ordering::Relaxed) > before, "{host}");
    }
    app.stop().await;
}

/// A name that leads into a network that is allowed gets no port that models are not served on, however it came into the table. The
/// address itself is the operator's own word, and is connected to: the counter would have been found.
#[sqlx::test]
async fn no_odd_port_of_a_name_is_connected_to(db: PgPool) {
    let app = TestApp::start(db).await;
    acme(&app).await;
    let key = app.key(&app.customer("reach@example.com", 100_000).await, None).await;
    let mut tried = 0;
    for port in ODD_PORTS {
        let Some((_, count)) = counter_at(port).await else { continue };
        lead(&app, &format!("http://localhost:{port}/v1")).await;
        let answer = app.chat(&key.secret, &chat(MODEL, "hi")).await;
        assert!(matches!(answer.status, 502 | 503), "{port}: {} {}", answer.status, answer.text);
        assert_eq!(count.load(Ordering::Relaxed), 0, "{port} was connected to");
        lead(&app, &format!("http://127.0.0.1:{port}/v1")).await;
        let _: Answer = app.chat(&key.secret, &chat(MODEL, "hi")).await;
        assert!(count.load(Ordering::Relaxed) > 0, "{port}");
        tried += 1;
    }
    assert!(tried > 0, "every port is taken");
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn no_redirect_is_followed(db: PgPool) {
    let app = TestApp::start(db).await;
    acme(&app).await;
    let key = app.key(&app.customer("reach@example.com", 100_000).await, None).await;
    let (port, count) = counter().await;
    for status in [301, 302, 303, 307, 308, 300, 304, 399] {
        for location in [format!("http://127.0.0.1:{port}/"), format!("//127.0.0.1:{port}/"), format!("http://localhost:{port}/v1")] {
            let (addr, asked) = redirecting(status, location.clone()).await;
            lead(&app, &format!("http://{addr}/v1")).await;
            let answer = app.chat(&key.secret, &chat(MODEL, "hi")).await;
            assert!(answer.status >= 400, "{status} {location}: {} {}", answer.status, answer.text);
            assert!(!answer.text.contains(&location) && answer.header("location").is_empty(), "the caller is led nowhere either");
            assert_eq!(asked.load(Ordering::Relaxed), 1, "{status} {location}");
        }
    }
    assert_eq!(count.load(Ordering::Relaxed), 0);
    app.assert_exact().await;
    app.stop().await;
}

/// A supplier that answers with this status and location, and counts how often it is asked.
async fn redirecting(status: u16, location: String) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("bound");
    let asked = Arc::<AtomicUsize>::default();
    let counted = asked.clone();
    let router = Router::new().fallback(move || {
        let location = location.clone();
        counted.fetch_add(1, Ordering::Relaxed);
        async move { (StatusCode::from_u16(status).expect("a status"), [(header::LOCATION, location)]).into_response() }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (addr, asked)
}
