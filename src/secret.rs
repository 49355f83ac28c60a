//! What secrets that people copy are made of: random text with a checksum, which refuses typos and floods of made-up ones without a
//! question to the database, and is no protection against anybody who reads this. What is stored of them is an HMAC.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// How a kind of secret is written: a prefix, so many random characters of an alphabet, and some of checksum.
pub struct Shape {
    pub prefix: &'static str,
    /// At most 256 ASCII characters.
    pub alphabet: &'static [u8],
    pub random: usize,
    pub checksum: usize,
}

impl Shape {
    pub fn generate(&self) -> String {
        let mut text = String::with_capacity(self.len());
        text.push_str(self.prefix);
        // Bytes from the last multiple of the alphabet's length on would favour some characters.
        let bound = 256 - 256 % self.alphabet.len();
        while text.len() < self.prefix.len() + self.random {
            let byte = usize::from(rand::random::<u8>());
            if byte < bound {
                text.push(char::from(self.alphabet[byte % self.alphabet.len()]));
            }
        }
        let checksum = self.checksum_of(&text);
        text.push_str(&checksum);
        text
    }

    /// Whether a text is well-formed; says nothing about whether it belongs to anything.
    pub fn fits(&self, text: &str) -> bool {
        let Some(body) = text.strip_prefix(self.prefix) else { return false };
        if body.len() != self.random + self.checksum || !body.bytes().all(|byte| self.alphabet.contains(&byte)) {
            return false;
        }
        let (head, checksum) = text.split_at(self.len() - self.checksum);
        self.checksum_of(head) == checksum
    }

    fn len(&self) -> usize {
        self.prefix.len() + self.random + self.checksum
    }

    /// The first 40 bits of SHA-256 in the alphabet, as many characters as there is room for.
    fn checksum_of(&self, head: &str) -> String {
        let digest = Sha256::digest(head.as_bytes());
        let mut number = u64::from_be_bytes([0, 0, 0, digest[0], digest[1], digest[2], digest[3], digest[4]]);
        let base = self.alphabet.len() as u64;
        (0..self.checksum)
            .map(|_| {
                let character = self.alphabet[(number % base) as usize];
                number /= base;
                char::from(character)
            })
            .collect()
    }
}

/// A key for one purpose from the one configured (HMAC-SHA256 as the extract-and-expand of a uniform key).
pub fn derive_key(secret_key: &[u8; 32], purpose: &[u8]) -> [u8; 32] {
    hmac_sha256(secret_key, purpose)
}

pub fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    // HMAC pads a key shorter than its block with zeros (RFC 2104), so the padded block is the same key, and cannot fail.
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    Hmac::<Sha256>::new(&block.into()).chain_update(message).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_keys_differ_by_purpose() {
        assert_ne!(derive_key(&[1; 32], b"a"), derive_key(&[1; 32], b"b"));
    }

    #[test]
    fn one_changed_character_is_refused() {
        let shape = Shape { prefix: "a-", alphabet: b"0123456789", random: 20, checksum: 6 };
        let text = shape.generate();
        assert!(shape.fits(&text), "{text}");
        for at in 0..text.len() {
            let mut typo = text.clone();
            let other = if typo.as_bytes()[at] == b'1' { "2" } else { "1" };
            typo.replace_range(at..=at, other);
            assert!(!shape.fits(&typo), "{typo}");
        }
        for other in ["", "a-", "ü", &text[1..], &format!("{text}0")] {
            assert!(!shape.fits(other), "{other}");
        }
    }
}
