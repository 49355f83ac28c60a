//! Tests of calls and totals of a member and of a supplier: they are those of the records.

use super::*;
use crate::ids::KeyId;
use crate::tokens::Tokens;
use crate::usage::filter::CallFilter;
use crate::usage::range::Preset;
use crate::usage::store::{calls_of, next_rows, parts_of, sums_of};
use crate::usage::types_totals::Sums;
use crate::wallet::fixtures::{self, Used, plain_key};
use chrono::NaiveTime;
use chrono_tz::Tz;
use sqlx::PgPool;

const USED: Used = Used { input: 11, cached: 5, output: 3 };

/// The calls of a filter, the newest first, as the records say them, read whole.
async fn recorded(db: &PgPool, account_id: AccountId, whose: &Whose) -> Vec<Uuid> {
    sqlx::query_scalar(
        "SELECT u.request_id FROM usage_records u
           JOIN api_keys k ON k.key_id = u.key_id
           JOIN suppliers s ON s.supplier_id = u.supplier_id
          WHERE u.account_id = $1 AND ($2::uuid IS NULL OR u.key_id = $2) AND ($3::text IS NULL OR u.model_id = $3)
            AND ($4::uuid IS NULL OR k.created_by = $4 AND coalesce(date_trunc('hour', u.started_at, 'UTC') >= k.inherited_at, true))
            AND ($5::text IS NULL OR s.slug = $5)
          ORDER BY u.request_id DESC",
    )
    .bind(account_id.0)
    .bind(whose.key_id.map(|id| id.0))
    .bind(whose.model_id.clone())
    .bind(whose.member.map(|id| id.0))
    .bind(whose.supplier.clone())
    .fetch_all(db)
    .await
    .expect("records")
}

/// All pages of the filter, so many calls each, one after the other.
async fn all_pages(db: &PgPool, member: &Reader, whose: &Whose, most: i64) -> Vec<Uuid> {
    let (mut seen, mut filter) = (Vec::new(), CallFilter { whose: whose.clone(), ..CallFilter::default() });
    loop {
        let page = calls_of(db, member, &filter, most).await.expect("a page");
        seen.extend(page.calls.iter().map(|call| call.request_id.0));
        filter.before = page.older;
        if filter.before.is_none() {
            return seen;
        }
    }
}

/// What the file of the filter has.
async fn file(db: &PgPool, account_id: AccountId, whose: &Whose) -> Vec<Uuid> {
    let (mut seen, mut filter) = (Vec::new(), CallFilter { whose: whose.clone(), ..CallFilter::default() });
    while let Some(rows) = next_rows(db, account_id, &mut filter).await.expect("rows") {
        seen.extend(rows.into_iter().map(|row| row.request_id.0));
    }
    seen
}

/// The totals of the filter in this range, by each group, by bucket and as a sum: all say the same.
async fn totals(db: &PgPool, member: &Reader, whose: &Whose, range: &Range) -> Sums {
    let sums = sums_of(db, member, whose, range).await.expect("sums");
    for group in Group::ALL {
        let parts = parts_of(db, member, whose, range, group).await.expect("parts");
        for (place, sum) in sums.iter().enumerate() {
            assert_eq!(parts.iter().map(|part| part.charged[place].0).sum::<i64>(), sum.charged.0, "{group:?} of {whose:?}, {place}");
        }
        let all: Sums = parts.iter().map(|part| part.sums).sum();
        assert_eq!(all, sums.iter().copied().sum::<Sums>(), "{group:?} of {whose:?}");
    }
    sums.into_iter().sum()
}

#[sqlx::test]
async fn what_is_of_a_member_or_a_supplier_is_what_the_records_say(db: PgPool) {
    let (ada, bob, eve) = (fixtures::member(&db, "ada").await, fixtures::member(&db, "bob").await, fixtures::member(&db, "eve").await);
    for (slug, models) in [("alpha", ["alpha/one", "alpha/two"]), ("beta", ["beta/one", "beta/two"])] {
        let supplier_id = fixtures::supplier(&db, slug).await;
        for model in models {
            fixtures::model(&db, model, supplier_id).await;
        }
    }
    fixtures::credit(&db, ada.account_id(), 100_000, TimeDelta::days(1)).await;
    let joined = "INSERT INTO members (account_id, user_id, role) VALUES ($1, $2, 'member')";
    sqlx::query(joined).bind(ada.account_id().0).bind(bob.user_id().0).execute(&db).await.expect("a member");
    let (of_ada, ada_secret) = fixtures::key(&db, &ada, plain_key("hers")).await;
    let (of_bob, bob_secret) = fixtures::key(&db, &ada, plain_key("his")).await;
    let (handed_over, old_secret) = fixtures::key(&db, &ada, plain_key("handed over to her")).await;
    let noon = (Utc::now() - TimeDelta::days(3)).date_naive().and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(12);
    let his = "UPDATE api_keys SET created_by = $1 WHERE key_id = $2";
    sqlx::query(his).bind(bob.user_id().0).bind(of_bob.0).execute(&db).await.expect("his");
    let inherited = "UPDATE api_keys SET inherited_at = $1 WHERE key_id = $2";
    sqlx::query(inherited).bind(noon + TimeDelta::minutes(20)).bind(handed_over.0).execute(&db).await.expect("handed over");
    // The day before the handover, the hour before, in its hour, the hour after, the day after.
    for minutes in [-24 * 60, -30, 50, 60, 24 * 60] {
        let began = noon + TimeDelta::minutes(minutes);
        for (seconds, secret, model) in
            [(0, &ada_secret, "alpha/one"), (1, &bob_secret, "alpha/two"), (2, &bob_secret, "beta/one"), (3, &old_secret, "beta/two")]
        {
            fixtures::call_at(&db, secret, model, USED, began + TimeDelta::seconds(seconds)).await;
        }
    }

    let of_key = |key_id: KeyId| Whose { key_id: Some(key_id), ..Whose::default() };
    let of_model = |model: &str| Whose { model_id: Some(model.into()), ..Whose::default() };
    let of_supplier = |slug: &str| Whose { supplier: Some(slug.into()), ..Whose::default() };
    let of_member = |member: &Reader| Whose { member: Some(member.user_id()), ..Whose::default() };
    for (whose, calls) in [
        (of_member(&ada), 5 + 2),
        (of_member(&bob), 10),
        (of_member(&eve), 0),
        (of_supplier("alpha"), 10),
        (of_supplier("beta"), 10),
        (of_supplier("gamma"), 0),
        (Whose { supplier: Some("beta".into()), ..of_member(&ada) }, 2),
        (Whose { supplier: Some("beta".into()), ..of_member(&bob) }, 5),
        (Whose { member: Some(bob.user_id()), ..of_key(of_ada) }, 0),
        (Whose { member: Some(ada.user_id()), ..of_key(handed_over) }, 2),
        (Whose { member: Some(bob.user_id()), ..of_model("beta/one") }, 5),
        (Whose { supplier: Some("alpha".into()), ..of_model("beta/one") }, 0),
        (Whose { supplier: Some("beta".into()), ..of_key(of_bob) }, 5),
    ] {
        let recorded = recorded(&db, ada.account_id(), &whose).await;
        assert_eq!(recorded.len(), calls, "{whose:?}");
        for most in [1, 2, 50] {
            assert_eq!(all_pages(&db, &ada, &whose, most).await, recorded, "{whose:?}, {most} a page");
        }
        assert_eq!(file(&db, ada.account_id(), &whose).await, recorded, "{whose:?}");
        // By days of UTC, by hours of that one day, and in a zone whose days are hours of two days of UTC.
        let calls = calls as i64;
        for zone in [Tz::UTC, Tz::Asia__Kolkata] {
            let sums = totals(&db, &ada, &whose, &Range::of(Preset::Month, zone, Utc::now())).await;
            assert_eq!((sums.calls, sums.charged), (calls, Tokens(calls * USED.charge())), "{whose:?}, {zone}");
        }
        let day = noon.format("%Y-%m-%d").to_string();
        let day = Range::parse("", &day, &day, Tz::UTC, Utc::now()).expect("a range");
        let within = CallFilter { whose: whose.clone(), ..CallFilter::default() }.within(&day);
        let listed = calls_of(&db, &ada, &within, 50).await.expect("a page").calls;
        assert_eq!(totals(&db, &ada, &whose, &day).await.calls, listed.len() as i64, "{whose:?}");

        // Of another account there is nothing, whoever's id and name are known.
        assert_eq!(all_pages(&db, &eve, &whose, 50).await, Vec::<Uuid>::new(), "{whose:?}");
        assert_eq!(file(&db, eve.account_id(), &whose).await, Vec::<Uuid>::new(), "{whose:?}");
        assert_eq!(totals(&db, &eve, &whose, &day).await, Sums::default(), "{whose:?}");
    }
}

#[sqlx::test]
async fn a_record_names_the_member_whose_key_it_was(db: PgPool) {
    let (ada, bob) = (fixtures::member(&db, "ada").await, fixtures::member(&db, "bob").await);
    let supplier_id = fixtures::supplier(&db, "alpha").await;
    fixtures::model(&db, "alpha/one", supplier_id).await;
    fixtures::credit(&db, ada.account_id(), 100_000, TimeDelta::days(1)).await;
    let (_, secret) = fixtures::key(&db, &ada, plain_key("bot")).await;
    let hour = Utc::now().duration_trunc(TimeDelta::hours(1)).expect("an hour") - TimeDelta::hours(5);
    for minutes in [-1, 50, 60] {
        fixtures::call_at(&db, &secret, "alpha/one", USED, hour + TimeDelta::minutes(minutes)).await;
    }
    let members = async || -> Vec<String> {
        let mut filter = CallFilter::default();
        let rows = next_rows(&db, ada.account_id(), &mut filter).await.expect("rows").expect("some");
        rows.into_iter().map(|row| row.member).collect()
    };
    assert_eq!(members().await, ["ada@example.com"; 3]);
    let inherited = "UPDATE api_keys SET created_by = $1, inherited_at = $2";
    let handed_over = hour + TimeDelta::minutes(20);
    sqlx::query(inherited).bind(bob.user_id().0).bind(handed_over).execute(&db).await.expect("handed over");
    assert_eq!(members().await, ["bob@example.com", "", ""]);
}

#[test]
fn the_hour_of_a_handover_counts_as_before() {
    let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a moment");
    for (handed_over, since) in [
        ("2026-11-20T12:00:00Z", "2026-11-20T12:00:00Z"),
        ("2026-11-20T12:00:00.000001Z", "2026-11-20T13:00:00Z"),
        ("2026-11-20T23:59:59Z", "2026-11-21T00:00:00Z"),
    ] {
        assert_eq!(whole_hour(at(handed_over)), at(since));
    }
}
