//! What the tests of this store start from: a customer, a package, an order whose checkout is open.

use super::*;
use crate::accounts;
use crate::accounts::rights::Owner;
use crate::accounts::types::{Email, Password};
use crate::catalog::store::{NewPackage, insert_package, package_on_sale};
use crate::checkout::event::{PaymentEvent, SessionFacts};
use crate::checkout::store::events::{Decision, insert_event, settle_event};
use crate::checkout::store::fulfilment::settle_session_in;
use crate::checkout::store::transitions::Cause;
use crate::codes::types::Discount;
use crate::operators::rights::Operator;
pub use crate::wallet::fixtures::outbox;
use serde_json::json;
use uuid::Uuid;

pub async fn member(db: &PgPool, email: &str) -> Owner {
    let email = Email::parse(email).expect("an address");
    let password = Password::parse("correct horse".into()).expect("a password");
    let account = accounts::store::insert_account(db, &email, password, false).await.expect("account");
    accounts::store::owner_of(db, account.user_id).await.expect("read").expect("a member")
}

/// 1,000,000 Tokens for $5.00, valid for 30 days.
pub async fn package(db: &PgPool, name: &str, purchase_limit: Option<i32>) -> PackageId {
    let price = Money::new(500, Currency::parse("usd").expect("a code"));
    let new = NewPackage { purchase_limit, ..NewPackage::plain(name, Tokens(1_000_000), price, 2_592_000) };
    insert_package(db, Operator::command_line(), new).await.expect("package")
}

/// What a form of the package's confirm page posts; another form at every call.
pub async fn request(db: &PgPool, package_id: PackageId) -> OrderRequest {
    let card = package_on_sale(db, package_id).await.expect("on sale");
    let terms = Terms::of(card);
    OrderRequest { package_id, form_key: Uuid::new_v4(), starts: Start::Now, terms, discount: Discount::default(), one_order_for_s: None }
}

/// A new order of the package, waiting for the payment of session `cs_<order id>`.
pub async fn open_order(db: &PgPool, member: &Owner, package_id: PackageId) -> (OrderId, String) {
    open_order_of(db, member, &request(db, package_id).await).await
}

pub async fn open_order_that_starts(db: &PgPool, member: &Owner, package_id: PackageId, starts: Start) -> (OrderId, String) {
    open_order_of(db, member, &OrderRequest { starts, ..request(db, package_id).await }).await
}

/// The same of a form.
pub async fn open_order_of(db: &PgPool, member: &Owner, request: &OrderRequest) -> (OrderId, String) {
    let order = place_order(db, member, Provider::Stripe, request).await.expect("placed");
    let order_id = order.purchase.order_id;
    let session = CheckoutSession { id: format!("cs_{order_id}"), url: "https://checkout.stripe.com/c/pay".into(), livemode: Some(false) };
    set_checkout_session(db, order_id, &session).await.expect("opened").expect("waiting");
    (order_id, session.id)
}

/// Delivers the event that pays an order of [`package`].
pub async fn pay(db: &PgPool, (order_id, session_id): &(OrderId, String)) -> Decision {
    let payload = json!({"id": format!("evt_{order_id}"), "type": "checkout.session.completed", "data": {"object": {
        "id": session_id, "mode": "payment", "payment_status": "paid", "amount_total": 500, "currency": "usd",
        "payment_intent": format!("pi_{order_id}"), "client_reference_id": order_id.to_string()}}});
    let event = PaymentEvent::from_payload(payload).expect("an event");
    insert_event(db, Provider::Stripe, &event).await.expect("stored");
    settle_event(db, &outbox(), Provider::Stripe, &event).await.expect("settled")
}

/// What the provider says of a session when it is asked.
pub async fn settle_session(db: &PgPool, session: &SessionFacts<'_>) -> Decision {
    let mut tx = db.begin().await.expect("begin");
    let decision = settle_session_in(&mut tx, &outbox(), Provider::Stripe, session, Cause::Reconciler).await.expect("settled");
    tx.commit().await.expect("commit");
    decision
}
