//! What crosses the wire about API keys, and the parsers of what a person types about them. Times are parsed in `expiration`.

use crate::docs::types::Reader;
use crate::error::{ConsoleError, Field, Problem};
use crate::ids::{KeyId, SupplierId};
use crate::keys::types_limits::KeyLimits;
use crate::keys::types_try::Trials;
use crate::suppliers::types::SupplierChoice;
use crate::tokens::Tokens;
use crate::usage::range::Range;
use crate::usage::types::CallView;
use crate::usage::types_totals::UsageTotals;
use crate::utc::UtcTime;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an owner calls a key: 1 to 100 characters, trimmed, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyName(String);

impl KeyName {
    pub const LONGEST: usize = 100;

    pub fn parse(text: &str) -> Result<KeyName, ConsoleError> {
        let text = text.trim();
        let problem = match text.chars().count() {
            0 => Some(Problem::Empty),
            n if n > KeyName::LONGEST => Some(Problem::TooLong),
            _ if text.chars().any(char::is_control) => Some(Problem::Malformed),
            _ => None,
        };
        match problem {
            Some(problem) => Err(ConsoleError::invalid(Field::Name, problem)),
            None => Ok(KeyName(text.to_string())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the supplier list of a form posts for "every supplier". An empty choice is not one.
pub const ALL_SUPPLIERS: &str = "all";

pub fn parse_supplier(text: &str) -> Result<Option<SupplierId>, ConsoleError> {
    match text {
        ALL_SUPPLIERS => Ok(None),
        "" => Err(ConsoleError::invalid(Field::Supplier, Problem::Empty)),
        id => id.parse().map(Some).map_err(|_| ConsoleError::invalid(Field::Supplier, Problem::Unknown)),
    }
}

/// `enabled` or `disabled`, as a form posts it.
pub fn parse_enabled(text: &str) -> Result<bool, ConsoleError> {
    match text {
        "enabled" => Ok(true),
        "disabled" => Ok(false),
        _ => Err(ConsoleError::invalid(Field::Status, Problem::Unknown)),
    }
}

/// For how long the secret before a new one works yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    Nothing,
    Hour,
    Day,
    Week,
}

impl Grace {
    pub const ALL: [Grace; 4] = [Grace::Nothing, Grace::Hour, Grace::Day, Grace::Week];

    pub fn hours(self) -> i64 {
        match self {
            Grace::Nothing => 0,
            Grace::Hour => 1,
            Grace::Day => 24,
            Grace::Week => 7 * 24,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Grace::Nothing => "none",
            Grace::Hour => "hour",
            Grace::Day => "day",
            Grace::Week => "week",
        }
    }

    pub fn parse(text: &str) -> Option<Grace> {
        Grace::ALL.into_iter().find(|grace| grace.as_str() == text)
    }
}

/// Whether a key works. A key that is both disabled and past its time is called disabled, as the gateway calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    Enabled,
    Disabled,
    Expired,
}

impl KeyStatus {
    pub const ALL: [KeyStatus; 3] = [KeyStatus::Enabled, KeyStatus::Disabled, KeyStatus::Expired];

    /// As addresses name it.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyStatus::Enabled => "enabled",
            KeyStatus::Disabled => "disabled",
            KeyStatus::Expired => "expired",
        }
    }

    /// For terminals.
    pub fn word(self) -> &'static str {
        match self {
            KeyStatus::Enabled => "Enabled",
            KeyStatus::Disabled => "Disabled",
            KeyStatus::Expired => "Expired",
        }
    }
}

/// One key, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    pub key_id: KeyId,
    pub name: String,
    /// First and last characters of the secret.
    pub hint: String,
    /// None = every supplier.
    pub supplier: Option<SupplierChoice>,
    pub quota: Option<Tokens>,
    pub spent: Tokens,
    /// Set aside for calls in flight; counts against the quota until they end.
    pub held: Tokens,
    pub status: KeyStatus,
    /// Whether its time is over, whatever its status.
    pub expired: bool,
    pub expires_at: Option<UtcTime>,
    pub last_used_at: Option<UtcTime>,
    pub created_at: UtcTime,
    /// Whose it is: who made it, or to whom it was handed over.
    pub created_by: String,
    /// When it was handed over last. None = never.
    pub handed_over_at: Option<UtcTime>,
    /// Whether whoever looks may change it.
    pub editable: bool,
}

/// The page of one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyDetails {
    pub key: KeyView,
    pub limits: KeyLimits,
    pub suppliers: Vec<SupplierChoice>,
    /// When a key ends from now on, by the days that it is to last yet.
    pub ends: Vec<(u64, UtcTime)>,
    pub totals: UsageTotals,
    /// The days up to today, and what was charged on each.
    pub month: Range,
    pub spent: Vec<Tokens>,
    /// All of the account, deleted ones too, the oldest first: in this order charts give colours.
    pub key_ids: Vec<KeyId>,
    pub calls: Vec<CallView>,
    /// Until when a secret that it had before still works.
    pub old_secret_until: Option<UtcTime>,
    /// Only on the first look at a new key, or a new secret.
    pub new_secret: Option<ShownSecret>,
    /// This server and a model that the key may call, for the examples.
    pub reader: Reader,
    /// One that it may call in Anthropic's protocol.
    pub anthropic_model_id: Option<String>,
    pub trials: Trials,
}

/// A plain secret on its way to the one page that shows it. Never in a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShownSecret(pub String);

impl fmt::Debug for ShownSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShownSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_trimmed_and_checked() {
        assert_eq!(KeyName::parse("  chat bot ").map(|name| name.0), Ok("chat bot".to_string()));
        assert!(KeyName::parse(&"é".repeat(100)).is_ok());
        for (text, problem) in
            [("", Problem::Empty), (" \t", Problem::Empty), (&"x".repeat(101), Problem::TooLong), ("a\u{7}b", Problem::Malformed)]
        {
            assert_eq!(KeyName::parse(text).err(), Some(ConsoleError::invalid(Field::Name, problem)), "{text:?}");
        }
    }

    #[test]
    fn every_supplier_is_a_choice_and_none_is_not() {
        assert_eq!(parse_supplier("all"), Ok(None));
        assert_eq!(parse_supplier("").err(), Some(ConsoleError::invalid(Field::Supplier, Problem::Empty)));
        assert_eq!(parse_supplier("openai").err(), Some(ConsoleError::invalid(Field::Supplier, Problem::Unknown)));
    }

    #[test]
    fn status_is_one_of_two_words() {
        assert_eq!((parse_enabled("enabled"), parse_enabled("disabled")), (Ok(true), Ok(false)));
        assert!(parse_enabled("deleted").is_err());
    }

    #[test]
    fn a_shown_secret_hides_from_debug() {
        assert_eq!(format!("{:?}", ShownSecret("sk-toki-x".into())), "ShownSecret(…)");
    }
}
