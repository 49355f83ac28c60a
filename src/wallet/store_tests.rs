//! Tests of the wallet's reads: totals that add up at awkward moments, grants in burn order, the statement's running sum.

use super::*;
use crate::accounts::rights::Owner;
use crate::ids::RequestId;
use crate::operators::audit::{Action, insert_action_in};
use crate::operators::rights::Operator;
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
async fn charges_of_the_last_full_days_come_with_the_grants(db: PgPool) {
    let (ada, eve) = (fixtures::member(&db, "ada").await, fixtures::member(&db, "eve").await);
    let supplier_id = fixtures::supplier(&db, "alpha").await;
    fixtures::model(&db, "alpha/one", supplier_id).await;
    for (who, output, days_ago) in [(&ada, 5, 0), (&ada, 7, 1), (&ada, 11, 3), (&ada, 13, 4), (&eve, 100, 1)] {
        fixtures::credit(&db, who.account_id(), 1_000, TimeDelta::days(1)).await;
        let (_, secret) = fixtures::key(&db, who, plain_key("bot")).await;
        let began = Utc::now() - TimeDelta::days(days_ago);
        fixtures::call_at(&db, &secret, "alpha/one", Used { input: 0, cached: 0, output }, began).await;
    }
    let (grants, charges) = grants_and_charges(&db, ada.account_id(), 3).await.expect("grants");
    // Output counts twice.
    assert_eq!((grants.len(), charges), (4, vec![Tokens(22), Tokens(0), Tokens(14)]));
    let nobody = fixtures::member(&db, "bob").await;
    let (grants, charges) = grants_and_charges(&db, nobody.account_id(), 3).await.expect("grants");
    assert_eq!((grants.len(), charges), (0, vec![Tokens(0); 3]));
}

#[sqlx::test]
async fn a_bought_grant_is_called_as_its_package_was_then(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let order_id = fixtures::bought(&db, &ada, "Starter", 10).await;
    fixtures::credit(&db, ada.account_id(), 10, TimeDelta::days(9)).await;
    sqlx::query("UPDATE packages SET name = 'Renamed'").execute(&db).await.expect("renamed");
    let grants = with_turns(grants_of(&db, ada.account_id()).await.expect("grants"));
    let names: Vec<_> = grants.into_iter().map(|grant| (grant.order_id, grant.package_name)).collect();
    assert_eq!(names, [(Some(order_id), Some("Starter".to_string())), (None, None)]);
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

/// A wallet with ten days behind it, a call of one Token each hour. What is no call is as old as its transaction, and some was written long
/// after others of its time; once the clock was set back.
async fn ten_days(db: &PgPool) -> Owner {
    let [ada, bob] = [fixtures::member(db, "ada").await, fixtures::member(db, "bob").await];
    let grant_id = fixtures::credit(db, ada.account_id(), 10_000, TimeDelta::days(1)).await;
    fixtures::credit(db, bob.account_id(), 50, TimeDelta::days(1)).await;
    let mut tx = db.begin().await.expect("begin");
    let action = Action { action: "account.transfer", subject_id: ada.account_id().to_string(), ..Action::default() };
    let action_id = insert_action_in(&mut tx, Operator::command_line(), action).await.expect("an action");
    let given = ledger::transfer_in(&mut tx, bob.account_id(), ada.account_id(), Tokens(50), action_id, None).await;
    assert_eq!(given.expect("given").len(), 1);
    tx.commit().await.expect("commit");
    let calls = "INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, request_id, at)
                 SELECT account_id, grant_id, 'grant', 'spent', 1, gen_random_uuid(), now() - n::bigint * interval '1 minute'
                   FROM grants, unnest($2::bigint[]) WITH ORDINALITY AS minutes (n, place) WHERE grant_id = $1 ORDER BY place";
    let other = "INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, at)
                 SELECT account_id, grant_id, 'grant', 'expired', 3, now() - $2::bigint * interval '1 hour'
                   FROM grants WHERE grant_id = $1";
    for (from, other_before) in [(240_i64, 181_i64), (180, 150), (120, 65), (60, 160)] {
        let minutes: Vec<i64> = (from - 59..=from).rev().map(|hours| hours * 60).collect();
        sqlx::query(calls).bind(grant_id.0).bind(minutes).execute(db).await.expect("calls");
        sqlx::query(other).bind(grant_id.0).bind(other_before).execute(db).await.expect("an entry");
    }
    sqlx::query(calls).bind(grant_id.0).bind(vec![30_i64, 32, 31, 29]).execute(db).await.expect("calls");
    let grants = "UPDATE grants SET left_ = left_ - 256, spent = 244, expired = 12 WHERE grant_id = $1";
    sqlx::query(grants).bind(grant_id.0).execute(db).await.expect("the grant");
    ada
}

/// Every entry, the newest first: its number, its time, whether it is of a call, and what was in the wallet after it.
async fn added_up_anew(db: &PgPool, account_id: AccountId) -> Vec<(i64, DateTime<Utc>, bool, i64)> {
    let all = "SELECT entry_id, at, to_book = 'spent', (sum(moved) OVER (ORDER BY entry_id))::bigint
                 FROM (SELECT entry_id, at, to_book, CASE from_book WHEN 'issued' THEN tokens ELSE -tokens END AS moved
                         FROM ledger WHERE account_id = $1
                        UNION ALL SELECT entry_id, at, to_book, tokens FROM ledger WHERE to_account_id = $1) entries
                ORDER BY entry_id DESC";
    sqlx::query_as(all).bind(account_id.0).fetch_all(db).await.expect("entries")
}

async fn every_stretch_is_as_added_up(db: &PgPool, account_id: AccountId) {
    let (all, now) = (added_up_anew(db, account_id).await, Utc::now());
    assert_eq!(all.len(), 250, "two that brought Tokens, 244 calls, four that expired");
    let hours = |hours| Some(now - TimeDelta::hours(hours) - TimeDelta::minutes(1));
    let minutes = |minutes: i64| Some(now - TimeDelta::seconds(60 * minutes - 30));
    let stretches = [
        (hours(240), hours(217)),
        (hours(181), hours(149)),
        (hours(66), hours(0)),
        (None, hours(150)),
        (hours(30), None),
        (minutes(32), None),
        (None, minutes(31)),
        (minutes(32), minutes(30)),
        (hours(9_000), hours(8_000)),
        (Some(now), None),
    ];
    for (since, until) in stretches {
        for (which, before) in Which::ALL.into_iter().flat_map(|which| [(which, None), (which, Some(all[100].0))]) {
            let shown = |(entry_id, at, of_call, _): &&(i64, DateTime<Utc>, bool, i64)| {
                since.is_none_or(|since| *at >= since)
                    && until.is_none_or(|until| *at < until)
                    && before.is_none_or(|before| *entry_id < before)
                    && (which == Which::All || *of_call == (which == Which::Calls))
            };
            let expected = all.iter().filter(shown).map(|(id, _, _, after)| (*id, (which == Which::All).then_some(*after)));
            let filter = EntryFilter { which, since, until, before };
            let found = next_entries(db, account_id, filter, None, 1_000).await.expect("entries");
            let found: Vec<_> = found.iter().map(|entry| (entry.entry_id, entry.after.map(|after| after.0))).collect();
            assert_eq!(found, expected.collect::<Vec<_>>(), "{filter:?}");
        }
    }
}

#[sqlx::test]
async fn entries_of_any_days_are_found_and_added_up_with_marks_and_without(db: PgPool) {
    let ada = ten_days(&db).await;
    let account_id = ada.account_id();
    every_stretch_is_as_added_up(&db, account_id).await;
    sqlx::query("SELECT mark_ledger(account_id, 20, clock_timestamp()) FROM accounts").execute(&db).await.expect("marks");
    every_stretch_is_as_added_up(&db, account_id).await;

    // What an old page says is the mark before it and some entries, whatever came since; what a new one says is what is there now.
    sqlx::query("UPDATE ledger_marks SET tokens = tokens + 100000").execute(&db).await.expect("wrong marks");
    let all = added_up_anew(&db, account_id).await;
    for (before, wrong) in [(None, 0), (Some(all[8].0), 0), (Some(all[9].0), 100_000), (Some(all[200].0), 100_000)] {
        let page = statement_of(&db, &ada, EntryFilter { before, ..EntryFilter::default() }).await.expect("a page");
        let first = page.entries.first().expect("an entry");
        let (_, _, _, after) = all.iter().find(|(id, ..)| *id == first.entry_id).expect("the same");
        assert_eq!(first.after, Some(Tokens(after + wrong)), "{before:?}");
    }
}

#[sqlx::test]
async fn a_time_is_looked_for_among_calls_alone(db: PgPool) {
    let ada = ten_days(&db).await;
    let all = added_up_anew(&db, ada.account_id()).await;
    let calls: Vec<_> = all.iter().filter(|(_, _, of_call, _)| *of_call).collect();
    let first = async |at: DateTime<Utc>| -> Option<i64> {
        let first = sqlx::query_scalar("SELECT first_call_entry($1, $2)").bind(ada.account_id().0).bind(at);
        first.fetch_one(&db).await.expect("an entry")
    };
    for pair in calls[4..].windows(2) {
        let (newer, older) = (pair[0], pair[1]);
        let found = first(newer.1).await.expect("some");
        assert!(older.0 < found && found <= newer.0, "{found} of {older:?} {newer:?}");
    }
    let after_all = first(Utc::now()).await.expect("some");
    assert!(after_all > calls[0].0);
    let nobody = fixtures::member(&db, "eve").await;
    let none: Option<i64> =
        sqlx::query_scalar("SELECT first_call_entry($1, now())").bind(nobody.account_id().0).fetch_one(&db).await.expect("a row");
    assert_eq!(none, None);
}
