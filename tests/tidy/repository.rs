//! What holds for the repository as a whole: two files that must agree, the map that must be complete, places that must not be named.

use crate::source::{files_under, read, top};

/// Names of registries' hosts, in pieces so that this file passes itself. Clients know where their registry is.
const REGISTRIES: [[&str; 2]; 5] =
    [["npmjs", ".org"], ["npmjs", ".com"], ["static.crates", ".io"], ["index.crates", ".io"], ["deb.debian", ".org"]];

/// Folders that exist on somebody's machine only.
const MACHINES: [[&str; 2]; 4] = [["/ho", "me/"], ["/ro", "ot/"], ["/wo", "rk/"], ["/fa", "rm/"]];

pub fn leptos_settings_differ() -> Vec<String> {
    let (ours, cargo) = (leptos_settings("Leptos.toml"), leptos_settings("Cargo.toml"));
    if ours == cargo && !ours.is_empty() {
        return Vec::new();
    }
    let only = |here: &[String], there: &[String], name: &str| -> Vec<String> {
        here.iter().filter(|line| !there.contains(line)).map(|line| format!("only in {name}: {line}")).collect()
    };
    let mut breaches = only(&ours, &cargo, "Leptos.toml");
    breaches.extend(only(&cargo, &ours, "Cargo.toml"));
    if breaches.is_empty() {
        breaches.push("[package.metadata.leptos] is missing, or its lines stand in another order".into());
    }
    breaches
}

fn leptos_settings(path: &str) -> Vec<String> {
    let text = read(path);
    let table = text.lines().map(str::trim).skip_while(|line| *line != "[package.metadata.leptos]").skip(1);
    table.take_while(|line| !line.starts_with('[')).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_string).collect()
}

/// A map that is longer is not read.
const MOST_MAP_LINES: usize = 200;

pub fn folders_not_in_architecture() -> Vec<String> {
    let map = read("ARCHITECTURE.md");
    if map.is_empty() {
        return vec!["there is no ARCHITECTURE.md".into()];
    }
    let mut folders: Vec<String> = std::fs::read_dir(top().join("src"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    folders.sort();
    let missing = folders.into_iter().filter(|name| !map.contains(&format!("`src/{name}`")));
    let missing = missing.map(|name| format!("ARCHITECTURE.md says nothing of src/{name}/"));
    let long = map.lines().count() > MOST_MAP_LINES;
    missing.chain(long.then(|| format!("ARCHITECTURE.md has more than {MOST_MAP_LINES} lines"))).collect()
}

pub fn foreign_places() -> Vec<String> {
    let hosts: Vec<String> = REGISTRIES.iter().map(|pieces| pieces.concat()).collect();
    let folders: Vec<String> = MACHINES.iter().map(|pieces| pieces.concat()).collect();
    let mut breaches = Vec::new();
    for source in files_under("") {
        for (number, line) in source.text.lines().enumerate() {
            let host = hosts.iter().find(|host| line.contains(host.as_str()));
            if let Some(named) = host.or_else(|| folders.iter().find(|folder| begins_a_path(line, folder))) {
                breaches.push(format!("{}:{} names {named}", source.path, number + 1));
            }
        }
    }
    breaches
}

/// Whether `folder` stands at the beginning of a path in this line, not in the middle of one.
fn begins_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '*' | '}')))
}
