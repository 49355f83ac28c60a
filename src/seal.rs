//! What is stored so that only we can read it: ChaCha20-Poly1305 (RFC 8439) with the place where it stands as associated data, so that
//! a ciphertext moved to another row opens nothing.
//!
//! A sealed value begins with a [`Mark`]: the version of this form and the id of the key that sealed it. Then comes a random nonce, then
//! the ciphertext. Values of before there were marks begin with their nonce, and open with whichever key fits.

use crate::secret::derive_key;
use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use std::sync::Arc;

const NONCE: usize = 12;

const VERSION: u8 = 1;

/// What values sealed with one key begin with, whatever their purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark([u8; 5]);

/// The configured keys: one that seals, and one of before, or of soon, that opens as well.
#[derive(Clone, Copy)]
pub struct SecretKeys<'a> {
    pub current: &'a [u8; 32],
    pub old: Option<&'a [u8; 32]>,
}

/// Seals and opens what serves one purpose.
#[derive(Clone)]
pub struct Seal(Arc<[Keyed]>);

/// One key for the purpose. The first of a [`Seal`] seals.
struct Keyed {
    mark: Mark,
    cipher: ChaCha20Poly1305,
}

/// What does not seal; or does not open: another key, another place, or damage.
#[derive(Debug, thiserror::Error)]
#[error("a sealed secret does not open with this TOKI_SECRET_KEY")]
pub struct SealError;

impl<'a> From<&'a [u8; 32]> for SecretKeys<'a> {
    fn from(current: &'a [u8; 32]) -> SecretKeys<'a> {
        SecretKeys { current, old: None }
    }
}

impl Mark {
    /// The id of a key says nothing about it, and is the same in every installation that has the key.
    pub fn of(secret_key: &[u8; 32]) -> Mark {
        let id = derive_key(secret_key, b"toki key id v1");
        Mark([VERSION, id[0], id[1], id[2], id[3]])
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Seal {
    pub fn derive<'a>(keys: impl Into<SecretKeys<'a>>, purpose: &[u8]) -> Seal {
        let keys = keys.into();
        let all = [Some(keys.current), keys.old].into_iter().flatten();
        let keyed = all.map(|key| Keyed { mark: Mark::of(key), cipher: ChaCha20Poly1305::new(&derive_key(key, purpose).into()) });
        Seal(keyed.collect())
    }

    pub fn seal(&self, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let Keyed { mark, cipher } = self.0.first().ok_or(SealError)?;
        let nonce = Nonce::generate();
        let ciphertext = cipher.encrypt(&nonce, Payload { msg: plain, aad: place }).map_err(|_| SealError)?;
        Ok([mark.bytes(), &nonce, &ciphertext].concat())
    }

    /// A nonce of before may look like a mark: what does not open as what it seems to be is tried as that, and its tag decides.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let marked = self.0.iter().filter_map(|keyed| Some((keyed, sealed.strip_prefix(keyed.mark.bytes())?)));
        let unmarked = self.0.iter().map(|keyed| (keyed, sealed));
        marked.chain(unmarked).find_map(|(keyed, sealed)| keyed.open(place, sealed)).ok_or(SealError)
    }

    /// The same secret, sealed with the current key.
    pub fn reseal(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.seal(place, &self.open(place, sealed)?)
    }
}

impl Keyed {
    fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, msg) = sealed.split_at_checked(NONCE)?;
        self.cipher.decrypt(&Nonce::try_from(nonce).ok()?, Payload { msg, aad: place }).ok()
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
        for length in 0..sealed.len() {
            assert!(seal.open(b"here", &sealed[..length]).is_err(), "{length}");
        }
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(seal.open(b"here", &damaged).is_err(), "{at}");
        }
    }

    #[test]
    fn an_old_key_opens_and_does_not_seal() {
        let (old, current) = ([1; 32], [2; 32]);
        let before = Seal::derive(&old, b"a test").seal(b"here", b"a secret").expect("sealed");
        let both = Seal::derive(SecretKeys { current: &current, old: Some(&old) }, b"a test");
        assert!(before.starts_with(Mark::of(&old).bytes()));
        assert_eq!(both.open(b"here", &before).expect("opens"), b"a secret");
        let resealed = both.reseal(b"here", &before).expect("resealed");
        assert!(resealed.starts_with(Mark::of(&current).bytes()));
        assert_eq!(Seal::derive(&current, b"a test").open(b"here", &resealed).expect("opens"), b"a secret");
        assert!(both.reseal(b"there", &before).is_err());
        let wrong = Seal::derive(SecretKeys { current: &current, old: Some(&[3; 32]) }, b"a test");
        assert!(wrong.open(b"here", &before).is_err());
    }

    /// Values of before there were marks must open for ever, also when their nonce happens to begin like a mark.
    #[test]
    fn a_value_without_a_mark_opens() {
        let (key, mark) = ([1; 32], Mark::of(&[1; 32]));
        let seal = Seal::derive(&key, b"a test");
        for start in [[9; 5], mark.0] {
            let nonce: [u8; NONCE] = [&start[..], &[3; 7]].concat().try_into().expect("twelve bytes");
            let ciphertext = seal.0[0].cipher.encrypt(&nonce.into(), Payload { msg: b"a secret", aad: b"here" }).expect("sealed");
            let unmarked = [&nonce[..], &ciphertext].concat();
            let later = Seal::derive(SecretKeys { current: &[2; 32], old: Some(&key) }, b"a test");
            for seal in [&seal, &later] {
                assert_eq!(seal.open(b"here", &unmarked).expect("opens"), b"a secret");
            }
        }
    }
}
