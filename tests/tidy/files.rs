//! What every Rust file keeps to: its length, its first line, its gates, its lints, its name.

use crate::source::{fits, fits_any, sources, sources_and_tests};

const LONGEST_FILE: usize = 400;

/// Files that may be longer, and why.
const LONG: [(&str, &str); 0] = [];

/// Where a feature gate may stand: the crate's two roots. What the browser runs is `src/islands`; all else is the server's.
const GATED: [(&str, &str); 2] =
    [("src/lib.rs", "the module tree and the browser's entry point"), ("src/main.rs", "the binary exists on the server only")];

/// Gates in the whole tree. Raise it for a new domain, or a file that all of them use.
const MOST_GATES: usize = 35;

/// Names that say nothing about the business.
const VAGUE: [&str; 9] = ["utils", "util", "helpers", "helper", "common", "manager", "service", "services", "misc"];

/// Files in which a float has no business: Tokens and money are integers.
const INTEGERS_ONLY: [&str; 7] = [
    "src/tokens.rs",
    "src/money.rs",
    "src/*/types.rs",
    "src/*/store.rs",
    "src/wallet/**",
    "src/gateway/meter.rs",
    "src/gateway/settlement.rs",
];

pub fn long_files() -> Vec<String> {
    sources_and_tests()
        .into_iter()
        .filter(|source| !LONG.iter().any(|(path, _)| fits(path, &source.path)))
        .map(|source| (source.text.lines().count(), source.path))
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .map(|(lines, path)| format!("{path} has {lines} lines, of at most {LONGEST_FILE}: split it"))
        .collect()
}

/// Elements whose children Leptos escapes not, and the one file that escapes them itself.
const RAW_ELEMENTS: [&str; 2] = ["<textarea", "<style"];
const RAW_ELEMENTS_IN: &str = "src/ui/control.rs";

pub fn unescaped_elements() -> Vec<String> {
    let found = |text: &str| RAW_ELEMENTS.into_iter().find(|element| text.contains(element));
    sources()
        .into_iter()
        .filter(|source| source.path != RAW_ELEMENTS_IN)
        .filter_map(|source| {
            found(&source.code()).map(|element| format!("{}: {element} escapes nothing; see {RAW_ELEMENTS_IN}", source.path))
        })
        .collect()
}

pub fn missing_headers() -> Vec<String> {
    sources_and_tests()
        .into_iter()
        .filter(|source| !source.text.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > 12))
        .map(|source| format!("{} does not begin with `//! ` and what it owns", source.path))
        .collect()
}

pub fn feature_gates() -> Vec<String> {
    let places: Vec<&str> = GATED.iter().map(|(path, _)| *path).collect();
    let (mut breaches, mut gates) = (Vec::new(), 0);
    for source in sources() {
        let here = ["cfg(feature", "cfg_attr(feature", "cfg!(feature", "cfg(any(feature", "cfg(all(feature", "cfg(not(feature"]
            .iter()
            .map(|gate| source.code().matches(gate).count())
            .sum::<usize>();
        gates += here;
        if here > 0 && !fits_any(&places, &source.path) {
            breaches.push(format!("{} has a feature gate; they stand in lib.rs, for whole domains", source.path));
        }
    }
    if gates > MOST_GATES {
        breaches.push(format!("{gates} feature gates, of at most {MOST_GATES}"));
    }
    breaches
}

pub fn allowed_lints() -> Vec<String> {
    with_line(&["#[allow(", "#![allow("], "use #[expect(lint, reason = \"…\")]: it says why, and when it is over")
}

pub fn ignored_tests() -> Vec<String> {
    with_line(&["#[ignore"], "a test runs or is deleted")
}

fn with_line(tokens: &[&str], instead: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources_and_tests() {
        for (number, line) in source.text.lines().enumerate() {
            if tokens.iter().any(|token| line.trim_start().starts_with(token)) {
                breaches.push(format!("{}:{}: {instead}", source.path, number + 1));
            }
        }
    }
    breaches
}

pub fn vague_names() -> Vec<String> {
    sources_and_tests()
        .into_iter()
        .filter(|source| source.path.trim_end_matches(".rs").split('/').any(|name| VAGUE.contains(&name)))
        .map(|source| format!("{} is named after nothing: modules are nouns of the business", source.path))
        .collect()
}

pub fn floats() -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources().into_iter().filter(|source| fits_any(&INTEGERS_ONLY, &source.path)) {
        for (number, line) in source.code().lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.any(|word| matches!(word, "f32" | "f64") || word.ends_with("_f64") || word.ends_with("_f32")) {
                breaches.push(format!("{}:{} has a float; Tokens and money are integers", source.path, number + 1));
            }
        }
    }
    breaches
}
