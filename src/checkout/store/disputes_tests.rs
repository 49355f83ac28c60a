//! Tests of what banks ask for and take back, and of the time that it takes them.

use super::*;
use crate::wallet::store::grants_of;

/// The provider tells of the dispute `dp_1` about `pi_1`; no amount = it does not say how much is disputed.
async fn told(one: &Bought, status: &str, amount: Option<i64>, n: usize) -> EventOutcome {
    let kind = if ["needs_response", "warning_needs_response"].contains(&status) { "created" } else { "closed" };
    let object = json!({"id": "dp_1", "object": "dispute", "payment_intent": "pi_1", "status": status, "amount": amount});
    one.deliver(&format!("evt_dispute_{status}_{n}"), &format!("charge.dispute.{kind}"), object).await
}

async fn number(db: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db).await.expect(sql)
}

async fn change(db: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(db).await.expect(sql);
}

#[sqlx::test]
async fn a_bank_takes_the_part_that_was_disputed_once_and_the_rest_comes_back(db: PgPool) {
    let one = Bought::paid(db).await;
    told(&one, "needs_response", Some(200), 1).await;
    assert_eq!(one.standing().await, (OrderStatus::Disputed, WHOLE, 0, true, 0), "until it is decided, all of it waits");
    for n in 1..=2 {
        assert_eq!(told(&one, "lost", Some(200), n).await, EventOutcome::Recorded);
        assert_eq!(one.standing().await, (OrderStatus::PartlyRefunded, 600_000, 400_000, false, 600_000));
    }
    let refunds = order(&one.db, &one.ada, one.order_id).await.expect("order").refunds;
    assert_eq!((refunds.len(), refunds[0].by_bank, refunds[0].amount.minor, refunds[0].tokens), (1, true, 200, Tokens(400_000)));
    let noted = "SELECT count(*) FROM credit_notes JOIN refunds USING (refund_id) WHERE provider_dispute_id = 'dp_1'";
    assert_eq!(number(&one.db, noted).await, 1);
    let rest = one.refund(RefundPart::All).await.expect("the rest can be refunded");
    assert_eq!(rest.amount.minor, 300);
}

#[sqlx::test]
async fn all_orders_of_a_refund_and_a_lost_dispute_end_alike(db: PgPool) {
    let end = (OrderStatus::Refunded, 0, WHOLE, true);
    all_orders_end_alike(&db, &["completed", "partly refunded", "disputed", "lost"], end).await;
    let whole = "SELECT count(*) FROM (SELECT FROM refunds WHERE status <> 'failed' GROUP BY order_id HAVING sum(amount_minor) = 500) s";
    assert_eq!(number(&db, whole).await, 24, "the bank took what the refund had left of the price");
}

#[sqlx::test]
async fn a_refund_that_is_refused_for_a_lost_dispute_leaves_more_for_the_bank(db: PgPool) {
    let one = Bought::paid(db).await;
    let refund = one.refund(RefundPart::Amount(200)).await.expect("requested");
    told(&one, "lost", None, 1).await;
    assert_eq!(one.standing().await, (OrderStatus::PartlyRefunded, 0, WHOLE, false, 0));
    one.answered(&refund, RefundStatus::Failed).await;
    assert_eq!(one.standing().await, (OrderStatus::Refunded, 0, WHOLE, true, 0));
    assert_eq!(number(&one.db, "SELECT sum(amount_minor)::bigint FROM refunds WHERE provider_dispute_id = 'dp_1'").await, 500);
}

#[sqlx::test]
async fn what_an_older_version_took_from_a_charge_gives_way_to_its_refunds(db: PgPool) {
    let one = Bought::paid(db).await;
    let whole = "INSERT INTO refunds (refund_id, order_id, provider, provider_refund_id, amount_minor, status)
                 SELECT gen_random_uuid(), order_id, provider, 'whole pi_1', price_minor, 'succeeded' FROM orders";
    change(&one.db, whole).await;
    let refund =
        json!({"id": "re_1", "object": "refund", "amount": 500, "currency": "usd", "payment_intent": "pi_1", "status": "succeeded"});
    assert_eq!(one.deliver("evt_refund", "refund.created", refund).await, EventOutcome::Recorded);
    assert_eq!(one.standing().await, (OrderStatus::Refunded, 0, WHOLE, true, 0));
    assert_eq!(number(&one.db, "SELECT sum(amount_minor)::bigint FROM refunds WHERE status <> 'failed'").await, 500);
}

#[sqlx::test]
async fn an_inquiry_freezes_nothing_until_it_becomes_a_dispute(db: PgPool) {
    let one = Bought::paid(db).await;
    for status in ["warning_needs_response", "warning_under_review"] {
        assert_eq!(told(&one, status, Some(500), 1).await, EventOutcome::Ignored, "{status}");
        assert_eq!(one.standing().await, (OrderStatus::Fulfilled, WHOLE, 0, false, WHOLE), "{status}");
    }
    assert_eq!(told(&one, "under_review", Some(500), 1).await, EventOutcome::Recorded);
    assert_eq!(one.standing().await, (OrderStatus::Disputed, WHOLE, 0, true, 0));
    assert_eq!(told(&one, "prevented", Some(500), 1).await, EventOutcome::Recorded);
    assert_eq!(one.standing().await, (OrderStatus::Fulfilled, WHOLE, 0, false, WHOLE));
}

#[sqlx::test]
async fn what_a_dispute_cannot_mean_is_quarantined(db: PgPool) {
    let one = Bought::paid(db).await;
    assert_eq!(told(&one, "a word of the future", None, 1).await, EventOutcome::Quarantined);
    assert_eq!(one.standing().await, (OrderStatus::Fulfilled, WHOLE, 0, false, WHOLE), "not open for ever");
    told(&one, "lost", Some(200), 1).await;
    assert_eq!(told(&one, "won", Some(200), 1).await, EventOutcome::Quarantined, "the money would have come back");
    assert_eq!(one.standing().await, (OrderStatus::PartlyRefunded, 600_000, 400_000, false, 600_000));
}

#[sqlx::test]
async fn the_time_of_a_frozen_grant_stands_still(db: PgPool) {
    let one = Bought::paid(db).await;
    told(&one, "needs_response", None, 1).await;
    // A day before its end it was frozen, and that was three days ago.
    let over = "UPDATE grants SET starts_at = now() - interval '9 days', frozen_at = now() - interval '3 days',
                                  expires_at = now() - interval '2 days'";
    change(&one.db, over).await;
    assert_eq!(sweep_expired_grants(&one.db, 10).await.expect("swept"), 0);
    let shown = grants_of(&one.db, one.ada.account_id()).await.expect("grants");
    assert_eq!((shown[0].left, shown[0].frozen, shown[0].live), (Tokens(WHOLE), true, true), "nor does the wallet say that it expired");
    told(&one, "won", None, 1).await;
    assert_eq!(sweep_expired_grants(&one.db, 10).await.expect("swept"), 0);
    assert_eq!(one.standing().await, (OrderStatus::Fulfilled, WHOLE, 0, false, WHOLE));
    // In full hours.
    assert_eq!(number(&one.db, "SELECT ceil(extract(epoch FROM expires_at - now()) / 3600)::bigint FROM grants").await, 25);
}

#[sqlx::test]
async fn a_clock_that_was_set_back_takes_no_time_from_a_grant_that_was_frozen(db: PgPool) {
    let one = Bought::paid(db).await;
    told(&one, "needs_response", None, 1).await;
    let ahead = "UPDATE grants SET starts_at = now() - interval '1 day', frozen_at = now() + interval '5 hours',
                                   expires_at = now() + interval '9 days'";
    change(&one.db, ahead).await;
    told(&one, "won", None, 1).await;
    assert_eq!(number(&one.db, "SELECT ceil(extract(epoch FROM expires_at - now()) / 3600)::bigint FROM grants").await, 9 * 24);
}

#[sqlx::test]
async fn a_lost_dispute_takes_what_expired_while_it_was_open(db: PgPool) {
    let one = Bought::paid(db).await;
    told(&one, "needs_response", None, 1).await;
    let over = "UPDATE grants SET starts_at = now() - interval '9 days', frozen_at = now() - interval '3 days',
                                  expires_at = now() - interval '2 days'";
    change(&one.db, over).await;
    told(&one, "lost", None, 1).await;
    assert_eq!(one.standing().await, (OrderStatus::Refunded, 0, WHOLE, true, 0));
    assert_eq!(take_leftovers(&one.db, 10).await.expect("taken"), 0);
}

#[sqlx::test]
async fn what_had_expired_before_a_dispute_stays_expired(db: PgPool) {
    let one = Bought::paid(db).await;
    change(&one.db, "UPDATE grants SET starts_at = now() - interval '9 days', expires_at = now() - interval '1 second'").await;
    told(&one, "needs_response", None, 1).await;
    assert_eq!(one.standing().await, (OrderStatus::Disputed, WHOLE, 0, true, 0), "the sweep had not come by");
    told(&one, "lost", None, 1).await;
    assert_eq!(one.standing().await, (OrderStatus::Refunded, 0, 0, true, 0));
    assert_eq!(number(&one.db, "SELECT expired FROM grants").await, WHOLE);
    assert_eq!(take_leftovers(&one.db, 10).await.expect("taken"), 0);
}

#[sqlx::test]
async fn a_refund_made_elsewhere_is_not_taken_for_ours_of_the_same_amount(db: PgPool) {
    let one = Bought::paid(db).await;
    let ours = one.refund(RefundPart::Amount(200)).await.expect("requested");
    one.tell("partly refunded", 1).await;
    assert_eq!(number(&one.db, "SELECT count(*) FROM refunds").await, 2);
    one.answered(&ours, RefundStatus::Succeeded).await;
    assert_eq!(one.standing().await, (OrderStatus::PartlyRefunded, 200_000, 800_000, false, 200_000));
}

#[sqlx::test]
async fn a_refund_that_succeeds_after_it_failed_is_quarantined(db: PgPool) {
    let one = Bought::paid(db).await;
    let refund = one.refund(RefundPart::All).await.expect("requested");
    note_answer(&one.db, one.order_id, refund.refund_id, &RefundAnswer { id: None, status: RefundStatus::Failed }).await.expect("noted");
    let object = json!({"id": "re_9", "object": "refund", "amount": 500, "currency": "usd", "payment_intent": "pi_1", "status": "succeeded",
        "metadata": {"refund_id": refund.refund_id.to_string()}});
    assert_eq!(one.deliver("evt_after_all", "refund.updated", object).await, EventOutcome::Quarantined);
    assert_eq!(one.standing().await, (OrderStatus::Fulfilled, WHOLE, 0, false, WHOLE));
}

#[sqlx::test]
async fn the_audit_finds_an_order_refunded_beyond_its_price(db: PgPool) {
    let one = Bought::paid(db).await;
    let wrong = "INSERT INTO refunds (refund_id, order_id, provider, amount_minor, tokens, status)
                 SELECT gen_random_uuid(), order_id, provider, 501, 0, 'succeeded' FROM orders";
    change(&one.db, wrong).await;
    let found = audit(&one.db, None).await.expect("audit").differences;
    let found: Vec<_> = found.into_iter().map(|difference| (difference.what, difference.expected, difference.found)).collect();
    assert_eq!(found, [("refunded beyond its price".to_string(), 0, 1)]);
}
