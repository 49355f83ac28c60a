//! A clean history audits clean; each check catches the corruption it is there for.

use super::*;
use crate::ids::RequestId;
use crate::keys::store::NewKey;
use crate::operators::credit::credit_account;
use crate::operators::rights::Operator;
use crate::suppliers::store::{NewModel, insert_model};
use crate::tokens::Tokens;
use crate::wallet::fixtures;
use crate::wallet::ledger::{self, Admission, Price, Settlement};
use chrono::{TimeDelta, Utc};

/// One account with an order, an expired credit, a settled call and a call in flight.
struct History {
    db: PgPool,
    account_id: AccountId,
    running: RequestId,
}

async fn history(db: PgPool) -> History {
    let ada = fixtures::member(&db, "ada").await;
    fixtures::supplier(&db, "acme").await;
    let model = NewModel {
        model_id: "acme/m".into(),
        supplier_slug: "acme".into(),
        upstream_id: "m".into(),
        context_tokens: 1000,
        max_output_tokens: 100,
        input_kinds: vec!["text".into()],
        output_kinds: vec!["text".into()],
        price: Price { input_ppm: 1_000_000, cached_ppm: 1_000_000, output_ppm: 1_000_000 },
    };
    insert_model(&db, Operator::command_line(), model).await.expect("model");
    let (_, secret) = fixtures::key(&db, &ada, NewKey { quota: Some(Tokens(500)), ..fixtures::plain_key("k") }).await;
    fixtures::bought(&db, &ada, "P", 1000).await;
    never_paid(&db).await;
    expired_credit(&db, ada.account_id()).await;

    let settled = fixtures::admit(&db, &secret, "acme/m", 50, 100).await;
    settle(&db, &settled, 70).await;
    let running = fixtures::admit(&db, &secret, "acme/m", 50, 100).await;
    History { db, account_id: ada.account_id(), running: running.request_id }
}

/// Another order like the one there is, which was never paid.
async fn never_paid(db: &PgPool) {
    sqlx::query(
        "INSERT INTO orders (order_id, account_id, user_id, package_id, package_name, tokens, price_minor, currency, valid_for_s,
                             scope_supplier_ids, scope_model_ids, form_key, provider, provider_session_id, checkout_url)
         SELECT gen_random_uuid(), account_id, user_id, package_id, package_name, tokens, price_minor, currency, valid_for_s,
                scope_supplier_ids, scope_model_ids, gen_random_uuid(), provider, gen_random_uuid()::text, checkout_url
           FROM orders",
    )
    .execute(db)
    .await
    .expect("order");
}

async fn expired_credit(db: &PgPool, account_id: AccountId) {
    let grant_id =
        credit_account(db, Operator::command_line(), account_id, Tokens(40), TimeDelta::days(1), &[], None).await.expect("credit");
    sqlx::query!(
        "UPDATE grants SET starts_at = now() - interval '2 days', expires_at = now() - interval '1 day' WHERE grant_id = $1",
        grant_id.0
    )
    .execute(db)
    .await
    .expect("age");
    assert_eq!(ledger::sweep_expired_grants(db, 10).await.expect("sweep"), 1);
}

async fn settle(db: &PgPool, call: &Admission, charge: i64) {
    let used = fixtures::Used { input: charge, cached: 0, output: 0 };
    let settlement = Settlement { charge: Tokens(charge), ..fixtures::settlement(call, used, Utc::now()) };
    ledger::settle_calls(db, &[settlement]).await.expect("settle");
}

impl History {
    /// Takes the guards of the schema away and runs `sql`, as a bug or a hand in the database would.
    async fn corrupt(&self, sql: &'static str) {
        for guard in [
            "ALTER TABLE grants DROP CONSTRAINT grants_adds_up_check, DROP CONSTRAINT grants_order_id_key",
            "ALTER TABLE grants DROP CONSTRAINT grants_books_check",
            "ALTER TABLE api_keys DROP CONSTRAINT api_keys_within_quota_check",
            "ALTER TABLE orders DROP CONSTRAINT orders_fulfilled_check",
            "ALTER TABLE ledger DISABLE TRIGGER USER",
            "ALTER TABLE usage_records DISABLE TRIGGER USER",
            "ALTER TABLE orders DISABLE TRIGGER USER",
        ] {
            sqlx::raw_sql(guard).execute(&self.db).await.expect("guard");
        }
        let changed = sqlx::raw_sql(sql).execute(&self.db).await.expect("corruption").rows_affected();
        assert!(changed > 0, "nothing was corrupted by {sql}");
    }

    /// What is found, and that it is found for the account alone as well.
    async fn found(&self) -> Vec<(String, i64, i64)> {
        let whole = audit(&self.db, None).await.expect("audit").differences;
        let own = audit(&self.db, Some(self.account_id)).await.expect("audit").differences;
        assert_eq!(whole, own);
        whole
            .into_iter()
            .map(|d| (format!("{} {}", d.subject.split(' ').next().unwrap_or_default(), d.what), d.expected, d.found))
            .collect()
    }
}

fn difference(what: &str, expected: i64, found: i64) -> (String, i64, i64) {
    (what.to_string(), expected, found)
}

#[sqlx::test]
async fn a_clean_history_has_no_differences(db: PgPool) {
    let history = history(db).await;
    fixtures::member(&history.db, "bob").await;
    let report = audit(&history.db, None).await.expect("audit");
    let expected = AuditReport { accounts: 2, grants: 2, ledger_entries: 4, usage_records: 1, differences: vec![] };
    assert_eq!(report, expected);
    let report = audit(&history.db, Some(history.account_id)).await.expect("audit");
    assert_eq!(report, AuditReport { accounts: 1, ..expected });
}

#[sqlx::test]
async fn another_accounts_corruption_is_not_ours(db: PgPool) {
    let history = history(db).await;
    history.corrupt("UPDATE grants SET spent = spent + 1, left_ = left_ - 1 WHERE source = 'order'").await;
    let bob = fixtures::member(&history.db, "bob").await;
    assert_eq!(audit(&history.db, Some(bob.account_id())).await.expect("audit").differences, vec![]);
    assert_eq!(audit(&history.db, None).await.expect("audit").differences.len(), 2);
}

#[sqlx::test]
async fn a_grant_that_says_more_was_spent_is_found(db: PgPool) {
    let history = history(db).await;
    history.corrupt("UPDATE grants SET spent = spent + 1, left_ = left_ - 1 WHERE source = 'order'").await;
    assert_eq!(history.found().await, [difference("grant spent", 70, 71), difference("grant left", 780, 779)]);
}

#[sqlx::test]
async fn a_grant_that_says_more_was_issued_is_found(db: PgPool) {
    let history = history(db).await;
    history.corrupt("UPDATE grants SET tokens = tokens + 5 WHERE source = 'credit'").await;
    assert_eq!(history.found().await, [difference("grant granted", 40, 45)]);
}

#[sqlx::test]
async fn a_grant_that_says_other_expiry_or_refund_is_found(db: PgPool) {
    let history = history(db).await;
    history.corrupt("UPDATE grants SET expired = 30, refunded = 10 WHERE source = 'credit'").await;
    assert_eq!(history.found().await, [difference("grant expired", 40, 30), difference("grant refunded", 0, 10)]);
}

#[sqlx::test]
async fn tokens_out_of_nothing_are_found(db: PgPool) {
    let history = history(db).await;
    history.corrupt("UPDATE grants SET left_ = left_ + 1000 WHERE source = 'order'").await;
    assert_eq!(history.found().await, [difference("grant left", 780, 1780)]);
}

#[sqlx::test]
async fn a_deleted_entry_is_found(db: PgPool) {
    let history = history(db).await;
    history.corrupt("DELETE FROM ledger WHERE to_book = 'expired'").await;
    assert_eq!(history.found().await, [difference("grant expired", 0, 40), difference("grant left", 40, 0)]);
}

#[sqlx::test]
async fn an_entry_of_another_account_is_found(db: PgPool) {
    let history = history(db).await;
    history.corrupt("UPDATE ledger SET account_id = gen_random_uuid() WHERE to_book = 'expired'").await;
    assert_eq!(history.found().await, [difference("grant entries of another account", 0, 1)]);
}

#[sqlx::test]
async fn a_hold_of_a_grant_that_no_call_has_is_found(db: PgPool) {
    let history = history(db).await;
    history.corrupt("UPDATE grants SET held = held + 7, left_ = left_ - 7 WHERE source = 'order'").await;
    assert_eq!(history.found().await, [difference("grant held", 150, 157)]);
}

#[sqlx::test]
async fn a_vanished_hold_is_found(db: PgPool) {
    let history = history(db).await;
    history.corrupt("DELETE FROM holds").await;
    let found = [difference("grant held", 0, 150), difference("key held", 0, 150), difference("key running calls", 0, 1)];
    assert_eq!(history.found().await, found);
}

#[sqlx::test]
async fn a_hold_that_is_not_its_lines_is_found(db: PgPool) {
    let history = history(db).await;
    history.corrupt("UPDATE holds SET tokens = tokens + 1").await;
    assert_eq!(history.found().await, [difference("hold held", 150, 151), difference("key held", 151, 150)]);
}

#[sqlx::test]
async fn a_key_that_says_other_spending_is_found(db: PgPool) {
    let history = history(db).await;
    history.corrupt("UPDATE api_keys SET spent = 60").await;
    assert_eq!(history.found().await, [difference("key spent", 70, 60)]);
}

#[sqlx::test]
async fn a_key_beyond_its_quota_is_found(db: PgPool) {
    let history = history(db).await;
    history.corrupt("UPDATE api_keys SET quota = 200").await;
    assert_eq!(history.found().await, [difference("key spent and held beyond the quota of 200", 0, 20)]);
}

#[sqlx::test]
async fn a_charge_that_is_not_its_entries_is_found(db: PgPool) {
    let history = history(db).await;
    history.corrupt("UPDATE usage_records SET charge = 71; UPDATE api_keys SET spent = 71").await;
    let mut expected = vec![difference("call charge", 70, 71), difference("call charged and written off", 70, 71)];
    expected.extend([difference("day charge", 71, 70), difference("hour charge", 71, 70)]);
    assert_eq!(history.found().await, expected);
}

#[sqlx::test]
async fn spending_without_a_usage_record_is_found(db: PgPool) {
    let history = history(db).await;
    history.corrupt("DELETE FROM usage_records; DELETE FROM usage_totals; UPDATE api_keys SET spent = 0").await;
    assert_eq!(history.found().await, [difference("call spent without a usage record", 0, 70)]);
}

#[sqlx::test]
async fn totals_that_are_not_what_the_calls_add_up_to_are_found(db: PgPool) {
    let history = history(db).await;
    history.corrupt("UPDATE usage_totals SET calls = calls + 1, output_tokens = output_tokens + 3 WHERE unit = 'day'").await;
    assert_eq!(history.found().await, [difference("day calls", 1, 2), difference("day output", 0, 3)]);
}

#[sqlx::test]
async fn calls_without_their_totals_are_found(db: PgPool) {
    let history = history(db).await;
    history.corrupt("DELETE FROM usage_totals WHERE unit = 'day'").await;
    let missing = [difference("day calls", 1, 0), difference("day charge", 70, 0), difference("day input", 70, 0)];
    assert_eq!(history.found().await, missing);
}

#[sqlx::test]
async fn a_paid_order_without_its_grant_is_found(db: PgPool) {
    let history = history(db).await;
    history.corrupt("UPDATE orders SET status = 'fulfilled' WHERE status = 'created'").await;
    assert_eq!(history.found().await, [difference("order grants", 1, 0), difference("order granted", 1000, 0)]);
}

#[sqlx::test]
async fn an_order_granted_twice_is_found(db: PgPool) {
    let history = history(db).await;
    history
        .corrupt(
            "INSERT INTO grants (grant_id, account_id, source, order_id, tokens, left_, expires_at)
             SELECT gen_random_uuid(), account_id, 'order', order_id, 1000, 1000, expires_at FROM grants WHERE source = 'order';
             INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, order_id)
             SELECT account_id, grant_id, 'issued', 'grant', tokens, order_id FROM grants WHERE left_ = 1000",
        )
        .await;
    assert_eq!(history.found().await, [difference("order grants", 1, 2), difference("order granted", 1000, 2000)]);
}

#[sqlx::test]
async fn an_unpaid_order_with_a_grant_is_found(db: PgPool) {
    let history = history(db).await;
    history.corrupt("UPDATE orders SET status = 'created' WHERE status = 'fulfilled'").await;
    assert_eq!(history.found().await, [difference("order grants", 0, 1), difference("order granted", 0, 1000)]);
}

#[sqlx::test]
async fn a_settled_call_that_still_holds_is_found(db: PgPool) {
    let history = history(db).await;
    let insert = sqlx::query!(
        "INSERT INTO usage_records SELECT $1, account_id, key_id, model_id, supplier_id, channel_id, price_version, endpoint, streamed,
                outcome, basis, http_status, 0, 0, 0, held, 0, 0, NULL, now(), NULL, 1, now() FROM usage_records",
        history.running.0
    );
    insert.execute(&history.db).await.expect("corruption");
    assert_eq!(history.found().await, [difference("call settled, and still holding", 0, 150)]);
}

#[path = "audit/causes_tests.rs"]
mod of_causes;
