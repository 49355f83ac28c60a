//! What a search finds.

use crate::checkout::types::OrderStatus;
use crate::ids::{KeyId, OrderId};
use crate::money::Money;
use crate::utc::UtcTime;
use serde::{Deserialize, Serialize};

/// Longer than any name that can be found.
pub const LONGEST: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    Key { key_id: KeyId, name: String, hint: String },
    Order { order_id: OrderId, package_name: String, at: UtcTime, price: Money, status: OrderStatus },
    Model { model_id: String, supplier_name: String },
}
