//! The secret of an API key: made, recognised, hashed. The plain secret exists only between its making and its one showing.
//!
//! Shape: `sk-toki-` + 40 characters of base 62 (238 bits) + 6 of checksum.

pub mod handover;

use crate::secret::{Shape, derive_key, hmac_sha256};
use std::fmt;

const SHAPE: Shape =
    Shape { prefix: "sk-toki-", alphabet: b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", random: 40, checksum: 6 };

/// HMAC key for API keys, derived from the configured secret key: a stolen table cannot be tested against guessed secrets.
#[derive(Clone)]
pub struct Pepper([u8; 32]);

impl Pepper {
    pub fn derive(secret_key: &[u8; 32]) -> Pepper {
        Pepper(derive_key(secret_key, b"toki api key pepper v1"))
    }
}

/// A plain secret, well-formed by construction. No Display and no Debug of what is in it.
pub struct KeySecret(String);

impl KeySecret {
    pub fn generate() -> KeySecret {
        KeySecret(SHAPE.generate())
    }

    /// Recognises a well-formed secret; says nothing about whether it belongs to a key.
    pub fn parse(text: &str) -> Option<KeySecret> {
        SHAPE.fits(text).then(|| KeySecret(text.to_string()))
    }

    /// What is stored and looked up.
    pub fn hash(&self, pepper: &Pepper) -> [u8; 32] {
        hmac_sha256(&pepper.0, self.0.as_bytes())
    }

    /// What a list shows: `sk-toki-Ab3d…x9Yz`.
    pub fn hint(&self) -> String {
        let (start, end) = (&self.0[..SHAPE.prefix.len() + 4], &self.0[self.0.len() - 4..]);
        format!("{start}…{end}")
    }

    /// The plain secret, for the one time it is shown.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_secret_is_recognised_and_hashes_the_same() {
        let pepper = Pepper::derive(&[1; 32]);
        let secret = KeySecret::generate();
        let again = KeySecret::parse(secret.expose()).expect("well-formed");
        assert_eq!(secret.hash(&pepper), again.hash(&pepper));
        assert_ne!(secret.hash(&pepper), secret.hash(&Pepper::derive(&[2; 32])));
        assert!(!format!("{secret:?}").contains(&secret.expose()[8..]));
        assert_eq!(secret.hint().chars().count(), 17);
    }

    #[test]
    fn one_changed_character_is_refused() {
        let secret = KeySecret::generate();
        for at in SHAPE.prefix.len()..secret.expose().len() {
            let mut typo = secret.expose().to_string();
            let other = if typo.as_bytes()[at] == b'A' { "B" } else { "A" };
            typo.replace_range(at..=at, other);
            assert!(KeySecret::parse(&typo).is_none(), "{at}");
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        for text in ["", "sk-toki-", "sk-proj-abc", "sk-toki-ü", &"x".repeat(54), &format!("{} ", KeySecret::generate().expose())] {
            assert!(KeySecret::parse(text).is_none(), "{text:?}");
        }
    }

    /// Secrets of before must be recognised for ever: this one was made by the first version.
    #[test]
    fn the_shape_never_changes() {
        assert!(KeySecret::parse("sk-toki-0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9TxN2TI8").is_some());
    }
}
