//! Tests of redemption: what a code brings, whom it refuses, how often it may be tried, and that batches and their deeds are one.

use super::batches::{Batch, NewCodes, Off, Worth, code, codes, disable_code, insert_codes};
use super::plain::{CodePepper, PlainCode};
use super::*;
use crate::accounts::rights::Owner;
use crate::operators::rights::Operator;
use crate::wallet::audit::audit;
use crate::wallet::filter::EntryFilter;
use crate::wallet::fixtures::{member, supplier};
use crate::wallet::store::statement::statement_of;
use crate::wallet::store::{grants_of, standing_of};
use crate::wallet::types::{Cause, GrantSource, Movement};
use chrono::Utc;
use futures::future::join_all;

fn pepper() -> CodePepper {
    CodePepper::derive(&[7; 32])
}

/// Redemption codes of 500 Tokens for 30 days.
fn worth_tokens() -> NewCodes {
    let worth = Worth::Tokens { tokens: Tokens(500), valid_for: TimeDelta::days(30), scope: Scope::default() };
    NewCodes { worth, count: 1, uses: 1, expires_at: None, note: Some("Welcome".into()) }
}

async fn make(db: &PgPool, new: NewCodes) -> Batch {
    insert_codes(db, Operator::command_line(), &pepper(), &new, "spring").await.expect("made")
}

async fn redeem_plain(db: &PgPool, member: &Owner, code: &PlainCode) -> Result<GrantId, CodeError> {
    redeem(db, member, &code.hash(&pepper())).await
}

fn problem(result: Result<GrantId, CodeError>) -> CodeProblem {
    match result {
        Err(CodeError::Problem(problem)) => problem,
        other => panic!("not refused: {other:?}"),
    }
}

async fn assert_exact(db: &PgPool) {
    let report = audit(db, None).await.expect("an audit");
    assert!(report.differences.is_empty(), "{:?}", report.differences);
}

#[sqlx::test]
async fn a_redeemed_code_is_a_grant_that_says_where_it_came_from(db: PgPool) {
    let (ada, acme) = (member(&db, "ada").await, supplier(&db, "acme").await);
    let scope = Scope { supplier_ids: vec![acme.0], model_ids: vec!["acme/large".into()] };
    let worth = Worth::Tokens { tokens: Tokens(500), valid_for: TimeDelta::days(30), scope };
    let batch = make(&db, NewCodes { worth, ..worth_tokens() }).await;
    let grant_id = redeem_plain(&db, &ada, &batch.codes[0].1).await.expect("redeemed");
    assert_eq!(standing_of(&db, ada.account_id()).await.expect("a standing").balance, Tokens(500));
    let grant = grants_of(&db, ada.account_id()).await.expect("grants").remove(0);
    assert_eq!((grant.grant_id, grant.source, grant.note.as_deref()), (grant_id, GrantSource::Code, Some("Welcome")));
    assert_eq!((grant.scope_suppliers, grant.scope_models), (vec!["acme".to_string()], vec!["acme/large".to_string()]));
    let days = (grant.expires_at - Utc::now()).num_hours();
    assert_eq!(days, 30 * 24 - 1, "30 days less a moment");
    let entry = statement_of(&db, &ada, EntryFilter::default()).await.expect("a statement").entries.remove(0);
    assert_eq!((entry.movement, entry.tokens), (Movement::Redeemed, Tokens(500)));
    assert_eq!(entry.cause, Cause::Code { note: Some("Welcome".into()) });
    let (row, uses) = code(&db, batch.codes[0].0).await.expect("the code");
    assert_eq!((row.used, row.status.as_str(), uses.len(), uses[0].email.as_str()), (1, "used_up", 1, "ada@example.com"));
    assert_exact(&db).await;
    sqlx::query("UPDATE codes SET used = 0").execute(&db).await.expect("forged");
    let found = audit(&db, None).await.expect("an audit").differences;
    assert_eq!(found.iter().map(|difference| difference.what.as_str()).collect::<Vec<_>>(), ["used"]);
}

#[sqlx::test]
async fn a_code_that_is_worth_nothing_here_is_refused_and_says_why(db: PgPool) {
    let (ada, bob) = (member(&db, "ada").await, member(&db, "bob").await);
    let one = async |new: NewCodes| make(&db, new).await.codes.remove(0);
    let used_up = one(worth_tokens()).await;
    redeem_plain(&db, &bob, &used_up.1).await.expect("redeemed");
    let used_by_ada = one(NewCodes { uses: 5, ..worth_tokens() }).await;
    redeem_plain(&db, &ada, &used_by_ada.1).await.expect("redeemed");
    let expired = one(NewCodes { expires_at: Some(Utc::now() + TimeDelta::hours(1)), ..worth_tokens() }).await;
    sqlx::raw_sql("ALTER TABLE codes DISABLE TRIGGER codes_keep_their_terms").execute(&db).await.expect("time may pass");
    sqlx::query!("UPDATE codes SET expires_at = now() WHERE code_id = $1", expired.0.0).execute(&db).await.expect("it passes");
    let disabled = one(worth_tokens()).await;
    disable_code(&db, Operator::command_line(), disabled.0, "leaked").await.expect("disabled");
    let off = Worth::Off { off: Off::Percent(20), currency: None, package_ids: Vec::new() };
    let promotion = one(NewCodes { worth: off, ..worth_tokens() }).await;
    for (code, expected) in [
        (&PlainCode::generate(), CodeProblem::Unknown),
        (&used_up.1, CodeProblem::UsedUp),
        (&used_by_ada.1, CodeProblem::AlreadyUsed),
        (&expired.1, CodeProblem::Expired),
        (&disabled.1, CodeProblem::Disabled),
        (&promotion.1, CodeProblem::TakesOffAPrice),
    ] {
        assert_eq!(problem(redeem_plain(&db, &ada, code).await), expected);
    }
    assert_eq!(standing_of(&db, ada.account_id()).await.expect("a standing").balance, Tokens(500));
    let states: Vec<(i32, String)> = codes(&db, None).await.expect("codes").into_iter().map(|row| (row.used, row.status)).collect();
    let expected = [(0, "active"), (0, "disabled"), (0, "expired"), (1, "active"), (1, "used_up")];
    assert_eq!(states, expected.map(|(used, status)| (used, status.to_string())), "what was refused used nothing");
    assert_exact(&db).await;
}

#[sqlx::test]
async fn many_at_once_use_a_code_as_often_as_it_may_be(db: PgPool) {
    let batch = make(&db, NewCodes { uses: 5, ..worth_tokens() }).await;
    let mut members = Vec::new();
    for n in 0..12 {
        members.push(member(&db, &format!("customer{n}")).await);
    }
    let results = join_all(members.iter().map(|member| redeem_plain(&db, member, &batch.codes[0].1))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 5);
    assert!(results.into_iter().filter(Result::is_err).all(|result| problem(result) == CodeProblem::UsedUp));
    let other = make(&db, NewCodes { uses: 5, ..worth_tokens() }).await;
    let results = join_all((0..6).map(|_| redeem_plain(&db, &members[0], &other.codes[0].1))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "once an account");
    assert_exact(&db).await;
}

#[sqlx::test]
async fn the_tables_refuse_a_use_too_many_whoever_writes_it(db: PgPool) {
    let ada = member(&db, "ada").await;
    let batch = make(&db, NewCodes { uses: 5, ..worth_tokens() }).await;
    redeem_plain(&db, &ada, &batch.codes[0].1).await.expect("redeemed");
    let again = "INSERT INTO code_redemptions (redemption_id, code_id, account_id, user_id)
                 SELECT gen_random_uuid(), code_id, account_id, user_id FROM code_redemptions";
    for (sql, constraint) in [
        ("UPDATE codes SET used = uses + 1", "codes_used_check"),
        ("UPDATE codes SET used = -1", "codes_used_check"),
        (again, "code_redemptions_pkey"),
    ] {
        let refused = sqlx::query(sql).execute(&db).await.expect_err(sql);
        assert_eq!(refused.as_database_error().and_then(|error| error.constraint()), Some(constraint), "{sql}");
    }
    assert_exact(&db).await;
}

#[sqlx::test]
async fn failed_tries_are_counted_per_account_and_end_for_an_hour(db: PgPool) {
    let (ada, bob) = (member(&db, "ada").await, member(&db, "bob").await);
    let good = make(&db, NewCodes { count: 2, uses: 2, ..worth_tokens() }).await;
    redeem_plain(&db, &ada, &good.codes[0].1).await.expect("what worked is no failed try");
    let guesses = join_all((0..TRIES_MOST + 5).map(|_| async { redeem_plain(&db, &ada, &PlainCode::generate()).await })).await;
    let refused = guesses.iter().filter(|guess| matches!(guess, Err(CodeError::Problem(CodeProblem::Unknown)))).count();
    assert_eq!(refused as i64, TRIES_MOST, "also when they come at once");
    let waits = redeem_plain(&db, &ada, &good.codes[1].1).await;
    assert!(matches!(waits, Err(CodeError::TooManyTries { wait_s: 3_500..=3_600 })), "{waits:?}");
    redeem_plain(&db, &bob, &good.codes[1].1).await.expect("nobody else has to wait");
    sqlx::query!("UPDATE code_tries SET at = at - interval '1 hour'").execute(&db).await.expect("time passes");
    redeem_plain(&db, &ada, &good.codes[1].1).await.expect("an hour later");
    assert_exact(&db).await;
}

#[sqlx::test]
async fn a_batch_and_its_deed_are_one_and_no_row_holds_a_code(db: PgPool) {
    let batch = make(&db, NewCodes { count: 300, ..worth_tokens() }).await;
    let rows = codes(&db, Some(batch.batch_id)).await.expect("codes");
    assert_eq!((rows.len(), rows[0].reason.as_deref(), rows[0].status.as_str()), (300, Some("spring"), "active"));
    let text: String = sqlx::query_scalar!(
        r#"SELECT (SELECT string_agg(c::text, '') FROM codes c) || (SELECT string_agg(a::text, '') FROM operator_actions a) AS "text!""#
    )
    .fetch_one(&db)
    .await
    .expect("all text");
    for (_, code) in &batch.codes {
        assert!(!text.contains(&code.expose()) && !text.contains(&code.expose().replace('-', "")));
    }
    let deeds = async || sqlx::query_scalar!("SELECT action FROM operator_actions ORDER BY action_id").fetch_all(&db).await.expect("deeds");
    for _ in 0..2 {
        disable_code(&db, Operator::command_line(), batch.codes[0].0, "leaked").await.expect("disabled");
    }
    assert_eq!(deeds().await, ["code.create", "code.disable"]);
    let late = Some(Utc::now() - TimeDelta::seconds(1));
    let off = |off| Worth::Off { off, currency: Some("usd".into()), package_ids: Vec::new() };
    for new in [
        NewCodes { count: 0, ..worth_tokens() },
        NewCodes { count: 10_001, ..worth_tokens() },
        NewCodes { uses: 0, ..worth_tokens() },
        NewCodes { expires_at: late, ..worth_tokens() },
        NewCodes { note: Some(String::new()), ..worth_tokens() },
        NewCodes { worth: off(Off::Percent(100)), ..worth_tokens() },
        NewCodes { worth: off(Off::AmountMinor(0)), ..worth_tokens() },
    ] {
        let refused = insert_codes(&db, Operator::command_line(), &pepper(), &new, "never").await;
        assert!(matches!(refused, Err(CodeError::OutOfRange)), "{new:?}");
    }
    assert_eq!(deeds().await.len(), 2, "a refused batch leaves no deed");
    let changed = sqlx::query!("UPDATE codes SET tokens = 501").execute(&db).await;
    assert!(changed.is_err_and(|error| error.to_string().contains("what a code is worth cannot change")));
}

#[sqlx::test]
async fn a_suspended_account_redeems_nothing(db: PgPool) {
    let ada = member(&db, "ada").await;
    let batch = make(&db, worth_tokens()).await;
    sqlx::query!("UPDATE accounts SET suspended_at = now()").execute(&db).await.expect("suspended");
    assert!(matches!(redeem_plain(&db, &ada, &batch.codes[0].1).await, Err(CodeError::AccountSuspended)));
    assert_eq!(codes(&db, None).await.expect("codes")[0].used, 0);
}
