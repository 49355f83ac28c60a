//! What becomes of payment events, what operators see of those that fit no order, and what they decide about them.

use crate::checkout::types::OrderStatus;
use crate::error::{ConsoleError, Field, Problem};
use crate::ids::OrderId;
use crate::money::Money;
use crate::utc::UtcTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest reason, in characters.
const REASON_MOST: usize = 500;

/// What was done about an event, as `payment_event_outcomes.outcome` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventOutcome {
    Fulfilled,
    AlreadyFulfilled,
    Closed,
    /// It told of a refund or a dispute, which is recorded now with all that follows from it.
    Recorded,
    /// It is about a payment that we do not know, yet: another event may bring it, and until then this one is nobody's.
    Waiting,
    Ignored,
    /// Signed by the provider, yet it does not fit an order of ours: it changed nothing, and somebody must look.
    Quarantined,
    /// An operator looked into it, and nothing more is to be done.
    Dismissed,
}

impl EventOutcome {
    const ALL: [EventOutcome; 8] = [
        EventOutcome::Fulfilled,
        EventOutcome::AlreadyFulfilled,
        EventOutcome::Closed,
        EventOutcome::Recorded,
        EventOutcome::Waiting,
        EventOutcome::Ignored,
        EventOutcome::Quarantined,
        EventOutcome::Dismissed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            EventOutcome::Fulfilled => "fulfilled",
            EventOutcome::AlreadyFulfilled => "already_fulfilled",
            EventOutcome::Closed => "closed",
            EventOutcome::Recorded => "recorded",
            EventOutcome::Waiting => "waiting",
            EventOutcome::Ignored => "ignored",
            EventOutcome::Quarantined => "quarantined",
            EventOutcome::Dismissed => "dismissed",
        }
    }
    pub fn parse(text: &str) -> Option<EventOutcome> {
        EventOutcome::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// An event that somebody must look at: the provider signed it, and it fits no order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuarantinedEvent {
    /// As the provider names it: `evt_…`.
    pub event_id: String,
    pub provider: String,
    pub event_type: String,
    pub reason: Option<String>,
    /// The order it seems to be about.
    pub order_id: Option<OrderId>,
    pub order: Option<OrderAbout>,
    pub received_at: UtcTime,
    /// All that the provider said.
    pub payload: Value,
}

/// What an operator compares an event with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderAbout {
    /// Of whoever ordered.
    pub email: String,
    pub package_name: String,
    pub price: Money,
    pub status: OrderStatus,
}

/// What an operator decides about one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The cause is mended: decide again, by the same rules.
    Retry,
    /// Nothing is to be done, or it was done elsewhere.
    Dismiss,
}

impl Resolution {
    pub fn as_str(self) -> &'static str {
        match self {
            Resolution::Retry => "retry",
            Resolution::Dismiss => "dismiss",
        }
    }

    /// Parses what the page's buttons post.
    pub fn parse(text: &str) -> Result<Resolution, ConsoleError> {
        let all = [Resolution::Retry, Resolution::Dismiss];
        all.into_iter().find(|resolution| resolution.as_str() == text).ok_or(ConsoleError::BadRequest)
    }
}

/// Parses why an operator does something: no deed is without a reason.
pub fn parse_reason(text: &str) -> Result<&str, ConsoleError> {
    match text.trim() {
        "" => Err(ConsoleError::invalid(Field::Reason, Problem::Empty)),
        reason if reason.chars().count() > REASON_MOST => Err(ConsoleError::invalid(Field::Reason, Problem::TooLong)),
        reason => Ok(reason),
    }
}

/// What was decided, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedEvent {
    pub event_id: String,
    pub event_type: String,
    pub outcome: EventOutcome,
    pub reason: Option<String>,
    /// An address, or a user of the machine that the command ran on.
    pub by: Option<String>,
    pub at: UtcTime,
}

/// The operator's page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Oldest first.
    pub open: Vec<QuarantinedEvent>,
    /// How many there are besides.
    pub more: i64,
    /// Newest first.
    pub resolved: Vec<ResolvedEvent>,
    /// What came of the decision that led to this page.
    pub decided: Option<Decided>,
}

/// What came of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    pub event_id: String,
    /// Quarantined: the same rules came to the same end.
    pub outcome: EventOutcome,
    pub reason: Option<String>,
}

impl Decided {
    /// Kept under this name from the decision to the page after it.
    pub const KEPT_AS: &str = "payment_event_decided";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_something_and_no_novel() {
        assert_eq!(parse_reason(" paid by bank transfer\n"), Ok("paid by bank transfer"));
        assert_eq!(parse_reason(" \n"), Err(ConsoleError::invalid(Field::Reason, Problem::Empty)));
        assert!(parse_reason(&"é".repeat(REASON_MOST)).is_ok());
        assert_eq!(parse_reason(&"é".repeat(REASON_MOST + 1)), Err(ConsoleError::invalid(Field::Reason, Problem::TooLong)));
    }

    #[test]
    fn an_outcome_is_read_as_it_is_written() {
        for outcome in EventOutcome::ALL {
            assert_eq!(EventOutcome::parse(outcome.as_str()), Some(outcome));
        }
        assert_eq!(EventOutcome::parse("lost"), None);
    }

    #[test]
    fn a_resolution_is_one_of_two() {
        for resolution in [Resolution::Retry, Resolution::Dismiss] {
            assert_eq!(Resolution::parse(resolution.as_str()), Ok(resolution));
        }
        assert_eq!(Resolution::parse("credit"), Err(ConsoleError::BadRequest));
    }
}
