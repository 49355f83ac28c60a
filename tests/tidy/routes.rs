//! The routes that are neither pages nor server functions, as the source writes them: `.route("/path", get(…))`.

use crate::source::sources;

pub struct Route {
    /// `GET`, `GET,POST`.
    pub methods: String,
    pub path: String,
    /// The file that has it.
    pub place: String,
}

/// In the order of their paths.
pub fn other_routes() -> Vec<Route> {
    let mut routes = Vec::new();
    for source in sources() {
        let shipped = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        for (at, call) in shipped.match_indices(".route(") {
            let mut parts = shipped[at + call.len()..].trim_start().splitn(3, '"');
            let (methods, path) = match (parts.next(), parts.next(), parts.next()) {
                (Some(""), Some(path), Some(handlers)) => (methods(handlers), path.to_string()),
                _ => ("NO".into(), "LITERAL PATH".into()),
            };
            routes.push(Route { methods, path, place: source.path.clone() });
        }
    }
    routes.sort_by(|a, b| (&a.path, &a.methods).cmp(&(&b.path, &b.methods)));
    routes
}

/// The methods in the rest of a `.route(…)` call: `GET,POST` for `get(list).post(create))`.
fn methods(handlers: &str) -> String {
    let mut depth = 0;
    let call = handlers.split_inclusive(['(', ')']).take_while(|piece| {
        depth += if piece.ends_with('(') { 1 } else { -1 };
        depth >= 0
    });
    let names = call.filter_map(|piece| piece.strip_suffix('(')?.rsplit([',', ' ', '.', ':', '\n']).next());
    let known = names.filter(|name| matches!(*name, "get" | "post" | "put" | "patch" | "delete" | "head" | "options" | "any"));
    known.map(str::to_uppercase).collect::<Vec<_>>().join(",")
}
