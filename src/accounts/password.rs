//! argon2id on the blocking pool, behind a semaphore: a flood of sign-ins must not take the cores that serve calls.

use crate::accounts::types::Password;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, PasswordHash};
use std::sync::{LazyLock, OnceLock};
use tokio::sync::Semaphore;

/// Hashing could not be done at all.
#[derive(Debug, thiserror::Error)]
#[error("password hashing failed")]
pub struct HashingError;

/// One at a time: argon2id takes about 19 MiB and tens of milliseconds of a core each.
static SLOTS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(1));

async fn on_blocking_pool<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, HashingError> {
    let _slot = SLOTS.acquire().await.map_err(|_| HashingError)?;
    tokio::task::spawn_blocking(work).await.map_err(|_| HashingError)
}

/// The PHC string to store: argon2id, version 19, a salt of its own (RFC 9106).
pub async fn hash(password: Password) -> Result<String, HashingError> {
    on_blocking_pool(move || hash_now(password.expose())).await?
}

fn hash_now(password: &str) -> Result<String, HashingError> {
    Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(|_| HashingError)
}

/// Whether the password matches. With no stored hash (unknown user) it does the same work and answers false.
pub async fn verify(password: Password, stored: Option<String>) -> Result<bool, HashingError> {
    static DUMMY: OnceLock<String> = OnceLock::new();
    on_blocking_pool(move || {
        let known = stored.is_some();
        let stored = match stored {
            Some(stored) => stored,
            None => DUMMY.get_or_init(|| hash_now("nobody's password").unwrap_or_default()).clone(),
        };
        let matches =
            PasswordHash::new(&stored).is_ok_and(|hash| Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok());
        matches && known
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::parse(text.into()).expect("long enough")
    }

    #[tokio::test]
    async fn verify_accepts_only_the_same_password() {
        let stored = hash(password("correct horse")).await.expect("hash");
        assert!(stored.starts_with("$argon2id$v=19$"));
        assert!(verify(password("correct horse"), Some(stored.clone())).await.expect("verify"));
        assert!(!verify(password("correct horsf"), Some(stored)).await.expect("verify"));
        assert!(!verify(password("nobody's password"), None).await.expect("verify"));
        assert!(!verify(password("correct horse"), Some("not a hash".into())).await.expect("verify"));
    }
}
