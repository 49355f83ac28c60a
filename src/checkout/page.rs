//! Confirm, orders and sandbox payment pages, one file each.

mod confirm;
mod events;
mod order;
mod orders;
mod receipt;
mod refund;
mod sandbox;
mod start;

pub use confirm::ConfirmPage;
pub use events::PaymentEventsPage;
pub use order::OrderPage;
pub use orders::OrdersPage;
pub use receipt::ReceiptPage;
pub use refund::RefundPage;
pub use sandbox::SandboxPaymentPage;

use crate::checkout::types::OrderStatus;
use crate::error::ConsoleError;
use crate::t;
use crate::ui::badge::{Badge, BadgeKind};
use crate::ui::failure::Failure;
use leptos::prelude::*;

/// An order's state, in colour and in a word.
#[component]
fn StatusBadge(status: OrderStatus) -> impl IntoView {
    let kind = match status {
        OrderStatus::Fulfilled => BadgeKind::Ok,
        OrderStatus::AwaitingPayment | OrderStatus::Paid => BadgeKind::Warn,
        OrderStatus::Declined | OrderStatus::Disputed => BadgeKind::Bad,
        OrderStatus::Created | OrderStatus::Expired | OrderStatus::Cancelled | OrderStatus::PartlyRefunded | OrderStatus::Refunded => {
            BadgeKind::Quiet
        }
    };
    view! { <Badge kind text=status_word(status) /> }
}

pub fn status_word(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::Created => t!("Not paid"),
        OrderStatus::AwaitingPayment | OrderStatus::Paid => t!("Processing"),
        OrderStatus::Fulfilled => t!("Paid"),
        OrderStatus::Declined => t!("Declined"),
        OrderStatus::Expired => t!("Expired"),
        OrderStatus::Cancelled => t!("Cancelled"),
        OrderStatus::PartlyRefunded => t!("Partly refunded"),
        OrderStatus::Refunded => t!("Refunded"),
        OrderStatus::Disputed => t!("Disputed"),
    }
}

/// What stands in the place of a page's content that could not be read.
fn failed_view(error: ConsoleError, back: &'static str, back_text: &'static str) -> AnyView {
    view! {
        <Failure error />
        <p>
            <a href=back>{back_text}</a>
        </p>
    }
    .into_any()
}
