//! What this program is made of and tested with: scripts install what lock files or exact versions say, and every run of the tests looks.

use crate::source::{Source, files_under, read};

/// What installs, and what has to stand in the same line. None = it has no way to keep to a lock file.
const INSTALLS: [(&str, Option<&str>); 6] = [
    ("cargo install ", Some("--locked")),
    ("pip install ", Some("--require-hashes")),
    ("npm install ", None),
    ("npm i ", None),
    ("npm update", None),
    ("npx ", None),
];

/// Lines that name an exact version instead: of what must be as old as a crate of ours, and of what only judges us.
const EXACT: [&str; 3] = ["wasm-bindgen-cli --version \"$wanted\"", "--target \"$1\" \"$2\"", "@anthropic-ai/claude-code@$claude_version"];

/// Where something is looked at, and the words that do it.
const LOOKED_AT: [(&str, &str); 8] = [
    (".ci/run", "make test"),
    ("Makefile", "scripts/test.sh"),
    ("scripts/test.sh", "cargo metadata --locked"),
    ("scripts/test.sh", "scripts/deny.sh"),
    ("scripts/deny.sh", "cargo deny --locked"),
    ("scripts/build.sh", "cargo metadata --locked"),
    ("Makefile", "scripts/sbom.sh"),
    ("scripts/sbom.sh", "cargo cyclonedx"),
];

pub fn not_locked() -> Vec<String> {
    let scripts = files_under("scripts").into_iter().chain(files_under(".ci"));
    let mut breaches: Vec<String> = scripts.flat_map(|script| installs_freely(&script)).collect();
    let missing = LOOKED_AT.iter().filter(|(path, words)| !commands(&read(path)).any(|(_, line)| line.contains(words)));
    breaches.extend(missing.map(|(path, words)| format!("{path} has no `{words}` any more: SECURITY.md promises what it does")));
    breaches
}

fn installs_freely(script: &Source) -> Vec<String> {
    let free = commands(&script.text).filter(|(_, line)| {
        let kept = |with: &Option<&str>| with.is_some_and(|with| line.contains(with));
        INSTALLS.iter().any(|(install, with)| line.contains(install) && !kept(with)) && !EXACT.iter().any(|exact| line.contains(exact))
    });
    free.map(|(number, _)| format!("{}:{number} installs whatever a registry has by then", script.path)).collect()
}

/// The lines that are run, with their numbers.
fn commands(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| !line.trim_start().starts_with('#'))
}

/// The finder above, tried on a script that installs freely.
pub fn self_check() -> Vec<String> {
    let text = "# npm install x\nnpm install x\nnpm ci\ncargo install x\ncargo install x --locked\npip install x\n\
                pip install --require-hashes -r x\n";
    let found = installs_freely(&Source { path: "scripts/x.sh".into(), text: text.into() });
    let lines: Vec<&str> = found.iter().filter_map(|breach| breach.split([':', ' ']).nth(1)).collect();
    if lines == ["2", "4", "6"] { Vec::new() } else { vec![format!("free installations found: {found:?}")] }
}
