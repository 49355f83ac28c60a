//! Tests of `store`: who is told what, once while it lasts.

use super::*;
use crate::mail::letter::Body;
use crate::wallet::fixtures::{self, outbox};
use chrono::TimeDelta;
use std::net::IpAddr;

/// The letters that wait, the oldest first: kind, words.
async fn letters(db: &PgPool) -> Vec<(String, String)> {
    let mut letters = Vec::new();
    while let Some(taken) = outbox().take(db).await.expect("take") {
        let Body { text, html } = taken.body.expect("opens");
        assert!(html.contains("/settings#notices"), "it can be turned off");
        letters.push((taken.kind, text));
    }
    letters
}

async fn told(db: &PgPool) -> i64 {
    tell_all(db, &outbox(), 100).await.expect("told")
}

async fn wants_below(db: &PgPool, reader: &Reader, tokens: Option<i64>) {
    let wanted = NoticeSettings { balance_below: tokens.map(Tokens), ..NoticeSettings::default() };
    save_settings(db, reader, wanted).await.expect("saved");
}

#[sqlx::test]
async fn a_low_balance_is_told_once_until_it_was_higher_again(db: PgPool) {
    let (ada, bob) = (fixtures::member(&db, "ada").await, fixtures::member(&db, "bob").await);
    fixtures::credit(&db, ada.account_id(), 100, TimeDelta::days(30)).await;
    assert_eq!(told(&db).await, 0, "nobody asked for it");
    assert_eq!(settings_of(&db, &ada).await.expect("settings"), NoticeSettings::default());
    wants_below(&db, &ada, Some(100)).await;
    assert_eq!(told(&db).await, 0, "it is not below");
    wants_below(&db, &ada, Some(101)).await;
    assert_eq!((told(&db).await, told(&db).await), (1, 0));
    let sent = letters(&db).await;
    assert_eq!(sent[0].0, "balance");
    assert!(sent[0].1.contains("has 100 Tokens left") && sent[0].1.contains("less than 101"), "{}", sent[0].1);

    fixtures::credit(&db, ada.account_id(), 50, TimeDelta::days(30)).await;
    assert_eq!(told(&db).await, 0);
    sqlx::query!("UPDATE notice_settings SET balance_below = 1000").execute(&db).await.expect("as if they were spent");
    assert_eq!(told(&db).await, 1, "it comes again");
    wants_below(&db, &ada, Some(2000)).await;
    assert_eq!(told(&db).await, 1, "another balance is another notice");
    wants_below(&db, &ada, None).await;
    assert_eq!((told(&db).await, settings_of(&db, &bob).await.expect("settings").balance_below), (0, None));
}

#[sqlx::test]
async fn what_expires_is_told_a_week_and_a_day_before(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    fixtures::credit(&db, ada.account_id(), 70, TimeDelta::days(30)).await;
    // What lives that short anyway.
    fixtures::credit(&db, ada.account_id(), 5, TimeDelta::hours(20)).await;
    fixtures::credit(&db, ada.account_id(), 5, TimeDelta::days(6)).await;
    assert_eq!(told(&db).await, 0);
    let near = |left: &'static str| {
        sqlx::query::<sqlx::Postgres>(sqlx::AssertSqlSafe(format!(
            "UPDATE grants SET starts_at = now() - interval '20 days', expires_at = now() + interval '{left}' WHERE tokens = 70"
        )))
    };
    near("6 days").execute(&db).await.expect("later");
    assert_eq!((told(&db).await, told(&db).await), (1, 0));
    near("23 hours").execute(&db).await.expect("later");
    assert_eq!((told(&db).await, told(&db).await), (1, 0));
    let letters = letters(&db).await;
    assert_eq!(letters.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), ["expires_week", "expires_day"]);
    assert!(letters[0].1.contains("70 Tokens in the wallet of ada@example.com"), "{}", letters[0].1);

    // Nothing left, or not wanted.
    sqlx::query!("DELETE FROM notices").execute(&db).await.expect("as if nobody was told");
    let silent = NoticeSettings { expiring: false, ..NoticeSettings::default() };
    save_settings(&db, &ada, silent).await.expect("saved");
    assert_eq!(told(&db).await, 0);
    save_settings(&db, &ada, NoticeSettings::default()).await.expect("saved");
    sqlx::query!("UPDATE grants SET left_ = 0, spent = tokens WHERE tokens = 70").execute(&db).await.expect("spent");
    assert_eq!(told(&db).await, 0);
}

#[sqlx::test]
async fn a_key_near_its_quota_is_told_once_until_it_has_more(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let (key_id, _) = fixtures::key(&db, &ada, fixtures::plain_key("support bot")).await;
    let set = |sql: &'static str| sqlx::query::<sqlx::Postgres>(sql).bind(key_id.0);
    set("UPDATE api_keys SET quota = 100, spent = 89 WHERE key_id = $1").execute(&db).await.expect("used");
    assert_eq!(told(&db).await, 0, "eleven left");
    set("UPDATE api_keys SET spent = 90 WHERE key_id = $1").execute(&db).await.expect("used");
    assert_eq!((told(&db).await, told(&db).await), (1, 0));
    let letter = letters(&db).await.remove(0);
    assert!(letter.0 == "key_quota" && letter.1.contains("\"support bot\"") && letter.1.contains("has 10 of the 100 Tokens"), "{letter:?}");
    set("UPDATE api_keys SET quota = 200 WHERE key_id = $1").execute(&db).await.expect("more");
    assert_eq!(told(&db).await, 0);
    set("UPDATE api_keys SET spent = 200 WHERE key_id = $1").execute(&db).await.expect("used");
    assert_eq!(told(&db).await, 1);
    sqlx::query!("DELETE FROM notices").execute(&db).await.expect("as if nobody was told");
    set("UPDATE api_keys SET status = 'disabled' WHERE key_id = $1").execute(&db).await.expect("off");
    assert_eq!(told(&db).await, 0, "a key that is off spends nothing");
}

#[sqlx::test]
async fn replicas_that_look_at_once_tell_once(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    wants_below(&db, &ada, Some(10)).await;
    let tells: Vec<i64> = futures::future::join_all((0..8).map(|_| told(&db))).await;
    assert_eq!(tells.iter().sum::<i64>(), 1);
    assert_eq!(letters(&db).await.len(), 1);
}

#[sqlx::test]
async fn a_new_browser_is_told_but_the_first_and_whoever_wants_it_not(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let origin = Origin { address: Some(IpAddr::from([203, 0, 113, 7])), device: "Firefox on Linux".into() };
    let sign_in = async |device: u8| note_device(&db, &outbox(), ada.user_id(), &[device; 32], &origin).await.expect("noted");
    for device in [1, 1, 2, 2, 1] {
        sign_in(device).await;
    }
    let told = letters(&db).await;
    assert_eq!(told.len(), 1);
    assert!(told[0].1.contains("Firefox on Linux, from 203.0.113.7, on "), "{}", told[0].1);
    save_settings(&db, &ada, NoticeSettings { new_device: false, ..NoticeSettings::default() }).await.expect("saved");
    sign_in(3).await;
    assert_eq!(letters(&db).await.len(), 0);
}

#[sqlx::test]
async fn owners_and_admins_are_told_and_nobody_else(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    for (name, role) in [("bob", "admin"), ("cleo", "member"), ("dan", "read_only")] {
        let user_id = fixtures::member(&db, name).await.user_id();
        let join = "INSERT INTO members (account_id, user_id, role) VALUES ($1, $2, $3)";
        sqlx::query(join).bind(ada.account_id().0).bind(user_id.0).bind(role).execute(&db).await.expect("joined");
    }
    fixtures::credit(&db, ada.account_id(), 70, TimeDelta::days(30)).await;
    sqlx::query("UPDATE grants SET starts_at = now() - interval '20 days', expires_at = now() + interval '6 days'")
        .execute(&db)
        .await
        .expect("later");
    assert_eq!(told(&db).await, 2);
    let mut recipients = sqlx::query_scalar!("SELECT recipient FROM mails").fetch_all(&db).await.expect("mails");
    recipients.sort();
    assert_eq!(recipients, ["ada@example.com", "bob@example.com"]);
}
