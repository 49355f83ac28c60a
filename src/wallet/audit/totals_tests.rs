//! Totals are held against calls by the supplier that answered.

use crate::wallet::audit::audit;
use crate::wallet::fixtures::{self, Used, plain_key};
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

const USED: Used = Used { input: 10, cached: 0, output: 5 };

#[sqlx::test]
async fn totals_of_another_supplier_than_answered_are_found(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let (alpha, beta) = (fixtures::supplier(&db, "alpha").await, fixtures::supplier(&db, "beta").await);
    fixtures::model(&db, "acme/m", alpha).await;
    fixtures::credit(&db, ada.account_id(), 1_000, TimeDelta::days(1)).await;
    let (_, secret) = fixtures::key(&db, &ada, plain_key("bot")).await;
    let now = Utc::now();
    fixtures::call_at(&db, &secret, "acme/m", USED, now).await;
    sqlx::query("UPDATE models SET supplier_id = $1").bind(beta.0).execute(&db).await.expect("moved");
    fixtures::call_at(&db, &secret, "acme/m", USED, now).await;
    assert!(audit(&db, None).await.expect("audit").differences.is_empty(), "a model may be moved");

    let third = fixtures::supplier(&db, "gamma").await;
    let corrupt = "UPDATE usage_totals SET supplier_id = $1 WHERE unit = 'day' AND supplier_id = $2";
    let changed = sqlx::query(corrupt).bind(third.0).bind(alpha.0).execute(&db).await.expect("corruption").rows_affected();
    assert_eq!(changed, 1);
    let mut found = Vec::new();
    for difference in audit(&db, Some(ada.account_id())).await.expect("audit").differences {
        let supplier = difference.subject.rsplit(' ').next().map(str::to_string);
        found.push((supplier.expect("a supplier"), difference.what, difference.expected, difference.found));
    }
    found.sort();
    let mut wanted = Vec::new();
    for (what, tokens) in [("calls", 1), ("charge", USED.charge()), ("input", USED.input), ("output", USED.output)] {
        wanted.push((alpha.to_string(), what.to_string(), tokens, 0));
        wanted.push((third.to_string(), what.to_string(), 0, tokens));
    }
    wanted.sort();
    assert_eq!(found, wanted);
}
