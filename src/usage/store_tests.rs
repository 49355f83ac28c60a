//! Tests of usage reads: rows that add up to the ledger, pages without gaps, filters, and nothing of other accounts.

use super::*;
use crate::accounts::rights::Owner;
use crate::keys::secret::KeySecret;
use crate::wallet::fixtures::{self, Used, plain_key};
use chrono::TimeDelta;

const USED: Used = Used { input: 11, cached: 5, output: 3 };

/// One member with a wallet, a key and a model to call.
async fn caller(db: &PgPool) -> (Owner, KeyId, KeySecret) {
    let ada = fixtures::member(db, "ada").await;
    let supplier_id = fixtures::supplier(db, "alpha").await;
    fixtures::model(db, "alpha/one", supplier_id).await;
    fixtures::model(db, "alpha/two", supplier_id).await;
    fixtures::credit(db, ada.account_id(), 100_000, TimeDelta::days(1)).await;
    let (key_id, secret) = fixtures::key(db, &ada, plain_key("bot")).await;
    (ada, key_id, secret)
}

async fn call(db: &PgPool, secret: &KeySecret, model_id: &str, started_at: DateTime<Utc>) -> RequestId {
    let admission = fixtures::admit(db, secret, model_id, 20, 10).await;
    fixtures::settle(db, &admission, USED, started_at).await;
    admission.request_id
}

#[sqlx::test]
async fn usage_rows_add_up_to_the_ledger_and_recompute(db: PgPool) {
    let (ada, key_id, secret) = caller(&db).await;
    let now = Utc::now();
    for hours in 0..3 {
        call(&db, &secret, "alpha/one", now - TimeDelta::hours(hours)).await;
    }
    let rows = usage_rows(&db, ada.account_id(), None, None).await.expect("rows");
    let spent = sqlx::query_scalar!(r#"SELECT sum(tokens)::bigint AS "spent!" FROM ledger WHERE to_book = 'spent'"#).fetch_one(&db).await;
    assert_eq!(rows.iter().map(|row| row.charge.0).sum::<i64>(), spent.expect("spent"));
    let row = rows.first().expect("a row");
    assert_eq!((row.key_id, row.key_name.as_str(), row.supplier.as_str()), (key_id, "bot", "alpha"));
    assert_eq!((row.outcome, row.basis, row.charge, row.written_off), (CallOutcome::Ok, ChargeBasis::Measured, Tokens(15), Tokens(0)));
    assert!(rows.windows(2).all(|pair| pair[0].started_at > pair[1].started_at));

    let page = calls_of(&db, &ada, &CallFilter::default(), 50).await.expect("a page");
    for call in page.calls {
        assert_eq!(call.cost(), Tokens(call.charge.0 + call.written_off.0));
        assert_eq!(call.drawn.iter().map(|draw| draw.tokens.0).sum::<i64>(), call.charge.0);
    }
}

#[sqlx::test]
async fn usage_rows_are_of_one_account_one_key_and_since_a_moment(db: PgPool) {
    let (ada, key_id, secret) = caller(&db).await;
    let (other_key, other_secret) = fixtures::key(&db, &ada, plain_key("other")).await;
    let eve = fixtures::member(&db, "eve").await;
    let now = Utc::now();
    let old = call(&db, &secret, "alpha/one", now - TimeDelta::days(2)).await;
    let new = call(&db, &secret, "alpha/one", now).await;
    call(&db, &other_secret, "alpha/one", now).await;

    let ids = async |account, key, since| -> Vec<RequestId> {
        usage_rows(&db, account, key, since).await.expect("rows").into_iter().map(|row| row.request_id).collect()
    };
    assert_eq!(ids(ada.account_id(), Some(key_id), None).await, [new, old]);
    assert_eq!(ids(ada.account_id(), Some(key_id), Some(now - TimeDelta::days(1))).await, [new]);
    assert_eq!(ids(ada.account_id(), Some(other_key), None).await.len(), 1);
    assert!(ids(eve.account_id(), None, None).await.is_empty());
    assert!(ids(eve.account_id(), Some(key_id), None).await.is_empty());
}

#[sqlx::test]
async fn calls_of_pages_through_every_call_once_even_at_the_same_moment(db: PgPool) {
    let (ada, _, secret) = caller(&db).await;
    let now = Utc::now();
    let mut made = Vec::new();
    for n in 0..7 {
        made.push(call(&db, &secret, "alpha/one", now - TimeDelta::minutes(n / 3)).await);
    }
    let (mut seen, mut filter) = (Vec::new(), CallFilter::default());
    loop {
        let page = calls_of(&db, &ada, &filter, 2).await.expect("a page");
        assert!((1..=2).contains(&page.calls.len()));
        seen.extend(page.calls.iter().map(|call| call.request_id));
        filter.before = page.older;
        if filter.before.is_none() {
            break;
        }
    }
    made.sort();
    seen.sort();
    assert_eq!(seen, made);
}

#[sqlx::test]
async fn calls_and_totals_follow_the_filter_and_hide_other_accounts(db: PgPool) {
    let (ada, key_id, secret) = caller(&db).await;
    let eve = fixtures::member(&db, "eve").await;
    let now = Utc::now();
    let one = call(&db, &secret, "alpha/one", now).await;
    call(&db, &secret, "alpha/two", now - TimeDelta::days(6)).await;
    call(&db, &secret, "alpha/two", now - TimeDelta::days(29)).await;
    call(&db, &secret, "alpha/two", now - TimeDelta::days(31)).await;

    let everything = CallFilter::default();
    let totals = totals_of(&db, &ada, &everything).await.expect("totals");
    assert_eq!((totals.today.calls, totals.last_7_days.calls, totals.last_30_days.calls), (1, 2, 3));
    assert_eq!(totals.last_30_days, PeriodTotals { calls: 3, input: Tokens(33), output: Tokens(9), charged: Tokens(45) });

    let of_two = CallFilter { model_id: Some("alpha/two".into()), ..CallFilter::default() };
    assert_eq!(totals_of(&db, &ada, &of_two).await.expect("totals").last_30_days.calls, 2);
    assert_eq!(calls_of(&db, &ada, &of_two, 50).await.expect("a page").calls.len(), 3);
    let only_one = CallFilter { call: Some(one), ..CallFilter::default() };
    assert_eq!(calls_of(&db, &ada, &only_one, 50).await.expect("a page").calls.len(), 1);

    let of_the_key = CallFilter { key_id: Some(key_id), ..CallFilter::default() };
    for filter in [everything, only_one, of_the_key] {
        assert!(calls_of(&db, &eve, &filter, 50).await.expect("a page").calls.is_empty());
        assert_eq!(totals_of(&db, &eve, &filter).await.expect("totals"), UsageTotals::default());
    }
    assert!(key_choices(&db, &eve).await.expect("keys").is_empty());
    assert_eq!(key_choices(&db, &ada).await.expect("keys").len(), 1);
}

#[sqlx::test]
async fn a_call_tells_which_grants_it_drew_on_in_order(db: PgPool) {
    let (ada, _, secret) = caller(&db).await;
    let small = fixtures::credit(&db, ada.account_id(), 10, TimeDelta::hours(1)).await;
    let id = call(&db, &secret, "alpha/one", Utc::now()).await;
    let page = calls_of(&db, &ada, &CallFilter { call: Some(id), ..CallFilter::default() }, 1).await.expect("a page");
    let drawn = &page.calls.first().expect("the call").drawn;
    assert_eq!(drawn.iter().map(|draw| draw.tokens).collect::<Vec<_>>(), [Tokens(10), Tokens(5)]);
    assert_eq!((drawn[0].grant_id, drawn[0].source), (small, GrantSource::Credit));
}
