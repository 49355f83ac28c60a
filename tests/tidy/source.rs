//! The project's files as text: which there are, and their code without comments, literals and tests.

use std::fs;
use std::path::Path;

/// A file of the project; `path` starts at the project's top.
pub struct Source {
    pub path: String,
    pub text: String,
}

/// Where the project is: cargo and `scripts/check.sh` both say so to the compiler.
pub fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file, or nothing when there is none.
pub fn read(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_default()
}

/// Every text file under `folder` ("" = the whole project), sorted, without what the build makes.
pub fn files_under(folder: &str) -> Vec<Source> {
    const MADE: [&str; 8] = [".git", "target", ".data", ".env", "node_modules", "test-results", "playwright-report", "screenshots-out"];
    let mut found = Vec::new();
    let entries = fs::read_dir(top().join(folder)).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if MADE.contains(&name.as_str()) {
            continue;
        }
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if entry.path().is_dir() {
            found.extend(files_under(&path));
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            found.push(Source { path, text });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The Rust files of `src/`.
pub fn sources() -> Vec<Source> {
    files_under("src").into_iter().filter(|source| source.path.ends_with(".rs")).collect()
}

/// The Rust files of `src/`, `tests/` and `benches/`.
pub fn sources_and_tests() -> Vec<Source> {
    let others = files_under("tests").into_iter().chain(files_under("benches")).filter(|source| source.path.ends_with(".rs"));
    sources().into_iter().chain(others).collect()
}

impl Source {
    /// The code that ships: comments and the insides of literals are blank, test modules are cut. Lines keep their numbers.
    pub fn code(&self) -> String {
        if self.is_test() { String::new() } else { without_tests(&blank(&self.text)) }
    }

    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        matches!(name, "tests.rs" | "fixtures.rs") || name.ends_with("_tests.rs")
    }

    /// `src/keys/store.rs` and `src/keys/store/edit.rs` belong to `keys`; `src/app.rs` to no domain.
    pub fn domain(&self) -> &str {
        let mut parts = self.path.split('/').skip(1);
        match (parts.next(), parts.next()) {
            (Some(domain), Some(_)) => domain,
            _ => "",
        }
    }

    /// The module this file is, as segments: `crate`, `keys`, `store`.
    pub fn module(&self) -> Vec<String> {
        let inner = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let names = inner.split('/').filter(|name| !matches!(*name, "mod" | "lib" | "main"));
        std::iter::once("crate").chain(names).map(str::to_string).collect()
    }
}

/// Whether `path` fits `pattern`, where `*` stands for anything but a slash, and `**` at the end for anything.
pub fn fits(pattern: &str, path: &str) -> bool {
    if let Some(start) = pattern.strip_suffix("**") {
        return path.starts_with(start);
    }
    let (Some((head, tail)), true) = (pattern.split_once('*'), pattern.contains('*')) else { return pattern == path };
    let Some(rest) = path.strip_prefix(head) else { return false };
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.take_while(|&at| !rest[..at].contains('/')).any(|at| fits(tail, &rest[at..]))
}

pub fn fits_any(patterns: &[&str], path: &str) -> bool {
    patterns.iter().any(|pattern| fits(pattern, path))
}

/// Comments and the insides of string and character literals become spaces; newlines stay.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_or_comment_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        // The delimiters of a literal stay, so that code around it still reads as code.
        out.extend(chars[at..end].iter().map(|&c| if matches!(c, '\n' | '"' | '\'') { c } else { ' ' }));
        at = end;
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn literal_or_comment_end(chars: &[char], at: usize) -> usize {
    let next = |n: usize| chars.get(at + n).copied();
    let inside_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if next(1) == Some('/') => chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |n| at + n),
        '/' if next(1) == Some('*') => block_comment_end(chars, at),
        '"' => string_end(chars, at + 1),
        'r' | 'b' if !inside_word => {
            let quote = at + chars[at..].iter().take_while(|c| matches!(c, 'r' | 'b')).count();
            let hashes = chars[quote..].iter().take_while(|&&c| c == '#').count();
            match chars.get(quote + hashes) {
                Some('"') if chars[at..quote].contains(&'r') => raw_string_end(chars, quote + hashes + 1, hashes),
                _ => at,
            }
        }
        '\'' if next(1) == Some('\\') => chars[at + 3..].iter().position(|&c| c == '\'').map_or(chars.len(), |n| at + 4 + n),
        // Otherwise it is a lifetime.
        '\'' if next(2) == Some('\'') => at + 3,
        _ => at,
    }
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

fn raw_string_end(chars: &[char], start: usize, hashes: usize) -> usize {
    let closes = |at: usize| chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
    (start..chars.len()).find(|&at| closes(at)).map_or(chars.len(), |at| at + 1 + hashes)
}

/// Cuts `#[cfg(test)] mod …;`, and everything from `#[cfg(test)] mod … {` on: tests stand at the end of a file.
fn without_tests(code: &str) -> String {
    let lines: Vec<&str> = code.lines().collect();
    let mut out = String::new();
    let mut at = 0;
    while at < lines.len() {
        let module = lines.get(at + 1).is_some_and(|line| line.trim_start().starts_with("mod "));
        if lines[at].trim() == "#[cfg(test)]" && module {
            if !lines[at + 1].trim_end().ends_with(';') {
                break;
            }
            out.push_str("\n\n");
            at += 2;
            continue;
        }
        out.push_str(lines[at]);
        out.push('\n');
        at += 1;
    }
    out
}
