//! A new key's secret on its way from the form that made it to the page that shows it. It waits in the session, and so in the
//! database: sealed, the key's id as its place, since no secret is ever stored in clear; and with a key that is never replaced
//! (`secrets::hash_key`), so that it opens on whichever replica that page is asked of while the configured one is replaced.

use crate::ids::KeyId;
use crate::keys::secret::KeySecret;
use crate::seal::{Seal, SealError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

/// Under which name the session keeps it.
pub const FLASH: &str = "new_key_secret";

#[derive(Debug, Serialize, Deserialize)]
pub struct Handover {
    key_id: KeyId,
    sealed: String,
}

impl Handover {
    pub fn seal(hash_key: &[u8; 32], key_id: KeyId, secret: &KeySecret) -> Result<Handover, SealError> {
        let sealed = sealer(hash_key).seal(key_id.0.as_bytes(), secret.expose().as_bytes())?;
        Ok(Handover { key_id, sealed: STANDARD_NO_PAD.encode(sealed) })
    }

    /// The secret, if it is that of this key.
    pub fn open(&self, hash_key: &[u8; 32], key_id: KeyId) -> Option<KeySecret> {
        if self.key_id != key_id {
            return None;
        }
        let plain = sealer(hash_key).open(key_id.0.as_bytes(), &STANDARD_NO_PAD.decode(&self.sealed).ok()?).ok()?;
        KeySecret::parse(std::str::from_utf8(&plain).ok()?)
    }
}

fn sealer(hash_key: &[u8; 32]) -> Seal {
    Seal::derive(hash_key, b"toki new key handover v1")
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
