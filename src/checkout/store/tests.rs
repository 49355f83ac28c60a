//! Tests of placing, opening and reading orders, each against a database of its own.

use super::fixtures::{member, open_order, open_order_of, package, pay, request};
use super::offer::offer_facts;
use super::*;
use crate::accounts::rights::Owner;
use crate::catalog::store::{PackageEdit, package_on_sale, update_package};
use crate::checkout::types::OrderList;
use crate::codes::types::Discount;
use crate::operators::rights::Operator;
use futures::future::join_all;

async fn count(db: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(db).await.expect("count")
}

#[sqlx::test]
async fn place_order_copies_the_package_and_no_edit_reaches_the_copy(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let (order_id, _) = open_order(&db, &ada, package_id).await;
    let edit = PackageEdit {
        name: Some("Dearer".into()),
        tokens: Some(Tokens(1)),
        price: Some(Money::new(9_900, Currency::parse("eur").expect("a code"))),
        valid_for_s: Some(60),
        purchase_limit: Some(Some(1)),
        limit_period_s: Some(Some(60)),
        refund_window_s: Some(Some(60)),
        rolls_over: Some(true),
        on_sale: Some(false),
    };
    update_package(&db, Operator::command_line(), package_id, edit).await.expect("edit");
    let order = order(&db, &ada, order_id).await.expect("order");
    assert_eq!((order.package_name.as_str(), order.tokens, order.price.exact()), ("Starter", Tokens(1_000_000), "$5.00".into()));
    assert_eq!((order.valid_for_s, order.status), (2_592_000, OrderStatus::AwaitingPayment));
    let refused = sqlx::query("UPDATE orders SET tokens = 1").execute(&db).await.expect_err("a copy that cannot change");
    assert!(refused.to_string().contains("cannot change"), "{refused}");
}

#[sqlx::test]
async fn place_order_of_one_form_at_once_is_one_order(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", Some(1)).await);
    let request = request(&db, package_id).await;
    let placed = join_all((0..8).map(|_| place_order(&db, &ada, Provider::Stripe, &request))).await;
    let ids: Vec<_> = placed.into_iter().map(|order| order.expect("placed").purchase.order_id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(count(&db).await, 1);
}

#[sqlx::test]
async fn forms_that_were_open_before_any_was_sent_are_one_order_while_it_waits(db: PgPool) {
    let (ada, bob) = (member(&db, "ada@example.com").await, member(&db, "bob@example.com").await);
    let package_id = package(&db, "Starter", Some(1)).await;
    let tab = async || OrderRequest { one_order_for_s: Some(3_600), ..request(&db, package_id).await };
    let place = async |member: &Owner, request: OrderRequest| {
        place_order(&db, member, Provider::Stripe, &request).await.map(|order| order.purchase.order_id)
    };
    let mut tabs = Vec::new();
    for _ in 0..8 {
        tabs.push(tab().await);
    }
    let placed = join_all(tabs.iter().map(|tab| place_order(&db, &ada, Provider::Stripe, tab))).await;
    let ids: Vec<_> = placed.into_iter().map(|order| order.expect("placed").purchase.order_id).collect();
    let first = ids[0];
    assert!(ids.iter().all(|id| *id == first), "{ids:?}");
    assert_eq!(count(&db).await, 1);
    // What is chosen differently is another one, which the limit refuses; and so is that of another account.
    let queued = OrderRequest { starts: Start::AfterCurrent, ..tab().await };
    assert!(matches!(place(&ada, queued).await, Err(CheckoutError::LastPlaceUnpaid)));
    let short = OrderRequest { discount: Discount { code_id: None, minor: 100 }, ..tab().await };
    assert!(matches!(place(&ada, short).await, Err(CheckoutError::LastPlaceUnpaid)));
    let bobs = place(&bob, tab().await).await.expect("his");
    assert_ne!(bobs, first);

    // One that is over, by whatever way, is not gone on with; nor one that is old, nor of a package that changed.
    let edit = PackageEdit { purchase_limit: Some(None), ..PackageEdit::default() };
    update_package(&db, Operator::command_line(), package_id, edit).await.expect("edit");
    cancel_unopened_order(&db, first).await.expect("cancel");
    let second = open_order_of(&db, &ada, &tab().await).await;
    assert_ne!(second.0, first);
    assert_eq!(place(&ada, tab().await).await.expect("the second"), second.0);
    pay(&db, &second).await;
    let third = place(&ada, tab().await).await.expect("the third");
    assert_ne!(third, second.0);
    sqlx::query("ALTER TABLE orders DISABLE TRIGGER orders_keep_the_copy").execute(&db).await.expect("disabled");
    sqlx::query("UPDATE orders SET created_at = created_at - interval '61 minutes'").execute(&db).await.expect("older");
    let fourth = place(&ada, tab().await).await.expect("the fourth");
    assert_ne!(fourth, third);
    let before = tab().await;
    let dearer = PackageEdit { price: Some(Money::new(900, before.terms.price.currency.clone())), ..PackageEdit::default() };
    update_package(&db, Operator::command_line(), package_id, dearer).await.expect("edit");
    assert!(matches!(place(&ada, before).await, Err(CheckoutError::PackageChanged)));
    assert_ne!(place(&ada, tab().await).await.expect("at the new price"), fourth);
}

#[sqlx::test]
async fn place_order_never_exceeds_the_purchase_limit(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Trial", Some(3)).await);
    let requests = join_all((0..8).map(|_| request(&db, package_id))).await;
    let placed = join_all(requests.iter().map(|request| place_order(&db, &ada, Provider::Stripe, request))).await;
    let refused = placed.iter().filter(|order| matches!(order, Err(CheckoutError::LastPlaceUnpaid))).count();
    assert_eq!((placed.iter().filter(|order| order.is_ok()).count(), refused, count(&db).await), (3, 5, 3));

    // Another account has a limit of its own, and an order that came to nothing does not count.
    let bob = member(&db, "bob@example.com").await;
    place_order(&db, &bob, Provider::Stripe, &requests[0]).await.expect("bob's first");
    let ids: Vec<_> = placed.into_iter().flatten().map(|order| order.purchase.order_id).collect();
    cancel_unopened_order(&db, ids[0]).await.expect("cancel");
    let again = request(&db, package_id).await;
    place_order(&db, &ada, Provider::Stripe, &again).await.expect("a place is free");
}

#[sqlx::test]
async fn place_order_refuses_what_was_not_confirmed(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let good = request(&db, package_id).await;
    let terms = &good.terms;
    for changed in [
        Terms { tokens: Tokens(2_000_000), ..terms.clone() },
        Terms { price: Money::new(1, terms.price.currency.clone()), ..terms.clone() },
        Terms { price: Money::new(500, Currency::parse("jpy").expect("a code")), ..terms.clone() },
        Terms { valid_for_s: 99_999_999, ..terms.clone() },
        Terms { rolls_over: true, ..terms.clone() },
        Terms { refund_window_s: Some(60), ..terms.clone() },
    ] {
        let request = OrderRequest { terms: changed, ..good.clone() };
        let refused = place_order(&db, &ada, Provider::Stripe, &request).await;
        assert!(matches!(refused, Err(CheckoutError::PackageChanged)), "{request:?}");
    }
    let unknown = OrderRequest { package_id: PackageId::generate(), ..good.clone() };
    assert!(matches!(place_order(&db, &ada, Provider::Stripe, &unknown).await, Err(CheckoutError::PackageUnavailable)));
    let off = PackageEdit { on_sale: Some(false), ..PackageEdit::default() };
    update_package(&db, Operator::command_line(), package_id, off).await.expect("off");
    assert!(matches!(place_order(&db, &ada, Provider::Stripe, &good).await, Err(CheckoutError::PackageUnavailable)));
    sqlx::query("UPDATE accounts SET suspended_at = now()").execute(&db).await.expect("suspend");
    assert!(matches!(place_order(&db, &ada, Provider::Stripe, &good).await, Err(CheckoutError::AccountSuspended)));
    assert_eq!(count(&db).await, 0, "a refusal makes nothing");
}

#[sqlx::test]
async fn place_order_takes_a_form_for_its_own_package_and_account_only(db: PgPool) {
    let (ada, bob) = (member(&db, "ada@example.com").await, member(&db, "bob@example.com").await);
    let (first, second) = (package(&db, "First", None).await, package(&db, "Second", None).await);
    let form = request(&db, first).await;
    let adas = place_order(&db, &ada, Provider::Stripe, &form).await.expect("placed").purchase.order_id;
    let other = OrderRequest { package_id: second, ..form.clone() };
    assert!(matches!(place_order(&db, &ada, Provider::Stripe, &other).await, Err(CheckoutError::FormReused)));
    let bobs = place_order(&db, &bob, Provider::Stripe, &form).await.expect("placed").purchase.order_id;
    assert_ne!(adas, bobs, "a stolen form key leads to no order of its owner");
}

#[sqlx::test]
async fn set_checkout_session_keeps_the_first(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let (order_id, session_id) = open_order(&db, &ada, package_id).await;
    let late = CheckoutSession { id: "cs_late".into(), url: "https://late.example".into(), livemode: Some(false) };
    let url = set_checkout_session(&db, order_id, &late).await.expect("set");
    assert_eq!(url.as_deref(), Some("https://checkout.stripe.com/c/pay"));
    let stored: String = sqlx::query_scalar("SELECT provider_session_id FROM orders").fetch_one(&db).await.expect("one");
    assert_eq!(stored, session_id);
    cancel_unopened_order(&db, order_id).await.expect("no effect");
    assert_eq!(order(&db, &ada, order_id).await.expect("order").status, OrderStatus::AwaitingPayment);
}

#[sqlx::test]
async fn orders_of_another_account_do_not_exist(db: PgPool) {
    let (ada, bob) = (member(&db, "ada@example.com").await, member(&db, "bob@example.com").await);
    let package_id = package(&db, "Starter", None).await;
    let request = request(&db, package_id).await;
    let order_id = place_order(&db, &ada, Provider::Sandbox, &request).await.expect("placed").purchase.order_id;
    let session = CheckoutSession { id: "cs_sandbox_1".into(), url: "/sandbox/payments/cs_sandbox_1".into(), livemode: Some(false) };
    set_checkout_session(&db, order_id, &session).await.expect("opened");

    assert_eq!(sandbox_payment(&db, &ada, "cs_sandbox_1").await.expect("hers").order_id, order_id);
    assert!(matches!(sandbox_payment(&db, &bob, "cs_sandbox_1").await, Err(CheckoutError::NotFound)));
    assert!(matches!(order(&db, &bob, order_id).await, Err(CheckoutError::NotFound)));
    assert!(orders(&db, &bob, None).await.expect("his").orders.is_empty());
    assert_eq!(orders(&db, &ada, None).await.expect("hers").orders.len(), 1);
}

#[sqlx::test]
async fn orders_are_paged_by_the_last_one_that_was_shown(db: PgPool) {
    let (ada, bob) = (member(&db, "ada@example.com").await, member(&db, "bob@example.com").await);
    let package_id = package(&db, "Starter", None).await;
    let mut placed = Vec::new();
    for _ in 0..views::PAGE + 2 {
        let request = request(&db, package_id).await;
        placed.push(place_order(&db, &ada, Provider::Stripe, &request).await.expect("placed").purchase.order_id);
    }
    placed.reverse();
    let ids = |list: &OrderList| list.orders.iter().map(|order| order.order_id).collect::<Vec<_>>();
    let newest = orders(&db, &ada, None).await.expect("a page");
    let (shown, rest) = placed.split_at(views::PAGE as usize);
    assert_eq!((ids(&newest), newest.older), (shown.to_vec(), shown.last().copied()));
    let older = orders(&db, &ada, newest.older).await.expect("a page");
    assert_eq!((ids(&older), older.older), (rest.to_vec(), None));
    assert!(orders(&db, &ada, rest.last().copied()).await.expect("a page").orders.is_empty());
    assert!(matches!(orders(&db, &bob, newest.older).await, Err(CheckoutError::NotFound)));
}

#[sqlx::test]
async fn sandbox_payment_never_finds_a_session_of_stripe(db: PgPool) {
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let (_, session_id) = open_order(&db, &ada, package_id).await;
    assert!(matches!(sandbox_payment(&db, &ada, &session_id).await, Err(CheckoutError::NotFound)));
}

#[sqlx::test]
async fn offer_facts_go_on_with_the_order_that_waits_on_the_same_terms(db: PgPool) {
    let (ada, bob) = (member(&db, "ada@example.com").await, member(&db, "bob@example.com").await);
    let package_id = package(&db, "Starter", None).await;
    let card = package_on_sale(&db, package_id).await.expect("on sale");
    let facts = offer_facts(&db, &ada, Provider::Stripe, &card, None).await.expect("facts");
    assert_eq!(facts.open_order, None);

    let (order_id, _) = open_order(&db, &ada, package_id).await;
    let facts = offer_facts(&db, &ada, Provider::Stripe, &card, None).await.expect("facts");
    let open = facts.open_order.expect("open");
    assert_eq!(open.order_id, order_id);
    let form_key = open.form_key;
    let again = OrderRequest { form_key, ..request(&db, package_id).await };
    let order = place_order(&db, &ada, Provider::Stripe, &again).await.expect("the same");
    assert_eq!((order.purchase.order_id, order.status), (order_id, OrderStatus::AwaitingPayment));

    assert_eq!(offer_facts(&db, &bob, Provider::Stripe, &card, None).await.expect("facts").open_order, None);
    assert_eq!(offer_facts(&db, &ada, Provider::Sandbox, &card, None).await.expect("facts").open_order, None);
    let dearer = PackageEdit { price: Some(Money::new(900, card.price.currency.clone())), ..PackageEdit::default() };
    update_package(&db, Operator::command_line(), package_id, dearer).await.expect("edit");
    let card = package_on_sale(&db, package_id).await.expect("on sale");
    assert_eq!(offer_facts(&db, &ada, Provider::Stripe, &card, None).await.expect("facts").open_order, None, "other terms, another order");
}

#[sqlx::test]
async fn an_order_whose_checkout_was_never_opened_ends_some_day(db: PgPool) {
    use crate::checkout::store::fulfilment::expire_unopened_orders;
    use chrono::TimeDelta;
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let unopened = request(&db, package_id).await;
    place_order(&db, &ada, Provider::Stripe, &unopened).await.expect("placed");
    let (opened, _) = open_order(&db, &ada, package_id).await;
    assert_eq!(expire_unopened_orders(&db, TimeDelta::hours(1)).await.expect("young"), 0);
    assert_eq!(expire_unopened_orders(&db, TimeDelta::zero()).await.expect("old"), 1);
    assert_eq!(order(&db, &ada, opened).await.expect("order").status, OrderStatus::AwaitingPayment);
    let states = sqlx::query_scalar!("SELECT status FROM orders ORDER BY created_at").fetch_all(&db).await.expect("states");
    assert_eq!(states, ["expired", "awaiting_payment"]);
}

#[sqlx::test]
async fn an_order_that_cannot_be_closed_keeps_no_other_from_it(db: PgPool) {
    use crate::checkout::store::fulfilment::expire_unopened_orders;
    use chrono::TimeDelta;
    let (ada, package_id) = (member(&db, "ada@example.com").await, package(&db, "Starter", None).await);
    let mut unopened = Vec::new();
    for _ in 0..3 {
        let form = request(&db, package_id).await;
        unopened.push(place_order(&db, &ada, Provider::Stripe, &form).await.expect("placed").purchase.order_id);
    }
    let stuck = format!(
        "CREATE TRIGGER stuck BEFORE INSERT ON order_transitions FOR EACH ROW WHEN (NEW.order_id = '{}') EXECUTE FUNCTION refuse_change()",
        unopened[0]
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(stuck)).execute(&db).await.expect("stuck");
    // One that is being opened is left alone.
    let mut opening = db.begin().await.expect("begin");
    fulfilment::locked_order_in(&mut opening, unopened[1]).await.expect("locked");
    let told = expire_unopened_orders(&db, TimeDelta::zero()).await.expect_err("the first cannot be closed");
    assert!(format!("{told:?}").contains("append-only"), "{told:?}");
    opening.rollback().await.expect("rollback");
    let states: Vec<String> = sqlx::query_scalar("SELECT status FROM orders ORDER BY order_id").fetch_all(&db).await.expect("states");
    assert_eq!(states, ["created", "created", "expired"]);
}
