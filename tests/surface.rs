//! Everything that the outside can reach, as one reviewed list: pages, server functions with the right each demands, other routes.
//! A new entry fails this test until somebody has looked at it and accepted it: `INSTA_UPDATE=always cargo test --features ssr
//! --test surface`, then read the difference of `tests/snapshots/` and commit it.

#[path = "tidy/routes.rs"]
mod routes;
#[path = "tidy/server_fns.rs"]
#[expect(dead_code, reason = "the checks in it run in tests/tidy")]
mod server_fns;
#[path = "tidy/source.rs"]
#[expect(dead_code, reason = "shared with tests/tidy, which needs more of it")]
mod source;

use leptos::server_fn::axum::server_fn_paths;
use leptos_axum::generate_route_list;
use routes::{Route, other_routes};
use std::collections::BTreeMap;
use toki::app::App;

/// Pages: method, path.
fn pages() -> Vec<String> {
    let mut pages: Vec<String> = generate_route_list(App)
        .into_iter()
        .map(|route| {
            let methods: Vec<String> = route.methods().map(|method| format!("{method:?}").to_uppercase()).collect();
            format!("{:<5} {}", methods.join(","), route.path())
        })
        .collect();
    pages.sort();
    pages
}

/// Server functions that the program registers: method, path, and the right that its source demands.
fn registered_server_fns() -> Vec<String> {
    let rights: BTreeMap<String, String> = server_fns::server_fns()
        .into_iter()
        .filter_map(|function| {
            let right = function.right.map_or_else(|| "NO GUARD".to_string(), |right| right.to_string());
            Some((format!("/api/{}", function.endpoint?.trim_start_matches('/')), right))
        })
        .collect();
    let mut found: Vec<String> = server_fn_paths()
        .map(|(path, method)| {
            format!("{:<5} {path:<36} {}", method.as_str(), rights.get(path).map_or("NOT FOUND IN SOURCE", String::as_str))
        })
        .collect();
    found.sort_by(|a, b| a[6..].cmp(&b[6..]));
    found
}

/// Routes that are no pages: method, path, and where they are.
fn others() -> Vec<String> {
    other_routes().iter().map(|Route { methods, path, place }| format!("{methods:<5} {path:<36} {place}")).collect()
}

#[tokio::test]
async fn surface_is_reviewed() {
    let surface = [("Pages", pages()), ("Server functions", registered_server_fns()), ("Other routes", others())].map(|(title, lines)| {
        format!("{title}\n{}\n", lines.iter().map(|line| format!("  {}", line.trim_end())).collect::<Vec<_>>().join("\n"))
    });
    insta::assert_snapshot!("surface", surface.join("\n"));
}

/// Docs are not written by hand: `toki openapi >docs/openapi.json`.
#[test]
fn the_openapi_document_is_up_to_date_and_has_every_route() {
    let document = toki::gateway::openapi::document();
    assert_eq!(source::read("docs/openapi.json"), format!("{document:#}\n"), "run: toki openapi >docs/openapi.json");
    let described: Vec<String> = document["paths"]
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(path, operations)| {
            operations.as_object().into_iter().flatten().map(move |(method, _)| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let mut served: Vec<String> = other_routes()
        .iter()
        // What answers 404 to everything else is no endpoint.
        .filter(|route| route.place == "src/gateway/mod.rs" && route.methods != "ANY")
        .map(|route| format!("{} {}", route.methods, route.path.replace("{*", "{")))
        .collect();
    served.sort_by(|a, b| a.rsplit(' ').cmp(b.rsplit(' ')));
    assert_eq!(described, served);
}

#[test]
fn every_server_fn_of_the_source_is_registered() {
    let registered: Vec<&str> = server_fn_paths().map(|(path, _)| path).collect();
    let missing: Vec<String> = server_fns::server_fns()
        .into_iter()
        .filter_map(|function| function.endpoint.map(|endpoint| format!("/api/{}", endpoint.trim_start_matches('/'))))
        .filter(|path| !registered.contains(&path.as_str()))
        .collect();
    assert!(missing.is_empty(), "in the source, but not in the program: {missing:?}");
}
