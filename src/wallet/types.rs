//! What crosses the wire about wallets: totals, grants, ledger entries.

use crate::ids::{GrantId, OrderId, RequestId};
use crate::tokens::Tokens;
use crate::utc::UtcTime;
use serde::{Deserialize, Serialize};

/// Where every Token ever granted to an account is now: granted = spent + held + left + expired + refunded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountTotals {
    pub granted: Tokens,
    pub spent: Tokens,
    pub held: Tokens,
    pub left: Tokens,
    pub expired: Tokens,
    pub refunded: Tokens,
}

/// Why Tokens were granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantSource {
    Order,
    Credit,
    Code,
    Transfer,
}

impl GrantSource {
    /// As the database spells it; `grants_source_check` allows no other words.
    pub fn from_column(text: &str) -> GrantSource {
        match text {
            "order" => GrantSource::Order,
            "code" => GrantSource::Code,
            "transfer" => GrantSource::Transfer,
            _ => GrantSource::Credit,
        }
    }
}

/// Which part a grant plays in paying for calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrantTurn {
    /// The next call draws on it.
    PaysNext,
    /// The next call that its scope allows draws on it.
    PaysNextInScope,
    Waiting,
    NotStarted,
    /// Its payment is disputed, or went back: nothing draws on it.
    Frozen,
    UsedUp,
    Expired,
}

/// One grant of the wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantView {
    pub grant_id: GrantId,
    pub source: GrantSource,
    pub order_id: Option<OrderId>,
    pub note: Option<String>,
    pub tokens: Tokens,
    pub left: Tokens,
    pub held: Tokens,
    pub spent: Tokens,
    pub expired: Tokens,
    pub refunded: Tokens,
    pub starts_at: UtcTime,
    pub expires_at: UtcTime,
    /// Suppliers and models it may be spent on; empty = everywhere.
    pub scope: Vec<String>,
    pub turn: GrantTurn,
}

/// What a ledger entry did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Movement {
    Bought,
    Credited,
    Redeemed,
    Spent,
    Expired,
    Refunded,
    /// A refund failed, and they came back.
    Returned,
    /// An operator took them back.
    TakenBack,
    /// From another account.
    Received,
    /// To another account.
    Transferred,
    /// To the next purchase of the same package: the wallet holds as many as before.
    RolledOver,
}

/// What a ledger entry goes back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    Order {
        order_id: OrderId,
        package_name: String,
    },
    Call {
        request_id: RequestId,
        model_id: String,
        key_name: String,
    },
    /// What the operator wrote beside a credit or refund, if anything.
    Operator {
        note: Option<String>,
    },
    /// What its maker wrote beside a redemption code, if anything.
    Code {
        note: Option<String>,
    },
    /// The grant's time was over.
    Expiry,
}

/// One line of the statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryView {
    pub entry_id: i64,
    pub at: UtcTime,
    pub movement: Movement,
    /// Positive = into the wallet.
    pub tokens: Tokens,
    /// In the wallet after it, Tokens held for running calls included.
    pub after: Tokens,
    pub cause: Cause,
}

/// A page of the statement, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    pub entries: Vec<EntryView>,
    /// Where the next page starts, if there is one.
    pub older: Option<i64>,
}

/// The wallet page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WalletView {
    /// Whether whoever looks may redeem codes into it.
    pub may_redeem: bool,
    pub balance: Tokens,
    pub totals: AccountTotals,
    /// What may still pay, in burn order.
    pub grants: Vec<GrantView>,
    /// The last ones that are used up or expired.
    pub ended: Vec<GrantView>,
    pub statement: Statement,
}
