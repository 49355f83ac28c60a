//! What crosses the wire about users and accounts, and the parsers of what a person types.

use crate::accounts::types_members::{AccountChoice, Role};
use crate::error::{ConsoleError, Field, Problem};
use crate::wallet::types::Standing;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An address as we keep and compare it: trimmed, lower-cased, one `@`, no spaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// Checks the shape only; whether mail arrives there is the verification's business.
    pub fn parse(text: &str) -> Result<Email, ConsoleError> {
        let text = text.trim().to_lowercase();
        let problem = |problem| Err(ConsoleError::invalid(Field::Email, problem));
        if text.is_empty() {
            return problem(Problem::Empty);
        }
        if text.len() > 254 {
            return problem(Problem::TooLong);
        }
        let Some((local, domain)) = text.split_once('@') else { return problem(Problem::Malformed) };
        let domain_ok = domain.contains('.') && domain.split('.').all(|label| !label.is_empty()) && !domain.contains('@');
        if local.is_empty() || local.len() > 64 || !domain_ok || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return problem(Problem::Malformed);
        }
        Ok(Email(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A password on its way to be hashed. Any composition, 8 to 1,024 bytes, never truncated, never shown.
pub struct Password(String);

impl Password {
    pub const SHORTEST: usize = 8;
    pub const LONGEST: usize = 1024;

    pub fn parse(text: String) -> Result<Password, ConsoleError> {
        let problem = match text.chars().count() {
            0 => Some(Problem::Empty),
            n if n < Password::SHORTEST => Some(Problem::TooShort),
            _ if text.len() > Password::LONGEST => Some(Problem::TooLong),
            _ => None,
        };
        match problem {
            Some(problem) => Err(ConsoleError::invalid(Field::Password, problem)),
            None => Ok(Password(text)),
        }
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Who looks at a page, and what the frame around it shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Viewer {
    pub email: Email,
    /// In the account that they act for.
    pub role: Role,
    /// Whether mail has reached them at it.
    pub verified: bool,
    /// For operators, how many payment events wait for one of them to look.
    pub to_look_at: Option<i64>,
    /// What they belong to, where that are several; nothing for whoever must set a second factor up before they see any of it.
    pub accounts: Vec<AccountChoice>,
    /// None for them too.
    pub wallet: Option<Standing>,
    /// Whether this server plays: sandbox payments, sandbox supplier.
    pub sandbox: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn email_is_normalised_and_checked() {
        assert_eq!(Email::parse("  Ada@Example.COM "), Ok(Email("ada@example.com".into())));
        assert_eq!(Email::parse(""), Err(ConsoleError::invalid(Field::Email, Problem::Empty)));
        for text in ["ada", "@example.com", "ada@", "ada@example", "a@b@c.d", "a b@example.com", "ada@example..com", "ada@.com"] {
            assert_eq!(Email::parse(text), Err(ConsoleError::invalid(Field::Email, Problem::Malformed)), "{text:?}");
        }
        assert_eq!(Email::parse(&format!("a@{}.com", "x".repeat(260))), Err(ConsoleError::invalid(Field::Email, Problem::TooLong)));
    }

    #[test]
    fn password_has_a_length_and_no_other_rule() {
        for (text, problem) in [("", Problem::Empty), ("7 chars", Problem::TooShort)] {
            assert_eq!(Password::parse(text.into()).err(), Some(ConsoleError::invalid(Field::Password, problem)));
        }
        assert!(Password::parse("пароль!!".into()).is_ok());
        assert!(Password::parse("x".repeat(1025)).is_err());
        assert_eq!(format!("{:?}", Password::parse("correct horse".into()).unwrap_or(Password(String::new()))), "Password(…)");
    }
}
