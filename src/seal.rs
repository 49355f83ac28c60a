//! What is stored so that only we can read it: ChaCha20-Poly1305 (RFC 8439) with the place where it stands as associated data, so that
//! a ciphertext moved to another row opens nothing.

use crate::secret::derive_key;
use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use std::sync::Arc;

const NONCE: usize = 12;

/// Seals and opens what serves one purpose.
#[derive(Clone)]
pub struct Seal(Arc<ChaCha20Poly1305>);

/// What does not seal; or does not open: another key, another place, or damage.
#[derive(Debug, thiserror::Error)]
#[error("a sealed secret does not open with this TOKI_SECRET_KEY")]
pub struct SealError;

impl Seal {
    pub fn derive(secret_key: &[u8; 32], purpose: &[u8]) -> Seal {
        Seal(Arc::new(ChaCha20Poly1305::new(&derive_key(secret_key, purpose).into())))
    }

    /// A random nonce, then the ciphertext.
    pub fn seal(&self, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce = Nonce::generate();
        let mut sealed = nonce.to_vec();
        sealed.extend(self.0.encrypt(&nonce, Payload { msg: plain, aad: place }).map_err(|_| SealError)?);
        Ok(sealed)
    }

    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, msg) = sealed.split_at_checked(NONCE).ok_or(SealError)?;
        let nonce = Nonce::try_from(nonce).map_err(|_| SealError)?;
        self.0.decrypt(&nonce, Payload { msg, aad: place }).map_err(|_| SealError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_with_the_same_key_purpose_and_place() {
        let seal = Seal::derive(&[1; 32], b"a test");
        let sealed = seal.seal(b"here", b"a secret").expect("sealed");
        assert!(!sealed.windows(8).any(|window| window == b"a secret"));
        assert_eq!(seal.open(b"here", &sealed).expect("opens"), b"a secret");
        assert!(seal.open(b"there", &sealed).is_err());
        assert!(Seal::derive(&[2; 32], b"a test").open(b"here", &sealed).is_err());
        assert!(Seal::derive(&[1; 32], b"another").open(b"here", &sealed).is_err());
        assert!(seal.open(b"here", &sealed[..5]).is_err());
        let mut damaged = sealed;
        damaged[20] ^= 1;
        assert!(seal.open(b"here", &damaged).is_err());
    }
}
