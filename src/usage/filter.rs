//! Which calls somebody wants to see, as an address says it.

use crate::error::ConsoleError;
use crate::ids::{KeyId, RequestId, UserId};
use crate::usage::range::Range;
use crate::usage::types::FAILED;
use chrono::{DateTime, Utc};

/// Calls of which totals are asked for. None = all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whose {
    pub key_id: Option<KeyId>,
    pub model_id: Option<String>,
    /// With keys that are this member's, since they are: as totals by member are.
    pub member: Option<UserId>,
    /// Answered by this supplier, by its slug, whosever the model is today.
    pub supplier: Option<String>,
}

impl Whose {
    /// Whether it asks for what few do, and no call says by this name.
    pub fn is_indirect(&self) -> bool {
        self.member.is_some() || self.supplier.is_some()
    }
}

/// What an address says of calls; empty = not asked for.
#[derive(Clone, Copy, Default)]
pub struct Parameters<'a> {
    pub key: &'a str,
    pub model: &'a str,
    pub member: &'a str,
    pub supplier: &'a str,
    pub outcome: &'a str,
    pub call: &'a str,
    pub before: &'a str,
}

/// Which calls to show. Parsed from an address, so an id that is none is simply not found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallFilter {
    pub whose: Whose,
    /// Only calls that failed on the supplier's or our side.
    pub only_failed: bool,
    pub since: Option<DateTime<Utc>>,
    /// Not included.
    pub until: Option<DateTime<Utc>>,
    /// Only this call.
    pub call: Option<RequestId>,
    /// Only calls older than this one.
    pub before: Option<RequestId>,
}

impl CallFilter {
    pub fn parse(asked: Parameters<'_>) -> Result<CallFilter, ConsoleError> {
        let only_failed = match asked.outcome {
            "" => false,
            FAILED => true,
            _ => return Err(ConsoleError::NotFound),
        };
        Ok(CallFilter {
            only_failed,
            whose: Whose { key_id: id(asked.key)?, model_id: name(asked.model), member: id(asked.member)?, supplier: name(asked.supplier) },
            call: id(asked.call)?,
            before: id(asked.before)?,
            ..CallFilter::default()
        })
    }

    /// Those of the range only; one that is asked for by its id is shown whenever it was.
    pub fn within(self, range: &Range) -> CallFilter {
        CallFilter { since: Some(range.start()), until: Some(range.end), ..self }
    }
}

fn id<T: std::str::FromStr>(text: &str) -> Result<Option<T>, ConsoleError> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| ConsoleError::NotFound) }
}

fn name(text: &str) -> Option<String> {
    Some(text.trim()).filter(|name| !name.is_empty()).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn filter_takes_ids_and_refuses_what_is_none() {
        let none = Parameters::default();
        assert_eq!(CallFilter::parse(Parameters { model: " ", supplier: " ", ..none }), Ok(CallFilter::default()));
        assert_eq!(CallFilter::parse(Parameters { key: "1", ..none }), Err(ConsoleError::NotFound));
        assert_eq!(CallFilter::parse(Parameters { member: "bob@example.com", ..none }), Err(ConsoleError::NotFound));
        let nil = Uuid::nil().to_string();
        let filter = CallFilter::parse(Parameters { key: &nil, model: "alpha/one", ..none }).expect("a filter");
        let whose = Whose { key_id: Some(KeyId(Uuid::nil())), model_id: Some("alpha/one".into()), ..Whose::default() };
        assert!(!filter.only_failed && !whose.is_indirect());
        assert_eq!(filter.whose, whose);
        let filter = CallFilter::parse(Parameters { member: &nil, supplier: "alpha", ..none }).expect("a filter");
        let whose = Whose { member: Some(UserId(Uuid::nil())), supplier: Some("alpha".into()), ..Whose::default() };
        assert!(whose.is_indirect());
        assert_eq!(filter.whose, whose);
    }

    #[test]
    fn an_outcome_is_failed_or_any() {
        let parse = |outcome| CallFilter::parse(Parameters { outcome, ..Parameters::default() });
        assert_eq!(parse("failed").map(|filter| filter.only_failed), Ok(true));
        assert_eq!(parse("ok"), Err(ConsoleError::NotFound));
    }
}
