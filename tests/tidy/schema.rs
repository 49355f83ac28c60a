//! Migrations: everything in them carries a name of ours, since errors are told apart by it; what has landed never changes.

use crate::source::{Source, files_under, top};
use std::process::Command;

const CONSTRAINTS: [&str; 6] = ["PRIMARY KEY", "REFERENCES", "UNIQUE", "CHECK", "EXCLUDE", "FOREIGN KEY"];

/// The sums of the landed migrations: `sha256sum` format, one line a file, a line added with each new file and never changed.
const SUMS: &str = "CHECKSUMS";

fn migrations() -> Vec<Source> {
    files_under("migrations").into_iter().filter(|source| source.path.ends_with(".sql")).collect()
}

pub fn unnamed() -> Vec<String> {
    migrations().iter().flat_map(unnamed_in).collect()
}

fn unnamed_in(source: &Source) -> Vec<String> {
    let mut breaches = Vec::new();
    for statement in statements(&source.text) {
        let words = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        let upper = words.to_uppercase();
        let mut breach = |what: &str| breaches.push(format!("{}: {what}", source.path));
        if upper.starts_with("CREATE TABLE") {
            let inner = words.split_once('(').map_or("", |(_, rest)| rest);
            for item in split_at_commas(inner).iter().filter(|item| !named(item)) {
                breach(&format!("name the constraint in `{}` of `{}`", item.trim(), words.split(" (").next().unwrap_or_default()));
            }
        } else if upper.starts_with("ALTER TABLE") {
            for item in split_at_commas(&words).iter().filter(|item| item.to_uppercase().contains("ADD ") && !named(item)) {
                breach(&format!("name the constraint in `{}`", item.trim()));
            }
        } else if upper.starts_with("CREATE INDEX ON") || upper.starts_with("CREATE UNIQUE INDEX ON") {
            breach(&format!("name the index in `{words}`"));
        }
    }
    breaches
}

/// Whether an item of a table definition has no constraint, or names it first.
fn named(item: &str) -> bool {
    let upper = item.to_uppercase();
    let first = CONSTRAINTS.iter().filter_map(|constraint| find_words(&upper, constraint)).min();
    first.is_none_or(|at| upper[..at].contains("CONSTRAINT "))
}

/// Where `words` stand in `text` as words: `CHECK`, but not the one in `checkout_url`.
fn find_words(text: &str, words: &str) -> Option<usize> {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let apart = |at: usize| !text[..at].ends_with(part_of_word) && !text[at + words.len()..].starts_with(part_of_word);
    text.match_indices(words).map(|(at, _)| at).find(|at| apart(*at))
}

/// The statements without comments, string literals and function bodies.
fn statements(sql: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut rest = sql;
    while let Some(at) = rest.find(['\'', '-', '$']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let end = match () {
            () if from.starts_with("--") => from.find('\n'),
            () if from.starts_with("$$") => from[2..].find("$$").map(|end| end + 4),
            () if from.starts_with('\'') => from[1..].find('\'').map(|end| end + 2),
            () => {
                plain.push_str(&from[..1]);
                Some(1)
            }
        };
        rest = end.map_or("", |end| &from[end..]);
    }
    plain.push_str(rest);
    plain.split(';').map(|statement| statement.trim().to_string()).filter(|statement| !statement.is_empty()).collect()
}

/// At the commas outside all parentheses.
fn split_at_commas(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0i32, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

pub fn changed_migrations() -> Vec<String> {
    let folder = top().join("migrations");
    let sums = std::fs::read_to_string(folder.join(SUMS)).unwrap_or_default();
    let mut breaches: Vec<String> = migrations()
        .iter()
        .filter_map(|source| source.path.strip_prefix("migrations/"))
        .filter(|name| !sums.lines().any(|line| line.ends_with(&format!("  {name}"))))
        .map(|name| format!("migrations/{SUMS} does not list {name}: (cd migrations && sha256sum {name} >>{SUMS})"))
        .collect();
    match Command::new("sha256sum").args(["--check", "--strict", "--quiet", SUMS]).current_dir(&folder).env("LC_ALL", "C").output() {
        Ok(done) if done.status.success() => {}
        Ok(done) => {
            let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
            breaches.extend(said.lines().map(|line| format!("a landed migration is never edited; write a new one: {line}")));
        }
        Err(error) => breaches.push(format!("sha256sum: {error}")),
    }
    breaches
}

/// The finder above, tried on statements that name nothing.
pub fn self_check() -> Vec<String> {
    let text = "CREATE TABLE a (b uuid PRIMARY KEY, c text CHECK (c IN ('x; y', 'z')), d int, e int REFERENCES f (g), UNIQUE (d, e),
                CONSTRAINT a_d_check CHECK (d > 0)); -- UNIQUE (z);
                ALTER TABLE a ADD CONSTRAINT a_x_key UNIQUE (x), ADD UNIQUE (y); CREATE INDEX ON a (b); CREATE UNIQUE INDEX a_b_idx ON a (b);";
    let found = unnamed_in(&Source { path: "m.sql".into(), text: text.into() });
    if found.len() == 6 { Vec::new() } else { vec![format!("unnamed constraints found: {found:#?}")] }
}
