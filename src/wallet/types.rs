//! What crosses the wire about wallets: totals, grants, ledger entries.

use crate::error::ConsoleError;
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
    /// Of its order, as it was bought.
    pub package_name: Option<String>,
    pub note: Option<String>,
    pub tokens: Tokens,
    pub left: Tokens,
    pub held: Tokens,
    pub spent: Tokens,
    pub expired: Tokens,
    pub refunded: Tokens,
    pub starts_at: UtcTime,
    pub expires_at: UtcTime,
    /// Seconds until it does, by the server's clock.
    pub ends_in_s: i64,
    /// Suppliers and models it may be spent on; empty = everywhere.
    pub scope: Vec<String>,
    pub turn: GrantTurn,
}

/// What every page says of the wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub balance: Tokens,
    /// All that apply, the most urgent first.
    pub warnings: Vec<Warning>,
}

/// What should be known before calls are refused, or Tokens lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Warning {
    /// There were Tokens, and none are left.
    Empty,
    /// A tenth of what the current grants brought, or less.
    Low(Tokens),
    /// So many expire within a week, and within the last quarter of their time; the first of them then.
    EndsSoon(Tokens, UtcTime),
}

/// Tokens a day, as the last weeks were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    pub likely: Tokens,
    pub slow: Tokens,
    pub fast: Tokens,
}

/// What comes of a grant if the pace stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrantEnd {
    UsedUp(UtcTime),
    /// So many are left when its time is over.
    Unused(Tokens),
    /// Too far away to say.
    Later,
}

/// What comes of a grant, and of it at the slow and the fast pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantCourse {
    pub grant_id: GrantId,
    pub likely: GrantEnd,
    pub slow: GrantEnd,
    pub fast: GrantEnd,
}

/// When nothing is left to pay with; none when that is more than a year away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    pub pace: Pace,
    pub dry: Option<UtcTime>,
    /// Whether the last of the Tokens are not used then, but expire.
    pub lapses: bool,
    /// Whether others, which have not begun by then, begin later.
    pub more_later: bool,
    /// At the fast pace.
    pub early: Option<UtcTime>,
    /// At the slow pace.
    pub late: Option<UtcTime>,
    pub grants: Vec<GrantCourse>,
}

/// The balance at a moment to come if the pace stays, and between what it may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    pub likely: Tokens,
    /// At the fast pace.
    pub low: Tokens,
    /// At the slow pace.
    pub high: Tokens,
}

/// Which entries of the ledger to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    #[default]
    All,
    Calls,
    /// What was bought, credited, expired, refunded, moved.
    Others,
}

impl Which {
    pub const ALL: [Which; 3] = [Which::All, Which::Others, Which::Calls];

    pub fn as_str(self) -> &'static str {
        match self {
            Which::All => "all",
            Which::Calls => "calls",
            Which::Others => "others",
        }
    }

    /// Of an address, where nothing means all.
    pub fn parse(text: &str) -> Option<Which> {
        if text.is_empty() { Some(Which::All) } else { Which::ALL.into_iter().find(|which| which.as_str() == text) }
    }
}

/// What a ledger entry did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// In the wallet after it, Tokens held for running calls included; said where no kind of entry is left out.
    pub after: Option<Tokens>,
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
    /// Whether whoever looks may buy Tokens.
    pub may_buy: bool,
    /// Whether whoever looks may redeem codes into it.
    pub may_redeem: bool,
    pub balance: Tokens,
    pub totals: AccountTotals,
    /// None when there is too little to go by.
    pub forecast: Option<Forecast>,
    /// What may still pay, in burn order.
    pub grants: Vec<GrantView>,
    /// The last ones that are used up or expired.
    pub ended: Vec<GrantView>,
    /// How many are.
    pub ended_count: u64,
    /// Or what is wrong with what was asked of it.
    pub statement: Result<Statement, ConsoleError>,
}
