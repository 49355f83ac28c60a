//! No GET changes anything: a link, a picture or a prefetch of another site does nothing for whoever follows it.

use crate::routes::ROUTES;
use crate::support::app::TestApp;
use crate::support::client::http;
use crate::support::fingerprint::{changed, fingerprint};
use crate::support::routes::{Route, Who};
use crate::support::tenant::{Tenant, package, seller};
use reqwest::Method;
use reqwest::header::{ACCEPT, COOKIE};
use sqlx::PgPool;
use uuid::Uuid;

/// What the replica writes by itself meanwhile. Of mails, which are there is compared.
const NOT_COMPARED: [&str; 2] = ["audit_runs", "mails"];

async fn mails(app: &TestApp) -> Vec<Uuid> {
    sqlx::query_scalar("SELECT mail_id FROM mails ORDER BY mail_id").fetch_all(&app.state.db).await.expect("mails")
}

/// Walks every route by GET and HEAD, those too that are posted to, as a browser and as a program.
async fn walk(app: &TestApp, tenant: &Tenant, cookie: Option<&str>) -> usize {
    let mut walked = 0;
    let open = Route("GET", "/orders/{id}", Who::Reader, ":id={waiting}");
    for route in ROUTES.iter().chain([&open]) {
        let (path, fields) = route.filled(tenant);
        let address = app.url(&if fields.is_empty() { path } else { format!("{path}?{fields}") });
        for (method, accept) in [(Method::GET, "text/html"), (Method::GET, "application/json"), (Method::HEAD, "text/html")] {
            let request = http().request(method.clone(), &address).header(ACCEPT, accept);
            let request = match cookie {
                Some(cookie) => request.header(COOKIE, cookie),
                None => request,
            };
            let answer = request.send().await.expect("an answer");
            assert!(answer.status().as_u16() < 500, "{method} {address}: {}", answer.status());
            // Read to the end, so that what an answer does while it is sent is done.
            if route.1 != "/live" {
                answer.bytes().await.expect("a whole body");
            }
            walked += 1;
        }
    }
    walked
}

/// Of the tables that changed while these walk.
async fn changed_by(db: PgPool, role: &str, operator: bool) {
    let app = TestApp::start_with(db, |ours| ours.seller = Some(seller())).await;
    app.until("SELECT count(*) FROM sellers", |count| count == 1).await;
    let tenant = Tenant::new(&app, "ourmark", role, package(&app).await).await;
    let made = sqlx::query("UPDATE users SET operator = $1 WHERE user_id = $2").bind(operator).bind(tenant.caller.0);
    made.execute(&app.state.db).await.expect("the caller");
    let cookie = tenant.session(&app).await;
    app.until_mailed().await;
    let (before, mails_before) = (fingerprint(&app.state.db, &NOT_COMPARED).await, mails(&app).await);
    assert!(!mails_before.is_empty(), "a receipt at least");
    assert!(before.values().filter(|rows| rows.0 > 0).count() > 20, "a walk needs something to break: {before:?}");
    let walked = walk(&app, &tenant, Some(&cookie)).await + walk(&app, &tenant, None).await;
    assert_eq!(walked, 6 * (ROUTES.len() + 1));
    let after = fingerprint(&app.state.db, &NOT_COMPARED).await;
    assert_eq!(changed(&before, &after), Vec::<&str>::new(), "changed by GET");
    assert_eq!(mails(&app).await, mails_before, "mailed by GET, or forgotten");
    app.stop().await;
}

#[sqlx::test]
async fn no_get_of_an_owner_or_a_visitor_changes_anything(db: PgPool) {
    changed_by(db, "owner", false).await;
}

#[sqlx::test]
async fn no_get_of_an_operator_changes_anything(db: PgPool) {
    changed_by(db, "owner", true).await;
}
