//! What the ledger reckons where numbers are so large that a division which rounds would be wrong.

use super::tests::{acme, assert_exact, customer, decide, settled};
use super::*;
use crate::wallet::fixtures::{self, Used};
use chrono::Utc;

const MODEL: &str = "acme/dear";
const MOST_OUTPUT: i64 = 1_000_000_000;

/// A model at a millionth of a Token for each of input, and a thousand for each of output.
async fn dear(db: &PgPool) {
    let supplier_id = acme(db).await;
    let mut tx = db.begin().await.expect("begin");
    sqlx::query("INSERT INTO models (model_id, supplier_id, upstream_id, context_tokens, max_output_tokens) VALUES ($1, $2, 'm', $3, $3)")
        .bind(MODEL)
        .bind(supplier_id.0)
        .bind(MOST_OUTPUT)
        .execute(&mut *tx)
        .await
        .expect("a model");
    sqlx::query("INSERT INTO model_prices (model_id, version, input_ppm, cached_ppm, output_ppm) VALUES ($1, 1, 1, 0, 1000000000)")
        .bind(MODEL)
        .execute(&mut *tx)
        .await
        .expect("a price");
    tx.commit().await.expect("commit");
}

/// With and without a quota: a plain call of one key is reckoned by a statement of its own.
#[sqlx::test]
async fn a_large_hold_is_rounded_up_and_pays_for_all_of_its_call(db: PgPool) {
    const COST: i64 = 3_000_000_000_001;
    dear(&db).await;
    let owner = fixtures::replica(&db).await;
    for (name, quota) in [("ada", None), ("bob", Some(2 * COST))] {
        let (_, _, _, secret) = customer(&db, name, 2 * COST, quota).await;
        let request = AdmissionRequest { choices: 3, ..fixtures::request(&secret, MODEL, 1, MOST_OUTPUT) };
        let verdicts = decide(&db, &[request], owner, false).await;
        let [Verdict::Admitted(call)] = &verdicts[..] else { panic!("{name}: {verdicts:?}") };
        assert_eq!((call.held, call.output_limit), (Tokens(COST), MOST_OUTPUT), "{name}");
        let used = Used { input: 1, cached: 0, output: 3 * MOST_OUTPUT };
        let report = Settlement { charge: Tokens(COST), ..fixtures::settlement(call, used, Utc::now()) };
        assert_eq!(settled(&db, &[report]).await, [(true, COST)], "{name}");
    }
    let written_off = "SELECT sum(written_off)::bigint FROM usage_records";
    assert_eq!(sqlx::query_scalar::<_, i64>(written_off).fetch_one(&db).await.expect("records"), 0);
    assert_exact(&db).await;
}

/// What is left would pay for 200,000,000 Tokens of output, were it not for the input.
#[sqlx::test]
async fn output_for_which_a_millionth_of_a_token_is_missing_is_not_held(db: PgPool) {
    const LEFT: i64 = 200_000_000_000;
    dear(&db).await;
    let owner = fixtures::replica(&db).await;
    for (name, tokens, quota) in [("ada", LEFT, None), ("bob", 5 * LEFT, Some(LEFT))] {
        let (_, _, _, secret) = customer(&db, name, tokens, quota).await;
        let verdicts = decide(&db, &[fixtures::request(&secret, MODEL, 1, MOST_OUTPUT)], owner, false).await;
        let [Verdict::Admitted(call)] = &verdicts[..] else { panic!("{name}: {verdicts:?}") };
        assert_eq!((call.held, call.output_limit), (Tokens(199_999_999_001), 199_999_999), "{name}");
    }
    assert_exact(&db).await;
}
