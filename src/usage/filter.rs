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
    pub fn parse(
        key: &str,
        model: &str,
        member: &str,
        supplier: &str,
        outcome: &str,
        call: &str,
        before: &str,
    ) -> Result<CallFilter, ConsoleError> {
        let only_failed = match outcome {
            "" => false,
            FAILED => true,
            _ => return Err(ConsoleError::NotFound),
        };
        Ok(CallFilter {
            only_failed,
            whose: Whose { key_id: id(key)?, model_id: name(model), member: id(member)?, supplier: name(supplier) },
            call: id(call)?,
            before: id(before)?,
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
        assert_eq!(CallFilter::parse("", " ", "", " ", "", "", ""), Ok(CallFilter::default()));
        assert_eq!(CallFilter::parse("1", "", "", "", "", "", ""), Err(ConsoleError::NotFound));
        assert_eq!(CallFilter::parse("", "", "bob@example.com", "", "", "", ""), Err(ConsoleError::NotFound));
        let nil = Uuid::nil().to_string();
        let filter = CallFilter::parse(&nil, "alpha/one", "", "", "", "", "").expect("a filter");
        let whose = Whose { key_id: Some(KeyId(Uuid::nil())), model_id: Some("alpha/one".into()), ..Whose::default() };
        assert!(!filter.only_failed && !whose.is_indirect());
        assert_eq!(filter.whose, whose);
        let filter = CallFilter::parse("", "", &nil, "alpha", "", "", "").expect("a filter");
        let whose = Whose { member: Some(UserId(Uuid::nil())), supplier: Some("alpha".into()), ..Whose::default() };
        assert!(whose.is_indirect());
        assert_eq!(filter.whose, whose);
    }

    #[test]
    fn an_outcome_is_failed_or_any() {
        assert_eq!(CallFilter::parse("", "", "", "", "failed", "", "").map(|filter| filter.only_failed), Ok(true));
        assert_eq!(CallFilter::parse("", "", "", "", "ok", "", ""), Err(ConsoleError::NotFound));
    }
}
