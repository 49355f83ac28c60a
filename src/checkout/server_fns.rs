//! Server functions of `checkout`: who, parse, store, reply.

use crate::checkout::types::{Offer, OrderList, OrderView, SandboxPayment};
use crate::checkout::types_placing::TermsForm;
use crate::checkout::types_refund::RefundOffer;
use crate::error::ConsoleError;
use crate::ui::form_input::Form;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// What the confirm page offers: the package as it is now, and the key of the form that confirms it.
#[server(endpoint = "checkout/offer", input = GetUrl)]
pub async fn show_offer(package_id: String) -> Result<Offer, ConsoleError> {
    use crate::catalog::store::{CatalogError, package_on_sale};
    use crate::checkout::payments::Provider;
    use crate::checkout::store::offer::offer_facts;
    use crate::codes::types::TypedCode;
    use crate::error::unavailable;
    use crate::money::Money;
    use crate::server::request_ctx;
    use uuid::Uuid;

    let member = request_ctx::admin().await?;
    let app = request_ctx::app()?;
    let package_id = package_id.parse().map_err(|_| request_ctx::fail(ConsoleError::PackageUnavailable))?;
    let package = package_on_sale(&app.db, package_id).await.map_err(|error| match error {
        CatalogError::Db(error) => request_ctx::fail(unavailable(&error)),
        _ => request_ctx::fail(ConsoleError::PackageUnavailable),
    })?;
    let provider = app.payments.provider().unwrap_or(Provider::Stripe);
    let typed = request_ctx::kept(TypedCode::KEPT_AS).await?;
    let facts = offer_facts(&app.db, &member, provider, &package, typed).await.map_err(|error| request_ctx::fail(error.into()))?;
    Ok(Offer {
        discount: facts.discount.unwrap_or_default(),
        code_problem: facts.discount.err(),
        least: Money::new(provider.chargeable(&package.price.currency).least_minor, package.price.currency.clone()),
        package,
        form_key: facts.open_order.as_ref().map_or_else(Uuid::new_v4, |open| open.form_key),
        open_order: facts.open_order,
        limit: facts.limit,
        if_paid_now: facts.if_paid_now,
        if_queued: facts.if_queued,
        rolls_over_now: facts.rolls_over_now,
        payment: app.payments.offer(),
    })
}

/// Orders a package on the terms shown, and sends the customer to pay. The same `form_key` and choice of start is the same order.
#[server(endpoint = "checkout/place_order", input = Form)]
pub async fn place_order(
    package_id: String,
    form_key: String,
    starts: String,
    terms: TermsForm,
    #[server(default)] code: String,
) -> Result<(), ConsoleError> {
    use crate::checkout::placing::place;
    use crate::checkout::types_placing::OrderRequest;
    use crate::codes::types::TypedCode;
    use crate::server::request_ctx;

    let member = request_ctx::admin().await?;
    // One that was not applied is not in the price that was shown, and so in no order.
    let _ = code;
    let typed = request_ctx::kept(TypedCode::KEPT_AS).await?;
    let request = OrderRequest::parse(&package_id, &form_key, &starts, &terms, typed).map_err(request_ctx::fail)?;
    let code_id = request.discount.code_id;
    request_ctx::count_order(&member).await?;
    // A customer who leaves must not leave a session behind that no order knows.
    let placed =
        request_ctx::to_its_end("an order", move |app| async move { place(&app.db, &app.payments, &member, &request).await }).await?;
    if code_id.is_some() && placed.code_id == code_id {
        // The order has it now.
        request_ctx::forget(TypedCode::KEPT_AS).await?;
    }
    request_ctx::go(&placed.url);
    Ok(())
}

/// Takes a promotion code down for the confirm page that it was typed on. An empty one takes the last away, and so does `take_away`,
/// whatever stands in the field. The page shows the discount, and the start that was chosen.
#[server(endpoint = "checkout/type_code", input = Form)]
pub async fn type_code(
    package_id: String,
    #[server(default)] code: String,
    #[server(default)] starts: String,
    #[server(default)] form_key: String,
    #[server(default)] terms: Option<TermsForm>,
    #[server(default)] take_away: bool,
) -> Result<(), ConsoleError> {
    use crate::catalog::store::package_on_sale;
    use crate::checkout::payments::Provider;
    use crate::checkout::store::discounts;
    use crate::checkout::types::Start;
    use crate::codes::types::TypedCode;
    use crate::ids::PackageId;
    use crate::server::request_ctx;

    let member = request_ctx::admin().await?;
    // Its button stands in the form that orders, which sends these too.
    let _ = (form_key, terms);
    let app = request_ctx::app()?;
    let package_id: PackageId = package_id.parse().map_err(|_| request_ctx::fail(ConsoleError::PackageUnavailable))?;
    if take_away || code.trim().is_empty() {
        request_ctx::forget(TypedCode::KEPT_AS).await?;
    } else {
        let package = package_on_sale(&app.db, package_id).await.map_err(|error| request_ctx::fail(error.into()))?;
        let provider = app.payments.provider().unwrap_or(Provider::Stripe);
        let typed = discounts::type_code(&app.db, &member, provider, &package, &code, app.hash_key.bytes()).await;
        request_ctx::put_flash(TypedCode::KEPT_AS, &typed.map_err(|error| request_ctx::fail(error.into()))?).await?;
    }
    if let Some(starts) = Start::parse(&starts) {
        request_ctx::go(&format!("/products/{package_id}/confirm?starts={}", starts.as_str()));
    }
    Ok(())
}

/// A page of the account's orders, of those older than `before`.
#[server(endpoint = "orders/list", input = GetUrl)]
pub async fn list_orders(#[server(default)] before: String) -> Result<OrderList, ConsoleError> {
    use crate::checkout::store;
    use crate::ids::OrderId;
    use crate::server::request_ctx;

    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let before = match before.as_str() {
        "" => None,
        id => Some(id.parse::<OrderId>().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?),
    };
    store::orders(&app.db, &member, before).await.map_err(|error| request_ctx::fail(error.into()))
}

/// One order of the account. While it waits for a payment, looking at it has the provider asked, in case nobody tells us.
#[server(endpoint = "orders/show", input = GetUrl)]
pub async fn show_order(order_id: String) -> Result<OrderView, ConsoleError> {
    use crate::checkout::reconcile::ask_about_order;
    use crate::checkout::store;
    use crate::checkout::types_refund::OwnRefund;
    use crate::server::request_ctx;

    let member = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let order_id = order_id.parse().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    if let Some(open) = store::claim_open_order(&app.db, &member, order_id).await.map_err(|error| request_ctx::fail(error.into()))? {
        let asking = app.clone();
        app.tasks.spawn(async move {
            if let Err(error) = ask_about_order(&asking.db, &asking.outbox, &asking.payments, &open).await {
                tracing::warn!(%order_id, %error, "the provider was not asked about an order that is looked at");
            }
        });
    }
    // What an admin may do with it is not offered to others.
    let mut order = store::order(&app.db, &member, order_id).await.map_err(|error| request_ctx::fail(error.into()))?;
    if !member.is_admin() {
        order.own_refund = OwnRefund::No;
        order.checkout_url = None;
    }
    Ok(order)
}

/// Cancels an order that nobody has paid, and shows it. One that was paid meanwhile is shown as that.
#[server(endpoint = "orders/cancel", input = Form)]
pub async fn cancel_order(order_id: String) -> Result<(), ConsoleError> {
    use crate::checkout::cancelling::cancel;
    use crate::checkout::store::cancelling::CancelledBy;
    use crate::ids::OrderId;
    use crate::server::request_ctx;

    let member = request_ctx::admin().await?;
    let order_id: OrderId = order_id.parse().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    // Its checkout is over when the provider says so: a customer who leaves must not leave an order behind that can neither be paid nor
    // ordered again.
    request_ctx::to_its_end("a cancellation", move |app| async move {
        cancel(&app.db, &app.outbox, &app.payments, CancelledBy::Customer(&member), order_id).await
    })
    .await?;
    request_ctx::go(&format!("/orders/{order_id}"));
    Ok(())
}

/// What the customer may give back of an order now, and what for.
#[server(endpoint = "orders/show_refund", input = GetUrl)]
pub async fn show_refund(order_id: String) -> Result<RefundOffer, ConsoleError> {
    use crate::checkout::store::refund_requests::own_refund_offer;
    use crate::server::request_ctx;

    let member = request_ctx::admin().await?;
    let app = request_ctx::app()?;
    let order_id = order_id.parse().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    own_refund_offer(&app.db, &member, order_id).await.map_err(|error| request_ctx::fail(error.into()))
}

/// Gives it back, as it was shown. The same `form_key` is the same refund.
#[server(endpoint = "orders/refund", input = Form)]
pub async fn refund_order(order_id: String, form_key: String, tokens: i64, amount_minor: i64) -> Result<(), ConsoleError> {
    use crate::checkout::refunding::refund_own;
    use crate::checkout::types_refund::OwnRefundRequest;
    use crate::server::request_ctx;

    let member = request_ctx::admin().await?;
    let asked = OwnRefundRequest::parse(&order_id, &form_key, tokens, amount_minor).map_err(request_ctx::fail)?;
    // The Tokens are gone when the provider is asked: a customer who leaves must not leave the answer unread.
    request_ctx::to_its_end("a refund", move |app| async move { refund_own(&app.db, &app.payments, &member, &asked).await }).await?;
    request_ctx::go(&format!("/orders/{}", asked.order_id));
    Ok(())
}

/// What a sandbox session is to pay. There are none unless the sandbox is on.
#[server(endpoint = "sandbox/show_payment", input = GetUrl)]
pub async fn show_sandbox_payment(session_id: String) -> Result<SandboxPayment, ConsoleError> {
    use crate::checkout::store;
    use crate::server::request_ctx;

    let member = request_ctx::admin().await?;
    let app = request_ctx::app()?;
    if !app.config.sandbox {
        return Err(request_ctx::fail(ConsoleError::NotFound));
    }
    store::sandbox_payment(&app.db, &member, &session_id).await.map_err(|error| request_ctx::fail(error.into()))
}

/// Pays a sandbox session with play money.
#[server(endpoint = "sandbox/pay", input = Form)]
pub async fn pay_in_sandbox(session_id: String) -> Result<(), ConsoleError> {
    use crate::checkout::sandbox::{Verdict, settle};
    use crate::server::request_ctx;

    let member = request_ctx::admin().await?;
    let order_id =
        settle(&request_ctx::app()?, &member, &session_id, Verdict::Pay).await.map_err(|error| request_ctx::fail(error.into()))?;
    request_ctx::go(&format!("/orders/{order_id}"));
    Ok(())
}

/// Declines the payment of a sandbox session.
#[server(endpoint = "sandbox/decline", input = Form)]
pub async fn decline_in_sandbox(session_id: String) -> Result<(), ConsoleError> {
    use crate::checkout::sandbox::{Verdict, settle};
    use crate::server::request_ctx;

    let member = request_ctx::admin().await?;
    let order_id =
        settle(&request_ctx::app()?, &member, &session_id, Verdict::Decline).await.map_err(|error| request_ctx::fail(error.into()))?;
    request_ctx::go(&format!("/orders/{order_id}"));
    Ok(())
}
