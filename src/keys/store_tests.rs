//! Tests of `keys::store`: every operation against somebody else's key, quotas against use, the end of a key.

use super::*;
use crate::keys::types::KeyStatus;
use crate::keys::types_limits::Period;
use crate::keys::types_list::KeyFilter;
use crate::wallet::fixtures::{self, Used, plain_key};
use crate::wallet::ledger::Verdict;
use chrono::TimeDelta;

fn name(text: &str) -> KeyName {
    KeyName::parse(text).expect("a name")
}

fn rename(text: &str) -> KeyEdit {
    KeyEdit { name: Some(name(text)), ..KeyEdit::default() }
}

async fn all_of(db: &PgPool, member: &Member) -> Vec<KeyRow> {
    keys_of(db, member, &KeyFilter::default(), 50).await.expect("keys").0
}

fn operator() -> KeyOwner<'static> {
    KeyOwner::Operator(Operator::command_line())
}

fn quota(tokens: i64) -> KeyEdit {
    KeyEdit { quota: Some(Some(Tokens(tokens))), ..KeyEdit::default() }
}

#[sqlx::test]
async fn insert_key_stores_a_hash_and_a_hint_only(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let supplier_id = fixtures::supplier(&db, "alpha").await;
    let new = NewKey { supplier_id: Some(supplier_id), quota: Some(Tokens(50)), ..plain_key("bot") };
    let (key_id, secret) = fixtures::key(&db, &ada, new).await;

    let row = key_by_id(&db, KeyOwner::Member(&ada), key_id).await.expect("a key");
    assert_eq!((row.name.as_str(), row.hint.as_str()), ("bot", secret.hint().as_str()));
    assert_eq!(
        (row.supplier_id, row.supplier_slug.as_deref(), row.supplier_name.as_deref()),
        (Some(supplier_id), Some("alpha"), Some("alpha"))
    );
    assert_eq!((row.quota, row.spent, row.held), (Some(Tokens(50)), Tokens(0), Tokens(0)));
    assert_eq!((row.status, row.created_by_email.as_str()), (KeyStatus::Enabled, "ada@example.com"));
    let whole = sqlx::query_scalar!(r#"SELECT k::text AS "row!" FROM api_keys k"#).fetch_one(&db).await.expect("the row");
    assert!(!whole.contains(secret.expose()));
}

/// Who makes a key is locked as a member, and then as a user; whoever deletes themselves locks both in the other order.
#[sqlx::test]
async fn a_key_whose_making_lost_a_deadlock_is_made_with_the_secret_that_is_shown(db: PgPool) {
    let (ada, key_id, pepper) = (fixtures::member(&db, "ada").await, KeyId::generate(), fixtures::pepper());
    let mut tx = fixtures::begin_outlasting(&db).await;
    sqlx::query("SELECT 1 FROM users FOR UPDATE").execute(&mut *tx).await.expect("a lock");
    let (made, ()) = tokio::join!(insert_key_once(&db, &ada, key_id, &pepper, plain_key("bot")), async {
        fixtures::until_waiting(&db, 1).await;
        // The other is ended, and waits for us when it tries again.
        sqlx::query("SELECT 1 FROM members FOR UPDATE").execute(&mut *tx).await.expect("a lock");
        tx.commit().await.expect("unlocked");
    });
    let secret = made.expect("tried again").expect("a new key");
    let kept: Vec<Vec<u8>> = sqlx::query_scalar("SELECT secret_hash FROM api_keys").fetch_all(&db).await.expect("hashes");
    assert_eq!(kept, [secret.hash(&pepper).to_vec()]);
}

#[sqlx::test]
async fn insert_key_refuses_suppliers_that_are_disabled_or_unknown(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let disabled = fixtures::supplier(&db, "alpha").await;
    fixtures::disable_supplier(&db, disabled).await;
    for supplier_id in [disabled, SupplierId::generate()] {
        let new = NewKey { supplier_id: Some(supplier_id), ..plain_key("bot") };
        let refused = insert_key_once(&db, &ada, KeyId::generate(), &fixtures::pepper(), new.clone()).await;
        assert!(matches!(refused, Err(KeyError::UnknownSupplier)));
        let command_line = Operator::command_line();
        let refused = insert_key(&db, command_line, ada.account_id(), ada.user_id(), &fixtures::pepper(), new).await;
        assert!(matches!(refused, Err(KeyError::UnknownSupplier)));
    }
    assert!(all_of(&db, &ada).await.is_empty());
    let deeds = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM operator_actions WHERE action = $1"#, "key.create");
    assert_eq!(deeds.fetch_one(&db).await.expect("deeds"), 0);
}

#[sqlx::test]
async fn insert_key_once_makes_one_key_of_a_form_posted_twice_at_once(db: PgPool) {
    let (ada, pepper, key_id) = (fixtures::member(&db, "ada").await, fixtures::pepper(), KeyId::generate());
    let post = || insert_key_once(&db, &ada, key_id, &pepper, plain_key("bot"));
    let (one, two) = futures::join!(post(), post());
    let secrets = [one.expect("posted"), two.expect("posted")];
    assert_eq!(secrets.iter().filter(|secret| secret.is_some()).count(), 1);
    assert_eq!(all_of(&db, &ada).await.len(), 1);
}

#[sqlx::test]
async fn another_accounts_key_is_not_found_whatever_is_asked(db: PgPool) {
    let (ada, eve) = (fixtures::member(&db, "ada").await, fixtures::member(&db, "eve").await);
    let (key_id, _) = fixtures::key(&db, &ada, plain_key("bot")).await;
    let owner = KeyOwner::Member(&eve);

    assert!(matches!(key_by_id(&db, owner, key_id).await, Err(KeyError::NotFound)));
    assert!(matches!(whole_key_of(&db, &eve, key_id).await, Err(KeyError::NotFound)));
    assert!(matches!(update_key(&db, owner, key_id, rename("mine")).await, Err(KeyError::NotFound)));
    assert!(matches!(delete_key(&db, owner, key_id).await, Err(KeyError::NotFound)));
    assert!(all_of(&db, &eve).await.is_empty());
    // Nor can its id be taken by a form of theirs.
    let taken = insert_key_once(&db, &eve, key_id, &fixtures::pepper(), plain_key("mine")).await;
    assert!(taken.expect("no error").is_none());

    let row = key_by_id(&db, KeyOwner::Member(&ada), key_id).await.expect("untouched");
    assert_eq!((row.name.as_str(), row.status), ("bot", KeyStatus::Enabled));
}

#[sqlx::test]
async fn update_key_changes_what_it_is_told_and_nothing_else(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let owner = KeyOwner::Member(&ada);
    let supplier_id = fixtures::supplier(&db, "alpha").await;
    let expires_at = Utc::now() + TimeDelta::days(1);
    let new = NewKey { quota: Some(Tokens(50)), expires_at: Some(expires_at), ..plain_key("bot") };
    let (key_id, _) = fixtures::key(&db, &ada, new).await;

    update_key(&db, owner, key_id, rename("robot")).await.expect("renamed");
    let row = key_by_id(&db, owner, key_id).await.expect("a key");
    assert_eq!((row.name.as_str(), row.quota, row.supplier_id, row.status), ("robot", Some(Tokens(50)), None, KeyStatus::Enabled));
    assert_eq!(row.expires_at.map(|time| time.timestamp_micros()), Some(expires_at.timestamp_micros()));

    let edit = KeyEdit {
        quota: Some(None),
        expires_at: Some(None),
        supplier_id: Some(Some(supplier_id)),
        enabled: Some(false),
        ..KeyEdit::default()
    };
    update_key(&db, owner, key_id, edit).await.expect("edited");
    let row = key_by_id(&db, owner, key_id).await.expect("a key");
    assert_eq!((row.name.as_str(), row.quota, row.expires_at), ("robot", None, None));
    assert_eq!((row.supplier_id, row.status), (Some(supplier_id), KeyStatus::Disabled));
}

#[sqlx::test]
async fn update_key_refuses_a_quota_below_what_is_spent_and_held(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let owner = KeyOwner::Member(&ada);
    let supplier_id = fixtures::supplier(&db, "alpha").await;
    fixtures::model(&db, "alpha/one", supplier_id).await;
    fixtures::credit(&db, ada.account_id(), 1_000, TimeDelta::days(1)).await;
    let (key_id, secret) = fixtures::key(&db, &ada, plain_key("bot")).await;
    let done = fixtures::admit(&db, &secret, "alpha/one", 10, 10).await;
    fixtures::settle(&db, &done, Used { input: 10, cached: 0, output: 10 }, Utc::now()).await;
    fixtures::admit(&db, &secret, "alpha/one", 10, 10).await;

    let row = key_by_id(&db, owner, key_id).await.expect("a key");
    assert_eq!((row.spent, row.held), (Tokens(30), Tokens(30)));
    assert!(matches!(update_key(&db, owner, key_id, quota(59)).await, Err(KeyError::QuotaBelowUse)));
    assert_eq!(key_by_id(&db, owner, key_id).await.expect("a key").quota, None);
    update_key(&db, owner, key_id, quota(60)).await.expect("exactly what is used");
    assert!(matches!(fixtures::try_admit(&db, &secret, "alpha/one", 1, 1).await, Verdict::QuotaExhausted));
    assert!(matches!(update_key(&db, owner, key_id, quota(-1)).await, Err(KeyError::QuotaBelowUse | KeyError::OutOfRange)));
}

#[sqlx::test]
async fn a_key_keeps_a_supplier_that_was_disabled_but_is_not_given_one(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let owner = KeyOwner::Member(&ada);
    let (alpha, beta) = (fixtures::supplier(&db, "alpha").await, fixtures::supplier(&db, "beta").await);
    let (key_id, _) = fixtures::key(&db, &ada, NewKey { supplier_id: Some(alpha), ..plain_key("bot") }).await;
    fixtures::disable_supplier(&db, alpha).await;
    fixtures::disable_supplier(&db, beta).await;

    let tied_to = |supplier_id| KeyEdit { supplier_id: Some(Some(supplier_id)), ..rename("robot") };
    update_key(&db, owner, key_id, tied_to(alpha)).await.expect("kept");
    for other in [beta, SupplierId::generate()] {
        assert!(matches!(update_key(&db, owner, key_id, tied_to(other)).await, Err(KeyError::UnknownSupplier)));
    }
    assert_eq!(key_by_id(&db, owner, key_id).await.expect("a key").supplier_id, Some(alpha));
}

#[sqlx::test]
async fn the_page_of_a_key_has_what_is_said_of_it_elsewhere(db: PgPool) {
    let (ada, eve) = (fixtures::member(&db, "ada").await, fixtures::member(&db, "eve").await);
    let owner = KeyOwner::Member(&ada);
    let (alpha, beta) = (fixtures::supplier(&db, "alpha").await, fixtures::supplier(&db, "beta").await);
    fixtures::model(&db, "alpha/one", alpha).await;
    let (first, _) = fixtures::key(&db, &ada, plain_key("first")).await;
    let new = NewKey { supplier_id: Some(alpha), quota: Some(Tokens(50)), ..plain_key("bot") };
    let (key_id, _) = fixtures::key(&db, &ada, new).await;
    fixtures::key(&db, &eve, plain_key("hers")).await;
    let edit = LimitsEdit {
        requests_per_minute: Some(Some(7)),
        models: Some(vec!["alpha/one".into()]),
        networks: Some(vec!["203.0.113.0/24".parse().expect("a network")]),
        period: Some(Some((Period::Day, Tokens(20)))),
        ..LimitsEdit::default()
    };
    update_limits(&db, owner, key_id, edit).await.expect("limited");
    rotate_key(&db, owner, first, &fixtures::pepper(), TimeDelta::hours(1)).await.expect("another's new secret");

    let whole = whole_key_of(&db, &ada, key_id).await.expect("a key");
    assert_eq!(format!("{:?}", whole.key), format!("{:?}", key_of(&db, &ada, key_id).await.expect("a key")));
    assert_eq!(whole.limits, limits_of(&db, key_id).await.expect("limits"));
    assert!(whole.limits.period.is_some() && whole.limits.networks.len() == 1);
    assert_eq!((whole.old_secret_until, whole.key_ids), (None, vec![first, key_id]));
    assert_eq!(whole.suppliers.iter().map(|supplier| supplier.supplier_id).collect::<Vec<_>>(), [alpha, beta]);

    // Without any limit, with an old secret; and one that keeps a supplier which is no choice any more.
    fixtures::disable_supplier(&db, alpha).await;
    let whole = whole_key_of(&db, &ada, first).await.expect("a key");
    assert_eq!(whole.limits, limits_of(&db, first).await.expect("no limits"));
    assert!(whole.old_secret_until.is_some_and(|until| until > Utc::now()));
    assert_eq!(whole.suppliers.len(), 1);
    assert_eq!(whole_key_of(&db, &ada, key_id).await.expect("a key").key.supplier_id, Some(alpha));
    delete_key(&db, owner, first).await.expect("deleted");
    assert!(matches!(whole_key_of(&db, &ada, first).await, Err(KeyError::NotFound)));
    assert_eq!(whole_key_of(&db, &ada, key_id).await.expect("a key").key_ids, [first, key_id], "a deleted one keeps its colour");
}

#[sqlx::test]
async fn a_deleted_key_stays_deleted_and_its_row_stays(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let owner = KeyOwner::Member(&ada);
    let (key_id, secret) = fixtures::key(&db, &ada, plain_key("bot")).await;
    delete_key(&db, owner, key_id).await.expect("deleted");

    let enable = KeyEdit { enabled: Some(true), ..KeyEdit::default() };
    for owner in [owner, operator()] {
        assert!(matches!(key_by_id(&db, owner, key_id).await, Err(KeyError::NotFound)));
        assert!(matches!(update_key(&db, owner, key_id, enable.clone()).await, Err(KeyError::NotFound)));
        assert!(matches!(delete_key(&db, owner, key_id).await, Err(KeyError::NotFound)));
    }
    assert!(all_of(&db, &ada).await.is_empty());
    assert!(matches!(fixtures::try_admit(&db, &secret, "alpha/one", 1, 1).await, Verdict::UnknownKey));
    let rows = sqlx::query_scalar!(r#"SELECT count(*) AS "rows!" FROM api_keys WHERE status = 'deleted'"#).fetch_one(&db).await;
    assert_eq!(rows.expect("rows"), 1);
}

#[sqlx::test]
async fn status_says_disabled_before_expired(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let owner = KeyOwner::Member(&ada);
    let new = NewKey { expires_at: Some(Utc::now() - TimeDelta::seconds(1)), ..plain_key("bot") };
    let (key_id, _) = fixtures::key(&db, &ada, new).await;
    let row = key_by_id(&db, owner, key_id).await.expect("a key");
    assert_eq!((row.status, row.expired), (KeyStatus::Expired, true));
    update_key(&db, owner, key_id, KeyEdit { enabled: Some(false), ..KeyEdit::default() }).await.expect("disabled");
    let row = key_by_id(&db, owner, key_id).await.expect("a key");
    assert_eq!((row.status, row.expired), (KeyStatus::Disabled, true));
}

#[sqlx::test]
async fn an_operators_deed_leaves_its_audit_row_and_a_failed_one_none(db: PgPool) {
    let ada = fixtures::member(&db, "ada").await;
    let (key_id, _) = fixtures::key(&db, &ada, plain_key("bot")).await;
    update_key(&db, KeyOwner::Member(&ada), key_id, rename("robot")).await.expect("a member's edit");
    assert!(update_key(&db, operator(), key_id, quota(-1)).await.is_err());
    update_key(&db, operator(), key_id, quota(5)).await.expect("an operator's edit");
    delete_key(&db, operator(), key_id).await.expect("an operator's deletion");

    let rows = sqlx::query!("SELECT action, subject_id, before, after FROM operator_actions ORDER BY action_id")
        .fetch_all(&db)
        .await
        .expect("audit rows");
    assert_eq!(rows.iter().map(|row| row.action.as_str()).collect::<Vec<_>>(), ["key.edit", "key.delete"]);
    assert!(rows.iter().all(|row| row.subject_id == key_id.to_string()));
    let value = |json: &Option<serde_json::Value>, name: &str| json.as_ref().map(|json| json[name].clone());
    assert_eq!(value(&rows[0].before, "quota"), Some(serde_json::Value::Null));
    assert_eq!(value(&rows[0].after, "quota"), Some(5.into()));
    assert_eq!((value(&rows[1].before, "name"), &rows[1].after), (Some("robot".into()), &None));
}
