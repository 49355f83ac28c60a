//! Supplier secrets at rest: ChaCha20-Poly1305 (RFC 8439) with the row's id and the column's name as associated data, so that a
//! ciphertext moved to another row opens nothing.

use crate::ids::ChannelId;
use crate::secret::derive_key;
use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;

const NONCE: usize = 12;

#[derive(Clone)]
pub struct SealingKey(Arc<ChaCha20Poly1305>);

/// A sealed secret that does not open: another key, another row, or damage.
#[derive(Debug, thiserror::Error)]
#[error("a channel's secret does not open with this TOKI_SECRET_KEY")]
pub struct UnsealError;

impl SealingKey {
    pub fn derive(secret_key: &[u8; 32]) -> SealingKey {
        SealingKey(Arc::new(ChaCha20Poly1305::new(&derive_key(secret_key, b"toki supplier secrets v1").into())))
    }

    pub fn seal(&self, channel_id: ChannelId, secret: &SecretString) -> Result<Vec<u8>, UnsealError> {
        let nonce = Nonce::generate();
        let aad = associated_data(channel_id);
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: aad.as_bytes() };
        let mut sealed = nonce.to_vec();
        sealed.extend(self.0.encrypt(&nonce, payload).map_err(|_| UnsealError)?);
        Ok(sealed)
    }

    pub fn open(&self, channel_id: ChannelId, sealed: &[u8]) -> Result<SecretString, UnsealError> {
        let (nonce, ciphertext) = sealed.split_at_checked(NONCE).ok_or(UnsealError)?;
        let nonce = Nonce::try_from(nonce).map_err(|_| UnsealError)?;
        let aad = associated_data(channel_id);
        let plain = self.0.decrypt(&nonce, Payload { msg: ciphertext, aad: aad.as_bytes() }).map_err(|_| UnsealError)?;
        String::from_utf8(plain).map(SecretString::from).map_err(|_| UnsealError)
    }
}

fn associated_data(channel_id: ChannelId) -> String {
    format!("channels.secret_sealed:{channel_id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_with_the_same_key_and_row() {
        let (key, channel_id) = (SealingKey::derive(&[1; 32]), ChannelId::generate());
        let sealed = key.seal(channel_id, &"sk-upstream".into()).expect("seal");
        assert!(!sealed.windows(11).any(|window| window == b"sk-upstream"));
        assert_eq!(key.open(channel_id, &sealed).expect("open").expose_secret(), "sk-upstream");
        assert!(key.open(ChannelId::generate(), &sealed).is_err());
        assert!(SealingKey::derive(&[2; 32]).open(channel_id, &sealed).is_err());
        assert!(key.open(channel_id, &sealed[..5]).is_err());
        let mut damaged = sealed;
        damaged[20] ^= 1;
        assert!(key.open(channel_id, &damaged).is_err());
    }
}
