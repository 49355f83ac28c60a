//! What `toki doctor` makes of a database that may forget, and of holds that nobody gives back.

use crate::support::app::{TestApp, another_pool};
use crate::support::client::chat;
use crate::support::toki::Toki;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool};

/// Its status and detail of this, in production or development.
fn said(toki: &Toki, name: &str) -> (String, String) {
    let found: Value = serde_json::from_str(&toki.run(&["doctor", "--json"]).stdout).expect("JSON");
    let checks = found["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}: {found}"));
    let field = |field: &str| check[field].as_str().expect("text").to_string();
    (field("status"), field("detail"))
}

#[sqlx::test]
async fn the_doctor_names_what_lets_the_database_forget(db: PgPool) {
    // New connections have it as if it were the server's default.
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&db).await.expect("a name");
    let sql = format!("ALTER DATABASE \"{name}\" SET synchronous_commit = off");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&db).await.expect("off");
    let production = Toki::new(&db).with("TOKI_ENV", "production").with("TOKI_PUBLIC_URL", "https://toki.example");
    for (toki, status) in [(production, "warn"), (Toki::new(&db), "ok")] {
        let (found, detail) = said(&toki, "durability");
        assert!(found == status && detail.contains("synchronous_commit"), "{found}: {detail}");
    }
}

#[sqlx::test]
async fn the_doctor_counts_holds_that_nobody_gives_back(db: PgPool) {
    let app = TestApp::start(another_pool(&db).await).await;
    let key = app.key(&app.customer("ada@example.com", 1_000).await, None).await;
    assert_eq!(app.chat(&key.secret, &chat("sandbox/echo", "hi")).await.status, 200);
    app.stop().await;
    assert_eq!(said(&Toki::new(&db), "holds").0, "ok");
    let sql =
        "INSERT INTO holds (request_id, account_id, key_id, model_id, supplier_id, price_version, endpoint, streamed, tokens, grant_ids,
                                  grant_tokens, owner, deadline)
               SELECT gen_random_uuid(), account_id, key_id, model_id, supplier_id, price_version, endpoint, streamed, 5, '{}', '{}',
                      gen_random_uuid(), now() - interval '5 minutes' FROM usage_records";
    sqlx::raw_sql(sql).execute(&db).await.expect("a hold");
    let (status, detail) = said(&Toki::new(&db), "holds");
    assert!(status == "warn" && detail.starts_with("1 "), "{status}: {detail}");
}
