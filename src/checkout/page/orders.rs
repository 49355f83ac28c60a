//! The list of an account's orders.

use crate::accounts::page_rights::{HeadForBuyers, may_buy, read_role, who_buys};
use crate::checkout::page::{StatusBadge, failed_view};
use crate::checkout::server_fns::list_orders;
use crate::checkout::types::{OrderLine, OrderList};
use crate::error::ConsoleError;
use crate::t;
use crate::ui::amount::{ExactTokens, Price};
use crate::ui::empty_state::EmptyState;
use crate::ui::page_data::{address_with, of_address, with_data};
use crate::ui::pages::Pages;
use crate::ui::utc_time::UtcTime;
use leptos::prelude::*;
use leptos_meta::Title;

#[component]
pub fn OrdersPage() -> impl IntoView {
    let before = of_address("before");
    let orders = list_orders(before.clone());
    let fetched = async { futures::join!(orders, read_role()) };
    view! {
        <Title text=t!("Orders") />
        <HeadForBuyers title=t!("Orders") />
        <div class="sections" data-live="orders">
            {with_data(fetched, move |(orders, role)| orders_view(orders, may_buy(role), !before.is_empty()))}
        </div>
    }
    .into_any()
}

/// `older_page`: whether this is not the newest page.
fn orders_view(list: Result<OrderList, ConsoleError>, may_buy: bool, older_page: bool) -> AnyView {
    match list {
        Err(error) => failed_view(error, "/dashboard", t!("Back to the dashboard")),
        Ok(list) if list.orders.is_empty() && !older_page && !may_buy => view! {
            <EmptyState
                title=t!("No orders yet")
                text=who_buys()
                action_href="/settings/members"
                action_label=t!("See the members")
            />
        }
        .into_any(),
        Ok(list) if list.orders.is_empty() && !older_page => view! {
            <EmptyState
                title=t!("No orders yet")
                text=t!("What you buy is listed here, with its state and its receipt.")
                action_href="/products"
                action_label=t!("Choose a package")
            />
        }
        .into_any(),
        Ok(list) => {
            let newest = older_page.then(|| "/orders".to_string());
            let older = list.older.map(|before| address_with("/orders", [("before", before.to_string().as_str())]));
            view! {
                <div class="table-wrap">
                    <table>
                        <thead>
                            <tr>
                                <th scope="col">{t!("Package")}</th>
                                <th scope="col">{t!("State")}</th>
                                <th scope="col" class="number">
                                    {t!("Tokens")}
                                </th>
                                <th scope="col" class="number">
                                    {t!("Price")}
                                </th>
                                <th scope="col">{t!("Ordered")}</th>
                            </tr>
                        </thead>
                        <tbody>{list.orders.into_iter().map(order_row).collect_view()}</tbody>
                    </table>
                </div>
                <Pages label=t!("Pages of orders") newest newer=None older />
            }
            .into_any()
        }
    }
}

fn order_row(order: OrderLine) -> impl IntoView {
    view! {
        <tr>
            <td data-label=t!("Package")>
                <a href=format!("/orders/{}", order.order_id)>{order.package_name}</a>
            </td>
            <td data-label=t!("State")>
                <StatusBadge status=order.status />
            </td>
            <td class="number" data-label=t!("Tokens")>
                <ExactTokens tokens=order.tokens />
            </td>
            <td class="number" data-label=t!("Price")>
                <Price money=order.price />
            </td>
            <td data-label=t!("Ordered")>
                <UtcTime time=order.created_at />
            </td>
        </tr>
    }
}
