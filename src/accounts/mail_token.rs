//! The token in a link that is sent by mail: 160 random bits and a checksum, so that what no mail of ours holds is refused without a
//! question to the database. What is stored of it is a hash.

use crate::secret::Shape;
use chrono::TimeDelta;
use sha2::{Digest, Sha256};
use std::fmt;

/// Letters and digits that mail programs leave alone, none of them like another.
const SHAPE: Shape = Shape { prefix: "", alphabet: b"abcdefghijkmnpqrstuvwxyz23456789", random: 32, checksum: 6 };

/// What a link does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Makes the user that waits for it.
    SignUp,
    /// Confirms the address that its user has.
    Verify,
    /// Gives its user another address.
    ChangeEmail,
    /// Sets a new password.
    Reset,
}

impl Purpose {
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::SignUp => "sign_up",
            Purpose::Verify => "verify",
            Purpose::ChangeEmail => "change_email",
            Purpose::Reset => "reset",
        }
    }

    pub fn parse(text: &str) -> Option<Purpose> {
        [Purpose::SignUp, Purpose::Verify, Purpose::ChangeEmail, Purpose::Reset].into_iter().find(|purpose| purpose.as_str() == text)
    }

    /// For how long the link works.
    pub fn lives_for(self) -> TimeDelta {
        match self {
            Purpose::Reset => TimeDelta::minutes(30),
            Purpose::SignUp | Purpose::Verify | Purpose::ChangeEmail => TimeDelta::hours(24),
        }
    }
}

pub struct MailToken(String);

impl MailToken {
    pub fn generate() -> MailToken {
        MailToken(SHAPE.generate())
    }

    /// What somebody's link holds, if it could be one of ours.
    pub fn parse(text: &str) -> Option<MailToken> {
        SHAPE.fits(text).then(|| MailToken(text.to_string()))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for MailToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_takes_what_generate_makes_and_nothing_near_it() {
        let token = MailToken::generate();
        assert_eq!(MailToken::parse(token.expose()).expect("ours").hash(), token.hash());
        assert_ne!(MailToken::generate().hash(), token.hash());
        for other in ["", "a", &token.expose()[1..], &token.expose().to_uppercase(), &format!("{}a", token.expose())] {
            assert!(MailToken::parse(other).is_none(), "{other}");
        }
        assert_eq!(format!("{token:?}"), "MailToken(…)");
    }
}
