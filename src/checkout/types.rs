//! What crosses the wire of `checkout`: the offer to confirm, orders and their states.

use crate::catalog::types::PackageCard;
use crate::checkout::types_refund::OwnRefund;
use crate::codes::types::Discount;
use crate::error::CodeProblem;
use crate::ids::{GrantId, OrderId, PackageId};
use crate::money::Money;
use crate::tokens::Tokens;
use crate::utc::UtcTime;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Written down; its checkout is not open yet.
    Created,
    AwaitingPayment,
    /// Paid; the Tokens follow in the same transaction.
    Paid,
    /// Paid, and the Tokens are in the wallet.
    Fulfilled,
    Declined,
    Expired,
    Cancelled,
    PartlyRefunded,
    /// All of the money went back.
    Refunded,
    /// The customer's bank asks for the money back, and has not decided.
    Disputed,
}

impl OrderStatus {
    pub const ALL: [OrderStatus; 10] = [
        OrderStatus::Created,
        OrderStatus::AwaitingPayment,
        OrderStatus::Paid,
        OrderStatus::Fulfilled,
        OrderStatus::Declined,
        OrderStatus::Expired,
        OrderStatus::Cancelled,
        OrderStatus::PartlyRefunded,
        OrderStatus::Refunded,
        OrderStatus::Disputed,
    ];

    /// As the database writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            OrderStatus::Created => "created",
            OrderStatus::AwaitingPayment => "awaiting_payment",
            OrderStatus::Paid => "paid",
            OrderStatus::Fulfilled => "fulfilled",
            OrderStatus::Declined => "declined",
            OrderStatus::Expired => "expired",
            OrderStatus::Cancelled => "cancelled",
            OrderStatus::PartlyRefunded => "partly_refunded",
            OrderStatus::Refunded => "refunded",
            OrderStatus::Disputed => "disputed",
        }
    }

    pub fn parse(text: &str) -> Option<OrderStatus> {
        OrderStatus::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether its Tokens were granted, whatever became of them since.
    pub fn was_fulfilled(self) -> bool {
        matches!(self, OrderStatus::Fulfilled | OrderStatus::PartlyRefunded | OrderStatus::Refunded | OrderStatus::Disputed)
    }
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// The Tokens are gone, and the provider is being asked.
    Requested,
    /// The money is on its way.
    Pending,
    Succeeded,
    /// No money moved, and the Tokens came back.
    Failed,
}

impl RefundStatus {
    const ALL: [RefundStatus; 4] = [RefundStatus::Requested, RefundStatus::Pending, RefundStatus::Succeeded, RefundStatus::Failed];

    /// As the database writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            RefundStatus::Requested => "requested",
            RefundStatus::Pending => "pending",
            RefundStatus::Succeeded => "succeeded",
            RefundStatus::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<RefundStatus> {
        RefundStatus::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// When the Tokens of an order begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// When it is paid, beside what the account has.
    Now,
    /// When the last of what the account has of the package ends.
    AfterCurrent,
}

impl Start {
    /// As the database and the confirm page's form write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Start::Now => "now",
            Start::AfterCurrent => "after_current",
        }
    }

    pub fn parse(text: &str) -> Option<Start> {
        [Start::Now, Start::AfterCurrent].into_iter().find(|start| start.as_str() == text)
    }
}

/// From when to when Tokens can be spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    pub starts_at: UtcTime,
    pub expires_at: UtcTime,
}

/// An order that waits for its payment on the terms that a page shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpaidOrder {
    pub order_id: OrderId,
    pub form_key: Uuid,
    pub starts: Start,
}

/// Whether a purchase limit lets an account order once more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitState {
    Open,
    Reached,
    /// Until then; the order that fills the last place is too old after it.
    ReachedUntil(UtcTime),
    /// By an order that is not paid yet: what was bought leaves a place.
    TakenByUnpaid(OrderId),
}

/// How an order can be paid here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PaymentOffer {
    Stripe,
    /// Play money.
    Sandbox,
    Unavailable,
}

/// What the confirm page shows and its form sends back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    pub package: PackageCard,
    /// Names this form: posted twice, it is one order. An order that already waits for payment on the same terms lends its own.
    pub form_key: Uuid,
    /// That order, if there is one.
    pub open_order: Option<UnpaidOrder>,
    pub limit: LimitState,
    pub if_paid_now: Validity,
    /// If the Tokens are to begin when the current ones end; none = there are none that they could follow.
    pub if_queued: Option<Validity>,
    /// What is left of earlier purchases, and moves to the new one where it begins at once.
    pub rolls_over_now: Tokens,
    pub payment: PaymentOffer,
    /// What the promotion code takes off that was typed here, or that the open order has.
    pub discount: Discount,
    /// Why the one that was typed takes nothing off any more.
    pub code_problem: Option<CodeProblem>,
    /// What a discount leaves at least.
    pub least: Money,
}

impl Offer {
    /// What the customer pays.
    pub fn to_pay(&self) -> Money {
        Money::new(self.package.price.minor - self.discount.minor, self.package.price.currency.clone())
    }

    pub fn limit_reached(&self) -> bool {
        self.open_order.is_none() && self.limit != LimitState::Open
    }
}

/// An order as its page shows it. What was bought is the order's own copy, whatever became of the package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderView {
    pub order_id: OrderId,
    pub package_id: PackageId,
    pub package_name: String,
    pub tokens: Tokens,
    /// What is paid.
    pub price: Money,
    /// What a promotion code took off the package's price; none = there was no code.
    pub discount: Option<Money>,
    pub valid_for_s: i64,
    pub starts: Start,
    /// Empty = every supplier.
    pub supplier_names: Vec<String>,
    /// Empty = every model.
    pub model_ids: Vec<String>,
    pub status: OrderStatus,
    pub sandbox: bool,
    /// Whether the customer has paid, and their bank is working on it.
    pub payment_begun: bool,
    /// Where it can be paid, while it can.
    pub checkout_url: Option<String>,
    pub created_at: UtcTime,
    pub fulfilled_at: Option<UtcTime>,
    pub closed_at: Option<UtcTime>,
    pub grant: Option<OrderGrant>,
    /// Oldest first.
    pub refunds: Vec<RefundLine>,
    pub own_refund: OwnRefund,
    /// Whether whoever looks may pay it, or order again.
    pub may_buy: bool,
}

/// Money of an order that went back, or tried to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundLine {
    pub amount: Money,
    /// What left the wallet with it.
    pub tokens: Tokens,
    pub status: RefundStatus,
    /// The customer's bank took it, for a dispute that was lost.
    pub by_bank: bool,
    pub at: UtcTime,
}

/// The Tokens that an order brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderGrant {
    pub grant_id: GrantId,
    pub validity: Validity,
}

/// A line of the list of orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    pub order_id: OrderId,
    pub package_name: String,
    pub tokens: Tokens,
    pub price: Money,
    pub status: OrderStatus,
    pub created_at: UtcTime,
}

/// A page of the orders, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderList {
    pub orders: Vec<OrderLine>,
    /// What the next page goes on before, if there are older ones.
    pub older: Option<OrderId>,
}

impl OrderView {
    /// Whether it waits for somebody to pay it.
    pub fn is_unpaid(&self) -> bool {
        matches!(self.status, OrderStatus::Created | OrderStatus::AwaitingPayment) && !self.payment_begun
    }
}

/// What the sandbox's payment page asks play money for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxPayment {
    pub session_id: String,
    pub order_id: OrderId,
    pub package_id: PackageId,
    pub package_name: String,
    pub tokens: Tokens,
    pub price: Money,
    pub status: OrderStatus,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_survives_the_database() {
        for status in OrderStatus::ALL {
            assert_eq!(OrderStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(OrderStatus::parse("shipped"), None);
        for status in RefundStatus::ALL {
            assert_eq!(RefundStatus::parse(status.as_str()), Some(status));
        }
    }
}
