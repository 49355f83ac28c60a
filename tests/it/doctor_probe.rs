//! `toki doctor --probe` against suppliers that behave, and that do not.

use crate::support::toki::Toki;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Between two words.
const PACE: Duration = Duration::from_millis(20);
/// Words of an answer without a limit: more than the probe listens to.
const WORDS: i64 = 1_000;

/// A supplier of both protocols. Its model `deaf` does not notice that a caller left, says nothing of usage and ignores limits; `quick`
/// says all at once; `new` wants its limit under OpenAI's newer name.
async fn start_supplier() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/v1", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    url
}

/// Answers one request, until it is done or, unless deaf, its caller has left.
async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    let body = loop {
        stream.read_buf(&mut request).await?;
        let text = String::from_utf8_lossy(&request);
        if text.starts_with("GET") {
            return stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").await;
        }
        let body = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<Value>(body).ok());
        if let Some(body) = body {
            break body;
        }
    };
    let is_anthropic = String::from_utf8_lossy(&request).starts_with("POST /v1/messages");
    let model = body["model"].as_str().expect("a model").to_string();
    if model == "new" && body.get("max_completion_tokens").is_none() {
        return stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").await;
    }
    let limit = body["max_tokens"].as_i64().or(body["max_completion_tokens"].as_i64()).expect("a limit");
    let words = if model == "deaf" { WORDS.min(limit * 2) } else { WORDS.min(limit) };
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n").await?;
    for _ in 0..words {
        let event = if is_anthropic {
            json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "one\n"}})
        } else {
            json!({"choices": [{"delta": {"content": "one\n"}}]})
        };
        stream.write_all(format!("data: {event}\n\n").as_bytes()).await?;
        if model != "quick" {
            tokio::time::sleep(PACE).await;
        }
        if !matches!(model.as_str(), "deaf" | "quick") && matches!(stream.try_read(&mut [0; 16]), Ok(0)) {
            return Ok(());
        }
    }
    let end = match (is_anthropic, model.as_str()) {
        (true, _) => format!("data: {}\n\n", json!({"type": "message_delta", "usage": {"input_tokens": 9, "output_tokens": words}})),
        (false, "deaf") => String::new(),
        (false, _) => format!("data: {}\n\n", json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": words}})),
    };
    let done = if is_anthropic { "data: {\"type\": \"message_stop\"}\n\n" } else { "data: [DONE]\n\n" };
    stream.write_all(format!("{end}{done}").as_bytes()).await
}

/// What the doctor says of a model of the channel: usage, limit, caller leaves.
fn findings(toki: &Toki, channel: &str, model: &str) -> Vec<(String, String)> {
    let ran = toki.run(&["doctor", "--json", "--probe", channel, "--model", model]);
    let document: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let probed = document["checks"].as_array().expect("checks").iter().filter(|check| text(&check["name"]).contains(model));
    probed.map(|check| (text(&check["status"]), text(&check["detail"]) + " " + &text(&check["remedy"]))).collect()
}

#[sqlx::test]
async fn probe_says_what_a_channel_does(db: PgPool) {
    // A second call finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let toki = Toki::new(&db).with("TOKI_SUPPLIER_NETWORKS", "127.0.0.0/8,::1/128");
    let base_url = start_supplier().await;
    toki.json(&["supplier", "add", "--slug", "acme", "--name", "Acme"]);
    let by_name = base_url.replace("127.0.0.1", "localhost");
    let add = ["channel", "add", "--supplier", "acme", "--base-url"];
    let id = |added: Value| added["channel_id"].as_str().expect("an id").to_string();
    let openai = id(toki.json(&[&add[..], &[&base_url]].concat()));
    let anthropic = id(toki.json(&[&add[..], &[&by_name, "--protocol", "anthropic"]].concat()));
    for model in ["good", "deaf", "quick", "new"] {
        let public = format!("acme/{model}");
        let model = ["model", "add", "--id", &public, "--supplier", "acme", "--upstream-id", model, "--context", "8000"];
        toki.json(&[&model[..], &["--max-output", "4000"]].concat());
    }
    let probe = async |channel: &str, model: &'static str| {
        let (toki, channel) = (toki.clone(), channel.to_string());
        tokio::task::spawn_blocking(move || findings(&toki, &channel, model)).await.expect("no panic")
    };
    let expect = |found: &[(String, String)], expected: [(&str, &str); 3]| {
        assert_eq!(found.len(), 3, "{found:?}");
        for ((status, detail), (expected_status, words)) in found.iter().zip(expected) {
            assert!(status == expected_status && detail.contains(words), "{found:?}");
        }
    };

    let stops = ("ok", "`cancel` fits");
    let honest = [("ok", "9 Tokens of input, 16 of output"), ("ok", "honoured"), stops];
    expect(&probe(&openai, "acme/good").await, honest);
    expect(&probe(&anthropic, "acme/good").await, honest);
    expect(&probe(&openai, "acme/new").await, honest);
    expect(&probe(&openai, "acme/quick").await, [honest[0], honest[1], ("warn", "too soon")]);
    let deaf = [("warn", "not reported"), ("fail", "32 Tokens, and 16 were allowed"), ("warn", "toki supplier edit acme --on-leave drain")];
    expect(&probe(&openai, "acme/deaf").await, deaf);

    toki.json(&["supplier", "edit", "acme", "--on-leave", "drain"]);
    expect(&probe(&openai, "acme/deaf").await, [deaf[0], deaf[1], ("ok", "`drain` fits")]);
    expect(&probe(&openai, "acme/good").await, [honest[0], honest[1], ("warn", "toki supplier edit acme --on-leave cancel")]);
    let unknown = toki.run(&["doctor", "--probe", &openai, "--model", "acme/none"]);
    assert!(unknown.code == Some(1) && unknown.stdout.contains("no such model"), "{unknown:?}");
}
