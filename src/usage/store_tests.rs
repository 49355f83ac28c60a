//! Tests of usage reads: rows that add up to the ledger, pages without gaps, filters, and nothing of other accounts.

use super::*;
use crate::accounts::rights::Owner;
use crate::keys::secret::KeySecret;
use crate::usage::range::{Preset, Range};
use crate::usage::types_totals::{Group, Sums, UsageTotals};
use crate::wallet::fixtures::{self, Used, plain_key};
use chrono::{DurationRound, TimeDelta};
use chrono_tz::Tz;
use sqlx::PgPool;
use uuid::{NoContext, Timestamp, Uuid};

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
    fixtures::call_at(db, secret, model_id, USED, started_at).await
}

/// A call that was charged nothing, since it ended like this.
async fn ended(db: &PgPool, key_id: KeyId, model_id: &str, outcome: &str, began: DateTime<Utc>) -> RequestId {
    let seconds = u64::try_from(began.timestamp()).expect("after 1970");
    let request_id = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, began.timestamp_subsec_nanos()));
    sqlx::query(
        "INSERT INTO usage_records (request_id, account_id, key_id, model_id, supplier_id, price_version, endpoint, streamed, outcome,
                                    basis, http_status, input_tokens, cached_tokens, output_tokens, held, charge, written_off,
                                    started_at, latency_ms)
         SELECT $1, k.account_id, k.key_id, m.model_id, m.supplier_id, 1, 'chat', false, $4, 'waived', 502, 0, 0, 0, 0, 0, 0, $5, 10
           FROM api_keys k CROSS JOIN models m WHERE k.key_id = $2 AND m.model_id = $3",
    )
    .bind(request_id)
    .bind(key_id.0)
    .bind(model_id)
    .bind(outcome)
    .bind(began)
    .execute(db)
    .await
    .expect("a call");
    RequestId(request_id)
}

/// All pages of the filter, so many calls each, one after the other.
async fn all_pages(db: &PgPool, ada: &Owner, mut filter: CallFilter, most: i64) -> Vec<RequestId> {
    let mut seen = Vec::new();
    loop {
        let page = calls_of(db, ada, &filter, most).await.expect("a page");
        seen.extend(page.calls.iter().map(|call| call.request_id));
        filter.before = page.older;
        if filter.before.is_none() {
            return seen;
        }
    }
}

fn whose(key_id: Option<KeyId>, model_id: Option<&str>) -> CallFilter {
    CallFilter { whose: Whose { key_id, model_id: model_id.map(str::to_string), ..Whose::default() }, ..CallFilter::default() }
}

fn month() -> Range {
    Range::of(Preset::Month, Tz::UTC, Utc::now())
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
    for listed in page.calls {
        let one = CallFilter { call: Some(listed.request_id), ..CallFilter::default() };
        let call = calls_of(&db, &ada, &one, 1).await.expect("a page").calls.pop().expect("the call");
        assert_eq!(call.cost(), Tokens(call.charge.0 + call.written_off.0));
        assert_eq!(call.drawn.iter().map(|draw| draw.tokens.0).sum::<i64>(), call.charge.0);
    }
}

#[sqlx::test]
async fn a_call_names_the_package_that_paid_for_it(db: PgPool) {
    let (ada, _, of_credit) = caller(&db).await;
    let bob = fixtures::member(&db, "bob").await;
    let order_id = fixtures::bought(&db, &bob, "Starter", 1_000).await;
    let (_, of_order) = fixtures::key(&db, &bob, plain_key("bot")).await;
    for (member, secret, named) in [(&ada, of_credit, None), (&bob, of_order, Some((order_id, "Starter".to_string())))] {
        let one = CallFilter { call: Some(call(&db, &secret, "alpha/one", Utc::now()).await), ..CallFilter::default() };
        let call = calls_of(&db, member, &one, 1).await.expect("a page").calls.pop().expect("the call");
        let drawn: Vec<_> = call.drawn.into_iter().map(|draw| draw.order_id.zip(draw.package_name)).collect();
        assert_eq!(drawn, [named]);
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
async fn the_first_page_of_many_calls_is_where_the_others_go_on(db: PgPool) {
    let (ada, key_id, _) = caller(&db).await;
    let now = Utc::now().duration_trunc(TimeDelta::seconds(1)).expect("a second");
    for minutes in 0..40 {
        ended(&db, key_id, "alpha/one", "ok", now - TimeDelta::minutes(minutes)).await;
    }
    let ago = |minutes: Option<i64>| minutes.map(|minutes| now - TimeDelta::minutes(minutes));
    for key_id in [None, Some(key_id)] {
        // All; a page and the one that tells of more; fewer; none of the newest; none at all.
        for (since, until, found) in
            [(None, None, 40), (Some(25), None, 26), (Some(9), None, 10), (Some(39), Some(30), 9), (None, Some(60), 0), (Some(-5), None, 0)]
        {
            let filter = CallFilter { since: ago(since), until: ago(until), ..whose(key_id, None) };
            let all = all_pages(&db, &ada, filter.clone(), 100).await;
            assert_eq!(all.len(), found, "{since:?}, {until:?}");
            assert_eq!(all_pages(&db, &ada, filter, 25).await, all, "{since:?}, {until:?}");
        }
    }
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
async fn calls_follow_the_filter_and_hide_other_accounts(db: PgPool) {
    let (ada, key_id, secret) = caller(&db).await;
    let eve = fixtures::member(&db, "eve").await;
    let now = Utc::now();
    let one = call(&db, &secret, "alpha/one", now).await;
    let mut twos = Vec::new();
    for days in [0, 6, 29, 31] {
        twos.push(call(&db, &secret, "alpha/two", now - TimeDelta::days(days)).await);
    }
    let ids = async |who: &Reader, filter: &CallFilter| -> Vec<RequestId> {
        calls_of(&db, who, filter, 50).await.expect("a page").calls.into_iter().map(|call| call.request_id).collect()
    };
    assert_eq!(ids(&ada, &whose(None, Some("alpha/two"))).await, twos);
    assert_eq!(ids(&ada, &whose(Some(key_id), Some("alpha/two"))).await, twos);
    assert_eq!(ids(&ada, &whose(Some(key_id), Some("alpha/two")).within(&month())).await, twos[..3]);
    assert_eq!(ids(&ada, &whose(Some(key_id), None)).await.len(), 5);
    assert_eq!(ids(&ada, &whose(None, Some("alpha/none"))).await, []);
    let only_one = CallFilter { call: Some(one), ..CallFilter::default() };
    assert_eq!(ids(&ada, &only_one).await, [one]);

    for filter in [CallFilter::default(), only_one, whose(Some(key_id), None), whose(None, Some("alpha/two"))] {
        assert!(ids(&eve, &filter).await.is_empty());
        assert_eq!(sums_of(&db, &eve, &filter.whose, &month()).await.expect("sums"), vec![Sums::default(); 30]);
        assert_eq!(parts_of(&db, &eve, &filter.whose, &month(), Group::Key).await.expect("parts"), []);
    }
    assert!(choices_of(&db, &eve).await.expect("choices").0.is_empty());
    assert_eq!(choices_of(&db, &ada).await.expect("choices").0.len(), 1);
}

#[sqlx::test]
async fn pages_of_a_rare_model_go_through_every_call_once(db: PgPool) {
    let (ada, key_id, secret) = caller(&db).await;
    let now = Utc::now();
    let mut rare = Vec::new();
    for n in 0..9 {
        // At the edges of hours, and within them.
        let hour = now.duration_trunc(TimeDelta::hours(1)).expect("an hour") - TimeDelta::hours(5 * n);
        for minutes in [0, 1, 30] {
            let began = hour - TimeDelta::milliseconds(3) + TimeDelta::minutes(minutes);
            rare.push(call(&db, &secret, "alpha/two", began).await);
            call(&db, &secret, "alpha/one", began).await;
        }
    }
    rare.sort();
    for key in [None, Some(key_id)] {
        let (mut seen, mut filter) = (Vec::new(), whose(key, Some("alpha/two")));
        loop {
            let page = calls_of(&db, &ada, &filter, 2).await.expect("a page");
            seen.extend(page.calls.iter().map(|call| call.request_id));
            filter.before = page.older;
            if filter.before.is_none() {
                break;
            }
        }
        seen.reverse();
        assert_eq!(seen, rare);
    }
}

#[sqlx::test]
async fn failed_calls_are_found_among_all_others(db: PgPool) {
    let (ada, key_id, secret) = caller(&db).await;
    let (other_key, _) = fixtures::key(&db, &ada, plain_key("other")).await;
    let now = Utc::now();
    let at = |hours: i64| now - TimeDelta::hours(hours);
    let mut failed = Vec::new();
    for (hours, key_id, outcome) in
        [(0, key_id, "upstream_error"), (7, key_id, "upstream_timeout"), (30, other_key, "upstream_cut"), (31, key_id, "interrupted")]
    {
        failed.push(ended(&db, key_id, "alpha/one", outcome, at(hours)).await);
        ended(&db, key_id, "alpha/one", "client_left", at(hours)).await;
        ended(&db, key_id, "alpha/two", "key_ended", at(hours + 1)).await;
        call(&db, &secret, "alpha/two", at(hours)).await;
    }
    let only_failed = |filter: CallFilter| CallFilter { only_failed: true, ..filter };
    for most in [1, 2, 50] {
        assert_eq!(all_pages(&db, &ada, only_failed(CallFilter::default()), most).await, failed, "{most} a page");
    }
    let of_key = [failed[0], failed[1], failed[3]];
    assert_eq!(all_pages(&db, &ada, only_failed(whose(Some(key_id), None)), 2).await, of_key);
    assert_eq!(all_pages(&db, &ada, only_failed(whose(None, Some("alpha/one"))), 2).await, failed);
    assert_eq!(all_pages(&db, &ada, only_failed(whose(None, Some("alpha/two"))), 2).await, []);
    let eve = fixtures::member(&db, "eve").await;
    assert_eq!(all_pages(&db, &eve, only_failed(CallFilter::default()), 2).await, []);
}

#[sqlx::test]
async fn rare_calls_among_very_many_are_looked_for_a_stretch_at_a_time(db: PgPool) {
    let (ada, key_id, _) = caller(&db).await;
    let hour = Utc::now().duration_trunc(TimeDelta::hours(1)).expect("an hour");
    let mut failed = Vec::new();
    for hours in 1..=4 {
        let began = hour - TimeDelta::hours(hours) + TimeDelta::minutes(30);
        failed.push(ended(&db, key_id, "alpha/one", "upstream_error", began).await);
    }
    sqlx::query("UPDATE usage_totals SET calls = 200000").execute(&db).await.expect("as if there were");
    let mut filter = CallFilter { only_failed: true, ..CallFilter::default() };
    let page = calls_of(&db, &ada, &filter, 50).await.expect("a page");
    assert_eq!(page.calls.iter().map(|call| call.request_id).collect::<Vec<_>>(), failed[..3]);
    assert!(page.cut_short && page.older.is_some_and(|older| failed[3] < older && older < failed[2]));
    filter.before = page.older;
    let page = calls_of(&db, &ada, &filter, 50).await.expect("a page");
    assert_eq!(page.calls.iter().map(|call| call.request_id).collect::<Vec<_>>(), failed[3..]);
    assert!(!page.cut_short && page.older.is_none());

    let mut filter = CallFilter { only_failed: true, ..CallFilter::default() };
    let mut of_file = Vec::new();
    while let Some(rows) = next_rows(&db, ada.account_id(), &mut filter).await.expect("rows") {
        of_file.extend(rows.into_iter().map(|row| row.request_id));
    }
    assert_eq!(of_file, failed, "a file has them all");
}

#[sqlx::test]
async fn totals_are_what_the_calls_add_up_to_by_whatever_they_have_in_common(db: PgPool) {
    let (ada, key_id, secret) = caller(&db).await;
    let (other_key, other_secret) = fixtures::key(&db, &ada, plain_key("other")).await;
    let now = Utc::now();
    for (secret, model, days) in [
        (&secret, "alpha/one", 0),
        (&secret, "alpha/two", 6),
        (&secret, "alpha/two", 29),
        (&secret, "alpha/two", 31),
        (&other_secret, "alpha/two", 6),
    ] {
        call(&db, secret, model, now - TimeDelta::days(days)).await;
    }
    let days = sums_of(&db, &ada, &Whose::default(), &month()).await.expect("sums");
    let totals = UsageTotals::of_days(&days);
    assert_eq!((totals.today.calls, totals.last_7_days.calls, totals.last_30_days.calls), (1, 3, 4));
    assert_eq!(
        totals.last_30_days,
        Sums { calls: 4, failed: 0, input: Tokens(44), cached: Tokens(20), output: Tokens(12), charged: Tokens(60) }
    );
    // By the hour, and in a zone whose days are not those of UTC.
    for zone in [Tz::Asia__Kolkata, Tz::America__Los_Angeles] {
        let range = Range::of(Preset::Month, zone, now);
        let there: Sums = sums_of(&db, &ada, &Whose::default(), &range).await.expect("sums").into_iter().sum();
        assert!((4..=5).contains(&there.calls), "{zone}");
    }

    let parts = async |whose: Whose, group| -> Vec<(String, String, i64)> {
        let parts = parts_of(&db, &ada, &whose, &month(), group).await.expect("parts");
        for part in &parts {
            assert_eq!(part.charged.len(), 30);
            assert_eq!(part.charged.iter().map(|tokens| tokens.0).sum::<i64>(), part.sums.charged.0);
        }
        parts.into_iter().map(|part| (part.id, part.name, part.sums.calls)).collect()
    };
    let part = |id: &dyn ToString, name: &str, calls| (id.to_string(), name.to_string(), calls);
    let all = Whose::default;
    assert_eq!(parts(all(), Group::Model).await, [part(&"alpha/two", "alpha/two", 3), part(&"alpha/one", "alpha/one", 1)]);
    assert_eq!(parts(all(), Group::Key).await, [part(&key_id, "bot", 3), part(&other_key, "other", 1)]);
    assert_eq!(parts(all(), Group::Supplier).await, [part(&"alpha", "alpha", 4)]);
    assert_eq!(parts(all(), Group::Member).await, [part(&ada.user_id(), "ada@example.com", 4)]);
    let of_two = Whose { model_id: Some("alpha/two".into()), ..all() };
    assert_eq!(parts(of_two.clone(), Group::Key).await, [part(&key_id, "bot", 2), part(&other_key, "other", 1)]);
    let of_other = Whose { key_id: Some(other_key), ..of_two };
    for group in Group::ALL {
        assert_eq!(parts(of_other.clone(), group).await.into_iter().map(|part| part.2).collect::<Vec<_>>(), [1], "{group:?}");
    }
}

#[sqlx::test]
async fn names_come_oldest_first_whatever_they_are_called_by_now(db: PgPool) {
    let (ada, first, _) = caller(&db).await;
    fixtures::supplier(&db, "aardvark").await;
    let (second, _) = fixtures::key(&db, &ada, plain_key("another")).await;
    sqlx::query("UPDATE api_keys SET name = 'zebra', status = 'deleted', deleted_at = now() WHERE key_id = $1")
        .bind(first.0)
        .execute(&db)
        .await
        .expect("deleted");
    let (keys, models) = choices_of(&db, &ada).await.expect("choices");
    assert_eq!(models, ["alpha/one", "alpha/two"]);
    let keys: Vec<_> = keys.into_iter().map(|key| (key.key_id, key.name, key.deleted)).collect();
    assert_eq!(keys, [(first, "zebra".to_string(), true), (second, "another".to_string(), false)]);
    let suppliers: Vec<_> = supplier_names(&db).await.expect("suppliers").into_iter().map(|(slug, _)| slug).collect();
    assert_eq!(suppliers, ["alpha", "aardvark"]);
    let members = member_names(&db, &ada).await.expect("members");
    assert_eq!(members, [(ada.user_id().to_string(), "ada@example.com".to_string())]);
    let eve = fixtures::member(&db, "eve").await;
    assert_eq!(member_names(&db, &eve).await.expect("members"), []);
}

#[sqlx::test]
async fn the_file_of_calls_adds_up_to_the_ledger(db: PgPool) {
    use futures::TryStreamExt;
    let (ada, _, secret) = caller(&db).await;
    for hours in 0..5 {
        call(&db, &secret, "alpha/one", Utc::now() - TimeDelta::hours(hours)).await;
    }
    let text: String =
        crate::usage::export::csv(db.clone().into(), ada.account_id(), CallFilter::default()).try_collect().await.expect("a file");
    let mut file = csv::Reader::from_reader(text.as_bytes());
    let charge = file.headers().expect("a head").iter().position(|column| column == "charge").expect("a column");
    let charges: Vec<i64> = file.records().map(|line| line.expect("a line")[charge].parse().expect("Tokens")).collect();
    let spent = sqlx::query_scalar!(r#"SELECT sum(tokens)::bigint AS "spent!" FROM ledger WHERE to_book = 'spent'"#).fetch_one(&db).await;
    assert_eq!((charges.len(), charges.iter().sum::<i64>()), (5, spent.expect("spent")));
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
