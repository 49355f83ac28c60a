//! Tests of refunds that customers ask for themselves: what they come to, when they may, and that each happens once.

use super::*;
use crate::accounts::rights::{Owner, Reader};
use crate::accounts::store::reader_of;
use crate::catalog::store::{PackageEdit, update_package};
use crate::checkout::event::SessionFacts;
use crate::checkout::payments::RefundAnswer;
use crate::checkout::store::fixtures::{member, open_order, package, pay, request, settle_session};
use crate::checkout::store::receipts::set_billing_details;
use crate::checkout::store::refunds::note_answer;
use crate::checkout::store::{order, place_order};
use crate::checkout::types_receipt::BillingDetails;
use crate::checkout::types_refund::OwnRefund;
use crate::money::Currency;
use crate::wallet::audit::audit;
use futures::future::join_all;

/// $5.00 for 1,000,000 Tokens, of which the unused part may be given back for 14 days.
struct Bought {
    db: PgPool,
    ada: Owner,
    order_id: OrderId,
}

impl Bought {
    async fn within(db: PgPool, window_s: Option<i64>) -> Bought {
        let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
        let edit = PackageEdit { refund_window_s: Some(window_s), ..PackageEdit::default() };
        update_package(&db, Operator::command_line(), package_id, edit).await.expect("edited");
        let order = open_order(&db, &ada, package_id).await;
        pay(&db, &order).await;
        Bought { db, ada, order_id: order.0 }
    }

    async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.db).await.expect(sql);
    }

    async fn offer(&self) -> Result<RefundOffer, CheckoutError> {
        own_refund_offer(&self.db, &self.ada, self.order_id).await
    }

    /// The form of the page as it is now.
    async fn form(&self) -> OwnRefundRequest {
        let offer = self.offer().await.expect("an offer");
        OwnRefundRequest { order_id: self.order_id, form_key: offer.form_key, tokens: offer.tokens, amount_minor: offer.amount.minor }
    }

    async fn post(&self, form: &OwnRefundRequest) -> Result<Option<RequestedRefund>, CheckoutError> {
        request_own_refund(&self.db, &self.ada, form).await
    }

    async fn own_refund(&self) -> OwnRefund {
        order(&self.db, &self.ada, self.order_id).await.expect("order").own_refund
    }

    async fn refunds(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM refunds").fetch_one(&self.db).await.expect("count")
    }
}

const FORTNIGHT: Option<i64> = Some(1_209_600);

#[sqlx::test]
async fn whoever_lost_the_role_meanwhile_neither_refunds_nor_buys_nor_is_billed(db: PgPool) {
    let bought = Bought::within(db.clone(), FORTNIGHT).await;
    let (form, account_id) = (bought.form().await, bought.ada.account_id());
    let bob = member(&db, "bob@example.com").await.user_id();
    sqlx::query("INSERT INTO members (account_id, user_id, role) VALUES ($1, $2, 'admin')")
        .bind(account_id.0)
        .bind(bob.0)
        .execute(&db)
        .await
        .expect("an admin");
    let bob = reader_of(&db, bob, Some(account_id)).await.expect("read").and_then(Reader::into_admin).expect("an admin");
    let order = request(&db, package(&db, "Second", None).await).await;
    let details = BillingDetails { name: "Eve".into(), address: String::new(), tax_id: String::new() };
    for lost in ["UPDATE members SET role = 'member' WHERE role = 'admin'", "DELETE FROM members WHERE role = 'member'"] {
        // They were an admin when their requests began.
        bought.execute(lost).await;
        assert!(matches!(request_own_refund(&db, &bob, &form).await, Err(CheckoutError::NotAllowed)));
        assert!(matches!(place_order(&db, &bob, Provider::Sandbox, &order).await, Err(CheckoutError::NotAllowed)));
        assert!(matches!(set_billing_details(&db, &bob, bought.order_id, &details).await, Err(CheckoutError::NotAllowed)));
    }
    let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&db).await.expect("count");
    assert_eq!((bought.refunds().await, orders), (0, 1));
}

#[sqlx::test]
async fn the_unused_part_is_what_is_left_and_its_share_of_the_price_rounded_down(db: PgPool) {
    let bought = Bought::within(db, FORTNIGHT).await;
    for (left, held, amount) in
        [(1_000_000, 0, 500), (999_999, 0, 499), (999_999, 1, 499), (400_001, 100_000, 200), (2_000, 0, 1), (2_000, 998_000, 1)]
    {
        sqlx::query("UPDATE grants SET left_ = $1, held = $2, spent = 1000000 - $1 - $2")
            .bind(left)
            .bind(held)
            .execute(&bought.db)
            .await
            .expect("spent");
        let offer = bought.offer().await.expect("an offer");
        assert_eq!((offer.tokens.0, offer.held.0, offer.amount.minor, offer.whole.0), (left, held, amount, 1_000_000));
    }
    // Less than a minor unit, or nothing.
    for left in [1_999, 0] {
        sqlx::query("UPDATE grants SET left_ = $1, held = 0, spent = 1000000 - $1").bind(left).execute(&bought.db).await.expect("spent");
        assert!(matches!(bought.offer().await, Err(CheckoutError::RefundOutOfRange)), "{left}");
    }
    assert!(matches!(bought.own_refund().await, OwnRefund::NothingLeft(_)));
}

#[test]
fn a_share_is_rounded_down_to_what_the_provider_can_move() {
    for (minor, code, movable) in [(499, "usd", 499), (1_003, "kwd", 1_000), (2_050, "mga", 2_000), (99, "mga", 0), (7, "jpy", 7)] {
        assert_eq!(Provider::Stripe.movable(minor, &Currency::parse(code).expect("a code")), movable, "{minor} {code}");
    }
    assert_eq!(Provider::Sandbox.movable(1_003, &Currency::parse("kwd").expect("a code")), 1_003);
}

#[sqlx::test]
async fn one_form_is_one_refund_however_often_it_is_posted(db: PgPool) {
    let bought = Bought::within(db, FORTNIGHT).await;
    let form = bought.form().await;
    let answers = join_all((0..8).map(|_| bought.post(&form))).await;
    let begun: Vec<_> = answers.into_iter().filter_map(|answer| answer.expect("no refusal")).collect();
    assert_eq!((begun.len(), begun[0].amount.minor, bought.refunds().await), (1, 500, 1));
    let answer = RefundAnswer { id: Some("re_1".into()), status: RefundStatus::Succeeded };
    note_answer(&bought.db, bought.order_id, begun[0].refund_id, &answer).await.expect("noted");
    assert!(bought.post(&form).await.expect("known").is_none());
    assert_eq!(bought.own_refund().await, OwnRefund::No, "all of it went back");
    let report = audit(&bought.db, None).await.expect("audit");
    assert!(report.differences.is_empty(), "{:?}", report.differences);
}

#[sqlx::test]
async fn two_pages_at_once_refund_once(db: PgPool) {
    let bought = Bought::within(db, FORTNIGHT).await;
    let forms = [bought.form().await, bought.form().await];
    let answers = join_all(forms.iter().map(|form| bought.post(form))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    assert!(answers.iter().any(|answer| matches!(answer, Err(CheckoutError::RefundOutOfRange))), "nothing was left: {answers:?}");
    assert_eq!(bought.refunds().await, 1);
}

#[sqlx::test]
async fn twenty_operators_at_once_refund_once(db: PgPool) {
    let bought = Bought::within(db, None).await;
    let ask = || request_refund(&bought.db, Operator::command_line(), bought.order_id, RefundPart::All, Some("asked for it"));
    let answers = join_all((0..20).map(|_| ask())).await;
    let (asked, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((asked.len(), refused.len()), (1, 19));
    assert!(refused.iter().all(|answer| matches!(answer, Err(CheckoutError::RefundOutOfRange))), "nothing was left: {refused:?}");
    let asked = asked.into_iter().flatten().next().expect("one");
    let books = async || -> (i64, i64, i64, i64) {
        sqlx::query_as(
            "SELECT (SELECT count(*) FROM refunds), (SELECT sum(amount_minor)::bigint FROM refunds),
                    (SELECT sum(tokens)::bigint FROM ledger WHERE to_book = 'refunded'), (SELECT sum(refunded)::bigint FROM grants)",
        )
        .fetch_one(&bought.db)
        .await
        .expect("the books")
    };
    assert_eq!(books().await, (1, 500, 1_000_000, 1_000_000));
    let answer = RefundAnswer { id: Some("re_1".into()), status: RefundStatus::Succeeded };
    note_answer(&bought.db, bought.order_id, asked.refund_id, &answer).await.expect("noted");
    let late = join_all((0..20).map(|_| ask())).await;
    assert!(late.iter().all(|answer| matches!(answer, Err(CheckoutError::NotRefundable(OrderStatus::Refunded)))), "{late:?}");
    assert_eq!(books().await, (1, 500, 1_000_000, 1_000_000));
    let report = audit(&bought.db, None).await.expect("audit");
    assert!(report.differences.is_empty(), "{:?}", report.differences);
}

#[sqlx::test]
async fn what_was_not_shown_is_not_refunded(db: PgPool) {
    let bought = Bought::within(db, FORTNIGHT).await;
    let form = bought.form().await;
    bought.execute("UPDATE grants SET left_ = left_ - 1, spent = 1").await;
    for form in [form, OwnRefundRequest { amount_minor: 9_999, ..bought.form().await }, OwnRefundRequest { tokens: Tokens(1), ..form }] {
        assert!(matches!(bought.post(&form).await, Err(CheckoutError::RefundChanged)), "{form:?}");
    }
    assert_eq!(bought.refunds().await, 0);
}

#[sqlx::test]
async fn the_window_is_the_orders_own_and_ends(db: PgPool) {
    let bought = Bought::within(db, FORTNIGHT).await;
    // An edit of the package reaches no order.
    let edit = PackageEdit { refund_window_s: Some(None), ..PackageEdit::default() };
    let package_id = sqlx::query_scalar!("SELECT package_id FROM packages").fetch_one(&bought.db).await.expect("one");
    update_package(&bought.db, Operator::command_line(), crate::ids::PackageId(package_id), edit).await.expect("edited");
    let form = bought.form().await;
    bought.execute("UPDATE orders SET fulfilled_at = fulfilled_at - interval '14 days'").await;
    assert!(matches!(bought.offer().await, Err(CheckoutError::RefundWindowOver)));
    assert!(matches!(bought.post(&form).await, Err(CheckoutError::RefundWindowOver)));
    assert!(matches!(bought.own_refund().await, OwnRefund::Over(_)));
    let refused = sqlx::query("UPDATE orders SET refund_window_s = 99").execute(&bought.db).await.expect_err("a copy that cannot change");
    assert!(refused.to_string().contains("cannot change"), "{refused}");
    assert_eq!(bought.refunds().await, 0);
}

#[sqlx::test]
async fn without_a_window_or_of_another_account_nothing_is_refunded(db: PgPool) {
    let bought = Bought::within(db, None).await;
    assert!(matches!(bought.offer().await, Err(CheckoutError::NoRefundWindow)));
    assert_eq!(bought.own_refund().await, OwnRefund::No);
    let bob = member(&bought.db, "bob@example.com").await;
    assert!(matches!(own_refund_offer(&bought.db, &bob, bought.order_id).await, Err(CheckoutError::NotFound)));
    let form = OwnRefundRequest { order_id: bought.order_id, form_key: Uuid::new_v4(), tokens: Tokens(1_000_000), amount_minor: 500 };
    assert!(matches!(request_own_refund(&bought.db, &bob, &form).await, Err(CheckoutError::NotFound)));
    assert!(matches!(bought.post(&form).await, Err(CheckoutError::NoRefundWindow)));
}

#[sqlx::test]
async fn a_share_of_some_tokens_is_rounded_down_to_what_the_provider_moves(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let price = Money::new(1_500, Currency::parse("kwd").expect("a code"));
    let edit = PackageEdit { price: Some(price), ..PackageEdit::default() };
    update_package(&db, Operator::command_line(), package_id, edit).await.expect("edited");
    let (order_id, session_id) = open_order(&db, &ada, package_id).await;
    let paid = json!({"id": session_id, "mode": "payment", "payment_status": "paid", "amount_total": 1_500, "currency": "kwd",
        "payment_intent": "pi_1"});
    settle_session(&db, &SessionFacts::of(&paid)).await;
    let part = RefundPart::Tokens(Tokens(333_333));
    let asked = request_refund(&db, Operator::command_line(), order_id, part, Some("kindness")).await.expect("asked for");
    assert_eq!((asked.amount.minor, asked.tokens), (490, Tokens(333_333)));
}
