//! The secret of a call: a bearer token, or Anthropic's `x-api-key`. Whether a call may run is decided with its hold, in the database;
//! for requests that hold nothing, `caller` asks the same.

use crate::gateway::Gateway;
use crate::gateway::admission::SILENT;
use crate::gateway::error::GatewayError;
use crate::keys::secret::{KeySecret, Pepper};
use crate::keys::store::{Caller, CallerKey, caller_by_hash};
use crate::wallet::ledger::Rates;
use axum::Json;
use axum::extract::Extension;
use axum::http::{HeaderMap, HeaderName, header};
use std::net::IpAddr;

pub const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a key that may call is told, with the rates that limit it.
pub type Told<T> = Result<(Extension<Rates>, Result<Json<T>, GatewayError>), GatewayError>;

/// The digest of the presented secret. Made-up and mistyped keys end here, without a look at the database.
pub fn secret_hash(headers: &HeaderMap, pepper: &Pepper) -> Result<[u8; 32], GatewayError> {
    let secret = match headers.contains_key(header::AUTHORIZATION) {
        true => the_only(headers, header::AUTHORIZATION).and_then(bearer_token),
        false => the_only(headers, API_KEY),
    };
    secret.and_then(|text| KeySecret::parse(text.trim())).map(|secret| secret.hash(pepper)).ok_or(GatewayError::InvalidKey)
}

/// The key with this secret, or why it may not call.
pub async fn caller(gateway: &Gateway, secret_hash: [u8; 32], address: IpAddr) -> Result<CallerKey, GatewayError> {
    Err(match gateway.db.ask(SILENT, async |db| caller_by_hash(db, secret_hash, address).await).await {
        Ok(Caller::Key(key)) => return Ok(*key),
        Ok(Caller::Unknown) => GatewayError::InvalidKey,
        Ok(Caller::Disabled) => GatewayError::KeyDisabled,
        Ok(Caller::Expired) => GatewayError::KeyExpired,
        Ok(Caller::Suspended) => GatewayError::AccountSuspended,
        Ok(Caller::Elsewhere) => GatewayError::AddressRefused,
        Err(error) => GatewayError::of_database(&error),
    })
}

/// The value of a header that stands once.
fn the_only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    value.to_str().ok()
}

fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_hash_takes_one_well_formed_secret() {
        let (pepper, secret) = (Pepper::derive(&[1; 32]), KeySecret::generate());
        let hash_of = |values: &[(HeaderName, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in values {
                headers.append(name, value.parse().expect("header value"));
            }
            secret_hash(&headers, &pepper)
        };
        let hash = |values: &[String]| hash_of(&values.iter().map(|value| (header::AUTHORIZATION, value.as_str())).collect::<Vec<_>>());
        let good = format!("Bearer {}", secret.expose());
        assert_eq!(hash(std::slice::from_ref(&good)), Ok(secret.hash(&pepper)));
        assert_eq!(hash(&[format!("bearer  {} ", secret.expose())]), Ok(secret.hash(&pepper)));
        for values in
            [vec![], vec![secret.expose().into()], vec!["Basic abc".into()], vec!["Bearer sk-toki-abc".into()], vec![good.clone(), good]]
        {
            assert_eq!(hash(&values), Err(GatewayError::InvalidKey), "{values:?}");
        }
        let key = secret.expose();
        assert_eq!(hash_of(&[(API_KEY, key)]), Ok(secret.hash(&pepper)));
        assert_eq!(hash_of(&[(API_KEY, key), (API_KEY, key)]), Err(GatewayError::InvalidKey));
        // Who sends both means the bearer token.
        assert_eq!(hash_of(&[(API_KEY, key), (header::AUTHORIZATION, "Bearer other")]), Err(GatewayError::InvalidKey));
    }
}
