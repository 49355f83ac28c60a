//! The rest of the metering matrix: callers who leave, answers that fail although they report usage, and each way in which a stream may
//! end. Every call has a model of its own, by which its record is found, and which nobody leaves alone for the failures of others.

use crate::gateway_matrix::{GARBAGE, REPORTS, each, failure, report, what_was_seen};
use crate::support::app::TestApp;
use crate::support::endpoints::{ALL, Endpoint, Stream, response, typed, with};
use crate::support::installation::eventually;
use crate::support::matrix::{Matrix, record_of, record_of_model};
use crate::support::scripted::{MODEL, Scripted, script};
use serde_json::{Value, json};
use sqlx::PgPool;

pub const ENDPOINTS: &[Endpoint] = &ALL;
/// Long enough for a caller to leave before the answer.
pub const LATER_MS: u64 = 700;
/// Most of them wait.
const AT_ONCE: usize = 32;

/// A call of a cell, and for one whose caller leaves, what is read before.
pub struct Cell {
    pub name: String,
    pub endpoint: &'static Endpoint,
    pub body: Value,
    pub until: &'static str,
}

pub fn cell(name: String, endpoint: &'static Endpoint, body: Value) -> Cell {
    Cell { name, endpoint, body, until: "" }
}

pub fn streamed() -> impl Iterator<Item = (&'static Endpoint, &'static Stream)> {
    ENDPOINTS.iter().filter_map(|endpoint| Some((endpoint, endpoint.stream.as_ref()?)))
}

/// Makes the calls, each to a model of its own, and notes what came of them.
pub async fn play(db: PgPool, cells: Vec<Cell>, snapshot: &str, make: impl AsyncFn(&TestApp, &Scripted, &str, &str, &Cell) -> String) {
    let app = TestApp::start(db).await;
    let supplier = Scripted::start(&app).await;
    let customer = app.customer("matrix@example.com", 100_000_000).await;
    let key = app.key(&customer, None).await;
    Scripted::add_models(&app, cells.len()).await;
    let mut matrix = Matrix::default();
    let results = each(AT_ONCE, cells.into_iter().enumerate(), async |(n, mut cell)| {
        let model = format!("{MODEL}-{n}");
        cell.body["model"] = json!(model);
        cell.body["script"]["name"] = json!(model);
        let result = make(&app, &supplier, &key.secret, &model, &cell).await;
        (cell, result)
    });
    for (cell, result) in results.await {
        matrix.note(cell.name, cell.endpoint.name, result);
    }
    matrix.assert_snapshot(snapshot);
    app.assert_exact().await;
    app.stop().await;
}

/// Calls, reads until what is to be read before was read, and leaves.
pub async fn leave(app: &TestApp, supplier: &Scripted, secret: &str, model: &str, cell: &Cell) -> String {
    let call = app.begin(cell.endpoint.path, secret, &cell.body, cell.until);
    match cell.until {
        // No answer is going to begin: leave once the supplier has been asked.
        "" => tokio::select! {
            _ = call => {}
            () = eventually("the supplier is asked", async || supplier.has_seen(model)) => {}
        },
        _ => drop(call.await),
    }
    record_of_model(app, model).await
}

/// Calls, and reads all.
pub async fn stay(app: &TestApp, _: &Scripted, secret: &str, _: &str, cell: &Cell) -> String {
    let endpoint = cell.endpoint;
    let sent: String = cell.body["script"]["pieces"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let answer = app.post(endpoint.path, secret, &cell.body).await;
    let seen = match (answer.status, &endpoint.stream) {
        (200, _) if answer.text == sent => "all that was sent".to_string(),
        (200, Some(stream)) => what_was_seen(&answer.text, &sent, stream),
        _ => failure(&answer),
    };
    let record = record_of(app, answer.header("x-request-id")).await;
    format!("{} {seen} | {record}", answer.status)
}

/// An answer in one piece is waited for whoever has left, since the supplier bills it.
fn left_whole() -> Vec<Cell> {
    let mut cells = Vec::new();
    for endpoint in ENDPOINTS {
        let answer = |kind| (endpoint.whole)(report(kind, endpoint.usage)).to_string();
        let mut left = |before: String, status: u16, piece: &str, then: &str| {
            let late = json!({"after_ms": LATER_MS, "status": status, "pieces": [piece], "then": then});
            cells.push(cell(format!("the caller leaves before {before}"), endpoint, endpoint.call(late)));
        };
        for kind in REPORTS {
            left(format!("an answer, usage {kind}"), 200, &answer(kind), "end");
        }
        let good = answer("present");
        left("a 400".into(), 400, "{}", "end");
        left("a 500".into(), 500, "{}", "end");
        left("a cut".into(), 200, &good[..good.len() / 2], "cut");
        left("garbage".into(), 200, &good[..good.len() / 2], "end");
    }
    cells
}

/// Of a stream what came by then counts. `/v1/responses` reports nothing before its end.
fn left_streams() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (endpoint, stream) in streamed() {
        let until = if endpoint.name == "messages" { "message_delta" } else { "\"usage\"" };
        let mut left = |name: String, pieces: &[&str]| {
            let body = endpoint.streamed_call(script(pieces, "hang"));
            cells.push(Cell { name: format!("the caller leaves after {name}"), endpoint, body, until });
        };
        for kind in REPORTS {
            let reported = (stream.report)(report(kind, endpoint.usage));
            if !reported.is_empty() {
                left(format!("two words and usage {kind}"), &[stream.words, &reported]);
                left(format!("usage {kind} and no word"), &[&reported]);
            }
        }
        for (kind, tokens) in [("running", [7, 5]), ("running zero", [0, 0])] {
            let [input, output] = endpoint.usage;
            if let Some(running) = stream.running {
                left(format!("two words and usage {kind}"), &[stream.words, &running(json!({input: tokens[0], output: tokens[1]}))]);
            }
        }
    }
    cells
}

#[sqlx::test]
async fn callers_who_leave_for_each_report(db: PgPool) {
    let mut cells = left_whole();
    cells.extend(left_streams());
    play(db, cells, "matrix_left", leave).await;
}

/// What failed is not charged, whatever it says that it used.
fn failing() -> Vec<Cell> {
    let mut cells = Vec::new();
    for endpoint in ENDPOINTS {
        for kind in REPORTS {
            let usage = || report(kind, endpoint.usage);
            let error = if endpoint.name == "messages" { json!({"type": "error"}) } else { json!({}) };
            let mut error = with(error, usage());
            error["error"] = json!({"type": "api_error", "message": "no"});
            let (error, answer) = (error.to_string(), (endpoint.whole)(usage()).to_string());
            let garbage = format!("{answer}}}");
            for (name, status, piece, then) in [
                ("a 400", 400, error.as_str(), "end"),
                ("a 500", 500, error.as_str(), "end"),
                ("an error with 200", 200, error.as_str(), "end"),
                ("cut", 200, &answer[..answer.len() - 1], "cut"),
                ("garbage", 200, garbage.as_str(), "end"),
            ] {
                let failing = json!({"status": status, "pieces": [piece], "then": then});
                cells.push(cell(format!("{name}, usage {kind}"), endpoint, endpoint.call(failing.clone())));
                if status != 200 && endpoint.stream.is_some() {
                    cells.push(cell(format!("{name} instead of a stream, usage {kind}"), endpoint, endpoint.streamed_call(failing)));
                }
            }
        }
    }
    cells
}

#[sqlx::test]
async fn answers_that_fail_and_report_usage(db: PgPool) {
    play(db, failing(), "matrix_failed", stay).await;
}

/// Streams without a word, and the ends that only one protocol has.
fn endings() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (endpoint, stream) in streamed() {
        let mut ends = |name: String, pieces: &[&str], then: &str| {
            cells.push(cell(name, endpoint, endpoint.streamed_call(script(pieces, then))));
        };
        ends("no word, error".into(), &[stream.error], "end");
        ends("no word, cut".into(), &[], "cut");
        ends("no word, clean end too early".into(), &[], "end");
        ends("no word, garbage".into(), &[GARBAGE], "end");
        for kind in REPORTS {
            let usage = || report(kind, endpoint.usage);
            let reported = (stream.report)(usage());
            if !reported.is_empty() {
                ends(format!("no word but usage {kind}, cut"), &[&reported], "cut");
            }
            if endpoint.name == "responses" {
                for status in ["incomplete", "failed"] {
                    let kind_of_event = format!("response.{status}");
                    let last = json!({"type": kind_of_event, "sequence_number": 3, "response": with(response(status), usage())});
                    ends(format!("{kind_of_event}, usage {kind}"), &[stream.words, &typed(&last)], "end");
                }
            }
            if endpoint.name == "messages" {
                let delta = with(json!({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}}), usage());
                ends(format!("max_tokens, usage {kind}"), &[stream.words, &typed(&delta), &(stream.end)(None)], "end");
            }
        }
        if endpoint.name == "messages" {
            ends("message_stop and no message_delta".into(), &[stream.words, &(stream.end)(None)], "end");
        }
    }
    // A whole response that failed is an answer at OpenAI's.
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.name == "responses") {
        for kind in REPORTS {
            let error = json!({"code": "server_error", "message": "The model failed."});
            let failed = json!({"object": "response", "status": "failed", "error": error, "output": []});
            let failed = with(failed, report(kind, endpoint.usage));
            cells.push(cell(format!("whole and failed, usage {kind}"), endpoint, endpoint.call(script(&[&failed.to_string()], "end"))));
        }
    }
    cells
}

#[sqlx::test]
async fn endings_of_each_protocol(db: PgPool) {
    play(db, endings(), "matrix_ends", stay).await;
}
