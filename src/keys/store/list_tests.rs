//! Tests of the list of keys: filters, orders, pages, and several keys changed at once.

use super::*;
use crate::keys::store::{KeyEdit, KeyOwner, NewKey, change_keys, key_by_id, update_key};
use crate::keys::types::KeyStatus;
use crate::keys::types_list::{KeyOrder, KeysChange};
use crate::tokens::Tokens;
use crate::wallet::fixtures::{self, plain_key};
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

async fn names(db: &PgPool, reader: &Reader, filter: KeyFilter) -> Vec<String> {
    let (rows, more_after) = keys_of(db, reader, &filter, 50).await.expect("keys");
    assert_eq!(more_after, None);
    rows.into_iter().map(|row| row.name).collect()
}

fn ordered(order: KeyOrder) -> KeyFilter {
    KeyFilter { order, ..KeyFilter::default() }
}

async fn count(db: &PgPool, kind: &str) -> i64 {
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM journal WHERE kind = $1"#, kind);
    count.fetch_one(db).await.expect("a count")
}

#[sqlx::test]
async fn keys_are_found_by_name_hint_status_and_supplier(db: PgPool) {
    let (ada, eve) = (fixtures::member(&db, "ada").await, fixtures::member(&db, "eve").await);
    let alpha = fixtures::supplier(&db, "alpha").await;
    let (_, secret) = fixtures::key(&db, &ada, plain_key("Support bot")).await;
    fixtures::key(&db, &ada, NewKey { supplier_id: Some(alpha), ..plain_key("100 % robot_") }).await;
    fixtures::key(&db, &ada, NewKey { enabled: false, ..plain_key("old") }).await;
    fixtures::key(&db, &eve, plain_key("bot of eve")).await;
    let (gone, _) = fixtures::key(&db, &ada, plain_key("gone bot")).await;
    change_keys(&db, &ada, &[gone], KeysChange::Delete).await.expect("deleted");
    let expires_at = Some(Utc::now() + TimeDelta::hours(1));
    fixtures::key(&db, &ada, NewKey { expires_at, ..plain_key("late") }).await;
    sqlx::query!("UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE name = 'late'").execute(&db).await.expect("expired");

    let searched = |text: &str| KeyFilter { search: Some(text.into()), ..ordered(KeyOrder::Name) };
    assert_eq!(names(&db, &ada, searched("BOT")).await, ["100 % robot_", "Support bot"]);
    assert_eq!(names(&db, &ada, searched("% robot_")).await, ["100 % robot_"]);
    assert!(names(&db, &ada, searched("%bot")).await.is_empty(), "it is looked for as it stands");
    let hint = secret.hint();
    let end: String = hint.chars().skip(hint.chars().count() - 4).collect();
    assert_eq!(names(&db, &ada, searched(&end)).await, ["Support bot"]);

    let with = |status| KeyFilter { status: Some(status), ..ordered(KeyOrder::Name) };
    assert_eq!(names(&db, &ada, with(KeyStatus::Enabled)).await, ["100 % robot_", "Support bot"]);
    assert_eq!(names(&db, &ada, with(KeyStatus::Disabled)).await, ["old"]);
    assert_eq!(names(&db, &ada, with(KeyStatus::Expired)).await, ["late"]);
    let tied = |supplier_id| KeyFilter { supplier_id: Some(supplier_id), ..ordered(KeyOrder::Name) };
    assert_eq!(names(&db, &ada, tied(Some(alpha))).await, ["100 % robot_"]);
    assert_eq!(names(&db, &ada, tied(None)).await, ["late", "old", "Support bot"]);
    let tied_to = suppliers_of_keys(&db, &ada).await.expect("suppliers");
    assert_eq!(tied_to.iter().map(|supplier| supplier.supplier_id).collect::<Vec<_>>(), [alpha]);
    assert!(has_keys(&db, &ada).await.expect("a look"));
}

#[sqlx::test]
async fn every_order_goes_through_all_keys_once_a_page_at_a_time(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    for (name, quota, spent, used) in [
        ("c", Some(100), 90, Some(1)),
        ("A", Some(1_000), 0, None),
        ("b", None, 500, Some(3)),
        ("d", Some(100), 90, Some(2)),
        ("e", Some(5), 5, None),
    ] {
        let (key_id, _) = fixtures::key(&db, &ada, NewKey { quota: quota.map(Tokens), ..plain_key(name) }).await;
        sqlx::query!(
            "UPDATE api_keys SET spent = $2, last_used_at = now() - make_interval(hours => $3) WHERE key_id = $1",
            key_id.0,
            spent,
            used
        )
        .execute(&db)
        .await
        .expect("used");
    }
    for (order, expected) in [
        (KeyOrder::Newest, "edbAc"),
        (KeyOrder::Oldest, "cAbde"),
        (KeyOrder::Name, "Abcde"),
        (KeyOrder::Used, "cdbAe"),
        (KeyOrder::Unused, "Aebdc"),
        (KeyOrder::LeastLeft, "ecdAb"),
        (KeyOrder::MostLeft, "bAcde"),
    ] {
        assert_eq!(names(&db, &ada, ordered(order)).await.concat(), expected, "{order:?}");
        let (mut paged, mut after) = (String::new(), None);
        loop {
            let filter = KeyFilter { after, ..ordered(order) };
            let (rows, more_after) = keys_of(&db, &ada, &filter, 2).await.expect("keys");
            assert!(rows.len() <= 2);
            paged.extend(rows.into_iter().map(|row| row.name));
            after = more_after;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(paged, expected, "{order:?}, paged");
    }
}

#[sqlx::test]
async fn a_page_goes_on_after_a_key_that_was_deleted_meanwhile(db: PgPool) {
    let (ada, eve) = (fixtures::member(&db, "ada").await, fixtures::member(&db, "eve").await);
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(fixtures::key(&db, &ada, plain_key(name)).await.0);
    }
    change_keys(&db, &ada, &ids[1..2], KeysChange::Delete).await.expect("deleted");
    let after = |after| KeyFilter { after: Some(after), ..ordered(KeyOrder::Name) };
    assert_eq!(names(&db, &ada, after(ids[1])).await, ["c"]);
    let (of_eve, _) = fixtures::key(&db, &eve, plain_key("a")).await;
    assert!(names(&db, &ada, after(of_eve)).await.is_empty(), "another account's key is no place in this list");
}

#[sqlx::test]
async fn several_keys_are_changed_at_once_with_an_entry_for_each(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(fixtures::key(&db, &ada, plain_key(name)).await.0);
    }
    let off = KeyEdit { enabled: Some(false), ..KeyEdit::default() };
    update_key(&db, KeyOwner::Member(&ada), ids[0], off).await.expect("disabled");

    change_keys(&db, &ada, &ids[..2], KeysChange::Disable).await.expect("disabled");
    assert_eq!(count(&db, "key.disabled").await, 2, "the first was so already");
    change_keys(&db, &ada, &ids, KeysChange::Enable).await.expect("enabled");
    assert_eq!(count(&db, "key.enabled").await, 2);
    let chosen = chosen_keys_of(&db, &ada, &ids).await.expect("keys");
    assert!(chosen.iter().all(|row| row.status == KeyStatus::Enabled));
    change_keys(&db, &ada, &ids, KeysChange::Delete).await.expect("deleted");
    assert_eq!(count(&db, "key.deleted").await, 3);
    assert!(!has_keys(&db, &ada).await.expect("a look"));
}

#[sqlx::test]
async fn one_key_that_cannot_be_changed_and_none_is(db: PgPool) {
    let (ada, eve) = (fixtures::member(&db, "ada").await, fixtures::member(&db, "eve").await);
    let (own, _) = fixtures::key(&db, &ada, plain_key("own")).await;
    let (of_eve, _) = fixtures::key(&db, &eve, plain_key("hers")).await;
    for change in [KeysChange::Enable, KeysChange::Disable, KeysChange::Delete] {
        let refused = change_keys(&db, &ada, &[own, of_eve], change).await;
        assert!(matches!(refused, Err(KeyError::NotFound)), "{refused:?}");
    }
    for (member, key_id) in [(&ada, own), (&eve, of_eve)] {
        let row = key_by_id(&db, KeyOwner::Member(member), key_id).await.expect("a key");
        assert_eq!(row.status, KeyStatus::Enabled);
    }
    assert_eq!(count(&db, "key.disabled").await + count(&db, "key.deleted").await, 0);
}
