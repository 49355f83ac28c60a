//! Tests of money that goes back: in every order, once, to the Token and to the cent.

use super::*;
use crate::accounts::rights::Owner;
use crate::checkout::event::PaymentEvent;
use crate::checkout::store::events::{insert_event, settle_event};
use crate::checkout::store::fixtures::{member, open_order, outbox, package};
use crate::checkout::store::order;
use crate::checkout::store::refund_requests::{RefundPart, RequestedRefund, request_refund};
use crate::operators::rights::Operator;
use crate::wallet::audit::audit;
use crate::wallet::fixtures;
use crate::wallet::ledger::{LedgerError, sweep_expired_grants};
use crate::wallet::store::standing_of;
use serde_json::{Value, json};

/// $5.00 for 1,000,000 Tokens; the payment is `pi_1`.
struct Bought {
    db: PgPool,
    ada: Owner,
    order_id: OrderId,
    session_id: String,
}

impl Bought {
    async fn open(db: PgPool, name: &str) -> Bought {
        let (ada, package_id) = (member(&db, &format!("{name}@example.com")).await, package(&db, name, None).await);
        let (order_id, session_id) = open_order(&db, &ada, package_id).await;
        Bought { db, ada, order_id, session_id }
    }

    async fn paid(db: PgPool) -> Bought {
        let bought = Bought::open(db, "ada").await;
        assert_eq!(bought.tell("completed", 1).await, EventOutcome::Fulfilled);
        bought
    }

    /// Delivers an event about the payment `pi_1`.
    async fn tell(&self, what: &str, n: usize) -> EventOutcome {
        self.tell_of(what, "pi_1", n).await
    }

    /// Delivers an event about a payment; `n` makes its id another. One payment has one refund and one dispute.
    async fn tell_of(&self, what: &str, payment_id: &str, n: usize) -> EventOutcome {
        let session = |status: &str, paid: &str| {
            json!({"id": self.session_id, "object": "checkout.session", "mode": "payment", "status": status, "payment_status": paid,
                "amount_total": 500, "currency": "usd", "payment_intent": payment_id, "client_reference_id": self.order_id.to_string()})
        };
        let refund = |amount: i64, status: &str| {
            json!({"id": format!("re_{payment_id}"), "object": "refund", "amount": amount, "currency": "usd", "status": status,
                "payment_intent": payment_id})
        };
        let dispute =
            |status: &str| json!({"id": format!("dp_{payment_id}"), "object": "dispute", "payment_intent": payment_id, "status": status});
        let (kind, object) = match what {
            "completed" => ("checkout.session.completed", session("complete", "paid")),
            "completed unpaid" => ("checkout.session.completed", session("complete", "unpaid")),
            "async succeeded" => ("checkout.session.async_payment_succeeded", session("complete", "paid")),
            "expired" => ("checkout.session.expired", session("expired", "unpaid")),
            "charge refunded" => ("charge.refunded", json!({"object": "charge", "refunded": true, "payment_intent": payment_id})),
            "refunded" => ("refund.created", refund(500, "succeeded")),
            "partly refunded" => ("refund.created", refund(200, "pending")),
            "refund succeeded" => ("refund.updated", refund(500, "succeeded")),
            "refund failed" => ("refund.failed", refund(500, "failed")),
            "disputed" => ("charge.dispute.created", dispute("needs_response")),
            "won" | "lost" => ("charge.dispute.closed", dispute(what)),
            other => panic!("{other}"),
        };
        self.deliver(&format!("evt_{what}_{payment_id}_{n}"), kind, object).await
    }

    async fn deliver(&self, id: &str, kind: &str, object: Value) -> EventOutcome {
        let event = PaymentEvent::from_payload(json!({"id": id, "type": kind, "data": {"object": object}})).expect("an event");
        insert_event(&self.db, Provider::Stripe, &event).await.expect("stored");
        settle_event(&self.db, &outbox(), Provider::Stripe, &event).await.expect("settled").outcome
    }

    async fn refund(&self, part: RefundPart) -> Result<RequestedRefund, CheckoutError> {
        request_refund(&self.db, Operator::command_line(), self.order_id, part, Some("asked for it")).await
    }

    async fn answered(&self, refund: &RequestedRefund, status: RefundStatus) {
        let answer = RefundAnswer { id: Some(format!("re_{}", refund.refund_id)), status };
        note_answer(&self.db, self.order_id, refund.refund_id, &answer).await.expect("noted");
    }

    /// The order's state; left, refunded and frozen of its grant; what the wallet can spend.
    async fn standing(&self) -> (OrderStatus, i64, i64, bool, i64) {
        let status = order(&self.db, &self.ada, self.order_id).await.expect("order").status;
        let row =
            sqlx::query!(r#"SELECT left_, refunded, frozen_at IS NOT NULL AS "frozen!" FROM grants WHERE order_id = $1"#, self.order_id.0);
        let row = row.fetch_one(&self.db).await.expect("one grant");
        let report = audit(&self.db, None).await.expect("audit");
        assert!(report.differences.is_empty(), "{:?}", report.differences);
        (status, row.left_, row.refunded, row.frozen, standing_of(&self.db, self.ada.account_id()).await.expect("a standing").balance.0)
    }
}

#[path = "disputes_tests.rs"]
mod disputes;

const WHOLE: i64 = 1_000_000;

/// Every order of these.
fn permutations(items: &[&'static str]) -> Vec<Vec<&'static str>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in items.iter().enumerate() {
        let rest: Vec<_> = items.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, item)| *item).collect();
        all.extend(permutations(&rest).into_iter().map(|mut tail| {
            tail.insert(0, first);
            tail
        }));
    }
    all
}

/// Each sequence happens to an order of its own, in one database.
async fn all_orders_end_alike(db: &PgPool, items: &[&'static str], end: (OrderStatus, i64, i64, bool)) {
    for (n, sequence) in permutations(items).into_iter().enumerate() {
        let (one, payment_id) = (Bought::open(db.clone(), &format!("ada{n}")).await, format!("pi_{n}"));
        for (step, what) in sequence.iter().enumerate() {
            one.tell_of(what, &payment_id, step).await;
        }
        let (status, left, refunded, frozen, _) = one.standing().await;
        assert_eq!((status, left, refunded, frozen), end, "{sequence:?}");
        let (money, notes, succeeded): (i64, i64, i64) = sqlx::query_as(
            "SELECT coalesce(sum(amount_minor) FILTER (WHERE status <> 'failed'), 0)::bigint,
                    count(c.refund_id) FILTER (WHERE status <> 'failed'), count(*) FILTER (WHERE status = 'succeeded')
               FROM refunds r LEFT JOIN credit_notes c USING (refund_id) WHERE r.order_id = $1",
        )
        .bind(one.order_id.0)
        .fetch_one(db)
        .await
        .expect("sums");
        assert!(money <= 500 && notes == succeeded, "{sequence:?}: {money} went back, {notes} credit notes for {succeeded} refunds");
    }
}

#[sqlx::test]
async fn all_orders_of_a_purchase_and_its_refund_end_alike(db: PgPool) {
    let end = (OrderStatus::Refunded, 0, WHOLE, true);
    all_orders_end_alike(&db, &["completed", "async succeeded", "refunded", "expired"], end).await;
}

#[sqlx::test]
async fn all_orders_with_an_asynchronous_payment_and_a_refund_told_twice_end_alike(db: PgPool) {
    let end = (OrderStatus::Refunded, 0, WHOLE, true);
    all_orders_end_alike(&db, &["completed unpaid", "async succeeded", "refunded", "charge refunded"], end).await;
}

#[sqlx::test]
async fn all_orders_of_a_refund_that_its_charge_told_of_and_that_fails_end_alike(db: PgPool) {
    let end = (OrderStatus::Fulfilled, WHOLE, 0, false);
    all_orders_end_alike(&db, &["completed", "charge refunded", "refund succeeded", "refund failed"], end).await;
}

#[sqlx::test]
async fn all_orders_of_a_refund_that_fails_end_alike(db: PgPool) {
    let end = (OrderStatus::Fulfilled, WHOLE, 0, false);
    all_orders_end_alike(&db, &["completed", "refunded", "refund failed", "expired"], end).await;
}

#[sqlx::test]
async fn all_orders_of_a_dispute_end_alike(db: PgPool) {
    all_orders_end_alike(&db, &["completed", "disputed", "won"], (OrderStatus::Fulfilled, WHOLE, 0, false)).await;
}

#[sqlx::test]
async fn all_orders_of_a_dispute_that_is_lost_end_alike(db: PgPool) {
    all_orders_end_alike(&db, &["completed", "disputed", "lost"], (OrderStatus::Refunded, 0, WHOLE, true)).await;
}

#[sqlx::test]
async fn an_unused_part_goes_back_to_the_cent_and_the_order_says_so(db: PgPool) {
    let one = Bought::paid(db).await;
    sqlx::query!("UPDATE grants SET left_ = left_ - 300001, spent = spent + 300001").execute(&one.db).await.expect("spent");
    let refund = one.refund(RefundPart::Unused).await.expect("requested");
    // 699,999 of 1,000,000 Tokens for $5.00 are 349.9995 cents.
    assert_eq!((refund.amount.minor, refund.tokens, refund.payment_id.as_deref()), (349, Tokens(699_999), Some("pi_1")));
    let row = sqlx::query!("SELECT left_, refunded FROM grants").fetch_one(&one.db).await.expect("a grant");
    assert_eq!((row.left_, row.refunded), (0, 699_999), "the Tokens leave before anybody is asked");
    assert_eq!(order(&one.db, &one.ada, one.order_id).await.expect("order").status, OrderStatus::Fulfilled);
    one.answered(&refund, RefundStatus::Succeeded).await;
    one.answered(&refund, RefundStatus::Succeeded).await;
    let view = order(&one.db, &one.ada, one.order_id).await.expect("order");
    assert_eq!((view.status, view.refunds.len(), view.refunds[0].status), (OrderStatus::PartlyRefunded, 1, RefundStatus::Succeeded));
    assert!(matches!(one.refund(RefundPart::Unused).await, Err(CheckoutError::RefundOutOfRange)), "nothing is left");
}

#[sqlx::test]
async fn parts_never_add_up_to_more_than_the_price(db: PgPool) {
    let one = Bought::paid(db).await;
    let tokens = one.refund(RefundPart::Tokens(Tokens(100_000))).await.expect("requested");
    assert_eq!((tokens.amount.minor, tokens.tokens), (50, Tokens(100_000)));
    let amount = one.refund(RefundPart::Amount(149)).await.expect("requested");
    assert_eq!((amount.amount.minor, amount.tokens), (149, Tokens(298_000)));
    assert!(matches!(one.refund(RefundPart::Amount(302)).await, Err(CheckoutError::RefundOutOfRange)));
    let too_many = one.refund(RefundPart::Tokens(Tokens(602_001))).await;
    assert!(matches!(too_many, Err(CheckoutError::Ledger(LedgerError::NotEnoughLeft))), "{too_many:?}");
    assert!(matches!(one.refund(RefundPart::Tokens(Tokens(1))).await, Err(CheckoutError::RefundOutOfRange)), "worth less than a cent");
    for refund in [&tokens, &amount] {
        one.answered(refund, RefundStatus::Succeeded).await;
    }
    assert_eq!(one.standing().await, (OrderStatus::PartlyRefunded, 602_000, 398_000, false, 602_000));
    let rest = one.refund(RefundPart::All).await.expect("requested");
    assert_eq!((rest.amount.minor, rest.tokens), (301, Tokens(602_000)));
    one.answered(&rest, RefundStatus::Pending).await;
    assert_eq!(one.standing().await, (OrderStatus::Refunded, 0, WHOLE, true, 0));
    assert!(matches!(one.refund(RefundPart::All).await, Err(CheckoutError::NotRefundable(OrderStatus::Refunded))));
}

#[sqlx::test]
async fn a_refund_that_fails_gives_the_tokens_back_once(db: PgPool) {
    let one = Bought::paid(db).await;
    let refund = one.refund(RefundPart::All).await.expect("requested");
    one.answered(&refund, RefundStatus::Succeeded).await;
    assert_eq!(one.standing().await, (OrderStatus::Refunded, 0, WHOLE, true, 0));
    for _ in 0..2 {
        one.answered(&refund, RefundStatus::Failed).await;
        assert_eq!(one.standing().await, (OrderStatus::Fulfilled, WHOLE, 0, false, WHOLE));
    }
    // What the provider had said before it failed, and says late, changes nothing.
    one.answered(&refund, RefundStatus::Succeeded).await;
    assert_eq!(one.standing().await, (OrderStatus::Fulfilled, WHOLE, 0, false, WHOLE));
    let moves = sqlx::query_scalar!("SELECT from_book || ' → ' || to_book FROM ledger ORDER BY entry_id").fetch_all(&one.db).await;
    let moves: Vec<_> = moves.expect("ledger").into_iter().flatten().collect();
    assert_eq!(moves, ["issued → grant", "grant → refunded", "refunded → grant"]);
    let steps = sqlx::query_scalar!("SELECT to_status FROM order_transitions ORDER BY transition_id").fetch_all(&one.db).await;
    assert_eq!(steps.expect("steps"), ["awaiting_payment", "paid", "fulfilled", "refunded", "fulfilled"]);
}

#[sqlx::test]
async fn tokens_that_come_back_after_their_time_expire(db: PgPool) {
    let one = Bought::paid(db).await;
    let refund = one.refund(RefundPart::All).await.expect("requested");
    one.answered(&refund, RefundStatus::Succeeded).await;
    let over = "UPDATE grants SET starts_at = now() - interval '2 days', expires_at = now() - interval '1 day'";
    sqlx::raw_sql(over).execute(&one.db).await.expect("over");
    assert_eq!(sweep_expired_grants(&one.db, 10).await.expect("swept"), 0, "a frozen grant is nobody's to sweep");
    one.answered(&refund, RefundStatus::Failed).await;
    assert_eq!(sweep_expired_grants(&one.db, 10).await.expect("swept"), 1);
    assert_eq!(one.standing().await, (OrderStatus::Fulfilled, 0, 0, false, 0));
}

#[sqlx::test]
async fn nothing_draws_on_a_disputed_grant_and_running_calls_finish(db: PgPool) {
    let one = Bought::paid(db).await;
    let supplier_id = fixtures::supplier(&one.db, "acme").await;
    fixtures::model(&one.db, "acme/m", supplier_id).await;
    let (_, secret) = fixtures::key(&one.db, &one.ada, fixtures::plain_key("k")).await;
    let running = fixtures::admit(&one.db, &secret, "acme/m", 10, 20).await;

    one.tell("disputed", 1).await;
    assert_eq!(one.standing().await, (OrderStatus::Disputed, WHOLE - 50, 0, true, 0));
    let refused = fixtures::try_admit(&one.db, &secret, "acme/m", 1, 1).await;
    assert!(format!("{refused:?}").contains("BalanceExhausted"), "{refused:?}");
    assert!(matches!(one.refund(RefundPart::All).await, Err(CheckoutError::NotRefundable(OrderStatus::Disputed))));

    // What the running call gives back is frozen, too; and when the dispute is lost, it goes where the rest went.
    let used = fixtures::Used { input: 10, cached: 0, output: 5 };
    one.tell("lost", 1).await;
    fixtures::settle(&one.db, &running, used, chrono::Utc::now()).await;
    assert_eq!(one.standing().await, (OrderStatus::Refunded, 50 - used.charge(), WHOLE - 50, true, 0));
    assert_eq!(take_leftovers(&one.db, 10).await.expect("taken"), 1);
    assert_eq!(one.standing().await, (OrderStatus::Refunded, 0, WHOLE - used.charge(), true, 0));
    assert_eq!(take_leftovers(&one.db, 10).await.expect("taken"), 0);
}

#[sqlx::test]
async fn a_dispute_that_is_won_thaws_what_it_froze(db: PgPool) {
    let one = Bought::paid(db).await;
    one.tell("partly refunded", 1).await;
    one.tell("disputed", 1).await;
    assert_eq!(one.standing().await, (OrderStatus::Disputed, 600_000, 400_000, true, 0));
    one.tell("won", 1).await;
    assert_eq!(one.standing().await, (OrderStatus::PartlyRefunded, 600_000, 400_000, false, 600_000));
    one.tell("disputed", 1).await;
    assert_eq!(one.standing().await.0, OrderStatus::PartlyRefunded, "told late, it is the same dispute");
}

#[sqlx::test]
async fn refunds_that_do_not_fit_are_quarantined_and_strangers_wait(db: PgPool) {
    let one = Bought::paid(db).await;
    let good = json!({"id": "re_9", "object": "refund", "amount": 100, "currency": "usd", "payment_intent": "pi_1", "status": "succeeded"});
    for (n, (field, value)) in [
        ("currency", json!("eur")),
        ("amount", json!(0)),
        ("amount", Value::Null),
        ("id", Value::Null),
        ("status", Value::Null),
        ("metadata", json!({"order_id": OrderId::generate().to_string()})),
    ]
    .into_iter()
    .enumerate()
    {
        let mut object = good.clone();
        object[field] = value.clone();
        let outcome = one.deliver(&format!("evt_bad_{n}"), "refund.created", object).await;
        assert_eq!(outcome, EventOutcome::Quarantined, "{field} {value}");
    }
    let mut stranger = good.clone();
    stranger["payment_intent"] = json!("pi_somebody_elses");
    assert_eq!(one.deliver("evt_stranger", "refund.created", stranger).await, EventOutcome::Waiting);
    assert_eq!(one.standing().await, (OrderStatus::Fulfilled, WHOLE, 0, false, WHOLE));
    let mut later = good.clone();
    later["status"] = json!("a word of the future");
    assert_eq!(one.deliver("evt_good", "refund.created", later).await, EventOutcome::Recorded);
    assert_eq!(one.standing().await, (OrderStatus::PartlyRefunded, 800_000, 200_000, false, 800_000));
}

#[sqlx::test]
async fn steps_that_do_not_exist_are_impossible(db: PgPool) {
    let one = Bought::paid(db).await;
    for (sql, says) in [
        ("UPDATE orders SET status = 'expired', fulfilled_at = NULL, closed_at = now()", "moved by its transitions only"),
        ("DELETE FROM order_transitions", "append-only"),
        (
            "INSERT INTO order_transitions (order_id, from_status, to_status, cause) SELECT order_id, 'fulfilled', 'expired', 'checkout' FROM orders",
            "order_transitions_step_check",
        ),
        (
            "INSERT INTO order_transitions (order_id, from_status, to_status, cause) SELECT order_id, 'created', 'expired', 'checkout' FROM orders",
            "is not created",
        ),
        (
            "INSERT INTO order_transitions (order_id, from_status, to_status, cause) SELECT order_id, 'fulfilled', 'disputed', 'event' FROM orders",
            "order_transitions_cause_check",
        ),
    ] {
        let refused = sqlx::raw_sql(sql).execute(&one.db).await.expect_err(sql);
        assert!(refused.to_string().contains(says), "{sql}: {refused}");
    }
}
