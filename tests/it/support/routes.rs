//! A route as the walks send requests to it.

use crate::support::app::TestApp;
use crate::support::client::http;
use crate::support::tenant::Tenant;
use reqwest::header::{ACCEPT, CONTENT_TYPE, COOKIE, LOCATION};

/// Method, path, who may use it, and what is sent; see `routes::ROUTES`.
pub struct Route(pub &'static str, pub &'static str, pub Who, pub &'static str);

/// The least that a caller must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Public,
    Reader,
    Member,
    Admin,
    Owner,
    /// Whoever runs the business, whatever their role in an account.
    Operator,
    /// No session opens it: a secret in a header does, or a signature.
    Secret,
}

/// How a request was answered.
pub struct Answered {
    pub status: u16,
    pub location: String,
    pub body: String,
}

impl Route {
    pub fn method(&self) -> &'static str {
        if self.0 == "ANY" { "GET" } else { self.0 }
    }

    pub fn is_page(&self) -> bool {
        self.0 == "GET" && !["/api/", "/v1/", "/sandbox/v1", "/sandbox/anthropic"].iter().any(|start| self.1.starts_with(start))
    }

    /// Whether the request names something that belongs to an account and is not found from another one.
    pub fn names_a_thing(&self) -> bool {
        ["{key}", "{order}", "{payment}", "{invitation}", "{member}", "{second}", "{account}", "{session}"]
            .iter()
            .any(|thing| self.3.contains(thing))
    }

    /// Whether it filters a list by something of an account.
    pub fn filters(&self) -> bool {
        ["{~key}", "{~call}", "{~MARK}", "{~entry}"].iter().any(|thing| self.3.contains(thing))
    }

    /// The path with its parameters, and what else is sent, about things of this account.
    pub fn filled(&self, tenant: &Tenant) -> (String, String) {
        let (mut path, mut fields) = (self.1.to_string(), Vec::new());
        for field in tenant.fill(self.3).split('&').filter(|field| !field.is_empty()) {
            match field.strip_prefix(':').and_then(|field| field.split_once('=')) {
                Some((name, value)) => path = path.replace(&format!("{{{name}}}"), value),
                None => fields.push(field.replace('[', "%5B").replace(']', "%5D").replace('@', "%40")),
            }
        }
        (path, fields.join("&"))
    }
}

impl TestApp {
    /// Sends the route's request about things of `tenant`, with this cookie, as a page of ours would.
    pub async fn ask(&self, route: &Route, tenant: &Tenant, cookie: Option<&str>) -> Answered {
        let (path, fields) = route.filled(tenant);
        let mut request = match route.method() {
            "GET" if fields.is_empty() => http().get(self.url(&path)),
            "GET" => http().get(self.url(&format!("{path}?{fields}"))),
            _ => http().post(self.url(&path)).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(fields),
        };
        if let Some(cookie) = cookie {
            request = request.header(COOKIE, cookie);
        }
        let accept = if route.is_page() { "text/html" } else { "application/json" };
        let response = request.header(ACCEPT, accept).header("sec-fetch-site", "same-origin").send().await.expect("an answer");
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default().to_string();
        let endless = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let status = response.status().as_u16();
        Answered { status, location, body: if endless { String::new() } else { response.text().await.expect("a whole body") } }
    }
}
