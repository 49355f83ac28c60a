//! What a member may spend: decided with each call, over all of their keys, and exact whoever calls at once.

use super::*;
use crate::accounts::rights::Member;
use crate::keys::secret::KeySecret;
use crate::wallet::audit::audit;
use crate::wallet::fixtures::{self, Used};
use crate::wallet::ledger::{self, Verdict};
use chrono::{DateTime, Datelike, Months, TimeDelta, Utc};

/// An owner with Tokens and two keys, and `acme/m`: 1 × for input, 2 × for output.
async fn ada(db: &PgPool) -> (Owner, [KeySecret; 2]) {
    let supplier_id = fixtures::supplier(db, "acme").await;
    fixtures::model(db, "acme/m", supplier_id).await;
    let ada = fixtures::member(db, "ada").await;
    fixtures::credit(db, ada.account_id(), 100_000, TimeDelta::days(90)).await;
    let one = fixtures::key(db, &ada, fixtures::plain_key("one")).await.1;
    let two = fixtures::key(db, &ada, fixtures::plain_key("two")).await.1;
    (ada, [one, two])
}

async fn limit(db: &PgPool, admin: &Admin, user_id: UserId, quota: Option<i64>, month_quota: Option<i64>) {
    let limits = MemberLimits { quota: quota.map(Tokens), month_quota: month_quota.map(Tokens) };
    set_limits(db, admin, user_id, limits).await.expect("limited");
}

/// A key of the account that somebody else made.
async fn key_of_another(db: &PgPool, ada: &Owner) -> KeySecret {
    let bob = fixtures::member(db, "bob").await;
    sqlx::query!("INSERT INTO members (account_id, user_id, role) VALUES ($1, $2, 'member')", ada.account_id().0, bob.user_id().0)
        .execute(db)
        .await
        .expect("a member");
    let secret = fixtures::key(db, ada, fixtures::plain_key("of bob")).await.1;
    sqlx::query!("UPDATE api_keys SET created_by = $1 WHERE name = 'of bob'", bob.user_id().0).execute(db).await.expect("his");
    secret
}

/// What a call of input 10 and this output limit is answered.
async fn ask(db: &PgPool, secret: &KeySecret, output_limit: i64) -> String {
    match fixtures::try_admit(db, secret, "acme/m", 10, output_limit).await {
        Verdict::Admitted(call) => format!("{} held", call.held.0),
        verdict => format!("{verdict:?}"),
    }
}

async fn use_of(db: &PgPool, member: &Member) -> (i64, i64) {
    let members = members_of(db, member).await.expect("members");
    let usage = members.into_iter().find(|other| other.user_id == member.user_id()).expect("themselves").usage;
    (usage.used.0, usage.used_this_month.0)
}

#[sqlx::test]
async fn what_a_key_spent_before_it_was_handed_over_is_not_its_heirs(db: PgPool) {
    let (ada, _) = ada(&db).await;
    let of_bob = key_of_another(&db, &ada).await;
    for output in [20, 10] {
        let call = fixtures::admit(&db, &of_bob, "acme/m", 10, output).await;
        fixtures::settle(&db, &call, Used { input: 10, cached: 0, output }, Utc::now()).await;
    }
    let held = fixtures::admit(&db, &of_bob, "acme/m", 10, 5).await;
    limit(&db, &ada, ada.user_id(), Some(60), Some(60)).await;
    let bob = sqlx::query_scalar!("SELECT created_by FROM api_keys WHERE name = 'of bob'").fetch_one(&db).await.expect("bob");
    let outbox = crate::wallet::fixtures::outbox();
    remove(&db, &outbox, &ada, UserId(bob), KeysLeft::HandedOver).await.expect("removed");
    // 50 + 30 were his. What runs when the key changes hands is hers.
    assert_eq!(use_of(&db, &ada).await, (20, 20));
    fixtures::settle(&db, &held, Used { input: 10, cached: 0, output: 0 }, Utc::now()).await;
    assert_eq!(use_of(&db, &ada).await, (10, 10));
    assert_eq!(ask(&db, &of_bob, 100).await, "50 held");
    assert!(audit(&db, None).await.expect("audit").differences.is_empty());
}

/// In the middle of the month before this one.
fn last_month() -> DateTime<Utc> {
    let now = Utc::now();
    (now - TimeDelta::days(i64::from(now.day()) - 1)).checked_sub_months(Months::new(1)).expect("a month before") + TimeDelta::days(14)
}

#[sqlx::test]
async fn all_keys_of_a_member_share_the_limit_and_no_key_of_another_does(db: PgPool) {
    let (ada, [one, two]) = ada(&db).await;
    let other = key_of_another(&db, &ada).await;
    limit(&db, &ada, ada.user_id(), Some(100), None).await;
    let first = fixtures::admit(&db, &one, "acme/m", 10, 20).await;
    // 50 are held, so 50 are left to the other key: its output is clamped to what they pay for.
    assert_eq!(ask(&db, &two, 100).await, "50 held");
    assert_eq!(ask(&db, &two, 1).await, "MemberExhausted { ends_at: None }");
    assert_eq!(ask(&db, &other, 20).await, "50 held");
    fixtures::settle(&db, &first, Used { input: 10, cached: 0, output: 5 }, Utc::now()).await;
    assert_eq!((ask(&db, &one, 10).await, use_of(&db, &ada).await), ("30 held".into(), (100, 100)));
    // Nobody counts a second time: what the limit is raised to counts from the first Token on.
    limit(&db, &ada, ada.user_id(), Some(140), None).await;
    assert_eq!(ask(&db, &one, 100).await, "40 held");
    limit(&db, &ada, ada.user_id(), Some(10), None).await;
    assert_eq!(ask(&db, &one, 1).await, "MemberExhausted { ends_at: None }");
    limit(&db, &ada, ada.user_id(), None, None).await;
    assert_eq!(ask(&db, &one, 20).await, "50 held");
    let log: Vec<String> = sqlx::query_scalar("SELECT detail FROM journal WHERE kind = 'member.limited' ORDER BY entry_id")
        .fetch_all(&db)
        .await
        .expect("entries");
    assert_eq!(log[0], "no limit a month, 100 in all");
    assert_eq!(log.len(), 4);
}

#[sqlx::test]
async fn a_month_is_a_calendar_month_of_calls_that_began_in_it(db: PgPool) {
    let (ada, [one, two]) = ada(&db).await;
    fixtures::call_at(&db, &one, "acme/m", Used { input: 40, cached: 0, output: 0 }, last_month()).await;
    fixtures::call_at(&db, &one, "acme/m", Used { input: 30, cached: 0, output: 0 }, Utc::now()).await;
    assert_eq!(use_of(&db, &ada).await, (70, 30));
    limit(&db, &ada, ada.user_id(), None, Some(60)).await;
    assert_eq!(ask(&db, &two, 100).await, "30 held");
    let Verdict::MemberExhausted { ends_at: Some(ends_at) } = fixtures::try_admit(&db, &one, "acme/m", 10, 1).await else {
        panic!("admitted")
    };
    assert!((ends_at.day(), ends_at > Utc::now()) == (1, true) && ends_at - Utc::now() <= TimeDelta::days(31), "{ends_at}");
    // The tighter of both is the one that is named.
    limit(&db, &ada, ada.user_id(), Some(100), Some(1_000)).await;
    assert_eq!(ask(&db, &one, 1).await, "MemberExhausted { ends_at: None }");
}

#[sqlx::test]
async fn a_batch_and_callers_at_once_stay_within_the_limit(db: PgPool) {
    let (ada, [one, two]) = ada(&db).await;
    limit(&db, &ada, ada.user_id(), Some(500), Some(10_000)).await;
    let owner = fixtures::replica(&db).await;
    let batch = || (0..20).map(|n| fixtures::request(if n % 2 == 0 { &one } else { &two }, "acme/m", 10, 10)).collect::<Vec<_>>();
    let batches: Vec<_> = (0..8).map(|_| batch()).collect();
    let asked = batches.iter().map(|batch| ledger::admit_calls(&db, batch, owner, TimeDelta::seconds(60), false));
    let decisions = futures::future::join_all(asked).await.into_iter().flat_map(|decisions| decisions.expect("decisions"));
    let mut admitted = Vec::new();
    for decision in decisions {
        match decision.verdict {
            Verdict::Admitted(call) => admitted.push(call),
            verdict => assert!(matches!(verdict, Verdict::MemberExhausted { ends_at: None }), "{verdict:?}"),
        }
    }
    // 16 of 30, and one of the 20 that were left.
    assert_eq!(admitted.iter().map(|call| call.held.0).collect::<Vec<_>>(), [&[30; 16][..], &[20]].concat());
    for call in &admitted {
        fixtures::settle(&db, call, Used { input: 10, cached: 0, output: 5 }, Utc::now()).await;
    }
    assert_eq!(use_of(&db, &ada).await, (340, 340));
    let report = audit(&db, None).await.expect("audit");
    assert!(report.differences.is_empty(), "{:?}", report.differences);
}

#[sqlx::test]
async fn a_call_whose_hold_was_forgotten_is_charged_what_the_member_has_left(db: PgPool) {
    let (ada, [one, _]) = ada(&db).await;
    let call = fixtures::admit(&db, &one, "acme/m", 10, 20).await;
    let mut tx = db.begin().await.expect("begin");
    for sql in ["UPDATE grants SET left_ = left_ + held, held = 0", "UPDATE api_keys SET held = 0, running = 0", "DELETE FROM holds"] {
        sqlx::raw_sql(sql).execute(&mut *tx).await.expect(sql);
    }
    tx.commit().await.expect("commit");
    limit(&db, &ada, ada.user_id(), Some(1_000), Some(7)).await;
    fixtures::settle(&db, &call, Used { input: 10, cached: 0, output: 20 }, Utc::now()).await;
    assert_eq!(use_of(&db, &ada).await, (7, 7));
}
