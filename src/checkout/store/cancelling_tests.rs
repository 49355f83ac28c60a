//! Tests of orders that are given up: by whom, when not, and that their money still buys.

use super::*;
use crate::checkout::event::SessionFacts;
use crate::checkout::payments::CheckoutSession;
use crate::checkout::store::fixtures::{member, open_order, package, pay, request, settle_session};
use crate::checkout::store::{order, place_order, set_checkout_session};

async fn causes(db: &PgPool) -> Vec<String> {
    sqlx::query_scalar("SELECT cause FROM order_transitions ORDER BY transition_id").fetch_all(db).await.expect("steps")
}

#[sqlx::test]
async fn money_that_arrives_for_a_cancelled_order_still_buys(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let opened = open_order(&db, &ada, package_id).await;
    let by = CancelledBy::Customer(&ada);
    let open = cancellable_order(&db, by, opened.0).await.expect("read").expect("it waits");
    assert!(note_cancelled(&db, by, &open).await.expect("cancelled"));
    assert!(!note_cancelled(&db, by, &open).await.expect("it is done"));
    assert!(cancellable_order(&db, by, opened.0).await.expect("read").is_none());
    let closed = order(&db, &ada, opened.0).await.expect("order");
    assert_eq!((closed.status, closed.closed_at.is_some(), closed.is_unpaid()), (OrderStatus::Cancelled, true, false));
    assert_eq!(pay(&db, &opened).await.outcome, EventOutcome::Fulfilled);
    let paid = order(&db, &ada, opened.0).await.expect("order");
    assert_eq!((paid.status, paid.closed_at, paid.grant.is_some()), (OrderStatus::Fulfilled, None, true));
    assert_eq!(causes(&db).await, ["checkout", "customer", "event", "event"]);
    assert!(cancellable_order(&db, by, opened.0).await.expect("read").is_none(), "what is paid is not cancelled");
}

#[sqlx::test]
async fn only_its_account_cancels_an_order_and_only_while_it_stands_as_it_was_seen(db: PgPool) {
    let (ada, bob) = (member(&db, "ada@example.com").await, member(&db, "bob@example.com").await);
    let request = request(&db, package(&db, "Starter", None).await).await;
    let order_id = place_order(&db, &ada, Provider::Stripe, &request).await.expect("placed").purchase.order_id;
    let by = CancelledBy::Customer(&ada);
    assert!(matches!(cancellable_order(&db, CancelledBy::Customer(&bob), order_id).await, Err(CheckoutError::NotFound)));
    let unopened = cancellable_order(&db, by, order_id).await.expect("read").expect("it waits");
    let refused = note_cancelled(&db, CancelledBy::Customer(&bob), &unopened).await;
    assert!(matches!(refused, Err(CheckoutError::NotFound)));
    // Its checkout is opened meanwhile: nobody has made sure that nobody pays there.
    let session = CheckoutSession { id: "cs_1".into(), url: "https://checkout.stripe.com/c/pay".into(), livemode: Some(false) };
    set_checkout_session(&db, order_id, &session).await.expect("opened");
    assert!(!note_cancelled(&db, by, &unopened).await.expect("no effect"));
    let seen = cancellable_order(&db, by, order_id).await.expect("read").expect("it waits");
    assert_eq!(seen.session_id.as_deref(), Some("cs_1"));
    // The customer has paid, and the bank is at work.
    let session = json!({"id": "cs_1", "mode": "payment", "status": "complete", "payment_status": "unpaid"});
    for _ in 0..2 {
        let decision = settle_session(&db, &SessionFacts::of(&session)).await;
        assert_eq!((decision.outcome, decision.order_id), (EventOutcome::Ignored, Some(order_id)));
    }
    let lost = close_lost_order(&db, order_id, TimeDelta::zero()).await.expect("left as it is");
    assert_eq!(lost.outcome, EventOutcome::Ignored, "the bank of an account that was left may still pay");
    for by in [by, CancelledBy::Operator(Operator::command_line(), "asked")] {
        assert!(matches!(note_cancelled(&db, by, &seen).await, Err(CheckoutError::NotCancellable)));
    }
    let view = order(&db, &ada, order_id).await.expect("order");
    assert_eq!((view.status, view.payment_begun, view.checkout_url), (OrderStatus::AwaitingPayment, true, None));
}

#[sqlx::test]
async fn an_order_that_its_provider_knows_nothing_of_is_closed_when_it_is_old(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let (order_id, _) = open_order(&db, &ada, package_id).await;
    let young = close_lost_order(&db, order_id, TimeDelta::hours(25)).await.expect("young");
    assert_eq!(young.outcome, EventOutcome::Ignored);
    let old = close_lost_order(&db, order_id, TimeDelta::seconds(-60)).await.expect("old");
    assert_eq!((old.outcome, old.order_id), (EventOutcome::Closed, Some(order_id)));
    assert_eq!(order_status(&db, order_id).await.expect("read"), OrderStatus::Expired);
    let again = close_lost_order(&db, order_id, TimeDelta::seconds(-60)).await.expect("done");
    assert_eq!(again.outcome, EventOutcome::Ignored);
    assert_eq!(causes(&db).await, ["checkout", "reconciler"]);
}

#[sqlx::test]
async fn without_the_sandbox_nothing_waits_for_play_money(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let (real, _) = open_order(&db, &ada, package_id).await;
    let form = request(&db, package_id).await;
    let play = place_order(&db, &ada, Provider::Sandbox, &form).await.expect("placed").purchase.order_id;
    assert_eq!(close_sandbox_orders(&db).await.expect("none is open"), 0);
    let session = CheckoutSession { id: "cs_sandbox_1".into(), url: "/sandbox/payments/cs_sandbox_1".into(), livemode: Some(false) };
    set_checkout_session(&db, play, &session).await.expect("opened");
    assert_eq!(close_sandbox_orders(&db).await.expect("closed"), 1);
    assert_eq!(order_status(&db, play).await.expect("read"), OrderStatus::Expired);
    assert_eq!(order_status(&db, real).await.expect("read"), OrderStatus::AwaitingPayment);
}

#[sqlx::test]
async fn an_operators_deed_is_written_down_also_where_the_provider_told_of_the_end_first(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let opened = open_order(&db, &ada, package_id).await;
    let by = CancelledBy::Operator(Operator::command_line(), "asked by phone");
    let open = cancellable_order(&db, by, opened.0).await.expect("read").expect("it waits");
    let over = json!({"id": opened.1, "status": "expired", "payment_status": "unpaid"});
    assert_eq!(settle_session(&db, &SessionFacts::of(&over)).await.outcome, EventOutcome::Closed);
    assert!(note_cancelled(&db, by, &open).await.expect("noted"));
    assert_eq!(order_status(&db, opened.0).await.expect("read"), OrderStatus::Expired);
    let deeds =
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM operator_actions WHERE action = 'order.cancel' AND reason = 'asked by phone'");
    assert_eq!(deeds.fetch_one(&db).await.expect("deeds"), 1);
}
