//! Who may import what: the table of ARCHITECTURE.md as data, and the paths that each file names, checked against it.

use crate::source::{Source, fits_any, sources};
use std::collections::HashMap;

/// Files of one kind, and the paths they must never name. In a path `*` stands for any segment, `!` for any domain but the file's.
struct Rule {
    files: &'static [&'static str],
    never: &'static [&'static str],
    but: &'static [&'static str],
}

const RULES: [Rule; 8] = [
    // What crosses the wire compiles for the browser and for whoever else speaks to us.
    Rule {
        files: &["src/tokens.rs", "src/money.rs", "src/ids.rs", "src/utc.rs", "src/error.rs", "src/*/types.rs", "src/*/types_*.rs"],
        never: &["sqlx", "axum", "leptos", "leptos_axum", "leptos_router", "leptos_meta", "tower_sessions", "crate::*::store"],
        but: &[],
    },
    Rule { files: &["src/*/types.rs", "src/*/types_*.rs"], never: &["chrono", "crate::server", "crate::ui"], but: &[] },
    // SQL knows neither pages nor HTTP, and leaves other domains' tables to their own stores.
    Rule {
        files: &STORES,
        never: &[
            "leptos",
            "leptos_axum",
            "leptos_router",
            "axum",
            "crate::!::store",
            "crate::*::page",
            "crate::*::server_fns",
            "crate::ui",
            "crate::gateway",
        ],
        but: &[],
    },
    // A server function asks who, parses, calls its store and replies.
    Rule {
        files: &["src/*/server_fns.rs", "src/*/server_fns_*.rs", "src/*/server_fns/*.rs"],
        never: &["sqlx", "axum", "crate::!::store", "crate::*::page", "crate::gateway"],
        but: &[],
    },
    // A page runs in the browser.
    Rule {
        files: &["src/*/page.rs", "src/*/page_*.rs", "src/*/page/*.rs", "src/ui/**", "src/app.rs"],
        never: &[
            "sqlx",
            "axum",
            "leptos_axum",
            "tower_sessions",
            "chrono",
            "crate::*::store",
            "crate::*::ledger",
            "crate::!::server_fns",
            "crate::gateway",
        ],
        but: &[],
    },
    // The hot path has never heard of Leptos or of who is signed in.
    Rule {
        files: &["src/gateway/**"],
        never: &[
            "leptos",
            "leptos_axum",
            "leptos_router",
            "leptos_meta",
            "tower_sessions",
            "crate::*::page",
            "crate::*::server_fns",
            "crate::ui",
            "crate::app",
            "crate::accounts",
            "crate::catalog",
            "crate::checkout",
        ],
        but: &[],
    },
    // What a payment provider tells us comes without a session.
    Rule {
        files: &["src/checkout/payments.rs", "src/checkout/webhook.rs", "src/checkout/stripe.rs", "src/checkout/reconcile.rs"],
        never: &["leptos", "leptos_axum", "tower_sessions"],
        but: &[],
    },
    // The composition root imports everybody; nobody imports it. Server functions ask the request who is there.
    Rule { files: &["src/**"], never: &["crate::server", "crate::cli"], but: &["src/server/**", "src/cli/**", "src/main.rs"] },
];

/// A path that a file may name although a rule forbids it, and why.
struct Exception {
    files: &'static [&'static str],
    path: &'static str,
    #[expect(dead_code, reason = "the reason is for whoever reads this table")]
    because: &'static str,
}

const EXCEPTIONS: &[Exception] = &[
    Exception { files: &["src/error.rs"], path: "leptos::server_fn", because: "an error type must implement server_fn's traits" },
    Exception { files: &["src/error.rs"], path: "sqlx::Error", because: "one place turns a database failure into what a page may say" },
    Exception {
        files: &["src/*/server_fns.rs", "src/*/server_fns_*.rs", "src/*/server_fns/*.rs"],
        path: "crate::server::request_ctx",
        because: "the request's session, state and reply",
    },
    Exception {
        files: &["src/accounts/session_store.rs"],
        path: "crate::wallet::store",
        because: "the frame around every page shows the balance: it is read with the session",
    },
    Exception {
        files: &["src/accounts/server_fns.rs"],
        path: "crate::checkout::store",
        because: "the frame tells operators of payments that fit no order",
    },
    Exception {
        files: &["src/ui/layout.rs"],
        path: "crate::accounts::server_fns",
        because: "the frame knows who looks, and signs them out",
    },
    Exception {
        files: &["src/ui/layout.rs"],
        path: "crate::accounts::server_fns_members",
        because: "the frame has the switch between a user's accounts",
    },
    Exception {
        files: &["src/checkout/server_fns.rs"],
        path: "crate::catalog::store",
        because: "what is confirmed is the package as it is on sale now",
    },
    Exception {
        files: &["src/checkout/store.rs", "src/checkout/store/*.rs"],
        path: "crate::codes::store",
        because: "an order takes the use of its promotion code in its own transaction",
    },
    Exception {
        files: &["src/accounts/store.rs", "src/accounts/store/members.rs", "src/accounts/store/deletion.rs"],
        path: "crate::keys::store",
        because: "whoever leaves an account gives their keys up in the same transaction",
    },
    Exception {
        files: &["src/accounts/store/deletion.rs"],
        path: "crate::notices::store",
        because: "what notices keep of a user goes with them in the same transaction",
    },
    Exception { files: &["src/keys/server_fns.rs"], path: "crate::usage::store", because: "a key's page shows its own last calls" },
    Exception {
        files: &["src/checkout/payments.rs", "src/checkout/sandbox.rs", "src/checkout/webhook.rs"],
        path: "crate::server::config",
        because: "which provider there is, and its secrets, is configuration",
    },
    Exception {
        files: &["src/checkout/sandbox.rs", "src/checkout/webhook.rs"],
        path: "crate::server::state",
        because: "a payment is settled on the state's TaskTracker, whether or not its sender waits",
    },
];

/// Files that hold SQL: every domain's store, under whatever name of its subject a part of it has.
const STORES: [&str; 16] = [
    "src/*/store.rs",
    "src/*/store_*.rs",
    "src/*/store/*.rs",
    // The only writer of the ledger, grant and hold tables, and what of it a page shows.
    "src/wallet/ledger.rs",
    "src/wallet/ledger/*.rs",
    "src/wallet/statement.rs",
    // Rows that prove what happened: operator actions, and the recomputation of every balance.
    "src/*/audit.rs",
    "src/wallet/audit/*.rs",
    // A store, by tower-sessions' name for it.
    "src/accounts/session_store.rs",
    // What a key may call, as the gateway asks; what anybody may see of it, as the model directory asks.
    "src/suppliers/callable.rs",
    "src/suppliers/directory.rs",
    // What hashes are made with: a row of its own.
    "src/secrets/hash_key.rs",
    // The only writer of mails; every domain posts its letters there, in its own transactions.
    "src/mail/outbox.rs",
    // Whether somebody still is a member, as every domain asks in its own transactions.
    "src/accounts/membership.rs",
    // The only writer of the account log, as that.
    "src/journal/record.rs",
    // The sandbox supplier's own rows.
    "src/suppliers/sandbox/register.rs",
];

/// Others that may write SQL.
const SQL_BESIDES: [&str; 1] = [
    // Is the database there, and does it keep what it commits?
    "src/server/run.rs",
];

/// Calls that nobody makes outside tests, wherever.
const BANNED: [(&str, &str); 3] = [
    ("tokio::spawn", "nobody waits for it at shutdown: use the TaskTracker in the state"),
    ("tokio::task::spawn", "nobody waits for it at shutdown: use the TaskTracker in the state"),
    ("chrono::Local", "times are UTC; the reader's zone is the browser's business"),
];

pub fn forbidden_imports() -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources() {
        for (line, path) in paths(&source) {
            if excepted(&source, &path).is_some() {
                continue;
            }
            for rule in RULES.iter().filter(|rule| fits_any(rule.files, &source.path) && !fits_any(rule.but, &source.path)) {
                if let Some(never) = rule.never.iter().find(|never| begins(&path, never, source.domain())) {
                    breaches.push(format!("{}:{line} names {path}; its kind never names {never}", source.path));
                }
            }
        }
    }
    breaches.dedup();
    breaches
}

pub fn stale_exceptions() -> Vec<String> {
    let sources = sources();
    let used: Vec<usize> =
        sources.iter().flat_map(|source| paths(source).into_iter().filter_map(|(_, path)| excepted(source, &path))).collect();
    let stale = EXCEPTIONS.iter().enumerate().filter(|(at, _)| !used.contains(at));
    stale.map(|(_, exception)| format!("nobody in {:?} names {} any more: strike the exception", exception.files, exception.path)).collect()
}

pub fn stray_sql() -> Vec<String> {
    named(|path| ["sqlx::query", "sqlx::raw_sql", "sqlx::QueryBuilder"].iter().any(|start| path.starts_with(start)))
        .filter(|(source, ..)| !fits_any(&STORES, &source.path) && !fits_any(&SQL_BESIDES, &source.path))
        .map(|(source, line, path)| format!("{}:{line} names {path}; SQL is written in stores only", source.path))
        .collect()
}

pub fn banned_calls() -> Vec<String> {
    let banned = |path: &str| BANNED.into_iter().find(|(call, _)| begins(path, call, ""));
    named(move |path| banned(path).is_some())
        .map(|(source, line, path)| format!("{}:{line} names {path}: {}", source.path, banned(&path).map_or("", |(_, reason)| reason)))
        .collect()
}

fn named(wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (Source, usize, String)> {
    let mut found = Vec::new();
    for source in sources() {
        for (line, path) in paths(&source).into_iter().filter(|(_, path)| wanted(path)) {
            found.push((Source { path: source.path.clone(), text: String::new() }, line, path));
        }
    }
    found.into_iter()
}

/// The number of the exception that covers this path in this file.
fn excepted(source: &Source, path: &str) -> Option<usize> {
    EXCEPTIONS.iter().position(|exception| fits_any(exception.files, &source.path) && begins(path, exception.path, source.domain()))
}

/// Whether `path` begins with `pattern`, segment by segment.
fn begins(path: &str, pattern: &str, domain: &str) -> bool {
    let mut segments = path.split("::");
    pattern.split("::").all(|wanted| match (wanted, segments.next()) {
        (_, None) => false,
        ("*", Some(_)) => true,
        ("!", Some(found)) => found != domain,
        (wanted, Some(found)) => wanted == found,
    })
}

/// Every path that the code names, as if nothing had been imported, with its line.
fn paths(source: &Source) -> Vec<(usize, String)> {
    let mut code = source.code();
    let (mut found, mut imported) = (Vec::new(), HashMap::new());
    for (start, end, tree) in use_trees(&code) {
        let line = code[..start].lines().count().max(1);
        for path in expand(&tree) {
            let path = absolute(&path, &source.module(), &HashMap::new());
            if let Some(name) = path.rsplit("::").next() {
                imported.insert(name.to_string(), path.clone());
            }
            found.push((line, path));
        }
        // Imports are read; the rest of the code is looked at below.
        let blank: String = code[start..end].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        code.replace_range(start..end, &blank);
    }
    for (number, line) in code.lines().enumerate() {
        found.extend(inline_paths(line).into_iter().map(|path| (number + 1, absolute(&path, &source.module(), &imported))));
    }
    found
}

/// Begin, end and tree of every `use …;`. Blanked code has one byte a character where it matters here, so bytes will do.
fn use_trees(code: &str) -> Vec<(usize, usize, String)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = code[from..].find("use ").map(|at| at + from) {
        from = at + 4;
        let before = code[..at].trim_end_matches(' ');
        let starts = before.is_empty() || before.ends_with(['\n', '{', ';', '}']) || before.ends_with("pub") || before.ends_with(')');
        if let (true, Some(length)) = (starts, code[at..].find(';')) {
            found.push((at, at + length, code[at + 4..at + length].split_whitespace().collect::<Vec<_>>().join(" ")));
        }
    }
    found
}

/// `a::{b, c::{self, d as e}}` as `a::b`, `a::c`, `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim().trim_start_matches("::");
        return vec![path.trim_end_matches("::self").to_string()];
    };
    let inner = rest.strip_suffix('}').unwrap_or(rest);
    split_at_commas(inner).iter().flat_map(|part| expand(part)).map(|part| join(head, &part)).collect()
}

fn join(head: &str, part: &str) -> String {
    let head = head.trim().trim_end_matches("::");
    if part == "self" || part.is_empty() {
        head.to_string()
    } else if head.is_empty() {
        part.to_string()
    } else {
        format!("{head}::{part}")
    }
}

fn split_at_commas(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

/// `a::b::c` as it stands in a line of code.
fn inline_paths(line: &str) -> Vec<String> {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    line.split(|c: char| !word(c))
        .map(|text| text.trim_matches(':'))
        .filter(|text| text.contains("::") && !text.starts_with(|c: char| c.is_numeric()))
        .map(str::to_string)
        .collect()
}

/// Resolves `self`, `super` and imported names.
fn absolute(path: &str, module: &[String], imported: &HashMap<String, String>) -> String {
    let (first, rest) = path.split_once("::").map_or((path, None), |(first, rest)| (first, Some(rest)));
    let start = match first {
        "self" => module.join("::"),
        "super" => match rest {
            Some(rest) => return absolute(&format!("self::{rest}"), &module[..module.len().saturating_sub(1)], imported),
            None => module[..module.len().saturating_sub(1)].join("::"),
        },
        name => imported.get(name).cloned().unwrap_or_else(|| name.to_string()),
    };
    rest.map_or(start.clone(), |rest| format!("{start}::{rest}"))
}

/// The finders of this file, tried on code that breaks every rule.
pub fn self_check() -> Vec<String> {
    let text = "use crate::{accounts::store, wallet::ledger as l};\n// use crate::app;\nuse super::store::{self, A};\nuse crate::server;\n\
                fn f() { let s = \"sqlx::query\"; store::x(); sqlx::query!(); server::run::go() }\n#[cfg(test)]\nmod tests { use axum::X; }\n";
    let source = Source { path: "src/keys/page.rs".into(), text: text.into() };
    let found: Vec<String> = paths(&source).into_iter().map(|(_, path)| path).collect();
    let wanted = [
        "crate::accounts::store",
        "crate::wallet::ledger",
        "crate::keys::store",
        "crate::keys::store::A",
        "crate::server",
        "crate::keys::store::x",
        "sqlx::query",
        "crate::server::run::go",
    ];
    if found == wanted { Vec::new() } else { vec![format!("paths found: {found:?}")] }
}
