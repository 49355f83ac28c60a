//! The secret of an API key: made, recognised, hashed. The plain secret exists only between its making and its one showing.
//!
//! Shape: `sk-toki-` + 40 characters of base 62 (238 bits) + 6 of checksum. The checksum lets typos and floods of made-up keys be
//! refused without asking the database; it is no protection against anybody who reads this.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt;

const PREFIX: &str = "sk-toki-";
const RANDOM: usize = 40;
const CHECKSUM: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// HMAC key for API keys, derived from the configured secret key: a stolen table cannot be tested against guessed secrets.
#[derive(Clone)]
pub struct Pepper([u8; 32]);

impl Pepper {
    pub fn derive(secret_key: &[u8; 32]) -> Pepper {
        Pepper(derive_key(secret_key, b"toki api key pepper v1"))
    }
}

/// A key for one purpose from the one configured (HMAC-SHA256 as the extract-and-expand of a uniform key).
pub fn derive_key(secret_key: &[u8; 32], purpose: &[u8]) -> [u8; 32] {
    hmac_sha256(secret_key, purpose)
}

fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    // HMAC pads a key shorter than its block with zeros (RFC 2104), so the padded block is the same key, and cannot fail.
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    Hmac::<Sha256>::new(&block.into()).chain_update(message).finalize().into_bytes().into()
}

/// A plain secret, well-formed by construction. No Display and no Debug of what is in it.
pub struct KeySecret(String);

impl KeySecret {
    pub fn generate() -> KeySecret {
        let mut secret = String::with_capacity(PREFIX.len() + RANDOM + CHECKSUM);
        secret.push_str(PREFIX);
        while secret.len() < PREFIX.len() + RANDOM {
            // 248 = 4 × 62: bytes above it would favour some characters.
            let byte = rand::random::<u8>();
            if byte < 248 {
                secret.push(char::from(ALPHABET[usize::from(byte % 62)]));
            }
        }
        let checksum = checksum(&secret);
        secret.push_str(&checksum);
        KeySecret(secret)
    }

    /// Recognises a well-formed secret; says nothing about whether it belongs to a key.
    pub fn parse(text: &str) -> Option<KeySecret> {
        let body = text.strip_prefix(PREFIX)?;
        if body.len() != RANDOM + CHECKSUM || !body.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        let (head, given) = text.split_at(PREFIX.len() + RANDOM);
        (checksum(head) == given).then(|| KeySecret(text.to_string()))
    }

    /// What is stored and looked up.
    pub fn hash(&self, pepper: &Pepper) -> [u8; 32] {
        hmac_sha256(&pepper.0, self.0.as_bytes())
    }

    /// What a list shows: `sk-toki-Ab3d…x9Yz`.
    pub fn hint(&self) -> String {
        let (start, end) = (&self.0[..PREFIX.len() + 4], &self.0[self.0.len() - 4..]);
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

/// The first 30 bits of SHA-256 in base 62, six characters.
fn checksum(head: &str) -> String {
    let digest = Sha256::digest(head.as_bytes());
    let mut number = u64::from_be_bytes([0, 0, 0, digest[0], digest[1], digest[2], digest[3], digest[4]]);
    (0..CHECKSUM)
        .map(|_| {
            let character = ALPHABET[(number % 62) as usize];
            number /= 62;
            char::from(character)
        })
        .collect()
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
        for at in PREFIX.len()..secret.expose().len() {
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

    #[test]
    fn derived_keys_differ_by_purpose() {
        assert_ne!(derive_key(&[1; 32], b"a"), derive_key(&[1; 32], b"b"));
    }
}
