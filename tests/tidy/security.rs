//! `SECURITY.md`: each requirement names tests that are there, or the benchmark that measures it, or says that there is none yet.

use crate::source::{Source, read, sources_and_tests};

const PAGE: &str = "SECURITY.md";

/// Between backticks: the stem of a file, and a test in it.
fn tests_named(cell: &str) -> Vec<(&str, &str)> {
    cell.split('`').skip(1).step_by(2).filter_map(|name| name.split_once("::")).collect()
}

/// What is measured and not tested: "measured by `BENCH=hostile make bench`".
fn benchmark_named(cell: &str) -> Option<&str> {
    cell.strip_prefix("measured by `BENCH=")?.strip_suffix(" make bench`")
}

/// The rows of the table of requirements, without its headings.
fn requirements(page: &str) -> Vec<Vec<&str>> {
    let table = page.split("| ASVS |").nth(1).unwrap_or_default().lines().skip(2);
    let rows = table.take_while(|line| line.starts_with('|')).map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect());
    rows.filter(|cells: &Vec<&str>| !cells[0].starts_with("**")).collect()
}

pub fn tests_not_there() -> Vec<String> {
    let page = read(PAGE);
    let sources = sources_and_tests();
    let rows = requirements(&page);
    if rows.len() < 20 {
        return vec![format!("{PAGE} has {} requirements: is its table still one?", rows.len())];
    }
    rows.iter().flat_map(|cells| breaches_of(cells, &sources)).collect()
}

fn breaches_of(cells: &[&str], sources: &[Source]) -> Vec<String> {
    let [numbers, _, tests] = cells else { return vec![format!("{PAGE}: not three cells: {}", cells.join(" | "))] };
    if let Some(wrong) = numbers.split(", ").find(|number| !is_number(number)) {
        return vec![format!("{PAGE}: {wrong:?} is not a number of ASVS, like 6.2.1")];
    }
    let named = tests_named(tests);
    if let Some(bench) = benchmark_named(tests) {
        let there = sources.iter().any(|source| source.path == format!("benches/{bench}/main.rs"));
        return if there { Vec::new() } else { vec![format!("{PAGE}, {numbers}: there is no benchmark {bench}")] };
    }
    if named.is_empty() && *tests != "not tested yet" {
        return vec![format!("{PAGE}, {numbers}: names no test; write one, or \"not tested yet\"")];
    }
    let missing = named.into_iter().filter(|(file, test)| !sources.iter().any(|source| has_test(source, file, test)));
    missing.map(|(file, test)| format!("{PAGE}, {numbers}: there is no test {file}::{test}")).collect()
}

/// Chapter, section, requirement.
fn is_number(text: &str) -> bool {
    let parts: Vec<_> = text.split('.').map(str::parse::<u8>).collect();
    parts.len() == 3 && parts.iter().all(Result::is_ok)
}

fn has_test(source: &Source, file: &str, test: &str) -> bool {
    let name = source.path.rsplit('/').next().unwrap_or_default();
    let Some((before, _)) = source.text.split_once(&format!("fn {test}(")) else { return false };
    // Its attribute stands on the line above.
    let attribute = before.rsplit('\n').nth(1).unwrap_or_default().trim();
    name.strip_suffix(".rs") == Some(file) && attribute.starts_with("#[") && attribute.contains("test")
}

/// The finder above, tried on rows that are wrong.
pub fn self_check() -> Vec<String> {
    let text = "#[test]\nfn it_is() {}\n\nfn no_test() {}".to_string();
    let sources = [Source { path: "src/here.rs".into(), text }, Source { path: "benches/pages/main.rs".into(), text: String::new() }];
    let wrong: [&[&str]; 7] = [
        &["1.1.1", "a", "`here::it_was`"],
        &["1.1.2", "b", "`there::it_is`"],
        &["1.1.3", "c", "`here::no_test`"],
        &["1.1.4", "d", "soon"],
        &["1.1.5", "e"],
        &["1.1.6, V7", "f", "`here::it_is`"],
        &["1.1.8", "h", "measured by `BENCH=nothing make bench`"],
    ];
    let found: Vec<_> = wrong.iter().filter(|cells| !breaches_of(cells, &sources).is_empty()).collect();
    let mut right = breaches_of(&["1.1.7, 1.2.1", "g", "`here::it_is`"], &sources);
    right.extend(breaches_of(&["1.1.9", "i", "measured by `BENCH=pages make bench`"], &sources));
    if found.len() == wrong.len() && right.is_empty() {
        Vec::new()
    } else {
        vec![format!("wrong rows found: {found:?}, right ones refused: {right:?}")]
    }
}
