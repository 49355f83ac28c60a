//! Tests of totals by member, of keys that changed hands.

use super::*;
use crate::accounts::types_members::KeysLeft;
use crate::keys::store::release_keys_in;
use crate::wallet::fixtures::{self, Used, plain_key};
use chrono::{NaiveTime, TimeDelta};
use chrono_tz::Tz;
use sqlx::PgPool;

const USED: Used = Used { input: 11, cached: 5, output: 3 };

#[sqlx::test]
async fn what_a_key_used_before_it_was_handed_over_is_nobodys_of_now(db: PgPool) {
    let (ada, bob) = (fixtures::member(&db, "ada").await, fixtures::member(&db, "bob").await);
    let supplier_id = fixtures::supplier(&db, "alpha").await;
    fixtures::model(&db, "alpha/one", supplier_id).await;
    fixtures::credit(&db, ada.account_id(), 100_000, TimeDelta::days(1)).await;
    let (key_id, secret) = fixtures::key(&db, &ada, plain_key("bot")).await;
    let joined = "INSERT INTO members (account_id, user_id, role) VALUES ($1, $2, 'member')";
    sqlx::query(joined).bind(ada.account_id().0).bind(bob.user_id().0).execute(&db).await.expect("a member");
    sqlx::query("UPDATE api_keys SET created_by = $1").bind(bob.user_id().0).execute(&db).await.expect("his");
    let day = (Utc::now() - TimeDelta::days(3)).date_naive();
    let noon = day.and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(12);
    // The day before, the hour before, in the hour, the hour after, the day after, and two days after.
    for minutes in [-24 * 60, -30, 50, 60, 24 * 60, 48 * 60] {
        fixtures::call_at(&db, &secret, "alpha/one", USED, noon + TimeDelta::minutes(minutes)).await;
    }
    let day_alone = day.format("%Y-%m-%d").to_string();
    let range = |from: &str, to: &str, zone| Range::parse("30d", from, to, zone, Utc::now()).expect("a range");
    let parts = async |whose: &Whose, range: &Range, group| -> Vec<(String, i64, i64)> {
        let parts = parts_of(&db, &ada, whose, range, group).await.expect("parts");
        for part in &parts {
            assert_eq!(part.charged.iter().map(|tokens| tokens.0).sum::<i64>(), part.sums.charged.0);
            assert_eq!(part.before_handover(), part.id.is_empty() && part.name.is_empty());
        }
        parts.into_iter().map(|part| (part.name, part.sums.calls, part.sums.charged.0)).collect()
    };
    let of = |name: &str, calls: i64| (name.to_string(), calls, calls * USED.charge());
    let all = Whose::default();
    let month = range("", "", Tz::UTC);
    assert_eq!(month.totals_unit(), "day");
    assert_eq!(parts(&all, &month, Group::Member).await, [of("bob@example.com", 6)]);

    let mut tx = db.begin().await.expect("begin");
    release_keys_in(&mut tx, &ada, bob.user_id(), KeysLeft::HandedOver, ada.user_id()).await.expect("handed over");
    tx.commit().await.expect("commit");
    assert_eq!(parts(&all, &month, Group::Member).await, [of("", 6)], "all was his");

    sqlx::query("UPDATE api_keys SET inherited_at = $1").bind(noon + TimeDelta::minutes(20)).execute(&db).await.expect("then");
    // By the day, by the hour of that day, in a zone whose days are hours of two days of UTC, and of one key or model.
    let of_key = Whose { key_id: Some(key_id), model_id: Some("alpha/one".into()), ..Whose::default() };
    for whose in [&all, &of_key] {
        let mut by_name = parts(whose, &month, Group::Member).await;
        by_name.sort();
        assert_eq!(by_name, [of("", 3), of("ada@example.com", 3)]);
        let mut by_name = parts(whose, &range("", "", Tz::Asia__Kolkata), Group::Member).await;
        by_name.sort();
        assert_eq!(by_name, [of("", 3), of("ada@example.com", 3)]);
        let mut by_name = parts(whose, &range(&day_alone, &day_alone, Tz::UTC), Group::Member).await;
        by_name.sort();
        assert_eq!(by_name, [of("", 2), of("ada@example.com", 1)]);
        assert_eq!(parts(whose, &month, Group::Key).await, [of("bot", 6)], "a key is one key");
    }
    let day_of = month.starts.iter().position(|start| start.date_naive() == day).expect("a bucket");
    for part in parts_of(&db, &ada, &all, &month, Group::Member).await.expect("parts") {
        let calls = if part.before_handover() { 2 } else { 1 };
        assert_eq!(part.charged.get(day_of), Some(&Tokens(calls * USED.charge())), "{}", part.name);
    }
}
