//! The dashboard's numbers against a real Postgres, beside those of an account that must not show in them.

use super::*;
use crate::accounts::rights::Owner;
use crate::accounts::store::{insert_account, owner_of};
use crate::accounts::types::{Email, Password};
use crate::ids::KeyId;
use crate::usage::range::Preset;
use crate::wallet::fixtures;
use crate::wallet::forecast::outlook_of;
use crate::wallet::ledger::sweep_expired_grants;
use crate::wallet::store::standing_of;
use chrono::{TimeDelta, Utc};
use chrono_tz::Tz;
use sqlx::PgPool;
use uuid::Uuid;

async fn member(db: &PgPool, address: &str) -> Owner {
    let password = Password::parse("correct horse".into()).expect("a password");
    let new = insert_account(db, &Email::parse(address).expect("an e-mail"), password, false).await.expect("a new account");
    owner_of(db, new.user_id).await.expect("member").expect("is a member")
}

/// A grant that began an hour ago and ends `ends_in_s` from now.
async fn grant(db: &PgPool, member: &Owner, tokens: i64, ends_in_s: i32) {
    let grant_id = fixtures::credit(db, member.account_id(), tokens, TimeDelta::days(1)).await;
    sqlx::query(
        "UPDATE grants SET starts_at = now() - interval '1 hour', expires_at = date_trunc('minute', now()) + make_interval(secs => $2)
          WHERE grant_id = $1",
    )
    .bind(grant_id.0)
    .bind(f64::from(ends_in_s))
    .execute(db)
    .await
    .expect("grant");
}

async fn key(db: &PgPool, member: &Owner, name: &str) -> KeyId {
    let key_id = KeyId::generate();
    sqlx::query(
        "INSERT INTO api_keys (key_id, account_id, created_by, name, secret_hash, secret_hint)
         VALUES ($1, $2, $3, $4, sha256($1::text::bytea), 'sk-toki-…0000')",
    )
    .bind(key_id.0)
    .bind(member.account_id().0)
    .bind(member.user_id().0)
    .bind(name)
    .execute(db)
    .await
    .expect("key");
    key_id
}

fn last_days(zone: Tz) -> Range {
    Range::of(Preset::Month, zone, Utc::now())
}

/// A call that started `ago`, an interval in SQL's words.
async fn call(db: &PgPool, member: &Owner, key_id: KeyId, charge: i64, outcome: &str, ago: &str) {
    call_of_model(db, member, key_id, "acme/small", charge, outcome, ago).await;
}

async fn call_of_model(db: &PgPool, member: &Owner, key_id: KeyId, model_id: &str, charge: i64, outcome: &str, ago: &str) {
    sqlx::query(
        "INSERT INTO usage_records (request_id, account_id, key_id, model_id, supplier_id, price_version, endpoint, streamed, outcome,
                                    basis, http_status, input_tokens, cached_tokens, output_tokens, held, charge, written_off,
                                    started_at, latency_ms)
         VALUES ((substr(first_request_id(now() - $6::interval)::text, 1, 13) || substr($1::text, 14))::uuid,
                 $2, $3, $7, $1, 1, 'chat', false, $4, 'measured', 200, 1, 0, 1, $5, $5, 0, now() - $6::interval, 10)",
    )
    .bind(Uuid::now_v7())
    .bind(member.account_id().0)
    .bind(key_id.0)
    .bind(outcome)
    .bind(charge)
    .bind(ago)
    .bind(model_id)
    .execute(db)
    .await
    .expect("call");
}

async fn package(db: &PgPool, name: &str, price_minor: i64, status: &str) {
    sqlx::query(
        "INSERT INTO packages (package_id, name, tokens, price_minor, currency, valid_for_s, status)
         VALUES ($1, $2, 1000000, $3, 'usd', 86400, $4)",
    )
    .bind(Uuid::now_v7())
    .bind(name)
    .bind(price_minor)
    .bind(status)
    .execute(db)
    .await
    .expect("package");
}

#[sqlx::test]
async fn what_can_be_spent_now_is_counted_and_what_ends_first_named(db: PgPool) {
    let (ada, eve) = (member(&db, "ada@example.com").await, member(&db, "eve@example.com").await);
    let shown = async || {
        let outlook = outlook_of(&db, ada.account_id()).await.expect("an outlook");
        let standing = standing_of(&db, ada.account_id()).await.expect("a standing");
        assert_eq!(standing.balance, outlook.balance, "the frame and the dashboard agree");
        (outlook.balance.0, outlook.ends.into_values().map(|tokens| tokens.0).collect::<Vec<_>>())
    };
    assert_eq!(shown().await, (0, vec![]));
    for (tokens, ends_in_s) in [(100, 7_200), (50, 7_200), (30, 3_600), (7, 90_000), (9, 99_000), (1_000, -120)] {
        grant(&db, &ada, tokens, ends_in_s).await;
    }
    grant(&db, &eve, 5_000, 3_600).await;
    assert_eq!(shown().await, (196, vec![30, 150, 7, 9]));
}

#[sqlx::test]
async fn first_steps_tick_one_by_one_and_only_for_their_account(db: PgPool) {
    let (ada, eve) = (member(&db, "ada@example.com").await, member(&db, "eve@example.com").await);
    let steps = async |who: &Owner| {
        let steps = first_steps(&db, who).await.expect("steps");
        (steps.has_tokens, steps.has_key, steps.has_called)
    };
    assert_eq!(steps(&ada).await, (false, false, false));
    grant(&db, &ada, 100, 3_600).await;
    assert_eq!(steps(&ada).await, (true, false, false));
    let key_id = key(&db, &ada, "laptop").await;
    assert_eq!(steps(&ada).await, (true, true, false));
    call(&db, &ada, key_id, 5, "ok", "1 second").await;
    assert_eq!(steps(&ada).await, (true, true, true));
    assert_eq!(steps(&eve).await, (false, false, false));
}

#[sqlx::test]
async fn days_have_no_gaps_and_add_up(db: PgPool) {
    let (ada, eve) = (member(&db, "ada@example.com").await, member(&db, "eve@example.com").await);
    let (of_ada, of_eve) = (key(&db, &ada, "laptop").await, key(&db, &eve, "laptop").await);
    call(&db, &ada, of_ada, 5, "ok", "0 seconds").await;
    call(&db, &ada, of_ada, 7, "upstream_cut", "0 seconds").await;
    call(&db, &ada, of_ada, 11, "client_left", "24 hours").await;
    call(&db, &ada, of_ada, 13, "ok", "480 hours").await;
    call(&db, &eve, of_eve, 1_000, "ok", "0 seconds").await;
    let days = days_of(&db, &ada, &last_days(Tz::UTC)).await.expect("days");
    assert_eq!(days.len(), 30);
    assert!(days.windows(2).all(|pair| pair[0].day < pair[1].day), "oldest first");
    assert!(days.iter().all(|day| day.day.rfc3339().ends_with("T00:00:00Z")), "days begin at midnight UTC");
    let last: Vec<_> = days.iter().rev().take(3).map(|day| (day.calls, day.failed, day.charge.0)).collect();
    assert_eq!(last, [(2, 1, 12), (1, 0, 11), (0, 0, 0)]);
}

#[sqlx::test]
async fn days_say_which_models_they_were_for(db: PgPool) {
    let ada = member(&db, "ada@example.com").await;
    let key_id = key(&db, &ada, "laptop").await;
    for (model_id, charge, outcome, ago) in [
        ("acme/small", 5, "ok", "0 seconds"),
        ("beta/large", 70, "ok", "0 seconds"),
        ("acme/small", 7, "upstream_cut", "0 seconds"),
        ("beta/large", 11, "ok", "24 hours"),
    ] {
        call_of_model(&db, &ada, key_id, model_id, charge, outcome, ago).await;
    }
    let days = days_of(&db, &ada, &last_days(Tz::UTC)).await.expect("days");
    assert_eq!(days.len(), 30);
    let charge = |model_id: &str, charge| ModelCharge { model_id: model_id.into(), charge: Tokens(charge) };
    let [.., before, yesterday, today] = days.as_slice() else { panic!("30 days") };
    assert_eq!((today.calls, today.failed, today.charge), (3, 1, Tokens(82)));
    assert_eq!(today.models, [charge("acme/small", 12), charge("beta/large", 70)]);
    assert_eq!((yesterday.charge, yesterday.models.as_slice()), (Tokens(11), [charge("beta/large", 11)].as_slice()));
    assert_eq!((before.calls, before.charge, before.models.len()), (0, Tokens(0), 0));
}

#[sqlx::test]
async fn a_grant_is_in_the_wallet_from_when_it_can_be_spent_until_it_can_no_more(db: PgPool) {
    let (ada, eve) = (member(&db, "ada@example.com").await, member(&db, "eve@example.com").await);
    let range = last_days(Tz::UTC);
    let others = async || -> Vec<i64> {
        let days = days_of(&db, &ada, &range).await.expect("days");
        assert_eq!(days.len(), 30);
        days.iter().rev().take(4).map(|day| day.others.0).collect()
    };
    let credit = async |tokens: i64, starts: &str, ends: &str| {
        let grant_id = fixtures::credit(&db, ada.account_id(), tokens, TimeDelta::days(1)).await;
        sqlx::query("UPDATE grants SET starts_at = now() + $2::interval, expires_at = now() + $3::interval WHERE grant_id = $1")
            .bind(grant_id.0)
            .bind(starts)
            .bind(ends)
            .execute(&db)
            .await
            .expect("grant");
    };
    assert_eq!(others().await, [0; 4]);
    grant(&db, &eve, 5_000, 7_200).await;
    credit(100, "-1 hour", "2 days").await;
    credit(500, "1 day", "2 days").await;
    assert_eq!(others().await, [100, 0, 0, 0], "what is yet to begin is not in it");
    credit(30, "-96 hours", "-48 hours").await;
    assert_eq!(others().await, [130, 0, -30, 0]);
    sweep_expired_grants(&db, 10).await.expect("swept");
    assert_eq!(others().await, [130, 0, -30, 0], "whenever its end was written");
}

#[sqlx::test]
async fn models_by_age_put_a_new_one_last(db: PgPool) {
    let supplier_id = fixtures::supplier(&db, "acme").await;
    for model_id in ["acme/old", "acme/middle", "acme/a-new-one"] {
        fixtures::model(&db, model_id, supplier_id).await;
    }
    let ada = member(&db, "ada@example.com").await;
    let (_, models) = steps_and_models(&db, &ada).await.expect("models");
    assert_eq!(models, ["acme/old", "acme/middle", "acme/a-new-one"]);
    let (steps, models) = glance(&db, &ada, false).await.expect("steps");
    assert_eq!((steps, models), (first_steps(&db, &ada).await.expect("steps"), Vec::new()), "who only asks for the steps reads no model");
}

#[sqlx::test]
async fn days_are_the_readers_whatever_zone_the_session_is_in(db: PgPool) {
    let ada = member(&db, "ada@example.com").await;
    let key_id = key(&db, &ada, "laptop").await;
    for ago in ["1 hour", "20 hours", "40 hours"] {
        call(&db, &ada, key_id, 5, "ok", ago).await;
    }
    let options = db.connect_options().as_ref().clone().options([("timezone", "Pacific/Kiritimati")]);
    let elsewhere = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect_with(options).await.expect("pool");
    for zone in [Tz::UTC, Tz::Asia__Shanghai, Tz::Asia__Kolkata] {
        let range = last_days(zone);
        let here = days_of(&db, &ada, &range).await.expect("days");
        assert_eq!(days_of(&elsewhere, &ada, &range).await.expect("days"), here);
        let hours = |ago: i64| (range.end - (Utc::now() - TimeDelta::hours(ago))).num_minutes() / (24 * 60);
        let mut calls = vec![0; 30];
        for ago in [1, 20, 40] {
            calls[29 - usize::try_from(hours(ago)).expect("a day")] += 1;
        }
        assert_eq!(here.iter().map(|day| day.calls).collect::<Vec<_>>(), calls, "{zone}");
    }
}

#[sqlx::test]
async fn recent_calls_are_the_latest_of_the_account(db: PgPool) {
    let (ada, eve) = (member(&db, "ada@example.com").await, member(&db, "eve@example.com").await);
    let (of_ada, of_eve) = (key(&db, &ada, "laptop").await, key(&db, &eve, "server").await);
    let made = [
        (0, "ok", "6 hours"),
        (1, "ok", "5 hours"),
        (2, "ok", "4 hours"),
        (3, "ok", "3 hours"),
        (4, "key_ended", "2 hours"),
        (5, "interrupted", "1 hour"),
    ];
    for (charge, outcome, ago) in made {
        call(&db, &ada, of_ada, charge, outcome, ago).await;
    }
    call(&db, &eve, of_eve, 9, "ok", "1 minute").await;
    let calls = recent_calls(&db, &ada).await.expect("calls");
    let seen: Vec<_> = calls.iter().map(|call| (call.charge.0, call.outcome, call.key_name.as_str())).collect();
    let (failed, stopped) = ((5, CallOutcome::Failed, "laptop"), (4, CallOutcome::Stopped, "laptop"));
    assert_eq!(seen[..2], [failed, stopped]);
    assert_eq!(seen[2..], [3, 2, 1].map(|charge| (charge, CallOutcome::Completed, "laptop")));
}

#[sqlx::test]
async fn packages_on_sale_shows_no_disabled_one(db: PgPool) {
    for (name, price_minor, status) in [("Large", 5_000, "on_sale"), ("Small", 500, "on_sale"), ("Secret", 1, "disabled")] {
        package(&db, name, price_minor, status).await;
    }
    let packages = packages_on_sale(&db, 3).await.expect("packages");
    let names: Vec<_> = packages.iter().map(|package| (package.name.as_str(), package.price.exact())).collect();
    assert_eq!(names, [("Small", "$5.00".to_string()), ("Large", "$50.00".to_string())]);
    assert_eq!(packages_on_sale(&db, 1).await.expect("packages").len(), 1);
}
