//! The metering matrix: for each way in which a supplier, or a caller, may behave, what the caller sees, what is charged, and on what
//! basis. Every cell is a call to every endpoint; endpoints that agree share a line.

use crate::support::app::TestApp;
use crate::support::client::Answer;
use crate::support::endpoints::{ALL, Endpoint, Stream};
use crate::support::installation::eventually;
use crate::support::matrix::{Matrix, last_record, record_of};
use crate::support::scripted::{MODEL, Scripted, script};
use futures::StreamExt;
use serde_json::{Value, json};
use sqlx::PgPool;

/// What a supplier may say it used for "Hello there".
pub const REPORTS: [&str; 9] = ["present", "null", "zero", "missing", "negative", "2^63", "float", "over the hold", "total is not the sum"];

/// An event that cannot be read.
pub const GARBAGE: &str = "data: {\"choices\":\n\n";

pub fn report(kind: &str, [input, output]: [&str; 2]) -> Option<Value> {
    let of = |tokens_in: Value, tokens_out: Value, total: i64| Some(json!({"total_tokens": total, input: tokens_in, output: tokens_out}));
    match kind {
        "present" => of(7.into(), 2.into(), 9),
        "null" => Some(Value::Null),
        "zero" => of(0.into(), 0.into(), 0),
        "negative" => of((-7).into(), 2.into(), -5),
        "2^63" => of((1_u64 << 63).into(), 2.into(), 9),
        "float" => of(7.5.into(), 2.into(), 9),
        "over the hold" => of(900_000_000.into(), 2.into(), 9),
        "total is not the sum" => of(7.into(), 2.into(), 1),
        _ => None,
    }
}

/// A script for a whole answer, and what it stands for.
fn whole_answers(endpoint: &Endpoint) -> Vec<(String, Value)> {
    let answer = |kind| (endpoint.whole)(report(kind, endpoint.usage)).to_string();
    let good = answer("present");
    let failed = |status: u16| json!({"status": status, "pieces": ["{\"error\":{\"message\":\"no\"}}"]});
    let error =
        if endpoint.name == "messages" { r#"{"type":"error","error":{"type":"api_error"}}"# } else { r#"{"error":{"message":"no"}}"# };
    let mut cells: Vec<_> = REPORTS.iter().map(|kind| (format!("usage {kind}"), script(&[&answer(kind)], "end"))).collect();
    cells.extend([
        ("400".to_string(), failed(400)),
        ("500".to_string(), failed(500)),
        ("an error with 200".to_string(), script(&[error], "end")),
        ("cut".to_string(), script(&[&good[..good.len() / 2]], "cut")),
        ("garbage".to_string(), script(&[&good[..good.len() / 2]], "end")),
    ]);
    cells
}

/// How a stream may end: the last of it, and what comes then. `end` is the event that ends it as it should.
pub fn ends_of<'a>(stream: &Stream, end: &'a str) -> [(&'static str, &'a str, &'static str); 5] {
    [
        ("ends", end, "end"),
        ("error", stream.error, "end"),
        ("cut", &end[..end.len() / 2], "cut"),
        ("clean end too early", "", "end"),
        ("garbage", GARBAGE, "end"),
    ]
}

/// A script for a stream, and what it stands for. How it ends matters for each report; whether a report came, for each end.
fn streams(endpoint: &Endpoint, stream: &Stream) -> Vec<(String, Value)> {
    let mut cells = Vec::new();
    for kind in REPORTS {
        let usage = || report(kind, endpoint.usage);
        let (reported, end) = ((stream.report)(usage()), (stream.end)(usage()));
        for (name, last, then) in ends_of(stream, &end) {
            cells.push((format!("usage {kind}, {name}"), script(&[stream.words, &reported, last], then)));
        }
    }
    // A running total is of the whole only if the stream ends as it should.
    if let Some(running) = stream.running {
        for (kind, tokens) in [("running", [7, 5]), ("running zero", [0, 0])] {
            let [input, output] = endpoint.usage;
            let (reported, end) = (running(json!({input: tokens[0], output: tokens[1]})), (stream.end)(None));
            cells.push((format!("usage {kind}, ends"), script(&[stream.words, &reported, &end], "end")));
            cells.push((format!("usage {kind}, cut"), script(&[stream.words, &reported], "cut")));
        }
    }
    cells.push(("nothing but an end".to_string(), script(&[&(stream.end)(None)], "end")));
    cells.push(("400".to_string(), json!({"status": 400, "pieces": ["{}"]})));
    cells.push(("500".to_string(), json!({"status": 500, "pieces": ["{}"]})));
    cells
}

#[sqlx::test]
async fn whole_answers_of_every_endpoint(db: PgPool) {
    let app = TestApp::start(db).await;
    let supplier = Scripted::start(&app).await;
    let customer = app.customer("matrix@example.com", 10_000_000).await;
    let key = app.key(&customer, None).await;
    let mut matrix = Matrix::default();
    let calls = ALL.iter().flat_map(|endpoint| whole_answers(endpoint).into_iter().map(move |(cell, script)| (endpoint, cell, script)));
    let results = each(8, calls, async |(endpoint, cell, script)| {
        let sent = script["pieces"][0].as_str().unwrap_or_default().to_string();
        let answer = app.post(endpoint.path, &key.secret, &endpoint.call(script)).await;
        let seen = if answer.status == 200 { "the answer".to_string() } else { failure(&answer) };
        assert!(answer.status != 200 || answer.text == sent, "{cell}: {}", answer.text);
        let record = record_of(&app, answer.header("x-request-id")).await;
        (cell, endpoint.name, format!("{} {seen} | {record}", answer.status))
    });
    for (cell, endpoint, result) in results.await {
        matrix.note(cell, endpoint, result);
    }
    for endpoint in &ALL {
        let cell = "the caller leaves before the answer".to_string();
        let answer = (endpoint.whole)(report("present", endpoint.usage)).to_string();
        leave(&app, &supplier, &key.secret, endpoint, endpoint.call(json!({"after_ms": 1_000, "pieces": [answer]})), "").await;
        matrix.note(cell, endpoint.name, last_record(&app).await);
    }
    matrix.assert_snapshot("matrix_whole");
    app.assert_exact().await;
    app.stop().await;
}

#[sqlx::test]
async fn streams_of_every_endpoint(db: PgPool) {
    let app = TestApp::start(db).await;
    let supplier = Scripted::start(&app).await;
    let customer = app.customer("matrix@example.com", 10_000_000).await;
    let key = app.key(&customer, None).await;
    let mut matrix = Matrix::default();
    let streamed = || ALL.iter().filter_map(|endpoint| Some((endpoint, endpoint.stream.as_ref()?)));
    let calls: Vec<_> = streamed()
        .flat_map(|(endpoint, stream)| streams(endpoint, stream).into_iter().map(move |(cell, script)| (endpoint, stream, cell, script)))
        .collect();
    // Most of them fail, and a model that fails five times in a row is left alone: each call has one of its own.
    Scripted::add_models(&app, calls.len()).await;
    let results = each(8, calls.into_iter().enumerate(), async |(n, (endpoint, stream, cell, script))| {
        let sent: String = script["pieces"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut body = endpoint.streamed_call(script);
        body["model"] = json!(format!("{MODEL}-{n}"));
        let answer = app.post(endpoint.path, &key.secret, &body).await;
        let seen = match answer.status {
            200 => what_was_seen(&answer.text, &sent, stream),
            _ => failure(&answer),
        };
        // The last bytes of an answer leave after its settlement.
        let record = record_of(&app, answer.header("x-request-id")).await;
        (cell, endpoint.name, format!("{} {seen} | {record}", answer.status))
    });
    for (cell, endpoint, result) in results.await {
        matrix.note(cell, endpoint, result);
    }
    for (endpoint, stream) in streamed() {
        for (cell, pieces, until) in
            [("the caller leaves before the first word", vec![], ""), ("the caller leaves after two words", vec![stream.words], "there")]
        {
            leave(&app, &supplier, &key.secret, endpoint, endpoint.streamed_call(script(&pieces, "hang")), until).await;
            matrix.note(cell.to_string(), endpoint.name, last_record(&app).await);
        }
    }
    matrix.assert_snapshot("matrix_streams");
    app.assert_exact().await;
    app.stop().await;
}

/// Makes the calls, so many at a time; the results come in their order.
pub async fn each<T, R>(at_once: usize, calls: impl Iterator<Item = T>, make: impl AsyncFn(T) -> R) -> Vec<R> {
    let make = &make;
    futures::stream::iter(calls).map(|call| make(call)).buffered(at_once).collect().await
}

/// A stream as its caller saw it. Whatever is passed on is what was sent, to the byte.
pub fn what_was_seen(text: &str, sent: &str, stream: &Stream) -> String {
    let whole = text.contains(stream.end_mark);
    let passed_on = text.find("broke off").map_or(text, |at| {
        let event = text[..at].rfind("event: error").or(text[..at].rfind("data: "));
        &text[..event.unwrap_or(at)]
    });
    assert!(sent.starts_with(passed_on), "{text}\nis not\n{sent}");
    let words = if text.contains("there") { "the words" } else { "no words" };
    let error = if text.contains("broke off") { ", an error" } else { "" };
    format!("{words}{error}, {}", if whole { "the end" } else { "no end" })
}

pub fn failure(answer: &Answer) -> String {
    let error = answer.json()["error"].clone();
    error["code"].as_str().or(error["type"].as_str()).unwrap_or("?").to_string()
}

/// Calls, reads until this was read, and leaves.
async fn leave(app: &TestApp, supplier: &Scripted, secret: &str, endpoint: &Endpoint, body: Value, until: &str) {
    let (before, asked) = (app.number("SELECT count(*) FROM usage_records").await, supplier.count());
    let call = app.begin(endpoint.path, secret, &body, until);
    match until {
        // No answer is going to begin: leave once the supplier has been asked.
        "" => tokio::select! {
            _ = call => {}
            () = eventually("the supplier is asked", async || supplier.count() > asked) => {}
        },
        _ => drop(call.await),
    }
    app.until("SELECT count(*) FROM usage_records", |records| records > before).await;
}
