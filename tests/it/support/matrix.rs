//! The results of one call to many endpoints, as a table: those that agree share a line.

use crate::support::app::TestApp;
use crate::support::installation::eventually;

/// Cells in the order in which they were first noted.
#[derive(Default)]
pub struct Matrix(Vec<Cell>);

struct Cell {
    name: String,
    results: Vec<Shared>,
}

/// A result, and the endpoints that have it.
struct Shared {
    result: String,
    endpoints: Vec<&'static str>,
}

impl Matrix {
    pub fn note(&mut self, name: String, endpoint: &'static str, result: String) {
        let at = self.0.iter().position(|cell| cell.name == name).unwrap_or(self.0.len());
        if at == self.0.len() {
            self.0.push(Cell { name, results: Vec::new() });
        }
        let results = &mut self.0[at].results;
        match results.iter_mut().find(|shared| shared.result == result) {
            Some(shared) => shared.endpoints.push(endpoint),
            None => results.push(Shared { result, endpoints: vec![endpoint] }),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for cell in &self.0 {
            text.push_str(&format!("{}\n", cell.name));
            for shared in &cell.results {
                text.push_str(&format!("  {}: {}\n", shared.endpoints.join(", "), shared.result));
            }
        }
        text
    }

    /// Against `tests/snapshots/NAME.snap`.
    pub fn assert_snapshot(&self, name: &str) {
        insta::with_settings!({snapshot_path => "../../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!(name, self.text());
        });
    }
}

/// What the record of the latest call says.
pub async fn last_record(app: &TestApp) -> String {
    record(app, "WHERE $1 = '' ORDER BY request_id DESC LIMIT 1", "").await
}

/// What the record of this call says.
pub async fn record_of(app: &TestApp, request_id: &str) -> String {
    record(app, "WHERE request_id::text = $1", request_id).await
}

/// What the record of the only call to this model says, once there is one.
pub async fn record_of_model(app: &TestApp, model: &str) -> String {
    let settled = async || {
        let found = sqlx::query_scalar::<_, bool>("SELECT EXISTS (SELECT FROM usage_records WHERE model_id = $1)").bind(model);
        found.fetch_one(&app.state.db).await.expect("an answer")
    };
    eventually("the call is settled", settled).await;
    record(app, "WHERE model_id = $1", model).await
}

/// Outcome, basis, model Tokens = charge, and what was written off.
async fn record(app: &TestApp, which: &str, request_id: &str) -> String {
    let (outcome, basis, input, output, charge, off, held): (String, String, i64, i64, i64, i64, i64) =
        sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT outcome, basis, input_tokens, output_tokens, charge, written_off, held FROM usage_records {which}"
        )))
        .bind(request_id)
        .fetch_one(&app.state.db)
        .await
        .expect("a record");
    assert!(charge <= held, "{charge} of {held}");
    match off {
        0 => format!("{outcome} {basis} {input}+{output}={charge}"),
        off if charge == held && charge + off == input + output => {
            format!("{outcome} {basis} {input}+{output}, of which the hold is charged")
        }
        off => format!("{outcome} {basis} {input}+{output}={charge} off {off}"),
    }
}
