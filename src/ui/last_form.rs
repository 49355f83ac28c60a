//! What became of the form that led to this page: a page that a form comes back to is made anew, and would otherwise have forgotten what
//! was typed, or say nothing of what was done. The server keeps it in the session (`server::last_form`).

use leptos::prelude::use_context;
use serde::{Deserialize, Serialize};

/// The last form of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastForm {
    /// Its server function.
    pub path: String,
    /// Seconds since 1970.
    pub at: i64,
    /// What was typed, when it failed; nothing secret.
    pub typed: Option<Vec<(String, String)>>,
}

/// What the form of `path` failed with in the field `name`, else what the field holds anyway.
pub fn typed(path: &str, name: &str, otherwise: impl Into<String>) -> String {
    let fields = failed(path).unwrap_or_default();
    fields.into_iter().find_map(|(field, value)| (field == name).then_some(value)).unwrap_or_else(|| otherwise.into())
}

/// Whether the switch `name` was on in the form of `path` that failed, else whether it is on anyway. One that is off is not sent.
pub fn typed_on(path: &str, name: &str, otherwise: bool) -> bool {
    failed(path).map_or(otherwise, |fields| fields.iter().any(|(field, value)| field == name && value == "true"))
}

fn failed(path: &str) -> Option<Vec<(String, String)>> {
    use_context::<LastForm>().filter(|last| last.path == path)?.typed
}

/// Whether the form of `path` has just been taken.
pub fn done(path: &str) -> bool {
    use_context::<LastForm>().is_some_and(|last| last.path == path && last.typed.is_none())
}
