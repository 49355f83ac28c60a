//! What crosses the wire when customers give back what they have not used.

use crate::error::ConsoleError;
use crate::ids::OrderId;
use crate::money::Money;
use crate::tokens::Tokens;
use crate::utc::UtcTime;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Whether a customer may give back what is not used of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnRefund {
    /// Not by themselves, or not as the order stands.
    No,
    Until(UtcTime),
    /// It was possible until then.
    Over(UtcTime),
    /// There is nothing that could go back; until then, if running calls leave something.
    NothingLeft(UtcTime),
}

/// What a customer is about to give back, and what they are about to get for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundOffer {
    pub order_id: OrderId,
    pub package_name: String,
    /// Names this form: posted twice, it is one refund.
    pub form_key: Uuid,
    /// What leaves the wallet, of how many.
    pub tokens: Tokens,
    pub whole: Tokens,
    /// What is paid back, of which price.
    pub amount: Money,
    pub price: Money,
    /// What running calls hold, and what therefore stays.
    pub held: Tokens,
    pub until: UtcTime,
}

/// A confirmed return: what the page had shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnRefundRequest {
    pub order_id: OrderId,
    pub form_key: Uuid,
    pub tokens: Tokens,
    pub amount_minor: i64,
}

impl OwnRefundRequest {
    /// Parses what the page's form posts.
    pub fn parse(order_id: &str, form_key: &str, tokens: i64, amount_minor: i64) -> Result<OwnRefundRequest, ConsoleError> {
        Ok(OwnRefundRequest {
            order_id: order_id.parse().map_err(|_| ConsoleError::NotFound)?,
            form_key: Uuid::try_parse(form_key).map_err(|_| ConsoleError::BadRequest)?,
            tokens: Tokens(tokens),
            amount_minor,
        })
    }
}
