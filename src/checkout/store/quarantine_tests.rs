//! Tests of what operators are told of quarantined events, and of who may decide about one, under which name.

use super::*;
use crate::accounts::store::{insert_account, reader_of};
use crate::accounts::types::Password;
use crate::checkout::store::events::{insert_event, settle_event};
use crate::checkout::store::fixtures::{member, outbox};
use crate::ids::UserId;

async fn operator(db: &PgPool, email: &str) -> (UserId, Operator) {
    let email = Email::parse(email).expect("an address");
    let password = Password::parse("correct horse".into()).expect("a password");
    let user_id = insert_account(db, &email, password, true).await.expect("an account").user_id;
    let reader = reader_of(db, user_id, None).await.expect("read").expect("a user");
    (user_id, Operator::of(&reader).expect("an operator"))
}

/// An event that pays no order of ours.
async fn quarantine(db: &PgPool, event_id: &str) {
    let payload = json!({"id": event_id, "type": "checkout.session.completed",
        "data": {"object": {"id": "cs_nobody", "mode": "payment", "payment_status": "paid"}}});
    let event = PaymentEvent::from_payload(payload).expect("an event");
    insert_event(db, Provider::Stripe, &event).await.expect("stored");
    let decision = settle_event(db, &outbox(), Provider::Stripe, &event).await.expect("settled");
    assert_eq!(decision.outcome, EventOutcome::Quarantined);
}

async fn mailed(db: &PgPool) -> Vec<String> {
    let mailed = sqlx::query_scalar("SELECT recipient FROM mails WHERE kind = 'payment_quarantined' ORDER BY recipient");
    mailed.fetch_all(db).await.expect("mails")
}

#[sqlx::test]
async fn every_operator_is_mailed_once_an_hour_confirmed_or_not(db: PgPool) {
    let (ann, _) = operator(&db, "ann@example.com").await;
    operator(&db, "bob@example.com").await;
    let (gone, _) = operator(&db, "gone@example.com").await;
    member(&db, "ada@example.com").await;
    for (sql, user_id) in [
        ("UPDATE users SET email_verified_at = now() WHERE user_id = $1", ann),
        ("UPDATE users SET suspended_at = now() WHERE user_id = $1", gone),
    ] {
        sqlx::query(sql).bind(user_id.0).execute(&db).await.expect(sql);
    }
    quarantine(&db, "evt_1").await;
    assert_eq!(mailed(&db).await, ["ann@example.com", "bob@example.com"]);
    quarantine(&db, "evt_2").await;
    assert_eq!(mailed(&db).await, ["ann@example.com", "bob@example.com"], "within the hour nobody is told again");
    sqlx::query("UPDATE mails SET created_at = now() - interval '61 minutes'").execute(&db).await.expect("an hour ago");
    quarantine(&db, "evt_3").await;
    assert_eq!(mailed(&db).await, ["ann@example.com", "ann@example.com", "bob@example.com", "bob@example.com"]);
    assert_eq!(quarantined_count(&db).await.expect("count"), 3, "the page has them all");
}

#[sqlx::test]
async fn who_is_no_operator_any_more_decides_nothing(db: PgPool) {
    let (user_id, operator) = operator(&db, "ann@example.com").await;
    quarantine(&db, "evt_1").await;
    sqlx::query("UPDATE users SET operator = false WHERE user_id = $1").bind(user_id.0).execute(&db).await.expect("taken");
    for resolution in [Resolution::Retry, Resolution::Dismiss] {
        let refused = resolve_quarantined(&db, &outbox(), operator, "evt_1", resolution, "a look").await;
        assert!(matches!(refused, Err(CheckoutError::NotAllowed)), "{refused:?}");
    }
    let deeds: i64 = sqlx::query_scalar("SELECT count(*) FROM operator_actions").fetch_one(&db).await.expect("deeds");
    assert_eq!((quarantined_count(&db).await.expect("count"), deeds), (1, 0));
}

#[sqlx::test]
async fn what_is_decided_is_in_the_audit_log_under_its_operators_name(db: PgPool) {
    let (user_id, operator) = operator(&db, "ann@example.com").await;
    quarantine(&db, "evt_1").await;
    for (resolution, reason) in [(Resolution::Retry, "a look"), (Resolution::Dismiss, "paid back at the bank")] {
        resolve_quarantined(&db, &outbox(), operator, "evt_1", resolution, reason).await.expect("decided");
    }
    let deeds: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws(', ', actor_user_id, system_user_name, subject_id, before ->> 'outcome', after ->> 'outcome', reason)
           FROM operator_actions WHERE action = 'payment_event.resolve' ORDER BY at, action_id",
    )
    .fetch_all(&db)
    .await
    .expect("deeds");
    let deed = |what: &str| format!("{}, evt_1, quarantined, {what}", user_id.0);
    assert_eq!(deeds, [deed("quarantined, a look"), deed("dismissed, paid back at the bank")]);
    let resolved = resolved_events(&db, 10).await.expect("read");
    let resolved: Vec<_> = resolved.iter().map(|event| (event.outcome, event.by.as_deref())).collect();
    assert_eq!(resolved, [(EventOutcome::Dismissed, Some("ann@example.com"))]);
    assert!(matches!(
        resolve_quarantined(&db, &outbox(), operator, "evt_1", Resolution::Retry, "again").await,
        Err(CheckoutError::NotQuarantined)
    ));
}

#[sqlx::test]
async fn what_cannot_be_read_any_more_can_be_dismissed(db: PgPool) {
    let (_, operator) = operator(&db, "ann@example.com").await;
    for sql in [
        "INSERT INTO payment_events (provider, event_id, event_type, payload) VALUES ('stripe', 'evt_1', 'unheard.of', '{}')",
        "INSERT INTO payment_event_outcomes (provider, event_id, outcome) VALUES ('stripe', 'evt_1', 'quarantined')",
    ] {
        sqlx::query(sql).execute(&db).await.expect(sql);
    }
    let outbox = outbox();
    let decide = |resolution| resolve_quarantined(&db, &outbox, operator, "evt_1", resolution, "of an older version");
    assert!(matches!(decide(Resolution::Retry).await, Err(CheckoutError::Unreadable(_))));
    assert_eq!(decide(Resolution::Dismiss).await.expect("dismissed").outcome, EventOutcome::Dismissed);
}
