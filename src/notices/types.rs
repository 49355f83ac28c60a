//! What crosses the wire about notices: which ones a user wants.

use crate::error::{ConsoleError, Field, Problem};
use crate::tokens::{Tokens, TokensError};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeSettings {
    pub new_device: bool,
    pub expiring: bool,
    pub key_quota: bool,
    /// Told when the balance is below this; none = never.
    pub balance_below: Option<Tokens>,
}

impl Default for NoticeSettings {
    fn default() -> NoticeSettings {
        NoticeSettings { new_device: true, expiring: true, key_quota: true, balance_below: None }
    }
}

/// What was typed as a balance: empty is none, and nothing is below 0.
pub fn parse_balance_below(text: &str) -> Result<Option<Tokens>, ConsoleError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let invalid = |problem| ConsoleError::invalid(Field::BalanceBelow, problem);
    match Tokens::parse(text) {
        Ok(Tokens(0)) | Err(TokensError::NotANumber) => Err(invalid(Problem::Malformed)),
        Err(TokensError::TooLarge) => Err(invalid(Problem::TooLarge)),
        Ok(tokens) => Ok(Some(tokens)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_is_tokens_or_none() {
        assert_eq!(parse_balance_below(" "), Ok(None));
        assert_eq!(parse_balance_below("50,000"), Ok(Some(Tokens(50_000))));
        for (text, problem) in [("0", Problem::Malformed), ("-1", Problem::Malformed), ("1000000000000001", Problem::TooLarge)] {
            assert_eq!(parse_balance_below(text), Err(ConsoleError::invalid(Field::BalanceBelow, problem)), "{text}");
        }
    }
}
