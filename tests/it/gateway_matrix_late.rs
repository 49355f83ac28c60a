//! The column "late" of the metering matrix: usage that is reported behind the reason for the end, behind the end, or after something
//! else said there was none. The numbers are neither what was said before nor what we count, so a record shows whose it has.

use crate::gateway_matrix::{GARBAGE, ends_of};
use crate::gateway_matrix_ends::{Cell, ENDPOINTS, LATER_MS, cell, leave, play, stay, streamed};
use crate::support::app::TestApp;
use crate::support::endpoints::{Endpoint, Stream, response, typed, with};
use crate::support::scripted::{Scripted, script};
use serde_json::{Value, json};
use sqlx::PgPool;

fn late(endpoint: &Endpoint) -> Value {
    let [input, output] = endpoint.usage;
    json!({input: 9, output: 5})
}

/// What may come behind the reason for the end: a report of the whole answer, or one that reads like a total on the way, which is of the
/// whole only if the stream then ends as it should. `/v1/responses` has neither: reason, report and end are one event.
fn reports(endpoint: &Endpoint, stream: &Stream) -> Vec<(&'static str, String)> {
    let whole = Some(("late", (stream.report)(Some(late(endpoint))))).filter(|(_, event)| !event.is_empty());
    let running = stream.running.map(|running| ("late and running", running(late(endpoint))));
    whole.into_iter().chain(running).collect()
}

/// A report to come behind the end; for `/v1/responses` in a second event of the kind that ends it.
fn report_behind(endpoint: &Endpoint, stream: &Stream) -> String {
    let usage = Some(late(endpoint));
    if endpoint.name == "responses" { (stream.end)(usage) } else { (stream.report)(usage) }
}

/// An object in two pieces, the second of which begins with its report.
fn in_two(object: &Value) -> [String; 2] {
    let text = object.to_string();
    let at = text.rfind("\"usage\"").expect("a report");
    [text[..at].to_string(), text[at..].to_string()]
}

/// Whole answers, each in two pieces: the report is the last field, stands behind the answer, or is the last field where an earlier one of
/// that name was null.
fn late_answers(endpoint: &Endpoint) -> [(&'static str, [String; 2]); 3] {
    let [answer, report] = in_two(&(endpoint.whole)(Some(late(endpoint))));
    let null_first = answer.replacen('{', "{\"usage\":null,", 1);
    let behind = with(json!({}), Some(late(endpoint)));
    [
        ("usage late", [answer, report.clone()]),
        ("usage behind the answer", [(endpoint.whole)(None).to_string(), format!("\n{behind}")]),
        ("usage null, and late in the same answer", [null_first, report]),
    ]
}

fn whole_answers() -> Vec<Cell> {
    let mut cells = Vec::new();
    for endpoint in ENDPOINTS {
        let mut answers = |name: &str, status: u16, pieces: [&str; 2], then: &str| {
            let script = json!({"status": status, "pieces": pieces, "then": then});
            cells.push(cell(format!("whole, {name}"), endpoint, endpoint.call(script.clone())));
            if status != 200 && endpoint.stream.is_some() {
                cells.push(cell(format!("{name}, instead of a stream"), endpoint, endpoint.streamed_call(script)));
            }
        };
        for (name, [first, second]) in &late_answers(endpoint) {
            answers(name, 200, [first, second], "end");
        }
        let [(_, [answer, report]), (_, [unreported, behind]), _] = &late_answers(endpoint);
        answers("cut before late usage", 200, [answer, ""], "cut");
        answers("garbage before late usage", 200, [answer, ""], "end");
        answers("cut behind late usage", 200, [answer, &report[..report.len() - 1]], "cut");
        answers("garbage behind late usage", 200, [answer, &format!("{report}}}")], "end");
        answers("usage behind the answer, cut", 200, [unreported, behind], "cut");
        let mut error = if endpoint.name == "messages" { json!({"type": "error"}) } else { json!({}) };
        error["error"] = json!({"type": "api_error", "message": "no"});
        let [error, report] = &in_two(&with(error, Some(late(endpoint))));
        answers("a 400, usage late", 400, [error, report], "end");
        answers("a 500, usage late", 500, [error, report], "end");
        answers("an error with 200, usage late", 200, [error, report], "end");
        // A whole response that failed is an answer at OpenAI's.
        if endpoint.name == "responses" {
            let error = json!({"code": "server_error", "message": "The model failed."});
            let failed = json!({"object": "response", "status": "failed", "error": error, "output": []});
            let [failed, report] = &in_two(&with(failed, Some(late(endpoint))));
            answers("failed, usage late", 200, [failed, report], "end");
        }
    }
    cells
}

fn streams() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (endpoint, stream) in streamed() {
        let (end, behind) = ((stream.end)(None), report_behind(endpoint, stream));
        let mut streams = |name: String, pieces: &[&str], then: &str| {
            cells.push(cell(name, endpoint, endpoint.streamed_call(script(pieces, then))));
        };
        for (kind, reported) in reports(endpoint, stream) {
            for (name, last, then) in ends_of(stream, &end) {
                streams(format!("usage {kind}, {name}"), &[stream.words, stream.finish, &reported, last], then);
            }
            streams(format!("no word but usage {kind}, ends"), &[stream.finish, &reported, &end], "end");
            streams(format!("no word but usage {kind}, cut"), &[stream.finish, &reported], "cut");
        }
        for (name, last, then) in [
            ("ends", "", "end"),
            ("error", stream.error, "end"),
            ("cut", "", "cut"),
            ("garbage", GARBAGE, "end"),
            // Nobody waits for more than the end.
            ("stays open", "", "hang"),
        ] {
            streams(format!("usage behind the end, {name}"), &[stream.words, stream.finish, &end, &behind, last], then);
        }
        streams("no word but usage behind the end".into(), &[&end, &behind], "end");
        let (object, null_first) = match endpoint.name {
            "responses" => ("\"response\":{", "\"response\":{\"usage\":null,"),
            _ => ("{", "{\"usage\":null,"),
        };
        let twice = behind.replacen(object, null_first, 1);
        streams("usage null, and late in the same event".into(), &[stream.words, stream.finish, &twice, &end], "end");
        match endpoint.name {
            "responses" => {
                for status in ["incomplete", "failed"] {
                    let kind = format!("response.{status}");
                    let last = typed(&json!({"type": kind, "sequence_number": 3, "response": response(status)}));
                    streams(format!("{kind}, usage behind the end"), &[stream.words, &last, &behind], "end");
                }
            }
            "messages" => streams_of_messages(endpoint, stream, streams),
            _ => {}
        }
    }
    cells
}

/// Only here there is a report when the answer begins, and more than one event that may have the last.
fn streams_of_messages(endpoint: &Endpoint, stream: &Stream, mut streams: impl FnMut(String, &[&str], &str)) {
    let end = (stream.end)(None);
    let begun = stream.words.replace(r#","usage":{"input_tokens":7,"output_tokens":1}"#, "");
    assert_ne!(begun, stream.words);
    for (kind, reported) in reports(endpoint, stream) {
        for (name, last, then) in ends_of(stream, &end) {
            streams(format!("none at the start and usage {kind}, {name}"), &[&begun, stream.finish, &reported, last], then);
        }
    }
    let delta = |delta: Value, usage: Option<Value>| typed(&with(json!({"type": "message_delta", "delta": delta}), usage));
    let (finish, reported) = (delta(json!({"stop_reason": "max_tokens"}), None), delta(json!({}), Some(late(endpoint))));
    streams("max_tokens, usage late".into(), &[stream.words, &finish, &reported, &end], "end");
    let reporting_end = typed(&json!({"type": "message_stop", "usage": late(endpoint)}));
    streams("usage with the end itself".into(), &[stream.words, stream.finish, &reporting_end], "end");
}

#[sqlx::test]
async fn late_reports(db: PgPool) {
    let mut cells = whole_answers();
    cells.extend(streams());
    play(db, cells, "matrix_late", stay).await;
}

fn left() -> Vec<Cell> {
    let mut cells = Vec::new();
    for endpoint in ENDPOINTS {
        for (name, pieces) in late_answers(endpoint) {
            let coming = json!({"after_ms": LATER_MS, "pieces": pieces});
            cells.push(cell(format!("the caller leaves before an answer, {name}"), endpoint, endpoint.call(coming)));
        }
    }
    for (endpoint, stream) in streamed() {
        let mut left = |name: String, pieces: &[&str], until: &'static str| {
            let body = endpoint.streamed_call(script(pieces, "hang"));
            cells.push(Cell { name: format!("the caller leaves after {name}"), endpoint, body, until });
        };
        let until = if endpoint.name == "messages" { "\"output_tokens\":5" } else { "\"completion_tokens\":5" };
        for (kind, reported) in reports(endpoint, stream) {
            left(format!("two words and usage {kind}"), &[stream.words, stream.finish, &reported], until);
            left(format!("usage {kind} and no word"), &[stream.finish, &reported], until);
        }
        if !stream.finish.is_empty() {
            left("the reason for the end".into(), &[stream.words, stream.finish], "_reason");
        }
    }
    cells
}

#[sqlx::test]
async fn callers_who_leave_before_or_after_a_late_report(db: PgPool) {
    play(db, left(), "matrix_late_left", leave).await;
}

/// Streams that begin when their caller has left.
fn drained() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (endpoint, stream) in streamed() {
        let (end, behind) = ((stream.end)(None), report_behind(endpoint, stream));
        let mut drained = |name: String, pieces: &[&str], then: &str| {
            let mut coming = script(pieces, then);
            coming["first_ms"] = LATER_MS.into();
            cells.push(cell(format!("read to its end, {name}"), endpoint, endpoint.streamed_call(coming)));
        };
        for (kind, reported) in reports(endpoint, stream) {
            for (name, last, then) in ends_of(stream, &end) {
                drained(format!("usage {kind}, {name}"), &[stream.words, stream.finish, &reported, last], then);
            }
        }
        drained("usage behind the end".into(), &[stream.words, stream.finish, &end, &behind], "end");
    }
    cells
}

/// Leaves a supplier who bills the whole answer anyway.
async fn leave_who_drains(app: &TestApp, supplier: &Scripted, secret: &str, model: &str, cell: &Cell) -> String {
    app.execute("UPDATE suppliers SET on_leave = 'drain' WHERE slug = 'acme' AND on_leave <> 'drain'").await;
    leave(app, supplier, secret, model, cell).await
}

#[sqlx::test]
async fn late_reports_to_callers_who_left(db: PgPool) {
    play(db, drained(), "matrix_late_drained", leave_who_drains).await;
}
