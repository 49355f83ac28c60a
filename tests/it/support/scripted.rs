//! A supplier that answers what the request itself says, in a field `script` that the gateway passes on like any it does not know:
//! `{"after_ms": 0, "status": 200, "first_ms": 0, "pieces": ["…"], "padding": 0, "then": "end" | "cut" | "hang"}`: how long until the
//! headers, from them until the first piece, and how many spaces come behind the pieces. It remembers what it was sent.

use crate::support::app::TestApp;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;

/// The only model, as callers and as the supplier know it.
pub const MODEL: &str = "acme/m";
pub const UPSTREAM_MODEL: &str = "m-1";

/// Long enough for what was written before to reach the other side.
const BREATH: Duration = Duration::from_millis(50);

#[derive(Clone, Default)]
pub struct Scripted {
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as it reached the supplier.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Scripted {
    /// Starts it and makes it callable, through a channel for each protocol.
    pub async fn start(app: &TestApp) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let scripted = Scripted::default();
        let router = Router::new().fallback(receive).with_state(scripted.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        register(app, addr).await;
        scripted
    }

    /// The request that came last.
    pub fn last(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).last().cloned().expect("a request")
    }

    /// Whether a request came that has this word in it.
    pub fn has_seen(&self, word: &str) -> bool {
        let word = format!("\"{word}\"");
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|seen| seen.body.contains(&word))
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Sells the model under so many more names, [`MODEL`] with `-0`, `-1`, …: failures of one are not counted with those of another.
    pub async fn add_models(app: &TestApp, models: usize) {
        let sql = format!(
            "WITH names AS (SELECT '{MODEL}-' || n AS model_id FROM generate_series(0, {models} - 1) AS n),
                  price AS (INSERT INTO model_prices (model_id, version, input_ppm, cached_ppm, output_ppm)
                            SELECT model_id, 1, 1000000, 1000000, 1000000 FROM names)
             INSERT INTO models (model_id, supplier_id, upstream_id, context_tokens, max_output_tokens)
                 SELECT model_id, supplier_id, '{UPSTREAM_MODEL}', 8000, 4000 FROM names, suppliers WHERE slug = 'acme'"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&app.state.db).await.expect("models");
    }
}

async fn register(app: &TestApp, addr: SocketAddr) {
    let sql = format!(
        "INSERT INTO suppliers (supplier_id, slug, name) VALUES (gen_random_uuid(), 'acme', 'Acme');
         INSERT INTO channels (channel_id, supplier_id, base_url, protocol)
             SELECT gen_random_uuid(), supplier_id, 'http://{addr}/' || protocol, protocol
               FROM suppliers, unnest('{{openai,anthropic}}'::text[]) AS protocol WHERE slug = 'acme';
         WITH price AS (INSERT INTO model_prices (model_id, version, input_ppm, cached_ppm, output_ppm)
                        VALUES ('{MODEL}', 1, 1000000, 1000000, 1000000))
         INSERT INTO models (model_id, supplier_id, upstream_id, context_tokens, max_output_tokens)
             SELECT '{MODEL}', supplier_id, '{UPSTREAM_MODEL}', 8000, 4000 FROM suppliers WHERE slug = 'acme'"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&app.state.db).await.expect("registered");
}

async fn receive(State(scripted): State<Scripted>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a whole request");
    let seen = Seen { path: parts.uri.path().to_string(), headers: parts.headers, body: String::from_utf8(body.to_vec()).expect("UTF-8") };
    let request: Value = serde_json::from_str(&seen.body).expect("JSON");
    scripted.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    tokio::time::sleep(Duration::from_millis(request["script"]["after_ms"].as_u64().unwrap_or(0))).await;
    play(&request["script"])
}

fn play(script: &Value) -> Response {
    let pieces: Vec<Bytes> =
        script["pieces"].as_array().into_iter().flatten().filter_map(Value::as_str).map(|piece| piece.to_string().into()).collect();
    let padding = script["padding"].as_u64().unwrap_or(0) as usize;
    let then = script["then"].as_str().unwrap_or("end").to_string();
    let first = Duration::from_millis(script["first_ms"].as_u64().unwrap_or(0));
    let stream = async_stream::stream! {
        if !first.is_zero() {
            tokio::time::sleep(first).await;
        }
        for piece in pieces {
            yield Ok(piece);
        }
        if padding > 0 {
            yield Ok(vec![b' '; padding].into());
        }
        match then.as_str() {
            "hang" => std::future::pending().await,
            "cut" => {
                tokio::time::sleep(BREATH).await;
                yield Err(std::io::Error::other("cut by the script"));
            }
            _ => {}
        }
    };
    let status = script["status"].as_u64().and_then(|status| StatusCode::from_u16(status as u16).ok()).unwrap_or(StatusCode::OK);
    (status, [(header::CONTENT_TYPE, "application/json")], Body::from_stream(stream)).into_response()
}

/// The script of an answer in pieces.
pub fn script(pieces: &[&str], then: &str) -> Value {
    json!({"pieces": pieces, "then": then})
}
