//! Confirm, orders and sandbox payment pages, one file each.

mod confirm;
mod order;
mod orders;
mod sandbox;

pub use confirm::ConfirmPage;
pub use order::OrderPage;
pub use orders::OrdersPage;
pub use sandbox::SandboxPaymentPage;

use crate::checkout::types::OrderStatus;
use crate::error::ConsoleError;
use crate::ui::error_text::sentence;
use leptos::prelude::*;

/// An order's state, in colour and in a word.
#[component]
fn StatusBadge(status: OrderStatus) -> impl IntoView {
    let class = match status {
        OrderStatus::Fulfilled => "badge badge-ok",
        OrderStatus::AwaitingPayment => "badge badge-warn",
        OrderStatus::Declined => "badge badge-bad",
        OrderStatus::Created | OrderStatus::Expired | OrderStatus::Cancelled => "badge badge-quiet",
    };
    view! { <span class=class>{status.word()}</span> }
}

/// What stands in the place of a page's content that could not be read.
fn failed_view(error: ConsoleError, back: &'static str, back_text: &'static str) -> AnyView {
    view! {
        <p class="notice notice-error" role="alert">
            {sentence(error)}
        </p>
        <p>
            <a href=back>{back_text}</a>
        </p>
    }
    .into_any()
}
