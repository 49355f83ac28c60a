//! A new key's secret on its way from the form that made it to the page that shows it. It waits in the session, and so in the
//! database: sealed (ChaCha20-Poly1305, the key's id as associated data), since no secret is ever stored in clear.

use crate::ids::KeyId;
use crate::keys::secret::KeySecret;
use crate::secret::derive_key;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use serde::{Deserialize, Serialize};

/// Under which name the session keeps it.
pub const FLASH: &str = "new_key_secret";

const NONCE: usize = 12;

#[derive(Debug, Serialize, Deserialize)]
pub struct Handover {
    key_id: KeyId,
    sealed: String,
}

/// A secret that could not be sealed.
#[derive(Debug, thiserror::Error)]
#[error("a new secret could not be sealed")]
pub struct SealError;

impl Handover {
    pub fn seal(secret_key: &[u8; 32], key_id: KeyId, secret: &KeySecret) -> Result<Handover, SealError> {
        let nonce = Nonce::generate();
        let payload = Payload { msg: secret.expose().as_bytes(), aad: key_id.0.as_bytes() };
        let mut sealed = nonce.to_vec();
        sealed.extend(cipher(secret_key).encrypt(&nonce, payload).map_err(|_| SealError)?);
        Ok(Handover { key_id, sealed: STANDARD_NO_PAD.encode(sealed) })
    }

    /// The secret, if it is that of this key.
    pub fn open(&self, secret_key: &[u8; 32], key_id: KeyId) -> Option<KeySecret> {
        if self.key_id != key_id {
            return None;
        }
        let sealed = STANDARD_NO_PAD.decode(&self.sealed).ok()?;
        let (nonce, msg) = sealed.split_at_checked(NONCE)?;
        let nonce = Nonce::try_from(nonce).ok()?;
        let plain = cipher(secret_key).decrypt(&nonce, Payload { msg, aad: key_id.0.as_bytes() }).ok()?;
        KeySecret::parse(std::str::from_utf8(&plain).ok()?)
    }
}

fn cipher(secret_key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&derive_key(secret_key, b"toki new key handover v1").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_for_its_key_only_and_shows_nothing_on_the_way() {
        let (key_id, secret) = (KeyId::generate(), KeySecret::generate());
        let handover = Handover::seal(&[1; 32], key_id, &secret).expect("sealed");
        let stored = serde_json::to_string(&handover).expect("json");
        assert!(!stored.contains("sk-toki-") && !stored.contains(&secret.expose()[8..]));
        let handover: Handover = serde_json::from_str(&stored).expect("json");
        assert_eq!(handover.open(&[1; 32], key_id).expect("opens").expose(), secret.expose());
        assert!(handover.open(&[1; 32], KeyId::generate()).is_none());
        assert!(handover.open(&[2; 32], key_id).is_none());
        assert!(Handover { key_id: KeyId::generate(), ..handover }.open(&[1; 32], key_id).is_none());
    }
}
