//! Tests of calls and totals of a member and of a supplier: they are those of the records.

use super::*;
use crate::ids::{AccountId, KeyId};
use crate::tokens::Tokens;
use crate::usage::filter::CallFilter;
use crate::usage::range::Preset;
use crate::usage::store::{calls_of, next_rows, parts_of, sums_of};
use crate::usage::types_totals::Sums;
use crate::wallet::fixtures::{self, Used, plain_key};
use chrono::{DurationRound, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use sqlx::PgPool;
use uuid::Uuid;

const USED: Used = Used { input: 11, cached: 5, output: 3 };

/// Has another supplier answer a model's calls from now on, as `toki model edit` does.
async fn moved(db: &PgPool, model_id: &str, slug: &str) {
    let to = "UPDATE models SET supplier_id = (SELECT supplier_id FROM suppliers WHERE slug = $2) WHERE model_id = $1";
    sqlx::query(to).bind(model_id).bind(slug).execute(db).await.expect("moved");
}

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
    for (slug, models) in [("alpha", vec!["alpha/one", "alpha/two"]), ("beta", vec!["beta/one", "beta/two"]), ("gamma", vec!["gamma/one"])]
    {
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
    let times = [-24 * 60, -30, 50, 60, 24 * 60].map(|minutes| noon + TimeDelta::minutes(minutes));
    for began in times {
        for (seconds, secret, model) in [
            (0, &ada_secret, "alpha/one"),
            (1, &bob_secret, "alpha/two"),
            (2, &bob_secret, "beta/one"),
            (3, &old_secret, "beta/two"),
            (4, &bob_secret, "gamma/one"),
        ] {
            fixtures::call_at(&db, secret, model, USED, began + TimeDelta::seconds(seconds)).await;
        }
    }
    // Moved: its supplier has no models any more, and the other one answers, in the same hours.
    moved(&db, "gamma/one", "beta").await;
    for began in times {
        fixtures::call_at(&db, &bob_secret, "gamma/one", USED, began + TimeDelta::seconds(5)).await;
    }

    let of_key = |key_id: KeyId| Whose { key_id: Some(key_id), ..Whose::default() };
    let of_model = |model: &str| Whose { model_id: Some(model.into()), ..Whose::default() };
    let of_supplier = |slug: &str| Whose { supplier: Some(slug.into()), ..Whose::default() };
    let of_member = |member: &Reader| Whose { member: Some(member.user_id()), ..Whose::default() };
    for (whose, calls) in [
        (of_member(&ada), 5 + 2),
        (of_member(&bob), 20),
        (of_member(&eve), 0),
        (of_supplier("alpha"), 10),
        (of_supplier("beta"), 15),
        (of_supplier("gamma"), 5),
        (of_supplier("delta"), 0),
        (Whose { supplier: Some("beta".into()), ..of_member(&ada) }, 2),
        (Whose { supplier: Some("beta".into()), ..of_member(&bob) }, 10),
        (Whose { supplier: Some("gamma".into()), ..of_member(&bob) }, 5),
        (Whose { member: Some(bob.user_id()), ..of_key(of_ada) }, 0),
        (Whose { member: Some(ada.user_id()), ..of_key(handed_over) }, 2),
        (Whose { member: Some(bob.user_id()), ..of_model("beta/one") }, 5),
        (Whose { supplier: Some("alpha".into()), ..of_model("beta/one") }, 0),
        (Whose { supplier: Some("beta".into()), ..of_model("gamma/one") }, 5),
        (Whose { supplier: Some("gamma".into()), ..of_model("gamma/one") }, 5),
        (Whose { supplier: Some("beta".into()), ..of_key(of_bob) }, 10),
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

    // Each supplier has what it answered, in the group of all calls and in that of a member's.
    for (whose, of_suppliers) in
        [(Whose::default(), [("beta", 15), ("alpha", 10), ("gamma", 5)]), (of_member(&bob), [("beta", 10), ("alpha", 5), ("gamma", 5)])]
    {
        for zone in [Tz::UTC, Tz::Asia__Kolkata] {
            let month = Range::of(Preset::Month, zone, Utc::now());
            let parts = parts_of(&db, &ada, &whose, &month, Group::Supplier).await.expect("parts");
            let parts: Vec<_> = parts.iter().map(|part| (part.id.as_str(), part.sums.calls)).collect();
            assert_eq!(parts, of_suppliers, "{whose:?}, {zone}");
        }
    }
}

/// What totals were before they said who answered becomes what the records say.
#[sqlx::test(migrations = false)]
async fn totals_of_before_are_told_apart_by_supplier(db: PgPool) {
    // `make test` has the whole schema in what databases are copies of.
    sqlx::raw_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public").execute(&db).await.expect("an empty database");
    let migrations = sqlx::migrate!();
    migrations.run_to(20_261_130_049_999, &db).await.expect("the schema of before");
    sqlx::raw_sql(
        "INSERT INTO suppliers (supplier_id, slug, name) SELECT gen_random_uuid(), s, s FROM unnest(ARRAY['alpha', 'beta']) AS s;
         INSERT INTO models (model_id, supplier_id, upstream_id, context_tokens, max_output_tokens)
         SELECT m, supplier_id, 'm', 1000, 100
           FROM suppliers, unnest(ARRAY['a/kept', 'a/moved', 'a/moved-unused']) AS m WHERE slug = 'alpha';
         INSERT INTO model_prices (model_id, version, input_ppm, cached_ppm, output_ppm) SELECT model_id, 1, 1, 1, 1 FROM models",
    )
    .execute(&db)
    .await
    .expect("models");
    // Two calls in one hour and one in the next, a day of two hours; one of two failed.
    let calls = "INSERT INTO usage_records (request_id, account_id, key_id, model_id, supplier_id, price_version, endpoint, streamed,
                                            outcome, basis, http_status, input_tokens, cached_tokens, output_tokens, held, charge,
                                            written_off, started_at, latency_ms)
                 SELECT gen_random_uuid(), $1, $1, m.model_id, m.supplier_id, 1, 'chat', false,
                        CASE n WHEN 1 THEN 'upstream_cut' ELSE 'ok' END, 'measured', 200, 10 + n, n, 3, 50, 20 + n,
                        0, '2026-11-20T12:20:00Z'::timestamptz + n * interval '30 minutes', 10
                   FROM models m, generate_series(0, 2) AS n WHERE m.model_id <> 'a/moved-unused'";
    let whose = Uuid::new_v4();
    sqlx::query(calls).bind(whose).execute(&db).await.expect("calls");
    moved(&db, "a/moved", "beta").await;
    moved(&db, "a/moved-unused", "beta").await;
    sqlx::query(calls).bind(whose).execute(&db).await.expect("calls after one was moved");
    let other = Uuid::new_v4();
    sqlx::query(calls).bind(other).execute(&db).await.expect("calls of another account");

    migrations.run_to(20_261_130_050_000, &db).await.expect("migrated");
    // What is added from now on goes where the rest is.
    sqlx::query(calls).bind(whose).execute(&db).await.expect("calls after all");
    let of_records = "SELECT r.account_id, u.unit, date_trunc(u.unit, r.started_at, 'UTC'), r.key_id, r.model_id, r.supplier_id, count(*),
                             count(*) FILTER (WHERE is_failure(r.outcome)), sum(r.input_tokens)::bigint, sum(r.cached_tokens)::bigint,
                             sum(r.output_tokens)::bigint, sum(r.charge)::bigint
                        FROM usage_records r CROSS JOIN (VALUES ('hour'), ('day')) AS u (unit) GROUP BY 1, 2, 3, 4, 5, 6";
    let differences = format!(
        "SELECT count(*) FROM ((TABLE usage_totals EXCEPT ALL ({of_records})) UNION ALL (({of_records}) EXCEPT ALL TABLE usage_totals)) d"
    );
    let differences: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(differences)).fetch_one(&db).await.expect("differences");
    // By account, two hours and a day of each model and supplier: three pairs, of which the other account has two.
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM usage_totals").fetch_one(&db).await.expect("rows");
    assert_eq!((differences, rows), (0, 3 * 3 + 2 * 3));
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

#[sqlx::test]
async fn the_hour_of_a_handover_counts_as_before(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let supplier_id = fixtures::supplier(&db, "alpha").await;
    fixtures::model(&db, "alpha/one", supplier_id).await;
    fixtures::credit(&db, ada.account_id(), 100_000, TimeDelta::days(1)).await;
    let (_, secret) = fixtures::key(&db, &ada, plain_key("bot")).await;
    let day = (Utc::now() - TimeDelta::days(3)).date_naive().and_time(NaiveTime::MIN).and_utc();
    let at = |time: &str| day + (time.parse::<NaiveTime>().expect("a time") - NaiveTime::MIN);
    let times = ["11:59:59", "12:00:00", "12:00:01", "12:59:59", "13:00:00", "23:00:00", "23:59:59.999"].map(at);
    let times = [&times[..], &[day + TimeDelta::days(1)]].concat();
    let mut calls = Vec::new();
    for began in &times {
        calls.push(fixtures::call_at(&db, &secret, "alpha/one", USED, *began).await.0);
    }
    let whose = Whose { member: Some(ada.user_id()), ..Whose::default() };
    for (handed_over, since) in [
        (at("11:59:59"), at("12:00:00")),
        (at("12:00:00"), at("12:00:00")),
        (at("12:00:00.000001"), at("13:00:00")),
        (at("12:59:59.999999"), at("13:00:00")),
        (at("13:00:00"), at("13:00:00")),
        (at("23:59:59"), day + TimeDelta::days(1)),
        (day + TimeDelta::days(1), day + TimeDelta::days(1)),
    ] {
        sqlx::query("UPDATE api_keys SET inherited_at = $1").bind(handed_over).execute(&db).await.expect("handed over");
        let mut hers: Vec<_> = times.iter().zip(&calls).filter(|(began, _)| **began >= since).map(|(_, call)| *call).collect();
        hers.reverse();
        for most in [1, 50] {
            assert_eq!(all_pages(&db, &ada, &whose, most).await, hers, "{handed_over}, {most} a page");
        }
        assert_eq!(file(&db, ada.account_id(), &whose).await, hers, "{handed_over}");
        for zone in [Tz::UTC, Tz::Asia__Kolkata] {
            let sums = totals(&db, &ada, &whose, &Range::of(Preset::Month, zone, Utc::now())).await;
            assert_eq!(sums.calls, hers.len() as i64, "{handed_over}, {zone}");
        }
    }
}
