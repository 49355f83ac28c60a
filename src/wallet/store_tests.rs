//! Tests of the wallet's reads: totals that add up at awkward moments, grants in burn order, the statement's running sum.

use super::*;
use crate::ids::RequestId;
use crate::wallet::filter::EntryFilter;
use crate::wallet::fixtures::{self, Used, plain_key};
use crate::wallet::ledger::{self, Scope};
use crate::wallet::store::statement::{PAGE, next_entries, statement_of};
use crate::wallet::types::{Cause, EntryView, Movement, Which};
use chrono::TimeDelta;
use sqlx::PgPool;
use std::time::Duration;

async fn totals_of(db: &PgPool, account_id: AccountId) -> AccountTotals {
    totals_in(&grants_of(db, account_id).await.expect("grants"))
}

fn added_up(totals: AccountTotals) -> Tokens {
    Tokens(totals.spent.0 + totals.held.0 + totals.left.0 + totals.expired.0 + totals.refunded.0)
}

#[sqlx::test]
async fn totals_add_up_with_an_expired_unswept_grant_and_a_held_call(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let account_id = ada.account_id();
    assert_eq!(totals_of(&db, account_id).await, AccountTotals::default());
    let supplier_id = fixtures::supplier(&db, "alpha").await;
    fixtures::model(&db, "alpha/one", supplier_id).await;
    let (_, secret) = fixtures::key(&db, &ada, plain_key("bot")).await;

    fixtures::credit(&db, account_id, 100, TimeDelta::milliseconds(1_500)).await;
    fixtures::credit(&db, account_id, 1_000, TimeDelta::days(1)).await;
    let done = fixtures::admit(&db, &secret, "alpha/one", 10, 10).await;
    fixtures::settle(&db, &done, Used { input: 10, cached: 0, output: 5 }, Utc::now()).await;
    let held = fixtures::admit(&db, &secret, "alpha/one", 20, 10).await;
    tokio::time::sleep(Duration::from_millis(1_600)).await;

    // The first grant paid 20, holds 40 and is over: its other 40 are expired before anybody wrote it.
    let totals = totals_of(&db, account_id).await;
    let expected = AccountTotals {
        granted: Tokens(1_100),
        spent: Tokens(20),
        held: Tokens(40),
        left: Tokens(1_000),
        expired: Tokens(40),
        refunded: Tokens(0),
    };
    assert_eq!(totals, expected);
    assert_eq!(added_up(totals), totals.granted);
    assert_eq!(standing_of(&db, account_id).await.expect("a standing").balance, Tokens(1_000));
    let grants = grants_of(&db, account_id).await.expect("grants");
    assert_eq!(balance_in(&grants), Tokens(1_000));
    let over = grants.last().expect("the first grant");
    assert_eq!((over.left, over.held, over.expired, over.live), (Tokens(0), Tokens(40), Tokens(40), false));
    assert_eq!(with_turns(grants).last().map(|grant| grant.turn), Some(GrantTurn::Expired));

    // The sweep changes nothing that was said.
    ledger::sweep_expired_grants(&db, 10).await.expect("swept");
    assert_eq!(totals_of(&db, account_id).await, expected);

    // What a call gives back to a grant whose time is over expires with it.
    fixtures::settle(&db, &held, Used { input: 20, cached: 0, output: 0 }, Utc::now()).await;
    let totals = totals_of(&db, account_id).await;
    assert_eq!((totals.spent, totals.held, totals.expired), (Tokens(40), Tokens(0), Tokens(60)));
    assert_eq!(added_up(totals), totals.granted);
}

#[sqlx::test]
async fn wallets_of_others_are_not_counted(db: PgPool) {
    let (ada, eve) = (fixtures::member(&db, "ada").await, fixtures::member(&db, "eve").await);
    fixtures::credit(&db, ada.account_id(), 100, TimeDelta::days(1)).await;
    assert_eq!(standing_of(&db, eve.account_id()).await.expect("a standing").balance, Tokens(0));
    assert_eq!(totals_of(&db, eve.account_id()).await, AccountTotals::default());
    assert!(grants_of(&db, eve.account_id()).await.expect("grants").is_empty());
    assert!(statement_of(&db, &eve, EntryFilter::default()).await.expect("statement").entries.is_empty());
}

#[sqlx::test]
async fn a_wallet_that_is_low_and_ends_soon_says_both(db: PgPool) {
    let account_id = fixtures::member(&db, "ada").await.account_id();
    let warnings = async || standing_of(&db, account_id).await.expect("a standing").warnings;
    let edit = async |sql: &'static str| {
        sqlx::query(sql).execute(&db).await.expect(sql);
    };
    assert!(warnings().await.is_empty(), "nothing was ever in it");
    fixtures::credit(&db, account_id, 1_000, TimeDelta::days(30)).await;
    assert!(warnings().await.is_empty());
    edit("UPDATE grants SET left_ = 100, expired = 900").await;
    assert!(matches!(warnings().await.as_slice(), [Warning::Low(Tokens(100))]));
    edit("UPDATE grants SET starts_at = now() - interval '29 days', expires_at = now() + interval '1 day'").await;
    assert!(matches!(warnings().await.as_slice(), [Warning::Low(Tokens(100)), Warning::EndsSoon(Tokens(100), _)]));
    edit("UPDATE grants SET left_ = 1000, expired = 0").await;
    assert!(matches!(warnings().await.as_slice(), [Warning::EndsSoon(Tokens(1_000), _)]));
    edit("UPDATE grants SET left_ = 0, expired = 1000").await;
    assert!(matches!(warnings().await.as_slice(), [Warning::Empty]));
}

#[sqlx::test]
async fn grants_come_in_burn_order_and_the_first_that_can_pay_is_next(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let account_id = ada.account_id();
    let alpha = fixtures::supplier(&db, "alpha").await;
    let scope = Scope { supplier_ids: vec![alpha.0], model_ids: vec!["alpha/one".into()] };
    let late = fixtures::credit(&db, account_id, 10, TimeDelta::days(9)).await;
    let soon = fixtures::credit(&db, account_id, 10, TimeDelta::days(1)).await;
    let scoped = fixtures::credit_scoped(&db, account_id, 10, TimeDelta::days(20), scope).await;
    let over = fixtures::credit(&db, account_id, 10, TimeDelta::milliseconds(1)).await;
    tokio::time::sleep(Duration::from_millis(5)).await;

    let rows = grants_of(&db, account_id).await.expect("grants");
    assert_eq!(rows.iter().map(|row| row.grant_id).collect::<Vec<_>>(), [scoped, soon, late, over]);
    assert_eq!((rows[0].scope_suppliers.clone(), rows[0].scope_models.clone()), (vec!["alpha".to_string()], vec!["alpha/one".to_string()]));
    let turns: Vec<_> = with_turns(rows).into_iter().map(|grant| grant.turn).collect();
    assert_eq!(turns, [GrantTurn::PaysNextInScope, GrantTurn::PaysNext, GrantTurn::Waiting, GrantTurn::Expired]);
}

#[sqlx::test]
async fn statement_pages_are_whole_and_their_sums_run_through(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let supplier_id = fixtures::supplier(&db, "alpha").await;
    fixtures::model(&db, "alpha/one", supplier_id).await;
    let (_, secret) = fixtures::key(&db, &ada, plain_key("bot")).await;
    fixtures::credit(&db, ada.account_id(), 10_000, TimeDelta::days(1)).await;
    let mut last = RequestId::generate();
    for _ in 0..PAGE {
        let call = fixtures::admit(&db, &secret, "alpha/one", 10, 10).await;
        fixtures::settle(&db, &call, Used { input: 10, cached: 4, output: 1 }, Utc::now()).await;
        last = call.request_id;
    }
    // Held Tokens are still in the wallet.
    fixtures::admit(&db, &secret, "alpha/one", 10, 10).await;

    let newest = statement_of(&db, &ada, EntryFilter::default()).await.expect("a page");
    assert_eq!(newest.entries.len() as i64, PAGE);
    let first = newest.entries.first().expect("an entry");
    assert_eq!((first.movement, first.tokens, first.after), (Movement::Spent, Tokens(-10), Some(Tokens(10_000 - 10 * PAGE))));
    assert_eq!(first.cause, Cause::Call { request_id: last, model_id: "alpha/one".into(), key_name: "bot".into() });

    let oldest = statement_of(&db, &ada, EntryFilter { before: newest.older, ..EntryFilter::default() }).await.expect("a page");
    assert_eq!(oldest.older, None);
    let entry = oldest.entries.first().expect("the credit");
    assert_eq!((entry.movement, entry.tokens, entry.after), (Movement::Credited, Tokens(10_000), Some(Tokens(10_000))));
    let entries: Vec<_> = newest.entries.iter().chain(&oldest.entries).collect();
    assert_eq!(entries.len() as i64, PAGE + 1);
    for pair in entries.windows(2) {
        assert_eq!(pair[0].after, pair[1].after.map(|after| Tokens(after.0 + pair[0].tokens.0)));
    }

    let of = async |which| -> Vec<(Movement, Option<Tokens>)> {
        let entries = statement_of(&db, &ada, EntryFilter { which, ..EntryFilter::default() }).await.expect("a page").entries;
        entries.into_iter().map(|entry| (entry.movement, entry.after)).collect()
    };
    assert_eq!(of(Which::Others).await, [(Movement::Credited, None)]);
    assert_eq!(of(Which::Calls).await, vec![(Movement::Spent, None); PAGE as usize]);
}

#[sqlx::test]
async fn the_file_of_the_ledger_adds_up_to_the_wallet(db: PgPool) {
    use futures::TryStreamExt;
    let ada = fixtures::member(&db, "ada").await;
    let supplier_id = fixtures::supplier(&db, "alpha").await;
    fixtures::model(&db, "alpha/one", supplier_id).await;
    let (_, secret) = fixtures::key(&db, &ada, plain_key("bot")).await;
    fixtures::credit(&db, ada.account_id(), 10_000, TimeDelta::days(1)).await;
    for _ in 0..3 {
        let call = fixtures::admit(&db, &secret, "alpha/one", 10, 10).await;
        fixtures::settle(&db, &call, Used { input: 10, cached: 4, output: 1 }, Utc::now()).await;
    }
    let file = async |which| -> String {
        let filter = EntryFilter { which, ..EntryFilter::default() };
        crate::wallet::export::csv(db.clone().into(), ada.account_id(), filter).try_collect().await.expect("a file")
    };
    let text = file(Which::All).await;
    let mut lines = csv::Reader::from_reader(text.as_bytes());
    let numbers = lines.records().map(|line| {
        let line = line.expect("a line");
        (line[3].parse::<i64>().expect("Tokens"), line[4].parse::<i64>().expect("a balance"))
    });
    let numbers: Vec<_> = numbers.collect();
    assert_eq!(numbers, [(-10, 9_970), (-10, 9_980), (-10, 9_990), (10_000, 10_000)]);
    assert_eq!(totals_of(&db, ada.account_id()).await.left, Tokens(9_970));
    assert_eq!((file(Which::Others).await.lines().count(), file(Which::Calls).await.lines().count()), (1 + 1, 1 + 3));
    assert!(file(Which::Others).await.contains(",credited,10000,,"), "calls are left out, so nothing is said of what was there after");
}

#[sqlx::test]
async fn days_of_the_ledger_say_what_was_in_the_wallet_as_all_of_it_does(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let account_id = ada.account_id();
    let supplier_id = fixtures::supplier(&db, "alpha").await;
    fixtures::model(&db, "alpha/one", supplier_id).await;
    let (_, secret) = fixtures::key(&db, &ada, plain_key("bot")).await;
    let grant_id = fixtures::credit(&db, account_id, 10_000, TimeDelta::days(1)).await;
    let spend = async || {
        let call = fixtures::admit(&db, &secret, "alpha/one", 10, 10).await;
        fixtures::settle(&db, &call, Used { input: 10, cached: 4, output: 1 }, Utc::now()).await;
    };
    spend().await;
    spend().await;
    // Written after them by a transaction that began before.
    let late = "INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, at)
                SELECT account_id, grant_id, 'grant', 'expired', 5, min(at) FROM ledger WHERE grant_id = $1 GROUP BY 1, 2";
    sqlx::query(late).bind(grant_id.0).execute(&db).await.expect("an entry");
    let late = "UPDATE grants SET left_ = left_ - 5, expired = expired + 5 WHERE grant_id = $1";
    sqlx::query(late).bind(grant_id.0).execute(&db).await.expect("the grant");
    spend().await;
    let at: Vec<DateTime<Utc>> =
        sqlx::query_scalar("SELECT at FROM ledger WHERE to_book = 'spent' ORDER BY at").fetch_all(&db).await.expect("times");
    let shown = |entries: &[EntryView]| entries.iter().map(|entry| (entry.tokens.0, entry.after.expect("said").0)).collect::<Vec<_>>();
    let of = async |since, until| {
        let filter = EntryFilter { since, until, ..EntryFilter::default() };
        shown(&statement_of(&db, &ada, filter).await.expect("a page").entries)
    };
    let all = [(-10, 9_965), (-5, 9_975), (-10, 9_980), (-10, 9_990), (10_000, 10_000)];
    assert_eq!(of(None, None).await, all);
    assert_eq!(of(Some(at[0]), None).await, [all[0], all[2], all[3]]);
    assert_eq!(of(Some(at[0]), Some(at[2])).await, [all[2], all[3]]);
    assert_eq!(of(None, Some(at[0])).await, [all[1], all[4]]);

    // A file is read piece by piece, with calls between.
    let (mut read, filter) = (Vec::<EntryView>::new(), EntryFilter { since: Some(at[0]), ..EntryFilter::default() });
    loop {
        let next = next_entries(&db, account_id, filter, read.last(), 2).await.expect("entries");
        if next.is_empty() {
            break;
        }
        read.extend(next);
        spend().await;
    }
    assert_eq!(shown(&read), [all[0], all[2], all[3]]);
}
