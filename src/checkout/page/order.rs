//! One order: what was bought, where it stands, what it brought. While a payment is on its way the page keeps asking, so that
//! "processing" turns into "paid" before the customer's eyes; without a script a link looks again.

use crate::catalog::page::scope_text;
use crate::checkout::page::{StatusBadge, failed_view};
use crate::checkout::server_fns::{CancelOrder, show_order};
use crate::checkout::types::{OrderGrant, OrderStatus, OrderView, RefundLine, RefundStatus, Start};
use crate::checkout::types_refund::OwnRefund;
use crate::error::ConsoleError;
use crate::home::page_next::{NextStep, read_first_steps};
use crate::home::types::{FirstSteps, Step};
use crate::ids::OrderId;
use crate::islands::live::Live;
use crate::money::Money;
use crate::ui::amount::{ExactTokens, Price};
use crate::ui::fact::Fact;
use crate::ui::form::{FormError, error_of};
use crate::ui::page_data::{id_of_address, with_data};
use crate::ui::utc_time::{UtcTime, validity};
use crate::{t, tv};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

#[component]
pub fn OrderPage() -> impl IntoView {
    let order_id = id_of_address();
    let here = format!("/orders/{order_id}");
    let order = show_order(order_id);
    view! {
        <Title text=t!("Order") />
        <FormError error=error_of(CancelOrder::PATH) />
        <div class="sections">
            {with_data(async { futures::join!(order, read_first_steps()) }, |(order, steps)| order_view(order, steps, here))}
        </div>
        <p>
            <a href="/orders">{t!("All orders")}</a>
        </p>
    }
    .into_any()
}

/// `here`: the address of this page.
fn order_view(order: Result<OrderView, ConsoleError>, steps: Result<FirstSteps, ConsoleError>, here: String) -> AnyView {
    let order = match order {
        Ok(order) => order,
        Err(error) => {
            // Not the end of the matter: the next answer may come.
            let may_come = matches!(error, ConsoleError::Unreachable | ConsoleError::Unavailable);
            let failed = view! {
                {failed_view(error, "/orders", t!("Back to your orders"))}
                {may_come.then(|| view! { <AskAgain here /> })}
            };
            return live_parts(None, ().into_any(), failed.into_any());
        }
    };
    let receipt_of = order.status.was_fulfilled().then_some(order.order_id);
    let state = view! { <OrderState order=order.clone() /> };
    let rest = view! {
        {(order.may_buy && order.is_unpaid()).then(|| view! { <CancelForm order_id=order.order_id /> })}
        <NextStep here=Step::Buy steps=steps.ok() />
        {is_waiting(order.status).then(|| view! { <AskAgain here /> })}
        <OwnRefundState order_id=order.order_id own_refund=order.own_refund.clone() />
        <Refunds refunds=order.refunds.clone() />
        <OrderFacts order />
    };
    live_parts(receipt_of, state.into_any(), rest.into_any())
}

/// What is kept up to date, part by part. The element that is the status stays while its words are replaced: a screen reader says what
/// changes inside of one that it knows, and not what one says that has just come.
fn live_parts(receipt_of: Option<OrderId>, state: AnyView, rest: AnyView) -> AnyView {
    view! {
        <div data-live="order-head">
            <OrderHead receipt_of />
        </div>
        <div data-live="order-state" role="status">
            {state}
        </div>
        <div class="sections" data-live="order">
            {rest}
        </div>
    }
    .into_any()
}

/// The page's title, and the order's receipt once there is one: it comes with the payment, so both are part of what is kept up to date.
#[component]
fn OrderHead(receipt_of: Option<OrderId>) -> impl IntoView {
    let receipt = |order_id: OrderId| view! { <a class="button" href=format!("/orders/{order_id}/receipt")>{t!("Receipt")}</a> };
    view! {
        <div class="page-head">
            <h1>{t!("Order")}</h1>
            {receipt_of.map(receipt)}
        </div>
    }
}

fn is_waiting(status: OrderStatus) -> bool {
    matches!(status, OrderStatus::AwaitingPayment | OrderStatus::Paid)
}

/// Has the page ask again, for as long as this stands on it; without a script, whoever follows the link asks.
#[component]
fn AskAgain(here: String) -> impl IntoView {
    view! {
        <Live />
        <p>
            <a href=here>{t!("Look again")}</a>
        </p>
    }
}

/// Where the order stands, and what to do next.
#[component]
fn OrderState(order: OrderView) -> impl IntoView {
    let confirm = confirm_page(&order.package_id.to_string());
    let sentence = match order.payment_begun {
        true => t!("Your bank is processing the payment, which can take some days. This page shows it when it is done."),
        false => status_sentence(order.status),
    };
    let (class, next) = match order.status {
        OrderStatus::Fulfilled => ("notice notice-ok", Some(("/wallet".to_string(), t!("Open your wallet")))),
        OrderStatus::Paid => ("notice notice-info", None),
        OrderStatus::PartlyRefunded | OrderStatus::Refunded => {
            ("notice notice-info", Some((ledger_of(order.order_id), t!("See it in your ledger"))))
        }
        OrderStatus::Disputed => ("notice notice-warn", Some(("/wallet".to_string(), t!("Open your wallet")))),
        OrderStatus::AwaitingPayment => {
            ("notice notice-info", order.checkout_url.map(|url| (url, t!("Not paid yet? Go back to the checkout"))))
        }
        OrderStatus::Created => ("notice notice-info", order.may_buy.then(|| (confirm, t!("Continue to payment")))),
        OrderStatus::Declined | OrderStatus::Expired | OrderStatus::Cancelled => {
            ("notice notice-warn", order.may_buy.then(|| (confirm, t!("Order again"))))
        }
    };
    view! {
        <div class=class>
            <p>
                <StatusBadge status=order.status />
                " "
                {sentence}
            </p>
            {next.map(|(href, text)| view! { <p><a href=href>{text}</a></p> })}
        </div>
    }
}

/// Gives an order up that nobody has paid.
#[component]
pub fn CancelForm(order_id: OrderId) -> impl IntoView {
    view! {
        <form method="post" action=CancelOrder::PATH>
            <input type="hidden" name="order_id" value=order_id.to_string() />
            <button class="button" type="submit">
                {t!("Cancel this order")}
            </button>
        </form>
    }
}

/// What the badge beside it does not say.
fn status_sentence(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::Created => t!("The checkout for this order was not opened. Nothing was charged."),
        OrderStatus::AwaitingPayment => t!("Waiting for the payment to be confirmed. This page shows it as soon as it is."),
        OrderStatus::Paid => t!("The payment has arrived. The Tokens follow."),
        OrderStatus::Fulfilled => t!("The Tokens are in your wallet."),
        OrderStatus::Declined => t!("The payment was declined. Nothing was charged."),
        OrderStatus::Expired => t!("The checkout ended before it was paid. Nothing was charged."),
        OrderStatus::Cancelled => t!("This order was cancelled before it was paid. Nothing was charged."),
        OrderStatus::PartlyRefunded => t!("A part of the price went back, and with it the Tokens below. The rest stays in your wallet."),
        OrderStatus::Refunded => t!("The price went back in full. What was left of the Tokens left your wallet."),
        OrderStatus::Disputed => {
            t!("Your bank asked for the money back. Until it decides, the Tokens of this order cannot be spent; their time stands still.")
        }
    }
}

/// Where the wallet's ledger has what the order brought.
fn ledger_of(order_id: OrderId) -> String {
    format!("/wallet?order={order_id}#{order_id}")
}

fn confirm_page(package_id: &str) -> String {
    format!("/products/{package_id}/confirm")
}

/// Whether what is not used can be given back, and until when.
#[component]
fn OwnRefundState(order_id: OrderId, own_refund: OwnRefund) -> impl IntoView {
    match own_refund {
        OwnRefund::No => ().into_any(),
        OwnRefund::Until(time) => view! {
            <p class="row">
                <a class="button" href=format!("/orders/{order_id}/refund")>
                    {t!("Return unused Tokens")}
                </a>
                <span class="muted">{tv!("Possible until {time}", time = view! { <UtcTime time /> })}</span>
            </p>
        }
        .into_any(),
        OwnRefund::NothingLeft(time) => view! {
            <p class="muted">
                {tv!("No Tokens of this order are left that you could return until {time}.", time = view! { <UtcTime time /> })}
            </p>
        }
        .into_any(),
        OwnRefund::Over(time) => view! {
            <p class="muted">
                {tv!("You could return unused Tokens of this order until {time}.", time = view! { <UtcTime time /> })}
            </p>
        }
        .into_any(),
    }
}

/// Money that went back, and the Tokens that went with it.
#[component]
fn Refunds(refunds: Vec<RefundLine>) -> impl IntoView {
    let row = |refund: RefundLine| {
        view! {
            <tr>
                <td data-label=t!("When")>
                    <UtcTime time=refund.at />
                </td>
                <td class="number" data-label=t!("Amount")>
                    <Price money=refund.amount />
                </td>
                <td class="number" data-label=t!("Tokens")>
                    <ExactTokens tokens=refund.tokens />
                </td>
                <td data-label=t!("State")>{refund_word(refund.status, refund.by_bank)}</td>
            </tr>
        }
    };
    (!refunds.is_empty()).then(|| {
        view! {
            <h2>{t!("Refunds")}</h2>
            <div class="table-wrap">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">{t!("When")}</th>
                            <th scope="col" class="number">
                                {t!("Amount")}
                            </th>
                            <th scope="col" class="number">
                                {t!("Tokens")}
                            </th>
                            <th scope="col">{t!("State")}</th>
                        </tr>
                    </thead>
                    <tbody>{refunds.into_iter().map(row).collect_view()}</tbody>
                </table>
            </div>
        }
    })
}

fn refund_word(status: RefundStatus, by_bank: bool) -> &'static str {
    match status {
        RefundStatus::Succeeded if by_bank => t!("Taken back by your bank"),
        RefundStatus::Failed if by_bank => t!("Replaced by a later entry"),
        RefundStatus::Requested => t!("Requested"),
        RefundStatus::Pending => t!("On its way"),
        RefundStatus::Succeeded => t!("Refunded"),
        RefundStatus::Failed => t!("Failed, Tokens returned"),
    }
}

/// What was bought: the order's own copy.
#[component]
fn OrderFacts(order: OrderView) -> impl IntoView {
    let moment = |label, time| view! { <Fact label><UtcTime time /></Fact> };
    let closed = match order.status {
        OrderStatus::Declined => t!("Declined"),
        OrderStatus::Expired => t!("Expired"),
        _ => t!("Cancelled"),
    };
    let tokens = view! { <ExactTokens tokens=order.tokens /> };
    let (tokens_label, tokens) = match order.grant {
        Some(_) => (t!("Tokens granted"), view! { <a href=ledger_of(order.order_id)>{tokens}</a> }.into_any()),
        None => (t!("Tokens"), tokens.into_any()),
    };
    view! {
        <section class="card stack">
            <h2>{order.package_name}</h2>
            <dl class="facts">
                <Fact label=tokens_label>
                    {tokens}
                </Fact>
                <Discounted discount=order.discount price=order.price.clone() />
                <Fact label=t!("Price")>
                    <Price money=order.price />
                </Fact>
                <Fact label=t!("Payment")>
                    {if order.sandbox { t!("Play money, in the sandbox") } else { "Stripe" }}
                </Fact>
                <Fact label=t!("Valid for")>
                    {valid_for(order.valid_for_s, order.starts)}
                </Fact>
                {order
                    .grant
                    .map(|OrderGrant { validity, .. }| {
                        view! {
                            {moment(t!("Tokens begin"), validity.starts_at)}
                            {moment(t!("Tokens expire"), validity.expires_at)}
                        }
                    })}
                <Fact label=t!("Suppliers")>
                    {scope_text(&order.supplier_names, t!("All suppliers"))}
                </Fact>
                <Fact label=t!("Models")>
                    {scope_text(&order.model_ids, t!("All models"))}
                </Fact>
                {moment(t!("Ordered"), order.created_at)}
                {order.fulfilled_at.map(|time| moment(t!("Paid"), time))}
                {order.closed_at.map(|time| moment(closed, time))}
                <div>
                    <dt>{t!("Order number")}</dt>
                    <dd class="mono">{order.order_id.to_string()}</dd>
                </div>
            </dl>
        </section>
    }
}

/// What the price was without the promotion code.
#[component]
fn Discounted(discount: Option<Money>, price: Money) -> impl IntoView {
    discount.map(|off| {
        let list = Money::new(price.minor + off.minor, off.currency.clone());
        let off = Money::new(-off.minor, off.currency);
        view! {
            <Fact label=t!("List price")>
                <Price money=list />
            </Fact>
            <Fact label=t!("Promotion code")>
                <Price money=off />
            </Fact>
        }
    })
}

fn valid_for(seconds: i64, starts: Start) -> String {
    let validity = validity(seconds);
    match starts {
        Start::Now => t!("{validity} from payment", validity = validity),
        Start::AfterCurrent => t!("{validity} from the end of the Tokens you have of this package", validity = validity),
    }
}
