//! Tests of purchases that rolled over. Money that goes back for one reaches its own Tokens, wherever they lie, and no other purchase's; a
//! call finds them whether or not the sweep has run, and so does what else is done to the wallet (`writes`).

use crate::accounts::rights::Owner;
use crate::catalog::store::{PackageEdit, update_package};
use crate::checkout::event::PaymentEvent;
use crate::checkout::payments::{Provider, RefundAnswer};
use crate::checkout::store::events::{EventOutcome, insert_event, settle_event};
use crate::checkout::store::fixtures::{member, open_order_that_starts, outbox, package, pay};
use crate::checkout::store::refund_requests::{RefundPart, RequestedRefund, own_refund_offer, request_own_refund, request_refund};
use crate::checkout::store::refunds::{note_answer, take_leftovers};
use crate::checkout::store::{CheckoutError, order};
use crate::checkout::types::{RefundStatus, Start};
use crate::checkout::types_refund::{OwnRefund, OwnRefundRequest, RefundOffer};
use crate::ids::{OrderId, PackageId};
use crate::keys::secret::KeySecret;
use crate::operators::rights::Operator;
use crate::tokens::Tokens;
use crate::wallet::audit::audit;
use crate::wallet::fixtures::{self, Used};
use crate::wallet::ledger::{AdmissionRequest, Verdict, admit_calls, reap_holds, sweep_expired_grants};
use crate::wallet::store::standing_of;
use chrono::{TimeDelta, Utc};
use futures::future::{join, join_all};
use serde_json::json;
use sqlx::PgPool;

/// Sells 1,000,000 Tokens for $5.00 that roll over, and whose unused part may be given back for 14 days.
struct Shop {
    db: PgPool,
    ada: Owner,
    package_id: PackageId,
}

const WHOLE: i64 = 1_000_000;

impl Shop {
    async fn open(db: &PgPool, name: &str) -> Shop {
        let (ada, package_id) = (member(db, &format!("{name}@example.com")).await, package(db, name, None).await);
        let edit = PackageEdit { rolls_over: Some(true), refund_window_s: Some(Some(1_209_600)), ..PackageEdit::default() };
        update_package(db, Operator::command_line(), package_id, edit).await.expect("edited");
        Shop { db: db.clone(), ada, package_id }
    }

    /// Bought twice: what the first brought is in the grant of the second.
    async fn bought_twice(db: &PgPool, name: &str) -> (Shop, OrderId, OrderId) {
        let shop = Shop::open(db, name).await;
        let (first, second) = (shop.buy(Start::Now).await, shop.buy(Start::Now).await);
        assert_eq!((shop.left(first).await, shop.left(second).await), (0, 2 * WHOLE));
        (shop, first, second)
    }

    async fn buy(&self, starts: Start) -> OrderId {
        let order = open_order_that_starts(&self.db, &self.ada, self.package_id, starts).await;
        pay(&self.db, &order).await;
        order.0
    }

    /// Bought once, and once more for when that ends; and a key to spend them with.
    async fn bought_ahead(db: &PgPool, rolls_over: bool) -> (Shop, OrderId, OrderId, KeySecret) {
        let shop = Shop::open(db, "ada").await;
        let edit = PackageEdit { rolls_over: Some(rolls_over), ..PackageEdit::default() };
        update_package(db, Operator::command_line(), shop.package_id, edit).await.expect("edited");
        let (first, queued) = (shop.buy(Start::Now).await, shop.buy(Start::AfterCurrent).await);
        let supplier_id = fixtures::supplier(db, "acme").await;
        fixtures::model(db, "acme/m", supplier_id).await;
        let (_, secret) = fixtures::key(db, &shop.ada, fixtures::plain_key("k")).await;
        (shop, first, queued, secret)
    }

    /// A month, and a little.
    async fn month_passes(&self) {
        let month = "UPDATE grants SET starts_at = starts_at - interval '31 days', expires_at = expires_at - interval '31 days',
                                       created_at = created_at - interval '31 days'";
        sqlx::query(month).execute(&self.db).await.expect("passed");
    }

    /// How many times Tokens moved from one grant to another.
    async fn moves(&self) -> i64 {
        let moves = sqlx::query_scalar("SELECT count(*) FROM ledger WHERE to_book = 'grant' AND from_book = 'grant'");
        moves.fetch_one(&self.db).await.expect("count")
    }

    /// In the grant of an order, whosever they are.
    async fn left(&self, order_id: OrderId) -> i64 {
        let left = sqlx::query_scalar("SELECT left_ FROM grants WHERE order_id = $1").bind(order_id.0);
        left.fetch_one(&self.db).await.expect("a grant")
    }

    async fn entries(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM ledger").fetch_one(&self.db).await.expect("count")
    }

    async fn dispute(&self, order_id: OrderId, status: &str) {
        assert_eq!(self.told(order_id, status).await.expect("settled"), EventOutcome::Recorded);
    }

    /// What the bank says of the payment of an order.
    async fn told(&self, order_id: OrderId, status: &str) -> Result<EventOutcome, CheckoutError> {
        let kind = if status == "needs_response" { "charge.dispute.created" } else { "charge.dispute.closed" };
        let object = json!({"id": format!("dp_{order_id}"), "object": "dispute", "payment_intent": format!("pi_{order_id}"),
            "amount": 500, "currency": "usd", "status": status});
        let payload = json!({"id": format!("evt_{status}_{order_id}"), "type": kind, "data": {"object": object}});
        let event = PaymentEvent::from_payload(payload).expect("an event");
        insert_event(&self.db, Provider::Stripe, &event).await.expect("stored");
        Ok(settle_event(&self.db, &outbox(), Provider::Stripe, &event).await?.outcome)
    }

    async fn answered(&self, refund: &RequestedRefund, status: RefundStatus) {
        let answer = RefundAnswer { id: Some(format!("re_{}", refund.refund_id)), status };
        note_answer(&self.db, refund.order_id, refund.refund_id, &answer).await.expect("noted");
    }

    /// An operator refunds all of an order.
    async fn refund(&self, order_id: OrderId) -> RequestedRefund {
        let refund = request_refund(&self.db, Operator::command_line(), order_id, RefundPart::All, None).await.expect("requested");
        self.answered(&refund, RefundStatus::Succeeded).await;
        refund
    }

    async fn offer(&self, order_id: OrderId) -> RefundOffer {
        own_refund_offer(&self.db, &self.ada, order_id).await.expect("an offer")
    }

    /// The customer returns what is not used of an order. How many Tokens for how many cents.
    async fn give_back(&self, order_id: OrderId) -> (i64, i64) {
        let RefundOffer { form_key, tokens, amount, .. } = self.offer(order_id).await;
        let form = OwnRefundRequest { order_id, form_key, tokens, amount_minor: amount.minor };
        let refund = request_own_refund(&self.db, &self.ada, &form).await.expect("requested").expect("begun");
        self.answered(&refund, RefundStatus::Succeeded).await;
        (refund.tokens.0, refund.amount.minor)
    }

    /// What can be spent, and what was refunded, in books that add up.
    async fn standing(&self) -> (i64, i64) {
        let report = audit(&self.db, None).await.expect("audit");
        assert!(report.differences.is_empty(), "{:?}", report.differences);
        let refunded = sqlx::query_scalar("SELECT coalesce(sum(refunded), 0)::bigint FROM grants WHERE account_id = $1");
        let refunded = refunded.bind(self.ada.account_id().0).fetch_one(&self.db).await.expect("a sum");
        (standing_of(&self.db, self.ada.account_id()).await.expect("a standing").balance.0, refunded)
    }
}

#[sqlx::test]
async fn a_dispute_of_the_first_purchase_freezes_what_rolled_over_and_takes_it_when_it_is_lost(db: PgPool) {
    let (shop, first, second) = Shop::bought_twice(&db, "ada").await;
    assert_eq!(shop.standing().await, (2 * WHOLE, 0));
    shop.dispute(first, "needs_response").await;
    assert_eq!((shop.standing().await, shop.left(second).await), ((WHOLE, 0), WHOLE));
    shop.dispute(first, "lost").await;
    assert_eq!((shop.standing().await, shop.left(second).await), ((WHOLE, WHOLE), WHOLE));
}

#[sqlx::test]
async fn a_dispute_that_is_won_gives_back_what_had_rolled_over_with_the_time_it_had_got(db: PgPool) {
    let (shop, first, second) = Shop::bought_twice(&db, "ada").await;
    shop.dispute(first, "needs_response").await;
    shop.dispute(first, "won").await;
    assert_eq!(shop.standing().await, (2 * WHOLE, 0));
    let sql = "SELECT f.expires_at >= s.expires_at FROM grants f, grants s WHERE f.order_id = $1 AND s.order_id = $2";
    let as_long: bool = sqlx::query_scalar(sql).bind(first.0).bind(second.0).fetch_one(&db).await.expect("both");
    assert!(as_long);
    // All of it rolls over again, and is told apart again.
    let third = shop.buy(Start::Now).await;
    assert_eq!(shop.left(third).await, 3 * WHOLE);
    shop.dispute(second, "lost").await;
    assert_eq!((shop.standing().await, shop.left(third).await), ((2 * WHOLE, WHOLE), 2 * WHOLE));
    shop.dispute(third, "lost").await;
    assert_eq!((shop.standing().await, shop.left(first).await), ((WHOLE, 2 * WHOLE), WHOLE));
}

#[sqlx::test]
async fn a_whole_refund_of_the_first_purchase_takes_what_rolled_over_and_returns_it_when_it_fails(db: PgPool) {
    let (shop, first, _) = Shop::bought_twice(&db, "ada").await;
    let refund = shop.refund(first).await;
    assert_eq!((refund.tokens, refund.amount.minor), (Tokens(WHOLE), 500));
    assert_eq!(shop.standing().await, (WHOLE, WHOLE));
    shop.answered(&refund, RefundStatus::Failed).await;
    assert_eq!(shop.standing().await, (2 * WHOLE, 0));
}

#[sqlx::test]
async fn what_rolled_over_stays_when_the_second_purchase_is_refunded_or_disputed(db: PgPool) {
    let (shop, first, second) = Shop::bought_twice(&db, "ada").await;
    assert_eq!(shop.refund(second).await.tokens, Tokens(WHOLE));
    assert_eq!((shop.standing().await, shop.left(first).await), ((WHOLE, WHOLE), WHOLE));
    assert_eq!(shop.refund(first).await.tokens, Tokens(WHOLE));
    assert_eq!(shop.standing().await, (0, 2 * WHOLE));

    let (shop, first, second) = Shop::bought_twice(&db, "bob").await;
    shop.dispute(second, "needs_response").await;
    assert_eq!((shop.standing().await, shop.left(first).await), ((WHOLE, 0), WHOLE));
    shop.dispute(second, "lost").await;
    assert_eq!((shop.standing().await, shop.left(first).await), ((WHOLE, WHOLE), WHOLE));
}

#[sqlx::test]
async fn a_part_comes_from_where_it_lies_and_the_rest_stays_there(db: PgPool) {
    let (shop, first, second) = Shop::bought_twice(&db, "ada").await;
    let part = RefundPart::Tokens(Tokens(300_000));
    for order_id in [first, second] {
        let refund = request_refund(&db, Operator::command_line(), order_id, part, None).await.expect("requested");
        assert_eq!(refund.amount.minor, 150);
        shop.answered(&refund, RefundStatus::Succeeded).await;
    }
    assert_eq!((shop.standing().await, shop.left(first).await), ((1_400_000, 600_000), 0));
    assert_eq!((shop.offer(first).await.tokens, shop.offer(second).await.tokens), (Tokens(700_000), Tokens(700_000)));
}

#[sqlx::test]
async fn whoever_used_nothing_of_two_purchases_gets_all_of_the_money_back(db: PgPool) {
    for (name, second_first) in [("ada", false), ("bob", true)] {
        let (shop, first, second) = Shop::bought_twice(&db, name).await;
        let before = shop.entries().await;
        for order_id in [first, second] {
            let offer = shop.offer(order_id).await;
            assert_eq!((offer.tokens, offer.whole, offer.amount.minor), (Tokens(WHOLE), Tokens(WHOLE), 500));
            let view = order(&db, &shop.ada, order_id).await.expect("an order");
            assert!(matches!(view.own_refund, OwnRefund::Until(_)));
        }
        assert_eq!(shop.entries().await, before, "what is only looked at stays where it is");
        let orders = if second_first { [second, first] } else { [first, second] };
        for order_id in orders {
            assert_eq!(shop.give_back(order_id).await, (WHOLE, 500));
        }
        assert_eq!(shop.standing().await, (0, 2 * WHOLE));
    }
}

#[sqlx::test]
async fn tokens_of_the_earlier_purchase_are_spent_first(db: PgPool) {
    let supplier_id = fixtures::supplier(&db, "acme").await;
    fixtures::model(&db, "acme/m", supplier_id).await;
    for (name, second_first) in [("ada", false), ("bob", true)] {
        let (shop, first, second) = Shop::bought_twice(&db, name).await;
        let (_, secret) = fixtures::key(&db, &shop.ada, fixtures::plain_key("k")).await;
        let used = Used { input: 600, cached: 0, output: 50 };
        fixtures::call_at(&db, &secret, "acme/m", used, Utc::now()).await;
        assert_eq!(used.charge(), 700);
        // 999,300 of 1,000,000 Tokens for $5.00 are 499.65 cents.
        let expected = [(first, (WHOLE - 700, 499)), (second, (WHOLE, 500))];
        let expected = if second_first { [expected[1], expected[0]] } else { expected };
        for (order_id, back) in expected {
            assert_eq!(shop.give_back(order_id).await, back, "{name}");
        }
        assert_eq!(shop.standing().await, (0, 2 * WHOLE - 700));
    }
}

#[sqlx::test]
async fn what_a_running_call_holds_lets_nothing_of_a_disputed_purchase_escape(db: PgPool) {
    let (shop, first, second) = Shop::bought_twice(&db, "ada").await;
    let supplier_id = fixtures::supplier(&db, "acme").await;
    fixtures::model(&db, "acme/m", supplier_id).await;
    let (_, secret) = fixtures::key(&db, &shop.ada, fixtures::plain_key("k")).await;
    let running = fixtures::admit(&db, &secret, "acme/m", 10, 20).await;
    shop.dispute(first, "needs_response").await;
    assert_eq!(shop.standing().await, (WHOLE - 50, 0));
    let used = Used { input: 10, cached: 0, output: 5 };
    fixtures::settle(&db, &running, used, Utc::now()).await;
    assert_eq!((shop.standing().await, shop.left(second).await), ((WHOLE - used.charge(), 0), WHOLE - used.charge()));
    shop.dispute(first, "lost").await;
    assert_eq!(shop.standing().await, (WHOLE - used.charge(), WHOLE));
    assert_eq!(take_leftovers(&db, 10).await.expect("taken"), 0);
}

#[sqlx::test]
async fn what_a_call_gives_back_later_of_a_disputed_purchase_is_gathered(db: PgPool) {
    let (shop, first, second) = Shop::bought_twice(&db, "ada").await;
    let supplier_id = fixtures::supplier(&db, "acme").await;
    fixtures::model(&db, "acme/m", supplier_id).await;
    let (_, secret) = fixtures::key(&db, &shop.ada, fixtures::plain_key("k")).await;
    // It holds all of the second purchase, and a half of the first.
    let running = fixtures::admit(&db, &secret, "acme/m", 1_500_000, 20).await;
    shop.dispute(first, "needs_response").await;
    assert_eq!(shop.standing().await, (0, 0));
    let used = Used { input: 10, cached: 0, output: 5 };
    fixtures::settle(&db, &running, used, Utc::now()).await;
    assert_eq!(take_leftovers(&db, 10).await.expect("gathered"), 1);
    assert_eq!((shop.standing().await, shop.left(second).await), ((WHOLE, 0), WHOLE));
    assert_eq!(take_leftovers(&db, 10).await.expect("gathered"), 0);
    shop.dispute(first, "lost").await;
    assert_eq!(shop.standing().await, (WHOLE, WHOLE - used.charge()));
}

#[sqlx::test]
async fn what_moved_to_a_queued_purchase_when_its_time_was_over_is_reached_there(db: PgPool) {
    let shop = Shop::open(&db, "ada").await;
    let (first, queued) = (shop.buy(Start::Now).await, shop.buy(Start::AfterCurrent).await);
    shop.month_passes().await;
    assert_eq!(sweep_expired_grants(&db, 10).await.expect("swept"), 1);
    assert_eq!((shop.left(first).await, shop.left(queued).await), (0, 2 * WHOLE));
    shop.dispute(first, "needs_response").await;
    assert_eq!(shop.standing().await, (WHOLE, 0));
    shop.dispute(first, "won").await;
    assert_eq!(shop.standing().await, (2 * WHOLE, 0));
    assert_eq!(shop.refund(first).await.tokens, Tokens(WHOLE));
    assert_eq!((shop.standing().await, shop.left(queued).await), ((WHOLE, WHOLE), WHOLE));
}

#[sqlx::test]
async fn a_call_finds_what_rolls_over_before_the_sweep_does(db: PgPool) {
    let (shop, first, queued, secret) = Shop::bought_ahead(&db, true).await;
    // It holds 500,040 of the first purchase when that ends.
    let running = fixtures::admit(&db, &secret, "acme/m", 500_000, 20).await;
    shop.month_passes().await;
    // What the queued one brought is enough for this, so nothing moves.
    fixtures::admit(&db, &secret, "acme/m", 100_000, 20).await;
    assert_eq!((shop.left(first).await, shop.left(queued).await, shop.moves().await), (499_960, 899_960, 0));
    let call = fixtures::admit(&db, &secret, "acme/m", 1_300_000, 20).await;
    assert_eq!((call.held, call.output_limit), (Tokens(1_300_040), 20), "neither refused nor clamped");
    assert_eq!((shop.left(first).await, shop.left(queued).await, shop.moves().await), (0, 99_880, 1));
    // What the call of then gives back comes there as well.
    fixtures::settle(&db, &running, Used { input: 10, cached: 0, output: 5 }, Utc::now() - TimeDelta::days(31)).await;
    assert_eq!((shop.left(first).await, shop.left(queued).await), (500_020, 99_880));
    fixtures::admit(&db, &secret, "acme/m", 550_000, 20).await;
    assert_eq!((shop.left(first).await, shop.left(queued).await, shop.moves().await), (0, 49_860, 2));
    assert_eq!(shop.standing().await, (49_860, 0));
    assert_eq!(sweep_expired_grants(&db, 10).await.expect("swept"), 0, "there is nothing left to do");
}

#[sqlx::test]
async fn a_call_that_needs_what_rolls_over_leaves_its_neighbours_what_they_took(db: PgPool) {
    let (shop, first, queued, secret) = Shop::bought_ahead(&db, true).await;
    shop.month_passes().await;
    let request = |input| AdmissionRequest { exact: false, ..fixtures::request(&secret, "acme/m", input, 20) };
    let requests = [request(60), request(1_500_000), request(60), request(500_000)];
    let owner = fixtures::replica(&db).await;
    let decisions = admit_calls(&db, &requests, owner, TimeDelta::seconds(60), false).await.expect("decided");
    let held = decisions.iter().map(|decision| match &decision.verdict {
        Verdict::Admitted(call) => call.held.0,
        Verdict::CountInput => 0,
        verdict => panic!("neither admitted nor to be counted: {verdict:?}"),
    });
    assert_eq!(held.collect::<Vec<_>>(), [100, 1_500_040, 100, 0]);
    assert_eq!((shop.left(first).await, shop.left(queued).await, shop.moves().await), (0, 499_760, 1));
    assert_eq!(shop.standing().await, (499_760, 0));
}

#[sqlx::test]
async fn calls_and_sweeps_at_once_move_what_rolls_over_once(db: PgPool) {
    let (shop, first, queued, secret) = Shop::bought_ahead(&db, true).await;
    shop.month_passes().await;
    // Eight of 250,000 Tokens, of which the queued purchase alone pays for four.
    let calls = join_all((0..8).map(|_| fixtures::admit(&db, &secret, "acme/m", 249_960, 20)));
    let sweeps = join_all((0..2).map(|_| sweep_expired_grants(&db, 10)));
    let (calls, sweeps) = join(calls, sweeps).await;
    assert!(calls.iter().all(|call| call.held == Tokens(250_000)));
    let visited: i32 = sweeps.into_iter().map(|sweep| sweep.expect("swept")).sum();
    assert!(visited <= 1, "{visited} sweeps of one grant");
    assert_eq!((shop.left(first).await, shop.left(queued).await, shop.moves().await), (0, 0, 1));
    assert!(matches!(fixtures::try_admit(&db, &secret, "acme/m", 10, 20).await, Verdict::BalanceExhausted));
    assert_eq!(shop.standing().await, (0, 0));
}

#[sqlx::test]
async fn a_late_report_is_charged_what_rolls_over_before_the_sweep(db: PgPool) {
    let (shop, first, queued, secret) = Shop::bought_ahead(&db, true).await;
    let silent = fixtures::admit(&db, &secret, "acme/m", 999_960, 20).await;
    sqlx::query("UPDATE holds SET deadline = now() - interval '1 second'").execute(&db).await.expect("silent");
    assert_eq!(reap_holds(&db, 10).await.expect("reaped"), 1);
    shop.month_passes().await;
    fixtures::admit(&db, &secret, "acme/m", 899_960, 20).await;
    assert_eq!((shop.left(first).await, shop.left(queued).await), (WHOLE, 100_000));
    fixtures::settle(&db, &silent, Used { input: 600_000, cached: 0, output: 20 }, Utc::now()).await;
    let record = sqlx::query_as("SELECT charge, written_off FROM usage_records WHERE request_id = $1").bind(silent.request_id.0);
    let charged: (i64, i64) = record.fetch_one(&db).await.expect("a record");
    assert_eq!(charged, (600_040, 0));
    assert_eq!((shop.left(first).await, shop.left(queued).await, shop.moves().await), (0, 499_960, 1));
    assert_eq!(shop.standing().await, (499_960, 0));
}

#[sqlx::test]
async fn what_does_not_roll_over_pays_for_nothing_when_its_time_is_over(db: PgPool) {
    let (shop, first, queued, secret) = Shop::bought_ahead(&db, false).await;
    shop.month_passes().await;
    let before = shop.entries().await;
    assert!(matches!(fixtures::try_admit(&db, &secret, "acme/m", 1_500_000, 20).await, Verdict::BalanceExhausted));
    let clamped = fixtures::admit(&db, &secret, "acme/m", 999_990, 20).await;
    assert_eq!((clamped.held, clamped.output_limit), (Tokens(WHOLE), 5));
    assert_eq!((shop.left(first).await, shop.left(queued).await, shop.entries().await), (WHOLE, 0, before));
    assert_eq!(sweep_expired_grants(&db, 10).await.expect("swept"), 1, "it expires with the sweep");
    assert_eq!((shop.left(first).await, shop.standing().await), (0, (0, 0)));
}

#[path = "rollover_traffic_tests.rs"]
mod traffic;
#[path = "rollover_writes_tests.rs"]
mod writes;
