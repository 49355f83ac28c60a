//! Tests of promotion codes on orders: what they take off, that a use is taken once and given back, and that refunds are of what was paid.

use super::*;
use crate::accounts::rights::Owner;
use crate::catalog::store::package_on_sale;
use crate::checkout::event::PaymentEvent;
use crate::checkout::store::asked::settle_asked;
use crate::checkout::store::events::{insert_event, settle_event};
use crate::checkout::store::fixtures::{member, open_order_of, outbox, package, request, settle_session};
use crate::checkout::store::fulfilment::expire_unopened_orders;
use crate::checkout::store::offer::offer_facts;
use crate::checkout::store::receipts::{receipt, set_seller};
use crate::checkout::store::refund_requests::{RefundPart, request_refund};
use crate::checkout::store::{OpenOrder, cancel_unopened_order, order, place_order};
use crate::checkout::types::Start;
use crate::checkout::types_receipt::{Discounted, Seller, TaxRate, Taxed};
use crate::codes::store::batches::{NewCodes, Off, Worth, disable_code, insert_codes};
use crate::codes::types::Discount;
use crate::ids::OrderId;
use crate::operators::rights::Operator;
use crate::wallet::audit::audit;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

const SECRET: [u8; 32] = [7; 32];

/// A promotion code of 20 percent, of so many uses.
async fn twenty_percent(db: &PgPool, uses: i32) -> (CodeId, String) {
    promotion(db, Off::Percent(20), None, Vec::new(), uses).await
}

async fn promotion(db: &PgPool, off: Off, currency: Option<&str>, package_ids: Vec<PackageId>, uses: i32) -> (CodeId, String) {
    let worth = Worth::Off { off, currency: currency.map(str::to_string), package_ids };
    let new = NewCodes { worth, count: 1, uses, expires_at: None, note: None };
    let batch = insert_codes(db, Operator::command_line(), &CodePepper::derive(&SECRET), &new, "spring").await.expect("made");
    (batch.codes[0].0, batch.codes[0].1.expose())
}

/// A form of the package's confirm page on which this code was typed.
async fn discounted(db: &PgPool, package_id: PackageId, code_id: CodeId, minor: i64) -> OrderRequest {
    OrderRequest { discount: Discount { code_id: Some(code_id), minor }, ..request(db, package_id).await }
}

async fn type_text(db: &PgPool, member: &Owner, package_id: PackageId, text: &str) -> Result<TypedCode, CheckoutError> {
    let card = package_on_sale(db, package_id).await.expect("on sale");
    type_code(db, member, Provider::Stripe, &card, text, &SECRET).await
}

async fn used(db: &PgPool) -> i32 {
    sqlx::query_scalar!("SELECT used FROM codes").fetch_one(db).await.expect("a code")
}

fn problem<T>(result: Result<T, CheckoutError>) -> CodeProblem {
    match result {
        Err(CheckoutError::Code(CodeError::Problem(problem))) => problem,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("not refused"),
    }
}

#[sqlx::test]
async fn a_typed_code_is_shown_taken_once_and_never_taken_off_twice(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let card = package_on_sale(&db, package_id).await.expect("on sale");
    let (code_id, text) = twenty_percent(&db, 5).await;
    let typed = type_text(&db, &ada, package_id, &text.to_lowercase()).await.expect("a code");
    assert_eq!(typed, TypedCode { package_id, code_id });
    let facts = offer_facts(&db, &ada, Provider::Stripe, &card, Some(typed)).await.expect("facts");
    assert_eq!((facts.discount, facts.open_order), (Ok(Discount { code_id: Some(code_id), minor: 100 }), None));
    assert_eq!(used(&db).await, 0, "looking takes nothing");

    let form = discounted(&db, package_id, code_id, 100).await;
    let placed = join_all((0..4).map(|_| place_order(&db, &ada, Provider::Stripe, &form))).await;
    let prices: Vec<_> = placed.into_iter().map(|order| order.expect("placed").purchase.price.exact()).collect();
    assert_eq!(prices, ["$4.00"; 4], "one form, one order, one use");
    assert_eq!(used(&db).await, 1);
    // Back on the page, with the code typed again or not: the order that waits, at its price.
    let typed = type_text(&db, &ada, package_id, &text).await.expect("hers");
    for typed in [Some(typed), None] {
        let facts = offer_facts(&db, &ada, Provider::Stripe, &card, typed).await.expect("facts");
        assert_eq!(facts.open_order.map(|open| open.form_key), Some(form.form_key));
        assert_eq!(facts.discount.expect("a discount").minor, 100);
    }
    let again = discounted(&db, package_id, code_id, 100).await;
    assert_eq!(problem(place_order(&db, &ada, Provider::Stripe, &again).await), CodeProblem::OnUnpaidOrder);
    // A form that was made of that order has only what the code took off; the package has not changed, whatever else it asks for.
    let later = OrderRequest { discount: Discount { code_id: None, minor: 100 }, starts: Start::AfterCurrent, ..form.clone() };
    assert_eq!(problem(place_order(&db, &ada, Provider::Stripe, &later).await), CodeProblem::OnUnpaidOrder);
    // Of another tab it is that order; the session has forgotten the code meanwhile, and the form says what it took off.
    for code_id in [Some(code_id), None] {
        let tab = OrderRequest { discount: Discount { code_id, minor: 100 }, one_order_for_s: Some(3_600), ..again.clone() };
        assert_eq!(place_order(&db, &ada, Provider::Stripe, &tab).await.expect("the same").purchase.price.exact(), "$4.00");
    }
    let order_id: Uuid = sqlx::query_scalar!("SELECT order_id FROM orders").fetch_one(&db).await.expect("one order");
    let view = order(&db, &ada, OrderId(order_id)).await.expect("the order");
    assert_eq!((view.price.exact(), view.discount.map(|off| off.exact())), ("$4.00".into(), Some("$1.00".into())));
    let changed = sqlx::query!("UPDATE orders SET discount_minor = 200").execute(&db).await;
    assert!(changed.is_err_and(|error| error.to_string().contains("cannot change")));
}

#[sqlx::test]
async fn a_discount_that_is_not_the_one_shown_or_not_for_this_is_refused(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let other = package(&db, "Other", None).await;
    let (code_id, _) = twenty_percent(&db, 1).await;
    for minor in [0, 99, 500] {
        let form = discounted(&db, package_id, code_id, minor).await;
        assert!(matches!(place_order(&db, &ada, Provider::Stripe, &form).await, Err(CheckoutError::PackageChanged)), "{minor}");
    }
    let without = OrderRequest { discount: Discount { code_id: None, minor: 100 }, ..request(&db, package_id).await };
    assert!(matches!(place_order(&db, &ada, Provider::Stripe, &without).await, Err(CheckoutError::PackageChanged)));
    for (code, expected) in [
        (promotion(&db, Off::Percent(10), Some("eur"), Vec::new(), 1).await, CodeProblem::NotForPackage),
        (promotion(&db, Off::AmountMinor(100), Some("jpy"), Vec::new(), 1).await, CodeProblem::NotForPackage),
        (promotion(&db, Off::Percent(10), None, vec![other], 1).await, CodeProblem::NotForPackage),
        (promotion(&db, Off::AmountMinor(500), Some("usd"), Vec::new(), 1).await, CodeProblem::TooLittleLeft),
    ] {
        assert_eq!(problem(type_text(&db, &ada, package_id, &code.1).await), expected);
        let form = discounted(&db, package_id, code.0, 100).await;
        assert_eq!(problem(place_order(&db, &ada, Provider::Stripe, &form).await), expected);
    }
    let for_this = promotion(&db, Off::AmountMinor(450), Some("usd"), vec![other, package_id], 1).await;
    type_text(&db, &ada, package_id, &for_this.1).await.expect("for this one");
    disable_code(&db, Operator::command_line(), for_this.0, "leaked").await.expect("disabled");
    let form = discounted(&db, package_id, for_this.0, 450).await;
    assert_eq!(problem(place_order(&db, &ada, Provider::Stripe, &form).await), CodeProblem::Disabled);
    assert_eq!(sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM orders"#).fetch_one(&db).await.expect("count"), 0);
}

#[sqlx::test]
async fn a_code_whose_time_is_over_takes_nothing_off(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let card = package_on_sale(&db, package_id).await.expect("on sale");
    let (code_id, text) = twenty_percent(&db, 5).await;
    let typed = type_text(&db, &ada, package_id, &text).await.expect("a code");
    let form = discounted(&db, package_id, code_id, 100).await;
    sqlx::raw_sql("ALTER TABLE codes DISABLE TRIGGER codes_keep_their_terms").execute(&db).await.expect("time may pass");
    sqlx::query("UPDATE codes SET expires_at = now()").execute(&db).await.expect("it passes");
    // When it is typed, on the page where it was typed before, and when that page's form arrives.
    assert_eq!(problem(type_text(&db, &ada, package_id, &text).await), CodeProblem::Expired);
    let facts = offer_facts(&db, &ada, Provider::Stripe, &card, Some(typed)).await.expect("facts");
    assert_eq!(facts.discount, Err(CodeProblem::Expired));
    assert_eq!(problem(place_order(&db, &ada, Provider::Stripe, &form).await), CodeProblem::Expired);
    assert_eq!(used(&db).await, 0);
    let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&db).await.expect("count");
    assert_eq!(orders, 0);
}

#[sqlx::test]
async fn the_last_use_goes_to_one_of_many_and_comes_back_when_its_order_comes_to_nothing(db: PgPool) {
    let package_id = package(&db, "Starter", None).await;
    let (code_id, text) = twenty_percent(&db, 1).await;
    let mut members = Vec::new();
    for n in 0..8 {
        members.push(member(&db, &format!("customer{n}@example.com")).await);
    }
    let forms = join_all(members.iter().map(|_| discounted(&db, package_id, code_id, 100))).await;
    let placed = join_all(members.iter().zip(&forms).map(|(member, form)| place_order(&db, member, Provider::Stripe, form))).await;
    let winner = placed.iter().position(Result::is_ok).expect("one of them");
    assert_eq!(placed.iter().filter(|order| order.is_ok()).count(), 1);
    let order_id = placed.into_iter().flatten().next().expect("an order").purchase.order_id;
    let other = &members[(winner + 1) % 8];
    assert_eq!(problem(type_text(&db, other, package_id, &text).await), CodeProblem::UsedUp);

    // Cancelled, expired, declined: whoever moves it, the use is free again, for the same account too.
    cancel_unopened_order(&db, order_id).await.expect("cancelled");
    assert_eq!(used(&db).await, 0);
    let form = discounted(&db, package_id, code_id, 100).await;
    place_order(&db, &members[winner], Provider::Stripe, &form).await.expect("free again");
    expire_unopened_orders(&db, TimeDelta::seconds(-60)).await.expect("expired");
    assert_eq!(used(&db).await, 0);
    for kind in ["checkout.session.expired", "checkout.session.async_payment_failed"] {
        let form = discounted(&db, package_id, code_id, 100).await;
        let (order_id, session_id) = open_order_of(&db, other, &form).await;
        assert_eq!(used(&db).await, 1, "{kind}");
        let event = session_event(kind, &session_id, order_id, 400, "unpaid");
        insert_event(&db, Provider::Stripe, &event).await.expect("stored");
        settle_event(&db, &outbox(), Provider::Stripe, &event).await.expect("settled");
        assert_eq!(used(&db).await, 0, "{kind}");
    }
    assert!(audit(&db, None).await.expect("an audit").differences.is_empty());
}

#[sqlx::test]
async fn what_was_paid_credits_and_what_was_paid_goes_back(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let (code_id, _) = twenty_percent(&db, 1).await;
    let form = discounted(&db, package_id, code_id, 100).await;
    let (order_id, session_id) = open_order_of(&db, &ada, &form).await;
    let list_price = session_event("checkout.session.completed", &session_id, order_id, 500, "paid");
    let open = OpenOrder { order_id, provider: Provider::Stripe, session_id: session_id.clone() };
    let facts = settle_asked(&db, &outbox(), &open, &list_price.payload["data"]["object"]).await.expect("decided");
    assert_eq!(facts.outcome.as_str(), "quarantined", "the list price is not the order's");
    let paid = json!({"id": session_id, "mode": "payment", "payment_status": "paid", "amount_total": 400, "currency": "usd",
        "payment_intent": "pi_1"});
    let decision = settle_asked(&db, &outbox(), &open, &paid).await.expect("decided");
    assert_eq!(decision.outcome.as_str(), "fulfilled");
    sqlx::query!("UPDATE grants SET left_ = left_ - 250000, spent = spent + 250000").execute(&db).await.expect("spent a quarter");
    let asked = request_refund(&db, Operator::command_line(), order_id, RefundPart::Unused, Some("asked")).await.expect("refunded");
    assert_eq!((asked.amount.exact(), asked.tokens.0), ("$3.00".into(), 750_000), "three quarters of what was paid");
    assert_eq!(used(&db).await, 1, "money that goes back brings no use back");
}

#[sqlx::test]
async fn the_receipt_says_the_list_price_and_what_the_code_took_off(db: PgPool) {
    let seller = Seller { name: "Toki Ltd".into(), address: "Street 1".into(), tax_id: None, tax_rate: Some(TaxRate(1_900)) };
    set_seller(&db, &seller).await.expect("noted");
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let (code_id, _) = twenty_percent(&db, 1).await;
    let (order_id, session_id) = open_order_of(&db, &ada, &discounted(&db, package_id, code_id, 100).await).await;
    let event = session_event("checkout.session.completed", &session_id, order_id, 400, "paid");
    settle_session(&db, &event.session()).await;
    let shown = receipt(&db, &ada, order_id).await.expect("a receipt");
    let amounts = |taxed: &Taxed| (taxed.net.minor, taxed.tax.minor, taxed.gross.minor);
    let Discounted { list, off } = shown.discounted.expect("a discount");
    assert_eq!((amounts(&list), amounts(&off)), ((420, 80, 500), (84, 16, 100)));
    assert_eq!((amounts(&shown.price), amounts(&shown.total)), ((336, 64, 400), (336, 64, 400)));
}

fn session_event(kind: &str, session_id: &str, order_id: OrderId, amount: i64, status: &str) -> PaymentEvent {
    let payload = json!({"id": format!("evt_{kind}_{order_id}"), "type": kind, "data": {"object": {
        "id": session_id, "mode": "payment", "payment_status": status, "amount_total": amount, "currency": "usd",
        "client_reference_id": order_id.to_string()}}});
    PaymentEvent::from_payload(payload).expect("an event")
}
