//! Channel secrets at rest: sealed for the row and the column where they stand.

use crate::ids::ChannelId;
use crate::seal::{Seal, SecretKeys};
use secrecy::{ExposeSecret, SecretString};

#[derive(Clone)]
pub struct SealingKey(Seal);

/// A sealed secret that does not open: another key, another row, or damage.
#[derive(Debug, thiserror::Error)]
#[error("a channel's secret does not open with this TOKI_SECRET_KEY")]
pub struct UnsealError;

impl SealingKey {
    pub fn derive<'a>(keys: impl Into<SecretKeys<'a>>) -> SealingKey {
        SealingKey(Seal::derive(keys, b"toki supplier secrets v1"))
    }

    pub fn seal(&self, channel_id: ChannelId, secret: &SecretString) -> Result<Vec<u8>, UnsealError> {
        self.0.seal(place(channel_id).as_bytes(), secret.expose_secret().as_bytes()).map_err(|_| UnsealError)
    }

    pub fn open(&self, channel_id: ChannelId, sealed: &[u8]) -> Result<SecretString, UnsealError> {
        let plain = self.0.open(place(channel_id).as_bytes(), sealed).map_err(|_| UnsealError)?;
        String::from_utf8(plain).map(SecretString::from).map_err(|_| UnsealError)
    }

    /// The same secret, sealed with the current key.
    pub fn reseal(&self, channel_id: ChannelId, sealed: &[u8]) -> Result<Vec<u8>, UnsealError> {
        self.0.reseal(place(channel_id).as_bytes(), sealed).map_err(|_| UnsealError)
    }
}

fn place(channel_id: ChannelId) -> String {
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
