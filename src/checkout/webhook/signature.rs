//! Stripe's webhook signature: `Stripe-Signature: t=<unix>,v1=<hex>,…`, each v1 an HMAC-SHA256 over `<t>.<body>`. Pure: no clock,
//! no configuration, no parsing of the body.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// How far the time of signing may be from ours, either way. Older is a replay; newer is a wrong clock or a forgery.
pub const TOLERANCE_S: i64 = 300;

/// More than any provider sends, so that no header makes us work for it.
const MOST_SIGNATURES: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the signature header is malformed")]
    Malformed,
    #[error("the event was signed too long ago, or in the future")]
    OutsideTolerance,
    #[error("no signature matches")]
    NoMatch,
}

/// Which of the secrets signed this body. Every signature is compared with every secret, in constant time.
pub fn verify<'s, S: AsRef<[u8]>, T>(secrets: &'s [(S, T)], header: &str, payload: &[u8], now_s: i64) -> Result<&'s T, SignatureError> {
    let (signed_at, signatures) = parse(header)?;
    let timestamp: i64 = signed_at.parse().map_err(|_| SignatureError::Malformed)?;
    if now_s.abs_diff(timestamp) > TOLERANCE_S.unsigned_abs() {
        return Err(SignatureError::OutsideTolerance);
    }
    let mut matched = None;
    for (secret, owner) in secrets {
        // Anybody can sign with an empty secret.
        if secret.as_ref().is_empty() {
            continue;
        }
        let expected = mac(secret.as_ref(), signed_at, payload).ok_or(SignatureError::NoMatch)?;
        for signature in &signatures {
            if bool::from(signature.as_slice().ct_eq(&expected)) {
                matched = Some(owner);
            }
        }
    }
    matched.ok_or(SignatureError::NoMatch)
}

/// The header that [`verify`] accepts.
pub fn sign(secret: &[u8], payload: &[u8], now_s: i64) -> Option<String> {
    let mac = mac(secret, &now_s.to_string(), payload)?;
    Some(format!("t={now_s},v1={}", hex(&mac)))
}

fn mac(secret: &[u8], timestamp: &str, payload: &[u8]) -> Option<[u8; 32]> {
    let mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    Some(mac.chain_update(timestamp).chain_update(b".").chain_update(payload).finalize().into_bytes().into())
}

/// The one `t` and every well-formed `v1`; other schemes (`v0`) are not signatures to us.
fn parse(header: &str) -> Result<(&str, Vec<[u8; 32]>), SignatureError> {
    let (mut signed_at, mut signatures) = (None, Vec::new());
    for part in header.split(',') {
        let (scheme, value) = part.trim().split_once('=').ok_or(SignatureError::Malformed)?;
        match scheme {
            "t" if signed_at.is_none() && !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => signed_at = Some(value),
            "t" => return Err(SignatureError::Malformed),
            "v1" if signatures.len() < MOST_SIGNATURES => signatures.extend(unhex(value)),
            _ => {}
        }
    }
    Ok((signed_at.ok_or(SignatureError::Malformed)?, signatures))
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digit = |c: u8| char::from(c).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;
    const SECRET: &str = "whsec_0123456789abcdef";
    const BODY: &[u8] = br#"{"id":"evt_1"}"#;

    fn check(secrets: &[&str], header: &str, now_s: i64) -> Result<usize, SignatureError> {
        let secrets: Vec<_> = secrets.iter().enumerate().map(|(i, secret)| (*secret, i)).collect();
        verify(&secrets, header, BODY, now_s).copied()
    }

    fn signed() -> String {
        sign(SECRET.as_bytes(), BODY, NOW).expect("signed")
    }

    #[test]
    fn verify_knows_the_signature_that_openssl_makes() {
        // printf '1700000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_0123456789abcdef
        let header = "t=1700000000,v1=dea1657bd5053cb0f8a75ebf0bd3d22e0cdeb79563b44db6b88864e522fb8bc4";
        assert_eq!(check(&[SECRET], header, NOW), Ok(0));
    }

    #[test]
    fn verify_says_which_secret_signed() {
        assert_eq!(check(&["whsec_other", SECRET], &signed(), NOW), Ok(1));
        assert_eq!(check(&[SECRET, "whsec_other"], &signed(), NOW), Ok(0));
    }

    #[test]
    fn verify_refuses_another_secret_another_body_and_another_time() {
        assert_eq!(check(&["whsec_other"], &signed(), NOW), Err(SignatureError::NoMatch));
        assert_eq!(check(&[], &signed(), NOW), Err(SignatureError::NoMatch));
        assert_eq!(verify(&[(SECRET, ())], &signed(), b"{}", NOW), Err(SignatureError::NoMatch));
        let moved = signed().replace("t=1700000000", "t=1700000001");
        assert_eq!(check(&[SECRET], &moved, NOW), Err(SignatureError::NoMatch));
    }

    #[test]
    fn verify_refuses_an_empty_secret_whoever_signed_with_it() {
        let forged = sign(b"", BODY, NOW).expect("an empty key is a key to HMAC");
        assert_eq!(check(&[""], &forged, NOW), Err(SignatureError::NoMatch));
    }

    #[test]
    fn verify_refuses_replays_and_the_future() {
        for (now_s, outcome) in [
            (NOW + 300, Ok(0)),
            (NOW + 301, Err(SignatureError::OutsideTolerance)),
            (NOW - 300, Ok(0)),
            (NOW - 301, Err(SignatureError::OutsideTolerance)),
            (i64::MIN, Err(SignatureError::OutsideTolerance)),
        ] {
            assert_eq!(check(&[SECRET], &signed(), now_s), outcome, "{now_s}");
        }
    }

    #[test]
    fn verify_takes_any_v1_and_no_other_scheme() {
        let good = signed();
        let v1 = good.split_once(",v1=").expect("two parts").1.to_string();
        let bad = "0".repeat(64);
        for header in [
            format!("t={NOW},v1={bad},v1={v1}"),
            format!("t={NOW},v1={v1},v1={bad}"),
            format!("v1={v1},t={NOW}"),
            format!("t={NOW},v0={bad},v1={}", v1.to_uppercase()),
            format!("t={NOW}, v1=short, v1={v1}"),
        ] {
            assert_eq!(check(&[SECRET], &header, NOW), Ok(0), "{header}");
        }
        assert_eq!(check(&[SECRET], &format!("t={NOW},v0={v1}"), NOW), Err(SignatureError::NoMatch));
        assert_eq!(check(&[SECRET], &format!("t={NOW},v1={bad}"), NOW), Err(SignatureError::NoMatch));
        let flood = format!("t={NOW}{},v1={v1}", format!(",v1={bad}").repeat(MOST_SIGNATURES));
        assert_eq!(check(&[SECRET], &flood, NOW), Err(SignatureError::NoMatch));
    }

    #[test]
    fn verify_refuses_malformed_headers() {
        let v1 = "0".repeat(64);
        for header in [
            String::new(),
            "t".into(),
            format!("v1={v1}"),
            format!("t=,v1={v1}"),
            format!("t=-1,v1={v1}"),
            format!("t=now,v1={v1}"),
            format!("t=99999999999999999999,v1={v1}"),
            format!("t={NOW},t={NOW},v1={v1}"),
            format!("t={NOW},,v1={v1}"),
        ] {
            assert_eq!(check(&[SECRET], &header, NOW), Err(SignatureError::Malformed), "{header}");
        }
    }
}
