//! Deleting an account: what goes is gone, what stays is as it was, and nobody else loses anything.

use super::*;
use crate::accounts::mail_token::MailToken;
use crate::accounts::rights::Owner;
use crate::accounts::store::addresses::send_confirmation;
use crate::accounts::store::invitations::{accept, invite};
use crate::accounts::store::members::{choose, set_role};
use crate::accounts::store::{insert_account, owner_of, user_by_credentials};
use crate::accounts::types::Email;
use crate::accounts::types_members::Role;
use crate::wallet::audit::audit;
use crate::wallet::fixtures::{self, Used, outbox, until_waiting};
use crate::wallet::ledger::Verdict;
use chrono::{TimeDelta, Utc};

/// That of `fixtures::member`.
fn password() -> Password {
    Password::parse("correct horse".into()).expect("a password")
}

async fn lines(db: &PgPool, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(db).await.expect(sql)
}

async fn join(db: &PgPool, owner: &Owner, other: &Owner, role: &str) {
    sqlx::query!("INSERT INTO members (account_id, user_id, role) VALUES ($1, $2, $3)", owner.account_id().0, other.user_id().0, role)
        .execute(db)
        .await
        .expect("a member");
}

#[sqlx::test]
async fn what_goes_is_gone_and_the_books_stay(db: PgPool) {
    let supplier_id = fixtures::supplier(&db, "acme").await;
    fixtures::model(&db, "acme/m", supplier_id).await;
    let ada = fixtures::member(&db, "ada").await;
    fixtures::credit(&db, ada.account_id(), 1_000, TimeDelta::days(30)).await;
    let (_, secret) = fixtures::key(&db, &ada, fixtures::plain_key("bot")).await;
    fixtures::call_at(&db, &secret, "acme/m", Used { input: 40, cached: 0, output: 0 }, Utc::now()).await;
    let running = fixtures::admit(&db, &secret, "acme/m", 10, 10).await;
    for sql in [
        "INSERT INTO sessions (session_hash, user_id, data, expires_at) SELECT sha256('x'), user_id, '{}', now() + interval '1 day' FROM users",
        "INSERT INTO two_factors (user_id, seed_sealed) SELECT user_id, 'sealed' FROM users",
        "INSERT INTO devices (user_id, device_hash) SELECT user_id, sha256('y') FROM users",
        "INSERT INTO notice_settings (user_id, new_device, expiring, key_quota) SELECT user_id, true, true, true FROM users",
        "INSERT INTO notices (user_id, kind, subject_id) SELECT user_id, 'balance', gen_random_uuid() FROM users",
        "INSERT INTO billing_details (account_id, name, address, tax_id) SELECT account_id, 'Ada', 'Home', '' FROM accounts",
    ] {
        sqlx::query(sql).execute(&db).await.expect(sql);
    }
    let books = "SELECT l::text FROM ledger l UNION ALL SELECT u::text FROM usage_records u ORDER BY 1";
    let before = lines(&db, books).await;

    let view = deletion_of(&db, &ada).await.expect("a view");
    assert_eq!((view.tokens, view.keys, view.memberships, view.blockers), (Tokens(930), 1, 0, Vec::new()));
    let wrong = Password::parse("not the password".into()).expect("a password");
    assert!(matches!(delete(&db, &outbox(), &ada, wrong).await, Err(AccountError::WrongPassword)));
    delete(&db, &outbox(), &ada, password()).await.expect("deleted");

    assert!(matches!(fixtures::try_admit(&db, &secret, "acme/m", 1, 1).await, Verdict::UnknownKey));
    assert!(reader_of(&db, ada.user_id(), None).await.expect("read").is_none());
    assert!(matches!(user_by_credentials(&db, ada.email(), password()).await, Err(AccountError::WrongCredentials)));
    for table in ["sessions", "two_factors", "mail_tokens", "devices", "notice_settings", "notices", "billing_details", "invitations"] {
        let sql = format!("SELECT count(*) FROM {table}");
        assert_eq!(sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(sql)).fetch_one(&db).await.expect(table), 0, "{table}");
    }
    let left = lines(&db, "SELECT u::text FROM users u UNION ALL SELECT a::text FROM accounts a").await.join(" ");
    assert!(!left.contains("ada") && left.contains("@deleted.invalid") && left.contains("Deleted account"), "{left}");
    assert_eq!(lines(&db, books).await, before);
    // What ran is settled all the same.
    fixtures::settle(&db, &running, Used { input: 10, cached: 0, output: 5 }, Utc::now()).await;
    let report = audit(&db, None).await.expect("audit");
    assert!(report.differences.is_empty(), "{:?}", report.differences);
    assert_eq!(lines(&db, "SELECT kind FROM journal ORDER BY entry_id DESC LIMIT 2").await, ["account.deleted", "key.deleted"]);
    assert_eq!(lines(&db, "SELECT kind FROM mails").await, ["account_deleted"]);

    // The address is free for somebody new.
    let new = fixtures::member(&db, "ada").await;
    assert_ne!((new.user_id(), new.account_id()), (ada.user_id(), ada.account_id()));
}

#[sqlx::test]
async fn the_address_goes_from_log_and_mails_where_nobody_wrote_it(db: PgPool) {
    let (ada, bob) = (fixtures::member(&db, "ada").await, fixtures::member(&db, "bob").await);
    let token = MailToken::generate();
    invite(&db, &outbox(), &bob, ada.email(), Role::Member).await.expect("invited");
    sqlx::query("UPDATE invitations SET token_hash = $1").bind(&token.hash()[..]).execute(&db).await.expect("a token that the test knows");
    accept(&db, &ada, &token).await.expect("joined");
    set_role(&db, &bob, ada.user_id(), Role::Admin).await.expect("an admin");
    sqlx::query("UPDATE mails SET sent_at = now(), body_sealed = NULL").execute(&db).await.expect("sent");
    for owner in [&ada, &bob] {
        send_confirmation(&db, &outbox(), owner).await.expect("waits");
    }
    delete(&db, &outbox(), &ada, password()).await.expect("deleted");

    let about_her = "SELECT kind FROM journal WHERE user_id <> (SELECT user_id FROM users WHERE email = 'bob@example.com')
                        OR subject_id = (SELECT user_id FROM users WHERE email LIKE '%@deleted.invalid') ORDER BY entry_id";
    assert_eq!(lines(&db, about_her).await, ["member.joined", "member.role_changed", "member.left", "account.deleted"]);
    // Whom somebody else invited is theirs to know. The page says so, and the letter.
    let named = "SELECT kind FROM journal WHERE journal::text LIKE '%ada@%'";
    assert_eq!(lines(&db, named).await, ["member.invited"]);
    let mails = "SELECT recipient || ' ' || kind FROM mails ORDER BY 1";
    assert_eq!(lines(&db, mails).await, ["ada@example.com account_deleted", "bob@example.com confirm_address"]);
}

#[sqlx::test]
async fn others_lose_nothing(db: PgPool) {
    let (ada, bob) = (fixtures::member(&db, "ada").await, fixtures::member(&db, "bob").await);
    join(&db, &bob, &ada, "admin").await;
    let (of_bob, _) = fixtures::key(&db, &bob, fixtures::plain_key("of bob")).await;
    let (of_ada, _) = fixtures::key(&db, &bob, fixtures::plain_key("of ada")).await;
    sqlx::query!("UPDATE api_keys SET created_by = $2 WHERE key_id = $1", of_ada.0, ada.user_id().0).execute(&db).await.expect("hers");
    // Whichever account she acts for, it is she who is deleted.
    choose(&db, &ada, bob.account_id()).await.expect("chosen");
    let acting = reader_of(&db, ada.user_id(), Some(bob.account_id())).await.expect("read").expect("a member");
    assert_eq!(deletion_of(&db, &acting).await.expect("a view").memberships, 1);
    delete(&db, &outbox(), &acting, password()).await.expect("deleted");

    let status = async |key_id: crate::ids::KeyId| {
        sqlx::query_scalar!("SELECT status FROM api_keys WHERE key_id = $1", key_id.0).fetch_one(&db).await.expect("a key")
    };
    assert_eq!((status(of_bob).await, status(of_ada).await), ("enabled".into(), "disabled".into()));
    assert_eq!(lines(&db, "SELECT a.name FROM accounts a ORDER BY 1").await, ["Deleted account", "bob@example.com"]);
    assert!(owner_of(&db, bob.user_id()).await.expect("read").is_some());
    let members = sqlx::query_scalar!("SELECT count(*) FROM members WHERE account_id = $1", bob.account_id().0);
    assert_eq!(members.fetch_one(&db).await.expect("count"), Some(1));
}

#[sqlx::test]
async fn what_concerns_others_is_settled_first(db: PgPool) {
    let (ada, bob) = (fixtures::member(&db, "ada").await, fixtures::member(&db, "bob").await);
    join(&db, &ada, &bob, "read_only").await;
    let refused = async |reader: &Reader, blocker: Blocker| {
        assert!(deletion_of(&db, reader).await.expect("a view").blockers.contains(&blocker));
        let result = delete(&db, &outbox(), reader, password()).await;
        assert!(matches!(result, Err(AccountError::NotDeletable(stands)) if stands == blocker), "{result:?}");
    };
    refused(&ada, Blocker::Members).await;
    sqlx::query!("DELETE FROM members WHERE role = 'read_only'").execute(&db).await.expect("gone");
    sqlx::query(
        "WITH package AS (
             INSERT INTO packages (package_id, name, tokens, price_minor, currency, valid_for_s)
             VALUES (gen_random_uuid(), 'Small', 100, 500, 'usd', 86400) RETURNING *)
         INSERT INTO orders (order_id, account_id, user_id, package_id, package_name, tokens, price_minor, currency, valid_for_s,
                             scope_supplier_ids, scope_model_ids, form_key, provider)
         SELECT gen_random_uuid(), $1, $2, package_id, name, tokens, price_minor, currency, valid_for_s, '{}', '{}', gen_random_uuid(),
                'sandbox' FROM package",
    )
    .bind(ada.account_id().0)
    .bind(ada.user_id().0)
    .execute(&db)
    .await
    .expect("an order");
    refused(&ada, Blocker::Orders).await;
    assert_eq!(lines(&db, "SELECT email FROM users ORDER BY 1").await, ["ada@example.com", "bob@example.com"]);

    let email = Email::parse("eve@example.com").expect("an address");
    let eve = insert_account(&db, &email, password(), true).await.expect("an operator");
    let eve = owner_of(&db, eve.user_id).await.expect("read").expect("an owner");
    refused(&eve, Blocker::Operator).await;
}

/// Whoever joins takes their invitation, and then needs the account to stay; a deletion has locked that, and then takes all invitations.
#[sqlx::test]
async fn a_deletion_that_loses_a_deadlock_to_somebody_who_joins_is_decided_again(db: PgPool) {
    let (ada, bob) = (fixtures::member(&db, "ada").await, fixtures::member(&db, "bob").await);
    invite(&db, &outbox(), &ada, bob.email(), Role::Member).await.expect("invited");
    let mut joining = fixtures::begin_outlasting(&db).await;
    sqlx::query("DELETE FROM invitations").execute(&mut *joining).await.expect("taken");
    let box_ = outbox();
    let (deleted, ()) = tokio::join!(delete(&db, &box_, &ada, password()), async {
        until_waiting(&db, 1).await;
        // The other is ended, and finds a member when it tries again.
        let joins = "INSERT INTO members (account_id, user_id, role) VALUES ($1, $2, 'member')";
        sqlx::query(joins).bind(ada.account_id().0).bind(bob.user_id().0).execute(&mut *joining).await.expect("joined");
        joining.commit().await.expect("commit");
    });
    assert!(matches!(deleted, Err(AccountError::NotDeletable(Blocker::Members))), "{deleted:?}");
    assert_eq!(lines(&db, "SELECT name FROM accounts ORDER BY 1").await, ["ada@example.com", "bob@example.com"]);
    assert!(lines(&db, "SELECT kind FROM journal WHERE kind = 'account.deleted'").await.is_empty());
}
