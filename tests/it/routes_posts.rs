//! Posts that are not what a form of ours sends. From other sites: every route, in every form that a browser sends without asking first,
//! with the owner's session; and with a field too many: none is accepted.

use crate::routes::ROUTES;
use crate::support::app::TestApp;
use crate::support::client::http;
use crate::support::fingerprint::{changed, fingerprint};
use crate::support::routes::{Route, Who};
use crate::support::tenant::{Tenant, package, seller};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, COOKIE};
use sqlx::PgPool;

/// What says where a request comes from: browsers of today, older ones, frames without an origin, and what says nothing.
const FROM: [&[(&str, &str)]; 8] = [
    &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
    &[("sec-fetch-site", "cross-site"), ("origin", "null")],
    &[("sec-fetch-site", "cross-site")],
    &[("sec-fetch-site", "same-site")],
    &[("origin", "https://evil.example")],
    &[("origin", "null")],
    &[("sec-fetch-site", "none")],
    &[],
];

const BOUNDARY: &str = "x-boundary";

/// The fields in each form in which a page of another site could send them.
fn bodies(fields: &str) -> Vec<(String, String)> {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(fields.as_bytes()).into_owned().collect();
    let part =
        |(name, value): &(String, String)| format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let multipart = pairs.iter().map(part).collect::<String>() + &format!("--{BOUNDARY}--\r\n");
    let json = serde_json::Map::from_iter(pairs.into_iter().map(|(name, value)| (name, value.into())));
    vec![
        ("application/x-www-form-urlencoded".into(), fields.into()),
        ("text/plain".into(), fields.into()),
        (format!("multipart/form-data; boundary={BOUNDARY}"), multipart),
        ("application/json".into(), serde_json::Value::Object(json).to_string()),
    ]
}

#[sqlx::test]
async fn no_post_of_another_site_is_accepted(db: PgPool) {
    let app = TestApp::start_with(db, |ours| ours.seller = Some(seller())).await;
    app.until("SELECT count(*) FROM sellers", |count| count == 1).await;
    let tenant = Tenant::new(&app, "ourmark", "owner", package(&app).await).await;
    let cookie = tenant.session(&app).await;
    app.until_mailed().await;
    let before = fingerprint(&app.state.db, &["audit_runs"]).await;
    let (mut sent, mut accepted) = (0, Vec::new());
    for route in ROUTES {
        let (path, fields) = route.filled(&tenant);
        // Pages and functions that only answer GET are posted to as well. Forms know no other method than POST.
        for (method, from) in [Method::POST, Method::PUT, Method::DELETE].iter().flat_map(|method| FROM.map(|from| (method, from))) {
            for (kind, body) in bodies(&fields).into_iter().take(if *method == Method::POST { 4 } else { 1 }) {
                let request = http().request(method.clone(), app.url(&path)).header(COOKIE, &cookie).header(CONTENT_TYPE, kind);
                let request = from.iter().fold(request, |request, (name, value)| request.header(*name, *value));
                let status = request.body(body).send().await.expect("an answer").status().as_u16();
                sent += 1;
                let refused = match route.2 {
                    // No cookie opens these, so that it makes no difference who asks: they want a secret or a signature.
                    Who::Secret => matches!(status, 400 | 401 | 404 | 405),
                    // Outside of the console's layers, with nothing to change.
                    _ if matches!(route.1, "/healthz" | "/readyz") => status == 405,
                    _ => status == 403,
                };
                if !refused {
                    accepted.push(format!("{method} {path} {from:?}: {status}"));
                }
            }
        }
    }
    assert!(accepted.is_empty(), "{} of {sent} are accepted: {accepted:#?}", accepted.len());
    assert!(sent > 4_000, "{sent}");
    let after = fingerprint(&app.state.db, &["audit_runs"]).await;
    assert_eq!(changed(&before, &after), Vec::<&str>::new(), "changed by another site");
    app.stop().await;
}

#[sqlx::test]
async fn no_form_with_a_field_too_many_is_accepted(db: PgPool) {
    let app = TestApp::start_with(db, |ours| ours.seller = Some(seller())).await;
    app.until("SELECT count(*) FROM sellers", |count| count == 1).await;
    let tenant = Tenant::new(&app, "ourmark", "owner", package(&app).await).await;
    let cookie = tenant.session(&app).await;
    app.until_mailed().await;
    let before = fingerprint(&app.state.db, &["audit_runs"]).await;
    let forms = ROUTES.iter().filter(|route| route.0 == "POST" && route.1.starts_with("/api/"));
    let (mut sent, mut accepted) = (0, Vec::new());
    for &Route(method, path, who, fields) in forms {
        for unexpected in ["unexpected=1", "unexpected[of]=1"] {
            let fields = [fields, unexpected].into_iter().filter(|fields| !fields.is_empty()).collect::<Vec<_>>().join("&");
            let answer = app.ask(&Route(method, path, who, fields.leak()), &tenant, Some(&cookie)).await;
            sent += 1;
            if answer.status != 400 || !answer.body.contains("BadRequest") {
                accepted.push(format!("{path} {}: {}", answer.status, answer.body));
            }
        }
    }
    assert!(accepted.is_empty(), "{} of {sent} are accepted: {accepted:#?}", accepted.len());
    assert!(sent > 80, "{sent}");
    let after = fingerprint(&app.state.db, &["audit_runs"]).await;
    assert_eq!(changed(&before, &after), Vec::<&str>::new(), "changed by a form with a field too many");
    app.stop().await;
}
