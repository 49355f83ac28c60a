//! The server functions as the source has them: name, endpoint, and the right that the first line demands. Every one of them is
//! public by its nature, wherever it is written, so its guard is looked for in the text.

use crate::source::{Source, sources};
use std::fmt;

/// A `#[server]` function.
pub struct ServerFn {
    pub place: String,
    pub name: String,
    /// As written; what is registered is `/api/` + this.
    pub endpoint: Option<String>,
    pub right: Option<Right>,
    /// What a form may send.
    pub parameters: Vec<String>,
}

/// Who may call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// A reader, one too who is to set up a second factor before anything else.
    SignedIn,
    Reader,
    Member,
    Admin,
    Owner,
    Operator,
    /// Anybody; the comment in the function's first line says why.
    Public,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Right::SignedIn => "signed in",
            Right::Reader => "reader",
            Right::Member => "member",
            Right::Admin => "admin",
            Right::Owner => "owner",
            Right::Operator => "operator",
            Right::Public => "public",
        })
    }
}

/// What the first statement of a server function may be.
const GUARDS: [(&str, Right); 6] = [
    ("request_ctx::signed_in().await?", Right::SignedIn),
    ("request_ctx::reader().await?", Right::Reader),
    ("request_ctx::member().await?", Right::Member),
    ("request_ctx::admin().await?", Right::Admin),
    ("request_ctx::owner().await?", Right::Owner),
    ("request_ctx::operator().await?", Right::Operator),
];

pub fn server_fns() -> Vec<ServerFn> {
    sources().iter().flat_map(server_fns_of).collect()
}

fn server_fns_of(source: &Source) -> Vec<ServerFn> {
    let text = &source.text;
    let mut found = Vec::new();
    for (at, _) in text.match_indices("#[server") {
        let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let Some(close) = text[at..].find(")]\n").or_else(|| text[at..].find("#[server]").map(|_| 8)).map(|end| at + end) else { continue };
        let attribute = &text[at..close];
        let rest = &text[close..];
        // `#[server(default)]` stands before an argument, and a mention in a comment after other text.
        if !text[line_start..at].trim().is_empty() || attribute == "#[server(default" {
            continue;
        }
        let Some((_, from_name)) = rest.split_once("fn ") else { continue };
        let name = from_name.split(['(', '<']).next().unwrap_or_default().to_string();
        let body = from_name.split_once('{').map_or("", |(_, body)| body);
        found.push(ServerFn {
            place: format!("{}:{}", source.path, text[..at].lines().count() + 1),
            name,
            endpoint: attribute.split_once("endpoint = \"").and_then(|(_, rest)| rest.split_once('"')).map(|(path, _)| path.to_string()),
            right: right_of(body),
            parameters: parameters_of(from_name),
        });
    }
    found
}

/// The names before a colon between the brackets; types here have paths of one part.
fn parameters_of(from_name: &str) -> Vec<String> {
    let signature = from_name.split(") ->").next().unwrap_or_default();
    let named =
        signature.split(':').rev().skip(1).filter_map(|before| before.split(|c: char| !c.is_alphanumeric() && c != '_').next_back());
    named.filter(|name| !name.is_empty()).map(str::to_string).collect()
}

/// The right that the first statement of a body asks for. Imports come before it: the browser's build drops bodies, imports included.
fn right_of(body: &str) -> Option<Right> {
    let mut rest = body.trim_start();
    while rest.starts_with("use ") {
        rest = rest.split_once(';')?.1.trim_start();
    }
    if rest.starts_with("// public: ") {
        return Some(Right::Public);
    }
    let statement = rest.split_once(';')?.0;
    // A guard that is one branch of something else guards nothing.
    let plain = !statement.contains('{') && (statement.starts_with("let ") || statement.starts_with("request_ctx::"));
    GUARDS.into_iter().find(|(guard, _)| plain && statement.contains(guard)).map(|(_, right)| right)
}

pub fn unguarded() -> Vec<String> {
    let without = server_fns().into_iter().filter(|function| function.right.is_none());
    without
        .map(|function| format!("{} {}: the first line is a guard of request_ctx, or `// public: ` and why", function.place, function.name))
        .collect()
}

pub fn without_endpoint() -> Vec<String> {
    let without = server_fns().into_iter().filter(|function| function.endpoint.is_none());
    without
        .map(|function| format!("{} {}: give it an endpoint, or its address depends on where it was built", function.place, function.name))
        .collect()
}

/// The finder above, tried on each kind of function.
pub fn self_check() -> Vec<String> {
    let text = r#"//! A mention of #[server] is none.
#[server(endpoint = "keys/create")]
pub async fn create_key(
    name: String,
    #[server(default)]
    quota: String,
) -> Result<(), ConsoleError> {
    use crate::keys::{store, secret};

    let member = request_ctx::member().await?;
}
#[server(input = GetUrl, endpoint = "packages")]
pub async fn packages() -> Result<(), ConsoleError> {
    // public: anybody may see what is on sale
    let app = request_ctx::app()?;
}
#[server]
async fn forgotten() -> Result<(), ConsoleError> {
    let app = request_ctx::app()?;
    let member = request_ctx::member().await?;
}
"#;
    let source = Source { path: "src/keys/server_fns.rs".into(), text: text.into() };
    let found: Vec<String> = server_fns_of(&source)
        .into_iter()
        .map(|function| format!("{} {:?} {:?} {:?}", function.name, function.endpoint, function.right, function.parameters))
        .collect();
    let wanted = [
        r#"create_key Some("keys/create") Some(Member) ["quota", "name"]"#,
        r#"packages Some("packages") Some(Public) []"#,
        "forgotten None None []",
    ];
    if found == wanted { Vec::new() } else { vec![format!("server functions found: {found:#?}")] }
}
