//! The account log is appended to, narrowed and paged through, and never changed.

use super::*;
use crate::accounts::rights::Origin;
use crate::accounts::store::{insert_account, reader_of};
use crate::accounts::types::{Email, Password};
use crate::ids::KeyId;
use crate::journal::record::{Actor, Entry, record_in, record_of_user_in};
use crate::journal::types::Group;
use chrono_tz::Tz;
use sqlx::PgPool;

async fn member(db: &PgPool, email: &str) -> Reader {
    let (email, password) = (Email::parse(email).expect("an address"), Password::parse("correct horse".into()).expect("a password"));
    let new = insert_account(db, &email, password, false).await.expect("account");
    let origin = Origin { address: "203.0.113.7".parse().ok(), device: "Firefox on Linux".into() };
    reader_of(db, new.user_id, None).await.expect("read").expect("a member").from(origin)
}

async fn record(db: &PgPool, member: &Reader, entry: Entry<'_>) {
    let mut tx = db.begin().await.expect("begin");
    record_in(&mut tx, member.account_id(), Actor::of(member), entry).await.expect("recorded");
    tx.commit().await.expect("commit");
}

async fn found(db: &PgPool, member: &Reader, group: &str, search: &str) -> Vec<Kind> {
    let filter = Filter::parse(group, "", "", search, Tz::UTC).expect("a filter");
    entries_of(db, member, &filter, None, 100).await.expect("entries").iter().map(|entry| entry.kind).collect()
}

#[sqlx::test]
async fn entries_say_who_and_from_where_and_are_found_by_it(db: PgPool) {
    let ada = member(&db, "ada@example.com").await;
    let key_id = KeyId::generate();
    record(&db, &ada, Entry::of(Kind::KeyCreated).about(key_id.0, "support bot")).await;
    record(&db, &ada, Entry::of(Kind::KeyEdited).about(key_id.0, "support bot").saying("quota")).await;
    let mut tx = db.begin().await.expect("begin");
    record_of_user_in(&mut tx, ada.user_id(), Actor::Operator(None), Entry::of(Kind::PasswordChanged)).await.expect("recorded");
    record_in(&mut tx, ada.account_id(), Actor::System, Entry::of(Kind::OrderFulfilled)).await.expect("recorded");
    tx.commit().await.expect("commit");

    let entries = entries_of(&db, &ada, &Filter::default(), None, 100).await.expect("entries");
    let oldest = entries.last().expect("four");
    assert_eq!((oldest.kind, &oldest.who), (Kind::KeyCreated, &Who::User("ada@example.com".into())));
    assert_eq!((oldest.address.as_deref(), oldest.device.as_deref()), (Some("203.0.113.7"), Some("Firefox on Linux")));
    assert_eq!(oldest.page(), Some(format!("/keys/{key_id}")));
    assert_eq!((&entries[0].who, &entries[1].who, entries[1].address.as_deref()), (&Who::System, &Who::Operator, None));

    assert_eq!(found(&db, &ada, "key", "").await, [Kind::KeyEdited, Kind::KeyCreated]);
    assert_eq!(found(&db, &ada, Group::Access.as_str(), "").await, [Kind::PasswordChanged]);
    for (search, wanted) in [
        ("SUPPORT", &[Kind::KeyEdited, Kind::KeyCreated][..]),
        ("203.0.113", &[Kind::KeyEdited, Kind::KeyCreated]),
        ("quota", &[Kind::KeyEdited]),
        ("password", &[Kind::PasswordChanged]),
        ("operator", &[Kind::PasswordChanged]),
        (&key_id.to_string()[..20], &[Kind::KeyEdited, Kind::KeyCreated]),
        ("%", &[]),
        ("ada_example", &[]),
    ] {
        assert_eq!(found(&db, &ada, "", search).await, wanted, "{search}");
    }
    let days = |since: &str, until: &str| Filter::parse("", since, until, "", Tz::UTC).expect("a filter");
    for (filter, count) in [(days("2000-01-01", ""), 4), (days("", "2000-01-01"), 0), (days("2999-01-01", ""), 0)] {
        assert_eq!(entries_of(&db, &ada, &filter, None, 100).await.expect("entries").len(), count, "{filter:?}");
    }
    let eve = member(&db, "eve@example.com").await;
    assert!(found(&db, &eve, "", "").await.is_empty(), "another account's");
}

#[sqlx::test]
async fn users_are_called_by_the_address_that_they_have_and_it_is_not_written_down(db: PgPool) {
    let (ada, eve) = (member(&db, "ada@example.com").await, member(&db, "eve@example.com").await);
    record(&db, &ada, Entry::of(Kind::RoleChanged).about_user(eve.user_id()).saying("Member to Admin")).await;
    let row: String = sqlx::query_scalar("SELECT journal::text FROM journal").fetch_one(&db).await.expect("a row");
    assert!(!row.contains("@example.com") && row.contains(&eve.user_id().to_string()), "{row}");
    for address in ["eve@example.com", "lovelace@example.com"] {
        sqlx::query("UPDATE users SET email = $2 WHERE user_id = $1")
            .bind(eve.user_id().0)
            .bind(address)
            .execute(&db)
            .await
            .expect("theirs");
        let entry = entries_of(&db, &ada, &Filter::default(), None, 1).await.expect("entries").pop().expect("one");
        assert_eq!((entry.subject_id, entry.name.as_deref()), (Some(eve.user_id().0), Some(address)));
        assert_eq!(found(&db, &ada, "", address).await, [Kind::RoleChanged], "{address}");
    }
    assert!(found(&db, &ada, "", "eve@example.com").await.is_empty());
}

#[sqlx::test]
async fn pages_follow_each_other_without_a_gap(db: PgPool) {
    let ada = member(&db, "ada@example.com").await;
    for number in 0..7 {
        record(&db, &ada, Entry::of(Kind::KeyEdited).saying(number.to_string())).await;
    }
    let (mut before, mut seen) = (None, Vec::new());
    loop {
        let page = entries_of(&db, &ada, &Filter::default(), before, 3).await.expect("entries");
        let Some(last) = page.last() else { break };
        before = Some(last.entry_id);
        seen.extend(page.into_iter().filter_map(|entry| entry.detail));
    }
    assert_eq!(seen, ["6", "5", "4", "3", "2", "1", "0"]);
}

#[sqlx::test]
async fn nothing_in_it_changes_and_no_name_is_too_long(db: PgPool) {
    let ada = member(&db, "ada@example.com").await;
    record(&db, &ada, Entry::of(Kind::KeyCreated).about(KeyId::generate().0, &"ü".repeat(300)).saying("x".repeat(600))).await;
    for sql in ["UPDATE journal SET name = 'x'", "DELETE FROM journal", "TRUNCATE journal"] {
        assert!(sqlx::query(sql).execute(&db).await.is_err(), "{sql}");
    }
    let entry = entries_of(&db, &ada, &Filter::default(), None, 1).await.expect("entries").pop().expect("one");
    assert_eq!((entry.name.map(|name| name.chars().count()), entry.detail.map(|detail| detail.len())), (Some(254), Some(500)));
    let mut tx = db.begin().await.expect("begin");
    record_in(&mut tx, ada.account_id(), Actor::of(&ada), Entry::of(Kind::KeyCreated)).await.expect("recorded");
    tx.rollback().await.expect("rolled back");
    assert_eq!(found(&db, &ada, "", "").await.len(), 1, "what did not happen is not written down");
}
