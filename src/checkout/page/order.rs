//! One order: what was bought, where it stands, what it brought. While a payment is on its way the page keeps asking, so that
//! "processing" turns into "paid" before the customer's eyes.

use crate::catalog::page::scope_text;
use crate::checkout::page::{StatusBadge, failed_view};
use crate::checkout::server_fns::show_order;
use crate::checkout::types::{OrderGrant, OrderStatus, OrderView, RefundLine, Start};
use crate::checkout::types_refund::OwnRefund;
use crate::error::ConsoleError;
use crate::ids::OrderId;
use crate::islands::live::Live;
use crate::money::Money;
use crate::ui::amount::{ExactTokens, Price};
use crate::ui::page_data::{id_of_address, with_data};
use crate::ui::utc_time::{UtcTime, validity};
use leptos::prelude::*;
use leptos_meta::Title;

#[component]
pub fn OrderPage() -> impl IntoView {
    let order = show_order(id_of_address());
    view! {
        <Title text="Order" />
        <div class="page-head">
            <h1>"Order"</h1>
        </div>
        <div class="sections" data-live="order">
            {with_data(order, order_view)}
        </div>
        <p>
            <a href="/orders">"All orders"</a>
        </p>
    }
    .into_any()
}

fn order_view(order: Result<OrderView, ConsoleError>) -> AnyView {
    let order = match order {
        Ok(order) => order,
        // Not the end of the matter: the next answer may come.
        Err(error @ (ConsoleError::Unreachable | ConsoleError::Unavailable)) => {
            return view! {
                {failed_view(error, "/orders", "Back to your orders")}
                <AskAgain />
            }
            .into_any();
        }
        Err(error) => return failed_view(error, "/orders", "Back to your orders"),
    };
    view! {
        <OrderState order=order.clone() />
        {is_waiting(order.status).then(|| view! { <AskAgain /> })}
        <OwnRefundState order_id=order.order_id own_refund=order.own_refund.clone() />
        <Refunds refunds=order.refunds.clone() />
        {order.status.was_fulfilled().then(|| view! { <p><a href=format!("/orders/{}/receipt", order.order_id)>"Receipt"</a></p> })}
        <OrderFacts order />
    }
    .into_any()
}

fn is_waiting(status: OrderStatus) -> bool {
    matches!(status, OrderStatus::AwaitingPayment | OrderStatus::Paid)
}

/// Has the page ask again, for as long as this stands on it. The reload for browsers without JavaScript lives in `<noscript>` as text,
/// because a timer that a `<meta>` has started cannot be stopped by taking the `<meta>` away.
#[component]
fn AskAgain() -> impl IntoView {
    view! {
        <Live />
        <noscript inner_html=r#"<meta http-equiv="refresh" content="3">"#></noscript>
    }
}

/// Where the order stands, and what to do next.
#[component]
fn OrderState(order: OrderView) -> impl IntoView {
    let (class, next) = match order.status {
        OrderStatus::Fulfilled => ("notice notice-ok", Some(("/wallet".to_string(), "Open your wallet"))),
        OrderStatus::Paid => ("notice notice-info", None),
        OrderStatus::PartlyRefunded | OrderStatus::Refunded => {
            ("notice notice-info", Some(("/wallet#statement".to_string(), "See it in your ledger")))
        }
        OrderStatus::Disputed => ("notice notice-warn", Some(("/wallet".to_string(), "Open your wallet"))),
        OrderStatus::AwaitingPayment => {
            ("notice notice-info", order.checkout_url.map(|url| (url, "Not paid yet? Go back to the checkout")))
        }
        OrderStatus::Created => ("notice notice-info", Some((confirm_page(&order.package_id.to_string()), "Continue to payment"))),
        OrderStatus::Declined | OrderStatus::Expired | OrderStatus::Cancelled => {
            ("notice notice-warn", Some((confirm_page(&order.package_id.to_string()), "Order again")))
        }
    };
    view! {
        <div class=class role="status">
            <p>
                <StatusBadge status=order.status />
                " "
                {order.status.sentence()}
            </p>
            {next.map(|(href, text)| view! { <p><a href=href>{text}</a></p> })}
        </div>
    }
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
                    "Return unused Tokens"
                </a>
                <span class="muted">"Possible until " <UtcTime time /></span>
            </p>
        }
        .into_any(),
        OwnRefund::NothingLeft(time) => {
            view! { <p class="muted">"No Tokens of this order are left that you could return until " <UtcTime time /> "."</p> }.into_any()
        }
        OwnRefund::Over(time) => {
            view! { <p class="muted">"You could return unused Tokens of this order until " <UtcTime time /> "."</p> }.into_any()
        }
    }
}

/// Money that went back, and the Tokens that went with it.
#[component]
fn Refunds(refunds: Vec<RefundLine>) -> impl IntoView {
    let row = |refund: RefundLine| {
        view! {
            <tr>
                <td data-label="When">
                    <UtcTime time=refund.at />
                </td>
                <td class="number" data-label="Amount">
                    <Price money=refund.amount />
                </td>
                <td class="number" data-label="Tokens">
                    <ExactTokens tokens=refund.tokens />
                </td>
                <td data-label="State">{refund.status.word()}</td>
            </tr>
        }
    };
    (!refunds.is_empty()).then(|| {
        view! {
            <h2>"Refunds"</h2>
            <div class="table-wrap">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">"When"</th>
                            <th scope="col" class="number">
                                "Amount"
                            </th>
                            <th scope="col" class="number">
                                "Tokens"
                            </th>
                            <th scope="col">"State"</th>
                        </tr>
                    </thead>
                    <tbody>{refunds.into_iter().map(row).collect_view()}</tbody>
                </table>
            </div>
        }
    })
}

/// What was bought: the order's own copy.
#[component]
fn OrderFacts(order: OrderView) -> impl IntoView {
    let moment = |label, time| view! { <div><dt>{label}</dt><dd><UtcTime time /></dd></div> };
    let closed = match order.status {
        OrderStatus::Declined => "Declined",
        OrderStatus::Expired => "Expired",
        _ => "Cancelled",
    };
    view! {
        <section class="card stack">
            <h2>{order.package_name}</h2>
            <dl class="facts">
                <div>
                    <dt>"Tokens"</dt>
                    <dd>
                        <ExactTokens tokens=order.tokens />
                    </dd>
                </div>
                {order
                    .discount
                    .map(|off| {
                        let list = Money::new(order.price.minor + off.minor, off.currency.clone());
                        let off = Money::new(-off.minor, off.currency);
                        view! {
                            <div>
                                <dt>"List price"</dt>
                                <dd>
                                    <Price money=list />
                                </dd>
                            </div>
                            <div>
                                <dt>"Promotion code"</dt>
                                <dd>
                                    <Price money=off />
                                </dd>
                            </div>
                        }
                    })}
                <div>
                    <dt>"Price"</dt>
                    <dd>
                        <Price money=order.price />
                    </dd>
                </div>
                <div>
                    <dt>"Payment"</dt>
                    <dd>{if order.sandbox { "Play money, in the sandbox" } else { "Stripe" }}</dd>
                </div>
                <div>
                    <dt>"Valid for"</dt>
                    <dd>{valid_for(order.valid_for_s, order.starts)}</dd>
                </div>
                {order
                    .grant
                    .map(|OrderGrant { validity, .. }| {
                        view! {
                            {moment("Tokens begin", validity.starts_at)}
                            {moment("Tokens expire", validity.expires_at)}
                        }
                    })}
                <div>
                    <dt>"Suppliers"</dt>
                    <dd>{scope_text(&order.supplier_names, "All suppliers")}</dd>
                </div>
                <div>
                    <dt>"Models"</dt>
                    <dd>{scope_text(&order.model_ids, "All models")}</dd>
                </div>
                {moment("Ordered", order.created_at)}
                {order.fulfilled_at.map(|time| moment("Paid", time))}
                {order.closed_at.map(|time| moment(closed, time))}
                <div>
                    <dt>"Order number"</dt>
                    <dd class="mono">{order.order_id.to_string()}</dd>
                </div>
            </dl>
        </section>
    }
}

fn valid_for(seconds: i64, starts: Start) -> String {
    let from = match starts {
        Start::Now => "payment",
        Start::AfterCurrent => "the end of the Tokens you have of this package",
    };
    format!("{} from {from}", validity(seconds))
}
