//! The bearer token of a call. Recognises the form only; whether the key may call is decided with the hold, in the database.

use crate::gateway::error::GatewayError;
use crate::keys::secret::{KeySecret, Pepper};
use axum::http::{HeaderMap, header};

/// The digest of the presented secret. Made-up and mistyped keys end here, without a look at the database.
pub fn secret_hash(headers: &HeaderMap, pepper: &Pepper) -> Result<[u8; 32], GatewayError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(GatewayError::InvalidKey) };
    let text = value.to_str().map_err(|_| GatewayError::InvalidKey)?;
    let (scheme, token) = text.split_once(' ').ok_or(GatewayError::InvalidKey)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(GatewayError::InvalidKey);
    }
    KeySecret::parse(token.trim()).map(|secret| secret.hash(pepper)).ok_or(GatewayError::InvalidKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_hash_takes_one_well_formed_bearer_token() {
        let (pepper, secret) = (Pepper::derive(&[1; 32]), KeySecret::generate());
        let hash = |values: &[String]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().expect("header value"));
            }
            secret_hash(&headers, &pepper)
        };
        let good = format!("Bearer {}", secret.expose());
        assert_eq!(hash(std::slice::from_ref(&good)), Ok(secret.hash(&pepper)));
        assert_eq!(hash(&[format!("bearer  {} ", secret.expose())]), Ok(secret.hash(&pepper)));
        for values in
            [vec![], vec![secret.expose().into()], vec!["Basic abc".into()], vec!["Bearer sk-toki-abc".into()], vec![good.clone(), good]]
        {
            assert_eq!(hash(&values), Err(GatewayError::InvalidKey), "{values:?}");
        }
    }
}
