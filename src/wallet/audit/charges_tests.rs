//! Each check of charges and payers catches the corruption it is there for, and bears what may honestly happen.

use crate::accounts::rights::Owner;
use crate::ids::{GrantId, RequestId};
use crate::keys::secret::KeySecret;
use crate::operators::moves::take_back;
use crate::operators::rights::Operator;
use crate::tokens::Tokens;
use crate::wallet::audit::audit;
use crate::wallet::fixtures::{self, Used};
use crate::wallet::ledger::reap_holds;
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

/// Costs 20 at 1 × for input, 0.5 × for cached input and 2 × for output: 19.5, rounded up.
const USED: Used = Used { input: 10, cached: 1, output: 5 };

/// A customer of `acme/m` with a grant that paid for one call, whose hold was 50.
struct Customer {
    db: PgPool,
    owner: Owner,
    secret: KeySecret,
    grant_id: GrantId,
    call: RequestId,
}

async fn customer(db: &PgPool) -> Customer {
    let supplier_id = fixtures::supplier(db, "acme").await;
    fixtures::model(db, "acme/m", supplier_id).await;
    let owner = fixtures::member(db, "ada").await;
    let grant_id = fixtures::credit(db, owner.account_id(), 1_000, TimeDelta::days(30)).await;
    let (_, secret) = fixtures::key(db, &owner, fixtures::plain_key("bot")).await;
    let call = fixtures::admit(db, &secret, "acme/m", 10, 20).await;
    fixtures::settle(db, &call, USED, Utc::now()).await;
    Customer { db: db.clone(), owner, secret, grant_id, call: call.request_id }
}

impl Customer {
    /// Runs `sql` with the guards of the schema away, as a bug or a hand in the database would.
    async fn corrupt(&self, sql: &'static str) {
        for table in ["ALTER TABLE ledger DISABLE TRIGGER USER", "ALTER TABLE usage_records DISABLE TRIGGER USER"] {
            sqlx::raw_sql(table).execute(&self.db).await.expect("guard");
        }
        let changed = sqlx::raw_sql(sql).execute(&self.db).await.expect("corruption").rows_affected();
        assert!(changed > 0, "nothing was corrupted by {sql}");
    }

    /// What is found of its call, in the audit of everything as in the account's own.
    async fn found(&self) -> Vec<(String, i64, i64)> {
        let mut found = Vec::new();
        for account in [None, Some(self.owner.account_id())] {
            let differences = audit(&self.db, account).await.expect("audit").differences.into_iter();
            let subject = format!("call {}", self.call);
            let of_call = differences.filter(|difference| difference.subject == subject);
            found.push(of_call.map(|difference| (difference.what, difference.expected, difference.found)).collect::<Vec<_>>());
        }
        let own = found.pop().expect("two audits");
        assert_eq!(found, std::slice::from_ref(&own));
        own
    }

    async fn is_clean(&self) -> bool {
        audit(&self.db, None).await.expect("audit").differences.is_empty()
    }
}

fn difference(what: &str, expected: i64, found: i64) -> (String, i64, i64) {
    (what.to_string(), expected, found)
}

#[sqlx::test]
async fn a_charge_is_reckoned_from_its_record_and_rounded_up_once(db: PgPool) {
    let customer = customer(&db).await;
    assert!(customer.is_clean().await);
    customer.corrupt("UPDATE usage_records SET cached_tokens = 0").await;
    assert!(customer.found().await.is_empty(), "20 to the Token now, and 19.5 before");
    customer.corrupt("UPDATE usage_records SET input_tokens = 11").await;
    assert_eq!(customer.found().await, [difference("charged and written off", 21, 20)]);
}

#[sqlx::test]
async fn numbers_beyond_all_measure_are_named_and_stop_nothing(db: PgPool) {
    let customer = customer(&db).await;
    customer.corrupt("UPDATE usage_records SET output_tokens = 9000000000000000000").await;
    assert_eq!(customer.found().await, [difference("charged and written off", i64::MAX, 20)]);
}

#[sqlx::test]
async fn a_price_that_there_is_not_is_found(db: PgPool) {
    let customer = customer(&db).await;
    customer.corrupt("UPDATE usage_records SET price_version = 9").await;
    assert_eq!(customer.found().await, [difference("charged at a price that there is not, of version 9", 0, 20)]);
}

#[sqlx::test]
async fn a_charge_beyond_its_hold_is_found_and_one_without_a_hold_is_none(db: PgPool) {
    let customer = customer(&db).await;
    customer.corrupt("UPDATE usage_records SET held = 19").await;
    assert_eq!(customer.found().await, [difference("charged beyond its hold", 19, 20)]);
    customer.corrupt("UPDATE usage_records SET held = 0").await;
    assert!(customer.is_clean().await, "a crash had forgotten it");
}

#[sqlx::test]
async fn what_is_written_off_is_a_part_of_the_price(db: PgPool) {
    let customer = customer(&db).await;
    let call = fixtures::admit(&db, &customer.secret, "acme/m", 10, 20).await;
    fixtures::settle(&db, &call, Used { input: 10, cached: 0, output: 100 }, Utc::now()).await;
    assert!(customer.is_clean().await);
    customer.corrupt("UPDATE usage_records SET written_off = written_off - 1 WHERE written_off > 0").await;
    let found = audit(&db, None).await.expect("audit").differences;
    let found: Vec<_> = found.into_iter().map(|found| (found.what, found.expected, found.found)).collect();
    assert_eq!(found, [difference("charged and written off", 210, 209)]);
}

#[sqlx::test]
async fn another_account_that_pays_is_found(db: PgPool) {
    let customer = customer(&db).await;
    let bob = fixtures::member(&db, "bob").await;
    fixtures::credit(&db, bob.account_id(), 1_000, TimeDelta::days(30)).await;
    customer
        .corrupt(
            "UPDATE ledger l SET account_id = g.account_id, grant_id = g.grant_id
               FROM grants g WHERE l.to_book = 'spent' AND g.account_id <> l.account_id",
        )
        .await;
    for account in [None, Some(bob.account_id())] {
        let found = audit(&db, account).await.expect("audit").differences;
        let paid = found.iter().find(|found| found.what == "paid by another account").expect("found");
        assert_eq!((paid.subject.clone(), paid.expected, paid.found), (format!("call {}", customer.call), 0, 20));
    }
}

#[sqlx::test]
async fn a_grant_that_may_not_pay_for_this_is_found(db: PgPool) {
    let customer = customer(&db).await;
    let something_else = [difference("paid by a grant for something else", 0, 20)];
    customer.corrupt("UPDATE grants SET scoped = true, scope_supplier_ids = ARRAY[gen_random_uuid()]").await;
    assert_eq!(customer.found().await, something_else);
    customer.corrupt("UPDATE grants SET scope_supplier_ids = ARRAY(SELECT supplier_id FROM suppliers)").await;
    assert!(customer.is_clean().await);
    customer.corrupt("UPDATE grants SET scope_model_ids = '{acme/other}'").await;
    assert_eq!(customer.found().await, something_else);
    customer.corrupt("UPDATE grants SET scope_model_ids = '{acme/other,acme/m}'").await;
    assert!(customer.is_clean().await);
}

#[sqlx::test]
async fn a_grant_that_had_not_begun_or_was_over_is_found(db: PgPool) {
    let customer = customer(&db).await;
    let had = |what: &str| [difference(&format!("paid by a grant that had {what}"), 0, 20)];
    customer.corrupt("UPDATE grants SET starts_at = now() + interval '6 minutes'").await;
    assert_eq!(customer.found().await, had("not begun"));
    customer.corrupt("UPDATE grants SET starts_at = now() - interval '2 days', expires_at = now() - interval '6 minutes'").await;
    assert_eq!(customer.found().await, had("expired"));
    // Its replica's clock may be that much ahead.
    customer.corrupt("UPDATE grants SET expires_at = now() - interval '4 minutes'").await;
    assert!(customer.is_clean().await);
}

#[sqlx::test]
async fn a_late_report_may_be_paid_by_what_began_since(db: PgPool) {
    let customer = customer(&db).await;
    let call = fixtures::admit(&db, &customer.secret, "acme/m", 10, 20).await;
    sqlx::query("UPDATE holds SET deadline = now() - interval '1 second'").execute(&db).await.expect("silent");
    assert_eq!(reap_holds(&db, 10).await.expect("reaped"), 1);
    // It began three hours ago, and nothing that ran then has anything left.
    let taken = take_back(&db, Operator::command_line(), customer.grant_id, Tokens(980), Some("a mistake"));
    taken.await.expect("taken back");
    fixtures::credit(&db, customer.owner.account_id(), 500, TimeDelta::days(1)).await;
    fixtures::settle(&db, &call, USED, Utc::now() - TimeDelta::hours(3)).await;
    let paid = sqlx::query_scalar::<_, i64>("SELECT sum(spent)::bigint FROM grants").fetch_one(&db).await.expect("a sum");
    assert_eq!(paid, 40);
    assert!(customer.is_clean().await);
}
